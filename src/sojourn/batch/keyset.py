"""The rows of a SELECT by chunks of their keys: each chunk begins behind the last row of the one before.

OFFSET skips rows when the job changes what its WHERE asks for, and reads all that it skips. A keyset does neither: the
position of a row is the values of its ORDER BY columns and of its primary key, and the next chunk is what comes behind
this position. A position is an opaque JSON text: kept in the ledger, handed around, never compared in Python.

Joins are for filtering. The keys are the class's own, so an object that a join brings several times has one position:
it comes once, and a LIMIT counts what the join made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import Dialect, Select, and_, false, func, or_, select, tuple_
from sqlalchemy.orm import Mapper
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.selectable import FromClause, Join
from sqlalchemy.types import BIGINT, INTEGER, SMALLINT, VARCHAR, BigInteger, Integer, SmallInteger, String

from sojourn.batch.ordering import Key, keys_of, own_tables
from sojourn.batch.ranges import Position
from sojourn.errors import UnsuitableStatementError
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.identity import primary_key
from sojourn.snapshot.codecs.numbers import BARE
from sojourn.snapshot.codecs.scalars import SCALARS
from sojourn.snapshot.codecs.tagged import FixedTags, tagged
from sojourn.sqlalchemy_internals import criteria_of, shaping_of

# MariaDB reads `(a, b) > (x, y)` row by row, without its index.
_ROW_VALUES = {"sqlite", "postgresql"}
_REMEDIES = {
    "limit": "process() cuts the chunks itself: leave it out, or choose the rows with where(...).",
    "offset": "process() cuts the chunks itself: leave it out, or choose the rows with where(...).",
    "fetch": "process() cuts the chunks itself: leave it out, or choose the rows with where(...).",
    "distinct": "Leave it out: each object comes once anyway.",
    "group_by": "Choose the rows with where(...), for example with exists() or in_(select(...)).",
    "having": "Choose the rows with where(...), for example with exists() or in_(select(...)).",
    "ext": "Leave it out: each object comes once anyway. Choose the rows with where(...).",
    "with_for_update": "Leave it out: the rows of a chunk are locked where the database can.",
}
# Types of which SQLAlchemy gives what the driver gave, on every database.
_AS_THEY_COME = {BigInteger, Integer, SmallInteger, String, *(BIGINT, INTEGER, SMALLINT, VARCHAR)}
# Told by its Python type, one form a value: what a driver gives for a key is none but these.
_CODEC = tagged(BARE, FixedTags(SCALARS))


@dataclass(frozen=True, eq=False)
class Keyset:
    """The rows of one SELECT in a total order. Made by `keyset_of`."""

    statement: Select[Any]  # without its ORDER BY
    mapper: Mapper[Any]
    keys: tuple[Key, ...]
    dialect: Dialect

    def read(
        self, *, after: Position | None = None, upto: Position | None = None, limit: int | None = None
    ) -> Select[Any]:
        """The SELECT of one chunk: rows of the object and, where they are needed, its keys, in order.

        Read it with `.unique()`: the object is `row[0]`, its place `position(row)`.

        `after` and `upto` are positions (None: from the beginning, to the end), `limit` a number of rows. No rows: the
        range holds none any more. The options of the statement stay. Pure.
        """
        statement = self.statement.limit(limit)
        if self._in_identity is None:
            statement = statement.add_columns(*(key.read for key in self.keys))
        return self._between(statement, after, upto).order_by(*self._order(self.keys))

    def last(self) -> Select[Any]:
        """The SELECT of the keys of the last row: `position` of its one row is the upper bound. Pure."""
        keys = [key.flipped() for key in self.keys]
        return self._columns(key.read for key in keys).order_by(*self._order(keys)).limit(1)

    def count(self, *, after: Position | None = None, upto: Position | None = None) -> Select[Any]:
        """The SELECT of the number of objects between two positions. Pure."""
        chosen = self._between(self._columns(self.mapper.primary_key), after, upto)
        if not self._is_alone:
            chosen = chosen.distinct()
        # Criteria for a class count for the whole statement; options of a subquery would be lost.
        return select(func.count()).select_from(chosen.subquery()).options(*criteria_of(self.statement))

    def after(self, position: Position) -> ColumnElement[bool]:
        """The condition for rows behind a position. Pure."""
        return self._beyond(self.keys, self.values(position), inclusive=False)

    def upto(self, position: Position) -> ColumnElement[bool]:
        """The condition for rows at a position and before it. Pure."""
        return self._beyond([key.flipped() for key in self.keys], self.values(position), inclusive=True)

    def position(self, row: Sequence[Any]) -> Position:
        """The position of a row of `read` or of `last`: where it was read, whatever was set on the object since.

        Take it before a flush: one that changes the primary key changes the object's identity.

        Raises UnsuitableStatementError for a value that no text can hold. Pure.
        """
        values: Sequence[Any] = row[-len(self.keys) :]
        if self._in_identity is not None and isinstance(row[0], self.mapper.class_):
            identity = primary_key(row[0])
            values = [identity[place] for place in self._in_identity]
        try:
            return msgspec.json.encode(_CODEC.outgoing(values, wide=True)).decode()
        except ValueError as error:
            raise UnsuitableStatementError(
                f"A row of {self.mapper.class_.__name__} {error} in its ORDER BY", "Order by something else."
            ) from error

    def places(
        self, *, after: Position | None = None, upto: Position | None = None, limit: int | None = None
    ) -> Select[Any]:
        """The SELECT of the keys of a chunk's rows, in order: what `position` takes, and no object. Pure."""
        statement = self._columns(key.read for key in self.keys).limit(limit)
        return self._between(statement, after, upto).order_by(*self._order(self.keys))

    def only(self, position: Position) -> Select[Any]:
        """The SELECT of the one row of a position, by its primary key, as `read` gives it: no row if it is gone, or if
        the statement does not want it any more. Pure."""
        values = self.values(position)
        same = [self.keys[place].compared == self.keys[place].bind(values[place]) for place in self._of_primary_key]
        statement = self.statement.where(*same)
        return statement if self._in_identity is not None else statement.add_columns(*(key.read for key in self.keys))

    def identity(self, position: Position) -> str:
        """The primary key in a position, as JSON text. Pure."""
        values = self.values(position)
        found = [values[place] for place in self._of_primary_key]
        return msgspec.json.encode(_CODEC.outgoing(found, wide=True)).decode()

    @cached_property
    def is_primary_key(self) -> bool:
        """Whether the rows are ordered by nothing but their primary key."""
        return len(self._of_primary_key) == len(self.keys)

    def values(self, position: Position) -> Sequence[Any]:
        """What a position holds: the values of the keys, as the driver takes them. Pure."""
        return _CODEC.incoming(msgspec.json.decode(position))

    @cached_property
    def sql(self) -> str:
        """The statement as a person reads it, without the values of its parameters."""
        return str(self.read().compile(dialect=self.dialect))

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over the statement, the values of its parameters and the class's mapping."""
        parameters = self.read().compile(dialect=self.dialect).params
        parts = (self.sql, repr(sorted(parameters.items())), blueprint(self.mapper).fingerprint)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def _in_identity(self) -> list[int] | None:
        """The places of the keys in the object's identity, where it tells them exactly as the driver gave them: then
        they need not be read again, which would cost a tenth of the loading."""
        places = {hash(column): place for place, column in enumerate(self.mapper.primary_key)}
        found = [places.get(hash(key.expression)) for key in self.keys]
        plain = all(type(column.type) in _AS_THEY_COME for column in self.mapper.primary_key)
        return [place for place in found if place is not None] if plain and None not in found else None

    @cached_property
    def _of_primary_key(self) -> list[int]:
        """The places among the keys where the primary key's columns are, in its order."""
        places = {hash(key.expression): place for place, key in enumerate(self.keys)}
        return [places[hash(column)] for column in self.mapper.primary_key]

    def _columns(self, columns: Any) -> Select[Any]:
        return self.statement.with_only_columns(*columns, maintain_column_froms=True)

    def _between(self, statement: Select[Any], after: Position | None, upto: Position | None) -> Select[Any]:
        if after is not None:
            statement = statement.where(self.after(after))
        return statement if upto is None else statement.where(self.upto(upto))

    def _order(self, keys: Sequence[Key]) -> list[ColumnElement[Any]]:
        return [one for key in keys for one in key.order_by(self.dialect)]

    @cached_property
    def _is_alone(self) -> bool:
        """Whether no join can bring an object several times."""
        own, chosen = own_tables(self.mapper), self._columns(self.mapper.primary_key)
        return all(table in own for one in chosen.get_final_froms() for table in _tables(one))

    def _beyond(self, keys: Sequence[Key], values: Sequence[Any], *, inclusive: bool) -> ColumnElement[bool]:
        """What comes behind these values in the order of the keys: lexicographic, from the last key to the first."""
        if len(keys) > 1 and self.dialect.name in _ROW_VALUES and _are_uniform(keys, values):
            row = tuple_(*(key.compared for key in keys))
            bound = tuple_(*(key.bind(value) for key, value in zip(keys, values, strict=True)))
            if keys[0].descending:
                return row <= bound if inclusive else row < bound
            return row >= bound if inclusive else row > bound
        *first, last = zip(keys, values, strict=True)
        condition = _later(*last) if not inclusive else or_(_later(*last), _same(*last))
        for key, value in reversed(first):
            condition = or_(_later(key, value), and_(_same(key, value), condition))
        if first and not _nulls_follow(*first[0]):
            condition = and_(_not_before(*first[0]), condition)  # true anyway: it is what an index can use
        return condition


def keyset_of(statement: Any, dialect: Dialect) -> Keyset:
    """The keyset of a SELECT of exactly one mapped class, on one database.

    Its order is the statement's ORDER BY: attributes of the class and SQL expressions of them, ascending or descending,
    with NULLs where the statement or else the database puts them. What is missing of the primary key comes behind, in
    the direction of the last one. A column that the mapping calls NOT NULL is taken at its word.

    Parameters:
        statement: `select(Model)` with where(), join(), order_by(), options(), … An object that a join brings several
            times comes once.
        dialect: of the database that it will run on: `session.get_bind(...).dialect`.

    Raises:
        UnsuitableStatementError: the statement selects something else than one mapped class; it has LIMIT, OFFSET,
            DISTINCT, GROUP BY, HAVING or FOR UPDATE; it is a UNION; it is ordered by a text, by columns of another
            table, at random, or by a type that cannot be compared exactly (Interval, JSON, MariaDB's ENUM, …).

    Database: none.
    """
    mapper = _mapper_of(statement)
    for clause in shaping_of(statement):
        raise UnsuitableStatementError(f"The statement has .{clause}(...)", _REMEDIES[clause])
    return Keyset(statement.order_by(None), mapper, keys_of(statement, mapper, dialect), dialect)


def _mapper_of(statement: Any) -> Mapper[Any]:
    if not isinstance(statement, Select):
        raise UnsuitableStatementError(
            f"{type(statement).__name__} is not a SELECT of one mapped class",
            "Pass select(Model); instead of a UNION, where(or_(...)) or where(Model.id.in_(union)).",
        )
    found = statement.column_descriptions
    if len(found) == 1 and found[0]["expr"] is found[0]["type"] and not found[0].get("aliased"):
        return blueprint(found[0]["type"]).mapper
    names = ", ".join(str(one["name"]) for one in found)
    raise UnsuitableStatementError(
        f"The statement selects {names}, and not exactly one mapped class",
        "Pass select(Model), the class itself and no alias of it. What else you need, load with options(...).",
    )


def _tables(one: FromClause) -> list[FromClause]:
    return [*_tables(one.left), *_tables(one.right)] if isinstance(one, Join) else [one]


def _are_uniform(keys: Sequence[Key], values: Sequence[Any]) -> bool:
    """Whether `(a, b) > (x, y)` says it all: one direction, and no NULL in the rows or in the values."""
    return len({key.descending for key in keys}) == 1 and not any(key.nullable for key in keys) and None not in values


def _nulls_follow(key: Key, value: Any) -> bool:
    """Whether no bound holds for what comes behind a value: NULLs do, or the value is the NULL that is first."""
    return key.nulls_first if value is None else key.nullable and not key.nulls_first


def _later(key: Key, value: Any) -> ColumnElement[bool]:
    if value is None:
        return key.compared.is_not(None) if key.nulls_first else false()
    bound = key.bind(value)
    beyond = key.compared < bound if key.descending else key.compared > bound
    return or_(beyond, key.compared.is_(None)) if _nulls_follow(key, value) else beyond


def _same(key: Key, value: Any) -> ColumnElement[bool]:
    return key.compared.is_(None) if value is None else key.compared == key.bind(value)


def _not_before(key: Key, value: Any) -> ColumnElement[bool]:
    if value is None:
        return _same(key, value)
    bound = key.bind(value)
    return key.compared <= bound if key.descending else key.compared >= bound
