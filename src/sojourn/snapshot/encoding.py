"""A snapshot as JSON or MessagePack and back: one document, two ways to write it. `docs/format.md` specifies it.

Reading is strict and happens in C where it can: the envelope is read with its rows left as bytes, the classes are
looked up, and then each table's rows are read with a decoder that was made for exactly these columns. Whatever is wrong
becomes a SnapshotError that says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sojourn.errors import SnapshotError
from sojourn.mapping.blueprint import Blueprint
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.envelope import Node, RawDocument, RawEdit, RawTable, Version
from sojourn.snapshot.model import Edit, Row, Snapshot, Table
from sojourn.snapshot.rows import edit_out, rows_in, rows_out, unfit, value_in, values_of
from sojourn.snapshot.values import codec_of
from sojourn.sqlalchemy_internals import class_notes

VERSION = 1
"""The version of the format. It counts up when a document can no longer be read by its predecessor's reader."""

_MAX_DECODERS = 100
_MAPS = {*range(0x80, 0x90), 0xDE, 0xDF}
_CELL = re.compile(r"\[\d+\]\[(\d+)\]")
# What msgspec raises for values and bytes: its own errors and Unicode's are ValueErrors.
_REFUSALS = (ValueError, TypeError, OverflowError, RecursionError)

_Decoder = msgspec.json.Decoder[Any] | msgspec.msgpack.Decoder[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """One of the two ways to write the document. `packed` is MessagePack, for which some values travel otherwise."""

    name: str
    packed: bool
    encode: Callable[[Any], bytes]
    decoder: Callable[[Any], _Decoder]
    document: _Decoder
    version: _Decoder


JSON = Encoding(
    "JSON",
    False,
    msgspec.json.Encoder().encode,
    msgspec.json.Decoder,
    msgspec.json.Decoder(RawDocument),
    msgspec.json.Decoder(Version),
)
MESSAGEPACK = Encoding(
    "MessagePack",
    True,
    msgspec.msgpack.Encoder().encode,
    msgspec.msgpack.Decoder,
    msgspec.msgpack.Decoder(RawDocument),
    msgspec.msgpack.Decoder(Version),
)


def encoding_of(data: bytes) -> Encoding:
    """Which encoding these bytes are in: a MessagePack document begins with a map, and no JSON begins with its byte."""
    return MESSAGEPACK if data and data[0] in _MAPS else JSON


# --- writing ---------------------------------------------------------------------------------------------------------


def encode(snapshot: Snapshot, encoding: Encoding) -> bytes:
    """The document. Raises SnapshotError for a value that cannot travel, naming its attribute. Database: none."""
    try:
        return encoding.encode(_document_out(snapshot, encoding, wide=False))
    except _REFUSALS:  # an integer of more than 64 bits, perhaps
        document = _document_out(snapshot, encoding, wide=True)
    try:
        return encoding.encode(document)
    except _REFUSALS as error:
        raise _unwritable(snapshot, encoding, error) from error


def _document_out(snapshot: Snapshot, encoding: Encoding, *, wide: bool) -> dict[str, Any]:
    tables = [_table_out(table, encoding.packed, wide) for table in snapshot.tables]
    return {"sojourn": VERSION, "roots": snapshot.roots, "tables": tables}


def _table_out(table: Table, packed: bool, wide: bool) -> dict[str, Any]:
    always = {"entity": table.plan.entity, "schema": table.plan.fingerprint(), "columns": table.columns}
    sometimes = {
        "new": table.tokens,
        "identity_token": table.identity_token,
        "rows": rows_out(table, packed, wide),
        "references": table.references or None,
        "collections": table.collections or None,
        "edits": [edit_out(table, edit, packed, wide) for edit in table.edits] or None,
    }
    return always | {name: part for name, part in sometimes.items() if part is not None}


def _unwritable(snapshot: Snapshot, encoding: Encoding, reason: Exception) -> SnapshotError:
    """The error for the first value that its codec takes and the encoding does not: text that is not Unicode, say."""
    for table in snapshot.tables:
        for key in table.columns:
            for row, value in values_of(table, key):
                try:
                    encoding.encode(codec_of(table.plan, key).outgoing((value,), packed=encoding.packed, wide=True))
                except _REFUSALS:
                    # The reason's own words could show the value, so they are not repeated.
                    what = f"holds a value of the type {type(value).__name__} that {encoding.name} cannot"
                    return unfit(table, row, key, what)
    return SnapshotError(f"the graph cannot be written: {type(reason).__name__}")


# --- reading ---------------------------------------------------------------------------------------------------------


def decode(data: bytes, allowed: Allowed) -> Snapshot:
    """The snapshot in a document. Raises SnapshotError for anything that is not one. Database: none."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise SnapshotError(f"expected bytes, got the type {type(data).__name__}", where="$")
    data = bytes(data)
    encoding = encoding_of(data)
    try:
        document: RawDocument = encoding.document.decode(data)
    except _REFUSALS as error:
        raise _other_version(data, encoding) or _unreadable(error, "$") from error
    if document.sojourn != VERSION:
        raise _newer(document.sojourn)
    tables = [_table_in(table, encoding, allowed, f"$.tables[{at}]") for at, table in enumerate(document.tables)]
    return Snapshot(document.roots, tables)


def _other_version(data: bytes, encoding: Encoding) -> SnapshotError | None:
    """What is wrong with a document may be that it is of another version, with parts that this one does not know."""
    try:
        version: int = encoding.version.decode(data).sojourn
    except _REFUSALS:
        return None
    return None if version == VERSION else _newer(version)


def _newer(version: int) -> SnapshotError:
    return SnapshotError(
        f"the document is of format {version}, and this sojourn reads format {VERSION}",
        where="$.sojourn",
        remedy="Read it with a version of sojourn that knows this format.",
    )


def _table_in(table: RawTable, encoding: Encoding, allowed: Allowed, where: str) -> Table:
    plan = allowed.blueprint(table.entity, f"{where}.entity")
    hint = "" if table.schema == plan.fingerprint() else f"It was written with another mapping of {plan.entity}."
    _check_attributes(plan, table, where, hint)
    rows = _rows_in(plan, table, encoding, f"{where}.rows", hint)
    return Table(
        plan,
        table.columns,
        rows,
        _related_in(table.references, encoding, list[Node | None], len(rows), f"{where}.references"),
        _related_in(table.collections, encoding, list[list[Node]], len(rows), f"{where}.collections"),
        [_edit_in(plan, edit, encoding, f"{where}.edits[{at}]", hint) for at, edit in enumerate(table.edits)],
        table.new,
        table.identity_token,
    )


def _check_attributes(plan: Blueprint, table: RawTable, where: str, hint: str) -> None:
    seen: set[str] = set()
    for position, key in enumerate(table.columns):
        place = f"{where}.columns[{position}]"
        if key in seen:
            raise SnapshotError(f"{plan.entity}.{key} is listed twice", where=place)
        seen.add(key)
        if key not in plan.columns:
            raise SnapshotError(f"{plan.entity} has no {key!r} among its columns", where=place, remedy=hint)
    related: tuple[tuple[str, Mapping[str, Any], bool], ...] = (
        ("references", table.references, False),
        ("collections", table.collections, True),
    )
    for name, keys, many in related:
        for key in keys:
            relationship = plan.relationships.get(key)
            if relationship is None or not relationship.loadable or relationship.many is not many:
                raise SnapshotError(
                    f"{plan.entity} has no {key!r} among its {name}", where=f"{where}.{name}", remedy=hint
                )


def _related_in(parts: Mapping[str, msgspec.Raw], encoding: Encoding, kind: Any, rows: int, where: str) -> Any:
    related = _parts_in(parts, encoding, kind, where)
    for key, values in related.items():
        if len(values) != rows:
            raise SnapshotError(f"{len(values)} values for {rows} rows", where=f"{where}.{key}")
    return related


def _parts_in(parts: Mapping[str, msgspec.Raw], encoding: Encoding, kind: Any, where: str) -> dict[str, Any]:
    return {key: _part_in(raw, encoding, kind, f"{where}.{key}") for key, raw in parts.items()}


def _part_in(raw: msgspec.Raw, encoding: Encoding, kind: Any, where: str) -> Any:
    try:
        return encoding.decoder(kind).decode(raw)
    except _REFUSALS as error:
        raise _unreadable(error, where) from error


def _rows_in(plan: Blueprint, table: RawTable, encoding: Encoding, where: str, hint: str) -> Sequence[Row]:
    columns = tuple(table.columns)
    try:
        rows: Sequence[Row] = _row_decoder(plan, columns, encoding, False).decode(table.rows)
        return rows_in(plan, columns, rows, where, packed=encoding.packed, wide=False)
    except _REFUSALS as error:
        refusal: Exception = error
    if any(codec_of(plan, key).wide is not None for key in columns):
        try:
            rows = _row_decoder(plan, columns, encoding, True).decode(table.rows)
        except _REFUSALS as error:
            refusal = error
        else:
            return rows_in(plan, columns, rows, where, packed=encoding.packed, wide=True)
    raise _unreadable(refusal, where, [f"{plan.entity}.{key}" for key in columns], hint) from refusal


def _row_decoder(plan: Blueprint, columns: tuple[str, ...], encoding: Encoding, wide: bool) -> _Decoder:
    kept: dict[Any, _Decoder] = class_notes(plan.mapper).setdefault("sojourn.decoders", {})
    shape = columns, encoding.packed, wide
    found = kept.get(shape)
    if found is None:
        if len(kept) >= _MAX_DECODERS:  # documents from outside choose the columns, and must not fill the memory
            kept.clear()
        row: Any = tuple.__class_getitem__(tuple(_wire(plan, key, wide) for key in columns))
        found = kept[shape] = encoding.decoder(list.__class_getitem__(row))
    return found


def _wire(plan: Blueprint, key: str, wide: bool) -> Any:
    codec = codec_of(plan, key)
    return codec.wide if wide and codec.wide is not None else codec.wire


def _edit_in(plan: Blueprint, edit: RawEdit, encoding: Encoding, where: str, hint: str) -> Edit:
    base: dict[str, Any] = {}
    for key, raw in edit.base.items():
        place = f"{where}.base.{key}"
        relationship = plan.relationships.get(key)
        if key in plan.columns:
            wire = _wire(plan, key, True)
        elif relationship is not None:
            wire = list[Node] if relationship.many else Node | None
        else:
            raise SnapshotError(f"{plan.entity} has no attribute {key!r}", where=place, remedy=hint)
        base[key] = _part_in(raw, encoding, wire, place)
        if key in plan.columns:
            base[key] = value_in(plan, key, base[key], place, encoding.packed)
    added = _parts_in(edit.added, encoding, list[Node], f"{where}.added")
    removed = _parts_in(edit.removed, encoding, list[Node], f"{where}.removed")
    return Edit(edit.row, base, edit.unknown, added, removed)


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
