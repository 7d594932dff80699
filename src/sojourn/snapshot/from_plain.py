"""Values from plain JSON, by the SQLAlchemy type of their column: the way back from what `plain` makes of them.

A value that is of the column's Python type already is taken as it is, because what has passed another validation
before (a Pydantic model, say) holds dates and Decimals, not their texts. Nothing is guessed: `"5"` is no number and 1
is no truth value. What no database takes (an integer of more bits than the column has, half of a surrogate pair, a
Decimal with a million zeros) is refused here, where its place in the payload is known.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, JSON, BigInteger, DateTime, Dialect, Enum, Integer, SmallInteger, String, Time, Uuid
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from sojourn.mapping.columns import python_type_of
from sojourn.snapshot.codecs.registry import class_codec
from sojourn.snapshot.values import Codec, registered_codec

Read = Callable[[Any], Any]
"""From a plain value, which is not None, to the column's. Raises ValueError."""

NESTING = 64
"""How deep lists and objects may be nested in one value, as in `Limits.max_depth`."""

_MAGNITUDE = 1000  # powers of ten: more than any database keeps of a number
_CONTAINERS = (dict, list, tuple)


def reader_of(type_: TypeEngine[Any], dialect: Dialect) -> Read:
    """What reads the values of a type; `dialect` tells how wide its integers are. Pure."""
    codec = registered_codec(type_)
    if codec is not None:
        return partial(_registered, codec, None)
    return next(reader(type_, dialect) for class_, reader in _KINDS if isinstance(type_, class_))


def _by_python_type(type_: TypeEngine[Any], dialect: Dialect) -> Read:
    kind = python_type_of(type_)
    if kind is None:
        return _anything
    codec = class_codec(kind)
    if codec is not None:
        return partial(_registered, codec, kind)
    if issubclass(kind, enum.Flag):
        return partial(_flag, kind)
    if issubclass(kind, enum.Enum):
        return partial(_member, kind)
    base = next((base for base in kind.__mro__ if base in _BY_PYTHON_TYPE), None)
    if base is None:
        return _anything
    return partial(_integer, *_range_of(type_, dialect)) if base is int else _BY_PYTHON_TYPE[base]


# --- scalars ---


def _convert(kind: Any, value: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error).replace("`", "")) from None


def _text(nul: bool, length: int | None, value: Any) -> str:
    text: str = _convert(str, value)
    if length is not None and len(text) > length:
        raise ValueError(f"is longer than {length} characters")
    return _checked(text, nul)


def _checked(text: str, nul: bool = True) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("holds half of a surrogate pair, which is no text") from None
    if not nul and "\0" in text:
        raise ValueError("holds the character NUL, which this database does not store")
    return text


def _integer(least: int, most: int, value: Any) -> int:
    number: int = _convert(int, value)
    if not least <= number <= most:
        raise ValueError(f"is not between {least} and {most}")
    return number


def _range_of(type_: TypeEngine[Any], dialect: Dialect) -> tuple[int, int]:
    real = type_.dialect_impl(dialect)
    narrow = 16 if isinstance(real, SmallInteger) else 32 if isinstance(real, Integer) else 64
    bits = 64 if dialect.name == "sqlite" or isinstance(real, BigInteger) else narrow
    return (0, 2**bits - 1) if getattr(real, "unsigned", False) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _float(value: Any) -> float:
    number: float = _convert(float, value)
    if not isfinite(number):
        raise ValueError("is no finite number")
    return number


def _decimal(value: Any) -> Decimal:
    number: Decimal = _convert(Decimal, value)
    if not number.is_finite():
        raise ValueError("is no finite number")
    if number and abs(number.adjusted()) > _MAGNITUDE:
        raise ValueError("is too large or too small a number")
    return number


def _moment(kind: type, zoned: bool, value: Any) -> Any:
    moment = _convert(kind, value)
    if not zoned and moment.tzinfo is not None:
        raise ValueError("has an offset from UTC, and the column keeps none")
    return moment


def _uuid(as_text: bool, value: Any) -> Any:
    made = _convert(UUID, value)
    return str(made) if as_text else made


def _member(class_: type[enum.Enum], value: Any) -> enum.Enum:
    if isinstance(value, class_):
        return value
    if type(value) is not str or value not in class_.__members__:
        raise ValueError(f"expected one of {', '.join(class_.__members__)}")
    return class_.__members__[value]


def _flag(class_: type[enum.Flag], value: Any) -> enum.Flag:
    if isinstance(value, class_):
        return value
    found = class_(0)
    for name in _convert(list[str], value):
        found |= cast(enum.Flag, _member(class_, name))
    return found


def _choice(choices: frozenset[str], value: Any) -> str:
    if type(value) is not str or value not in choices:
        raise ValueError(f"expected one of {', '.join(sorted(choices))}")
    return value


def _registered(codec: Codec, kind: type | None, value: Any) -> Any:
    if kind is not None and type(value) is kind:
        return value
    return codec.incoming((_convert(codec.wire, value),))[0]


# --- what holds others ---


def _anything(value: Any) -> Any:
    """A type that does not say what its Python values are accepts any."""
    return _document(value) if isinstance(value, (str, float, *_CONTAINERS)) else value


def _document(value: Any) -> Any:
    """A copy of plain JSON: the payload stays the caller's."""
    check_nesting(value)
    return _copied(value)


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return _checked(value)
    if value is None or kind in {bool, int}:
        return value
    if kind is float:
        return _float(value)
    if isinstance(value, dict):
        if not all(type(name) is str for name in value):
            raise ValueError("holds an object with a name that is no text")
        return {_checked(name): _copied(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_copied(member) for member in value]
    raise ValueError(f"holds a value of the type {kind.__name__}, which JSON has no form for")


def check_nesting(value: Any) -> None:
    """Raise ValueError for a value that is nested too deeply, before anybody goes into it."""
    level = [value]
    for _ in range(NESTING + 1):
        level = [one for one in level if isinstance(one, _CONTAINERS)]
        if not level:
            return
        # Each container once: a list that holds itself twice would double at each level.
        different = {id(one): one for one in level}.values()
        level = [member for one in different for member in (one.values() if isinstance(one, dict) else one)]
    raise ValueError(f"is nested deeper than {NESTING} levels")


def _list(item: Read, dimensions: int | None, as_tuple: bool, value: Any) -> Any:
    check_nesting(value)
    return _array(item, dimensions, list if not as_tuple else tuple, value)


def _array(item: Read, dimensions: int | None, make: Callable[[Any], Any], value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected array, got {_named(value)}")
    if dimensions is not None and dimensions > 1:
        return make(_array(item, dimensions - 1, make, one) for one in value)
    return make(
        None
        if one is None
        else _array(item, None, make, one)
        if dimensions is None and isinstance(one, (list, tuple))
        else item(one)
        for one in value
    )


def _named(value: Any) -> str:
    return {dict: "object", str: "str", bool: "bool", int: "int", float: "float"}.get(type(value), type(value).__name__)


def _map(value: Any) -> dict[str, str | None]:
    texts: dict[str, str | None] = _convert(dict[str, str | None], value)
    return {_checked(name, False): None if one is None else _checked(one, False) for name, one in texts.items()}


def _span(bound: Read, value: Any) -> Any:
    if isinstance(value, postgresql.Range):
        return value
    if not isinstance(value, dict) or not value.keys() <= {"lower", "upper", "bounds", "empty"}:
        raise ValueError("expected an object of lower, upper, bounds and empty")
    lower, upper = (None if value.get(end) is None else bound(value[end]) for end in ("lower", "upper"))
    bounds = _choice(frozenset({"[]", "[)", "(]", "()"}), value.get("bounds", "[)"))
    return postgresql.Range(lower, upper, bounds=cast(Any, bounds), empty=_convert(bool, value.get("empty", False)))


def _spans(bound: Read, value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected array, got {_named(value)}")
    return [_span(bound, one) for one in value]


# --- which type is read how ---

_BY_PYTHON_TYPE: dict[type, Read] = {
    bool: partial(_convert, bool),
    int: partial(_integer, -(2**63), 2**63 - 1),
    float: _float,
    str: partial(_text, True, None),
    Decimal: _decimal,
    UUID: partial(_uuid, False),
    datetime.datetime: partial(_moment, datetime.datetime, True),
    datetime.date: partial(_convert, datetime.date),
    datetime.time: partial(_moment, datetime.time, True),
    datetime.timedelta: partial(_convert, datetime.timedelta),
    bytes: partial(_convert, bytes),
    dict: _document,
    list: _document,
}


def _enum(type_: Enum, dialect: Dialect) -> Read:
    if type_.enum_class is None:
        return partial(_choice, frozenset(type_.enums))
    return _by_python_type(type_, dialect)


def _string(type_: String, dialect: Dialect) -> Read:
    return partial(_text, dialect.name != "postgresql", type_.length)


def _set(type_: mysql.SET, _: Dialect) -> Read:
    choices = frozenset(type_.values)

    def read(value: Any) -> set[str]:
        given = sorted(value) if isinstance(value, set) else value
        return {_choice(choices, one) for one in _convert(list[str], given)}

    return read


def _many(type_: ARRAY[Any], dialect: Dialect) -> Read:
    return partial(_list, reader_of(type_.item_type, dialect), type_.dimensions, type_.as_tuple)


def _zoned(kind: type, type_: Any, _: Dialect) -> Read:
    return partial(_moment, kind, bool(type_.timezone))


def _constant(read: Read, *_: Any) -> Read:
    return read


_NUMBER = partial(_integer, 0, 2**64 - 1)
_TEXTS = (postgresql.TSVECTOR, postgresql.TSQUERY, postgresql.REGCLASS, postgresql.REGCONFIG)
_LOCAL, _INSTANT = (partial(_moment, datetime.datetime, zoned) for zoned in (False, True))
_BOUNDS: dict[str, Read] = {
    "INT4": partial(_integer, -(2**31), 2**31 - 1),
    "INT8": partial(_integer, -(2**63), 2**63 - 1),
    "NUM": _decimal,
    "DATE": partial(_convert, datetime.date),
    "TS": _LOCAL,
    "TSTZ": _INSTANT,
}
_KINDS: tuple[tuple[type[TypeEngine[Any]], Callable[[Any, Dialect], Read]], ...] = (
    (TypeDecorator, _by_python_type),
    (JSON, partial(_constant, _document)),
    (Enum, _enum),
    (mysql.SET, _set),
    *((class_, partial(_constant, partial(_text, False, None))) for class_ in _TEXTS),
    (String, _string),
    (ARRAY, _many),
    (DateTime, partial(_zoned, datetime.datetime)),
    (Time, partial(_zoned, datetime.time)),
    (Uuid, lambda type_, _: partial(_uuid, not type_.as_uuid)),
    (postgresql.DOMAIN, lambda type_, dialect: reader_of(type_.data_type, dialect)),
    (postgresql.HSTORE, partial(_constant, _map)),
    *((class_, partial(_constant, _NUMBER)) for class_ in (postgresql.OID, mysql.BIT, mysql.YEAR)),
    *((getattr(postgresql, f"{name}RANGE"), partial(_constant, partial(_span, b))) for name, b in _BOUNDS.items()),
    *(
        (getattr(postgresql, f"{name}MULTIRANGE"), partial(_constant, partial(_spans, b)))
        for name, b in _BOUNDS.items()
    ),
    (TypeEngine, _by_python_type),
)
