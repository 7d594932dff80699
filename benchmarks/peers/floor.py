"""The floor: what nobody can be much faster than. Rows as nested tuples through msgspec, hand-written for these models.

It reads `__dict__`, and it builds detached objects out of SQLAlchemy's private parts, with the collector paused. It
knows that there is no inheritance, no event, no version counter, no deferred column and no edit, and checks nothing: it
is no way to write a program, but a line under what sojourn does.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.orm.collections import CollectionAdapter, InstrumentedList

from benchmarks.wide import COLUMNS, Grade, Record
from tests.models.shop import Customer, Line, Order

_CUSTOMER = ("id", "name", "email", "city", "balance")
_ORDER = ("id", "customer_id", "number", "status", "placed_at")
_LINE = ("id", "order_id", "sku", "qty", "price")

_Line = tuple[int, int, str, int, Decimal]
_Order = tuple[int, int, str, str, datetime, list[_Line]]
_Customer = tuple[int, str, str, str | None, Decimal, list[_Order]]
_Record = tuple[
    int,
    int,
    int,
    int | None,
    int,
    int | None,
    str,
    str,
    str,
    str | None,
    str | None,
    float,
    float | None,
    Decimal,
    Decimal | None,
    bool,
    bool | None,
    date,
    datetime,
    datetime | None,
    datetime,
    UUID,
    Grade | None,
    bytes,
    Any,
]

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]

json_out: Encode = msgspec.json.Encoder().encode
msgpack_out: Encode = msgspec.msgpack.Encoder().encode
json_in_graph: Decode = msgspec.json.Decoder(list[_Customer]).decode
msgpack_in_graph: Decode = msgspec.msgpack.Decoder(list[_Customer]).decode
json_in_wide: Decode = msgspec.json.Decoder(list[_Record]).decode
msgpack_in_wide: Decode = msgspec.msgpack.Decoder(list[_Record]).decode


def rows_graph(customers: Sequence[Customer]) -> list[tuple[Any, ...]]:
    customer_of, order_of, line_of = itemgetter(*_CUSTOMER), itemgetter(*_ORDER), itemgetter(*_LINE)
    return [
        (
            *customer_of(customer.__dict__),
            [
                (*order_of(order.__dict__), [line_of(line.__dict__) for line in order.__dict__["lines"]])
                for order in customer.__dict__["orders"]
            ],
        )
        for customer in customers
    ]


def rows_wide(records: Sequence[Record]) -> list[tuple[Any, ...]]:
    row_of = itemgetter(*COLUMNS)
    return [row_of(record.__dict__) for record in records]


def objects_graph(rows: Sequence[Any]) -> list[Customer]:
    with _collector_paused():
        new_customer, new_order, new_line = _maker(Customer), _maker(Order), _maker(Line)
        put_orders, put_lines = _collection(Customer, "orders"), _collection(Order, "lines")
        customers = []
        for *customer_row, order_rows in rows:
            customer = new_customer(zip(_CUSTOMER, customer_row, strict=True), customer_row[0])
            orders = []
            for *order_row, line_rows in order_rows:
                order = new_order(zip(_ORDER, order_row, strict=True), order_row[0])
                order.__dict__["customer"] = customer
                lines = []
                for row in line_rows:
                    line = new_line(zip(_LINE, row, strict=True), row[0])
                    line.__dict__["order"] = order
                    lines.append(line)
                put_lines(order, lines)
                orders.append(order)
            put_orders(customer, orders)
            customers.append(customer)
        return customers


def objects_wide(rows: Sequence[Any]) -> list[Record]:
    with _collector_paused():
        new = _maker(Record)
        return [new(zip(COLUMNS, row, strict=True), row[0]) for row in rows]


def _maker(class_: Any) -> Callable[[Iterator[tuple[str, Any]], Any], Any]:
    manager = class_.__mapper__.class_manager
    make_state, put_state = manager._state_constructor, manager._state_setter

    def make(values: Iterator[tuple[str, Any]], key: Any) -> Any:
        instance = class_.__new__(class_)
        state = make_state(instance, manager)
        put_state(instance, state)
        state.key = (class_, (key,), None)
        instance.__dict__.update(values)
        return instance

    return make


def _collection(class_: Any, key: str) -> Callable[[Any, list[Any]], None]:
    attribute: Any = class_.__mapper__.class_manager[key].impl

    def put(instance: Any, members: list[Any]) -> None:
        collection: Any = InstrumentedList(members)
        CollectionAdapter(attribute, instance._sa_instance_state, collection)
        instance.__dict__[key] = collection

    return put


@contextmanager
def _collector_paused() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
