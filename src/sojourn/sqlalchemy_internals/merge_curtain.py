"""What was read for a merge is kept from the session until SQLAlchemy would have read it.

`Session.merge` reads object by object, and what the session holds at each moment can be seen in the result: a reference
that is set anew knows its old value only if the session holds that one. So all that was read in bulk goes behind a
curtain, and comes out where SQLAlchemy would read it: an object when it is looked for by its key, the members of a
collection when the collection is loaded, each with what was loaded along with it. What SQLAlchemy would read in another
way, with other options, or has read by itself meanwhile, stays behind.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy.orm import Mapper, RelationshipProperty, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.orm.collections import InstrumentedList

from sojourn.sqlalchemy_internals.edits import members
from sojourn.sqlalchemy_internals.lazy_loading import refresh
from sojourn.sqlalchemy_internals.state import State

Way: TypeAlias = Hashable
"""How something was read: None without any options, else what tells the options apart."""

Prop: TypeAlias = RelationshipProperty[Any]


@dataclass(frozen=True, slots=True)
class Members:
    """Who is in a collection in the database, or what a reference points to there. `eager` are the relationships that
    its options load along with the members."""

    objects: Sequence[Any]
    way: Way
    eager: Sequence[Prop]


_ALONG = object()


class Curtain:
    """`members` is by relationship and the owner's key; `absent` are the keys that are known to have no row of their
    mapper; `rows` are those of expired objects, with the collections that come along; `fresh` are the ids of lists that
    were made here, so nobody else has seen them. `tangled`: some of what was read holds others."""

    def __init__(self, session: Session) -> None:
        self.members: dict[tuple[Prop, Any], Members] = {}
        self.absent: set[tuple[Mapper[Any], Any]] = set()
        self.rows: dict[Any, tuple[dict[str, Any], Sequence[Prop]]] = {}
        self.fresh: set[int] = set()
        self.tangled = False
        self._held: dict[Any, State] = session.identity_map._dict
        self._seen: set[Any] = set(self._held)
        self._ways: dict[Any, Way] = {}
        self._hidden: dict[Any, Any] = {}
        self._relationships: dict[type, list[tuple[str, bool]]] = {}

    def note(self, way: Way, objects: Iterable[Any]) -> None:
        """These were just read in this way, and whatever else the session has taken in came along with them."""
        new = self._held.keys() - self._seen
        if new:
            self._seen |= new
            self._ways.update(dict.fromkeys(new, _ALONG))
            ways = self._ways
            for obj in objects:
                key = instance_state(obj).key
                if key in new:
                    ways[key] = way

    def is_new(self, key: Any) -> bool:
        """Whether the session held nobody of this key before it was read."""
        return key in self._ways

    def draw(self) -> None:
        """Hide what was read. Until now whoever read it had to hold it."""
        held, ways = self._held, self._ways
        before: list[Any] = []
        if self.tangled:
            before = [state.obj() for key, state in held.items() if key not in ways]
        for key in ways:
            state = held.get(key)
            obj = None if state is None else state.obj()
            if obj is not None:
                self._hidden[key] = obj
                del held[key]
        # What came along with something that the session held before is there to be seen.
        for obj in before:
            found = None if obj is None else self._behind(self._related(obj))
            if found:
                self._show(found)

    def show(self, key: Any, class_: type, way: Way) -> Any:
        """The object of this key, if it was read in this way and is of this class: now the session holds it."""
        obj = self._hidden.get(key)
        if obj is None or not isinstance(obj, class_) or self._ways[key] != way:
            return None
        shown = self._behind([obj]) if self.tangled else [obj]
        if shown is None or (not self.tangled and self._is_superseded(obj)):
            return None
        self._show(shown)
        return obj

    def show_members(self, found: Members) -> bool:
        """The session loads these: False where it must do so itself."""
        held, hidden, ways, way = self._held, self._hidden, self._ways, found.way
        shown: list[Any] = []
        for obj in found.objects:
            state: State = instance_state(obj)
            key = state.key
            there = held.get(key)
            if there is not None:
                if there is not state:
                    return False
            elif key in hidden:
                if ways[key] is not way and ways[key] != way:
                    return False
                shown.append(obj)
        if self.tangled:
            behind = self._behind(found.objects)
            if behind is None:
                return False
            shown = behind
        self._show(shown)
        if found.eager:
            for obj in shown:
                self._fill(obj, found.eager)
        return True

    def put(self, state: State, loaded: dict[str, Any], prop: Prop, found: Members) -> None:
        """What the relationship holds in the database, on its owner."""
        impl: Any = state.manager[prop.key].impl
        if not prop.uselist:
            impl.set_committed_value(state, loaded, found.objects[0] if found.objects else None)
            return
        impl.set_committed_value(state, loaded, list(found.objects))
        if type(loaded[prop.key]) is InstrumentedList:
            self.fresh.add(id(loaded[prop.key]))

    def refresh(self, state: State, loaded: dict[str, Any]) -> None:
        """The session needs what is expired of this object: as far as it was read, this is it."""
        found = self.rows.pop(state.key, None)
        if found is not None and state.expired_attributes:
            refresh(state, loaded, found[0])
            self._fill(state.obj(), found[1])

    def _fill(self, obj: Any, eager: Iterable[Prop]) -> None:
        """What was loaded eagerly with it, as far as it was read on its own."""
        state: State = instance_state(obj)
        for prop in eager:
            loaded = instance_dict(obj)
            found = self.members.get((prop, state.key)) if prop.key not in loaded else None
            if found is not None and self.show_members(found):
                del self.members[prop, state.key]
                self.put(state, loaded, prop, found)

    def _behind(self, objects: Iterable[Any]) -> list[Any] | None:
        """These and what was loaded along with them, as far as it is hidden; None where the session holds others."""
        hidden = self._hidden
        found: list[Any] = []
        seen: set[int] = set()
        queue = list(objects)
        for obj in queue:  # the queue grows while it is read
            if id(obj) in seen:
                continue
            seen.add(id(obj))
            state: State = instance_state(obj)
            if self._is_superseded(obj):
                return None
            if state.key not in hidden:
                continue
            found.append(obj)
            queue += self._related(obj)
        return found

    def _related(self, obj: Any) -> list[Any]:
        loaded = instance_dict(obj)
        found: list[Any] = []
        for key, many in self._of(instance_state(obj)):
            value = loaded.get(key)
            if value is not None:
                found += members(value) if many else (value,)
        return found

    def _is_superseded(self, obj: Any) -> bool:
        state: State = instance_state(obj)
        held = self._held.get(state.key)
        return held is not None and held is not state

    def _show(self, objects: Iterable[Any]) -> None:
        for obj in objects:
            state: State = instance_state(obj)
            del self._hidden[state.key]
            self._held[state.key] = state

    def _of(self, state: State) -> list[tuple[str, bool]]:
        class_ = state.class_
        found = self._relationships.get(class_)
        if found is None:
            found = self._relationships[class_] = [
                (prop.key, bool(prop.uselist))
                for prop in state.mapper.relationships
                if state.manager[prop.key].impl.supports_population
            ]
        return found
