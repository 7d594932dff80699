"""discard(): edits back to the base, without SQL and without events.

Reading a row again to forget an edit costs a SELECT for each object, and on a detached object there is nobody to ask.
SQLAlchemy and `mapping.base` remember what was there, so it is put back from memory.

A relationship is one fact with two sides. Taking back the edit of one side takes back the same edit of the other side,
so the unit of work here is the link: a line that was moved from o1.lines to o2.lines is given back to o1, taken out of
o2, and refers to o1 again, whichever of the three was named. Events would do that, too, but they run validators, which
can raise half way, and load what is not there; so both sides are written here, and the marks by which SQLAlchemy knows
orphans with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import edited_columns, put_back
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.identity import as_list, state_of
from sojourn.mapping.naming import named_of
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    edited_keys,
    forget_edit,
    forget_mutation,
    leave_as_orphan,
    members,
    pending_mutations,
    put_collection,
    refill,
    set_parent,
    settle,
    track_mutable,
    unload,
    untie_parent,
)

Attributes = Iterable[str | QueryableAttribute[Any]] | str | QueryableAttribute[Any]


def discard(objs: Any, attributes: Attributes | None = None) -> None:
    """Put the edits of persistent and detached objects back to what was there before.

    Parameters: `objs`, one mapped instance or an iterable of them; `attributes`, names or class-bound attributes, to
    limit what is put back (a name counts for every given class that has it). Only the given objects' edits are taken
    back, and of other objects the other side of the same relationships.

    Where the value before the edit is not known (it was not loaded, or a Mutable value was changed in place at home)
    the attribute becomes unloaded; a persistent object loads it on the next access. A plain JSON value that was changed
    in place at home was never an edit to SQLAlchemy, and stays. A collection keeps its identity, and gets its members
    and their order back. A persistent object with nothing left edited is not in `session.dirty`.

    A new object (transient or pending) has no base, so its own attributes stay as they are. Only a link between it and
    a discarded object is cut; a pending child that is an orphan then leaves the session, as it does when SQLAlchemy
    removes it. Other objects that an edit brought into the session stay there. `session.delete()` is not taken back.

    Raises NotMappedError, and WrongAttributeError for a name that none of the objects has, before anything is changed.
    Database: none.
    """
    states = list({id(state): state for state in map(state_of, as_list(objs))}.values())
    plans = {state.class_: blueprint(state.mapper) for state in states}
    named = None if attributes is None else named_of(plans.values(), attributes)
    states = [state for state in states if state.key is not None]
    # Columns first: the keys of a keyed collection come from its members' columns.
    for state in states:
        _restore_columns(state, plans[state.class_], None if named is None else named[state.class_])
    links = _Links()
    for state in states:
        for rel in plans[state.class_].relationships.values():
            if named is None or rel.key in named[state.class_]:
                links.restore(state, rel)
    links.finish()
    for state in states:
        settle(state)


def _restore_columns(state: State, plan: Blueprint, named: Collection[str] | None) -> None:
    edited = {key for key in edited_keys(state) if key in plan.columns}
    edited.update(edited_columns(state, plan))
    if named is not None:
        edited.intersection_update(named)
    loaded = state.dict
    for key in edited:
        edit = loaded.get(key)
        if not put_back(state, key):
            unload(state, key)
        track_mutable(state, key, edit, loaded.get(key))
    for composite in {plan.units[key] for key in edited} & plan.composites.keys():
        # The next access makes it anew from its columns.
        track_mutable(state, composite, loaded.pop(composite, None), None)


class _Links:
    """Puts relationships back, both sides of each. What is reached waits in a queue, so depth does not matter."""

    def __init__(self) -> None:
        self._queue: deque[tuple[State, Relationship]] = deque()
        self._restored: set[tuple[int, str]] = set()
        self._collections: dict[tuple[int, str], _Collection] = {}
        self._touched: dict[int, State] = {}
        # Who lost and who got which child; the orphan marks are written at the end, when all is known.
        self._untied: list[tuple[State, Relationship, State]] = []
        self._tied: list[tuple[State, Relationship, State]] = []
        self._kept: list[Any] = []  # a state holds its object weakly, and a new one may hang on nothing but the edit

    def restore(self, state: State, rel: Relationship) -> None:
        """Put one relationship back, and everything that belongs to it on the other side."""
        self._queue.append((state, rel))
        while self._queue:
            self._restore(*self._queue.popleft())

    def finish(self) -> None:
        """Write the collections and the orphan marks."""
        for collection in self._collections.values():
            collection.write()
        for state, rel, child in self._untied:
            untie_parent(state, rel.key, child)
        for state, rel, child in self._tied:
            set_parent(state, rel.key, child)
        for _, rel, child in self._untied:
            if rel.owns:
                leave_as_orphan(child)
        for state in self._touched.values():
            settle(state)

    def _restore(self, state: State, rel: Relationship) -> None:
        key = rel.key
        if (id(state), key) in self._restored or key not in edited_keys(state):
            return
        self._restored.add((id(state), key))
        self._touched[id(state)] = state
        added, removed = self._put_back(state, rel)
        self._kept += added
        for obj in added:
            self._untied.append((state, rel, instance_state(obj)))
            self._other_side(state, rel, instance_state(obj), belongs=False)
        for obj in removed:
            self._tied.append((state, rel, instance_state(obj)))
            self._other_side(state, rel, instance_state(obj), belongs=True)

    def _put_back(self, state: State, rel: Relationship) -> tuple[Iterable[Any], Iterable[Any]]:
        """Put this side back. Returns the objects that were added and removed by the edit."""
        key, loaded = rel.key, state.dict
        base = base_of(state, key)
        if rel.many and rel.loadable and key in loaded:
            return self._collection(state, key).put_back()
        if rel.many and (base is UNKNOWN or not rel.loadable):
            added, removed = pending_mutations(state, key)
            forget_mutation(state, key)
            return added, removed
        if rel.many:  # the attribute was deleted
            put_collection(state, key, base)
            return [], base
        now = loaded.get(key)
        if base is UNKNOWN:
            unload(state, key)
        else:
            loaded[key] = base
            forget_edit(state, key)
        known = [] if base is None or base is UNKNOWN else [base]
        return ([], []) if now is base else ([] if now is None else [now], known)

    def _other_side(self, state: State, rel: Relationship, child: State, *, belongs: bool) -> None:
        if rel.inverse is None:
            return
        other = blueprint(child.mapper).relationships.get(rel.inverse)
        if other is None or other.key not in edited_keys(child):
            return
        if other.many:
            self._restore_member(child, other, state, belongs)
        else:
            base, obj = base_of(child, other.key), state.obj()
            if child.dict.get(other.key) is obj or base is obj or (belongs and base is UNKNOWN):
                self._queue.append((child, other))

    def _restore_member(self, state: State, rel: Relationship, child: State, belongs: bool) -> None:
        """Put one member of a collection back, in or out; `belongs` says which, should the base not be known."""
        key, obj = rel.key, child.obj()
        if (id(state), key) in self._restored:
            return
        if rel.loadable and key in state.dict:
            change = self._collection(state, key).put_back_one(obj, belongs)
        else:
            added, removed = pending_mutations(state, key)
            change = _holds(removed, obj) - _holds(added, obj)
            forget_mutation(state, key, obj)
        if change:
            self._touched[id(state)] = state
            (self._tied if change > 0 else self._untied).append((state, rel, child))

    def _collection(self, state: State, key: str) -> _Collection:
        found = self._collections.get((id(state), key))
        if found is None:
            found = self._collections[id(state), key] = _Collection(state, key)
        return found


class _Collection:
    """A loaded, edited collection on its way back to its base; it is written once, at the end."""

    def __init__(self, state: State, key: str) -> None:
        base = base_of(state, key)
        self._state = state
        self._key = key
        self._order: list[Any] | None = None if base is UNKNOWN else list(base)
        self._base = {id(obj): obj for obj in self._order or ()}
        self._now = {id(obj): obj for obj in members(state.dict[key])}
        self._changed = self._unload = False

    def put_back(self) -> tuple[list[Any], list[Any]]:
        """Back to the base. Returns what the edit had added and removed."""
        self._changed = True
        self._unload = self._order is None
        added = [obj for id_, obj in self._now.items() if id_ not in self._base]
        removed = [obj for id_, obj in self._base.items() if id_ not in self._now]
        self._now = dict(self._base)
        return added, removed

    def put_back_one(self, obj: Any, belongs: bool) -> int:
        """Back to the base for one member. Returns 1 if it came in, -1 if it was taken out, 0 if it was right."""
        shall = belongs if self._order is None else id(obj) in self._base
        change = shall - (id(obj) in self._now)
        if change > 0:
            self._now[id(obj)] = obj
        elif change < 0:
            del self._now[id(obj)]
        self._changed = self._changed or change != 0
        return change

    def write(self) -> None:
        if not self._changed:
            return
        if self._unload or self._needs_a_load():
            unload(self._state, self._key)
        elif self._order is not None and self._now.keys() == self._base.keys():
            refill(self._state, self._key, self._order)
            forget_edit(self._state, self._key)
        else:
            refill(self._state, self._key, list(self._now.values()))

    def _needs_a_load(self) -> bool:
        # A member that comes back into a dict is asked for its key, and an expired one would ask the database.
        held = self._state.dict[self._key]
        if not isinstance(held, dict):
            return False
        there = {id(obj) for obj in held.values()}
        return any(id_ not in there and instance_state(obj).expired_attributes for id_, obj in self._now.items())


def _holds(objects: Iterable[Any], obj: Any) -> bool:
    return any(one is obj for one in objects)
