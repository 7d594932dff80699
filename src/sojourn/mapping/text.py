"""Values and objects as short text, without calling anybody's `__repr__`.

A user's `__repr__` may read an attribute that is not loaded, fail half way through a transaction, or leak a password
into a log. So values of the builtin and standard types are shown by their own `repr`, cut where they are long, and
everything else by the name of its class.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import reprlib
import uuid
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from sqlalchemy.ext.mutable import MutableDict, MutableList, MutableSet
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import Unknown
from sojourn.sqlalchemy_internals import State

_SHOWN = {
    *(type(None), bool, int, float, complex, str, Unknown),
    *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta, decimal.Decimal, uuid.UUID),
}
_CONTAINERS: dict[type, Any] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, dict: dict,
    MutableDict: dict, MutableList: list, MutableSet: set,
}  # fmt: skip
_MOST = 10  # members of a collection that are named


class _Text(reprlib.Repr):
    """`reprlib` goes by the name of a type, and a user's class may have any name: this goes by the type itself."""

    def repr1(self, x: Any, level: int) -> str:
        type_: type = type(x)
        if type_ in _SHOWN:
            return super().repr1(x, level)
        if type_ in _CONTAINERS:
            return super().repr1(_CONTAINERS[type_](x), level)
        if type_ in (bytes, bytearray):
            return self.repr_instance(bytes(x[: self.maxother + 1]), level)
        if isinstance(x, enum.Enum):
            return f"{type_.__name__}.{x.name}"
        return f"<{type_.__name__}>"


_text = _Text()
_text.maxstring = _text.maxother = 60


def value_text(value: Any) -> str:
    """A value as short text. Database: none."""
    return _text.repr(value)


def object_text(state: State) -> str:
    """`Customer(1)`, or `Customer(new)` for an object without an identity. Database: none."""
    key = state.key
    return f"{state.class_.__name__}({'new' if key is None else ', '.join(map(value_text, key[1]))})"


def member_text(obj: Any) -> str:
    """The same for an object that a relationship holds, or None. Database: none."""
    return "None" if obj is None else object_text(instance_state(obj))


def members_text(objects: Collection[Any]) -> str:
    """The same for many, the first of them by name. Database: none."""
    return _listed(map(member_text, objects), len(objects))


def keyed_text(objects: Mapping[Any, Any]) -> str:
    """The same for a collection with keys. Database: none."""
    return _listed((f"{value_text(key)}: {member_text(obj)}" for key, obj in objects.items()), len(objects))


def _listed(texts: Iterator[str], count: int) -> str:
    more = [f"… {count - _MOST} more"] if count > _MOST else []
    return ", ".join([*islice(texts, _MOST), *more])
