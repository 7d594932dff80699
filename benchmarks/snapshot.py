"""The detached graph as bytes and back: `dumps` and `loads` beside pickle, and beside reading the rows again.

pickle recurses once for each object that hangs on the one before it. This graph is three deep and stays within Python's
own recursion limit, so nobody raises it here; a chain of 250 linked objects does not.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy.orm import Session

from benchmarks.graph import Place
from benchmarks.runner import Goal, Run, Side, Stopwatch, Work
from sojourn.snapshot import dumps, loads
from tests.models.shop import Base, Customer

_pickle_dumps: Callable[[object], bytes] = partial(pickle.dumps, protocol=pickle.HIGHEST_PROTOCOL)


def _loads(data: bytes) -> Sequence[Customer]:
    return loads(data, Base)


def _dump_side(dump: Callable[[Sequence[Customer]], bytes], load: Callable[[bytes], Sequence[Customer]]) -> Run:
    def run(place: Place, watch: Stopwatch) -> None:
        customers = place.detached()
        with watch:
            data = dump(customers)
        watch.bytes = len(data)
        place.expect_graph(load(data), place.rows)

    return run


def _load_side(dump: Callable[[Sequence[Customer]], bytes], load: Callable[[bytes], Sequence[Customer]]) -> Run:
    def run(place: Place, watch: Stopwatch) -> None:
        data = dump(place.detached())
        with watch:
            customers = load(data)
        watch.bytes = len(data)
        place.expect_graph(customers, place.rows)

    return run


def _select(place: Place, watch: Stopwatch) -> None:
    with Session(place.engine) as session:
        session.connection()  # the transaction is begun before the clock starts, to the peer's advantage
        with watch:
            customers = place.load(session)
    place.expect_graph(customers, place.rows)


DUMPS = Work(
    name="dumps",
    title="a detached graph becomes bytes",
    sides=(
        Side("dumps, JSON", _dump_side(dumps, _loads), own=True),
        Side("pickle.dumps", _dump_side(_pickle_dumps, pickle.loads)),
    ),
    goals=(Goal("dumps, JSON", "pickle.dumps", 20),),
)

LOADS = Work(
    name="loads",
    title="bytes become a detached graph",
    sides=(
        Side("loads, JSON", _load_side(dumps, _loads), own=True),
        Side("pickle.loads", _load_side(_pickle_dumps, pickle.loads)),
        Side("SELECT, selectinload", _select),
    ),
    goals=(Goal("loads, JSON", "pickle.loads", 12), Goal("loads, JSON", "SELECT, selectinload", 4)),
)
