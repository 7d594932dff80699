"""What the tests of attach share: a shop that is filled, objects that are away, other people who commit in between, and
a fingerprint of a session with its objects."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import collection_adapter
from sqlalchemy.sql.base import ExecutableOption

from sojourn.session.detach import detach
from tests.databases import Database
from tests.models import shop
from tests.models.shop import Customer, Line, Order
from tests.statements import StatementLog

T = TypeVar("T")

WHOLE_SHOP = selectinload(Customer.orders).selectinload(Order.lines)


def open_shop(database: Database, customers: int = 2, orders: int = 2, lines: int = 2) -> None:
    """Create and fill the shop: customer 1 has the orders 1 to `orders`, and so on."""
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers, orders, lines)
        session.commit()


def away(database: Database, model: type[T], *options: ExecutableOption) -> list[T]:
    """Every object of a class, in key order, detached with what the options load."""
    with database.session() as session:
        objs = session.scalars(select(model).order_by(*inspect(model).primary_key)).unique().all()
        return detach(session, objs, *options)


def partly_away(database: Database, model: type[T], *options: ExecutableOption) -> list[T]:
    """The same, where nothing but what the options say was ever loaded."""
    with database.session() as session:
        objs = session.scalars(select(model).options(*options).order_by(*inspect(model).primary_key)).unique().all()
        return detach(session, objs, *options)


def shop_away(database: Database) -> list[Customer]:
    """All customers with their orders and lines, detached."""
    return away(database, Customer, WHOLE_SHOP)


@contextmanager
def others(database: Database) -> Iterator[Session]:
    """A session of somebody else's, who commits at the end of the block."""
    with database.session() as session:
        yield session
        session.commit()


def rows(database: Database, model: type[T], *options: ExecutableOption) -> list[T]:
    """What a fresh session finds, in key order."""
    with database.session() as session:
        return list(session.scalars(select(model).options(*options).order_by(*inspect(model).primary_key)).unique())


def row(database: Database, model: type[T], key: Any) -> T:
    """What a fresh session finds under one key."""
    with database.session() as session:
        return session.get_one(model, key)


def columns_set(log: StatementLog) -> list[tuple[str, list[str]]]:
    """(table, columns) of each UPDATE in a log, sorted."""
    found = []
    for update in log.updates:
        table, _, assignments = " ".join(update.sql.split()).removeprefix("UPDATE ").partition(" SET ")
        names = [part.partition("=")[0].strip() for part in assignments.partition(" WHERE ")[0].split(",")]
        found.append((table.strip('`"'), sorted(names)))
    return sorted(found)


def line_of(order: Order, sku: str, qty: int = 1) -> Line:
    """A new line that hangs on an order."""
    line = Line(sku=sku, qty=qty, price=1)
    order.lines.append(line)
    return line


def skus(database: Database, order: int = 1) -> list[str]:
    """The names of an order's lines that a fresh session finds."""
    return [line.sku for line in rows(database, Line) if line.order_id == order]


def one_order(database: Database, lines: int = 3) -> tuple[Customer, Order]:
    """An order with the lines 1, 2, 3, called so, of the one customer."""
    open_shop(database, 1, 1, lines)
    with others(database) as session:
        for line in session.query(Line):
            line.sku = str(line.id)
    [customer] = shop_away(database)
    return customer, customer.orders[0]


def held(session: Session, *, lines: bool = True) -> Order:
    """The one order as the session itself holds it, with or without its lines."""
    order = session.get_one(Order, 1)
    if lines:
        assert order.lines
    return order


def copies_in_reach(session: Session) -> list[Any]:
    """What hangs on an object of the session and is not in the session itself."""
    outside = []
    for obj in session:
        state = inspect(obj)
        for rel in state.mapper.relationships:
            value = state.dict.get(rel.key)
            members = value if isinstance(value, list) else [] if value is None else [value]
            outside += [one for one in members if one not in session]
    return outside


# --- fingerprints ----------------------------------------------------------------------------------------------------


def fingerprint(session: Session, objs: Iterable[Any]) -> dict[str, Any]:
    """Everything that could be seen to change: the session, and each object that is given, is reached, or is in it.

    Two fingerprints are equal where nothing has changed. Database: none.
    """
    reached: dict[int, Any] = {}
    queue = [*objs, *session.identity_map.values(), *session.new, *session.deleted]
    for obj in queue:  # the queue grows while it is read
        if id(obj) not in reached:
            reached[id(obj)] = obj
            queue.extend(_neighbours(obj))
    return {
        "identity map": {instance_state(obj).key: id(obj) for obj in session.identity_map.values()},
        "new": {id(obj) for obj in session.new},
        "dirty": {id(obj) for obj in session.dirty},
        "deleted": {id(obj) for obj in session.deleted},
        "info": dict(session.info),
        "objects": {id_: _object(obj) for id_, obj in reached.items()},
    }


def _neighbours(obj: Any) -> list[Any]:
    state = instance_state(obj)
    found: list[Any] = []
    for rel in state.mapper.relationships:
        for value in (state.dict.get(rel.key), state.committed_state.get(rel.key)):
            if isinstance(value, (list, set, dict)):
                found.extend(_members(value))
            elif inspect(value, raiseerr=False) is not None:
                found.append(value)
    return found


def _members(collection: Any) -> Sequence[Any]:
    return list(collection_adapter(collection)) if hasattr(collection, "_sa_adapter") else list(collection)


def _object(obj: Any) -> dict[str, Any]:
    state = instance_state(obj)
    names = ("transient", "pending", "persistent", "deleted", "detached")
    mutations = state.__dict__.get("_pending_mutations", {})
    return {
        "class": type(obj).__name__,
        "name": [name for name in names if getattr(state, name)],
        "key": state.key,
        "session": state.session_id,
        "dict": {key: _value(value) for key, value in obj.__dict__.items() if key != "_sa_instance_state"},
        "order of dict": list(obj.__dict__),
        "committed": {key: _value(value) for key, value in state.committed_state.items()},
        "mutations": {key: ([*map(id, m.added_items)], [*map(id, m.deleted_items)]) for key, m in mutations.items()},
        "parents": dict(state.__dict__.get("parents", {})),
        "expired": (state.expired, set(state.expired_attributes)),
        "modified": state.modified,
        "held strongly": state._strong_obj is not None,
        "callables": id(state.__dict__.get("callables")) if "callables" in state.__dict__ else None,
        "info": copy.deepcopy(state.__dict__.get("info")),
        "unloaded": set(state.unloaded),
        "orphan": state.mapper._is_orphan(state),
    }


def _value(value: Any) -> Any:
    if isinstance(value, (list, set, dict)) and hasattr(value, "_sa_adapter"):
        return id(value), type(value).__name__, [id(one) for one in _members(value)]
    if inspect(value, raiseerr=False) is not None:
        return id(value)
    if isinstance(value, (list, set)) and any(inspect(one, raiseerr=False) is not None for one in value):
        return type(value).__name__, [id(one) for one in value]
    return copy.deepcopy(value)
