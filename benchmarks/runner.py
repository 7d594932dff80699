"""Runs the sides of a work by turns and keeps what was measured.

Round zero is not timed: it warms every cache and counts the statements, so no listener runs while the clock does. Where
a work is weighed, one more round that is not timed traces the memory. Then each round runs every side once, each time
beginning with another one, so that a slow minute of the machine hits all alike. The collector is emptied before the
clock starts and then left on, as a program has it. A side may pause it; what that puts off, the next allocation would
pay, so one is made before the clock stops.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Self, TypeAlias

from sqlalchemy import Engine

from benchmarks.place import Place, WrongResultError
from tests.statements import StatementLog, recorded


class _Container:
    """What the collector looks after: making one lets it run, if it is due."""


Doing: TypeAlias = Literal["timing", "counting", "weighing"]


class Stopwatch:
    """Times its `with` block; or counts the block's statements; or weighs its memory, as Python allocates it.

    A side may leave the size of what it made in `bytes`.
    """

    def __init__(self, engine: Engine, doing: Doing = "timing", generation: int = 2) -> None:
        self.seconds = 0.0
        self.statements: dict[str, int] = {}
        self.bytes: int | None = None
        self.peak = 0
        self.kept = 0
        self._engine = engine
        self._doing = doing
        self._generation = generation
        self._log: StatementLog | None = None
        self._stack = ExitStack()
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._doing == "counting":
            self._log = self._stack.enter_context(recorded(self._engine))
        else:
            gc.collect(self._generation)
        if self._doing == "weighing":
            tracemalloc.start()
            self._stack.callback(tracemalloc.stop)
        self._started = perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _Container()
        self.seconds = perf_counter() - self._started
        if self._doing == "weighing":
            _, self.peak = tracemalloc.get_traced_memory()
            gc.collect(self._generation)  # what is left are the results, and they are alive: the caller holds them
            self.kept, _ = tracemalloc.get_traced_memory()
        self._stack.close()
        if self._log is not None:
            self.statements = dict(Counter(statement.kind for statement in self._log))


Run: TypeAlias = Callable[[Any, Stopwatch], None]


@dataclass(frozen=True)
class Side:
    """One way to do the work: prepare, `with watch:` do it, check the answer, leave the database as it was."""

    name: str
    run: Run
    own: bool = False  # sojourn's, or a peer
    database: str | None = None  # runs on this one, whatever the work runs on; left out where it is not there
    note: str = ""  # what it does not do


@dataclass(frozen=True)
class Goal:
    """So many times as fast as the peer is what the design asks of sojourn's side."""

    own: str
    peer: str
    at_least: float


@dataclass(frozen=True)
class Thrift:
    """The most that the peak of memory may be, in sizes of the objects that are made."""

    own: str
    at_most: float


@dataclass(frozen=True)
class Work:
    """Sides that do the same, on each database or, where no database is in the work itself, `once`."""

    name: str
    title: str
    sides: tuple[Side, ...]
    goals: tuple[Goal, ...] = ()
    thrift: tuple[Thrift, ...] = ()
    data: Literal["graph", "wide"] = "graph"
    once: bool = False
    weighed: Literal["", "peak", "peak and objects"] = ""

    @property
    def databases(self) -> set[str]:
        """Those that sides ask for, whatever the work itself runs on."""
        return {side.database for side in self.sides if side.database is not None}


@dataclass(frozen=True)
class Measured:
    """One side's figures. `peak` is what its work took at most, `kept` the part of it that its objects are."""

    side: str
    own: bool
    milliseconds: list[float]
    statements: dict[str, int]
    bytes: int | None = None
    peak: int | None = None
    kept: int | None = None
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.milliseconds)

    @property
    def waste(self) -> float | None:
        """The peak in sizes of the objects; nothing where nothing was weighed."""
        return self.peak / self.kept if self.peak is not None and self.kept else None


@dataclass(frozen=True)
class Comparison:
    """One work, on one database or on one data set."""

    work: str
    title: str
    on: str
    sides: list[Measured]
    goals: list[Goal]
    thrift: list[Thrift]

    def ratio(self, own: Measured, peer: Measured) -> float:
        """How many times as long the peer takes."""
        return peer.median / own.median


_NOWHERE: Mapping[str, Place] = MappingProxyType({})


def measure(
    work: Work, place: Place, rounds: int, others: Mapping[str, Place] = _NOWHERE, generation: int = 2
) -> Comparison:
    """Run the work's sides by turns; `others` are the places, by name, of the sides that have a database of their own.

    The collector is emptied of this `generation` and the younger ones before each turn.

    Raises WrongResultError where one of them gives a wrong answer.
    """
    sides = [(side, others.get(side.database, place) if side.database else place) for side in work.sides]
    sides = [(side, where) for side, where in sides if side.database in {None, where.name}]
    counted = {side.name: _once(work, side, where, "counting", generation) for side, where in sides}
    weighed = (
        {side.name: _once(work, side, where, "weighing", generation) for side, where in sides} if work.weighed else {}
    )
    times: dict[str, list[float]] = {side.name: [] for side, _ in sides}
    for number in range(rounds):
        for side, where in _rotated(sides, number):
            times[side.name].append(_once(work, side, where, "timing", generation).seconds * 1000)
    return Comparison(
        work.name,
        work.title,
        work.data if work.once else place.name,
        [
            Measured(
                side.name,
                side.own,
                times[side.name],
                counted[side.name].statements,
                counted[side.name].bytes,
                weighed[side.name].peak if work.weighed else None,
                weighed[side.name].kept if work.weighed == "peak and objects" else None,
                side.note,
            )
            for side, _ in sides
        ],
        list(work.goals),
        list(work.thrift),
    )


def _once(work: Work, side: Side, place: Place, doing: Doing, generation: int) -> Stopwatch:
    watch = Stopwatch(place.engine, doing, generation)
    try:
        side.run(place, watch)
    except WrongResultError as error:
        where = f"{place.data}, {place.name}" if work.once else place.name
        raise WrongResultError(f"{work.name} on {where}, {side.name}: {error}") from error
    return watch


_Turn: TypeAlias = tuple[Side, Place]


def _rotated(sides: Sequence[_Turn], by: int) -> Sequence[_Turn]:
    first = by % len(sides)
    return [*sides[first:], *sides[:first]]
