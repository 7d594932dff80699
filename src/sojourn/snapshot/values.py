"""Which codec a column has, by its SQLAlchemy type. What codecs do is in `sojourn.snapshot.codecs`."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ARRAY, JSON, PickleType
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from sojourn.errors import SnapshotError
from sojourn.mapping.blueprint import Blueprint
from sojourn.mapping.columns import python_type_of
from sojourn.snapshot.codecs.arrays import HSTORE, SET, array_codec
from sojourn.snapshot.codecs.bits import BIT
from sojourn.snapshot.codecs.codec import Codec, Values
from sojourn.snapshot.codecs.documents import DOCUMENT, document_codec
from sojourn.snapshot.codecs.enums import enum_codec
from sojourn.snapshot.codecs.network import ADDRESSES
from sojourn.snapshot.codecs.numbers import BARE, DECIMAL, INT
from sojourn.snapshot.codecs.ranges import multirange_codec, range_codec
from sojourn.snapshot.codecs.registry import AnyTags, class_codec, register_type, registered_sql_type
from sojourn.snapshot.codecs.scalars import SCALARS, STR
from sojourn.snapshot.codecs.tagged import FixedTags, tagged
from sojourn.snapshot.codecs.times import DATE, DATETIME
from sojourn.sqlalchemy_internals import class_notes, variants_of

__all__ = ["Codec", "Values", "codec_of", "register_type", "registered_codec"]

_KEY = "sojourn.codecs"

_ANY = AnyTags()
_ADDRESS = tagged(STR, FixedTags(ADDRESSES))
# Types of dialects that do not say what their Python type is, or say it wrongly. Subclasses count.
_DIALECTS: dict[type, Codec] = {
    **dict.fromkeys((postgresql.INET, postgresql.CIDR), _ADDRESS),
    **dict.fromkeys((postgresql.MACADDR, postgresql.MACADDR8, postgresql.MONEY), STR),
    **dict.fromkeys((postgresql.TSVECTOR, postgresql.TSQUERY, postgresql.REGCLASS, postgresql.REGCONFIG), STR),
    postgresql.OID: INT,
    postgresql.HSTORE: HSTORE,
    postgresql.BIT: BIT,
    mysql.BIT: INT,
    mysql.YEAR: INT,
    mysql.SET: SET,
}
_BOUNDS: dict[str, Codec] = {"INT4": INT, "INT8": INT, "NUM": DECIMAL, "DATE": DATE, "TS": DATETIME, "TSTZ": DATETIME}
_DIALECTS |= {getattr(postgresql, f"{name}RANGE"): range_codec(bound) for name, bound in _BOUNDS.items()}
_DIALECTS |= {getattr(postgresql, f"{name}MULTIRANGE"): multirange_codec(bound) for name, bound in _BOUNDS.items()}


def codec_of(plan: Blueprint, key: str) -> Codec:
    """The codec of a column attribute. Raises SnapshotError for a type that cannot travel."""
    kept: dict[str, Codec] = class_notes(plan.mapper).setdefault(_KEY, {})
    codec = kept.get(key)
    if codec is None:
        type_ = plan.columns[key].type
        codec = _codec(type_)
        if codec is None:
            raise SnapshotError(
                f"values of the type {type(type_).__name__} cannot travel",
                where=f"{plan.entity}.{key}",
                remedy=f"Say how they do with register_type, map a type whose Python values are plain ones, "
                f"or leave it unloaded: defer({plan.entity}.{key}).",
            )
        kept[key] = codec
    return codec


def registered_codec(type_: TypeEngine[Any]) -> Codec | None:
    """The codec that is registered for an SQLAlchemy type, or for one that it decorates."""
    return next(filter(None, map(registered_sql_type, _layers(type_))), None)


def _codec(type_: TypeEngine[Any]) -> Codec | None:
    """The codec for an SQLAlchemy type; None where its values cannot travel."""
    layers = list(_layers(type_))
    registered = registered_codec(type_)
    if registered is not None or any(isinstance(layer, PickleType) for layer in layers):
        return registered
    *decorators, last = layers
    declared = next(filter(None, map(python_type_of, decorators)), None)
    if declared is not None:
        return _class_codec(declared)
    if isinstance(last, ARRAY):
        item = _codec(last.item_type)
        return None if item is None else array_codec(item, last.dimensions, last.as_tuple)
    codec = _dialects_own(last)
    return _by_python_type(last, certain=len(layers) == 1 and not variants_of(last)) if codec is None else codec


def _by_python_type(type_: TypeEngine[Any], certain: bool) -> Codec | None:
    """A decorator may make other values of those of the type that it decorates, and so may a type's variants."""
    python_type = python_type_of(type_)
    codec = BARE if python_type is None else _class_codec(python_type)
    if codec is None or codec.takes is None or (certain and codec is not BARE):
        return codec
    return tagged(codec, _ANY)


def _layers(type_: TypeEngine[Any]) -> Iterator[TypeEngine[Any]]:
    """A type and, where it decorates another one, that one. Most decorators do not say what their Python type is."""
    yield type_
    while isinstance(type_, (TypeDecorator, postgresql.DOMAIN)):
        type_ = type_.impl_instance if isinstance(type_, TypeDecorator) else type_.data_type
        yield type_


def _dialects_own(type_: TypeEngine[Any]) -> Codec | None:
    """The codec of a type of which its Python type does not tell enough."""
    if isinstance(type_, JSON):
        return document_codec(type_.none_as_null)
    return next((_DIALECTS[class_] for class_ in type(type_).__mro__ if class_ in _DIALECTS), None)


def _class_codec(kind: type) -> Codec | None:
    registered = class_codec(kind)
    if registered is not None:
        return registered
    if issubclass(kind, enum.Enum):
        return enum_codec(kind)
    return DOCUMENT if kind in {dict, list} else SCALARS.get(kind) or ADDRESSES.get(kind)
