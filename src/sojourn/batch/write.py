"""What a chunk's objects have become, as one UPDATE for each set of columns.

A flush spends most of its time on what a chunk mostly does not need: what depends on what, and each object's
parameters one by one. Where nothing but plain columns of one table changed and nobody listens, the same rows are
written at once. Everything else is left to the flush, and the database is the same either way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ARRAY, Column, Connection, Table, Text, bindparam, func, update
from sqlalchemy import types as sqltypes
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.exc import StaleDataError
from sqlalchemy.sql import ClauseElement

from sojourn.mapping.blueprint import blueprint
from sojourn.sqlalchemy_internals import (
    State,
    adds_or_deletes,
    class_notes,
    column_edits,
    flush_is_watched,
    modified_states,
    settle_written,
    update_is_watched,
)

_KEY = "sojourn.batch.plain"
# Types whose values travel in an array of PostgreSQL as they are. Texts go as TEXT: a cast to VARCHAR(5) would cut off
# in silence what the column itself refuses.
_ARRAYS: dict[type, Any] = {
    **dict.fromkeys((sqltypes.String, sqltypes.Text, sqltypes.Unicode, sqltypes.UnicodeText), Text()),
    **dict.fromkeys((sqltypes.VARCHAR, sqltypes.TEXT), Text()),
    **{
        kind: kind()
        for kind in (
            *(sqltypes.Integer, sqltypes.BigInteger, sqltypes.SmallInteger, sqltypes.INTEGER, sqltypes.BIGINT),
            *(sqltypes.Boolean, sqltypes.BOOLEAN, sqltypes.Date, sqltypes.DATE, sqltypes.Double),
        )
    },
}


@dataclass(frozen=True, eq=False)
class _Plain:
    """A mapping of one table whose columns can be written without the flush."""

    table: Table
    columns: dict[str, Column[Any]]
    primary_key: dict[str, Column[Any]]
    in_arrays: bool  # whether nothing is made for each row anew (a Python function as onupdate)


def write(session: Session) -> int:
    """Write what changed in a session; gives the number of statements, 0 where the flush did it.

    Raises what `Session.flush` raises. Database: writes what differs.
    """
    edits = None if adds_or_deletes(session) or flush_is_watched(session) else _plain_edits(modified_states(session))
    if edits is None:
        session.flush()
        return 0
    statements = 0
    for plain, keys, states in edits:
        _update(session.connection(bind_arguments={"mapper": states[0].mapper}), plain, keys, states)
        statements += 1
    settle_written(session, modified_states(session))
    return statements


_Edits = list[tuple[_Plain, tuple[str, ...], list[State]]]


def _plain_edits(states: Iterable[State]) -> _Edits | None:
    """What is to be written, by mapping and set of columns; None where only a flush knows how."""
    by_mapper: defaultdict[Mapper[Any], list[State]] = defaultdict(list)
    for state in states:
        by_mapper[state.mapper].append(state)
    edits: _Edits = []
    for mapper, members in by_mapper.items():
        plain = _plain(mapper)
        found = None if plain is None or update_is_watched(mapper) else column_edits(members, plain.columns)
        if plain is None or found is None:
            return None
        edits.extend((plain, keys, _in_order(changed)) for keys, changed in found.items())
    # SQL expressions (`obj.n = Model.n + 1`) go into the statement itself.
    if any(_is_sql(state.dict[key]) for _, keys, changed in edits for state in changed for key in keys):
        return None
    return edits


def _in_order(states: list[State]) -> list[State]:
    """By their primary keys, as a flush does it: two who write the same rows then meet at the first of them."""
    try:
        return sorted(states, key=_identity)
    except TypeError:  # keys without an order of Python's
        return states


def _is_sql(value: Any) -> bool:
    return isinstance(value, ClauseElement) or hasattr(value, "__clause_element__")


def _plain(mapper: Mapper[Any]) -> _Plain | None:
    notes = class_notes(mapper)
    if _KEY not in notes:
        notes[_KEY] = _looked_at(mapper)
    found: _Plain | None = notes[_KEY]
    return found


def _looked_at(mapper: Mapper[Any]) -> _Plain | None:
    plan, table = blueprint(mapper), mapper.local_table
    if mapper.version_id_col is not None or not isinstance(table, Table) or mapper.tables != [table]:
        return None
    stored = {key: mapper.attrs[key].columns for key in plan.stored}
    return _Plain(
        table,
        {
            key: columns[0]
            for key, columns in stored.items()
            if key not in plan.primary_key and len(columns) == 1 and columns[0].table is table
        },
        {key: stored[key][0] for key in plan.primary_key},
        not any(column.onupdate is not None and column.onupdate.is_callable for column in table.columns),
    )


def _update(connection: Connection, plain: _Plain, keys: Sequence[str], states: Sequence[State]) -> None:
    """One statement, or one statement executed for many rows, whichever the database takes faster."""
    columns = [*plain.primary_key.values(), *(plain.columns[key] for key in keys)]
    values = [_identity(state) + tuple(map(state.dict.__getitem__, keys)) for state in states]
    in_arrays = connection.dialect.name == "postgresql" and plain.in_arrays
    if in_arrays and len(states) > 1 and all(type(column.type) in _ARRAYS for column in columns):
        result = connection.execute(_from_arrays(plain, columns, list(zip(*values, strict=True))))
        countable = True
    else:
        names = [f"v{position}" for position in range(len(columns))]
        rows = [dict(zip(names, row, strict=True)) for row in values]
        result = connection.execute(_row_by_row(plain, columns, names), rows)
        countable = len(rows) == 1 or connection.dialect.supports_sane_multi_rowcount
    if countable and result.rowcount != len(states):
        raise StaleDataError(
            f"UPDATE statement on table {plain.table.description!r} expected to update {len(states)} row(s); "
            f"{result.rowcount} were matched."
        )


def _identity(state: State) -> tuple[Any, ...]:
    assert state.key is not None
    return state.key[1]


def _row_by_row(plain: _Plain, columns: Sequence[Column[Any]], names: Sequence[str]) -> Any:
    count = len(plain.primary_key)
    bound = [bindparam(name, type_=column.type) for name, column in zip(names, columns, strict=True)]
    found = [column == value for column, value in zip(columns[:count], bound[:count], strict=True)]
    return update(plain.table).where(*found).values(dict(zip(columns[count:], bound[count:], strict=True)))


def _from_arrays(plain: _Plain, columns: Sequence[Column[Any]], values: Sequence[Sequence[Any]]) -> Any:
    arrays = [
        bindparam(None, list(some), type_=ARRAY(_ARRAYS[type(column.type)]), unique=True)
        for column, some in zip(columns, values, strict=True)
    ]
    names = [f"v{position}" for position in range(len(columns))]
    new = func.unnest(*arrays).table_valued(*names).render_derived(name="new")
    count = len(plain.primary_key)
    found = [column == new.c[name] for column, name in zip(columns[:count], names[:count], strict=True)]
    changed = {column: new.c[name] for column, name in zip(columns[count:], names[count:], strict=True)}
    return update(plain.table).where(*found).values(changed)
