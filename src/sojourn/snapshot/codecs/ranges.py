"""The ranges of PostgreSQL travel as objects of their bounds, multiranges as arrays of these."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import Any, Literal

import msgspec
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange

from sojourn.snapshot.codecs.codec import NONE, Codec, Values, article

_RANGES: frozenset[type] = frozenset({Range, NONE})
_MULTIRANGES: frozenset[type] = frozenset({MultiRange, NONE})


def range_codec(bound: Codec) -> Codec:
    """The codec of a range whose bounds travel by another codec."""
    wire = _form(bound)
    return Codec(wire | None, _RANGES, encode=partial(_ranges_out, wire, bound), decode=partial(_ranges_in, bound))


def multirange_codec(bound: Codec) -> Codec:
    """The codec of a multirange: several ranges."""
    one = range_codec(bound)
    return Codec(
        list.__class_getitem__(_form(bound)) | None,  # a type that is made at run time
        _MULTIRANGES,
        encode=partial(_multiranges_out, one),
        decode=partial(_multiranges_in, one),
        array=True,
    )


def _form(bound: Codec) -> Any:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("lower", bound.widest, None),
        ("upper", bound.widest, None),
        ("bounds", Literal["[)", "(]", "[]", "()"]),
        ("empty", bool, False),
    ]
    return msgspec.defstruct("Range", fields, forbid_unknown_fields=True, omit_defaults=True, kw_only=True)


def _ranges_out(form: Any, bound: Codec, values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    lowers, uppers = _bounds(bound.outgoing, values, packed, wide)
    return [
        None if value is None else form(lower=lower, upper=upper, bounds=value.bounds, empty=value.empty)
        for value, lower, upper in zip(values, lowers, uppers, strict=True)
    ]


def _ranges_in(bound: Codec, values: Values, packed: bool) -> Values:
    lowers, uppers = _bounds(bound.incoming, values, packed)
    return [
        None if value is None else Range(lower, upper, bounds=value.bounds, empty=value.empty)
        for value, lower, upper in zip(values, lowers, uppers, strict=True)
    ]


def _bounds(change: Any, values: Values, *how: bool) -> tuple[Values, Values]:
    """The lower and upper bounds of a column, changed by their codec."""
    lowers = [None if value is None else value.lower for value in values]
    uppers = [None if value is None else value.upper for value in values]
    return change(lowers, *how), change(uppers, *how)


def _multiranges_out(one: Codec, values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    ranges = list(chain.from_iterable(filter(None, values)))
    for kind in set(map(type, ranges)) - {Range}:
        raise ValueError(f"holds {article(kind)} inside its MultiRange, and the column takes Range there")
    sent = iter(one.outgoing(ranges, packed, wide))
    return [None if value is None else [next(sent) for _ in value] for value in values]


def _multiranges_in(one: Codec, values: Values, packed: bool) -> Values:
    read = iter(one.incoming(list(chain.from_iterable(filter(None, values))), packed))
    return [None if value is None else MultiRange(next(read) for _ in value) for value in values]
