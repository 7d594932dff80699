"""Random edits by me and by others, held against a model of plain dicts: nobody's work is lost without being named.

A side's work is what it made of the base: cells it set, rows it added, removed and moved. After attach and commit, each
piece of work is in the rows, or a conflict names it (its row, or a row above or below it that was removed).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import event as note
from hypothesis import strategies as st
from sqlalchemy import StaticPool, create_engine, delete, event, select
from sqlalchemy.orm import Session

from sojourn.errors import Conflict, ConflictError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.report import AttachReport
from tests.models import shop
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import WHOLE_SHOP, fingerprint

CLASSES: tuple[type[Any], ...] = (Customer, Order, Line)
COLUMNS = {Customer: ("email", "city"), Order: ("status", "placed_at"), Line: ("price", "qty")}
LABEL = {Customer: "name", Order: "number", Line: "sku"}
PARENT = {Order: "customer_id", Line: "order_id"}

Key = tuple[type[Any], str]  # a class, and a label that nobody changes
Rows = dict[Key, dict[str, Any]]  # cells, and "parent": the key of the row above

places = st.integers(0, 11)
edits = st.one_of(
    st.tuples(st.just("set"), places, places, st.sampled_from(["own", "same"])),
    st.tuples(st.just("add"), places, places),
    st.tuples(st.just("remove"), places, places),
    st.tuples(st.just("move"), places, places, st.booleans()),
)
EDITS = st.lists(edits, max_size=6)


# --- one side --------------------------------------------------------------------------------------------------------


def work(customers: Sequence[Customer], todo: Iterable[tuple[Any, ...]], side: str) -> list[Any]:
    """Do the edits to a loaded graph; what one refers to is found by its place in the graph as it is then.

    Gives everything that was in it at some time.
    """
    seen: dict[int, Any] = {}
    for number, (what, place, other, *more) in enumerate(todo):
        orders = [order for customer in customers for order in customer.orders]
        lines = [line for order in orders for line in order.lines]
        seen.update((id(obj), obj) for obj in (*customers, *orders, *lines))
        tag = f"{side}{number}"
        if what == "set":
            everything: list[Any] = [*customers, *orders, *lines]
            obj = everything[place * 7 % len(everything)]
            column = COLUMNS[type(obj)][other % 2]
            setattr(obj, column, value_of(column, tag if more == ["own"] else "same"))
        elif what == "add" and other % 2 and orders:
            orders[place % len(orders)].lines.append(Line(sku=f"new {tag}", qty=1, price=1))
        elif what == "add":
            new = Order(number=f"new {tag}", status="open", placed_at=shop.FIRST_DAY)
            new.lines.append(Line(sku=f"new {tag}", qty=1, price=1))
            customers[place % len(customers)].orders.append(new)
        elif what == "remove" and other % 3 and lines:
            line = lines[place % len(lines)]
            line.order.lines.remove(line)
        elif what == "remove" and orders:
            order = orders[place % len(orders)]
            # SQLAlchemy cannot flush what was put into a new order that is then taken out again.
            if order.id is not None or all(line.id is None for line in order.lines):
                order.customer.orders.remove(order)
        elif what == "move" and other % 2 and lines and orders:
            line, target = lines[place % len(lines)], orders[other % len(orders)]
            if more[0]:
                line.order = target
            elif line not in target.lines:
                target.lines.append(line)
        elif what == "move" and orders:
            order, customer = orders[place % len(orders)], customers[other % len(customers)]
            order.customer = customer
    return list(seen.values())


def value_of(column: str, tag: str) -> Any:
    number = sum(map(ord, tag))
    values = {"qty": number, "price": Decimal(number), "placed_at": shop.FIRST_DAY + timedelta(days=number)}
    return values.get(column, tag)


def key_of(obj: Any) -> Key:
    return type(obj), getattr(obj, LABEL[type(obj)])


def above(obj: Any) -> Any:
    return obj.order if isinstance(obj, Line) else obj.customer if isinstance(obj, Order) else None


def as_rows(customers: Iterable[Customer]) -> Rows:
    """What a graph says."""
    found: Rows = {}
    for customer in customers:
        found[key_of(customer)] = _cells(customer, None)
        for order in customer.orders:
            found[key_of(order)] = _cells(order, customer)
            for line in order.lines:
                found[key_of(line)] = _cells(line, order)
    return found


def _cells(obj: Any, parent: Any) -> dict[str, Any]:
    return {**{name: getattr(obj, name) for name in COLUMNS[type(obj)]}, "parent": parent and key_of(parent)}


def stored() -> tuple[Rows, dict[Any, Key]]:
    """What the tables say, and the key of each identity there."""
    found: Rows = {}
    keys: dict[Any, Key] = {}
    with Session(ENGINE) as session:
        for class_ in CLASSES:
            for obj in session.scalars(select(class_).where(class_.id != HIDDEN).order_by(class_.id)):
                keys[class_, obj.id] = key_of(obj)
                above = (CLASSES[CLASSES.index(class_) - 1], getattr(obj, PARENT[class_])) if class_ in PARENT else None
                cells = {name: getattr(obj, name) for name in COLUMNS[class_]}
                found[key_of(obj)] = {**cells, "parent": above and keys[above]}
    return found, keys


# --- the judge --------------------------------------------------------------------------------------------------------


def judge(
    base: Rows, mine: Rows, theirs: Rows, final: Rows, named: set[Key | None], in_hand: Sequence[Rows]
) -> list[str]:
    """The pieces of work that are neither in the rows nor named, and what nobody did.

    `in_hand` are all objects that somebody had: what one removed may be kept, with what one edited on it before.
    """
    complaints = []

    def is_named(key: Key | None) -> bool:
        """Whether a conflict is about this row, or about one that it hung on, in anybody's eyes."""
        seen = set()
        queue = [key]
        for one in queue:
            if one in named:
                return True
            if one is not None and one not in seen:
                seen.add(one)
                queue += [side[one]["parent"] for side in (base, mine, theirs, *in_hand) if one in side]
        return False

    for side, other in ((mine, theirs), (theirs, mine)):
        who = "mine" if side is mine else "theirs"
        for key, cells in side.items():
            before = base.get(key)
            for name, value in cells.items():
                if before is not None and before[name] == value:
                    continue
                if key in final and final[key][name] == value:
                    continue
                if key not in other and key in base and side is theirs and is_named(key):
                    continue
                if not is_named(key) and not is_named(value if name == "parent" else None):
                    complaints.append(f"{who}: {key} {name}={value!r} is neither there nor named")
        back = [key for key in base.keys() - side.keys() if key in final and not is_named(key)]
        complaints += [f"{who}: the removal of {key} is neither there nor named" for key in back]
    for key, cells in final.items():
        sides = [{"parent": None, **one[key]} for one in (base, mine, theirs, *in_hand) if key in one]
        complaints += [
            f"nobody said {key} {name}={value!r}"
            for name, value in cells.items()
            if not any(one[name] == value for one in sides)
        ]
    for key in base.keys() - final.keys():
        if key in mine and key in theirs and not is_named(key):
            complaints.append(f"nobody removed {key}")
    return complaints


def named_in(conflicts: Iterable[Conflict], keys: dict[Any, Key]) -> set[Key | None]:
    """The rows that conflicts are about."""
    found: set[Key | None] = set()
    for conflict in conflicts:
        sides = [conflict.base, conflict.mine, conflict.theirs]
        if conflict.attribute not in ("orders", "lines"):  # there it is about the members, not about their owner
            sides.append(conflict.identity)
        found.update(keys[side[0], side[1][0]] for side in sides if isinstance(side, tuple))
    return found


# --- the world --------------------------------------------------------------------------------------------------------

HIDDEN = 1000
ENGINE = create_engine("sqlite://", poolclass=StaticPool)
event.listen(ENGINE, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
shop.Base.metadata.create_all(ENGINE)


def start() -> None:
    with Session(ENGINE) as session:
        for class_ in reversed(CLASSES):
            session.execute(delete(class_))
        shop.fill(session, 2, 2, 2)
        # SQLite gives the id of the last row again when that was removed: this one stays.
        last = Customer(id=HIDDEN, name="last", email="", balance=0)
        last.orders.append(Order(id=HIDDEN, number="last", status="", placed_at=shop.FIRST_DAY))
        last.orders[0].lines.append(Line(id=HIDDEN, sku="last", qty=0, price=0))
        session.add(last)
        session.commit()


def flushable(todo: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """SQLAlchemy cannot flush a new line together with the removal of its order, and loses a new one that is moved."""
    only_adds = all(what in ("add", "set") for what, *_ in todo)
    return [one for one in todo if only_adds or one[0] != "add"]


def everybody(session: Session) -> list[Customer]:
    return list(session.scalars(select(Customer).where(Customer.id != HIDDEN).options(WHOLE_SHOP)))


def away() -> list[Customer]:
    with Session(ENGINE) as session:
        return detach(session, list(session.scalars(select(Customer).where(Customer.id != HIDDEN))), WHOLE_SHOP)


def they_work(todo: Sequence[tuple[Any, ...]]) -> None:
    with Session(ENGINE) as session:
        customers = everybody(session)
        for number, one in enumerate(todo):
            work(customers, [one], f"t{number}.")
            session.commit()  # a new line cannot be flushed together with the removal of its order


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    my_edits=EDITS,
    their_edits=EDITS,
    policy=st.sampled_from(["mine", "theirs", "raise"]),
    verify=st.sampled_from(["changed", "all"]),
    held=st.booleans(),
    at_once=st.booleans(),
)
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # deleted rows' identities are used again by SQLite
def test_nobodys_work_is_lost_without_being_named(
    my_edits: list[Any], their_edits: list[Any], policy: Any, verify: Any, held: bool, at_once: bool
) -> None:
    start()
    base, keys = stored()
    customers = away()
    with Session(ENGINE, expire_on_commit=False) as session:
        at_home = everybody(session) if held else []
        session.commit()
        in_hand = [{key_of(obj): _cells(obj, above(obj)) for obj in work(customers, my_edits, "m")}]
        mine = as_rows(customers)
        new_keys: dict[Any, Key] = {}
        if held and at_once:
            # The session's own edits, not flushed yet, are theirs.
            with session.no_autoflush:
                seen = work(at_home, flushable(their_edits), "t")
                in_hand.append({key_of(obj): _cells(obj, above(obj)) for obj in seen})
                theirs = as_rows(at_home)
        else:
            they_work(their_edits)
            theirs, new_keys = stored()
        before = fingerprint(session, [*customers, *at_home])
        report, refused = attempt(session, customers, policy, verify)
        if refused is not None:
            assert policy == "raise"
            assert fingerprint(session, [*customers, *at_home]) == before
            assert stored()[0] == (base if held and at_once else theirs)
            report = attach(session, customers, on_conflict="mine", on_missing="skip", verify=verify)
            assert report.conflicts == refused.conflicts
        assert report is not None
        note("attached" if refused is None else "refused")
        session.commit()
    named = named_in(report.conflicts, keys | new_keys)
    assert judge(base, mine, theirs, stored()[0], named, in_hand) == []
    if not report.conflicts:
        note("no conflict")


def attempt(
    session: Session, customers: list[Customer], policy: Any, verify: Any
) -> tuple[AttachReport | None, ConflictError | None]:
    try:
        return attach(session, customers, on_conflict=policy, on_missing=missing(policy), verify=verify), None
    except ConflictError as error:
        return None, error


def missing(policy: str) -> Any:
    return {"mine": "recreate", "theirs": "skip", "raise": "raise"}[policy]
