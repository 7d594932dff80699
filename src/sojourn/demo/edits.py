"""What each side changes in the story, and what must come of it.

The expectations are made here from rows and plans alone, never with the verbs that the demo shows: what is right must
not be decided by what is on trial. All of it is pure, except that `apply` sets attributes of the objects it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

from sqlalchemy import inspect

from sojourn.demo.models import Flight, Plane

Row: TypeAlias = dict[str, Any]
FlightKey: TypeAlias = tuple[date, str, int, str]  # day, carrier, number, origin: unique, and known before the INSERT
Cell: TypeAlias = tuple[FlightKey | None, str]  # None stands for the plane's own row

WORKER, DESK = "worker", "desk"
PLANE_COLUMNS = tuple(inspect(Plane).column_attrs.keys())
FLIGHT_COLUMNS = tuple(inspect(Flight).column_attrs.keys())
NEEDED = 8  # flights that flew, for the two plans to work on


@dataclass(frozen=True)
class PlaneRows:
    """One plane's row and those of its flights."""

    plane: Row
    flights: dict[FlightKey, Row]

    def cell(self, flight: FlightKey | None, column: str) -> Any:
        return (self.plane if flight is None else self.flights[flight])[column]


@dataclass(frozen=True)
class Update:
    who: str
    flight: FlightKey | None
    column: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{flight_name(self.flight)}, {self.column} {self.old} -> {self.new}"


@dataclass(frozen=True)
class Addition:
    who: str
    flight: FlightKey
    row: Row

    def __str__(self) -> str:
        return f"{flight_name(self.flight)} added"


@dataclass(frozen=True)
class Removal:
    who: str
    flight: FlightKey

    def __str__(self) -> str:
        return f"{flight_name(self.flight)} removed"


Edit: TypeAlias = Update | Addition | Removal


def flight_name(key: FlightKey | None) -> str:
    return "the plane" if key is None else f"{key[1]} {key[2]} from {key[3]} on {key[0]}"


def flight_key(row: Row) -> FlightKey:
    return row["day"], row["carrier"], row["number"], row["origin_faa"]


def rows_of(plane: Plane) -> PlaneRows:
    """The rows that these loaded objects stand for. Database: none, if plane and flights are loaded."""
    flights = [{column: getattr(flight, column) for column in FLIGHT_COLUMNS} for flight in plane.flights]
    return PlaneRows(
        {column: getattr(plane, column) for column in PLANE_COLUMNS}, {flight_key(row): row for row in flights}
    )


def plans(base: PlaneRows) -> tuple[list[Edit], list[Edit]]:
    """What the worker and what the desk will do to these rows; the same rows always give the same plans."""
    flown = sorted(key for key, row in base.flights.items() if row["arr_delay"] is not None)
    if len(flown) < NEEDED:
        raise ValueError(f"The story needs a plane with {NEEDED} flights that flew; this one has {len(flown)}.")
    one, two, three, four, five, six = (flown[place * len(flown) // NEEDED] for place in range(6))
    cancelled = min((key for key, row in base.flights.items() if row["dep_time"] is None), default=flown[-1])
    elsewhere = min(
        row["destination_faa"]
        for row in base.flights.values()
        if row["destination_faa"] not in (None, base.flights[four]["destination_faa"])
    )

    def update(who: str, key: FlightKey | None, column: str, change: Callable[[Any], Any]) -> Update:
        old = base.cell(key, column)
        return Update(who, key, column, old, change(old))

    def addition(who: str, number: int) -> Addition:
        unknown = dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"))
        row = base.flights[flown[-1]] | unknown | {"number": number}
        del row["id"]  # the database gives it
        return Addition(who, flight_key(row), row)

    worker: list[Edit] = [
        update(WORKER, None, "seats", lambda seats: seats + 2),
        update(WORKER, one, "arr_delay", lambda delay: delay + 7),
        update(WORKER, two, "air_time", lambda minutes: minutes - 1),
        update(WORKER, three, "arr_delay", lambda delay: delay + 5),
        update(WORKER, four, "destination_faa", lambda _: elsewhere),
        update(WORKER, five, "dep_delay", lambda delay: delay + 1),
        addition(WORKER, 9001),
        Removal(WORKER, cancelled),
    ]
    desk: list[Edit] = [
        update(DESK, None, "speed", lambda speed: (speed or 430) + 2),
        update(DESK, one, "dep_delay", lambda delay: delay + 3),
        update(DESK, two, "arr_delay", lambda delay: delay - 4),
        update(DESK, three, "arr_delay", lambda delay: delay + 12),
        update(DESK, four, "distance", lambda miles: miles + 100),
        update(DESK, six, "arr_delay", lambda delay: delay - 2),
        addition(DESK, 9002),
    ]
    return worker, desk


def apply(plane: Plane, edits: Iterable[Edit]) -> None:
    """Do to these objects what the plan says, as any program would: set attributes, append, remove."""
    flights = {
        flight_key(row): flight for row, flight in zip(rows_of(plane).flights.values(), plane.flights, strict=True)
    }
    airports = {
        airport.faa: airport
        for flight in plane.flights
        for airport in (flight.origin, flight.destination)
        if airport is not None
    }
    airlines = {flight.carrier: flight.airline for flight in plane.flights}
    for edit in edits:
        match edit:
            case Update(column="destination_faa", flight=key) if key is not None:
                flights[key].destination = airports[edit.new]
            case Update(flight=key):
                setattr(plane if key is None else flights[key], edit.column, edit.new)
            case Addition(row=row):
                references = ("carrier", "plane_tailnum", "origin_faa", "destination_faa")
                added = Flight(**{column: value for column, value in row.items() if column not in references})
                added.airline = airlines[row["carrier"]]
                added.origin = airports[row["origin_faa"]]
                added.destination = airports.get(row["destination_faa"])
                plane.flights.append(added)
            case Removal(flight=key):
                plane.flights.remove(flights[key])


def expected(base: PlaneRows, edits: Iterable[Edit], settle: Callable[[Any, Any], Any]) -> PlaneRows:
    """The rows when all edits have been made; where both sides change one cell, `settle(mine, theirs)` says.

    The desk's edits come first, for they are in the database when the worker's come home.
    """
    edits = list(edits)
    theirs = {(edit.flight, edit.column): edit.new for edit in edits if isinstance(edit, Update) and edit.who == DESK}
    plane, flights = dict(base.plane), {key: dict(row) for key, row in base.flights.items()}
    for edit in edits:
        match edit:
            case Update(who=who, flight=key, column=column, new=new):
                contested = who == WORKER and (key, column) in theirs
                row = plane if key is None else flights[key]
                row[column] = settle(new, theirs[key, column]) if contested else new
            case Addition(flight=key, row=row):
                flights[key] = dict(row)
            case Removal(flight=key):
                del flights[key]
    return PlaneRows(plane, flights)


@dataclass(frozen=True)
class Verdict:
    """Which edits are in the rows, which are lost, which gave way to the other side, and what else is wrong."""

    kept: list[Edit]
    lost: list[Edit]
    overruled: list[Edit]
    strays: list[Cell]


def judge(edits: Iterable[Edit], want: PlaneRows, have: PlaneRows) -> Verdict:
    """Compare every cell of the rows with those expected, and lay each difference at the door of an edit."""
    wrong = differences(want, have)
    verdict = Verdict([], [], [], [])
    explained: set[Cell] = set()
    for edit in edits:
        columns = (edit.column,) if isinstance(edit, Update) else FLIGHT_COLUMNS
        cells = {(edit.flight, column) for column in columns}
        if isinstance(edit, Update) and want.cell(edit.flight, edit.column) != edit.new:
            verdict.overruled.append(edit)
        elif cells & wrong:
            verdict.lost.append(edit)
        else:
            verdict.kept.append(edit)
        explained |= cells
    verdict.strays.extend(sorted(wrong - explained, key=str))
    return verdict


def differences(want: PlaneRows, have: PlaneRows) -> set[Cell]:
    """The cells that are not as expected; a row that is there on one side only differs in every cell."""
    wrong: set[Cell] = {(None, column) for column, value in want.plane.items() if have.plane[column] != value}
    for key in want.flights.keys() ^ have.flights.keys():
        wrong |= {(key, column) for column in FLIGHT_COLUMNS}
    for key in want.flights.keys() & have.flights.keys():
        # An added flight's id is whatever the database gave it, so only the columns that the plan has are compared.
        wrong |= {(key, column) for column, value in want.flights[key].items() if have.flights[key][column] != value}
    return wrong
