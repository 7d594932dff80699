"""A snapshot as JSON and back. `docs/format.md` specifies the document.

Reading is strict and happens in C where it can: the envelope is read with its rows left as bytes, the classes are
looked up, and then each table's rows are read with a decoder that was made for exactly these columns. Whatever is wrong
becomes a SnapshotError that says where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec

from sojourn.errors import SnapshotError
from sojourn.mapping.blueprint import Blueprint
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.model import Edit, Row, Snapshot, Table
from sojourn.snapshot.rows import Node, edit_out, rows_in, rows_out, unfit, value_in, values_of, wire_type
from sojourn.snapshot.values import codec_of
from sojourn.sqlalchemy_internals import class_notes

VERSION = 1
"""The version of the format. It counts up when a document can no longer be read by its predecessor's reader."""

Token = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]

_KEY = "sojourn.decoders"
_MAX_DECODERS = 100
_CELL = re.compile(r"\[\d+\]\[(\d+)\]")
# What msgspec raises for values and bytes: its own errors and Unicode's are ValueErrors.
_REFUSALS = (ValueError, TypeError, OverflowError, RecursionError)


class _Edit(msgspec.Struct, forbid_unknown_fields=True):
    row: Node
    base: dict[str, msgspec.Raw] = {}
    unknown: list[str] = []
    added: dict[str, list[Node]] = {}
    removed: dict[str, list[Node]] = {}


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    entity: str
    schema: str
    columns: list[str]
    rows: msgspec.Raw
    references: list[str] = []
    collections: list[str] = []
    edits: list[_Edit] = []
    new: list[Token] | None = None
    identity_token: str | int | None = None


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    sojourn: int
    roots: list[Node]
    tables: list[_Table]


class _Version(msgspec.Struct):
    sojourn: int


_document = msgspec.json.Decoder(_Document)


# --- writing ---------------------------------------------------------------------------------------------------------


def encode(snapshot: Snapshot) -> bytes:
    """The document. Raises SnapshotError for a value that cannot travel, naming its attribute. Database: none."""
    document = {"sojourn": VERSION, "roots": snapshot.roots, "tables": [_table_out(table) for table in snapshot.tables]}
    try:
        return msgspec.json.encode(document)
    except _REFUSALS as error:
        raise _unwritable(snapshot, error) from error


def _table_out(table: Table) -> dict[str, Any]:
    always = {"entity": table.plan.entity, "schema": table.plan.fingerprint(), "columns": table.columns}
    sometimes = {
        "new": table.tokens,
        "identity_token": table.identity_token,
        "references": table.references or None,
        "collections": table.collections or None,
        "rows": rows_out(table),
        "edits": [edit_out(table, edit) for edit in table.edits] or None,
    }
    return always | {name: part for name, part in sometimes.items() if part is not None}


def _unwritable(snapshot: Snapshot, reason: Exception) -> SnapshotError:
    """The error for the first value that its codec takes and JSON cannot hold: text that is not Unicode, for one."""
    for table in snapshot.tables:
        for key in table.columns:
            for row, value in values_of(table, key):
                try:
                    msgspec.json.encode(codec_of(table.plan, key).outgoing((value,)))
                except _REFUSALS:
                    # The reason's own words could show the value, so they are not repeated.
                    return unfit(table, row, key, f"holds a value of the type {type(value).__name__} that JSON cannot")
    return SnapshotError(f"the graph cannot be written: {type(reason).__name__}")


# --- reading ---------------------------------------------------------------------------------------------------------


def decode(data: bytes, allowed: Allowed) -> Snapshot:
    """The snapshot in a document. Raises SnapshotError for anything that is not one. Database: none."""
    if not isinstance(data, (bytes, bytearray, memoryview)):  # msgspec would take a str as well
        raise SnapshotError(f"expected bytes, got {type(data).__name__}", where="$")
    try:
        document = _document.decode(data)
    except _REFUSALS as error:
        raise _other_version(data) or _unreadable(error, "$") from error
    if document.sojourn != VERSION:
        raise _newer(document.sojourn)
    tables = [_table_in(table, allowed, f"$.tables[{number}]") for number, table in enumerate(document.tables)]
    return Snapshot(document.roots, tables)


def _other_version(data: bytes) -> SnapshotError | None:
    """What is wrong with a document may be that it is of another version, with parts that this one does not know."""
    try:
        version = msgspec.json.decode(data, type=_Version).sojourn
    except _REFUSALS:
        return None
    return None if version == VERSION else _newer(version)


def _newer(version: int) -> SnapshotError:
    return SnapshotError(
        f"the document is of format {version}, and this sojourn reads format {VERSION}",
        where="$.sojourn",
        remedy="Read it with a version of sojourn that knows this format.",
    )


def _table_in(table: _Table, allowed: Allowed, where: str) -> Table:
    plan = allowed.blueprint(table.entity, f"{where}.entity")
    hint = "" if table.schema == plan.fingerprint() else f"It was written with another mapping of {plan.entity}."
    _check_attributes(plan, table, where, hint)
    attributes = (*table.columns, *table.references, *table.collections)
    try:
        rows: Sequence[Row] = _row_decoder(plan, attributes).decode(table.rows)
    except _REFUSALS as error:
        raise _unreadable(error, f"{where}.rows", [f"{plan.entity}.{key}" for key in attributes], hint) from error
    return Table(
        plan,
        table.columns,
        table.references,
        table.collections,
        rows_in(plan, table.columns, rows, f"{where}.rows"),
        [_edit_in(plan, edit, f"{where}.edits[{number}]", hint) for number, edit in enumerate(table.edits)],
        table.new,
        table.identity_token,
    )


def _check_attributes(plan: Blueprint, table: _Table, where: str, hint: str) -> None:
    seen: set[str] = set()
    for name in ("columns", "references", "collections"):
        for position, key in enumerate(getattr(table, name)):
            place = f"{where}.{name}[{position}]"
            if key in seen:
                raise SnapshotError(f"{plan.entity}.{key} is listed twice", where=place)
            seen.add(key)
            if not _is_one_of(plan, key, name):
                raise SnapshotError(f"{plan.entity} has no {key!r} among its {name}", where=place, remedy=hint)


def _is_one_of(plan: Blueprint, key: str, name: str) -> bool:
    if name == "columns":
        return key in plan.columns
    relationship = plan.relationships.get(key)
    return relationship is not None and relationship.loadable and relationship.many is (name == "collections")


def _row_decoder(plan: Blueprint, attributes: tuple[str, ...]) -> Any:
    kept = class_notes(plan.mapper).setdefault(_KEY, {})
    if attributes not in kept:
        if len(kept) >= _MAX_DECODERS:  # documents from outside choose the attributes, and must not fill the memory
            kept.clear()
        row: Any = tuple.__class_getitem__(tuple(wire_type(plan, key) for key in attributes))
        kept[attributes] = msgspec.json.Decoder(list.__class_getitem__(row))
    return kept[attributes]


def _edit_in(plan: Blueprint, edit: _Edit, where: str, hint: str) -> Edit:
    base: dict[str, Any] = {}
    for key, raw in edit.base.items():
        place = f"{where}.base.{key}"
        if key not in plan.columns and key not in plan.relationships:
            raise SnapshotError(f"{plan.entity} has no attribute {key!r}", where=place, remedy=hint)
        try:
            base[key] = msgspec.json.decode(raw, type=wire_type(plan, key))
        except _REFUSALS as error:
            raise _unreadable(error, place) from error
        if key in plan.columns:
            base[key] = value_in(plan, key, base[key], place)
    return Edit(edit.row, base, edit.unknown, edit.added, edit.removed)


def _unreadable(error: Exception, where: str, attributes: Sequence[str] = (), hint: str = "") -> SnapshotError:
    """What msgspec says, with the place as a path into the whole document, and the attribute where it is a row's."""
    if isinstance(error, UnicodeDecodeError):
        return SnapshotError("the text is not UTF-8", where=where)
    if isinstance(error, RecursionError):
        return SnapshotError("the document is nested too deeply", where=where)
    what, at, path = str(error).partition(" - at `$")
    path = path.removesuffix("`") if at else ""
    cell = _CELL.match(path)
    if cell is not None and attributes:
        what = f"{attributes[int(cell[1])]}: {what}"
    return SnapshotError(what, where=f"{where}{path}", remedy=hint)
