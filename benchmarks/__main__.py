"""`python -m benchmarks`: arguments, databases, and the order of things.

Exit status: 0; 1 where an answer was wrong or nothing could be measured; 2 for bad arguments.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine
from sqlalchemy.exc import SAWarning

from benchmarks import attach, chart, filling, graph, merge, refresh, report, snapshot, wide
from benchmarks.graph import Graph
from benchmarks.place import Place, WrongResultError
from benchmarks.report import Report
from benchmarks.runner import Comparison, Work, measure
from benchmarks.wide import Wide
from tests.databases import ServerUnreachableError, server_engine, sqlite_database

WORKS = (attach.WORK, merge.WORK, refresh.WORK, filling.PREFETCH, filling.DETACH, *snapshot.WORKS)
NAMES = tuple(dict.fromkeys(work.name for work in WORKS))
DATABASES = ("sqlite", "postgresql")
DATA = ("graph", "wide")
ROOT = Path(__file__).parent.parent
RESULTS = Path("benchmarks") / "results" / "latest.json"
DOCS = Path("docs")
CHART = "benchmarks.svg"
_YOUNG, _ALL = 1, 2  # what the collector is emptied of before each turn: emptying all takes longer than a small turn


class Site:
    """One database, and the data sets in it as soon as they are wanted."""

    def __init__(self, name: str, engine: Engine, small: bool) -> None:
        self._name = name
        self.engine = engine
        self._small = small

    @cached_property
    def graph(self) -> Graph:
        return Graph(self._name, self.engine, graph.SMALL if self._small else graph.FULL)

    @cached_property
    def wide(self) -> Wide:
        return Wide(self._name, self.engine, wide.SMALL if self._small else wide.FULL)

    def place(self, work: Work) -> Place:
        return self.graph if work.data == "graph" else self.wide


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Measure, print, and save under `root`; gives the exit status."""
    wanted = _parser().parse_args(arguments)
    if wanted.write_docs:
        return _write_docs(root)
    works = [work for work in WORKS if wanted.only is None or work.name in wanted.only]
    machine, date = report.machine(), report.now()
    with ExitStack() as stack:
        sites, skipped = _open(wanted.database or DATABASES, wanted.small, stack)
        if not sites:
            print("\nNothing was measured.", file=sys.stderr)
            return 1
        try:
            comparisons = list(_measured(works, sites, wanted.rounds, small=wanted.small))
        except WrongResultError as error:
            print(f"\nA wrong answer, so no figures are saved. {error}", file=sys.stderr)
            return 1
        places = {work.data: site.place(work) for work in works for site in sites.values()}
        run = Report(
            date=date,
            machine=machine,
            versions=report.versions(_server_versions(sites)),
            objects={data: places[data].objects for data in DATA if data in places},
            edited=graph.SMALL.edited if wanted.small else graph.FULL.edited,
            rounds=wanted.rounds,
            small=wanted.small,
            skipped=skipped,
            comparisons=comparisons,
        )
    report.save(run, root / RESULTS)
    print(f"\nEvery answer was right. The figures are in {root / RESULTS}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="sojourn beside what one would take.")
    parser.add_argument("--rounds", type=_positive, default=5, help="timed rounds of each side (default: 5)")
    parser.add_argument("--database", action="append", choices=DATABASES, help="only this one; may be repeated")
    parser.add_argument("--only", action="append", choices=NAMES, help="only this work; the same")
    parser.add_argument("--small", action="store_true", help="little data, to see that everything works")
    parser.add_argument(
        "--write-docs", action="store_true", help="measure nothing, make the page and the chart of the last run"
    )
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _open(names: Sequence[str], small: bool, stack: ExitStack) -> tuple[dict[str, Site], list[str]]:
    """A database of its own on each server that answers, which goes when the stack ends; and who did not."""
    sites: dict[str, Site] = {}
    skipped: list[str] = []
    for name in names:
        try:
            sites[name] = Site(name, stack.enter_context(_engine(name)), small)
        except ServerUnreachableError as error:
            skipped.append(str(error))
            print(f"\n{name} is skipped: {error}")
    return sites, skipped


@contextmanager
def _engine(name: str) -> Iterator[Engine]:
    if name == "sqlite":
        with TemporaryDirectory(prefix="sojourn-bench-") as directory, sqlite_database(Path(directory)) as database:
            yield database.engine
    else:
        with server_engine(name) as engine:
            yield engine


def _measured(works: Sequence[Work], sites: dict[str, Site], rounds: int, *, small: bool) -> Iterator[Comparison]:
    for work in works:
        names = list(sites)[: 1 if work.once else None]
        places = {name: sites[name].place(work) for name in sites if name in {*names, *work.databases}}
        for name in names:
            comparison = measure(work, places[name], rounds, places, _YOUNG if small else _ALL)
            lines = [*report.table(comparison), *(() if small else report.goals(comparison))]
            print("\n".join(lines), flush=True)
            yield comparison


def _server_versions(sites: dict[str, Site]) -> dict[str, str]:
    if "postgresql" not in sites:
        return {}
    with sites["postgresql"].engine.connect() as connection:
        return {"PostgreSQL": str(connection.exec_driver_sql("SHOW server_version").scalar_one())}


def _write_docs(root: Path) -> int:
    """Keep the last run's figures beside the page that is made from them."""
    results, docs = root / RESULTS, root / DOCS
    if not results.exists():
        return _no_docs(f"There is no {results}.")
    run = report.read(results)
    if run.small:
        return _no_docs("The last run was --small, which says nothing about speed.")
    missing = set(NAMES) - {comparison.work for comparison in run.comparisons}
    if missing:
        return _no_docs(f"The last run left out {', '.join(sorted(missing))}.")
    report.save(run, docs / "benchmarks.json")
    for name, content in pages(run).items():
        (docs / name).write_text(content, encoding="utf-8")
    print(f"Wrote {docs / 'benchmarks.json'} and, from it, {', '.join(pages(run))}")
    return 0


def pages(run: Report) -> dict[str, str]:
    """The files of the docs that are made from the figures, by name."""
    return {"benchmarks.md": report.page(run, CHART), CHART: chart.svg(run.comparisons, DATA)}


def _no_docs(reason: str) -> int:
    print(f"{reason} Run `make bench` first.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    # SQLite keeps a Decimal as a float; the prices are such that none is lost, and every answer is checked.
    warnings.filterwarnings("ignore", message="Dialect sqlite.* does \\*not\\* support Decimal", category=SAWarning)
    sys.exit(main())
