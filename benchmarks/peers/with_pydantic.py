"""pydantic: models with `from_attributes` read the objects and write JSON; back through the constructors of the ORM
classes, which makes transient objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

from benchmarks.wide import Grade, Record
from tests.models.shop import Customer, Line, Order


class _Model(BaseModel):
    model_config = ConfigDict(from_attributes=True, ser_json_bytes="base64", val_json_bytes="base64")


class LineData(_Model):
    id: int
    order_id: int
    sku: str
    qty: int
    price: Decimal


class OrderData(_Model):
    id: int
    customer_id: int
    number: str
    status: str
    placed_at: datetime
    lines: list[LineData]


class CustomerData(_Model):
    id: int
    name: str
    email: str
    city: str | None
    balance: Decimal
    orders: list[OrderData]


class RecordData(_Model):
    id: int
    rank: int
    count: int
    visits: int | None
    serial: int
    offset: int | None
    code: str
    name: str
    email: str
    city: str | None
    note: str | None
    ratio: float
    score: float | None
    price: Decimal
    weight: Decimal | None
    active: bool
    checked: bool | None
    born: date
    created_at: datetime
    changed_at: datetime | None
    seen_at: datetime
    token: UUID
    grade: Grade | None
    digest: bytes
    extra: dict[str, Any]


_customers = TypeAdapter(list[CustomerData])
_records = TypeAdapter(list[RecordData])


def dumps_graph(customers: Sequence[Customer]) -> bytes:
    return _customers.dump_json(_customers.validate_python(customers))


def loads_graph(data: bytes) -> list[Customer]:
    return [_customer(found) for found in _customers.validate_json(data)]


def dumps_wide(records: Sequence[Record]) -> bytes:
    return _records.dump_json(_records.validate_python(records))


def loads_wide(data: bytes) -> list[Record]:
    return [Record(**dict(found)) for found in _records.validate_json(data)]


def _customer(found: CustomerData) -> Customer:
    return Customer(
        id=found.id,
        name=found.name,
        email=found.email,
        city=found.city,
        balance=found.balance,
        orders=[_order(order) for order in found.orders],
    )


def _order(found: OrderData) -> Order:
    return Order(
        id=found.id,
        customer_id=found.customer_id,
        number=found.number,
        status=found.status,
        placed_at=found.placed_at,
        lines=[Line(**dict(line)) for line in found.lines],
    )
