"""Others changed some rows; a session that holds the whole graph reads all of it again.

`Session.refresh` reads an object and, by the loader options that it came with, what hangs on it. The SELECT with
`populate_existing` is what one writes by hand where one query describes all the objects; it overwrites edits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.graph import SHAPE, Graph, everything
from benchmarks.runner import Goal, Run, Side, Stopwatch, Work
from sojourn.session.refresh import refresh
from tests.models.shop import Customer


def _side(read_again: Callable[[Session, Sequence[Any]], object]) -> Run:
    def run(place: Graph, watch: Stopwatch) -> None:
        with Session(place.engine, expire_on_commit=False) as session:
            customers = place.load(session)
            objects = everything(customers)
            # SQLite shows a transaction nothing that was committed after it began.
            session.commit()
            with place.edited_by_others():
                with watch:
                    read_again(session, objects)
                session.close()
                # What is not loaded now raises instead of loading.
                place.expect_graph(customers, place.edited_rows)

    return run


def _refresh(session: Session, objects: Sequence[Any]) -> object:
    return refresh(session, objects)


def _refresh_loop(session: Session, objects: Sequence[Any]) -> None:
    for obj in objects:
        session.refresh(obj)


def _populate_existing(session: Session, objects: Sequence[Any]) -> object:
    return session.scalars(select(Customer).options(SHAPE).execution_options(populate_existing=True)).all()


WORK = Work(
    name="refresh",
    title="every object of a loaded graph is read again",
    sides=(
        Side("refresh", _side(_refresh), own=True),
        Side("Session.refresh, object by object", _side(_refresh_loop)),
        Side("SELECT, populate_existing (drops edits)", _side(_populate_existing)),
    ),
    goals=(Goal("refresh", "Session.refresh, object by object", 60),),
)
