"""A detached, edited graph is merged with a session that holds nothing: `merge` beside `Session.merge`.

The objects that a merge leaves are all dirty, whatever it was that merged them, and the flush that follows looks at
each of them. It is SQLAlchemy's own and the same for everybody, so it is timed in sides of its own. The peers get what
they do best with, a graph that carries its loader options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.graph import SHAPE, Graph
from benchmarks.runner import Goal, Run, Side, Stopwatch, Work
from sojourn.session.merge import merge
from tests.models.shop import Customer

Merge = Callable[[Session, list[Customer]], object]


def _side(way: Merge, *, flush: bool = False) -> Run:
    def run(place: Graph, watch: Stopwatch) -> None:
        customers = place.detached()
        place.edit(customers)
        with Session(place.engine) as session:
            with watch:
                # Held until the clock stops: it is the caller who decides when the objects may go.
                home = way(session, customers)
                if flush:
                    session.flush()
            session.commit()
            del home
        place.expect_rows(place.edited_rows)
        place.restore()

    return run


def _merge_all(session: Session, customers: list[Customer]) -> Sequence[object]:
    if hasattr(session, "merge_all"):  # SQLAlchemy 2.1
        return session.merge_all(customers)
    with session.no_autoflush:
        return [session.merge(customer) for customer in customers]


def _preloaded(session: Session, customers: list[Customer]) -> Sequence[object]:
    """What one writes by hand: one SELECT a table fills the identity map, where merge then finds everything."""
    held = session.scalars(select(Customer).options(SHAPE)).all()
    return [held, _merge_all(session, customers)]


WORK = Work(
    name="merge",
    title="a detached, edited graph is merged",
    sides=(
        Side("merge", _side(merge), own=True),
        Side("merge, and flush", _side(merge, flush=True), own=True),
        Side("Session.merge_all", _side(_merge_all)),
        Side("Session.merge_all, and flush", _side(_merge_all, flush=True)),
        Side("SELECT all, then Session.merge_all", _side(_preloaded)),
    ),
    goals=(Goal("merge", "Session.merge_all", 5),),
)
