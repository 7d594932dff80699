"""`register_type`: how values travel that sojourn knows nothing of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy.types import TypeEngine

from sojourn.errors import BadArgumentError
from sojourn.snapshot.codecs.codec import NONE, Codec, Values, article
from sojourn.snapshot.codecs.documents import DOCUMENT
from sojourn.snapshot.codecs.network import ADDRESSES
from sojourn.snapshot.codecs.scalars import SCALARS
from sojourn.snapshot.codecs.tagged import FixedTags

Change = Callable[[Any], Any]

_BUILT_IN = FixedTags(SCALARS | ADDRESSES)
_WIRES: dict[type, Codec] = {kind: SCALARS[kind] for kind in (str, int, float, bytes)}
_WIRES |= {dict: DOCUMENT, list: DOCUMENT}
_sql_types: dict[type, Codec] = {}
_classes: dict[type, Codec] = {}
_names: dict[type, str] = {}
_named: dict[str, type] = {}  # former names, too


def register_type(
    type_: type,
    *,
    to_wire: Callable[[Any], Any],
    from_wire: Callable[[Any], Any],
    wire: type = str,
    name: str | None = None,
) -> None:
    """Say how the values of a type travel in snapshots.

    Register before objects with such a column are dumped or loaded for the first time, on both sides. None travels as
    None and is given to neither function.

    Parameters:
        type_: an SQLAlchemy type class (a TypeDecorator or UserDefinedType of yours; it counts for its subclasses,
            too), or a Python class. The values of a Python class travel in every column whose type says that its Python
            type is this class, and in columns whose type does not say what its Python values are. Instances of its
            subclasses are not values of it: register these, too.
        to_wire: a function of a value that returns what travels, exactly of the type `wire`.
        from_wire: the function of what travelled that returns the value. What it is given may come from anywhere. It
            shall raise, a ValueError for example, where it is given something wrong.
        wire: str, int, float, bytes, dict or list. What is inside a dict or list must be plain JSON.
        name: what stands for a Python class in documents, where the column does not say it: its `__qualname__` if none
            is given. Give one to keep documents readable when the class gets another name. A name that was registered
            before is still read.

    Raises:
        BadArgumentError: `type_` is not a class, `wire` is none of these types, or the name stands for another class.

    Database: none.

    A value that to_wire or from_wire raises an error for, or makes something else of than promised, is refused with a
    SnapshotError that names the column.
    """
    if not isinstance(type_, type):
        raise BadArgumentError(f"register_type takes a class, got {article(type(type_))}")
    if wire not in _WIRES:
        raise BadArgumentError("register_type takes one of str, int, float, bytes, dict, list as wire")
    if issubclass(type_, TypeEngine):
        _sql_types[type_] = _codec(None, type_.__name__, to_wire, from_wire, wire)
        return
    name = name or type_.__qualname__
    if name == "json" or _BUILT_IN.named(name) or _named.get(name, type_) is not type_:
        raise BadArgumentError(f"the name {name} stands for another class; give this one a name of its own: name=…")
    _classes[type_] = _codec(type_, name, to_wire, from_wire, wire)
    _names[type_] = name
    _named[name] = type_


def registered_sql_type(type_: TypeEngine[Any]) -> Codec | None:
    """The codec that is registered for the class of an SQLAlchemy type, or for the nearest of its base classes."""
    return next((_sql_types[class_] for class_ in type(type_).__mro__ if class_ in _sql_types), None)


def class_codec(kind: type) -> Codec | None:
    """The codec that is registered for a Python class."""
    return _classes.get(kind)


class AnyTags:
    """Every type that travels: Python's own scalars, plain JSON under the name json, and registered classes."""

    def of(self, kind: type) -> tuple[str, Codec] | None:
        """The name and codec of a Python type."""
        registered = _classes.get(kind)
        if registered is not None:
            return _names[kind], registered
        return _BUILT_IN.of(kind) or (("json", DOCUMENT) if kind in {dict, list} else None)

    def named(self, name: str) -> Codec | None:
        """The codec that a name stands for."""
        if name in _named:
            return _classes[_named[name]]
        return DOCUMENT if name == "json" else _BUILT_IN.named(name)


def _codec(kind: type | None, name: str, to_wire: Change, from_wire: Change, wire: type) -> Codec:
    inner = _WIRES[wire]
    return Codec(
        inner.widest,
        None if kind is None else frozenset({kind, NONE}),
        encode=partial(_out, inner, name, to_wire, wire),
        decode=partial(_in, inner, name, from_wire, wire, kind),
        array=inner.array,
    )


def _out(
    inner: Codec, name: str, to_wire: Change, wire: type, values: Values, kinds: set[type], packed: bool, wide: bool
) -> Values:
    sent = [None if value is None else _called(to_wire, "to_wire", name, value) for value in values]
    for kind in set(map(type, sent)) - {wire, NONE}:
        raise ValueError(f"holds a value of which {name}'s to_wire made {article(kind)} instead of {article(wire)}")
    return inner.outgoing(sent, packed, wide)


def _in(
    inner: Codec, name: str, from_wire: Change, wire: type, kind: type | None, values: Values, packed: bool
) -> Values:
    read = inner.incoming(values, packed)
    for other in set(map(type, read)) - {wire, NONE}:
        raise ValueError(f"expected {article(wire)}, got {article(other)}")
    made = [None if value is None else _called(from_wire, "from_wire", name, value) for value in read]
    if kind is not None:
        for other in set(map(type, made)) - {kind, NONE}:
            raise ValueError(f"{name}'s from_wire made {article(other)}")
    return made


def _called(function: Change, which: str, name: str, value: Any) -> Any:
    try:
        made = function(value)
    except Exception as error:  # the function is the user's
        raise ValueError(f"{name}'s {which} raised {type(error).__name__}: {error}") from error
    if made is None:
        raise ValueError(f"{name}'s {which} returned None")
    return made
