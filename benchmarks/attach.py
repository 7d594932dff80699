"""A detached graph comes back, some of its objects edited, and the edits are flushed: `attach` beside `Session.merge`.

Every side gets the same graph, read anew for each round and let go with `expunge_all`. It still carries its loader
options, which is what merge does best with: it reads a root with its children in three statements, not five. The graph
that `detach` let go carries guards and parent references instead, which `attach` has to look at, so that way is a side
of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.graph import SHAPE, Graph
from benchmarks.runner import Goal, Run, Side, Stopwatch, Work
from sojourn.session.attach import Verify, attach
from sojourn.session.detach import detach
from tests.models.shop import Customer


def _side(
    bring_home: Callable[[Session, list[Customer]], object],
    let_go: Callable[[Graph], list[Customer]] = Graph.detached,
) -> Run:
    def run(place: Graph, watch: Stopwatch) -> None:
        customers = let_go(place)
        place.edit(customers)
        with Session(place.engine) as session:
            with watch:
                # Held until the clock stops: it is the caller who decides when the objects may go.
                home = bring_home(session, customers)
                session.flush()
            session.commit()
            del home
        place.expect_rows(place.edited_rows)
        place.restore()

    return run


def _attach(verify: Verify, let_go: Callable[[Graph], list[Customer]] = Graph.detached) -> Run:
    return _side(lambda session, customers: attach(session, customers, verify=verify), let_go)


def _by_detach(place: Graph) -> list[Customer]:
    with Session(place.engine) as session:
        return detach(session, place.load(session))


def _merge_loop(session: Session, customers: list[Customer]) -> list[Customer]:
    return [session.merge(customer) for customer in customers]


def _preloaded(session: Session, customers: list[Customer]) -> Sequence[object]:
    """What one writes by hand: one SELECT a table fills the identity map, where merge then finds everything."""
    held = session.scalars(select(Customer).options(SHAPE)).all()
    return [held, _merge_loop(session, customers)]


def _peers() -> list[Side]:
    peers = [Side("Session.merge, root by root", _side(_merge_loop))]
    if hasattr(Session, "merge_all"):  # SQLAlchemy 2.1
        peers.append(Side("Session.merge_all", _side(lambda session, customers: session.merge_all(customers))))
    peers.append(Side("SELECT all, then Session.merge", _side(_preloaded)))
    return peers


WORK = Work(
    name="attach",
    title="a detached, edited graph comes back and is flushed",
    sides=(
        Side('attach(verify="changed")', _attach("changed"), own=True),
        Side('attach(verify="all")', _attach("all"), own=True),
        Side('attach(verify="changed") after detach', _attach("changed", _by_detach), own=True),
        *_peers(),
    ),
    goals=(
        Goal('attach(verify="changed")', "Session.merge, root by root", 40),
        Goal('attach(verify="all")', "Session.merge, root by root", 18),
    ),
)
