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
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from sojourn.mapping.columns import python_type_of
from sojourn.snapshot.codecs.registry import class_codec
from sojourn.snapshot.values import registered_codec

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer"}
_NULL: Schema = {"type": "null"}
_DAY, _CLOCK = "[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?"
_LOCAL_DATETIME: Schema = {**_TEXT, "format": "date-time-local", "pattern": f"^{_DAY}T{_CLOCK}$"}
_DECIMAL: Schema = {**_TEXT, "pattern": r"^-?[0-9]+(\.[0-9]+)?(E[+-][0-9]+)?$"}
_DATE: Schema = {**_TEXT, "format": "date"}
_INSTANT: Schema = {**_TEXT, "format": "date-time"}
_BY_PYTHON_TYPE: dict[type, Schema] = {
    bool: {"type": "boolean"},
    int: _INTEGER,
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

    `bounded`: a string is no longer than its type says. A registered type travels as its user likes. Pure.
    """
    if registered_codec(type_) is not None:
        return {}
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
    python_type = python_type_of(type_)
    if python_type is None or class_codec(python_type) is not None:
        return {}
    if issubclass(python_type, enum.Flag):
        return {"type": "array", "items": {"enum": [member.name for member in python_type]}, "uniqueItems": True}
    if issubclass(python_type, enum.Enum):
        return {**_TEXT, "enum": [member.name for member in python_type]}
    return dict(next((_BY_PYTHON_TYPE[base] for base in python_type.__mro__ if base in _BY_PYTHON_TYPE), {}))


def _string(type_: String) -> Schema:
    schema = _by_python_type(type_)
    return {**schema, "maxLength": type_.length} if type_.length else schema


def _enum(type_: Enum) -> Schema:
    return {**_TEXT, "enum": list(type_.enums)} if type_.enum_class is None else _by_python_type(type_)


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


def _set(type_: mysql.SET) -> Schema:
    return {"type": "array", "items": {"enum": sorted(type_.values)}, "uniqueItems": True}


def _domain(type_: postgresql.DOMAIN) -> Schema:
    return type_schema(type_.data_type)


# The first that fits. A decorator makes what it likes of its column's values: only its own python_type tells.
_Kind = tuple[type[TypeEngine[Any]], Callable[[Any], Schema]]
_TEXTS = (
    *(postgresql.INET, postgresql.CIDR, postgresql.MACADDR, postgresql.MACADDR8, postgresql.MONEY),
    *(postgresql.TSVECTOR, postgresql.TSQUERY, postgresql.REGCLASS, postgresql.REGCONFIG),
)
_BOUNDS: dict[str, Schema] = {
    "INT4": _INTEGER,
    "INT8": _INTEGER,
    "NUM": _DECIMAL,
    "DATE": _DATE,
    "TS": _LOCAL_DATETIME,
    "TSTZ": _INSTANT,
}
_KINDS: tuple[_Kind, ...] = (
    (TypeDecorator, _by_python_type),
    (JSON, partial(_constant, {})),
    (Enum, _enum),
    (mysql.SET, _set),
    (String, _string),
    (ARRAY, _array),
    (DateTime, _datetime),
    (Time, _time),
    (Uuid, partial(_constant, _BY_PYTHON_TYPE[UUID])),
    (postgresql.DOMAIN, _domain),
    (postgresql.HSTORE, partial(_constant, {"type": "object", "additionalProperties": {"type": ["string", "null"]}})),
    *((class_, partial(_constant, _TEXT)) for class_ in _TEXTS),
    *((class_, partial(_constant, _INTEGER)) for class_ in (postgresql.OID, mysql.BIT, mysql.YEAR)),
    *((getattr(postgresql, f"{name}RANGE"), partial(_range, bound)) for name, bound in _BOUNDS.items()),
    *((getattr(postgresql, f"{name}MULTIRANGE"), partial(_ranges, bound)) for name, bound in _BOUNDS.items()),
    (TypeEngine, _by_python_type),
)
