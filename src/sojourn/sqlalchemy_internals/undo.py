"""Objects as they were before attribute events ran on them.

A validator may raise half way, when backrefs and cascades have changed other objects and the session. No event tells
how to go back, so what can change is remembered before: the values, the members of collections, SQLAlchemy's record of
edits, and who is new or deleted in the session.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import Session
from sqlalchemy.orm.collections import collection_adapter

from sojourn.sqlalchemy_internals.edits import members
from sojourn.sqlalchemy_internals.state import State

_MISSING = object()
_SIMPLE = (
    *("key", "expired", "modified", "session_id", "insert_order"),
    *("_strong_obj", "_deleted", "_orphaned_outside_of_session"),
)
_BOXES = ("callables", "parents", "info", "_last_known_values")


class Undo:
    """What a session and some of its objects were like."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._new = set(session._new)
        self._deleted = dict(session._deleted)
        self._arrived: list[State] = []
        self._remembered: dict[State, _Memento] = {}

    def remember(self, states: Iterable[State]) -> None:
        """Keep what these are like now, if it is not kept already."""
        for state in states:
            if state not in self._remembered:
                self._remembered[state] = _Memento(state)

    def arrived(self, states: Iterable[State]) -> None:
        """These have come into the session since: they shall go again."""
        self._arrived.extend(states)

    def restore(self) -> None:
        """Everything is as it was."""
        session: Any = self.session
        newcomers = [state for state in session._new if state not in self._new]
        for state in [one for one in session._deleted if one not in self._deleted]:
            del session._deleted[state]
        session._expunge_states([*newcomers, *(one for one in self._arrived if one.session_id == session.hash_key)])
        for memento in self._remembered.values():
            memento.put_back()


class _Memento:
    def __init__(self, state: State) -> None:
        self.state = state
        self.obj = state.obj()
        kept = state.__dict__
        self.values = dict(state.dict)
        self.collections = [
            (value, dict(value) if isinstance(value, dict) else list(members(value)))
            for key, value in self.values.items()
            if value is not None
            and key in state.manager
            and cast(Any, state.manager[key].impl).collection
            and hasattr(value, "_sa_adapter")
        ]
        self.simple = {name: kept.get(name, _MISSING) for name in _SIMPLE}
        self.boxes = {name: copy.copy(kept[name]) if name in kept else _MISSING for name in _BOXES}
        self.expired = set(state.expired_attributes)
        self.committed = {
            key: _copied(value) if hasattr(value, "added_items") else value
            for key, value in state.committed_state.items()
        }
        pending = kept.get("_pending_mutations")
        self.pending = None if pending is None else {key: _copied(value) for key, value in pending.items()}

    def put_back(self) -> None:
        state, kept = self.state, self.state.__dict__
        loaded = state.dict
        loaded.clear()
        loaded.update(self.values)
        for collection, held in self.collections:
            _refill(collection, held)
        for name, value in (*self.simple.items(), *self.boxes.items()):
            if value is _MISSING:
                kept.pop(name, None)
            else:
                kept[name] = value
        state.expired_attributes = self.expired
        state.committed_state = self.committed
        if self.pending is None:
            kept.pop("_pending_mutations", None)
        else:
            kept["_pending_mutations"] = self.pending
        instance_map: Any = state._instance_dict()
        if instance_map is not None and state.key is not None:
            (instance_map._modified.add if state.modified else instance_map._modified.discard)(state)
        for key, value in self.values.items():
            if isinstance(value, MutableBase):
                value._parents[state] = key


def _copied(history: Any) -> Any:
    """A record of added and removed members that is not changed any more with the other one."""
    twin = copy.copy(history)
    for name in ("added_items", "deleted_items", "unchanged_items"):
        if hasattr(twin, name):
            setattr(twin, name, copy.copy(getattr(twin, name)))
    return twin


def _refill(collection: Any, held: Any) -> None:
    adapter: Any = collection_adapter(collection)
    adapter.invalidated = False
    if isinstance(collection, list):
        list.__setitem__(collection, slice(None), held)
    elif isinstance(collection, set):
        set.clear(collection)
        set.update(collection, held)
    elif isinstance(collection, dict):
        dict.clear(collection)
        dict.update(collection, held)
    else:
        adapter.clear_without_event()
        adapter.append_multiple_without_event(held)
