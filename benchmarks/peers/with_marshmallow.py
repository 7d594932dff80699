"""marshmallow-sqlalchemy and json: schemas made from the mapped classes, with nested ones for the relationships."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any

from marshmallow import fields
from marshmallow_sqlalchemy import SQLAlchemyAutoSchema, auto_field
from marshmallow_sqlalchemy.fields import Nested

from benchmarks.wide import Record
from tests.models.shop import Customer, Line, Order


class Base64(fields.Field[bytes]):
    """Bytes as text; by itself marshmallow-sqlalchemy takes them for UTF-8."""

    def _serialize(self, value: bytes | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return value if value is None else b64encode(value).decode()

    def _deserialize(self, value: str, attr: str | None, data: Any, **kwargs: Any) -> bytes:
        return b64decode(value)


class LineSchema(SQLAlchemyAutoSchema[Any]):
    class Meta:
        model = Line
        include_fk = True
        load_instance = True

    price = auto_field(as_string=True)


class OrderSchema(SQLAlchemyAutoSchema[Any]):
    class Meta:
        model = Order
        include_fk = True
        load_instance = True

    lines = Nested(LineSchema, many=True)


class CustomerSchema(SQLAlchemyAutoSchema[Any]):
    class Meta:
        model = Customer
        load_instance = True

    balance = auto_field(as_string=True)
    orders = Nested(OrderSchema, many=True)


class RecordSchema(SQLAlchemyAutoSchema[Any]):
    class Meta:
        model = Record
        load_instance = True

    price = auto_field(as_string=True)
    weight = auto_field(as_string=True)
    digest = Base64()


_customers = CustomerSchema(many=True)  # type: ignore[no-untyped-call] # it has annotations only in part
_records = RecordSchema(many=True)  # type: ignore[no-untyped-call] # the same


def dumps_graph(customers: Sequence[Customer]) -> bytes:
    return json.dumps(_customers.dump(customers)).encode()


def loads_graph(data: bytes) -> list[Customer]:
    found: list[Customer] = _customers.load(json.loads(data), transient=True)
    return found


def dumps_wide(records: Sequence[Record]) -> bytes:
    return json.dumps(_records.dump(records)).encode()


def loads_wide(data: bytes) -> list[Record]:
    found: list[Record] = _records.load(json.loads(data), transient=True)
    return found
