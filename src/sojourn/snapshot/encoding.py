"""The two ways to write the document, JSON and MessagePack, and a snapshot as bytes. `docs/format.md` specifies it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import msgspec

from sojourn.errors import SnapshotError
from sojourn.snapshot.envelope import RawDocument, Version
from sojourn.snapshot.model import Snapshot, Table
from sojourn.snapshot.rows import edit_out, rows_out, unfit, values_of
from sojourn.snapshot.values import codec_of

VERSION = 1
"""The version of the format. It counts up when a document can no longer be read by its predecessor's reader."""

# What stands for rows that are written already. Nobody can know it, so it is nowhere else in a document.
_MARK = secrets.token_bytes(16)
_ROWS = msgspec.Raw(_MARK)

_MAPS = {*range(0x80, 0x90), 0xDE, 0xDF}
# What msgspec raises for values and bytes: its own errors and Unicode's are ValueErrors.
REFUSALS = (ValueError, TypeError, OverflowError, RecursionError)

Decoder: TypeAlias = msgspec.json.Decoder[Any] | msgspec.msgpack.Decoder[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """One of the two ways to write the document. `packed` is MessagePack, for which some values travel otherwise."""

    name: str
    packed: bool
    encode: Callable[[Any], bytes]
    decoder: Callable[[Any], Decoder]
    document: Decoder
    version: Decoder


def _encoding(name: str, of: ModuleType, *, packed: bool) -> Encoding:
    return Encoding(name, packed, of.Encoder().encode, of.Decoder, of.Decoder(RawDocument), of.Decoder(Version))


JSON = _encoding("JSON", msgspec.json, packed=False)
MESSAGEPACK = _encoding("MessagePack", msgspec.msgpack, packed=True)


def encoding_of(data: bytes) -> Encoding:
    """Which encoding these bytes are in: a MessagePack document begins with a map, and no JSON begins with its byte."""
    return MESSAGEPACK if data and data[0] in _MAPS else JSON


def encode(snapshot: Snapshot, encoding: Encoding) -> bytes:
    """The document. Raises SnapshotError for a value that cannot travel, naming its attribute. Database: none.

    Where the rows were written already, whatever is rare or wrong in the rest raises one of REFUSALS.
    """
    written = [table.written for table in snapshot.tables if table.written is not None]
    try:
        document = encoding.encode(_document_out(snapshot, encoding, wide=False))
        return _with_rows(document, written) if written else document
    except REFUSALS:  # an integer of more than 64 bits, perhaps
        if written:
            raise
    try:
        return encoding.encode(_document_out(snapshot, encoding, wide=True))
    except REFUSALS as error:
        raise _unwritable(snapshot, encoding, error) from error


def _document_out(snapshot: Snapshot, encoding: Encoding, *, wide: bool) -> dict[str, Any]:
    tables = [_table_out(table, encoding.packed, wide) for table in snapshot.tables]
    return {"sojourn": VERSION, "roots": snapshot.roots, "tables": tables}


def _with_rows(document: bytes, written: Sequence[Sequence[bytes]]) -> bytes:
    """The document with rows that were written before, each table's in the place that was kept for them."""
    first, *others = document.split(_MARK)
    pieces = [first]
    for rows, after in zip(written, others, strict=True):
        pieces += rows
        pieces.append(after)
    return b"".join(pieces)


def _table_out(table: Table, packed: bool, wide: bool) -> dict[str, Any]:
    always = {"entity": table.plan.entity, "schema": table.plan.fingerprint, "columns": table.columns}
    sometimes = {
        "new": table.tokens,
        "identity_token": table.identity_token,
        "rows": rows_out(table, packed, wide) if table.written is None else _ROWS,
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
                except REFUSALS:
                    # The reason's own words could show the value, so they are not repeated.
                    what = f"holds a value of the type {type(value).__name__} that {encoding.name} cannot"
                    return unfit(table, row, key, what)
    return SnapshotError(f"the graph cannot be written: {type(reason).__name__}")
