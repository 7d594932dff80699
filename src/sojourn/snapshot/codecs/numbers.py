"""int, float and Decimal.

JSON writes integers of any size and no NaN; MessagePack has NaN and only 64 bits. So each encoding has its own rare
forms, as strings. In a column of Decimals a string is a Decimal; there they are in an object that names their type.
JSON tells 5 from 5.0, so an int in a column of floats or Decimals stays one.
"""

from __future__ import annotations

import re
from decimal import Decimal
from math import isfinite
from typing import Any

from sojourn.snapshot.codecs.codec import NONE, Codec, Values, plain

_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_LEAST, _MOST = -(2**63), 2**64 - 1
# Python reads no more than 4,300 digits unless told otherwise, because the time grows with their square.
_DIGITS = re.compile(r"-?[1-9][0-9]{18,4299}")


def _ints_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    if not (packed and wide and int in kinds):
        return values
    return [_int_out(value) if type(value) is int else value for value in values]


def _ints_in(values: Values, packed: bool) -> Values:
    return [integer(value) if type(value) is str else value for value in values]


def _int_out(value: int) -> int | str:
    return value if _LEAST <= value <= _MOST else digits(value)


def digits(value: int) -> str:
    """The digits of an integer. Raises ValueError where there are more than Python writes."""
    try:
        return str(value)
    except ValueError:
        raise ValueError("holds an integer of more digits than Python writes") from None


def integer(text: str) -> int:
    """The integer of more than 64 bits that a string of digits stands for. Raises ValueError."""
    value = int(text) if _DIGITS.fullmatch(text) else 0
    if _LEAST <= value <= _MOST:
        raise ValueError("expected a number, or a string of digits for an integer of more than 64 bits")
    return value


def _floats_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    if not packed and float in kinds and not all_finite(values):
        values = [_float_out(value) if type(value) is float else value for value in values]
    return _ints_out(values, kinds, packed, wide)


def all_finite(numbers: Values) -> bool:
    """Whether no number is NaN or infinite. False may also mean that their sum is too large: then look at each."""
    try:
        return isfinite(sum(filter(None, numbers)))
    except OverflowError:  # an int that no float can hold
        return False


def _float_out(value: float) -> float | str:
    if isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 - NaN differs from itself


def _floats_in(values: Values, packed: bool) -> Values:
    return [_float_in(value) if type(value) is str else value for value in values]


def _float_in(text: str) -> float | int:
    return _SPECIAL[text] if text in _SPECIAL else integer(text)


def _decimals_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    if not packed and float in kinds:
        values = [_named("float", _float_out(value)) if type(value) is float else value for value in values]
    if packed and wide and int in kinds:
        values = [_named("int", _int_out(value)) if type(value) is int else value for value in values]
    return values


def _named(name: str, sent: float | str) -> Any:
    return {name: sent} if type(sent) is str else sent


def _decimals_in(values: Values, packed: bool) -> Values:
    return [_number(value) if type(value) is dict else value for value in values]


def _number(form: dict[str, Any]) -> float | int:
    match form:
        case {"float": str(text)} if len(form) == 1 and text in _SPECIAL:
            return _SPECIAL[text]
        case {"int": str(text)} if len(form) == 1:
            return integer(text)
    raise ValueError("expected a number, a string, or an object of the one key float or int")


INT = plain(int, wide=int | str | None, encode=_ints_out, decode=_ints_in, passes=frozenset({int, NONE}))
FLOAT = plain(float, int, wire=int | float, wide=int | float | str | None, encode=_floats_out, decode=_floats_in)
DECIMAL = plain(
    *(Decimal, int, float),
    wire=int | float | Decimal,
    wide=int | float | Decimal | dict[str, Any] | None,
    encode=_decimals_out,
    decode=_decimals_in,
    passes=frozenset({Decimal, int, NONE}),
)
BARE = Codec(
    bool | int | float | str | dict[str, Any] | None,
    frozenset({bool, int, float, str, type(None)}),
    encode=_decimals_out,
    decode=_decimals_in,
)
"""For a column of which nothing is known: what JSON and MessagePack tell apart by themselves."""
