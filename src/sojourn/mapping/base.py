"""The base of an object: what its attributes held when it left its session.

SQLAlchemy itself keeps the first old value of each attribute that is set, and a copy of each collection that is
changed, also on a detached object. What it cannot see is a value that is changed in place (JSON, arrays, Mutable
types), so of these a deep copy is kept beside the object, in `InstanceState.info`, which pickle carries, too.
"""

from __future__ import annotations

import copy
from typing import Any

from sqlalchemy.sql import ClauseElement

from sojourn.errors import UNKNOWN
from sojourn.mapping.blueprint import Blueprint
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, forget_edit

TOKEN = "sojourn.token"
"""Where the token of a new object is kept in `InstanceState.info`: a second copy of the object is recognised by it."""

_NOTE = "sojourn.base"
_ATOMS = frozenset({str, int, float, bool, bytes, type(None)})


def remember(state: State, plan: Blueprint) -> None:
    """Keep deep copies of the unedited values that can be changed in place."""
    if not plan.mutable and "info" not in state.__dict__:
        return  # most classes hold nothing that can be changed in place
    loaded = state.dict
    copies = {}
    for key in plan.mutable:
        base = base_of(state, key)
        # None is kept, too: a Mutable value that takes its place and is changed then makes SQLAlchemy forget the None.
        if base is not UNKNOWN and (base is None or type(base) not in _ATOMS):
            copies[key] = (loaded.get(key), copied(base))
    if copies:
        state.info[_NOTE] = copies
    else:
        state.info.pop(_NOTE, None)


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
        return note[1]
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


def changed_in_place(state: State, plan: Blueprint) -> bool:
    """Whether a value that can be changed in place may differ from its remembered base. Database: none."""
    loaded = state.dict
    return any(
        loaded.get(key) is not held or not same(plan, key, base, held) for key, (held, base) in _notes(state).items()
    )


def copied(value: Any) -> Any:
    """A deep copy. Plain lists and dicts, which most such values are, take a tenth of what `copy.deepcopy` needs."""
    try:
        return _copied(value)
    except RecursionError:  # it contains itself, perhaps
        return copy.deepcopy(value)


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is dict:
        return {key if type(key) in _ATOMS else _copied(key): _copied(member) for key, member in value.items()}
    if kind is list:
        return [_copied(member) for member in value]
    return copy.deepcopy(value)


def same(plan: Blueprint, key: str, one: Any, other: Any) -> bool:
    """Whether two values of a column attribute are equal, by its type's own comparison."""
    if one is other:
        return True
    if one is UNKNOWN or other is UNKNOWN or isinstance(one, ClauseElement) or isinstance(other, ClauseElement):
        return False
    return bool(plan.columns[key].type.compare_values(one, other))


def _notes(state: State) -> dict[str, tuple[Any, Any]]:
    # Asking for `info` would make one.
    return state.info.get(_NOTE, {}) if "info" in state.__dict__ else {}

