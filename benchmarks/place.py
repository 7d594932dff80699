"""A data set in one database, and the judge of what comes of it.

The expected rows are the values that were inserted, not what any side read, so no verb under test has a part in them.
"""

from __future__ import annotations

import base64
import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from itertools import zip_longest
from typing import Any, ClassVar, TypeAlias
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.orm import DeclarativeBase, Session

Row: TypeAlias = dict[str, Any]


class WrongResultError(Exception):
    """A side's answer is not what the rows and the edits say."""


class Place(ABC):
    """One data set in one database. Every side leaves it as it found it."""

    data: ClassVar[str]
    base: ClassVar[type[DeclarativeBase]]

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine

    @property
    @abstractmethod
    def objects(self) -> int:
        """How many there are."""

    @abstractmethod
    def load(self, session: Session) -> list[Any]:
        """The roots with all that hangs on them, in the order of their ids."""

    @abstractmethod
    def expect_objects(self, roots: Sequence[Any]) -> None:
        """These objects hold exactly the rows, all loaded. Raises WrongResultError."""

    @abstractmethod
    def expect_plain(self, roots: Sequence[Row]) -> None:
        """This nested data, as it was read from JSON, says exactly the same. Raises WrongResultError."""

    def detached(self) -> list[Any]:
        """The roots, read and let go by SQLAlchemy alone, so that no side is fed by a verb of the other."""
        with Session(self.engine) as session:
            roots = self.load(session)
            session.expunge_all()
        return roots


def compare(table: str, found: Iterable[Row], expected: Iterable[Row]) -> None:
    """The same rows, with values of the same types. Raises WrongResultError with the first that is not."""
    pairs = list(zip_longest(found, expected))
    wrong = [(is_, should) for is_, should in pairs if not _same(is_, should)]
    if wrong:
        is_, should = wrong[0]
        raise WrongResultError(
            f"{len(wrong)} of {len(pairs)} rows of {table} are wrong; the first is {is_}, expected {should}"
        )


def types_of(rows: Iterable[Row]) -> dict[str, type]:
    """The type of each column's values."""
    types: dict[str, type] = {}
    for row in rows:
        types |= {key: type(value) for key, value in row.items() if key not in types and value is not None}
    return types


def as_row(plain: Mapping[str, Any], types: Mapping[str, type]) -> Row:
    """What plain data says about the columns."""
    return {key: _read(type_, plain.get(key)) for key, type_ in types.items()}


def _same(found: Row | None, expected: Row | None) -> bool:
    # 1 == True == 1.0 == Decimal(1), so equality alone would not do.
    return found == expected and (
        found is None or expected is None or all(type(found[key]) is type(expected[key]) for key in expected)
    )


def _read(type_: type, value: Any) -> Any:
    """A value that JSON has no type for, in any of the forms that are in use."""
    if value is None:
        return None
    if issubclass(type_, enum.Enum):
        return type_[value] if value in type_.__members__ else type_(value)
    if issubclass(type_, Decimal):
        return Decimal(str(value))
    if issubclass(type_, date):  # datetime as well
        return type_.fromisoformat(value)
    if issubclass(type_, bytes):
        return base64.urlsafe_b64decode(value.replace("+", "-").replace("/", "_").rstrip("=") + "==")
    return UUID(value) if issubclass(type_, UUID) else value
