"""Enum members travel by name. A combination of flags has no name of its own and travels as its number."""

from __future__ import annotations

import enum
from functools import partial
from typing import Any, Literal

from sojourn.snapshot.codecs.codec import NONE, Codec, Values
from sojourn.snapshot.codecs.numbers import INT


def enum_codec(class_: type[enum.Enum]) -> Codec:
    """The codec of a column of one Enum class."""
    names = tuple(class_.__members__)
    by_name: Any = Literal[names] | None if names else None
    takes = frozenset({class_, NONE})
    if issubclass(class_, enum.Flag):
        # A string of digits is a number of more than 64 bits, so no name can be told apart by its type alone.
        return Codec(str | int | None, takes, encode=_flags_out, decode=partial(_flags_in, class_))
    members: dict[str | None, enum.Enum | None] = {None: None}
    members.update(class_.__members__)
    return Codec(by_name, takes, encode=_names_out, decode=partial(_names_in, members))


def _names_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    return [None if value is None else value.name for value in values]


def _names_in(members: dict[str | None, enum.Enum | None], values: Values, packed: bool) -> Values:
    return [members[value] for value in values]


def _flags_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    return [None if value is None else _flag_out(value, packed, wide) for value in values]


def _flag_out(value: enum.Flag, packed: bool, wide: bool) -> Any:
    name = value.name
    if name in type(value).__members__:
        return name
    return INT.outgoing((value.value,), packed, wide)[0]


def _flags_in(class_: type[enum.Flag], values: Values, packed: bool) -> Values:
    return [None if value is None else _flag_in(class_, value) for value in values]


def _flag_in(class_: type[enum.Flag], sent: str | int) -> enum.Flag:
    if type(sent) is str and sent in class_.__members__:
        return class_.__members__[sent]
    number = INT.incoming((sent,))[0]
    flag = class_(number)
    if type(flag) is not class_ or flag.value != number:  # some boundaries drop bits, or give an int
        raise ValueError(f"expected a combination of {class_.__name__}'s members")
    return flag
