"""sqlalchemy-serializer and orjson. It works on classes that inherit its mixin, so the tables are mapped again here.

The children have no references to their parents here: it follows cycles for ever.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, relationship, selectinload
from sqlalchemy_serializer import (  # type: ignore[import-untyped] # it has no annotations
    SerializerMixin,
    serialize_collection,
)

from benchmarks import wide
from benchmarks.place import Place
from tests.models import shop


class Base(DeclarativeBase, SerializerMixin):  # type: ignore[misc] # the mixin has no annotations
    datetime_format = "%Y-%m-%dT%H:%M:%S.%f%z"
    serialize_types = ((bytes, lambda value: b64encode(value).decode()),)


class Customer(Base):
    __table__ = shop.Customer.__table__
    orders: Mapped[list[Order]] = relationship(order_by=shop.Order.__table__.c.id, viewonly=True)


class Order(Base):
    __table__ = shop.Order.__table__
    lines: Mapped[list[Line]] = relationship(order_by=shop.Line.__table__.c.id, viewonly=True)


class Line(Base):
    __table__ = shop.Line.__table__


class Record(Base):
    __table__ = wide.Record.__table__


def detached_graph(place: Place) -> list[Customer]:
    with Session(place.engine) as session:
        shape = selectinload(Customer.orders).selectinload(Order.lines)
        customers = list(session.scalars(select(Customer).order_by(Customer.__table__.c.id).options(shape)))
        session.expunge_all()
    return customers


def detached_wide(place: Place) -> list[Record]:
    with Session(place.engine) as session:
        records = list(session.scalars(select(Record).order_by(Record.__table__.c.id)))
        session.expunge_all()
    return records


def dumps(objects: Sequence[Any]) -> bytes:
    return orjson.dumps(serialize_collection(objects))
