"""Types that users make: TypeDecorators and UserDefinedTypes, with what sojourn knows of their values and what not.

Those that need it are registered at the end, when this module is imported, as in an application.
"""

from __future__ import annotations

import enum
import ipaddress
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, DateTime, Integer, String, Text, types
from sqlalchemy.ext.mutable import MutableSet

from sojourn.snapshot.values import register_type


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 2**70


class Status(enum.StrEnum):
    OPEN = "open"
    SHUT = "shut"


@dataclass(frozen=True)
class Money:
    """A Python class that sojourn is told of."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    @classmethod
    def parse(cls, text: str) -> Money:
        amount, currency = text.split(" ")
        return cls(Decimal(amount), currency)


@dataclass(frozen=True)
class Pair:
    """A Python class that nobody told sojourn of."""

    one: int


class Shout(types.TypeDecorator[str]):
    """Its Python values are those of its impl."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value and value.upper()


class UtcDateTime(types.TypeDecorator[datetime]):
    """Of its impl's type, but always with a zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value and value.replace(tzinfo=UTC)


class IPAddress(types.TypeDecorator[Any]):
    """Not of its impl's type, and does not say so."""

    impl = String(45)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else ipaddress.ip_address(value)


class JSONText(types.TypeDecorator[Any]):
    """JSON in a column of text, as SQLAlchemy's documentation shows it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


class ExactDecimal(types.TypeDecorator[Decimal]):
    """A Decimal as text, so that nothing of it is lost on any database."""

    impl = String(60)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Decimal | None:
        return None if value is None else Decimal(value)

    def compare_values(self, x: Any, y: Any) -> bool:  # a signalling NaN cannot be compared
        return str(x) == str(y)


class BigNumber(types.TypeDecorator[int]):
    """An integer as text; it says what its Python type is."""

    impl = Text
    cache_ok = True

    @property
    def python_type(self) -> type[int]:
        return int

    def process_bind_param(self, value: int | None, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> int | None:
        return None if value is None else int(value)


class RightsType(types.TypeDecorator[Rights]):
    """A Flag by its number, which says what its Python type is."""

    impl = Text
    cache_ok = True

    @property
    def python_type(self) -> type[Rights]:
        return Rights

    def process_bind_param(self, value: Rights | None, dialect: Any) -> str | None:
        return None if value is None else str(value.value)

    def process_result_value(self, value: str | None, dialect: Any) -> Rights | None:
        return None if value is None else Rights(int(value))


class LevelType(types.TypeDecorator[Level]):
    """An IntEnum by its number; registered as an SQLAlchemy type."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Level | None, dialect: Any) -> int | None:
        return None if value is None else int(value)

    def process_result_value(self, value: int | None, dialect: Any) -> Level | None:
        return None if value is None else Level(value)


class MoneyType(types.TypeDecorator[Money]):
    """Its values are of a registered Python class, and it does not say so."""

    impl = String(60)
    cache_ok = True

    def process_bind_param(self, value: Money | None, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Money | None:
        return None if value is None else Money.parse(value)


class SetType(types.TypeDecorator[set[str]]):
    """A set in a JSON column; registered with a list as its wire."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: set[str] | None, dialect: Any) -> list[str] | None:
        return None if value is None else sorted(value)

    def process_result_value(self, value: list[str] | None, dialect: Any) -> set[str] | None:
        return None if value is None else set(value)


class Place(types.UserDefinedType[Any]):
    """A type of a database's extension: nothing is known of its Python values."""

    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "TEXT"


TrackedSet = MutableSet.as_mutable(SetType())

register_type(LevelType, to_wire=lambda level: level.name, from_wire=Level.__getitem__)
register_type(Money, to_wire=str, from_wire=Money.parse)
register_type(SetType, to_wire=sorted, from_wire=set, wire=list)
