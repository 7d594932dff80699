"""The data set "graph": customers, their orders, the orders' lines; the edits that some works make; and its judge.

The expected rows are the very parameters that `fill` handed to its INSERTs, as Python values, with the edits applied in
plain Python: no verb under test has a part in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Engine, bindparam, event, select, text, update
from sqlalchemy.orm import ORMExecuteState, Session, selectinload
from sqlalchemy.orm.exc import DetachedInstanceError

from benchmarks.place import Place, Row, WrongResultError, as_row, compare, types_of
from tests.models.shop import Base, Customer, Line, Order, fill

Rows: TypeAlias = dict[type[Base], list[Row]]

MODELS: tuple[type[Base], ...] = (Customer, Order, Line)
SHAPE = selectinload(Customer.orders).selectinload(Order.lines)


@dataclass(frozen=True)
class Size:
    """How large the graph is; each `every`-th row of each table is edited."""

    customers: int
    orders: int
    lines: int
    every: int

    @property
    def objects(self) -> int:
        return sum(self._tables)

    @property
    def edited(self) -> int:
        return sum(rows // self.every for rows in self._tables)

    @property
    def _tables(self) -> tuple[int, int, int]:
        return self.customers, self.customers * self.orders, self.customers * self.orders * self.lines


FULL = Size(customers=1000, orders=3, lines=3, every=100)
SMALL = Size(customers=10, orders=3, lines=3, every=10)


@dataclass(frozen=True)
class Edit:
    """One attribute of one object, before and after."""

    model: type[Base]
    id: int
    attribute: str
    before: Any
    after: Any


class Graph(Place):
    """The graph in one database."""

    data = "graph"
    base = Base

    def __init__(self, name: str, engine: Engine, size: Size) -> None:
        super().__init__(name, engine)
        self.size = size
        self.rows = _fill(engine, size)
        self.edits = edits_of(self.rows, size.every)
        self.edited_rows = with_edits(self.rows, self.edits)

    @property
    def objects(self) -> int:
        return self.size.objects

    def load(self, session: Session) -> list[Customer]:
        return list(session.scalars(select(Customer).order_by(Customer.id).options(SHAPE)))

    def edit(self, customers: Sequence[Customer]) -> None:
        """Make the edits on the objects."""
        objects = {(type(obj), obj.id): obj for obj in everything(customers)}
        for edit in self.edits:
            setattr(objects[edit.model, edit.id], edit.attribute, edit.after)

    @contextmanager
    def edited_by_others(self) -> Iterator[None]:
        """Another session commits the edits; at the end they are taken back."""
        self._write("after")
        try:
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """Take the edits back. That nothing else was changed is what `expect_rows` made sure of."""
        self._write("before")

    def expect_rows(self, expected: Rows) -> None:
        """What is committed in the database, read through Core, is exactly this."""
        with self.engine.connect() as connection:
            for model in MODELS:
                table = model.__table__
                found = connection.execute(select(table).order_by(table.c.id)).mappings()
                compare(model.__tablename__, map(dict, found), expected[model])

    def expect_objects(self, roots: Sequence[Customer]) -> None:
        self.expect_graph(roots, self.rows)

    def expect_plain(self, roots: Sequence[Row]) -> None:
        for customer in roots:
            _expect_children("Customer", customer["id"], [order["customer_id"] for order in customer["orders"]])
        orders = [order for customer in roots for order in customer["orders"]]
        for order in orders:
            _expect_children("Order", order["id"], [line["order_id"] for line in order["lines"]])
        lines = [line for order in orders for line in order["lines"]]
        for model, found in ((Customer, roots), (Order, orders), (Line, lines)):
            types = types_of(self.rows[model])
            compare(model.__tablename__, [as_row(row, types) for row in found], self.rows[model])

    def expect_graph(self, customers: Sequence[Customer], expected: Rows) -> None:
        """These objects hold exactly these rows, all loaded, and each one hangs on its own parent, in order."""
        try:
            _expect_objects(customers, expected)
        except DetachedInstanceError as error:
            raise WrongResultError(f"not everything is loaded: {error}") from error

    def _write(self, side: str) -> None:
        with self.engine.begin() as connection:
            for model in MODELS:
                table = model.__table__
                mine = [edit for edit in self.edits if edit.model is model]
                statement = update(model).where(table.c.id == bindparam("key"))
                statement = statement.values({mine[0].attribute: bindparam("value")})
                connection.execute(statement, [{"key": edit.id, "value": getattr(edit, side)} for edit in mine])


def everything(customers: Sequence[Customer]) -> list[Any]:
    """The customers, then their orders, then the orders' lines."""
    orders = [order for customer in customers for order in customer.orders]
    return [*customers, *orders, *(line for order in orders for line in order.lines)]


def edits_of(rows: Rows, every: int) -> list[Edit]:
    """Each `every`-th row of each table, so that all three tables have something to write."""
    customers, orders, lines = (rows[model][every - 1 :: every] for model in MODELS)
    return [
        *(Edit(Customer, row["id"], "name", row["name"], f"{row['name']}, edited") for row in customers),
        *(Edit(Order, row["id"], "status", row["status"], "held") for row in orders),
        *(Edit(Line, row["id"], "qty", row["qty"], row["qty"] + 100) for row in lines),
    ]


def with_edits(rows: Rows, edits: Sequence[Edit]) -> Rows:
    """New rows, as they are after the edits."""
    after = {(edit.model, edit.id): {edit.attribute: edit.after} for edit in edits}
    return {model: [row | after.get((model, row["id"]), {}) for row in of_model] for model, of_model in rows.items()}


def _fill(engine: Engine, size: Size) -> Rows:
    """Fill the empty tables, listening to what is inserted."""
    rows: Rows = {model: [] for model in MODELS}
    Base.metadata.create_all(engine)
    with Session(engine) as session:

        @event.listens_for(session, "do_orm_execute")
        def heard(execution: ORMExecuteState) -> None:
            if execution.is_insert and execution.bind_mapper is not None and isinstance(execution.parameters, list):
                rows[execution.bind_mapper.class_] += [dict(row) for row in execution.parameters]

        fill(session, size.customers, size.orders, size.lines)
        session.commit()
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))  # before the first round, not by the server somewhere between two sides
    if sum(map(len, rows.values())) != size.objects:
        raise WrongResultError(f"fill inserted {sum(map(len, rows.values()))} rows, expected {size.objects}")
    return rows


def _expect_objects(customers: Sequence[Customer], expected: Rows) -> None:
    for customer in customers:
        _expect_children("Customer", customer.id, [order.customer_id for order in customer.orders])
        for order in customer.orders:
            _expect_children("Order", order.id, [line.order_id for line in order.lines])
    for model in MODELS:
        objects = [obj for obj in everything(customers) if type(obj) is model]
        keys = list(expected[model][0])
        compare(model.__tablename__, [{key: getattr(obj, key) for key in keys} for obj in objects], expected[model])


def _expect_children(name: str, id_: int, foreign_keys: Sequence[int]) -> None:
    if any(key != id_ for key in foreign_keys):
        raise WrongResultError(f"{name} {id_} holds children of {sorted(set(foreign_keys))}")
