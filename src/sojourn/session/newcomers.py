"""Instances for rows that somebody else added while we were away.

The SELECT that told who is in a collection has read their columns already, so most are built from that. Where it did
not (members through a third table, classes with columns elsewhere), they are loaded, one SELECT a table and chunk.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Mapper, Session, lazyload

from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.identity import make_identity
from sojourn.session.keys import Key, within
from sojourn.session.rows import Reader, TableRead, dialect_of
from sojourn.session.shards import bind_arguments
from sojourn.sqlalchemy_internals import build_persistent


def bring(session: Session, plan: Blueprint, keys: Iterable[Key], reader: Reader, *, eagerly: bool = True) -> list[Any]:
    """Persistent instances for these primary keys, none of which the session holds.

    `eagerly`: with the relationships that the mapping loads eagerly, so only when all who come home are in the session.
    The session holds its objects weakly: the caller keeps the result until it is a member of something. Database: may
    load.
    """
    read = reader.tables.get(plan.table)
    found: list[Any] = []
    absent: list[Key] = []
    for key in keys:
        built = _build(session, plan, key, read) if read is not None else None
        if built is None:
            absent.append(key)
        else:
            found.append(built)
    columns = [getattr(plan.class_, name) for name in plan.primary_key]  # a class of its own may stand for its table
    for condition in within(dialect_of(session, plan.mapper), columns, absent):
        reader.statements += 1
        statement: Select[Any] = select(plan.class_).where(condition)
        statement = statement if eagerly else statement.options(lazyload("*"))
        found.extend(session.scalars(statement, bind_arguments=bind_arguments(session)).unique())
    return found


def _build(session: Session, plan: Blueprint, key: Key, read: TableRead) -> Any:
    row = read.rows.get(key)
    wanted = [name for name, column in plan.columns.items() if not column.deferred]
    if row is None or any(plan.columns[name].column not in read.columns for name in wanted):
        return None
    mapper = _mapper_of(plan, row, read)
    if mapper is None:
        return None
    values = {name: row[read.columns[plan.columns[name].column]] for name in wanted}
    return build_persistent(session, mapper, make_identity(plan, key), values)


def _mapper_of(plan: Blueprint, row: Any, read: TableRead) -> Mapper[Any] | None:
    """The mapper of a row: of its class, where a column tells the class; None where that column was not read."""
    discriminator: Any = plan.mapper.polymorphic_on
    if discriminator is None:
        return plan.mapper
    position = read.columns.get(discriminator)
    found = None if position is None else plan.mapper.polymorphic_map.get(row[position])
    # A subclass has columns of its own; SQLAlchemy's loader knows how each of its classes wants them.
    return found if found is not None and blueprint(found).columns.keys() == plan.columns.keys() else None
