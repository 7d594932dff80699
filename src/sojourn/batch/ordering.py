"""By what a statement's rows are ordered: the ORDER BY of a SELECT of one class, made total by the primary key.

A chunk ends at a row, and the next one begins behind it. So what was read of the row's keys must mean to the database
exactly what the row holds: a DECIMAL that came as a rounded float, or a text that a TypeDecorator changed, would lose
rows or read them twice. Keys are therefore read and compared past the mapping's own conversions, in the plainest type
that each database and its drivers carry exactly:

- SQLite and MariaDB: what the driver gives (a DATETIME of SQLite is a text, a NUMERIC a float or an int). Only FLOAT of
  MariaDB is read as DOUBLE, because it shows six digits of what it holds.
- PostgreSQL: integers as BIGINT and decimals as NUMERIC, so that a narrower type in the mapping cuts nothing off;
  floats as DOUBLE PRECISION, because a REAL shows fewer digits than it compares; strings and enums without a type, so
  that the column's own comparison counts (CITEXT, CHAR, enum).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BindParameter,
    Dialect,
    Select,
    bindparam,
    cast,
    literal_column,
    type_coerce,
)
from sqlalchemy.dialects.mysql import SET
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.elements import ColumnClause
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.selectable import ScalarSelect
from sqlalchemy.types import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    NullType,
    Numeric,
    String,
    Time,
    TypeDecorator,
    TypeEngine,
    Uuid,
)

from sojourn.errors import UnsuitableStatementError
from sojourn.sqlalchemy_internals import Ordering, orderings_of, variant_for

# Where NULL comes last in ascending order if nobody says otherwise. Elsewhere (SQLite, MariaDB, …) it comes first.
_NULLS_LARGEST = {"postgresql", "oracle"}
_NULLS_BY_EXPRESSION = {"mysql", "mariadb", "mssql"}  # no NULLS FIRST in their language
_MYSQL = {"mysql", "mariadb"}
_EXACT = (Integer, Numeric, String, Boolean, Date, DateTime, Time, Uuid, LargeBinary)
_TEXTS = {"lower", "upper", "trim", "ltrim", "rtrim"}  # functions that SQLAlchemy does not say the type of
_RANDOM = {"random", "rand", "newid"}


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """One element of the order. `nulls_first` says where NULLs come, `explicit` whether the statement must say so."""

    expression: ColumnElement[Any]  # as in the ORDER BY
    compared: ColumnElement[Any]  # the same, in the type that values are compared in
    read: ColumnElement[Any]  # how its value is selected
    type: TypeEngine[Any]
    descending: bool
    nulls_first: bool
    explicit: bool
    nullable: bool

    def flipped(self) -> Key:
        """The same key in the opposite order."""
        return Key(
            *(self.expression, self.compared, self.read, self.type),
            *(not self.descending, not self.nulls_first, self.explicit, self.nullable),
        )

    def order_by(self, dialect: Dialect) -> list[ColumnElement[Any]]:
        """What the ORDER BY says of this key, on a database."""
        one: ColumnElement[Any] = self.expression.desc() if self.descending else self.expression.asc()
        if not self.explicit:
            return [one]
        if dialect.name in _NULLS_BY_EXPRESSION:
            empty = self.expression.is_(None)
            return [empty.desc() if self.nulls_first else empty.asc(), one]
        return [one.nulls_first() if self.nulls_first else one.nulls_last()]

    def bind(self, value: Any) -> BindParameter[Any]:
        """A value of this key as a parameter."""
        type_ = self.type
        if isinstance(value, datetime.datetime) and isinstance(type_, DateTime):
            type_ = DateTime(timezone=value.tzinfo is not None)  # what the column is, whatever the mapping says
        return bindparam(None, value, type_=type_, unique=True)


def keys_of(statement: Select[Any], mapper: Mapper[Any], dialect: Dialect) -> tuple[Key, ...]:
    """The keys of a statement of one class, with the primary key behind them. Raises UnsuitableStatementError. Pure."""
    missing = list(mapper.primary_key)
    orderings: list[Ordering] = []
    for ordering in orderings_of(statement):
        if not missing:
            break  # the primary key is complete: nothing behind it can change the order
        _check(ordering.expression, mapper)
        orderings.append(ordering)
        missing = [column for column in missing if not _is_same(ordering.expression, column, mapper)]
    # In the direction of the last key: one index, read one way, serves both.
    descending = orderings[-1].descending if orderings else False
    orderings += [Ordering(column, descending, None) for column in missing]
    return tuple(_key(place, one, mapper, dialect) for place, one in enumerate(orderings))


def own_tables(mapper: Mapper[Any]) -> set[Any]:
    """What the columns of a class are columns of: its tables, or what else it is mapped to."""
    columns = (*mapper.selectable.c, *mapper.persist_selectable.c)
    return {*mapper.tables, *(column.table for column in columns if isinstance(column, ColumnClause))}


def _key(place: int, ordering: Ordering, mapper: Mapper[Any], dialect: Dialect) -> Key:
    expression = ordering.expression
    type_ = _type(expression, mapper, dialect)
    default = ordering.descending == (dialect.name in _NULLS_LARGEST)
    nulls_first = default if ordering.nulls_first is None else ordering.nulls_first
    read: ColumnElement[Any] = type_coerce(expression, type_)
    if isinstance(type_, Double):
        read = cast(expression, type_)
        if dialect.name in _MYSQL:  # which casts to FLOAT only
            read = type_coerce(expression.op("+")(literal_column("0e0")), type_)
    nullable = _is_nullable(expression, mapper)
    return Key(
        *(expression, type_coerce(expression, type_), read.label(f"sojourn_key_{place}"), type_),
        *(ordering.descending, nulls_first, nullable and nulls_first != default, nullable),
    )


def _check(expression: Any, mapper: Mapper[Any]) -> None:
    if not isinstance(expression, ColumnElement) or _kind(expression) == "textual_label_reference":
        raise UnsuitableStatementError(
            f"ORDER BY {expression} is a text of which only the database knows what it means",
            f"Order by attributes of the class: order_by({mapper.class_.__name__}.attribute).",
        )
    own = own_tables(mapper)
    for part in _parts(expression):
        if isinstance(part, ColumnClause) and part.table not in own:
            raise UnsuitableStatementError(
                f"ORDER BY {expression} is not of {mapper.class_.__name__} alone, so one object could come at several "
                "places",
                f"Order by columns of {mapper.class_.__name__}, or by a scalar subquery: "
                "select(...).scalar_subquery(), a column_property.",
            )
        if isinstance(part, FunctionElement) and _name(part) in _RANDOM:
            raise UnsuitableStatementError(
                f"ORDER BY {expression} is another order each time", "Order by columns, or by nothing: the primary key."
            )
        if _kind(part) == "over":
            raise UnsuitableStatementError(
                f"ORDER BY {expression} is a window function, which no WHERE can compare", "Order by columns."
            )


def _kind(part: Any) -> str:
    """What SQLAlchemy calls this kind of clause; not all of them have public classes."""
    return str(getattr(part, "__visit_name__", ""))


def _name(function: FunctionElement[Any]) -> str:
    return str(getattr(function, "name", "")).lower()


def _parts(expression: Any) -> Iterator[Any]:
    """An expression and what it is made of, but not what is inside a scalar subquery: it gives one value a row."""
    yield expression
    if not isinstance(expression, ScalarSelect):
        for child in expression.get_children():
            yield from _parts(child)


def _is_same(expression: Any, column: Any, mapper: Mapper[Any]) -> bool:
    """Whether an expression is a column of the primary key, also by its other name in an inheritance chain."""
    names = mapper.get_property_by_column(column).columns
    return any(expression is one or _is_column(expression, one) for one in names)


def _is_column(expression: Any, column: Any) -> bool:
    # An attribute's column is an annotated copy with the hash of its original.
    return isinstance(expression, ColumnClause) and hash(expression) == hash(column) and expression.key == column.key


def _is_nullable(expression: Any, mapper: Mapper[Any]) -> bool:
    own = {hash(column): column for column in mapper.columns}
    if isinstance(expression, ColumnClause) and hash(expression) in own:
        return bool(getattr(own[hash(expression)], "nullable", True))
    return True


def _type(expression: ColumnElement[Any], mapper: Mapper[Any], dialect: Dialect) -> TypeEngine[Any]:
    if dialect.name == "sqlite":
        return NullType()
    type_ = _underlying(expression.type, dialect)
    if isinstance(expression, FunctionElement) and isinstance(type_, NullType) and _name(expression) in _TEXTS:
        type_ = String()
    if isinstance(type_, Float):
        return Double()
    if not isinstance(type_, _EXACT) or isinstance(type_, (SET, Interval)) or _is_numbered(type_, dialect):
        raise UnsuitableStatementError(
            f"ORDER BY {expression}: a value of the type {type(expression.type).__name__} cannot be compared exactly "
            f"as {dialect.name} orders it",
            "Order by a number, a date, a text or a UUID that stands for it: "
            f"order_by(cast({mapper.class_.__name__}.attribute, String)), or say of which type an SQL function is: "
            "type_coerce(func.f(...), Integer).",
        )
    if dialect.name in _MYSQL or isinstance(type_, String):
        return NullType()
    if isinstance(type_, Integer):
        return BigInteger()
    return Numeric() if isinstance(type_, Numeric) else type_


def _is_numbered(type_: TypeEngine[Any], dialect: Dialect) -> bool:
    """MariaDB orders an ENUM by the numbers of its values, and compares it by their text."""
    return dialect.name in _MYSQL and isinstance(type_, Enum) and type_.native_enum


def _underlying(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type of the values in the database: of a dialect's variant, and below what decorates it."""
    # Not its dialect_impl: what a driver adapts a FLOAT to need not say that it is one.
    found = variant_for(type_, dialect)
    while isinstance(found, TypeDecorator) and not isinstance(found, Interval):
        found = variant_for(found.load_dialect_impl(dialect), dialect)
    return found
