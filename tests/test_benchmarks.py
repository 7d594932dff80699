"""The benchmarks measure what they say, and no wrong answer gets a figure."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from math import log
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from benchmarks import attach as attach_work
from benchmarks import chart, filling, refresh, report, snapshot, wide
from benchmarks.__main__ import DATA, NAMES, RESULTS, WORKS, main, pages
from benchmarks.graph import SMALL, Graph, everything
from benchmarks.peers import by_hand, floor, pickles, with_marshmallow, with_pydantic
from benchmarks.place import Place, WrongResultError
from benchmarks.report import Report
from benchmarks.runner import Comparison, Goal, Measured, Side, Stopwatch, Thrift, Work, measure
from benchmarks.wide import Wide
from sojourn.session.attach import attach
from sojourn.snapshot import dumps, loads
from tests.databases import SERVERS, sqlite_database
from tests.models.shop import Base, Customer, Line

ROOT = Path(__file__).parent.parent
QUICK = ["--small", "--rounds", "1", "--database", "sqlite"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    """The small graph on SQLite; sides leave it as they found it, so one is enough."""
    with sqlite_database(tmp_path_factory.mktemp("benchmarks")) as database:
        yield Graph("sqlite", database.engine, SMALL)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wide]:
    """The small wide table, the same."""
    with sqlite_database(tmp_path_factory.mktemp("benchmarks")) as database:
        yield Wide("sqlite", database.engine, wide.SMALL)


def test_a_small_run_measures_every_side_and_counts_statements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(QUICK, tmp_path) == 0
    run = report.read(tmp_path / RESULTS)
    assert [(one.work, one.on) for one in run.comparisons] == [
        (work.name, work.data if work.once else "sqlite") for work in WORKS
    ]
    assert (run.objects, run.edited, run.small, run.rounds) == ({"graph": 130, "wide": 60}, 13, True, 1)
    output = capsys.readouterr().out
    for work, comparison in zip(WORKS, run.comparisons, strict=True):
        sides = [side for side in work.sides if side.database in {None, "sqlite"}]
        assert [measured.side for measured in comparison.sides] == [side.name for side in sides]
        assert all(len(measured.milliseconds) == 1 and measured.median > 0 for measured in comparison.sides)
        assert all(f"{measured.median:,.1f}" in output for measured in comparison.sides)
        assert all((measured.peak or 0) > (measured.kept or 0) for measured in comparison.sides if work.weighed)
    counts = {measured.side: measured.statements for measured in run.comparisons[0].sides}
    assert counts['attach(verify="changed")'] == {"SELECT": 3, "UPDATE": 3}
    assert counts["Session.merge, root by root"] == {"SELECT": 30, "UPDATE": 13}


def test_the_two_data_sets_and_their_peers_are_those_of_the_design() -> None:
    assert len(wide.COLUMNS) == 25
    peers = {(work.name, work.data): {side.name for side in work.sides if not side.own} for work in snapshot.WORKS}
    assert peers["dumps", "graph"] == peers["dumps", "wide"]
    assert peers["loads", "graph"] == peers["loads", "wide"]
    own = {side.name for work in snapshot.WORKS for side in work.sides if side.own}
    assert {goal.own for work in snapshot.WORKS for goal in work.goals} == own


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


def test_a_refresh_that_reads_nothing_is_noticed(place: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refresh, "refresh", lambda session, objs: None)
    with pytest.raises(WrongResultError, match="1 of 10 rows of customer are wrong"):
        measure(refresh.WORK, place, rounds=1)


@pytest.mark.parametrize(("work", "verb"), [(filling.PREFETCH, "prefetch"), (filling.DETACH, "detach")])
def test_a_shape_that_is_not_filled_is_noticed(
    work: Work, verb: str, place: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, verb, lambda session, objs, *options: objs)
    with pytest.raises(WrongResultError, match=f"{verb} on sqlite, {verb}: not everything is loaded"):
        measure(work, place, rounds=1)


@pytest.mark.parametrize("work", snapshot.WORKS, ids=lambda work: f"{work.name} {work.data}")
def test_what_is_lost_in_the_bytes_is_noticed(
    work: Work, place: Graph, table: Wide, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loses_the_last(data: bytes, models: object) -> Sequence[Any]:
        roots: list[Any] = loads(data, models)
        del (roots[-1].orders[-1].lines if work.data == "graph" else roots)[-1]
        return roots

    monkeypatch.setattr(snapshot, "loads", loses_the_last)
    with pytest.raises(WrongResultError, match=r"1 of [69]0 rows of (order_line|record) are wrong; the first is None"):
        measure(work, place if work.data == "graph" else table, rounds=1)


def test_a_value_of_another_type_is_noticed_though_it_is_equal(table: Wide) -> None:
    records = table.detached()
    table.expect_objects(records)
    records[5].active = 1
    with pytest.raises(WrongResultError, match="1 of 60 rows of record are wrong"):
        table.expect_objects(records)


def test_plain_data_is_judged_by_its_values(place: Graph, table: Wide) -> None:
    customers = json.loads(by_hand.dumps_graph(place.detached()))
    place.expect_plain(customers)
    customers[0]["orders"][0]["lines"][2]["price"] = "0.01"
    with pytest.raises(WrongResultError, match="1 of 90 rows of order_line are wrong"):
        place.expect_plain(customers)
    records = json.loads(by_hand.dumps_wide(table.detached()))
    table.expect_plain(records)
    records[0]["seen_at"] = records[0]["seen_at"].replace("+00:00", "+01:00")
    with pytest.raises(WrongResultError, match="1 of 60 rows of record are wrong"):
        table.expect_plain(records)


def _floor_and_back(customers: Sequence[Customer]) -> Sequence[Customer]:
    return floor.objects_graph(floor.json_in_graph(floor.json_out(floor.rows_graph(customers))))


@pytest.mark.parametrize(
    ("there_and_back", "identity", "edit"),
    [
        (lambda customers: loads(dumps(customers), Base), (1,), "Customer 1"),
        (lambda customers: pickles.loads(pickles.dumps(customers)), (1,), "Customer 1"),
        (lambda customers: pickles.ext_loads(pickles.ext_dumps(customers)), (1,), "Customer 1"),
        (_floor_and_back, (1,), None),
        (lambda customers: by_hand.loads_graph(by_hand.dumps_graph(customers)), None, None),
        (lambda customers: with_pydantic.loads_graph(with_pydantic.dumps_graph(customers)), None, None),
        (lambda customers: with_marshmallow.loads_graph(with_marshmallow.dumps_graph(customers)), None, None),
    ],
    ids=["sojourn", "pickle", "ext.serializer", "floor", "by hand", "pydantic", "marshmallow"],
)
def test_each_way_keeps_and_loses_what_its_note_says(
    there_and_back: Callable[[Sequence[Customer]], Sequence[Customer]],
    identity: tuple[int] | None,
    edit: str | None,
    place: Graph,
) -> None:
    customers = place.detached()
    customers[0].name = "New"
    back = there_and_back(customers)
    found = inspect(back[0])
    assert back[0].name == "New"
    assert (found.identity, found.transient) == (identity, identity is None)
    if identity is not None:
        assert list(found.attrs["name"].history.deleted or ()) == ([] if edit is None else [edit])


def test_children_under_the_wrong_parent_are_noticed(place: Graph) -> None:
    customers = place.detached()
    place.expect_graph(customers, place.rows)
    first, second = customers[0].orders[:2]
    first.lines, second.lines = [*first.lines, second.lines[0]], second.lines[1:]
    with pytest.raises(WrongResultError, match=r"Order 1 holds children of \[1, 2\]"):
        place.expect_graph(customers, place.rows)


def test_the_sides_run_by_turns_and_each_begins_a_round(place: Graph) -> None:
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
    assert main(["--small", "--rounds", "1", "--only", "refresh"], tmp_path) == 0
    assert "postgresql is skipped: no postgresql server at" in capsys.readouterr().out
    run = report.read(tmp_path / RESULTS)
    assert [comparison.on for comparison in run.comparisons] == ["sqlite"]
    assert "127.0.0.1:1" in run.skipped[0]
    assert main(["--small", "--database", "postgresql"], tmp_path) == 1
    assert "Nothing was measured" in capsys.readouterr().err


def test_the_memory_of_a_work_is_weighed_in_a_round_of_its_own(place: Graph) -> None:
    rounds: list[bool] = []

    def run(place: Place, watch: Stopwatch) -> None:
        rounds.append(False)
        with watch:
            rounds[-1] = tracemalloc.is_tracing()
            thrown_away = bytes(3_000_000)
            del thrown_away
            kept = bytes(1_000_000)
        assert kept

    work = Work(
        "weighing", "", (Side("side", run, own=True),), thrift=(Thrift("side", 2.5),), weighed="peak and objects"
    )
    comparison = measure(work, place, rounds=2)
    assert rounds == [False, True, False, False]
    (measured,) = comparison.sides
    assert measured.peak == pytest.approx(3_000_000, rel=0.01)
    assert measured.kept == pytest.approx(1_000_000, rel=0.01)
    assert [*report.goals(comparison)] == ["  goal: side: peak ≤ 2.5× its objects: 3.00×, not reached"]


def test_the_garbage_collection_that_a_side_puts_off_is_in_its_time(place: Graph) -> None:
    running: list[Stopwatch] = []
    seconds: list[float] = []

    def heard(phase: str, info: dict[str, int]) -> None:
        seconds.extend(watch.seconds for watch in running)

    def run(place: Place, watch: Stopwatch) -> None:
        with watch:
            gc.disable()
            kept = [[number] for number in range(5000)]
            running.append(watch)
            gc.enable()
        running.clear()
        assert kept

    gc.callbacks.append(heard)
    try:
        run(place, Stopwatch(place.engine))
    finally:
        gc.callbacks.remove(heard)
    assert seconds
    assert set(seconds) == {0.0}


def test_a_side_with_a_database_of_its_own_is_left_out_where_it_is_not(place: Graph) -> None:
    ran: list[str] = []

    def run(place: Place, watch: Stopwatch) -> None:
        ran.append(place.name)
        with watch:
            pass

    work = Work("select", "", (Side("here", run), Side("there", run, database="postgresql")), once=True)
    assert [measured.side for measured in measure(work, place, rounds=1).sides] == ["here"]
    there = Graph.__new__(Graph)
    there.name, there.engine = "postgresql", place.engine
    both = measure(work, place, rounds=1, others={"sqlite": place, "postgresql": there})
    assert [measured.side for measured in both.sides] == ["here", "there"]
    assert ran[-2:] == ["sqlite", "postgresql"]


def _run(*, small: bool = False, works: Sequence[str] = NAMES) -> Report:
    sides = [
        Measured("ours", True, [3.0, 1.0, 2.0], {"SELECT": 3}, peak=5_000_000, kept=2_500_000),
        Measured("theirs", False, [80.0, 1234.5, 90.0], {"SELECT": 3000, "UPDATE": 130}, note="no <edits>"),
    ]
    goals, thrift = [Goal("ours", "theirs", 40), Goal("ours", "absent", 2)], [Thrift("ours", 2.5)]
    comparisons = [Comparison(work, f"what {work} does", "graph", sides, goals, thrift) for work in works]
    objects = {"graph": 13_000, "wide": 20_000}
    return Report("2026-01-01", {"cores": "2"}, {"Python": "3"}, objects, 130, 3, small, ["no server"], comparisons)


def test_the_page_of_the_docs_is_made_from_the_saved_figures(tmp_path: Path) -> None:
    report.save(_run(), tmp_path / RESULTS)
    (tmp_path / "docs").mkdir()
    assert main(["--write-docs"], tmp_path) == 0
    page = (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "### attach, graph: what attach does" in page
    assert (
        "|  | median ms | min | max | statements | peak memory | objects | peak ÷ objects | × ours "
        "| what it is, what it does not keep |"
    ) in page
    assert "| theirs | 90.0 | 80.0 | 1,234.5 | 3,000 SELECT, 130 UPDATE |  |  |  | 45.0× | no <edits> |" in page
    assert "| attach | graph | ours ≥ 40× theirs | 45.0× | yes |" in page
    assert "| attach | graph | ours: peak ≤ 2.5× its objects | 2.00× | yes |" in page
    assert "](benchmarks.svg)" in page
    assert "Skipped: no server" in page
    assert report.read(tmp_path / "docs" / "benchmarks.json") == _run()


def test_the_chart_has_a_bar_a_side_on_a_logarithmic_scale() -> None:
    comparison = _run().comparisons[0]
    picture = ElementTree.fromstring(chart.svg([comparison], DATA))
    bars = list(picture.iter("{http://www.w3.org/2000/svg}rect"))
    texts = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert [bar.get("class") for bar in bars] == ["bar own", "bar peer"]
    # The scale goes from 1 to 100 ms: 2 and 90 ms are at their logarithms' part of it.
    assert float(bars[1].get("width", 0)) / float(bars[0].get("width", 1)) == pytest.approx(log(90) / log(2), rel=0.01)
    assert {"1 ms", "10 ms", "100 ms", "2.0 ms", "90.0 ms", "ours", "theirs"} <= set(texts)
    assert "prefers-color-scheme: dark" in chart.svg([comparison], DATA)


@pytest.mark.parametrize("name", ["benchmarks.md", "benchmarks.svg"])
def test_the_docs_show_what_the_kept_figures_give(name: str) -> None:
    figures = ROOT / "docs" / "benchmarks.json"
    if not figures.exists():
        pytest.skip("no run is kept yet: make bench, then python -m benchmarks --write-docs")
    run = report.read(figures)
    assert not run.small
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages(run)[name]


@pytest.mark.parametrize(
    ("run", "complaint"),
    [
        (None, "There is no"),
        (_run(small=True), "--small"),
        (_run(works=["attach", "refresh"]), "left out detach, dumps, loads, merge, prefetch"),
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
    assert [*report.goals(comparison)] == [
        "  goal: ours ≥ 40× theirs: 45.0×, reached",
        "  goal: ours: peak ≤ 2.5× its objects: 2.00×, reached",
    ]
    comparison.goals[0] = Goal("ours", "theirs", 50)
    assert next(report.goals(comparison)) == "  goal: ours ≥ 50× theirs: 45.0×, not reached"


@pytest.mark.parametrize("rounds", ["0", "-1", "many"])
def test_rounds_are_a_number_from_one_up(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--rounds", rounds])
    assert stopped.value.code == 2
    assert "is not a number from 1 up" in capsys.readouterr().err
