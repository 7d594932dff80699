"""The checker, on histories that are short enough to see what is wrong with them."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.histories.checker import DONE, Added, Edit, Inserted, Owned, Record, Removed, Rows, Set, check

START = Rows(totals={1: 100}, owned={(1, "own0"): 0}, texts={"account 1": "start", "e": "e0"}, labels={"e"})


def after(**changes: object) -> Rows:
    """The rows at the start, but for these."""
    rows = deepcopy(START)
    for name, value in changes.items():
        setattr(rows, name, value)
    return rows


def done(*edits: Edit, writer: int = 0) -> Record:
    return Record(writer, edits, DONE)


def conflict(*edits: Edit, writer: int = 0) -> Record:
    return Record(writer, edits, "conflict")


GOOD: dict[str, tuple[list[Record], Rows]] = {
    "nothing happened": ([], START),
    "both additions count": ([done(Added(1, 5)), done(Added(1, 7), writer=1)], after(totals={1: 112})),
    "an addition in conflict does not count": ([done(Added(1, 5)), conflict(Added(1, 7))], after(totals={1: 105})),
    "one's own, twice": ([done(Owned(1, "own0", 3)), done(Owned(1, "own0", 4))], after(owned={(1, "own0"): 4})),
    "a chain in no order": (
        [done(Set("account 1", "a", "b"), writer=1), done(Set("account 1", "start", "a"))],
        after(texts={"account 1": "b", "e": "e0"}),
    ),
    "one of two was refused": (
        [done(Set("account 1", "start", "a")), conflict(Set("account 1", "start", "b"))],
        after(texts={"account 1": "a", "e": "e0"}),
    ),
    "put in, set and taken out": (
        [done(Inserted("n", "n0")), done(Set("n", "n0", "n1")), done(Removed("n", "n1"))],
        START,
    ),
    "put in and left there": ([done(Inserted("n", "n0"))], after(labels={"e", "n"}, texts={**START.texts, "n": "n0"})),
    "taken out by two, of whom one came first": (
        [done(Set("e", "e0", "a")), done(Removed("e", "e0"), writer=1), done(Removed("e", "a"))],
        after(labels=set(), texts={"account 1": "start"}),
    ),
    "taken out": ([done(Removed("e", "e0"))], after(labels=set(), texts={"account 1": "start"})),
}

BAD: dict[str, tuple[list[Record], Rows, str]] = {
    "a lost addition": ([done(Added(1, 5)), done(Added(1, 7))], after(totals={1: 107}), "makes 112, the row says 107"),
    "a phantom addition": ([conflict(Added(1, 5))], after(totals={1: 105}), "makes 100, the row says 105"),
    "a lost column": ([done(Owned(1, "own0", 3))], START, "last set 3, the row says 0"),
    "a phantom column": ([conflict(Owned(1, "own0", 3))], after(owned={(1, "own0"): 3}), "last set 0, the row says 3"),
    "a lost text": (
        [done(Set("account 1", "start", "a")), done(Set("account 1", "start", "b"))],
        after(texts={"account 1": "b", "e": "e0"}),
        "both replaced 'start'",
    ),
    "a text that nobody was told of": (
        [conflict(Set("account 1", "start", "a"))],
        after(texts={"account 1": "a", "e": "e0"}),
        "was last set to 'start', the row says 'a'",
    ),
    "a text set over a phantom": (
        [conflict(Set("e", "e0", "a")), done(Set("e", "a", "b"))],
        after(texts={"account 1": "start", "e": "b"}),
        "'b' replaced 'a', which was never there",
    ),
    "a lost entry": ([], after(labels=set(), texts={"account 1": "start"}), "entry e: lost"),
    "a lost new entry": ([done(Inserted("n", "n0"))], START, "entry n: lost"),
    "a phantom entry": ([conflict(Inserted("n", "n0"))], after(labels={"e", "n"}), "entry n: a phantom"),
    "a resurrection": ([done(Removed("e", "e0"))], START, "entry e: removed, and came back"),
    "an edit that went with a removal": (
        [done(Set("e", "e0", "a")), done(Removed("e", "e0"))],
        after(labels=set(), texts={"account 1": "start"}),
        "'a' was lost, it was removed as e0",
    ),
    "an edit of what never was": ([done(Set("x", "x0", "a"))], START, "x: was set, and was never there"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_passes(name: str) -> None:
    records, end = GOOD[name]
    assert check(START, records, end) == []


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_named(name: str) -> None:
    records, end, expected = BAD[name]
    complaints = check(START, records, end)
    assert any(expected in complaint for complaint in complaints), complaints
