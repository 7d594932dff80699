"""How the values of a column travel, by the column's SQLAlchemy type.

A codec says which Python types a column takes, which type msgspec shall read, and, where msgspec alone would lose
something, how a whole column is turned into what travels and back. A value that is not exactly of a type that its
column takes is refused: a subclass, a dataclass or an SQL expression would come back as something else.

Functions here get a column of values, None among them, and raise ValueError where one of them cannot travel.
"""

from __future__ import annotations

import datetime
import enum
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, Literal, Optional
from uuid import UUID

from sqlalchemy import JSON, PickleType
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.types import TypeDecorator, TypeEngine

from sojourn.errors import SnapshotError
from sojourn.mapping.blueprint import Blueprint
from sojourn.sqlalchemy_internals import class_notes

Values = Sequence[Any]
Change = Callable[[Values], Values]

_KEY = "sojourn.codecs"
_MICROSECOND = datetime.timedelta(microseconds=1)
_MINUTE = datetime.timedelta(minutes=1)
_SPECIAL_FLOATS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


@dataclass(frozen=True, slots=True)
class Codec:
    """How the values of one column travel. `takes` is None where `encode` does all the checking."""

    wire: Any
    takes: frozenset[type] | None = None
    encode: Change | None = None
    decode: Change | None = None

    def outgoing(self, values: Values) -> Values:
        """A column of Python values as it travels; the same sequence where nothing has to be changed."""
        if self.takes is not None:
            for kind in set(map(type, values)) - self.takes:
                names = " or ".join(sorted(one.__name__ for one in self.takes if one is not type(None)))
                raise ValueError(f"holds {_article(kind)}, and the column takes {names}")
        return values if self.encode is None else self.encode(values)

    def incoming(self, values: Values) -> Values:
        """A column of what was read as Python values."""
        return values if self.decode is None else self.decode(values)


def codec_of(plan: Blueprint, key: str) -> Codec:
    """The codec of a column attribute. Raises SnapshotError for a type that cannot travel."""
    kept: dict[str, Codec] = class_notes(plan.mapper).setdefault(_KEY, {})
    codec = kept.get(key)
    if codec is None:
        codec = kept[key] = _codec(plan, key)
    return codec


def _codec(plan: Blueprint, key: str) -> Codec:
    type_ = plan.columns[key].type
    layers = list(_layers(type_))
    if isinstance(layers[-1], JSON):
        return Codec(Any, encode=partial(_json_out, layers[-1].none_as_null))
    python_type = next(filter(None, map(_python_type, layers)), None)
    if python_type is not None and issubclass(python_type, enum.Enum):
        return _enum_codec(python_type)
    codec = _CODECS.get(python_type)
    if codec is None or any(isinstance(layer, PickleType) for layer in layers):
        raise SnapshotError(
            f"values of the type {type(type_).__name__} cannot travel",
            where=f"{plan.entity}.{key}",
            remedy=f"Leave it unloaded: defer({plan.entity}.{key}); or map a type whose Python values are plain ones.",
        )
    return codec


def _layers(type_: TypeEngine[Any]) -> Iterator[TypeEngine[Any]]:
    """A type and, where it decorates another one, that one. Most decorators do not say what their Python type is."""
    yield type_
    while isinstance(type_, TypeDecorator):
        type_ = type_.impl_instance
        yield type_


def _python_type(type_: TypeEngine[Any]) -> type | None:
    """None where the type does not say it: SQLAlchemy 2.0 raises then, and 2.1 says object."""
    try:
        python_type = type_.python_type
    except NotImplementedError:
        return None
    return None if python_type is object else python_type


def _article(kind: type) -> str:
    return f"{'an' if kind.__name__[:1].lower() in 'aeiou' else 'a'} {kind.__name__}"


# --- numbers ---------------------------------------------------------------------------------------------------------


def _ints_out(values: Values) -> Values:
    known = [value for value in values if value is not None] if None in values else values
    try:
        array("q", known)  # a loop in C, which refuses what needs more than 63 bits and a sign
    except OverflowError:
        if any(not -(2**63) <= value < 2**64 for value in known):
            raise ValueError("holds an integer of more than 64 bits") from None
    return values


def _floats_out(values: Values) -> Values:
    kinds = set(map(type, values))
    if int in kinds:
        _ints_out([value for value in values if type(value) is int])
    if float in kinds and not all(map(isfinite, filter(None, values))):
        return [_float_out(value) if type(value) is float else value for value in values]
    return values


def _float_out(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN differs from itself


def _floats_in(values: Values) -> Values:
    if str not in set(map(type, values)):
        return values
    return [_SPECIAL_FLOATS[value] if type(value) is str else value for value in values]


def _decimals_out(values: Values) -> Values:
    kinds = set(map(type, values))
    if int in kinds:
        _ints_out([value for value in values if type(value) is int])
    # As a string it would come back as a Decimal.
    if float in kinds and not all(isfinite(value) for value in values if type(value) is float):
        raise ValueError("holds a float that is not finite, and the column takes Decimal")
    return values


# --- dates and times -------------------------------------------------------------------------------------------------
# msgspec writes RFC 3339, whose offsets are whole minutes, and rounds others. Local mean times of before 1937 have
# seconds in theirs; they travel as [local time, offset in microseconds].


def _instants_out(values: Values) -> Values:
    if {value.tzinfo for value in values if value is not None} <= {None, datetime.UTC}:
        return values
    return [value if value is None or value.tzinfo is None else _instant_out(value) for value in values]


def _instant_out(value: datetime.datetime | datetime.time) -> Any:
    offset = value.utcoffset()
    if offset is None:
        raise ValueError("holds a time zone that gives no offset")
    return value if offset % _MINUTE == datetime.timedelta(0) else (value.replace(tzinfo=None), offset // _MICROSECOND)


def _instants_in(values: Values) -> Values:
    if tuple not in set(map(type, values)):
        return values
    return [_instant_in(*value) if type(value) is tuple else value for value in values]


def _instant_in(local: datetime.datetime | datetime.time, offset: int) -> datetime.datetime | datetime.time:
    if local.tzinfo is not None:
        raise ValueError("expected a local time before the offset")
    return local.replace(tzinfo=datetime.timezone(_duration(offset)))


def _durations_out(values: Values) -> Values:
    return [None if value is None else value // _MICROSECOND for value in values]


def _durations_in(values: Values) -> Values:
    return [None if value is None else _duration(value) for value in values]


def _duration(microseconds: int) -> datetime.timedelta:
    try:
        return datetime.timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError("expected microseconds of at most 999,999,999 days") from None


# --- Enum and JSON ---------------------------------------------------------------------------------------------------


def _enum_codec(class_: type[enum.Enum]) -> Codec:
    names = tuple(class_.__members__)
    members: dict[str | None, enum.Enum | None] = {None: None}
    members.update(class_.__members__)
    return Codec(
        Optional[Literal[names]],  # noqa: UP045 - `|` does not take a Literal that is made at run time
        frozenset({class_, type(None)}),
        partial(_names_out, frozenset(names)),
        partial(_names_in, members),
    )


def _names_out(names: frozenset[str], values: Values) -> Values:
    sent = [None if value is None else value.name for value in values]
    for name in set(sent) - names - {None}:
        raise ValueError(f"holds {name}, which is a combination of members and has no name of its own")
    return sent


def _names_in(members: dict[str | None, enum.Enum | None], values: Values) -> Values:
    return [members[value] for value in values]


def _json_out(none_as_null: bool, values: Values) -> Values:
    if not none_as_null and any(value is JSON.NULL for value in values):
        values = [None if value is JSON.NULL else value for value in values]
    try:
        for value in values:
            _check_json(value)
    except RecursionError:
        raise ValueError("holds JSON that is nested too deeply, or that contains itself") from None
    return values


def _check_json(value: Any) -> None:
    kind = type(value)
    if value is None or kind is str or kind is bool:
        return
    if kind is int:
        _ints_out((value,))
    elif kind is float:
        if not isfinite(value):
            raise ValueError(f"holds {value} inside JSON, which has no form for it")
    elif kind is dict or (isinstance(value, dict) and isinstance(value, MutableBase)):
        for name, member in value.items():
            if type(name) is not str:
                raise ValueError(f"holds {_article(type(name))} as a key inside JSON, and keys are str there")
            _check_json(member)
    elif kind is list or (isinstance(value, list) and isinstance(value, MutableBase)):
        for member in value:
            _check_json(member)
    else:
        raise ValueError(f"holds {_article(kind)} inside JSON, which would come back as something else")


# --- the types -------------------------------------------------------------------------------------------------------


def _plain(python_type: type, encode: Change | None = None, decode: Change | None = None, wire: Any = None) -> Codec:
    return Codec((wire or python_type) | None, frozenset({python_type, type(None)}), encode, decode)


_NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
_CODECS: dict[type | None, Codec] = {
    int: _plain(int, _ints_out),
    bool: _plain(bool),
    str: _plain(str),
    bytes: _plain(bytes),
    UUID: _plain(UUID),
    datetime.date: _plain(datetime.date),
    datetime.datetime: _plain(
        datetime.datetime, _instants_out, _instants_in, wire=datetime.datetime | tuple[datetime.datetime, int]
    ),
    datetime.time: _plain(datetime.time, _instants_out, _instants_in, wire=datetime.time | tuple[datetime.time, int]),
    datetime.timedelta: _plain(datetime.timedelta, _durations_out, _durations_in, wire=int),
    # JSON tells 5 from 5.0, so an int in a column of floats or Decimals stays one.
    float: Codec(int | float | Literal["NaN", "Infinity", "-Infinity"] | None, _NUMBERS, _floats_out, _floats_in),
    Decimal: Codec(int | float | Decimal | None, frozenset({*_NUMBERS, Decimal}), _decimals_out),
}
