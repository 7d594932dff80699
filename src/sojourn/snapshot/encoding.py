"""A snapshot as JSON or MessagePack and back: one document, two ways to write it. `docs/format.md` specifies it.

Reading is strict and happens in C where it can: the envelope is read with its rows left as bytes, the classes are
looked up, and then each table's rows are read with a decoder that was made for exactly these columns. Whatever is wrong
becomes a SnapshotError that says where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from sojourn.errors import SnapshotError
from sojourn.mapping.blueprint import Blueprint
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.envelope import Node, RawDocument, RawEdit, RawTable, Version
from sojourn.snapshot.evolution import Evolution
from sojourn.snapshot.limits import Limits, can_nest, check_objects, check_rows, check_value
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
    always = {"entity": table.plan.entity, "schema": table.plan.fingerprint, "columns": table.columns}
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


def decode(data: bytes, allowed: Allowed, limits: Limits, evolution: Evolution) -> Snapshot:
    """The snapshot in a document. Raises SnapshotError for anything that is not one. Database: none."""
    encoding = encoding_of(data)
    try:
        document: RawDocument = encoding.document.decode(data)
    except _REFUSALS as error:
        raise _other_version(data, encoding) or _unreadable(error, "$") from error
    if document.sojourn != VERSION:
        raise _newer(document.sojourn)
    reader = _Reader(encoding, allowed, limits, evolution)
    tables: list[Table] = []
    objects = 0
    for at, raw in enumerate(document.tables):
        tables.append(reader.table(raw, f"$.tables[{at}]"))
        objects += len(tables[-1].rows)
        check_objects(objects, limits, f"$.tables[{at}].rows")
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


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the tables of one document."""

    encoding: Encoding
    allowed: Allowed
    limits: Limits
    evolution: Evolution

    def table(self, raw: RawTable, where: str) -> Table:
        plan = self.evolution.plan(raw, self.allowed, f"{where}.entity")
        adapted = self.evolution.adapted(raw, plan, where)
        try:
            kept = adapted.kept
            rows = raw.rows if kept is None else self._cells(raw, kept, f"{where}.rows")
            return self._table(plan, msgspec.structs.replace(adapted.table, rows=rows), where)
        except SnapshotError as error:
            changed = raw.schema != plan.fingerprint
            remedy = error.remedy or (f"It was written with another mapping of {plan.entity}." if changed else "")
            raise SnapshotError(error.what, where=adapted.place(error.where), remedy=remedy) from error

    def _table(self, plan: Blueprint, raw: RawTable, where: str) -> Table:
        _check_attributes(plan, raw, where)
        rows = self._rows(plan, raw, f"{where}.rows")
        return Table(
            plan,
            raw.columns,
            rows,
            self._related(raw.references, list[Node | None], len(rows), f"{where}.references"),
            self._related(raw.collections, list[list[Node]], len(rows), f"{where}.collections"),
            [self._edit(plan, edit, f"{where}.edits[{at}]") for at, edit in enumerate(raw.edits)],
            raw.new,
            raw.identity_token,
        )

    def _cells(self, raw: RawTable, kept: Sequence[int], where: str) -> msgspec.Raw:
        """The rows with no more than the cells at these positions, still as bytes."""
        rows: list[list[msgspec.Raw]] = self._part(raw.rows, list[list[msgspec.Raw]], where)
        for number, cells in enumerate(rows):
            if len(cells) != len(raw.columns):
                what = f"Expected `array` of length {len(raw.columns)}, got {len(cells)}"
                raise SnapshotError(what, where=f"{where}[{number}]")
        return msgspec.Raw(self.encoding.encode([[cells[at] for at in kept] for cells in rows]))

    def _rows(self, plan: Blueprint, raw: RawTable, where: str) -> Sequence[Row]:
        columns = tuple(raw.columns)
        try:
            return self._rows_by(plan, columns, raw.rows, where, wide=False)
        except _REFUSALS as error:
            refusal: Exception = error
        if any(codec_of(plan, key).wide is not None for key in columns):
            try:
                return self._rows_by(plan, columns, raw.rows, where, wide=True)
            except _REFUSALS as error:
                refusal = error
        raise _unreadable(refusal, where, [f"{plan.entity}.{key}" for key in columns]) from refusal

    def _rows_by(
        self, plan: Blueprint, columns: tuple[str, ...], raw: msgspec.Raw, where: str, *, wide: bool
    ) -> Sequence[Row]:
        shape = _shape(plan, columns, self.encoding, wide)
        rows: Sequence[Row] = shape.decoder.decode(raw)
        rows = rows_in(plan, columns, rows, where, packed=self.encoding.packed, wide=wide)
        check_rows(rows, len(memoryview(raw)), shape.nesting, self.limits, where)
        return rows

    def _related(self, parts: Mapping[str, msgspec.Raw], kind: Any, rows: int, where: str) -> Any:
        related = self._parts(parts, kind, where)
        for key, values in related.items():
            if len(values) != rows:
                raise SnapshotError(f"{len(values)} values for {rows} rows", where=f"{where}.{key}")
        return related

    def _parts(self, parts: Mapping[str, msgspec.Raw], kind: Any, where: str) -> dict[str, Any]:
        return {key: self._part(raw, kind, f"{where}.{key}") for key, raw in parts.items()}

    def _part(self, raw: msgspec.Raw, kind: Any, where: str) -> Any:
        try:
            return _decoder(self.encoding, kind).decode(raw)
        except _REFUSALS as error:
            raise _unreadable(error, where) from error

    def _edit(self, plan: Blueprint, edit: RawEdit, where: str) -> Edit:
        base: dict[str, Any] = {}
        for key, raw in edit.base.items():
            place = f"{where}.base.{key}"
            relationship = plan.relationships.get(key)
            if key in plan.columns:
                value = self._part(raw, codec_of(plan, key).widest, place)
                base[key] = value_in(plan, key, value, place, self.encoding.packed)
                check_value(base[key], len(memoryview(raw)), self.limits, place)
            elif relationship is not None:
                base[key] = self._part(raw, list[Node] if relationship.many else Node | None, place)
            else:
                raise _unknown(plan, f"has no attribute {key!r}", place)
        added = self._parts(edit.added, list[Node], f"{where}.added")
        removed = self._parts(edit.removed, list[Node], f"{where}.removed")
        return Edit(edit.row, base, edit.unknown, added, removed)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How rows of certain columns are read: the decoder, and the positions of values that can be nested."""

    decoder: _Decoder
    nesting: Sequence[int]


def _shape(plan: Blueprint, columns: tuple[str, ...], encoding: Encoding, wide: bool) -> _Shape:
    kept: dict[Any, _Shape] = class_notes(plan.mapper).setdefault("sojourn.decoders", {})
    key = columns, encoding.packed, wide
    found = kept.get(key)
    if found is None:
        if len(kept) >= _MAX_DECODERS:  # documents from outside choose the columns, and must not fill the memory
            kept.clear()
        wires = [_wire(plan, column, wide) for column in columns]
        row: Any = tuple.__class_getitem__(tuple(wires))
        nesting = [at for at, wire in enumerate(wires) if can_nest(wire)]
        found = kept[key] = _Shape(encoding.decoder(list.__class_getitem__(row)), nesting)
    return found


def _wire(plan: Blueprint, key: str, wide: bool) -> Any:
    codec = codec_of(plan, key)
    return codec.widest if wide else codec.wire


@lru_cache(maxsize=_MAX_DECODERS)
def _decoder(encoding: Encoding, kind: Any) -> _Decoder:
    return encoding.decoder(kind)


def _check_attributes(plan: Blueprint, table: RawTable, where: str) -> None:
    seen: set[str] = set()
    for position, key in enumerate(table.columns):
        place = f"{where}.columns[{position}]"
        if key in seen:
            raise SnapshotError(f"{plan.entity}.{key} is listed twice", where=place)
        seen.add(key)
        if key not in plan.columns:
            raise _unknown(plan, f"has no {key!r} among its columns", place)
    related: tuple[tuple[str, Mapping[str, Any], bool], ...] = (
        ("references", table.references, False),
        ("collections", table.collections, True),
    )
    for name, keys, many in related:
        for key in keys:
            relationship = plan.relationships.get(key)
            if relationship is None or not relationship.loadable or relationship.many is not many:
                raise _unknown(plan, f"has no {key!r} among its {name}", f"{where}.{name}")


def _unknown(plan: Blueprint, what: str, where: str) -> SnapshotError:
    return SnapshotError(
        f"{plan.entity} {what}",
        where=where,
        remedy=f"It was written with another mapping of {plan.entity}. Say what became of the attribute with renames=, "
        'or leave out what is not known with on_unknown="ignore".',
    )


def _unreadable(error: Exception, where: str, attributes: Sequence[str] = ()) -> SnapshotError:
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
    return SnapshotError(what, where=f"{where}{path}")
