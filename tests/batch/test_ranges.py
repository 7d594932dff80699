"""The chain of a job: whatever order chunks are completed in, what is done and what is left make up the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.batch.ranges import Chain, Range

ROWS = 24


class Run:
    """A job of 24 rows as the runner sees it. The names of positions are shuffled: nothing can be read from them."""

    def __init__(self, names: list[str]) -> None:
        self.names: list[str | None] = [None, *names]
        self.place = {name: place for place, name in enumerate(self.names)}
        self.chain = Chain.of([], names[-1])
        self.in_flight: list[tuple[int, int]] = []
        self.done: set[int] = set()

    def begin(self, size: int) -> None:
        """Cut the next chunk off the first gap that nobody works on."""
        busy = {row for after, upto in self.in_flight for row in range(after, upto)}
        free = [row for row in range(ROWS) if row not in self.done | busy]
        if not free:
            return
        after = free[0]
        upto = after
        while upto < ROWS and upto in free and upto - after < size:
            upto += 1
        self.chain = self.chain.cut(self.names[after], self.name(upto))
        self.in_flight.append((after, upto))

    def finish(self, which: int) -> None:
        after, upto = self.in_flight.pop(which % len(self.in_flight))
        self.chain = self.chain.completed(self.names[after], self.name(upto), upto - after)
        self.done.update(range(after, upto))

    def resume(self) -> None:
        """The runner was killed: another one knows what the ledger holds, and nothing of chunks under way."""
        self.in_flight = []
        self.chain = Chain.of(self.chain.done, self.name(ROWS))

    def name(self, place: int) -> str:
        found = self.names[place]
        assert found is not None
        return found

    def rows(self, ranges: tuple[Range, ...]) -> list[int]:
        return [row for one in ranges for row in range(self.place[one.after], self.place[one.upto])]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 5)),
        st.tuples(st.just("finish"), st.integers(0, 9)),
        st.tuples(st.just("resume"), st.just(0)),
    ),
    max_size=40,
)


@given(names=st.permutations([f"[{row}]" for row in range(ROWS)]), steps=STEPS)
def test_what_is_done_and_what_is_left_are_the_whole_in_order_and_survive_the_ledger(
    names: list[str], steps: list[Any]
) -> None:
    run = Run(names)
    for step, argument in steps:
        if step == "begin":
            run.begin(argument)
        elif step == "resume":
            run.resume()
        elif run.in_flight:
            run.finish(argument)
        done, gaps = run.chain.done, run.chain.gaps
        assert run.rows(done) == sorted(run.done)
        assert run.rows(gaps) == [row for row in range(ROWS) if row not in run.done]
        assert run.chain.rows == len(run.done)
        assert [one.rows for one in done] == [len(run.rows((one,))) for one in done]
        # As few as there can be: done ranges and gaps take turns.
        assert not {one.upto for one in done} & {one.after for one in done}
        assert not {one.upto for one in gaps} & {one.after for one in gaps}
        again = Chain.of(done, names[-1])
        assert (again.done, again.gaps) == (done, gaps)


def test_a_job_without_rows_has_nothing_left() -> None:
    assert Chain.of([], None) == Chain()
    assert Chain().gaps == Chain().done == ()


def test_the_last_chunk_ends_where_its_range_ends() -> None:
    chain = Chain.of([Range(None, "b", 2)], "d")
    assert chain.gaps == (Range("b", "d"),)
    assert chain.cut("b", "d") == chain
    assert chain.completed("b", "d", 1).done == (Range(None, "d", 3),)


def test_a_chunk_that_nobody_cut_cannot_be_completed() -> None:
    chain = Chain.of([], "d").cut(None, "b")
    with pytest.raises(ValueError, match="was not cut"):
        chain.completed(None, "c", 1)
    with pytest.raises(ValueError, match="no open range begins here"):
        chain.completed("c", "d", 1)
    with pytest.raises(ValueError, match="no open range begins here"):
        chain.completed(None, "b", 1).completed(None, "b", 1)  # done twice


def test_ranges_that_overlap_at_the_beginning_are_no_chain() -> None:
    with pytest.raises(ValueError, match="behind another one"):
        Chain.of([Range(None, "b"), Range(None, "c")], "d")
