"""Values inside JSON columns: they must be what JSON gives back.

A column is checked level by level, all its values at once, so that the loops run in C and nothing recurses. In
MessagePack a value with an integer of more than 64 bits travels as JSON text in a binary string, which no value of JSON
can be mistaken for.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from math import isfinite
from typing import Any

import msgspec
from sqlalchemy import JSON
from sqlalchemy.ext.mutable import MutableBase

from sojourn.snapshot.codecs.codec import NONE, Codec, Values, article
from sojourn.snapshot.codecs.numbers import all_finite

MAX_DEPTH = 500
"""How deep a value may be nested. Python's own limit, which msgspec keeps to, leaves room for about twice as much."""

_SCALARS: frozenset[type] = frozenset({NONE, bool, int, float, str})
_CONTAINERS: frozenset[type] = frozenset({dict, list})
_OBJECTS: frozenset[type] = frozenset({dict})
_TEXT: frozenset[type] = frozenset({str})


def check(values: Values) -> None:
    """Raise ValueError unless every value is one that JSON gives back exactly as it is."""
    level = values
    for depth in range(MAX_DEPTH):
        level = _below(level, depth)
        if not level:
            return
    raise ValueError("holds JSON that is nested too deeply, or that contains itself")


def _below(level: Values, depth: int) -> Values:
    """The members of the containers on a level, once that level is checked."""
    kinds = set(map(type, level))
    if float in kinds:
        _check_floats([value for value in level if type(value) is float])
    if kinds <= _SCALARS:
        return ()
    boxes = kinds - _SCALARS
    for kind in boxes - _CONTAINERS:
        if not (issubclass(kind, MutableBase) and issubclass(kind, (dict, list))):
            raise ValueError(f"holds {article(kind)} inside JSON, which would come back as something else")
    if boxes <= _CONTAINERS:
        objects = level if kinds == _OBJECTS else [value for value in level if type(value) is dict]
        lists: Values = [value for value in level if type(value) is list] if list in boxes else []
    else:
        objects = [value for value in level if isinstance(value, dict)]
        lists = [value for value in level if isinstance(value, list)]
    if depth > 1:
        # Each container once: one that contains itself would otherwise fill the memory before it is too deep.
        objects, lists = _once(objects), _once(lists)
    for kind in set(map(type, chain.from_iterable(objects))) - _TEXT:
        raise ValueError(f"holds {article(kind)} as a key inside JSON, and keys are str there")
    return [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(lists)]


def _once(values: Values) -> Values:
    if len(set(map(id, values))) == len(values):
        return values
    return list({id(value): value for value in values}.values())


def _check_floats(values: list[float]) -> None:
    if not all_finite(values):
        for value in values:
            if not isfinite(value):
                raise ValueError(f"holds {value} inside JSON, which has no form for it")


def _out(none_as_null: bool, values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    if not none_as_null and type(JSON.NULL) in kinds:
        values = [None if value is JSON.NULL else value for value in values]
    check(values)
    return list(map(_packed, values)) if packed and wide else values


def _packed(value: Any) -> Any:
    try:
        msgspec.msgpack.encode(value)
    except OverflowError:
        return msgspec.json.encode(value)
    return value


def _in(values: Values, packed: bool) -> Values:
    if not packed:
        return values
    if bytes in set(map(type, values)):
        values = [_unpacked(value) if type(value) is bytes else value for value in values]
    check(values)
    return values


def _unpacked(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise ValueError("holds JSON that is nested too deeply") from None


def document_codec(none_as_null: bool) -> Codec:
    """The codec of a JSON column. Where None is not NULL, JSON.NULL is the null that the column holds."""
    return Codec(Any, encode=partial(_out, none_as_null), decode=_in, array=True, document=True)


DOCUMENT = document_codec(none_as_null=True)
