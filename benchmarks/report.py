"""What was measured, in three forms: a table on the terminal, JSON, and a page of the docs, made from the JSON."""

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

from benchmarks.runner import Comparison

HEAD = ("", "median ms", "min", "max", "statements", "size")


@dataclass(frozen=True)
class Report:
    """One run."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    objects: int
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
    for package in ("sojourn", "SQLAlchemy", "msgspec", "psycopg"):
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
    yield f"{comparison.work} on {comparison.database}: {comparison.title}"
    rows = _cells(comparison)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
        yield f"  {'  '.join(cells)}".rstrip()


def goals(comparison: Comparison) -> Iterator[str]:
    """How far the goals are."""
    by_name = {measured.side: measured for measured in comparison.sides}
    for goal in comparison.goals:
        reached = comparison.ratio(by_name[goal.own], by_name[goal.peer])
        verdict = "reached" if reached >= goal.at_least else "not reached"
        yield f"  goal: {goal.own} ≥ {goal.at_least:g}× {goal.peer}: {reached:.1f}×, {verdict}"


def page(report: Report) -> str:
    """The page of the docs."""
    lines = [
        "# Benchmarks",
        "",
        "<!-- Made by `python -m benchmarks --write-docs` from the figures of the last `make bench`. Do not edit. -->",
        "",
        f"One run on {report.date}: {report.objects:,} objects (customers, their orders, the orders' lines), of which",
        f"{report.edited} are edited where a work edits. Times are medians of {report.rounds} rounds in milliseconds.",
        "The sides run by turns, with the garbage collector on, and the same input is made anew for each round. Each",
        "round's answer is compared with the expected rows; a wrong one fails the run. Statements are counted as they",
        "reach the driver (an executemany is one), in a round that is not timed. Under × stands how many times as",
        "long a peer takes as that row of sojourn's: below 1, the peer is faster.",
        "",
        *_facts("Machine", report.machine),
        *_facts("Versions", report.versions),
        *(f"Skipped: {reason}\n" for reason in report.skipped),
    ]
    work = ""
    for comparison in report.comparisons:
        if comparison.work != work:
            work = comparison.work
            lines += [f"## {work}: {comparison.title}", ""]
        lines += [f"### {comparison.database}", "", *_markdown(_cells(comparison)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _facts(title: str, facts: dict[str, str]) -> list[str]:
    return [f"{title}: {'; '.join(f'{name} {value}' for name, value in facts.items())}.", ""]


def _markdown(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    head, *body = rows
    yield f"| {' | '.join(head)} |"
    yield f"|---|{'---:|' * (len(head) - 1)}"
    for row in body:
        yield f"| {' | '.join(row)} |"


def _cells(comparison: Comparison) -> list[list[str]]:
    """The head and a row a side. Empty columns are left out.

    There is a column of ratios for each of sojourn's sides; where it has several, they are numbered.
    """
    owns = [measured for measured in comparison.sides if measured.own]
    numbers = {own.side: str(number) for number, own in enumerate(owns, start=1)} if len(owns) > 1 else {}
    rows = [[*HEAD, *(f"× {numbers.get(own.side, own.side)}" for own in owns)]]
    for measured in comparison.sides:
        times = measured.milliseconds
        rows.append(
            [
                f"{numbers[measured.side]} {measured.side}" if measured.side in numbers else measured.side,
                *(f"{value:,.1f}" for value in (measured.median, min(times), max(times))),
                ", ".join(f"{count:,} {kind}" for kind, count in measured.statements.items()),
                "" if measured.bytes is None else f"{measured.bytes:,} B",
                *("" if measured.own else f"{comparison.ratio(own, measured):.1f}×" for own in owns),
            ]
        )
    used = [number for number in range(len(rows[0])) if number == 0 or any(row[number] for row in rows[1:])]
    return [[row[number] for number in used] for row in rows]


def _processor() -> str:
    """The model's name, which `platform.processor` does not know on Linux."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
