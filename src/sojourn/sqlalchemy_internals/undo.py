"""Objects as they were before attribute events ran on them.

A validator may raise half way, when backrefs and cascades have changed other objects and the session. No event tells
how to go back, so what can change is remembered before: the values, the members of collections, SQLAlchemy's record of
edits, and who is new or deleted in the session.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import Session
from sqlalchemy.orm.collections import collection_adapter
from sqlalchemy.orm.writeonly import WriteOnlyHistory

from sojourn.sqlalchemy_internals.edits import members
from sojourn.sqlalchemy_internals.state import State

_MISSING = object()
# What of a state's notes is changed in place, and what says nothing of its own.
_BOXES = ("callables", "parents", "info", "_last_known_values", "_empty_collections")
_DERIVED = ("attrs", "mapper", "_instance_dict")


class Undo:
    """What a session and some of its objects were like."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._new = set(session._new)
        self._deleted = dict(session._deleted)
        self._arrived: list[State] = []
        self._remembered: dict[State, Memento] = {}

    def __contains__(self, state: State) -> bool:
        """Whether it is remembered."""
        return state in self._remembered

    def remember(self, states: Iterable[State]) -> None:
        """Keep what these are like now, if it is not kept already."""
        for state in states:
            if state not in self._remembered:
                self._remembered[state] = Memento(state)

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
            state = memento.state
            instance_map: Any = state._instance_dict()
            if instance_map is not None and state.key is not None:
                (instance_map._modified.add if state.modified else instance_map._modified.discard)(state)


class Memento:
    """What one object is like: its attributes, its collections, and all that SQLAlchemy knows of it.

    It holds the object, so that it is still there to be put back. It does not hold its place in an identity map.
    """

    __slots__ = ("collections", "committed", "expired", "kept", "obj", "state", "values")

    def __init__(self, state: State) -> None:
        self.state = state
        self.obj = state.obj()
        self.values = values = state.dict.copy()
        self.kept = kept = state.__dict__.copy()
        for name in _BOXES:
            if name in kept:
                kept[name] = copy.copy(kept[name])
        if "_pending_mutations" in kept:
            kept["_pending_mutations"] = {key: _copied(value) for key, value in kept["_pending_mutations"].items()}
        self.collections = [
            _Members(values[key])
            for key in state.manager._collection_impl_keys
            if getattr(values.get(key), "_sa_adapter", None) is not None
        ]
        if kept.get("_empty_collections"):
            self.collections += [_Members(value) for value in kept["_empty_collections"].values()]
        self.expired = state.expired_attributes.copy()
        self.committed = state.committed_state.copy()
        for key, value in self.committed.items():
            if isinstance(value, WriteOnlyHistory):
                self.committed[key] = _copied(value)

    def untie(self) -> None:
        """The values that the object did not hold are not its own any more, if they track changes in place."""
        for key, value in self.state.dict.items():
            if isinstance(value, MutableBase) and value is not self.values.get(key):
                value._parents.pop(self.state, None)

    def put_back(self) -> None:
        """The object is as it was. Its place in the identity map, and whether that knows it as modified, stay."""
        state, kept, loaded = self.state, self.state.__dict__, self.state.dict
        self.untie()
        loaded.clear()
        loaded.update(self.values)
        for members_ in self.collections:
            members_.put_back()
        place = kept.get("_instance_dict", _MISSING)
        kept.clear()
        kept.update(self.kept)
        for name in _DERIVED:
            kept.pop(name, None)
        if place is not _MISSING:
            kept["_instance_dict"] = place
        state.expired_attributes = self.expired
        state.committed_state = self.committed
        for key, value in self.values.items():
            if isinstance(value, MutableBase):
                value._parents[state] = key


class _Members:
    """A collection and what was in it."""

    __slots__ = ("adapter", "collection", "flags", "held")

    def __init__(self, collection: Any) -> None:
        self.collection = collection
        self.adapter: Any = collection_adapter(collection)
        self.flags = self.adapter.invalidated, self.adapter.empty
        self.held = dict(collection) if isinstance(collection, dict) else list(members(collection))

    def put_back(self) -> None:
        adapter = self.adapter
        self.collection._sa_adapter = adapter  # a collection that another one takes the place of loses it
        adapter.invalidated = adapter.empty = False
        _refill(self.collection, self.held)
        adapter.invalidated, adapter.empty = self.flags


def _copied(history: Any) -> Any:
    """A record of added and removed members that is not changed any more with the other one."""
    twin = copy.copy(history)
    for name in ("added_items", "deleted_items", "unchanged_items"):
        if hasattr(twin, name):
            setattr(twin, name, copy.copy(getattr(twin, name)))
    return twin


def _refill(collection: Any, held: Any) -> None:
    if isinstance(collection, list):
        list.__setitem__(collection, slice(None), held)
    elif isinstance(collection, set):
        set.clear(collection)
        set.update(collection, held)
    elif isinstance(collection, dict):
        dict.clear(collection)
        dict.update(collection, held)
    else:
        adapter: Any = collection_adapter(collection)
        adapter.clear_without_event()
        adapter.append_multiple_without_event(held)
