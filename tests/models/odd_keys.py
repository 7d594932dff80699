"""Primary keys of many types, each with a child that refers to it: what travels to the database as a key, in every form
that a driver might want it in."""

from __future__ import annotations

import datetime
import enum
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Enum,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    TypeDecorator,
    Unicode,
    Uuid,
    func,
    literal_column,
)
from sqlalchemy.dialects.mysql import VARBINARY
from sqlalchemy.orm import registry, relationship
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import TypeEngine


class Grade(enum.Enum):
    LOW = 1
    HIGH = 2
    TOP = 3


class Cents(TypeDecorator[Decimal]):
    """An amount, kept as a whole number of cents."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: object) -> int | None:
        return None if value is None else int(value * 100)

    def process_result_value(self, value: int | None, dialect: object) -> Decimal | None:
        return None if value is None else Decimal(value) / 100


class Prefixed(TypeDecorator[str]):
    """A string that the database itself puts a prefix to, going in, and takes it off, coming out."""

    impl = String(20)
    cache_ok = True

    def bind_expression(self, bindparam: Any) -> ColumnElement[Any]:
        return literal_column("'k-'", String).concat(bindparam)

    def column_expression(self, column: Any) -> ColumnElement[Any]:
        return func.substr(column, 3)


@dataclass
class Kind:
    """A kind of key: the classes that were mapped for it, and some keys."""

    name: str
    types: Sequence[TypeEngine[Any]]
    keys: Sequence[tuple[Any, ...]]
    skip: dict[str, str] = field(default_factory=dict)  # database -> why it cannot hold these keys
    parent: Any = None
    child: Any = None

    def __repr__(self) -> str:
        return self.name


_TEXTS = [
    "plain",
    "it's",
    'say "hi"',
    "back\\slash",
    "[1, 2]",
    "{a,b}",
    "null",
    "",
    "1",
    "ünïcödé 🦉",
    "%s",
    "a:b",
    "a,b",
]
_DAY, _NOON = datetime.date(2026, 2, 28), datetime.datetime(2026, 2, 28, 12)
_DAYS = datetime.timedelta(days=1)
_NEXT, _ONE, _TWO = _DAY + _DAYS, uuid.UUID(int=1), uuid.UUID(int=2)

KINDS = [
    Kind("integer", [Integer()], [(1,), (2,), (0,), (-7,), (2**31 - 1,)]),
    Kind("big integer", [BigInteger()], [(2**62,), (2**53 + 1,), (-(2**63) + 1,), (5,)]),
    Kind("text", [String(40)], [(text,) for text in _TEXTS]),
    Kind("unicode", [Unicode(40)], [("Ω",), ("日本",), ("é",)]),
    Kind("nul", [String(40)], [("a\0b",), ("a\0c",), ("a",)], {"postgresql": "PostgreSQL stores no NUL"}),
    Kind("uuid", [Uuid()], [(uuid.UUID(int=number),) for number in (0, 1, 2**127 + 5)]),
    Kind("uuid as text", [Uuid(as_uuid=False)], [(str(uuid.UUID(int=number)),) for number in (1, 2, 2**127 + 5)]),
    Kind("date", [Date()], [(_DAY,), (_DAY + _DAYS,), (datetime.date(1970, 1, 1),)]),
    Kind("datetime", [DateTime()], [(_NOON,), (_NOON + _DAYS,), (datetime.datetime(1970, 1, 1),)]),
    Kind("enum", [Enum(Grade)], [(Grade.LOW,), (Grade.HIGH,), (Grade.TOP,)]),
    Kind("decimal", [Numeric(12, 2)], [(Decimal("1.50"),), (Decimal("-2.25"),), (Decimal("100.00"),)]),
    Kind("bytes", [LargeBinary().with_variant(VARBINARY(20), "mysql", "mariadb")], [(b"\0\1",), (b"\xff",), (b"a",)]),
    Kind("decorated", [Cents()], [(Decimal("1.25"),), (Decimal("99.99"),), (Decimal("-3.00"),)]),
    Kind("made by the database", [Prefixed()], [("abc",), ("xyz",), ("q",)]),
    Kind("pair", [String(10), Integer()], [("a", 1), ("a", 2), ("b", 1), ('"', 1), ("1", 1)]),
    Kind("triple", [Date(), Enum(Grade), Uuid()],
         [(_DAY, Grade.LOW, _ONE), (_DAY, Grade.TOP, _TWO), (_NEXT, Grade.LOW, _ONE)]),
]  # fmt: skip

metadata = MetaData()
_registry = registry(metadata=metadata)


def _map(number: int, kind: Kind) -> None:
    names = [f"k{position}" for position in range(len(kind.types))]
    parent = Table(
        f"key_parent_{number}",
        metadata,
        *(
            Column(name, type_, primary_key=True, autoincrement=False)
            for name, type_ in zip(names, kind.types, strict=True)
        ),
        Column("note", String(40)),
    )
    child = Table(
        f"key_child_{number}",
        metadata,
        Column("id", Integer, primary_key=True),
        *(Column(f"parent_{name}", type_) for name, type_ in zip(names, kind.types, strict=True)),
        ForeignKeyConstraint([f"parent_{name}" for name in names], [parent.c[name] for name in names]),
    )
    kind.parent = type(f"Parent{number}", (), {})
    kind.child = type(f"Child{number}", (), {})
    children = relationship(kind.child, back_populates="parent", order_by=child.c.id)
    _registry.map_imperatively(kind.parent, parent, properties={"children": children})
    back = relationship(kind.parent, back_populates="children")
    _registry.map_imperatively(kind.child, child, properties={"parent": back})


for _number, _kind in enumerate(KINDS):
    _map(_number, _kind)
