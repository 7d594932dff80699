"""How a set of keys travels to the database: as one parameter where it can.

`IN (…)` with a thousand placeholders is parsed anew for each length and costs twice the time of one array. PostgreSQL
takes an array (`= ANY(:keys)`), SQLite takes a JSON document (`json_each(:keys)`); elsewhere the keys go in chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec.json
from sqlalchemy import ARRAY, Dialect, and_, any_, bindparam, func, or_, select, tuple_
from sqlalchemy.sql import ColumnElement

CHUNK = 1000
_ROW_VALUES = {"postgresql", "sqlite", "mysql", "mariadb", "oracle"}

Key = tuple[Any, ...]


def within(dialect: Dialect, columns: Sequence[ColumnElement[Any]], keys: Iterable[Key]) -> list[ColumnElement[bool]]:
    """The conditions under which `columns` are one of `keys`: one condition a chunk, none for no keys. Pure."""
    wanted = list(keys if isinstance(keys, dict) else dict.fromkeys(keys))
    if not wanted:
        return []
    # A type that wraps its values in SQL does so for each value; an array or a document would go without it.
    wrapped = any(column.type.dialect_impl(dialect).bind_expression(bindparam(None)) is not None for column in columns)
    if dialect.name == "postgresql" and not wrapped:
        return [_arrays(columns, wanted)]
    if dialect.name == "sqlite" and sqlite_reads_json(dialect) and not wrapped:
        document = _json_document(dialect, columns, wanted)
        if document is not None:
            return [_json(columns, document)]
    return [_placeholders(dialect, columns, wanted[start : start + CHUNK]) for start in range(0, len(wanted), CHUNK)]


def at_once(dialect: Dialect) -> bool:
    """Whether keys travel as one parameter, as a rule. Pure."""
    return dialect.name == "postgresql" or (dialect.name == "sqlite" and sqlite_reads_json(dialect))


def pointed(key: Key) -> Key | None:
    """A foreign key as a reference: one with an empty part points nowhere."""
    return None if None in key else key


def sqlite_reads_json(dialect: Dialect) -> bool:
    """SQLite carries its JSON functions in every build since 3.38."""
    version: tuple[int, ...] = getattr(dialect.dbapi, "sqlite_version_info", (0,))
    return version >= (3, 38)


def _arrays(columns: Sequence[ColumnElement[Any]], keys: Sequence[Key]) -> ColumnElement[bool]:
    arrays = [
        bindparam(None, [key[position] for key in keys], type_=ARRAY(column.type), unique=True)
        for position, column in enumerate(columns)
    ]
    if len(columns) == 1:
        return columns[0] == any_(arrays[0])
    unnested = func.unnest(*arrays).table_valued(*(f"k{position}" for position in range(len(columns)))).render_derived()
    return tuple_(*columns).in_(select(*unnested.c))


def _json_document(dialect: Dialect, columns: Sequence[ColumnElement[Any]], keys: Sequence[Key]) -> str | None:
    """The keys as SQLite stores them, in JSON; None where one of them has no exact form there."""
    processors = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns]
    stored: list[list[Any]] = []  # by column
    for process, values in zip(processors, zip(*keys, strict=True), strict=True):
        stored.append(list(values) if process is None else [process(value) for value in values])
        kinds = set(map(type, stored[-1]))
        if not kinds <= {int, str} or (
            str in kinds and any("\0" in value for value in stored[-1] if type(value) is str)
        ):
            return None
    return msgspec.json.encode(stored[0] if len(columns) == 1 else list(zip(*stored, strict=True))).decode()


def _json(columns: Sequence[ColumnElement[Any]], document: str) -> ColumnElement[bool]:
    each = func.json_each(bindparam(None, document, unique=True)).table_valued("value")
    if len(columns) == 1:
        return columns[0].in_(select(each.c.value))
    return tuple_(*columns).in_(select(*(func.json_extract(each.c.value, f"$[{i}]") for i in range(len(columns)))))


def _placeholders(dialect: Dialect, columns: Sequence[ColumnElement[Any]], keys: Sequence[Key]) -> ColumnElement[bool]:
    if len(columns) == 1:
        return columns[0].in_([key[0] for key in keys])
    if dialect.name in _ROW_VALUES:
        return tuple_(*columns).in_(list(keys))
    return or_(*(and_(*(column == value for column, value in zip(columns, key, strict=True))) for key in keys))
