"""Random work in blocks that fail, nested as they come, beside a twin session that never entered them.

After each failure the session is looked at from outside and must be as it was when the block was entered. The twin does
only what was done outside of blocks, or in blocks that succeeded; each write of one side is a write of the other, and
so is each error.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy.exc import SAWarning

from sojourn import savepoint
from sojourn.session.savepoint import Savepoint
from tests.session.blocks import WORK, Side
from tests.session.observing import Look, differences, look

Step = tuple[str, int, int, int]

numbers = st.integers(0, 11)
steps = st.tuples(st.sampled_from(WORK), numbers, numbers, numbers)
FEW = settings().max_examples == 100  # in the suite; a profile for long runs asks for more
done = {"steps": 0, "blocks that failed": 0}


class WorkError(Exception):
    """What goes wrong in a block."""


class Block:
    """An open block: how the session looked when it was entered, and what was done in it."""

    def __init__(self, side: Side) -> None:
        self.objs, self.waiting = list(side.objs), list(side.waiting)
        self.before: Look = look(side.session, (*side.objs, *side.waiting))
        self.rows = side.rows()
        self.entered: Savepoint = savepoint(side.session).__enter__()
        self.work: list[Step] = []


class Blocks(RuleBasedStateMachine):
    """The session, its twin, and the blocks that are open now."""

    def __init__(self) -> None:
        super().__init__()
        self.side, self.twin = Side(), Side()
        self.blocks: list[Block] = []

    @rule(todo=st.lists(steps, min_size=1, max_size=6))
    def work(self, todo: list[Step]) -> None:
        for step in todo:
            done["steps"] += 1
            error = _try(lambda step=step: self.side.do(*step))  # type: ignore[misc]  # mypy gives up on the default
            if self.blocks:
                self.blocks[-1].work.append(step)
                if error is not None:
                    self._fail(error)
            else:
                self._together(error, lambda step=step: self.twin.do(*step))  # type: ignore[misc]  # the same

    @precondition(lambda self: len(self.blocks) < 3)
    @rule()
    def enter(self) -> None:
        done["steps"] += 1
        aside: Step = ("set_aside", 0, 0, 0)
        self.side.do(*aside)
        if self.blocks:
            self.blocks[-1].work.append(aside)
        else:
            self.twin.do(*aside)
        self.blocks.append(Block(self.side))

    @precondition(lambda self: self.blocks)
    @rule()
    def fail(self) -> None:
        done["steps"] += 1
        self._fail(WorkError())

    @precondition(lambda self: self.blocks)
    @rule()
    def go_back_by_name(self) -> None:
        done["steps"] += 1
        block = self.blocks.pop()
        block.entered.rollback()
        block.entered.__exit__(None, None, None)
        self._is_as_before(block)

    @precondition(lambda self: self.blocks)
    @rule()
    def succeed(self) -> None:
        done["steps"] += 1
        block = self.blocks.pop()
        error = _try(lambda: block.entered.__exit__(None, None, None))
        if error is not None:
            self._is_as_before(block)
        elif self.blocks:
            self.blocks[-1].work += [*block.work, ("flush", 0, 0, 0)]
        else:
            self._together(None, lambda: self.twin.do_all((*block.work, ("flush", 0, 0, 0))))

    @precondition(lambda self: not self.blocks)
    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        done["steps"] += 1
        error = _try(self.side.session.commit if commit else self.side.session.rollback)
        self._together(error, self.twin.session.commit if commit else self.twin.session.rollback)

    def teardown(self) -> None:
        while self.blocks:
            self._fail(WorkError())
        self._together(_try(self.side.session.flush), self.twin.session.flush)
        self.side.close()
        self.twin.close()

    def _fail(self, error: BaseException) -> None:
        block = self.blocks.pop()
        block.entered.__exit__(type(error), error, error.__traceback__)
        self._is_as_before(block)

    def _is_as_before(self, block: Block) -> None:
        done["blocks that failed"] += 1
        side = self.side
        side.objs, side.waiting = block.objs, block.waiting
        told = differences(block.before, look(side.session, (*side.objs, *side.waiting)))
        assert not told, "\n".join(told)
        assert self.side.rows() == block.rows

    def _together(self, error: BaseException | None, work: Callable[[], object]) -> None:
        """The twin does it, too: the same is written, and the same goes wrong."""
        other = _try(work)
        assert type(other) is type(error), (other, error)
        if error is not None:  # half of it may have been written, in any order
            self.side.session.rollback()
            self.twin.session.rollback()
        elif not self.side.session.in_nested_transaction():
            assert self.side.rows() == self.twin.rows()
        self.side.written.clear()
        self.twin.written.clear()


def _try(work: Callable[[], object]) -> BaseException | None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, it shall leave no trace
        return error
    return None


def test_random_work_in_blocks_that_fail_leaves_no_trace(request: pytest.FixtureRequest) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # much of the work makes little sense
        run_state_machine_as_test(
            Blocks,
            settings=settings(
                max_examples=40 if FEW else 1_000,
                stateful_step_count=30,
                suppress_health_check=list(HealthCheck),
            ),
        )
    # tests/conftest.py writes it below the counts.
    told = f"savepoint: {done['steps']:,} random steps, {done['blocks that failed']:,} blocks that failed"
    request.node.user_properties.append(("told", told))
    assert done["blocks that failed"] > 50
