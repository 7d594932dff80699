"""The BIT of PostgreSQL: text in SQLAlchemy 2.0, a subclass of str in 2.1."""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy.dialects import postgresql

from sojourn.snapshot.codecs.codec import Codec, Values, plain
from sojourn.snapshot.codecs.scalars import STR
from sojourn.snapshot.codecs.tagged import FixedTags, tagged


def _out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    return [None if value is None else str.__str__(value) for value in values]  # exactly a str, which msgspec writes


def _in(class_: Any, values: Values, packed: bool) -> Values:
    return [None if value is None else class_(value) for value in values]


def _codec(class_: type) -> Codec:
    if class_ is str:
        return STR
    natural = plain(class_, wire=str, encode=_out, decode=partial(_in, class_))
    return tagged(natural, FixedTags({str: STR}))


BIT = _codec(getattr(postgresql, "BitString", str))
"""Bits travel as text. Text that was set on an object says that it is no more than that."""
