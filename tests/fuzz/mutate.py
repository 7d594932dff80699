"""Damaging documents with knowledge of their structure: the tree is changed, then written again.

Bytes that are no document are damaged as bytes. All is a function of the `Random` that is given, so an input can be
made again from its seed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import msgspec

# What a change meets where an earlier one has left no table, no row or no name.
_NO_LONGER_POSSIBLE = (TypeError, ValueError, LookupError, AttributeError, OverflowError)

# Stand in the tree for what the encoders cannot write, and are replaced in the bytes.
_DEEP, _HUGE, _LONG = "@@deep@@", "@@huge@@", "@@long@@"

NUMBERS: Sequence[Any] = [
    *(0, 1, -1, 2, 3, 127, 128, 255, 256, -129, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1),
    *(-(2**63), 2**64, 2**70, -(2**64), 10**30, 10**400, 86_400_000_000, -86_399_999_999, 10**15, 253402300799999999),
    *(0.0, -0.0, 0.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 1e22, _HUGE),
]
TEXTS: Sequence[Any] = [
    *("", "x", "é", "🦉", "\0", "\ud800", "null", "0", "-1", "1" * 30, "1e5", "NaN", "sNaN", "-NaN123", "Infinity"),
    *("-Infinity", "1E+999999999", "1E-999999999", "2026-02-28", "2026-02-28T12:00:00", "2026-02-28T12:00:00+23:59"),
    *("9999-12-31T23:59:59.999999-23:59", "0001-01-01T00:00:00Z", "24:00:00", "23:59:60", "RED", "GREEN", "LOW"),
    *("12345678-1234-5678-1234-567812345678", "0123456789abcdef0123456789abcdef", "AAEC", "=", "__class__", "id"),
    *("os", "builtins", "tests.models.shop.Customer", "sojourn.errors", "{}", "[]", "\\", '"', "$", _LONG),
]


class Mutator:
    """Makes inputs out of documents. `words` are the names that may stand in them."""

    def __init__(self, documents: Sequence[bytes], words: Sequence[str]) -> None:
        self._trees = [tree for tree in map(parsed, documents) if tree is not None]
        self._documents = list(documents)
        self._words = list(words)

    def fresh(self, random: Random) -> bytes:
        """An input made of one of the documents."""
        return self.changed(random.choice(self._documents), random)

    def changed(self, data: bytes, random: Random) -> bytes:
        """An input made of another input."""
        dice = random.random()
        if dice < 0.02:
            return random.randbytes(random.choice((0, 1, 5, 40, 300)))
        if dice < 0.04:
            return b"sojourn-hmac-sha256 " + b"%064x" % random.getrandbits(256) + b"\n" + data
        if dice < 0.20:
            return damaged(data, random)
        found = parsed(data)
        if found is None:
            return damaged(data, random)
        tree, packed = found
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
            with suppress(*_NO_LONGER_POSSIBLE):
                tree = self._mutated(tree, random)
        if random.random() < 0.1:
            packed = not packed
        written = encoded(tree, packed, random)
        return damaged(written, random) if dice > 0.97 else written

    def _mutated(self, tree: Any, random: Random) -> Any:
        if random.random() < 0.3 and (table := _some_table(tree, random)) is not None:
            random.choice(self._on_tables)(self, tree, table, random)
            return tree
        place = _place(tree, random)
        if place is None:
            return _copied(random.choice(self._trees)[0])
        parent, key = place
        random.choice(self._on_values)(self, parent, key, random)
        return tree

    # --- on any value ------------------------------------------------------------------------------------------------

    def _delete(self, parent: Any, key: Any, _random: Random) -> None:
        del parent[key]

    def _scalar(self, parent: Any, key: Any, random: Random) -> None:
        parent[key] = self._any_scalar(random)

    def _any_scalar(self, random: Random) -> Any:
        kind = random.randrange(6)
        if kind == 0:
            return random.choice((None, True, False, [], {}))
        if kind <= 2:
            return random.choice(NUMBERS)
        return random.choice(TEXTS) if kind <= 4 else random.choice(self._words)

    def _nudge(self, parent: Any, key: Any, random: Random) -> None:
        """The same with a small difference."""
        value = parent[key]
        if type(value) is int:
            parent[key] = random.choice((value + 1, value - 1, -value, value * 2**32, float(value), str(value)))
        elif type(value) is float:
            parent[key] = random.choice((-value, value * 1e300, repr(value), None))
        elif type(value) is str:
            at = random.randint(0, len(value))
            piece = random.choice((*TEXTS, "", value, value[:3]))
            parent[key] = random.choice((value[:at] + piece + value[at:], value[:at], value.upper(), [value]))
        elif type(value) is bytes:
            parent[key] = random.choice((damaged(value, random), value.decode("latin-1"), list(value)))
        else:
            parent[key] = random.choice(([value], {"x": value}, None, not value))

    def _graft(self, parent: Any, key: Any, random: Random) -> None:
        """A part of another document."""
        place = _place(random.choice(self._trees)[0], random)
        if place is not None:
            parent[key] = _copied(place[0][place[1]])

    def _wrap(self, parent: Any, key: Any, random: Random) -> None:
        value = parent[key]
        for _ in range(random.choice((1, 2, 63, 64, 65, 200))):
            value = [value] if random.random() < 0.5 else {random.choice(self._words): value}
        parent[key] = value

    def _deep(self, parent: Any, key: Any, _random: Random) -> None:
        parent[key] = _DEEP

    def _repeat(self, parent: Any, key: Any, random: Random) -> None:
        if isinstance(parent, list):
            parent[key:key] = [_copied(parent[key]) for _ in range(random.choice((1, 1, 2, 50)))]
        else:
            parent[random.choice(self._words)] = _copied(parent[key])

    def _swap(self, parent: Any, key: Any, random: Random) -> None:
        other = random.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        parent[key], parent[other] = parent[other], parent[key]

    def _rename(self, parent: Any, key: Any, random: Random) -> None:
        if isinstance(parent, dict):
            parent[random.choice((*self._words, *TEXTS))] = parent.pop(key)
        else:
            random.shuffle(parent)

    _on_values = (_delete, _scalar, _scalar, _scalar, _nudge, _nudge, _graft, _wrap, _deep, _repeat, _swap, _rename)

    # --- on a table --------------------------------------------------------------------------------------------------

    def _mask(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        """Other attributes than the rows have, or the same ones in another part or order."""
        columns = table["columns"]
        related = [table.setdefault(part, {}) for part in ("references", "collections")]
        names = [*columns, *related[0], *related[1]]
        name = random.choice(names) if names and random.random() < 0.6 else random.choice(self._words)
        source, target = random.choice(related), random.choice(related)
        match random.randrange(4):
            case 0:
                columns.insert(random.randint(0, len(columns)), name)
            case 1:
                columns[random.randrange(len(columns))] = name
            case 2:
                target[name] = source.pop(random.choice(list(source)))
            case _:
                node = random.choice((None, 0, 1, 5, [], [0], [1, 2], [1, 1]))
                target[name] = [node for _ in table["rows"]]

    def _column(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        """An attribute more or less, in the mask and in the rows."""
        columns, rows = table.get("columns"), table.get("rows")
        if not isinstance(columns, list) or not isinstance(rows, list) or not columns:
            return
        at = random.randrange(len(columns))
        if random.random() < 0.5:
            del columns[at]
            for row in rows:
                if isinstance(row, list) and len(row) > at:
                    del row[at]
            return
        columns.insert(at, random.choice(self._words))
        value = self._any_scalar(random)
        for row in rows:
            if isinstance(row, list):
                row.insert(at, value)

    def _row(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        """An object twice, or with another key, or an object less."""
        rows = table["rows"]
        parallel = [rows, *table.get("references", {}).values(), *table.get("collections", {}).values()]
        at = random.randrange(len(rows))
        if "new" in table:
            parallel.append(table["new"])
        for each in parallel:
            if random.random() < 0.01:
                continue
            if at % 3 == 2:
                del each[at]
            else:
                each.insert(at, _copied(each[at]))
        if at % 3 != 2 and random.random() < 0.8:
            rows[at][random.randrange(min(2, len(rows[at])))] = self._any_scalar(random)
            if "new" in table:
                table["new"][at] = f"{random.getrandbits(128):032x}"

    def _cell(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        """One column or relationship of every row gets the same value."""
        rows = [row for row in table.get("rows") or () if isinstance(row, list) and row]
        if rows:
            at, value = random.randrange(max(map(len, rows))), self._any_scalar(random)
            for row in rows:
                if at < len(row):
                    row[at] = value

    def _edit(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        """An edit more, of what may or may not be there."""
        mask = [name for part in ("columns", "references", "collections") for name in table.get(part, ())]
        name = random.choice(mask) if mask and random.random() < 0.8 else random.choice(self._words)
        nodes = [random.randrange(12) for _ in range(random.randrange(3))]
        value = random.choice((self._any_scalar(random), nodes, random.randrange(12), None))
        edit: dict[str, Any] = {"row": random.choice((0, 0, 0, 1, 2, 99))}
        part = random.choice(("base", "base", "unknown", "added", "removed"))
        edit[part] = [name] if part == "unknown" else {name: value if part == "base" else nodes}
        edits = table.setdefault("edits", [])
        if isinstance(edits, list):
            edits.append(edit)

    def _new(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        """Stored objects become new ones, or the other way around."""
        rows = table.get("rows")
        if table.pop("new", None) is None and isinstance(rows, list):
            table["new"] = [f"{random.getrandbits(random.choice((1, 128))):032x}" for _ in rows]

    def _entity(self, tree: Any, table: dict[str, Any], random: Random) -> None:
        others = [one.get("entity") for one in tree["tables"] if isinstance(one, dict)]
        table["entity"] = random.choice((*others, random.choice(self._words)))

    def _again(self, tree: Any, table: dict[str, Any], random: Random) -> None:
        tree["tables"].insert(random.randint(0, len(tree["tables"])), _copied(table))

    def _shard(self, _tree: Any, table: dict[str, Any], random: Random) -> None:
        table["identity_token"] = self._any_scalar(random)

    _on_tables = (_mask, _column, _row, _cell, _edit, _edit, _new, _entity, _again, _shard)


# --- trees -----------------------------------------------------------------------------------------------------------


def parsed(data: bytes) -> tuple[Any, bool] | None:
    """The tree of a document, and whether it is MessagePack; None for anything else."""
    for packed, decode in ((False, msgspec.json.decode), (True, msgspec.msgpack.decode)):
        try:
            tree = decode(data)
        except (ValueError, RecursionError):
            continue
        if isinstance(tree, (dict, list)):
            return tree, packed
    return None


def _place(tree: Any, random: Random) -> tuple[Any, Any] | None:
    """(container, key) of some value in the tree."""
    while isinstance(tree, (dict, list)) and tree:
        key = random.choice(list(tree)) if isinstance(tree, dict) else random.randrange(len(tree))
        inner = tree[key]
        if not isinstance(inner, (dict, list)) or not inner or random.random() < 0.15:
            return tree, key
        tree = inner
    return None


def _copied(value: Any) -> Any:
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))
    except (ValueError, OverflowError, RecursionError):
        return None


def _some_table(tree: Any, random: Random) -> dict[str, Any] | None:
    tables = tree.get("tables") if isinstance(tree, dict) else None
    found = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    return random.choice(found) if found else None


# --- bytes -----------------------------------------------------------------------------------------------------------


def encoded(tree: Any, packed: bool, random: Random) -> bytes:
    """The tree as bytes. What an encoder refuses is left to the other one, or to nobody."""
    try:
        if packed:
            data = msgspec.msgpack.encode(tree, enc_hook=repr)
        else:
            data = json.dumps(tree, ensure_ascii=random.random() < 0.5, default=repr).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, OverflowError, RecursionError):
        return repr(tree)[:2000].encode("utf-8", "surrogatepass")
    for mark, replacement in ((_DEEP, _bomb), (_HUGE, _number), (_LONG, _text)):
        spot = msgspec.msgpack.encode(mark) if packed else b'"%s"' % mark.encode()
        while spot in data:
            data = data.replace(spot, replacement(packed, random), 1)
    return data


def _bomb(packed: bool, random: Random) -> bytes:
    depth = random.choice((60, 64, 65, 66, 500, 990, 1_000, 5_000, 100_000))
    opening, closing = random.choice(
        ((b"\x91", b""), (b"\x81\xa1x", b""), (b"\xdd\xff\xff\xff\xff", b""), (b"\xdc\x00\x01", b""))
        if packed
        else ((b"[", b"]"), (b'{"x":', b"}"), (b"[[],", b"]"))
    )
    inner = b"\xc0" if packed else b"1"
    return opening * depth + inner + closing * (depth if random.random() < 0.8 else 0)


def _number(packed: bool, random: Random) -> bytes:
    if packed:
        return b"\xcf" + random.randbytes(8)
    digits = random.choice((20, 400, 4_299, 4_301, 20_000))
    return b"9" * digits + random.choice((b"", b"", b".5", b"e5", b"e999999999"))


def _text(packed: bool, random: Random) -> bytes:
    length = random.choice((300, 5_000, 70_000))
    letters = random.choice((b"x", b"\\u0000", b"9", b"\xc3\xa9", b"\xff"))
    return msgspec.msgpack.encode("x" * length) if packed else b'"' + letters * length + b'"'


def damaged(data: bytes, random: Random) -> bytes:
    """Some bytes changed, left out, put in or said twice."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 10))):
        at = random.randint(0, len(changed))
        match random.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random.choice(b'[]{}",:0-.eE\\\x00\x80\x91\xc0\xc1\xc7\xd6\xdd\xff')
            case 2:
                changed[at:at] = random.randbytes(random.choice((1, 2, 8)))
            case 3:
                del changed[at : at + random.choice((1, 1, 4, 100))]
            case 4:
                changed[at:at] = changed[at : at + random.choice((1, 4, 50))]
            case _:
                del changed[at + random.choice((0, 1000)) :]
    return bytes(changed)
