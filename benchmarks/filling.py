"""A session holds the customers alone; their orders and lines are wanted, at home (`prefetch`) or to leave (`detach`).

The peers are attribute access, which loads lazily, and the same SELECT again with `selectinload`, written by hand.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.graph import SHAPE, Graph, everything
from benchmarks.runner import Run, Side, Stopwatch, Work
from sojourn.session.detach import detach
from sojourn.session.prefetch import prefetch
from tests.models.shop import Customer


def _side(fill: Callable[[Session, list[Customer]], object]) -> Run:
    def run(place: Graph, watch: Stopwatch) -> None:
        with Session(place.engine) as session:
            customers = list(session.scalars(select(Customer).order_by(Customer.id)))
            with watch:
                fill(session, customers)
        # The session is closed: what is not loaded now raises instead of loading.
        place.expect_graph(customers, place.rows)

    return run


def _detach(session: Session, customers: list[Customer]) -> list[Customer]:
    return detach(session, customers, SHAPE)


def _prefetch(session: Session, customers: list[Customer]) -> None:
    prefetch(session, customers, SHAPE)


def _lazily(session: Session, customers: list[Customer]) -> None:
    everything(customers)


def _select_again(session: Session, customers: list[Customer]) -> None:
    session.scalars(select(Customer).options(SHAPE)).all()


def _then_expunge(fill: Callable[[Session, list[Customer]], object]) -> Run:
    def leave(session: Session, customers: list[Customer]) -> None:
        fill(session, customers)
        session.expunge_all()

    return _side(leave)


PREFETCH = Work(
    name="prefetch",
    title="loaded customers get their orders and lines",
    sides=(
        Side("prefetch", _side(_prefetch), own=True),
        Side("attribute access, lazily", _side(_lazily)),
        Side("SELECT again, selectinload", _side(_select_again)),
    ),
)

DETACH = Work(
    name="detach",
    title="loaded customers leave with their orders and lines",
    sides=(
        Side("detach", _side(_detach), own=True),
        Side("attribute access, then expunge_all", _then_expunge(_lazily)),
        Side("SELECT again, then expunge_all", _then_expunge(_select_again)),
    ),
)
