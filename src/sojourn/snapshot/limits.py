"""How large a document may be, so that bytes from outside cannot fill the memory or the stack.

All limits are checked before any object is built, and each as early as it can be known: the bytes before anything is
read, the number of objects when the rows are counted, nesting and strings when the rows are plain values. Most
documents pay nothing for the last two: strings are measured only in a document that is longer than the longest string
may be, and nesting only in columns that can nest.

What bytes can cost is bounded by their number alone: plain values take up to 24 times the room of their JSON and 72
times that of their MessagePack (empty objects inside a JSON column), objects more as they are richer. So where bytes
come from strangers, `max_bytes` is the limit to lower.

Nesting that would overflow the stack is stopped by Python's recursion limit, which msgspec keeps to. On Python 3.11 a
program that raises it above 20,000 (`sys.setrecursionlimit`) gives this up: there the same limit guards C code.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from sojourn.errors import BadArgumentError, SnapshotError

_LISTS = frozenset({list, tuple, set})
_CONTAINERS = _LISTS | {dict}
_OBJECTS = frozenset({dict})
_STRINGS = frozenset({str, bytes})
_PLAIN = {int, float, bool, str, bytes, NoneType, Decimal, UUID, date, time, datetime, timedelta}
_REMEDY = "If the bytes can be trusted to be that large, pass loads(..., limits=Limits({}=...))."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What `loads` takes. None is no limit. The defaults are for documents of one's own; of a stranger take less.

    `max_bytes`: the length of the bytes, 128 MiB. `max_objects`: the number of objects, one million. `max_depth`: how
    deep lists and objects may be nested in one value, in a JSON column for example, 64; at about 900 Python's own limit
    comes in. `max_string`: the characters of a text and the bytes of a binary value, alone or inside a JSON value,
    16 Mi.
    """

    max_bytes: int | None = 128 * 2**20
    max_objects: int | None = 1_000_000
    max_depth: int | None = 64
    max_string: int | None = 16 * 2**20

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and (type(limit) is not int or limit < 0):
                raise BadArgumentError(f"{field.name} is {limit!r}. It is a number from 0 on, or None for no limit.")


def check_bytes(data: object, limits: Limits) -> bytes:
    """The bytes. Raises SnapshotError if there are too many, or if it is something else."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise SnapshotError(f"expected bytes, got the type {type(data).__name__}", where="$")
    if limits.max_bytes is not None and len(data) > limits.max_bytes:
        raise _beyond("more bytes", "max_bytes", limits.max_bytes, "$")
    return bytes(data)


def check_objects(count: int, limits: Limits, where: str) -> None:
    """Raise SnapshotError if there are too many objects; `count` is how many there are up to this place."""
    if limits.max_objects is not None and count > limits.max_objects:
        raise _beyond("more objects", "max_objects", limits.max_objects, where)


def can_nest(wire: Any) -> bool:
    """Whether a value that msgspec reads by this type may hold others."""
    leaves = get_args(wire) if isinstance(wire, UnionType) or get_origin(wire) is Union else (wire,)
    return any(leaf not in _PLAIN and get_origin(leaf) is not Literal for leaf in leaves)


def check_rows(rows: Sequence[Sequence[Any]], size: int, nesting: Iterable[int], limits: Limits, where: str) -> None:
    """Raise SnapshotError if a value is nested too deeply, or holds a string that is too long.

    `size` is the number of bytes from which the rows were read, `nesting` the positions of the columns whose values can
    be nested.
    """
    if not rows:
        return
    measure = limits.max_string is not None and size > limits.max_string
    for position in range(len(rows[0])) if measure else nesting:
        if _is_beyond(list(map(itemgetter(position), rows)), limits, measure):
            for number, row in enumerate(rows):
                check_value(row[position], size, limits, f"{where}[{number}][{position}]")


def check_value(value: Any, size: int, limits: Limits, where: str) -> None:
    """The same for one value."""
    measure = limits.max_string is not None and size > limits.max_string
    what = _is_beyond([value], limits, measure)
    if what == "max_depth":
        raise _beyond("deeper nesting", what, limits.max_depth, where)
    if what is not None:
        raise _beyond("a longer string", what, limits.max_string, where)


def _is_beyond(level: list[Any], limits: Limits, measure: bool) -> str | None:
    """The name of a limit that a value is beyond. All values go down level by level, so the loops run in C."""
    depth = 0
    while level:
        kinds = set(map(type, level))
        if measure and kinds & _STRINGS and _longest(level) > (limits.max_string or 0):
            return "max_string"
        if not kinds & _CONTAINERS:
            return None
        if depth == limits.max_depth:
            return "max_depth"
        depth += 1
        objects = level if kinds == _OBJECTS else [value for value in level if type(value) is dict]
        keys = chain.from_iterable(objects) if measure else ()
        lists = [value for value in level if type(value) in _LISTS] if kinds & _LISTS else ()
        level = [*chain.from_iterable(map(dict.values, objects)), *keys, *chain.from_iterable(lists)]
    return None


def _longest(values: Iterable[Any]) -> int:
    return max(len(value) for value in values if type(value) in _STRINGS)


def _beyond(what: str, name: str, limit: int | None, where: str) -> SnapshotError:
    return SnapshotError(f"{what} than {name} allows, which is {limit:,}", where=where, remedy=_REMEDY.format(name))
