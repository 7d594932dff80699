"""The rows and edits of one table, between Python values and what stands in a document.

Going out, of most columns only the types are looked at; whole columns go to their codecs only where something has to be
changed. Coming in, the encoding has read each row by the codecs' `wire` or `wide` types, and only columns whose codec
asks for it are touched again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn
from uuid import UUID

from sojourn.errors import SnapshotError, identity_text
from sojourn.mapping.blueprint import Blueprint
from sojourn.mapping.identity import make_identity
from sojourn.snapshot.model import Edit, Row, Table
from sojourn.snapshot.values import Codec, Values, codec_of

# --- out -------------------------------------------------------------------------------------------------------------


def rows_out(table: Table, packed: bool, wide: bool) -> Sequence[Row]:
    """The rows as they travel. Raises SnapshotError for a value that does not fit its column.

    Most columns travel as they are, and of these only the types are looked at, which whoever read them took note of.
    """
    kinds = table.kinds if table.kinds is not None else {tuple(map(type, row)) for row in table.rows}
    changed: dict[int, Values] = {}
    of_columns = map(set, zip(*kinds, strict=True))
    for position, (key, of_column) in enumerate(zip(table.columns, of_columns, strict=bool(kinds))):
        codec = codec_of(table.plan, key)
        try:
            codec.check(of_column)
            if not codec.leaves(of_column, wide):
                values = column(table.rows, position)
                sent = codec.sent(values, of_column, packed, wide)
                if sent is not values:
                    changed[position] = sent
        except ValueError as error:
            refuse_value(table, key, packed, error)
    return with_columns(table.rows, changed)


def edit_out(table: Table, edit: Edit, packed: bool, wide: bool) -> dict[str, Any]:
    """An edit as it travels, without its empty parts. Raises SnapshotError as `rows_out` does."""
    base = dict(edit.base)
    for key in base.keys() & table.plan.columns.keys():
        try:
            base[key] = codec_of(table.plan, key).outgoing((base[key],), packed, wide)[0]
        except ValueError as error:
            refuse_value(table, key, packed, error)
    parts = {"base": base, "unknown": edit.unknown, "added": edit.added, "removed": edit.removed}
    return {"row": edit.row, **{name: part for name, part in parts.items() if part}}


def refuse_value(table: Table, key: str, packed: bool, reason: ValueError) -> NoReturn:
    """Raise the SnapshotError for the first value of a column that its codec refuses."""
    if table.written is not None:
        raise reason  # the rows are not there to be looked at
    codec = codec_of(table.plan, key)
    for row, value in values_of(table, key):
        try:
            codec.outgoing((value,), packed, wide=True)
        except ValueError as error:
            raise unfit(table, row, key, str(error)) from error
    raise reason


def unfit(table: Table, row: int, key: str, what: str) -> SnapshotError:
    """The error for one value that cannot travel."""
    return SnapshotError(
        f"{_whose(table, row)} {what}",
        where=f"{table.plan.entity}.{key}",
        remedy="Set a value that the column takes, or flush and commit, and load what the database made of it, or say "
        "with register_type how its values travel.",
    )


def values_of(table: Table, key: str) -> Iterator[tuple[int, Any]]:
    """(row, value) for what a column holds now, then for what it held before it was edited."""
    position = table.columns.index(key)
    yield from ((number, row[position]) for number, row in enumerate(table.rows))
    yield from ((edit.row, edit.base[key]) for edit in table.edits if key in edit.base)


def _whose(table: Table, row: int) -> str:
    plan = table.plan
    if table.tokens is not None:
        return "a new object"
    key = tuple(table.rows[row][table.columns.index(name)] for name in plan.primary_key)
    if not all(type(value) in (int, str, UUID) for value in key):  # others may be the user's, with a repr of their own
        return "an object"
    return identity_text(make_identity(plan, key))


# --- in --------------------------------------------------------------------------------------------------------------


def rows_in(
    plan: Blueprint, keys: Sequence[str], rows: Sequence[Row], where: str, *, packed: bool, wide: bool
) -> Sequence[Row]:
    """The rows with Python values in place of what travelled. Raises SnapshotError with the place of a bad one.

    A codec that has a `wide` form has nothing to do for rows that were read without it.
    """
    changed: dict[int, Values] = {}
    for position, key in enumerate(keys):
        if not _is_changing(codec_of(plan, key), wide):
            continue
        sent = column(rows, position)
        try:
            values = codec_of(plan, key).incoming(sent, packed)
        except ValueError:
            for number, value in enumerate(sent):
                value_in(plan, key, value, f"{where}[{number}][{position}]", packed)
            raise
        if values is not sent:
            changed[position] = values
    return with_columns(rows, changed)


def _is_changing(codec: Codec, wide: bool) -> bool:
    return codec.decode is not None and (wide or codec.wide is None)


def value_in(plan: Blueprint, key: str, value: Any, where: str, packed: bool) -> Any:
    """The same for one value of a column."""
    try:
        return codec_of(plan, key).incoming((value,), packed)[0]
    except ValueError as error:
        raise SnapshotError(f"{plan.entity}.{key}: {error}", where=where) from error


# --- columns of rows -------------------------------------------------------------------------------------------------


def column(rows: Sequence[Row], position: int) -> Values:
    """What stands at one position of each row."""
    return list(map(itemgetter(position), rows))


def with_columns(rows: Sequence[Row], columns: Mapping[int, Values]) -> Sequence[Row]:
    """The rows with other values in some columns. Few change as a rule, so the others are not looked at."""
    if not columns:
        return rows
    changed = list(map(list, rows))
    for position, values in columns.items():
        for row, value in zip(changed, values, strict=True):
            row[position] = value
    return changed
