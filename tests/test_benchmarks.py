"""The benchmarks measure what they say, and no wrong answer gets a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from benchmarks import attach as attach_work
from benchmarks import filling, refresh, report, snapshot
from benchmarks.__main__ import WORKS, main
from benchmarks.graph import SMALL, Place, WrongResultError, everything
from benchmarks.report import Report
from benchmarks.runner import Comparison, Goal, Measured, Side, Stopwatch, Work, measure
from sojourn.session.attach import attach
from sojourn.snapshot import loads
from tests.databases import SERVERS, sqlite_database
from tests.models.shop import Customer, Line

NAMES = [work.name for work in WORKS]
RESULTS = Path("benchmarks") / "results" / "latest.json"
QUICK = ["--small", "--rounds", "1", "--database", "sqlite"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The small graph on SQLite; sides leave it as they found it, so one is enough."""
    with sqlite_database(tmp_path_factory.mktemp("benchmarks")) as database:
        yield Place("sqlite", database.engine, SMALL)


def test_a_small_run_measures_every_side_and_counts_statements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(QUICK, tmp_path) == 0
    run = report.read(tmp_path / RESULTS)
    assert [comparison.work for comparison in run.comparisons] == NAMES
    assert (run.objects, run.edited, run.small, run.rounds) == (130, 13, True, 1)
    output = capsys.readouterr().out
    for work, comparison in zip(WORKS, run.comparisons, strict=True):
        assert [measured.side for measured in comparison.sides] == [side.name for side in work.sides]
        assert all(len(measured.milliseconds) == 1 and measured.median > 0 for measured in comparison.sides)
        assert all(f"{measured.median:,.1f}" in output for measured in comparison.sides)
    counts = {measured.side: measured.statements for measured in run.comparisons[0].sides}
    assert counts['attach(verify="changed")'] == {"SELECT": 3, "UPDATE": 3}
    assert counts["Session.merge, root by root"] == {"SELECT": 30, "UPDATE": 13}


def _forgets_to_write(session: Session, objs: Any, *, verify: str) -> None:
    pass


def _writes_one_more(session: Session, objs: Any, *, verify: str) -> object:
    objs[0].orders[0].lines[0].qty += 1
    return attach(session, objs)


def _loses_one_edit(session: Session, objs: Any, *, verify: str) -> object:
    edited = next(line for line in everything(objs) if isinstance(line, Line) and line.qty > 100)
    edited.qty -= 100
    return attach(session, objs)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (_forgets_to_write, "1 of 10 rows of customer are wrong"),
        (_writes_one_more, "1 of 90 rows of order_line are wrong; the first is {'id': 1,"),
        (_loses_one_edit, "1 of 90 rows of order_line are wrong; the first is {'id': 10,"),
    ],
)
def test_a_wrong_answer_fails_the_run_names_the_side_and_saves_nothing(
    wrong: Callable[..., object],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(attach_work, "attach", wrong)
    assert main([*QUICK, "--only", "attach"], tmp_path) == 1
    assert f'attach on sqlite, attach(verify="changed"): {complaint}' in capsys.readouterr().err
    assert not (tmp_path / RESULTS).exists()


def test_a_refresh_that_reads_nothing_is_noticed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "refresh", lambda session, objs: None)
    with pytest.raises(WrongResultError, match="1 of 10 rows of customer are wrong"):
        measure(refresh.WORK, place, rounds=1)


@pytest.mark.parametrize(("work", "verb"), [(filling.PREFETCH, "prefetch"), (filling.DETACH, "detach")])
def test_a_shape_that_is_not_filled_is_noticed(
    work: Work, verb: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, verb, lambda session, objs, *options: objs)
    with pytest.raises(WrongResultError, match=f"{verb} on sqlite, {verb}: not everything is loaded"):
        measure(work, place, rounds=1)


@pytest.mark.parametrize("work", [snapshot.DUMPS, snapshot.LOADS], ids=["dumps", "loads"])
def test_a_line_that_is_lost_in_the_bytes_is_noticed(work: Work, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:

    def loses_a_line(data: bytes, models: object) -> Sequence[Customer]:
        customers: list[Customer] = loads(data, models)
        del customers[-1].orders[-1].lines[-1]
        return customers

    monkeypatch.setattr(snapshot, "loads", loses_a_line)
    with pytest.raises(WrongResultError, match="1 of 90 rows of order_line are wrong; the first is None"):
        measure(work, place, rounds=1)


def test_children_under_the_wrong_parent_are_noticed(place: Place) -> None:
    customers = place.detached()
    place.expect_graph(customers, place.rows)
    first, second = customers[0].orders[:2]
    first.lines, second.lines = [*first.lines, second.lines[0]], second.lines[1:]
    with pytest.raises(WrongResultError, match=r"Order 1 holds children of \[1, 2\]"):
        place.expect_graph(customers, place.rows)


def test_the_sides_run_by_turns_and_each_begins_a_round(place: Place) -> None:
    order: list[str] = []

    def side(name: str) -> Side:
        def run(place: Place, watch: Stopwatch) -> None:
            order.append(name)
            with watch, place.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")

        return Side(name, run)

    comparison = measure(Work("turns", "", (side("a"), side("b"), side("c"))), place, rounds=3)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"
    assert [measured.statements for measured in comparison.sides] == [{"SELECT": 1}] * 3
    assert [len(measured.milliseconds) for measured in comparison.sides] == [3, 3, 3]


def test_a_server_that_does_not_answer_is_skipped_with_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(SERVERS, "postgresql", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert main(["--small", "--rounds", "1", "--only", "dumps"], tmp_path) == 0
    assert "postgresql is skipped: no postgresql server at" in capsys.readouterr().out
    run = report.read(tmp_path / RESULTS)
    assert [comparison.database for comparison in run.comparisons] == ["sqlite"]
    assert "127.0.0.1:1" in run.skipped[0]
    assert main(["--small", "--database", "postgresql"], tmp_path) == 1
    assert "Nothing was measured" in capsys.readouterr().err


def _run(*, small: bool = False, works: Sequence[str] = NAMES) -> Report:
    sides = [
        Measured("ours", True, [3.0, 1.0, 2.0], {"SELECT": 3}, None),
        Measured("theirs", False, [80.0, 1234.5, 90.0], {"SELECT": 3000, "UPDATE": 130}, None),
    ]
    comparisons = [
        Comparison(work, f"what {work} does", "sqlite", sides, [Goal("ours", "theirs", 40)]) for work in works
    ]
    return Report("2026-01-01", {"cores": "2"}, {"Python": "3"}, 13_000, 130, 3, small, ["no server"], comparisons)


def test_the_page_of_the_docs_is_made_from_the_saved_figures(tmp_path: Path) -> None:
    report.save(_run(), tmp_path / RESULTS)
    (tmp_path / "docs").mkdir()
    assert main(["--write-docs"], tmp_path) == 0
    page = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "## attach: what attach does" in page
    assert "|  | median ms | min | max | statements | × ours |" in page
    assert "| theirs | 90.0 | 80.0 | 1,234.5 | 3,000 SELECT, 130 UPDATE | 45.0× |" in page
    assert "Skipped: no server" in page


@pytest.mark.parametrize(
    ("run", "complaint"),
    [
        (None, "There is no"),
        (_run(small=True), "--small"),
        (_run(works=["attach", "refresh"]), "left out detach, dumps, loads, prefetch"),
    ],
)
def test_no_page_is_made_from_less_than_a_whole_run(
    run: Report | None, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if run is not None:
        report.save(run, tmp_path / RESULTS)
    assert main(["--write-docs"], tmp_path) == 1
    assert complaint in capsys.readouterr().err


def test_a_goal_says_how_far_it_is() -> None:
    comparison = _run().comparisons[0]
    assert [*report.goals(comparison)] == ["  goal: ours ≥ 40× theirs: 45.0×, reached"]
    comparison.goals[0] = Goal("ours", "theirs", 50)
    assert [*report.goals(comparison)] == ["  goal: ours ≥ 50× theirs: 45.0×, not reached"]


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_rounds_are_a_number_from_one_up(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--rounds", rounds])
    assert stopped.value.code == 2
    assert "is not a number from 1 up" in capsys.readouterr().err
