"""A document in, a snapshot out, in JSON or MessagePack.

Reading is strict and happens in C where it can: the envelope is read with its rows left as bytes, the classes are
looked up, and then each table's rows are read with a decoder that was made for exactly these columns. Whatever is wrong
becomes a SnapshotError that says where.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from sojourn.errors import SnapshotError
from sojourn.mapping.blueprint import Blueprint
from sojourn.mapping.made import made_once
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.encoding import REFUSALS, VERSION, Decoder, Encoding, encoding_of
from sojourn.snapshot.envelope import Node, RawDocument, RawEdit, RawTable
from sojourn.snapshot.evolution import Evolution
from sojourn.snapshot.limits import Limits, can_nest, check_objects, check_rows, check_value
from sojourn.snapshot.model import Edit, Row, Snapshot, Table
from sojourn.snapshot.rows import rows_in, value_in
from sojourn.snapshot.values import codec_of

_CELL = re.compile(r"\[\d+\]\[(\d+)\]")


def decode(data: bytes, allowed: Allowed, limits: Limits, evolution: Evolution) -> Snapshot:
    """The snapshot in a document. Raises SnapshotError for anything that is not one. Database: none."""
    encoding = encoding_of(data)
    try:
        document: RawDocument = encoding.document.decode(data)
    except REFUSALS as error:
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
    except REFUSALS:
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
        except REFUSALS as error:
            refusal: Exception = error
        if any(codec_of(plan, key).wide is not None for key in columns):
            try:
                return self._rows_by(plan, columns, raw.rows, where, wide=True)
            except REFUSALS as error:
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
        except REFUSALS as error:
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

    decoder: Decoder
    nesting: Sequence[int]


def _shape(plan: Blueprint, columns: tuple[str, ...], encoding: Encoding, wide: bool) -> _Shape:
    return made_once(
        plan, "decoders", (columns, encoding.packed, wide), lambda: _new_shape(plan, columns, encoding, wide)
    )


def _new_shape(plan: Blueprint, columns: tuple[str, ...], encoding: Encoding, wide: bool) -> _Shape:
    wires = [_wire(plan, column, wide) for column in columns]
    row: Any = tuple.__class_getitem__(tuple(wires))
    nesting = [at for at, wire in enumerate(wires) if can_nest(wire)]
    return _Shape(encoding.decoder(list.__class_getitem__(row)), nesting)


def _wire(plan: Blueprint, key: str, wide: bool) -> Any:
    codec = codec_of(plan, key)
    return codec.widest if wide else codec.wire


@lru_cache(maxsize=100)
def _decoder(encoding: Encoding, kind: Any) -> Decoder:
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
