"""Runs the sides of a work by turns and keeps what was measured.

Round zero is not timed: it warms every cache and counts the statements, so no listener runs while the clock does. Then
each round runs every side once, each time beginning with another one, so that a slow minute of the machine hits all
alike. The collector is emptied before the clock starts and then left on, as a program has it.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from types import TracebackType
from typing import Self, TypeAlias

from sqlalchemy import Engine

from benchmarks.graph import Place, WrongResultError
from tests.statements import StatementLog, recorded


class Stopwatch:
    """Times its `with` block; with `counting` it counts the block's statements, too.

    A side may leave the size of what it made in `bytes`.
    """

    def __init__(self, engine: Engine, *, counting: bool = False) -> None:
        self.seconds = 0.0
        self.statements: dict[str, int] = {}
        self.bytes: int | None = None
        self._engine = engine
        self._log: StatementLog | None = None
        self._counting = counting
        self._stack = ExitStack()
        self._started = 0.0

    def __enter__(self) -> Self:
        if self._counting:
            self._log = self._stack.enter_context(recorded(self._engine))
        else:
            gc.collect()
        self._started = perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.seconds = perf_counter() - self._started
        self._stack.close()
        if self._log is not None:
            self.statements = dict(Counter(statement.kind for statement in self._log))


Run: TypeAlias = Callable[[Place, Stopwatch], None]


@dataclass(frozen=True)
class Side:
    """One way to do the work: prepare, `with watch:` do it, check the answer, leave the database as it was."""

    name: str
    run: Run
    own: bool = False  # sojourn's, or a peer


@dataclass(frozen=True)
class Goal:
    """So many times as fast as the peer is what the design asks of sojourn's side."""

    own: str
    peer: str
    at_least: float


@dataclass(frozen=True)
class Work:
    """Sides that do the same."""

    name: str
    title: str
    sides: tuple[Side, ...]
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True)
class Measured:
    """One side's figures."""

    side: str
    own: bool
    milliseconds: list[float]
    statements: dict[str, int]
    bytes: int | None

    @property
    def median(self) -> float:
        return median(self.milliseconds)


@dataclass(frozen=True)
class Comparison:
    """One work on one database."""

    work: str
    title: str
    database: str
    sides: list[Measured]
    goals: list[Goal]

    def ratio(self, own: Measured, peer: Measured) -> float:
        """How many times as long the peer takes."""
        return peer.median / own.median


def measure(work: Work, place: Place, rounds: int) -> Comparison:
    """Run the work's sides by turns. Raises WrongResultError where one of them gives a wrong answer."""
    counted = {side.name: _once(work, side, place, counting=True) for side in work.sides}
    times: dict[str, list[float]] = {side.name: [] for side in work.sides}
    for number in range(rounds):
        for side in _rotated(work.sides, number):
            times[side.name].append(_once(work, side, place).seconds * 1000)
    sides = [
        Measured(side.name, side.own, times[side.name], counted[side.name].statements, counted[side.name].bytes)
        for side in work.sides
    ]
    return Comparison(work.name, work.title, place.name, sides, list(work.goals))


def _once(work: Work, side: Side, place: Place, *, counting: bool = False) -> Stopwatch:
    watch = Stopwatch(place.engine, counting=counting)
    try:
        side.run(place, watch)
    except WrongResultError as error:
        raise WrongResultError(f"{work.name} on {place.name}, {side.name}: {error}") from error
    return watch


def _rotated(sides: Sequence[Side], by: int) -> Sequence[Side]:
    first = by % len(sides)
    return [*sides[first:], *sides[:first]]
