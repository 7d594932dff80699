"""The plans and the judge of the story, on rows alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sojourn.demo import dataset
from sojourn.demo.edits import DESK, WORKER, PlaneRows, Removal, Update, expected, judge, plans
from sojourn.demo.trip import read_rows


@pytest.fixture
def base(files: Path, tmp_path: Path) -> PlaneRows:
    dataset.build(files, tmp_path / "flights.sqlite")
    engine = dataset.connect(tmp_path / "flights.sqlite")
    rows = read_rows(engine, "N1")
    engine.dispose()
    return rows


def test_the_plans_are_always_the_same_and_meet_in_exactly_one_cell(base: PlaneRows) -> None:
    worker, desk = plans(base)
    assert plans(base) == (worker, desk)
    cells = [{(e.flight, e.column) for e in side if isinstance(e, Update)} for side in (worker, desk)]
    assert len(cells[0] & cells[1]) == 1
    assert {e.who for e in worker} == {WORKER}
    assert {e.who for e in desk} == {DESK}


def test_every_planned_update_changes_its_value(base: PlaneRows) -> None:
    updates = [edit for side in plans(base) for edit in side if isinstance(edit, Update)]
    assert updates
    assert [edit for edit in updates if edit.old == edit.new] == []


def test_edits_read_the_same_on_a_terminal_without_unicode(base: PlaneRows) -> None:
    # The worker prints them to a pipe, in whatever encoding its environment asks for.
    assert [str(edit) for side in plans(base) for edit in side if not str(edit).isascii()] == []


def test_a_plane_with_too_few_flights_is_refused(base: PlaneRows) -> None:
    few = PlaneRows(base.plane, dict(list(base.flights.items())[:5]))
    with pytest.raises(ValueError, match="8 flights"):
        plans(few)


def test_rows_with_every_edit_are_judged_complete(base: PlaneRows) -> None:
    worker, desk = plans(base)
    want = expected(base, desk + worker, max)
    verdict = judge(desk + worker, want, want)
    assert (verdict.lost, verdict.strays) == ([], [])
    assert len(verdict.overruled) == 1
    assert verdict.overruled[0].who == WORKER
    assert len(verdict.kept) == len(desk + worker) - 1


def test_rows_without_the_desks_edits_are_judged_to_have_lost_each_of_them(base: PlaneRows) -> None:
    worker, desk = plans(base)
    verdict = judge(desk + worker, expected(base, desk + worker, max), expected(base, worker, max))
    assert verdict.lost == desk
    assert verdict.strays == []


def test_a_removed_flight_that_is_still_there_is_a_lost_removal(base: PlaneRows) -> None:
    worker, desk = plans(base)
    [removal] = [edit for edit in worker if isinstance(edit, Removal)]
    want = expected(base, desk + worker, max)
    have = replace(want, flights={**want.flights, removal.flight: base.flights[removal.flight]})
    assert judge(desk + worker, want, have).lost == [removal]


def test_a_change_that_nobody_planned_is_a_stray(base: PlaneRows) -> None:
    worker, desk = plans(base)
    want = expected(base, desk + worker, max)
    verdict = judge(desk + worker, want, replace(want, plane={**want.plane, "model": "747"}))
    assert (verdict.lost, verdict.strays) == ([], [(None, "model")])
