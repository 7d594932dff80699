"""What the acts of the story share: the trip's files and plans, and a look at the database that uses no objects."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from sojourn.demo.edits import (
    FLIGHT_COLUMNS,
    PLANE_COLUMNS,
    Edit,
    PlaneRows,
    Update,
    Verdict,
    expected,
    flight_key,
    judge,
)
from sojourn.demo.models import Base, Flight, Plane
from sojourn.demo.terminal import Terminal


@dataclass
class Trip:
    """One plane's trip. `rows` is how the database had it at the start, `worker` and `desk` are the two plans."""

    terminal: Terminal
    base: Path  # the database as built, which no act changes
    home: Path  # the copy of it that the story is about
    away: Path  # the JSON that leaves
    back: Path  # the JSON that comes back
    rows: PlaneRows
    worker: list[Edit]
    desk: list[Edit]

    @property
    def tailnum(self) -> str:
        return str(self.rows.plane["tailnum"])

    def contested(self) -> list[tuple[Update, Update]]:
        """The pairs of edits, the worker's and the desk's, of one cell."""
        mine = [edit for edit in self.worker if isinstance(edit, Update)]
        theirs = [edit for edit in self.desk if isinstance(edit, Update)]
        return [(a, b) for a in mine for b in theirs if (a.flight, a.column) == (b.flight, b.column)]

    def verdict(self, engine: Engine, *, done: Iterable[Edit] | None = None) -> Verdict:
        """The database's rows against those that must be there once these edits, by default all, have been made."""
        edits = [*self.desk, *self.worker] if done is None else list(done)
        want = expected(self.rows, edits, settle)
        return judge(edits, want, read_rows(engine, self.tailnum))


def settle(mine: Any, theirs: Any) -> Any:
    """The story's policy for a conflict: of two reports of one delay the longer is the later one, and is kept."""
    return max(mine, theirs)


def read_rows(engine: Engine, tailnum: str) -> PlaneRows:
    """What the database says now about a plane and its flights. Database: two SELECTs."""
    with engine.connect() as connection:
        plane = connection.execute(
            select(*(getattr(Plane, column) for column in PLANE_COLUMNS)).where(Plane.tailnum == tailnum)
        ).one()
        # By the tail number as filed, so that a flight that has lost its plane is seen too.
        flights = connection.execute(
            select(*(getattr(Flight, column) for column in FLIGHT_COLUMNS)).where(Flight.tailnum == tailnum)
        ).all()
    rows = [dict(zip(FLIGHT_COLUMNS, row, strict=True)) for row in flights]
    return PlaneRows(dict(zip(PLANE_COLUMNS, plane, strict=True)), {flight_key(row): row for row in rows})


def other_rows_changed(base: Path, changed: Path, tailnum: str) -> int:
    """How many rows differ between the two databases, this plane and its flights left out. Database: always reads."""
    total = 0
    connection = sqlite3.connect(changed)
    try:
        connection.execute("ATTACH DATABASE ? AS base", (str(base),))
        for table in Base.metadata.sorted_tables:
            where = "WHERE tailnum IS NOT :tailnum" if "tailnum" in table.c else ""
            for ours, theirs in (("main", "base"), ("base", "main")):
                rows = f"SELECT * FROM {ours}.{table.name} {where} EXCEPT SELECT * FROM {theirs}.{table.name} {where}"
                [[count]] = connection.execute(f"SELECT count(*) FROM ({rows})", {"tailnum": tailnum})
                total += count
    finally:
        connection.close()
    return total
