"""What was measured, in three forms: a table on the terminal, JSON, and a page of the docs, made of the JSON alone."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from sqlalchemy.util import has_compiled_ext

from benchmarks.runner import Comparison, Measured

HEAD = ("", "median ms", "min", "max", "statements", "size", "peak memory", "objects", "peak ÷ objects")
NOTE = "what it is, what it does not keep"
PACKAGES = (
    "sojourn",
    "SQLAlchemy",
    "msgspec",
    "psycopg",
    "pydantic",
    "orjson",
    "marshmallow",
    "marshmallow-sqlalchemy",
    "sqlalchemy-serializer",
)
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Report:
    """One run. `objects` counts those of each data set."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    objects: dict[str, int]
    edited: int
    rounds: int
    small: bool
    skipped: list[str]
    comparisons: list[Comparison]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def machine() -> dict[str, str]:
    """What the times depend on, the machine's other work included."""
    found = {"processor": _processor(), "cores": str(os.cpu_count()), "system": platform.platform()}
    if hasattr(os, "getloadavg"):
        found["load before the run"] = f"{os.getloadavg()[0]:.1f}"
    return found


def versions(servers: dict[str, str]) -> dict[str, str]:
    """The versions of everything that had a part in it; `servers` names those of the database servers."""
    found = {"Python": f"{platform.python_implementation()} {platform.python_version()}"}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    compiled = has_compiled_ext()  # type: ignore[no-untyped-call] # SQLAlchemy left it without annotations
    found["SQLAlchemy"] += " (compiled)" if compiled else " (not compiled)"
    return found | {"SQLite": sqlite3.sqlite_version} | servers


def save(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read(path: Path) -> Report:
    return msgspec.json.decode(path.read_bytes(), type=Report)


def table(comparison: Comparison) -> Iterator[str]:
    """The comparison as an aligned table."""
    yield ""
    yield f"{comparison.work} on {comparison.on}: {comparison.title}"
    rows = _cells(comparison)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    notes = rows[0][-1] == NOTE
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        if notes:
            cells[-1] = row[-1]
        yield f"  {'  '.join(cells)}".rstrip()


@dataclass(frozen=True)
class Verdict:
    """How far one goal is."""

    goal: str
    found: str
    reached: bool

    def __str__(self) -> str:
        return f"{self.goal}: {self.found}, {'reached' if self.reached else 'not reached'}"


def verdicts(comparison: Comparison) -> Iterator[Verdict]:
    """The goals whose sides were measured."""
    by_name = {measured.side: measured for measured in comparison.sides}
    for goal in comparison.goals:
        if goal.own in by_name and goal.peer in by_name:
            times = comparison.ratio(by_name[goal.own], by_name[goal.peer])
            yield Verdict(f"{goal.own} ≥ {goal.at_least:g}× {goal.peer}", f"{times:.1f}×", times >= goal.at_least)
    for thrift in comparison.thrift:
        waste = by_name[thrift.own].waste if thrift.own in by_name else None
        if waste is not None:
            goal_text = f"{thrift.own}: peak ≤ {thrift.at_most:g}× its objects"
            yield Verdict(goal_text, f"{waste:.2f}×", waste <= thrift.at_most)


def goals(comparison: Comparison) -> Iterator[str]:
    """The same as lines of text."""
    return (f"  goal: {verdict}" for verdict in verdicts(comparison))


def page(report: Report, chart: str) -> str:
    """The page of the docs; `chart` is the file name of the picture beside it."""
    sets = " and ".join(f'"{name}" is {count:,} objects' for name, count in report.objects.items())
    lines = [
        "# Benchmarks",
        "",
        "<!-- Made by `python -m benchmarks --write-docs` from the figures of the last `make bench`. Do not edit. -->",
        "",
        f"![How long each way takes to make bytes of objects and objects of bytes]({chart})",
        "",
        f"One run on {report.date}. {sets}: the graph is customers, their orders and the orders' lines,",
        f"of which {report.edited} are edited where a work edits; wide is one table with columns of all common types.",
        f"Times are medians of {report.rounds} rounds in milliseconds. The sides run by turns, with the garbage",
        "collector on. Each round's answer is compared with the expected rows; a wrong one fails the run. Statements",
        "are counted as they reach the driver (an executemany is one), in a round that is not timed. Under × stands",
        "how many times as long a peer takes as that row of sojourn's: below 1, the peer is faster. Where a side",
        "pauses the collector, the round that this puts off is in its time.",
        "",
        "Memory is traced in a round of its own: what Python had allocated at most during the call, without the input;",
        "and what the objects themselves are, which is what is still there after it. What SQLite and psycopg allocate",
        "outside of Python is not in it.",
        "",
        *_facts("Machine", report.machine),
        *_facts("Versions", report.versions),
        *(f"Skipped: {reason}\n" for reason in report.skipped),
        *_goals_page(report),
    ]
    work = ""
    for comparison in report.comparisons:
        if comparison.work != work:
            work = comparison.work
            lines += [f"## {work}", ""]
        lines += [f"### {work}, {comparison.on}: {comparison.title}", "", *_markdown(_cells(comparison)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _goals_page(report: Report) -> Iterator[str]:
    yield "## The goals"
    yield ""
    rows = [
        [comparison.work, comparison.on, verdict.goal, verdict.found, "yes" if verdict.reached else "**no**"]
        for comparison in report.comparisons
        for verdict in verdicts(comparison)
    ]
    yield from _markdown([["work", "on", "goal", "measured", "reached"], *rows], numbers=())
    yield ""


def _facts(title: str, facts: dict[str, str]) -> list[str]:
    return [f"{title}: {'; '.join(f'{name} {value}' for name, value in facts.items())}.", ""]


def _markdown(rows: Sequence[Sequence[str]], numbers: Sequence[int] | None = None) -> Iterator[str]:
    """`numbers` are the positions of the columns that stand to the right; by default all but names and notes."""
    head, *body = rows
    if numbers is None:
        numbers = [position for position, name in enumerate(head) if position and name != NOTE]
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---:' if position in numbers else '---' for position in range(len(head)))}|"
    for row in body:
        yield f"| {' | '.join(row)} |"


def _cells(comparison: Comparison) -> list[list[str]]:
    """The head and a row a side. Empty columns are left out.

    There is a column of ratios for each of sojourn's sides; where it has several, they are numbered.
    """
    owns = [measured for measured in comparison.sides if measured.own]
    numbers = {own.side: str(number) for number, own in enumerate(owns, start=1)} if len(owns) > 1 else {}
    rows = [[*HEAD, *(f"× {numbers.get(own.side, own.side)}" for own in owns), NOTE]]
    for measured in comparison.sides:
        times = measured.milliseconds
        rows.append(
            [
                f"{numbers[measured.side]} {measured.side}" if measured.side in numbers else measured.side,
                *(f"{value:,.1f}" for value in (measured.median, min(times), max(times))),
                ", ".join(f"{count:,} {kind}" for kind, count in measured.statements.items()),
                "" if measured.bytes is None else f"{measured.bytes:,} B",
                *_memory(measured),
                *("" if measured.own else f"{_times(comparison.ratio(own, measured))}×" for own in owns),
                measured.note,
            ]
        )
    used = [number for number in range(len(rows[0])) if number == 0 or any(row[number] for row in rows[1:])]
    return [[row[number] for number in used] for row in rows]


def _memory(measured: Measured) -> Iterator[str]:
    for size in (measured.peak, measured.kept):
        yield "" if size is None else f"{size / _MEGABYTE:,.1f} MB"
    yield "" if measured.waste is None else f"{measured.waste:.2f}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


def _processor() -> str:
    """The model's name, which `platform.processor` does not know on Linux."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
