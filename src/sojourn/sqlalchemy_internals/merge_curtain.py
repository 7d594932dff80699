"""What was read for a merge is kept from the session until SQLAlchemy would have read it.

`Session.merge` reads object by object, and what the session holds at each moment can be seen in the result: a reference
that is set anew knows its old value only if the session holds that one. So all that was read in bulk goes behind a
curtain, and comes out where SQLAlchemy would read it: an object when it is looked for by its key, the members of a
collection when the collection is loaded, each with what was loaded along with it. What SQLAlchemy would read in another
way, with other options, or has read by itself meanwhile, stays behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias, cast

from sqlalchemy.orm import Mapper, RelationshipProperty, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.orm.collections import InstrumentedList

from sojourn.sqlalchemy_internals.edits import members
from sojourn.sqlalchemy_internals.filling import is_plain_list, plain_list
from sojourn.sqlalchemy_internals.lazy_loading import refresh
from sojourn.sqlalchemy_internals.state import State

Way: TypeAlias = Hashable
"""How something was read: None without any options, else what tells the options apart."""

Prop: TypeAlias = RelationshipProperty[Any]


class Members(NamedTuple):
    """Who is in a collection in the database, or what a reference points to there. `eager` are the relationships that
    its options load along with the members."""

    objects: Sequence[Any]
    way: Way
    eager: Sequence[Prop]


_ALONG = object()


class Curtain:
    """`members` is by relationship and the owner's key; `absent` are the keys that are known to have no row, by mapper;
    `rows` are those of expired objects, with the collections that come along; `fresh` are the ids of lists that were
    made here, so nobody else has seen them. `tangled`: some of what was read holds others."""

    def __init__(self, session: Session) -> None:
        self.members: defaultdict[Prop, dict[Any, Members]] = defaultdict(dict)
        self.absent: defaultdict[Mapper[Any], set[Any]] = defaultdict(set)
        self.rows: dict[Any, tuple[dict[str, Any], Sequence[Prop]]] = {}
        self.fresh: set[int] = set()
        self.tangled = False
        self._held: dict[Any, State] = cast(Any, session.identity_map._dict)
        self._seen: set[State] = set(self._held.values())
        self._ways: dict[State, Way] = {}  # how each was read: by state, since these are found sooner than keys
        self._read: dict[Any, State] = {}  # the same by key
        self._hidden: dict[State, Any] = {}  # the objects that nobody has seen yet
        self._relationships: dict[type, list[tuple[str, bool]]] = {}

    def note(self, way: Way, objects: Iterable[Any]) -> None:
        """These were just read in this way, and whatever else the session has taken in came along with them."""
        new = set(self._held.values())
        new -= self._seen
        if new:
            self._seen |= new
            ways = self._ways
            ways.update(dict.fromkeys(new, _ALONG))
            for obj in objects:
                state: State = instance_state(obj)
                if state in new:
                    ways[state] = way

    def is_new(self, state: State) -> bool:
        """Whether the session did not hold this before it was read."""
        return state in self._ways

    def draw(self) -> None:
        """Hide what was read. Until now whoever read it had to hold it."""
        held, ways = self._held, self._ways
        before = [state.obj() for state in held.values() if state not in ways] if self.tangled else []
        for state in ways:
            obj, key = state.obj(), state.key
            if obj is not None and held.get(key) is state:
                del held[key]
                self._read[key] = state
                self._hidden[state] = obj
        # What came along with something that the session held before is there to be seen.
        for obj in before:
            found = None if obj is None else self._behind(self._related(obj))
            if found:
                self._show(found)

    def show(self, key: Any, class_: type, way: Way) -> Any:
        """The object of this key, if it was read in this way and is of this class: now the session holds it."""
        state = self._read.get(key)
        obj = None if state is None else self._hidden.get(state)
        if state is None or not isinstance(obj, class_) or self._ways[state] != way:
            return None
        shown = self._behind([obj]) if self.tangled else [state]
        if shown is None or (not self.tangled and self._is_superseded(state)):
            return None
        self._show(shown)
        return obj

    def show_members(self, found: Members) -> bool:
        """The session loads these: False where it must do so itself."""
        held, hidden, ways, way = self._held, self._hidden, self._ways, found.way
        shown: list[State] = []
        for obj in found.objects:
            state: State = instance_state(obj)
            there = held.get(state.key)
            if there is not None:
                if there is not state:
                    return False
            elif state in hidden:
                if ways[state] is not way and ways[state] != way:
                    return False
                shown.append(state)
        if self.tangled:
            behind = self._behind(found.objects)
            if behind is None:
                return False
            shown = behind
        self._show(shown)
        if found.eager:
            for state in shown:
                self._fill(state, found.eager)
        return True

    def put(self, state: State, loaded: dict[str, Any], prop: Prop, found: Members) -> None:
        """What the relationship holds in the database, on its owner."""
        key = prop.key
        impl: Any = state.manager[key].impl
        if not prop.uselist:
            impl.set_committed_value(state, loaded, found.objects[0] if found.objects else None)
        elif is_plain_list(impl) and key not in state.committed_state and not state.callables:
            # The same as below, where there is nothing to forget.
            loaded[key] = collection = plain_list(impl, state, found.objects)
            self.fresh.add(id(collection))
            state.expired_attributes.discard(key)
            state.expired = False
        else:
            impl.set_committed_value(state, loaded, list(found.objects))
            if type(loaded[key]) is InstrumentedList:
                self.fresh.add(id(loaded[key]))

    def refresh(self, state: State, loaded: dict[str, Any]) -> None:
        """The session needs what is expired of this object: as far as it was read, this is it."""
        found = self.rows.pop(state.key, None)
        if found is not None and state.expired_attributes:
            refresh(state, loaded, found[0])
            self._fill(state, found[1])

    def _fill(self, state: State, eager: Iterable[Prop]) -> None:
        """What was loaded eagerly with it, as far as it was read on its own."""
        loaded = instance_dict(state.obj())
        for prop in eager:
            found = self.members[prop].get(state.key) if prop.key not in loaded else None
            if found is not None and self.show_members(found):
                del self.members[prop][state.key]
                self.put(state, loaded, prop, found)

    def _behind(self, objects: Iterable[Any]) -> list[State] | None:
        """These and what was loaded along with them, as far as it is hidden; None where the session holds others."""
        hidden = self._hidden
        found: list[State] = []
        seen: set[State] = set()
        queue = list(objects)
        for obj in queue:  # the queue grows while it is read
            state: State = instance_state(obj)
            if state in seen:
                continue
            seen.add(state)
            if self._is_superseded(state):
                return None
            if state not in hidden:
                continue
            found.append(state)
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

    def _is_superseded(self, state: State) -> bool:
        held = self._held.get(state.key)
        return held is not None and held is not state

    def _show(self, states: Iterable[State]) -> None:
        for state in states:
            del self._hidden[state]
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
