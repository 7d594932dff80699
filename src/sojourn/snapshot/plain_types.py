"""What SQLAlchemy's types say of the plain JSON that `plain` makes of their values, as JSON Schema."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, JSON, DateTime, Enum, String, Time, Uuid
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NULL: Schema = {"type": "null"}
_DAY, _CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?"
_LOCAL_DATETIME: Schema = {**_TEXT, "format": "date-time-local", "pattern": f"^{_DAY}T{_CLOCK}$"}
_DECIMAL: Schema = {**_TEXT, "pattern": r"^-?[0-9]+(\.[0-9]+)?(E[+-][0-9]+)?$"}
_DATE: Schema = {**_TEXT, "format": "date"}
_INSTANT: Schema = {**_TEXT, "format": "date-time"}
_BY_PYTHON_TYPE: dict[type, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: _TEXT,
    Decimal: _DECIMAL,
    UUID: {**_TEXT, "format": "uuid"},
    datetime.date: _DATE,
    datetime.timedelta: {**_TEXT, "format": "duration"},
    bytes: {**_TEXT, "contentEncoding": "base64"},
    dict: {"type": "object"},
    list: {"type": "array"},
    # A type that is neither DateTime nor Time does not say whether its values have a time zone.
    datetime.datetime: _TEXT,
    datetime.time: _TEXT,
}


def type_schema(type_: TypeEngine[Any], *, bounded: bool = True) -> Schema:
    """The schema of the values of a type, null left out; empty where the type does not say what they are.

    `bounded`: a string is no longer than its type says. Pure.
    """
    schema = next(schema_of(type_) for class_, schema_of in _KINDS if isinstance(type_, class_))
    if not bounded:
        schema.pop("maxLength", None)
    return schema


def or_null(schema: Schema) -> Schema:
    """The same, or null. Pure."""
    if not schema:
        return schema
    if "type" not in schema:
        return {"anyOf": [*schema.get("anyOf", [schema]), _NULL]}
    widened = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        widened["enum"] = [*schema["enum"], None]
    return widened


def _by_python_type(type_: TypeEngine[Any]) -> Schema:
    try:
        python_type = type_.python_type
    except NotImplementedError:
        return {}
    if issubclass(python_type, enum.Enum):
        return {**_TEXT, "enum": _names(python_type)}
    return dict(next((_BY_PYTHON_TYPE[base] for base in python_type.__mro__ if base in _BY_PYTHON_TYPE), {}))


def _string(type_: String) -> Schema:
    schema = _by_python_type(type_)
    return {**schema, "maxLength": type_.length} if type_.length else schema


def _enum(type_: Enum) -> Schema:
    return {**_TEXT, "enum": list(type_.enums) if type_.enum_class is None else _names(type_.enum_class)}


def _names(class_: type[enum.Enum]) -> list[str]:
    return [name for name, member in class_.__members__.items() if member.name == name]


def _datetime(type_: DateTime) -> Schema:
    return dict(_INSTANT if type_.timezone else _LOCAL_DATETIME)


def _time(type_: Time) -> Schema:
    return (
        {**_TEXT, "format": "time"} if type_.timezone else {**_TEXT, "format": "time-local", "pattern": f"^{_CLOCK}$"}
    )


def _array(type_: ARRAY[Any]) -> Schema:
    item = or_null(type_schema(type_.item_type))
    if type_.dimensions is None:  # then a value may have any number of them
        return {"type": "array", "items": {"anyOf": [item, {"type": "array"}]} if item else {}}
    for _ in range(type_.dimensions - 1):
        item = {"type": "array", "items": item}
    return {"type": "array", "items": item}


def _range(bound: Schema, _: TypeEngine[Any]) -> Schema:
    properties = {
        "lower": or_null(bound),
        "upper": or_null(bound),
        "bounds": {"enum": ["[]", "[)", "(]", "()"]},
        "empty": {"type": "boolean"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _ranges(bound: Schema, type_: TypeEngine[Any]) -> Schema:
    return {"type": "array", "items": _range(bound, type_)}


def _constant(schema: Schema, _: TypeEngine[Any]) -> Schema:
    return dict(schema)


# The first that fits. A decorator makes what it likes of its column's values: only its own python_type tells.
_KINDS: tuple[tuple[type[TypeEngine[Any]], Callable[[Any], Schema]], ...] = (
    (TypeDecorator, _by_python_type),
    (JSON, partial(_constant, {})),
    (Enum, _enum),
    (String, _string),
    (ARRAY, _array),
    (DateTime, _datetime),
    (Time, _time),
    (Uuid, partial(_constant, _BY_PYTHON_TYPE[UUID])),
    (postgresql.INET, partial(_constant, _TEXT)),
    (postgresql.CIDR, partial(_constant, _TEXT)),
    (postgresql.MACADDR, partial(_constant, _TEXT)),
    (postgresql.MACADDR8, partial(_constant, _TEXT)),
    (postgresql.INT4RANGE, partial(_range, _BY_PYTHON_TYPE[int])),
    (postgresql.INT8RANGE, partial(_range, _BY_PYTHON_TYPE[int])),
    (postgresql.NUMRANGE, partial(_range, _DECIMAL)),
    (postgresql.DATERANGE, partial(_range, _DATE)),
    (postgresql.TSRANGE, partial(_range, _LOCAL_DATETIME)),
    (postgresql.TSTZRANGE, partial(_range, _INSTANT)),
    (postgresql.INT4MULTIRANGE, partial(_ranges, _BY_PYTHON_TYPE[int])),
    (postgresql.INT8MULTIRANGE, partial(_ranges, _BY_PYTHON_TYPE[int])),
    (postgresql.NUMMULTIRANGE, partial(_ranges, _DECIMAL)),
    (postgresql.DATEMULTIRANGE, partial(_ranges, _DATE)),
    (postgresql.TSMULTIRANGE, partial(_ranges, _LOCAL_DATETIME)),
    (postgresql.TSTZMULTIRANGE, partial(_ranges, _INSTANT)),
    (TypeEngine, _by_python_type),
)
