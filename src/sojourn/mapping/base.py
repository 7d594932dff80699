"""The base of an object: what its attributes held when it left its session.

SQLAlchemy itself keeps the first old value of each attribute that is set, and a copy of each collection that is
changed, also on a detached object. What it cannot see is a value that is changed in place (JSON, arrays, Mutable
types), so of these a deep copy is kept beside the object, in `InstanceState.info`, which pickle carries, too.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from math import isnan
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.sql import ClauseElement

from sojourn.errors import UNKNOWN
from sojourn.mapping.blueprint import Blueprint
from sojourn.mapping.frozen import Frozen, freeze
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, forget_edit

TOKEN = "sojourn.token"
"""Where the token of a new object is kept in `InstanceState.info`: a second copy of the object is recognised by it."""

_NOTE = "sojourn.base"
_ATOMS = frozenset({str, int, float, bool, bytes, type(None), Decimal, UUID, date, time, datetime, timedelta})
_BOXES = frozenset({dict, list})
_TRACKED: dict[type, type] = {MutableDict: dict, MutableList: list}
_ARRAYS = frozenset({list, tuple, MultiRange})
_DIMENSIONS = 6  # as many as an array has in PostgreSQL


def remember(state: State, plan: Blueprint, plain: Container[str] = ()) -> None:
    """Keep deep copies of the unedited values that can be changed in place.

    The lists and dicts of the attributes `plain` are known to hold nothing but what JSON gives back as it is.
    """
    if not plan.mutable and "info" not in state.__dict__:
        return  # most classes hold nothing that can be changed in place
    loaded, edited = state.dict, edited_keys(state)
    copies = {}
    for key in plan.mutable:
        base = base_of(state, key) if edited else loaded.get(key, UNKNOWN)
        # None is kept, too: a Mutable value that takes its place and is changed then makes SQLAlchemy forget the None.
        if base is not UNKNOWN and (base is None or type(base) not in _ATOMS):
            copies[key] = loaded.get(key), (freeze if type(base) in _BOXES and key in plain else copied)(base)
    if copies:
        state.info[_NOTE] = copies
    else:
        state.info.pop(_NOTE, None)


def remember_built(instances: Iterable[Any], keys: Sequence[str], plain: Container[str]) -> None:
    """`remember` for objects that were just built: nothing is edited or remembered yet, and they hold all of `keys`.

    `keys` are all that can be changed in place.
    """
    ways = [(key, freeze if key in plain else copied) for key in keys]
    for instance in instances:
        loaded = instance_dict(instance)
        copies: dict[str, tuple[Any, Any]] = {}
        for key, way in ways:
            value = loaded[key]
            kind = type(value)
            if value is None:
                copies[key] = None, None
            elif kind not in _ATOMS:
                copies[key] = value, (way if kind in _BOXES else copied)(value)
        if copies:
            state: Any = instance_state(instance)  # asking for its `info` would make one, slowly
            state.info = {_NOTE: copies}


def remember_value(state: State, key: str, base: Any) -> None:
    """Keep a base that SQLAlchemy did not record, for a value that is on the object now."""
    state.info.setdefault(_NOTE, {})[key] = (state.dict.get(key), base)


def forget(state: State) -> None:
    """Drop the copies: the object is home."""
    if "info" in state.__dict__:
        state.info.pop(_NOTE, None)


def base_value(state: State, key: str) -> Any:
    """What a column attribute held before it was edited; UNKNOWN where nobody recorded it."""
    recorded = base_of(state, key)
    note = _notes(state).get(key)
    # The copy speaks for the object that it was taken from. After a stay in a session that value was replaced.
    if note is not None and (recorded is UNKNOWN or recorded is note[0]):
        return _thawed(note[1])
    return recorded


def put_back(state: State, key: str) -> bool:
    """Put the base of a column attribute on the object, as an unedited value. False where nobody recorded it."""
    base = base_value(state, key)
    if base is UNKNOWN:
        return False
    state.dict[key] = base
    forget_edit(state, key)
    if key in _notes(state):  # what is on the object can be changed in place again
        remember_value(state, key, copied(base))
    return True


def edited_columns(state: State, plan: Blueprint) -> list[str]:
    """The column attributes whose value differs from the base, or whose base is not known, in mapping order.

    A value that was set back to its base is not an edit. Database: none.
    """
    recorded = edited_keys(state)
    noted = _notes(state)
    if not recorded and not noted:
        return []
    loaded = state.dict
    return [
        key
        for key in plan.columns
        if (key in recorded or (key in noted and key in loaded))
        and not same(plan, key, base_value(state, key), loaded.get(key))
    ]


def changed_in_place(states: Iterable[State], plan: Blueprint) -> list[int]:
    """The positions of those that hold a value that may differ from its remembered base. Database: none."""
    noted = [(at, state) for at, state in enumerate(states) if "info" in state.__dict__]
    return [at for at, state in noted if _is_changed(state, plan)]


def _is_changed(state: State, plan: Blueprint) -> bool:
    loaded = state.dict
    return any(
        loaded.get(key) is not held
        or not (base.is_still(held) if type(base) is Frozen else same(plan, key, base, held))
        for key, (held, base) in _notes(state).items()
    )


def _thawed(base: Any) -> Any:
    return base.thawed() if type(base) is Frozen else base


def copied(value: Any) -> Any:
    """A deep copy, as of copy.deepcopy. Plain lists and dicts, which most such values are, take a tenth of its time.

    It does not recurse: JSON may be nested deeper than Python's stack is.
    """
    kind = type(value)
    tracked = _TRACKED.get(kind)
    if tracked is not None:
        return kind(copied(tracked(value)))
    if kind not in _BOXES:
        return value if kind in _ATOMS else copy.deepcopy(value)
    whole = value.copy()
    copies = {id(value): whole}
    waiting = [whole]
    for box in waiting:  # it grows on the way
        for place, member in box.items() if type(box) is dict else enumerate(box):
            kind = type(member)
            if kind in _ATOMS:
                continue
            if kind not in _BOXES:
                box[place] = copy.deepcopy(member)
                continue
            known = copies.get(id(member))
            if known is None:
                known = copies[id(member)] = member.copy()
                waiting.append(known)
            box[place] = known
    return whole


def same(plan: Blueprint, key: str, one: Any, other: Any) -> bool:
    """Whether two values of a column attribute are equal, by its type's own comparison. NaN is the same as NaN."""
    if one is other:
        return True
    if one is UNKNOWN or other is UNKNOWN or isinstance(one, ClauseElement) or isinstance(other, ClauseElement):
        return False
    try:
        equal = bool(plan.columns[key].type.compare_values(one, other))
    except InvalidOperation:  # a signalling NaN, which cannot be compared
        equal = False
    return equal or _alike(one, other, _DIMENSIONS)


def _alike(one: Any, other: Any, depth: int) -> bool:
    """Whether two values are the same though not equal: NaN, alone or in the same places of arrays and ranges."""
    kind = type(one)
    if type(other) is not kind:
        return False
    if kind is float:
        return isnan(one) and isnan(other)
    if kind is Decimal:
        return one.is_nan() and str(one) == str(other)
    if kind is Range:
        return (one.bounds, one.empty) == (other.bounds, other.empty) and _alike(
            [one.lower, one.upper], [other.lower, other.upper], 1
        )
    if kind not in _ARRAYS or not depth or len(one) != len(other):
        return False
    return all(a is b or _alike(a, b, depth - 1) or _equal(a, b) for a, b in zip(one, other, strict=True))


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except InvalidOperation:
        return False


def _notes(state: State) -> dict[str, tuple[Any, Any]]:
    # Asking for `info` would make one.
    return state.info.get(_NOTE, {}) if "info" in state.__dict__ else {}
