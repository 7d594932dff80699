"""Values in plain JSON, as people expect them in an API, by the Python type of the value.

It is not the wire format, which has to tell each value from its neighbours when it comes back: here a Decimal is a
string, a duration is ISO 8601, and nothing says which was which. What JSON has no form for is refused and never bent:
NaN and the infinities are neither null nor a number.

Nothing of the user's is called but what was given to `register_type`: a subclass of a known type is written by the
known type's own method.
"""

from __future__ import annotations

import base64
import datetime
import enum
import ipaddress
from collections.abc import Callable, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from sqlalchemy import JSON
from sqlalchemy.dialects.postgresql import Range

from sojourn.snapshot.codecs.registry import class_codec

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_SECOND = datetime.timedelta(seconds=1)
_MICROSECOND = datetime.timedelta(microseconds=1)
_MINUTE = datetime.timedelta(minutes=1)


def plain_column(values: Sequence[Any]) -> Sequence[Any]:
    """A column of values as plain JSON; the same sequence where nothing has to be changed.

    Raises ValueError for a value that JSON has no form for. Containers are copied, so that the plain form can be
    changed without changing the object.
    """
    kinds = set(map(type, values))
    if kinds <= _AS_THEY_ARE:
        return values
    try:
        if len(kinds) == 1:
            (kind,) = kinds
            if kind is Decimal and class_codec(kind) is None and all(map(Decimal.is_finite, values)):
                return list(map(Decimal.__str__, values))  # a loop in C for what is there in large numbers
            return list(map(_writer(kind), values))
        writers = {kind: _writer(kind) for kind in kinds}
        return [writers[type(value)](value) for value in values]
    except RecursionError:
        raise ValueError("holds a value that is nested too deeply, or that contains itself") from None


def plain_value(value: Any) -> Any:
    """The same for one value."""
    kind = type(value)
    return value if kind in _AS_THEY_ARE else _writer(kind)(value)


def plain_key(value: Any) -> str:
    """A value as the name of a member of a JSON object. Raises ValueError."""
    plain = plain_value(value)
    if type(plain) is str:
        return plain
    if type(plain) is int:
        return str(plain)
    raise ValueError(f"has a key of the type {type(value).__name__}, and the names in a JSON object are text")


def _writer(kind: type) -> Callable[[Any], Any]:
    registered = class_codec(kind)
    if registered is not None:
        return lambda value: plain_value(registered.outgoing((value,))[0])
    known = _WRITERS.get(kind)
    if known is None and issubclass(kind, enum.Enum):
        known = _names if issubclass(kind, enum.Flag) else _name
    if known is None:
        known = next((_WRITERS[base] for base in kind.__mro__ if base in _WRITERS), None)
    if known is None:
        raise ValueError(f"holds a value of the type {kind.__name__}, which JSON has no form for")
    return known


def _as_it_is(value: Any) -> Any:
    return value


def _null(value: Any) -> None:
    """`JSON.NULL`, SQLAlchemy's own sign for a null inside a JSON column."""
    if value is not JSON.NULL:
        raise ValueError("holds a sign of SQLAlchemy's that is no value")


def _float(value: float) -> float:
    if not isfinite(value):
        raise ValueError(f"holds {float.__repr__(value)}, which is no number in JSON")
    return float.__float__(value)


def _decimal(value: Decimal) -> str:
    if not Decimal.is_finite(value):
        raise ValueError(f"holds {Decimal.__str__(value)}, which is no number")
    return Decimal.__str__(value)


def _datetime(value: datetime.datetime) -> str:
    # RFC 3339 has no seconds in an offset, as local mean times of long ago have them; UTC is the same instant.
    offset = None if value.tzinfo is None else datetime.datetime.utcoffset(value)
    if offset is not None and offset % _MINUTE:
        value = datetime.datetime.astimezone(value, datetime.UTC)
    return datetime.datetime.isoformat(value)


def _duration(value: datetime.timedelta) -> str:
    """ISO 8601; a minus sign and a fraction of a second are the usual extensions of it."""
    total = value // _MICROSECOND
    seconds, micros = divmod(abs(total), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    fraction = f".{micros:06d}".rstrip("0") if micros else ""
    time = f"{hours}H" if hours else ""
    # The grammar of RFC 3339 lets no unit out between two others.
    time += f"{minutes}M" if minutes or (hours and (seconds or micros)) else ""
    time += f"{seconds}{fraction}S" if seconds or micros or not (total or days) else ""
    return f"{'-' if total < 0 else ''}P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _name(value: enum.Enum) -> str:
    return value.name


def _names(value: enum.Flag) -> list[str]:
    known = list(enum.Flag.__iter__(value))
    if sum(member.value for member in known) != value.value:
        raise ValueError(f"holds a {type(value).__name__} with bits that have no name")
    return [_name(member) for member in known]


def _array(value: Any) -> list[Any]:
    iterate = tuple.__iter__ if isinstance(value, tuple) else list.__iter__
    return [plain_value(member) for member in iterate(value)]


def _sorted_array(value: Any) -> list[Any]:
    """A set has no order, and an answer shall be the same each time."""
    iterate = set.__iter__ if isinstance(value, set) else frozenset.__iter__
    return sorted((plain_value(member) for member in iterate(value)), key=repr)


def _object(value: dict[Any, Any]) -> dict[str, Any]:
    return {plain_key(name): plain_value(member) for name, member in dict.items(value)}


def _range(value: Range[Any]) -> dict[str, Any]:
    lower, upper = plain_value(value.lower), plain_value(value.upper)
    return {"lower": lower, "upper": upper, "bounds": value.bounds, "empty": value.empty}


_WRITERS: dict[type, Callable[[Any], Any]] = {
    type(None): _as_it_is,
    bool: _as_it_is,
    int: int.__int__,
    str: str.__str__,
    type(JSON.NULL): _null,
    float: _float,
    Decimal: _decimal,
    UUID: UUID.__str__,
    datetime.datetime: _datetime,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    datetime.timedelta: _duration,
    bytes: _base64,
    bytearray: _base64,
    memoryview: _base64,
    list: _array,
    tuple: _array,
    set: _sorted_array,
    frozenset: _sorted_array,
    dict: _object,
    Range: _range,
    **dict.fromkeys(
        (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Interface, ipaddress.IPv6Interface), str
    ),
    **dict.fromkeys((ipaddress.IPv4Network, ipaddress.IPv6Network), str),
}
