"""`python -m benchmarks`: arguments, databases, and the order of things.

Exit status: 0; 1 where an answer was wrong or nothing could be measured; 2 for bad arguments.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine
from sqlalchemy.exc import SAWarning

from benchmarks import attach, filling, refresh, report, snapshot
from benchmarks.graph import FULL, SMALL, Place, Size, WrongResultError
from benchmarks.report import Report
from benchmarks.runner import Comparison, Work, measure
from tests.databases import ServerUnreachableError, server_engine, sqlite_database

WORKS = (attach.WORK, refresh.WORK, filling.PREFETCH, filling.DETACH, snapshot.DUMPS, snapshot.LOADS)
DATABASES = ("sqlite", "postgresql")
ROOT = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Measure, print, and save under `root`; gives the exit status."""
    wanted = _parser().parse_args(arguments)
    results, docs = root / "benchmarks" / "results" / "latest.json", root / "docs" / "benchmarks.md"
    if wanted.write_docs:
        return _write_docs(results, docs)
    size = SMALL if wanted.small else FULL
    works = [work for work in WORKS if wanted.only is None or work.name in wanted.only]
    machine, date = report.machine(), report.now()
    comparisons: list[Comparison] = []
    servers: dict[str, str] = {}
    skipped: list[str] = []
    for name in wanted.database or DATABASES:
        try:
            with _place(name, size) as place:
                servers |= _server_version(place.engine)
                comparisons += _measured(works, place, size, wanted.rounds)
        except ServerUnreachableError as error:
            skipped.append(str(error))
            print(f"\n{name} is skipped: {error}")
        except WrongResultError as error:
            print(f"\nA wrong answer, so no figures are saved. {error}", file=sys.stderr)
            return 1
    if not comparisons:
        print("\nNothing was measured.", file=sys.stderr)
        return 1
    comparisons.sort(key=lambda comparison: [work.name for work in works].index(comparison.work))
    run = Report(
        date=date,
        machine=machine,
        versions=report.versions(servers),
        objects=size.objects,
        edited=size.edited,
        rounds=wanted.rounds,
        small=wanted.small,
        skipped=skipped,
        comparisons=comparisons,
    )
    report.save(run, results)
    print(f"\nEvery answer was right. The figures are in {results}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="sojourn beside SQLAlchemy's own verbs.")
    parser.add_argument("--rounds", type=_positive, default=5, help="timed rounds of each side (default: 5)")
    parser.add_argument("--database", action="append", choices=DATABASES, help="only this one; may be repeated")
    parser.add_argument(
        "--only", action="append", choices=[work.name for work in WORKS], help="only this work; the same"
    )
    parser.add_argument("--small", action="store_true", help="a small graph, to see that everything works")
    parser.add_argument(
        "--write-docs", action="store_true", help="measure nothing, make docs/benchmarks.md from the last run's figures"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


@contextmanager
def _place(name: str, size: Size) -> Iterator[Place]:
    """A database of its own with the graph in it, which goes when the block ends."""
    if name == "sqlite":
        with TemporaryDirectory(prefix="sojourn-bench-") as directory, sqlite_database(Path(directory)) as database:
            yield Place(name, database.engine, size)
    else:
        with server_engine(name) as engine:
            yield Place(name, engine, size)


def _measured(works: Sequence[Work], place: Place, size: Size, rounds: int) -> Iterator[Comparison]:
    for work in works:
        comparison = measure(work, place, rounds)
        lines = [*report.table(comparison)]
        if size is FULL:  # the goals are for the whole graph
            lines += report.goals(comparison)
        print("\n".join(lines), flush=True)
        yield comparison


def _server_version(engine: Engine) -> dict[str, str]:
    if engine.dialect.name != "postgresql":
        return {}
    with engine.connect() as connection:
        return {"PostgreSQL": str(connection.exec_driver_sql("SHOW server_version").scalar_one())}


def _write_docs(results: Path, docs: Path) -> int:
    if not results.exists():
        print(f"There is no {results}. Run `make bench` first.", file=sys.stderr)
        return 1
    run = report.read(results)
    if run.small:
        print("The last run was --small, which says nothing about speed. Run `make bench` first.", file=sys.stderr)
        return 1
    missing = {work.name for work in WORKS} - {comparison.work for comparison in run.comparisons}
    if missing:
        print(f"The last run left out {', '.join(sorted(missing))}. Run `make bench` first.", file=sys.stderr)
        return 1
    docs.write_text(report.page(run), encoding="utf-8")
    print(f"Wrote {docs}")
    return 0


if __name__ == "__main__":
    # SQLite keeps a Decimal as a float; the graph's prices are such that none is lost, and every answer is checked.
    warnings.filterwarnings("ignore", message="Dialect sqlite.* does \\*not\\* support Decimal", category=SAWarning)
    sys.exit(main())
