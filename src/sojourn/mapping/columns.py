"""What a column of a mapping is, and what its type says of its values."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Interval
from sqlalchemy.orm import ColumnProperty, Mapper
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine

_IMMUTABLE = (
    int, float, str, bytes, bool, decimal.Decimal, uuid.UUID, enum.Enum,
    datetime.date, datetime.time, datetime.timedelta,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ColumnAttribute:
    """One attribute that is a column, or an SQL expression that is loaded like one."""

    key: str
    column: ColumnElement[Any]
    type: TypeEngine[Any]
    primary_key: bool
    foreign_key: bool
    deferred: bool
    stored: bool  # False for SQL expressions (column_property): read, never written
    mutable: bool  # the value may be changed in place, so a base needs a copy
    generated: bool  # the database or the mapping makes a value where none is given
    group: str | None = None  # of deferred columns that are loaded together
    query_only: bool = False  # query_expression(): a query gives it a value, the database knows none


def column_attribute(mapper: Mapper[Any], prop: ColumnProperty[Any]) -> ColumnAttribute:
    """What a mapper says of one of its columns. Database: none."""
    column = prop.columns[0]
    stored = isinstance(column, Column)
    return ColumnAttribute(
        key=prop.key,
        column=column,
        type=column.type,
        primary_key=any(column in mapper.primary_key for column in prop.columns),
        foreign_key=any(getattr(column, "foreign_keys", ()) for column in prop.columns),
        deferred=prop.deferred,
        stored=stored,
        mutable=_is_mutable(column.type),
        generated=any(isinstance(one, Column) and _is_generated(one) for one in prop.columns),
        group=prop.group,
        query_only=("query_expression", True) in prop.strategy_key,
    )


def _is_generated(column: Column[Any]) -> bool:
    return (
        column.server_default is not None
        or column.default is not None
        or getattr(column.table, "autoincrement_column", None) is column  # a mapped subquery has none
    )


def _is_mutable(type_: TypeEngine[Any]) -> bool:
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        return True  # what it makes of its column's type is its own business: a dict of a string, say
    python_type = python_type_of(type_)
    return python_type is None or not issubclass(python_type, _IMMUTABLE)


def primary_key_of(mapper: Mapper[Any]) -> tuple[str, ...]:
    """The attributes of the primary key, in its order. Database: none."""
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def mapped_keys(mapper: Mapper[Any], columns: Iterable[Any]) -> tuple[str, ...]:
    """The attributes that map these columns; empty if one of them is not mapped. Database: none."""
    try:
        return tuple(mapper.get_property_by_column(column).key for column in columns)
    except UnmappedColumnError:
        return ()


def python_type_of(type_: TypeEngine[Any]) -> type | None:
    """The Python type of a type's values, None where it does not say: SQLAlchemy 2.0 raises then, and 2.1 says object.

    Database: none.
    """
    try:
        python_type = type_.python_type
    except NotImplementedError:
        return None
    return None if python_type is object else python_type
