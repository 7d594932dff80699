"""Which objects a merge visits, and in which order: `Session.merge`'s own way through the graph, without recursion.

The way depends on the given objects alone, not on what they are merged with. So it is walked first, written down as a
flat script, and played afterwards (see `merge_play`), when all that it needs has been read in bulk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias, cast

from sqlalchemy.orm import Mapper, RelationshipProperty, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.orm.base import NEVER_SET

from sojourn.sqlalchemy_internals.edits import members
from sojourn.sqlalchemy_internals.merge_columns import Columns
from sojourn.sqlalchemy_internals.merge_plan import Plan, Relation, plan_of
from sojourn.sqlalchemy_internals.state import State


class Visit:
    """One given object, under the key of what it is merged with; `stored`: the key may be one of a row; `origin`: what
    led to it."""

    __slots__ = ("key", "loaded", "origin", "plan", "state", "stored")

    def __init__(
        self, state: State, loaded: dict[str, Any], plan: Plan, key: tuple[Any, ...], stored: bool, origin: int
    ) -> None:
        self.state = state
        self.loaded = loaded
        self.plan = plan
        self.key = key
        self.stored = stored
        self.origin = origin


ROOT, REFERENCE, MEMBER = 0, 1, 2  # the origins


class Leaves(NamedTuple):
    """Visit objects from which the way leads nowhere. Most objects are such, so there is one step for many."""

    visits: list[Visit]


class Enter(NamedTuple):
    """Visit an object; what follows is about it, up to its `Leave`."""

    visit: Visit


class Open(NamedTuple):
    """Its collection is about to be merged: the target's must be loaded."""

    relation: Relation


class Put(NamedTuple):
    """Set a relationship to what these objects were merged with, in the form that it has."""

    relation: Relation
    members: list[State]


class Leave(NamedTuple):
    """All of the object is merged."""


class Own(NamedTuple):
    """Let SQLAlchemy merge this root itself: some property there merges in a way of its own."""

    state: State


Step: TypeAlias = Leaves | Enter | Columns | Open | Put | Leave | Own
_LEAVE = Leave()

Visits: TypeAlias = dict[tuple[Any, ...], Visit]
"""By key, the first visit of each."""


class _Frame:
    """An object that was entered, and the relationship of it that is under way."""

    __slots__ = ("came", "coming", "met", "origin", "relation", "steps", "visit")

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.steps = iter(visit.plan.steps)
        self.relation: Relation | None = None
        self.coming: Iterator[Any] = iter(())
        self.met: list[State] = []
        self.came: set[State] = set()
        self.origin = REFERENCE


class Walk:
    """The way through the graphs of one merge, and what it will need of the database.

    `absent` are the visits whose key nobody in the session has, by mapper; `collections` those of which a collection is
    merged, by relationship, `references` the same for those of which the old value is loaded, `expired` those that the
    session holds expired.
    """

    def __init__(self, session: Session, *, load: bool) -> None:
        self.load = load
        self.absent: dict[Mapper[Any], Visits] = {}
        self.collections: dict[RelationshipProperty[Any], Visits] = {}
        self.references: dict[RelationshipProperty[Any], Visits] = {}
        self.expired: Visits = {}
        self._held: dict[Any, State] = cast(Any, session.identity_map._dict)
        self._plans: dict[type, Plan] = {}
        self._script: list[Step] = []
        self._stack: list[_Frame] = []
        self._seen: set[State] = set()
        self._came: dict[RelationshipProperty[Any], set[State]] = {}  # who was come to through a relationship

    def script(self, root: State) -> list[Step]:
        """The way from one root. Database: none."""
        self._script, self._stack, self._seen, self._came = [], [], set(), {}
        foreign = self._arrive(root, instance_dict(root.obj()), ROOT)
        while self._stack and not foreign:
            foreign = self._go_on(self._stack[-1])
        return [Own(root)] if foreign else self._script

    def _arrive(self, state: State, loaded: dict[str, Any], origin: int) -> bool:
        """Begin with an object that was not seen before. True where SQLAlchemy has to do it."""
        self._seen.add(state)
        plan = self._plans.get(state.class_)
        if plan is None:
            plan = self._plans[state.class_] = plan_of(cast(Any, state.manager).mapper)
        if plan.foreign:
            return True
        key: Any = state.key
        stored = key is not None
        if not stored:
            key, stored = self._key_of_new(state, plan.mapper)
        visit = Visit(state, loaded, plan, key, stored, origin)
        held = self._held.get(key)
        if stored and self.load:
            self._foresee(visit, held)
        if held is not state:  # what is at home is merged with itself, so nothing follows
            for relation in plan.relations:
                if relation.key in loaded and self._follows(visit, relation):
                    self._script.append(Enter(visit))
                    self._stack.append(_Frame(visit))
                    return False
        last = self._script[-1] if self._script else None
        if type(last) is Leaves:
            last.visits.append(visit)
        else:
            self._script.append(Leaves([visit]))
        return False

    def _key_of_new(self, state: State, mapper: Mapper[Any]) -> tuple[Any, bool]:
        if not self.load:
            return (), False
        key: Any = mapper._identity_key_from_state(state)
        values = key[1]
        some, every = None in values, all(value is None for value in values)
        return key, NEVER_SET not in values and (not some or (mapper.allow_partial_pks and not every))

    def _foresee(self, visit: Visit, held: State | None) -> None:
        """What merging this object will need of the database."""
        plan, key = visit.plan, visit.key
        if held is None or held.obj() is None:
            absent = self.absent.get(plan.mapper)
            if absent is None:
                absent = self.absent[plan.mapper] = {}
            absent.setdefault(key, visit)
        elif held is not visit.state and held.expired_attributes:
            self.expired.setdefault(key, visit)
        for relation in plan.old_readers:
            if relation.key in visit.loaded:
                self.references.setdefault(relation.prop, {}).setdefault(key, visit)

    def _follows(self, visit: Visit, relation: Relation) -> bool:
        """Whether the way leads through this relationship, which is loaded: not back where it came from."""
        if self.load:
            for back in relation.reverse:
                if back in self._came and visit.state in self._came[back]:
                    return False
        return True

    def _go_on(self, frame: _Frame) -> bool:
        """Up to the next object that is entered, or to the end of this one. True where SQLAlchemy has to do it."""
        seen, met, came, depth = self._seen, frame.met, frame.came, len(self._stack)
        for member in frame.coming:
            state: State = instance_state(member)
            met.append(state)
            came.add(state)
            if state not in seen:
                if self._arrive(state, instance_dict(member), frame.origin):
                    return True
                if len(self._stack) > depth:
                    return False
        if frame.relation is not None:
            self._script.append(Put(frame.relation, met))
            frame.relation = None
        for step in frame.steps:
            if isinstance(step, Columns):
                self._script.append(step)
            elif step.key in frame.visit.loaded and self._follows(frame.visit, step):
                self._open(frame, step)
                return False
        self._script.append(_LEAVE)
        self._stack.pop()
        return False

    def _open(self, frame: _Frame, relation: Relation) -> None:
        visit, value = frame.visit, frame.visit.loaded[relation.key]
        frame.relation, frame.met = relation, []
        frame.came = self._came.setdefault(relation.prop, set())
        frame.origin = MEMBER if relation.many else REFERENCE
        if not relation.many:
            frame.coming = iter(() if value is None else (value,))
            return
        impl: Any = visit.state.manager[relation.key].impl
        collection = members(value) if impl.collection else impl.get_collection(visit.state, visit.loaded)
        # What is walked must not change while it is walked: the target may be the owner of the same members.
        frame.coming = iter(list(collection))
        if self.load:
            self._script.append(Open(relation))
            if visit.stored and impl.collection:
                self.collections.setdefault(relation.prop, {}).setdefault(visit.key, visit)
