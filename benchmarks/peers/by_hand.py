"""Dicts written by hand and orjson; back through the constructors of the ORM classes, which makes transient objects.

orjson writes dates, UUIDs and Enum members itself; Decimals and bytes are turned into text here. On the way back what
JSON has no form for is made of its text, in the dict that was read.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from benchmarks.wide import Grade, Record
from tests.models.shop import Customer, Line, Order


def dumps_graph(customers: Sequence[Customer]) -> bytes:
    return orjson.dumps([_customer_out(customer) for customer in customers])


def loads_graph(data: bytes) -> list[Customer]:
    return [_customer_in(found) for found in orjson.loads(data)]


def dumps_wide(records: Sequence[Record]) -> bytes:
    return orjson.dumps([_record_out(record) for record in records])


def loads_wide(data: bytes) -> list[Record]:
    return [_record_in(found) for found in orjson.loads(data)]


def _customer_out(customer: Customer) -> dict[str, Any]:
    return {
        "id": customer.id,
        "name": customer.name,
        "email": customer.email,
        "city": customer.city,
        "balance": str(customer.balance),
        "orders": [_order_out(order) for order in customer.orders],
    }


def _order_out(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "customer_id": order.customer_id,
        "number": order.number,
        "status": order.status,
        "placed_at": order.placed_at,
        "lines": [_line_out(line) for line in order.lines],
    }


def _line_out(line: Line) -> dict[str, Any]:
    return {"id": line.id, "order_id": line.order_id, "sku": line.sku, "qty": line.qty, "price": str(line.price)}


def _customer_in(found: dict[str, Any]) -> Customer:
    found["balance"] = Decimal(found["balance"])
    found["orders"] = [_order_in(order) for order in found["orders"]]
    return Customer(**found)


def _order_in(found: dict[str, Any]) -> Order:
    found["placed_at"] = datetime.fromisoformat(found["placed_at"])
    found["lines"] = [_line_in(line) for line in found["lines"]]
    return Order(**found)


def _line_in(found: dict[str, Any]) -> Line:
    found["price"] = Decimal(found["price"])
    return Line(**found)


def _record_out(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "rank": record.rank,
        "count": record.count,
        "visits": record.visits,
        "serial": record.serial,
        "offset": record.offset,
        "code": record.code,
        "name": record.name,
        "email": record.email,
        "city": record.city,
        "note": record.note,
        "ratio": record.ratio,
        "score": record.score,
        "price": str(record.price),
        "weight": None if record.weight is None else str(record.weight),
        "active": record.active,
        "checked": record.checked,
        "born": record.born,
        "created_at": record.created_at,
        "changed_at": record.changed_at,
        "seen_at": record.seen_at,
        "token": record.token,
        "grade": record.grade,
        "digest": b64encode(record.digest).decode(),
        "extra": record.extra,
    }


def _record_in(found: dict[str, Any]) -> Record:
    found["price"] = Decimal(found["price"])
    found["weight"] = None if found["weight"] is None else Decimal(found["weight"])
    found["born"] = date.fromisoformat(found["born"])
    found["created_at"] = datetime.fromisoformat(found["created_at"])
    found["changed_at"] = None if found["changed_at"] is None else datetime.fromisoformat(found["changed_at"])
    found["seen_at"] = datetime.fromisoformat(found["seen_at"])
    found["token"] = UUID(found["token"])
    found["grade"] = None if found["grade"] is None else Grade(found["grade"])
    found["digest"] = b64decode(found["digest"])
    return Record(**found)
