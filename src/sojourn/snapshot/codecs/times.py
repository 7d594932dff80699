"""Dates, times and durations.

msgspec writes RFC 3339, whose offsets are whole minutes, and rounds others; its MessagePack turns every instant into
UTC. So in MessagePack an instant of another zone is written as text, as in JSON. Local mean times of before 1937 have
seconds in their offset; they travel as an object of the local time and the offset in microseconds.
"""

from __future__ import annotations

import datetime
from functools import partial
from operator import attrgetter
from typing import Any

import msgspec

from sojourn.snapshot.codecs.codec import Values, plain

_MICROSECOND = datetime.timedelta(microseconds=1)
_SIMPLE: frozenset[datetime.tzinfo | None] = frozenset({None, datetime.UTC})
_zone = attrgetter("tzinfo")


def _datetimes_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    return values if _simple(values, packed) else [_instant_out(value, packed) for value in values]


def _times_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    if datetime.timedelta in kinds:
        return [_time_out(value) for value in values]
    return values if _simple(values, False) else [_instant_out(value, False) for value in values]


def _simple(values: Values, packed: bool) -> bool:
    """Whether msgspec writes every value exactly as it is: none has a zone, or one that is known to do no harm."""
    try:
        zones: set[datetime.tzinfo | None] = set(map(_zone, filter(None, values)))
    except TypeError:  # a tzinfo that cannot be hashed, as some of dateutil's
        return False
    return zones <= _SIMPLE or (not packed and all(map(_is_whole, zones - _SIMPLE)))


def _is_whole(zone: datetime.tzinfo | None) -> bool:
    """Whether a zone is a fixed offset of whole minutes."""
    return type(zone) is datetime.timezone and not _has_seconds(zone.utcoffset(None))


def _has_seconds(offset: datetime.timedelta) -> bool:
    return bool(offset.seconds % 60 or offset.microseconds)  # a negative offset has negative days, and no others


def _time_out(value: datetime.time | datetime.timedelta | None) -> Any:
    return {"timedelta": value} if type(value) is datetime.timedelta else _instant_out(value, False)


def _instant_out(value: Any, packed: bool) -> Any:
    if value is None or value.tzinfo is None:
        return value
    offset = value.utcoffset()
    if offset is None:
        raise ValueError("holds a time zone that gives no offset")
    if _has_seconds(offset):
        return {"local": value.replace(tzinfo=None), "offset": offset // _MICROSECOND}
    return value.isoformat() if packed and offset else value


def _instants_in(kind: type, values: Values, packed: bool) -> Values:
    return [_instant_in(kind, value) if type(value) is dict else value for value in values]


def _instant_in(kind: Any, form: dict[str, Any]) -> Any:
    match form:
        case {"local": local, "offset": int(offset)} if len(form) == 2 and type(offset) is int:  # noqa: PLR2004
            moment = msgspec.convert(local, kind)
            if moment.tzinfo is not None:
                raise ValueError("expected a local time beside the offset")
            return moment.replace(tzinfo=_timezone(offset))
        case {"timedelta": duration} if kind is datetime.time and len(form) == 1:
            return msgspec.convert(duration, datetime.timedelta)
    raise ValueError("expected an object of the two keys local and offset")


def _timezone(microseconds: int) -> datetime.timezone:
    try:
        return datetime.timezone(datetime.timedelta(microseconds=microseconds))
    except (OverflowError, ValueError):
        raise ValueError("expected an offset of less than 24 hours") from None


DATE = plain(datetime.date)
DATETIME = plain(
    datetime.datetime,
    wide=datetime.datetime | dict[str, Any] | None,
    encode=_datetimes_out,
    decode=partial(_instants_in, datetime.datetime),
)
# A TIME of MySQL is a duration to its drivers and may hold more than a day.
TIME = plain(
    *(datetime.time, datetime.timedelta),
    wire=datetime.time,
    wide=datetime.time | dict[str, Any] | None,
    encode=_times_out,
    decode=partial(_instants_in, datetime.time),
)
TIMEDELTA = plain(datetime.timedelta)
