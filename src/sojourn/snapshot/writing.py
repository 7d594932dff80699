"""Rows that are written while a graph is read: some hundreds at a time, as long as they are in the processor's cache.

A row is of no use once its bytes are there. So rows are read, looked at, written and let go, and the next ones take
their room: large tables are written without a list of all their rows.

This is for what is ordinary. Whoever is refused here starts again with all rows at once: then it shows what is wrong
with them, and where, and what is rare gets its rare form.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from sojourn.mapping.blueprint import Blueprint
from sojourn.snapshot.codecs.codec import Codec, Values
from sojourn.snapshot.encoding import Encoding
from sojourn.snapshot.model import Row
from sojourn.snapshot.rows import column, with_columns
from sojourn.snapshot.values import codec_of


class RowWriter:
    """Writes the rows of one table, as `rows_out` and the encoding would write all of them."""

    def __init__(self, encoding: Encoding, plan: Blueprint, columns: Sequence[str]) -> None:
        self._encoding = encoding
        self._codecs = [codec_of(plan, key) for key in columns]
        self._pieces: list[bytes] = []
        self._count = 0
        self._combinations = 0
        self._busy: list[tuple[int, Codec, set[type]]] = []  # the columns that are more than their types

    def write(self, rows: Sequence[Row], kinds: AbstractSet[tuple[type, ...]]) -> None:
        """Write some rows more. `kinds` are the combinations of types in all rows that were written, and these.

        Raises what codecs and msgspec raise.
        """
        if len(kinds) > self._combinations:
            self._combinations = len(kinds)
            self._look_at(kinds)
        packed = self._encoding.packed
        changed: dict[int, Values] = {}
        for position, codec, of_column in self._busy:
            values = column(rows, position)
            sent = codec.sent(values, of_column, packed, wide=False)
            if sent is not values:
                changed[position] = sent
        data = self._encoding.encode(with_columns(rows, changed))
        self._pieces += (data[len(_array_of(len(rows))) :],) if packed else (data[1:-1], b",")
        self._count += len(rows)

    def written(self) -> list[bytes]:
        """The array of all rows, in pieces."""
        if self._encoding.packed:
            return [_array_of(self._count), *self._pieces]
        return [b"[", *self._pieces[:-1], b"]"]

    def _look_at(self, kinds: AbstractSet[tuple[type, ...]]) -> None:
        self._busy = []
        of_columns = map(set, zip(*kinds, strict=True))
        for position, (codec, of_column) in enumerate(zip(self._codecs, of_columns, strict=True)):
            codec.check(of_column)
            if not codec.leaves(of_column, wide=False):
                self._busy.append((position, codec, of_column))


def _array_of(count: int) -> bytes:
    """How an array of so many begins in MessagePack."""
    if count < 16:  # noqa: PLR2004 - the numbers are MessagePack's
        return bytes((0x90 + count,))
    return b"\xdc" + count.to_bytes(2, "big") if count < 2**16 else b"\xdd" + count.to_bytes(4, "big")
