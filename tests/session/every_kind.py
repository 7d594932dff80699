"""A small world in which attach meets every kind of thing at once, and a model that says what each setting makes of it.

The things are called by what is the matter with them: "edited" is a customer's column that both sides changed, "line
disputed" a line that I removed and they edited. The model is plain Python: it knows no session and no SQLAlchemy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Engine, StaticPool, create_engine, event, insert, select
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from sojourn.errors import Conflict
from sojourn.session.attach import Verify
from sojourn.session.detach import detach
from sojourn.session.verdict import OnMissing
from tests.models import shop
from tests.models.shop import FIRST_DAY, Customer, Line, Order
from tests.session.attaching import WHOLE_SHOP

Rows = dict[str, tuple[Any, ...]]  # what is the matter with it -> what its row holds
PolicyName = Literal["raise", "mine", "theirs", "function"]

CUSTOMERS = ("edited", "clean", "lost", "lost clean", "by key", "unread", "new")
ORDERS = ("order", "order left", "order beside", "order new")
LINES = {
    1: "line merged",
    2: "line removed",
    3: "line disputed",
    4: "line lost",
    5: "line clean",
    6: "line moved",
    7: "line left",
    8: "line beside",
    9: "line lost clean",
    20: "line theirs",
    21: "line new",
}
HOLDERS = {1: (1, 2, 3, 4, 5), 2: (6, 7), 3: (8, 9)}  # order -> its lines; order 1 is of customer 1, the others of 2

# --- the world -------------------------------------------------------------------------------------------------------


def memory() -> Engine:
    """A SQLite database of one connection, with foreign keys and honest transactions."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"isolation_level": None})
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def open_world(engine: Engine) -> None:
    """The rows that both sides start from."""
    shop.Base.metadata.create_all(engine)
    customers = [
        {"id": id_, "name": name, "email": "base", "city": "base", "balance": 0}
        for id_, name in enumerate(CUSTOMERS[:-1], 1)
    ]
    orders = [
        {"id": id_, "customer_id": min(id_, 2), "number": "", "status": "base", "placed_at": FIRST_DAY}
        for id_ in HOLDERS
    ]
    lines = [
        {"id": id_, "order_id": order, "sku": LINES[id_], "qty": 1, "price": 1}
        for order, members in HOLDERS.items()
        for id_ in members
    ]
    with engine.begin() as connection:
        connection.execute(insert(Customer), customers)
        connection.execute(insert(Order), orders)
        connection.execute(insert(Line), lines)


def they_work(session: Session) -> None:
    """What others do while the objects are away; the caller commits."""
    edited, clean, lost, lost_clean, by_key, unread = (session.get_one(Customer, id_) for id_ in range(1, 7))
    edited.name = edited.city = clean.city = by_key.name = unread.email = "theirs"
    session.get_one(Line, 1).price = 3  # type: ignore[assignment]  # a Decimal, in full
    session.get_one(Line, 3).qty = 3
    for obj in (lost, lost_clean, session.get_one(Line, 4), session.get_one(Line, 9)):
        session.delete(obj)
    session.add(Line(id=20, order_id=1, sku=LINES[20], qty=3, price=3))


def copy_of(source: Engine, target: Engine) -> None:
    """Make the target's database hold what the source's holds."""
    with source.connect() as one, target.connect() as other:
        drivers: list[Any] = [it.connection.driver_connection for it in (one, other)]
        assert all(isinstance(driver, sqlite3.Connection) for driver in drivers)
        one.rollback()
        other.rollback()
        drivers[0].backup(drivers[1])


@dataclass
class Luggage:
    """What is brought home: the roots, and every object by what is the matter with it."""

    roots: list[Customer]
    named: dict[str, Any]


def pack(engine: Engine, *, touch_lost: bool = True) -> Luggage:
    """The graph, detached and edited. Without `touch_lost` what others delete meanwhile is not edited."""
    with Session(engine) as session:
        whole = session.scalars(select(Customer).where(Customer.id <= 4).order_by(Customer.id)).all()
        edited, clean, lost, lost_clean = detach(session, whole, WHOLE_SHOP)
    with Session(engine) as session:
        unloaded = defer(Customer.email)
        [unread] = detach(session, session.get_one(Customer, 6, options=[unloaded]), WHOLE_SHOP, unloaded)
    [order], [left, beside] = edited.orders, clean.orders
    lines = {LINES[line.id]: line for one in (order, left, beside) for line in one.lines}
    edited.name = edited.email = unread.email = unread.city = "mine"
    lines["line merged"].qty = 2
    if touch_lost:
        lost.city = "mine"
        lines["line lost"].qty = 2
    order.lines.remove(lines["line removed"])
    order.lines.remove(lines["line disputed"])
    lines["line new"] = Line(sku="line new", qty=2, price=2)
    order.lines.append(lines["line new"])
    left.lines.remove(lines["line moved"])
    order.lines.append(lines["line moved"])
    by_key = Customer(id=5, name="mine", email="base", city="base", balance=0)
    new_order = Order(number="", status="mine", placed_at=FIRST_DAY)
    new = Customer(name="new", email="mine", city="mine", balance=0, orders=[new_order])
    roots = [edited, clean, lost, lost_clean, by_key, unread, new]
    orders = dict(zip(ORDERS, (order, left, beside, new_order), strict=True))
    return Luggage(roots, {**dict(zip(CUSTOMERS, roots, strict=True)), **orders, **lines})


def stored(session: Session) -> Rows:
    """What the tables hold, in the session's own transaction."""
    found: Rows = {}
    connection = session.connection()
    for id_, *values in connection.exec_driver_sql("SELECT id, name, email, city FROM customer"):
        found[CUSTOMERS[id_ - 1]] = tuple(values)
    for id_, *values in connection.exec_driver_sql("SELECT id, customer_id, status FROM customer_order"):
        found[ORDERS[id_ - 1]] = tuple(values)
    for id_, *values in connection.exec_driver_sql("SELECT id, order_id, qty, price FROM order_line"):
        found[LINES[id_]] = tuple(values)
    return found


# --- the settings ----------------------------------------------------------------------------------------------------

TOO_LITTLE: list[InstrumentedAttribute[Any]] = [
    *(Customer.id, Customer.name, Customer.email, Customer.balance, Customer.orders),
    *(Order.number, Order.status, Order.placed_at, Line.sku, Line.qty),
]
EVERYTHING = [*TOO_LITTLE, Customer.city, Order.lines, Line.price]
ALLOW = {"no limit": None, "everything": EVERYTHING, "too little": TOO_LITTLE}


@dataclass(frozen=True)
class Setting:
    """One way to call attach."""

    on_conflict: PolicyName
    on_unknown_base: PolicyName | None
    on_missing: OnMissing
    verify: Verify
    lock: bool = True
    allow: Literal["no limit", "everything", "too little"] = "no limit"
    held: bool = False  # whether the session holds everything that is there

    def arguments(self, asked: list[Conflict]) -> dict[str, Any]:
        """What attach is given. A function notes in `asked` what it is asked."""
        return {
            "on_conflict": policy(self.on_conflict, answer, asked),
            "on_unknown_base": policy(self.on_unknown_base, answer_to_unknown, asked),
            "on_missing": self.on_missing,
            "verify": self.verify,
            "lock": self.lock,
            "allow": ALLOW[self.allow],
        }


def policy(name: PolicyName | None, function: Callable[[Conflict], Any], asked: list[Conflict]) -> Any:
    """A policy as attach takes it."""

    def ask(conflict: Conflict) -> Any:
        asked.append(conflict)
        return function(conflict)

    return ask if name == "function" else name


def answer(conflict: Conflict) -> Any:
    """What the function for on_conflict gives: both texts; and what I removed and they edited stays."""
    return conflict.theirs if conflict.attribute == "lines" else f"{conflict.mine} and {conflict.theirs}"


def answer_to_unknown(conflict: Conflict) -> Any:
    """What the function for on_unknown_base gives."""
    return f"{conflict.mine} or {conflict.theirs}"


# --- the model -------------------------------------------------------------------------------------------------------


@dataclass
class Forecast:
    """What the model says. Where `undecided` is not empty, attach raises, and the rest is what a dry run reports."""

    refused: list[tuple[str, str]] = field(default_factory=list)
    conflicts: list[tuple[str, str | None]] = field(default_factory=list)  # (whose, attribute), in their order
    undecided: list[tuple[str, str | None]] = field(default_factory=list)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    merged: set[tuple[str, str]] = field(default_factory=set)
    lists: dict[str, set[str]] = field(
        default_factory=lambda: {name: set() for name in ("inserted", "updated", "deleted", "unchanged")}
    )
    out: set[str] = field(default_factory=set)  # what stays outside
    rows: Rows = field(default_factory=dict)

    def conflict(self, name: str, attribute: str | None, decided: str) -> None:
        """A conflict, and who is asked about it."""
        self.conflicts.append((name, attribute))
        if decided == "raise":
            self.undecided.append((name, attribute))
        if decided == "function":
            self.asked.append((name, attribute))

    def missing(self, name: str, on_missing: OnMissing, *values: Any) -> None:
        """A row that is not there; made again it holds these values."""
        self.conflict(name, None, on_missing)
        if on_missing == "recreate":
            self.lists["inserted"].add(name)
            self.rows[name] = values
        else:
            self.out.add(name)

    def delete(self, name: str) -> None:
        """A row goes."""
        self.lists["deleted"].add(name)
        del self.rows[name]


def forecast(setting: Setting, now: Rows) -> Forecast:
    """What attach makes of the world; `now` are the rows as others left them."""
    found = Forecast(rows=dict(now))
    if setting.allow == "too little":
        found.refused = [("Customer", "city"), ("Line", "price"), ("Order", "lines")]
        return found
    compared = setting.verify != "none" or setting.held  # what the session holds is theirs, too
    _whole_rows(found, setting, compared)
    _columns(found, setting, compared)
    if setting.verify == "all":  # which looks at what was not edited, and does so at last
        found.missing("lost clean", setting.on_missing, "lost clean", "base", "base")
        found.out.add("line lost clean")
    settled = found.out.union(*found.lists.values())
    found.lists["unchanged"] |= {*CUSTOMERS, *ORDERS, *LINES.values()} - settled - {"line theirs"}
    return found


def _whole_rows(found: Forecast, setting: Setting, compared: bool) -> None:
    if setting.verify != "none":
        found.missing("lost", setting.on_missing, "lost", "base", "mine")
        found.missing("line lost", setting.on_missing, 1, 2, 1)
    found.delete("line removed")
    if compared:
        found.conflict("order", "lines", setting.on_conflict)
    if compared and setting.on_conflict in ("theirs", "function"):
        found.lists["unchanged"].add("line disputed")
        found.merged.add(("line disputed", "qty"))
    else:
        found.delete("line disputed")
    found.lists["inserted"] |= {"new", "order new", "line new"}
    found.rows |= {"new": ("new", "mine", "mine"), "order new": (7, "mine"), "line new": (1, 2, 2)}


def _columns(found: Forecast, setting: Setting, compared: bool) -> None:
    name = email = "mine"
    unknown = setting.on_unknown_base or setting.on_conflict
    both = "mine or theirs" if setting.on_unknown_base else "mine and theirs"
    if compared:
        found.merged |= {("edited", "city"), ("line merged", "price"), ("order", "lines")}
        found.conflict("edited", "name", setting.on_conflict)
        name = chosen(setting.on_conflict, "mine and theirs")
    found.conflict("by key", "name", unknown)  # a new object is looked for in any case
    if compared:
        found.conflict("unread", "email", unknown)
        email = chosen(unknown, both)
    found.rows["edited"] = (name, "mine", "theirs")
    found.rows["by key"] = (chosen(unknown, both), "base", "base")
    found.rows["unread"] = ("unread", email, "mine")
    found.rows["line merged"] = (1, 2, 3)
    found.rows["line moved"] = (1, 1, 1)
    found.lists["updated"] |= {"edited", "line merged", "line moved", "unread"}
    found.lists["unchanged" if unknown == "theirs" else "updated"].add("by key")


def chosen(name: PolicyName, both: str) -> str:
    """The text that stands. Until somebody decides, it is mine."""
    return {"raise": "mine", "mine": "mine", "theirs": "theirs", "function": both}[name]
