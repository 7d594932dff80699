"""Filling a relationship leaves what SQLAlchemy's own `set_committed_value` leaves, whatever the object was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.attributes import instance_dict, set_committed_value

from sojourn import sqlalchemy_internals as internals
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models.shop import Base, Customer, Line, Order, fill


def _nothing(order: Order) -> None:
    """As a plain SELECT leaves it."""


def _expired(order: Order) -> None:
    for key in ("lines", "customer"):
        session_of(order).expire(order, [key])


def _wholly_expired(order: Order) -> None:
    session_of(order).expire(order)


def _edited_column(order: Order) -> None:
    order.status = "edited"


def _edited(order: Order) -> None:
    order.lines.pop()
    order.customer = Customer(name="new", email="", balance=0)


def _added_unloaded(order: Order) -> None:
    session_of(order).expire(order, ["lines"])
    Line(sku="pending", qty=1, price=1, order=order)


def _guarded(order: Order) -> None:
    internals.guard(state_of(order))


def session_of(order: Order) -> Session:
    session = state_of(order).session
    assert session is not None
    return session


@pytest.mark.parametrize(
    "before", [_nothing, _expired, _wholly_expired, _edited_column, _edited, _added_unloaded, _guarded]
)
@pytest.mark.parametrize("key", ["lines", "customer"])
def test_filling_leaves_what_set_committed_value_leaves(
    sqlite: Database, before: Callable[[Order], None], key: str
) -> None:
    sqlite.create(Base.metadata)
    with sqlite.session() as session:
        fill(session, customers=2, orders=2, lines=2)
        session.commit()
    left = []
    for fill_it in (_by_sqlalchemy, _by_sojourn):
        with sqlite.session(autoflush=False) as session:
            order = session.scalars(select(Order).where(Order.id == 1).options(selectinload(Order.lines))).one()
            others = list(session.scalars(select(Line).where(Line.id > 6).order_by(Line.id)))
            value: Any = others if key == "lines" else session.get(Customer, 2)
            before(order)
            fill_it(order, key, value)
            left.append(_what_is_left(order, key))
            session.expunge_all()
    assert left[0] == left[1]


def test_a_filled_list_hears_of_its_changes(session: Session) -> None:
    order, line = session.get_one(Order, 1), session.get_one(Line, 3)
    internals.fill_loaded("lines", [(order, [line])])
    order.lines.remove(line)
    assert order in session.dirty
    assert line.order is None
    session.expunge_all()


def test_whoever_listens_to_the_making_of_collections_is_told(session: Session) -> None:
    told: list[Any] = []

    def hear(target: Order, collection: Any, adapter: Any) -> None:
        told.append(collection)

    order = session.get_one(Order, 1)
    event.listen(Order.lines, "init_collection", hear)
    try:
        internals.fill_loaded("lines", [(order, [])])
    finally:
        event.remove(Order.lines, "init_collection", hear)
    assert [order.lines is one for one in told] == [True]


def _by_sqlalchemy(order: Order, key: str, value: Any) -> None:
    set_committed_value(order, key, value)


def _by_sojourn(order: Order, key: str, value: Any) -> None:
    internals.fill_loaded(key, [(order, value)])


def _what_is_left(order: Order, key: str) -> dict[str, Any]:
    state = state_of(order)
    value = instance_dict(order)[key]
    history = state.attrs[key].history
    return {
        "value": [line.sku for line in value] if key == "lines" else value.name,
        "kind": type(value),
        "history": [[type(one) for one in part or ()] for part in history],
        "edited": sorted(internals.edited_keys(state)),
        "modified": state.modified,
        "unloaded": sorted(state.unloaded),
        "expired": (state.expired, sorted(state.expired_attributes)),
        "guarded": key in state.callables,
    }
