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
from sojourn.sqlalchemy_internals.merge_plan import Columns, Plan, Relation, plan_of
from sojourn.sqlalchemy_internals.state import State


class Visit(NamedTuple):
    """One given object, under the key of what it is merged with; `stored`: the key may be one of a row; `origin`: what
    led to it."""

    state: State
    loaded: dict[str, Any]
    plan: Plan
    key: tuple[Any, ...]
    stored: bool
    origin: int


ROOT, REFERENCE, MEMBER = 0, 1, 2  # the origins


class Leaf(NamedTuple):
    """Visit an object from which the way leads nowhere."""

    visit: Visit


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


Step: TypeAlias = Leaf | Enter | Columns | Open | Put | Leave | Own
_LEAVE = Leave()


Absent: TypeAlias = dict[Mapper[Any], dict[tuple[Any, ...], Visit]]


class _Frame:
    __slots__ = ("coming", "met", "relation", "steps", "visit")

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.steps = iter(visit.plan.steps)
        self.relation: Relation | None = None
        self.coming: Iterator[Any] = iter(())
        self.met: list[State] = []


class Walk:
    """The way through the graphs of one merge, and what it will need of the database.

    `absent` are the visits whose key nobody in the session has, by origin, mapper and key; `collections` those of which
    a collection is merged, by relationship and key, `references` the same for those of which the old value is loaded,
    `expired` those that the session holds expired.
    """

    def __init__(self, session: Session, *, load: bool) -> None:
        self.load = load
        self.absent: tuple[Absent, Absent, Absent] = {}, {}, {}
        self.collections: dict[RelationshipProperty[Any], dict[tuple[Any, ...], Visit]] = {}
        self.references: dict[RelationshipProperty[Any], dict[tuple[Any, ...], Visit]] = {}
        self.expired: dict[tuple[Any, ...], Visit] = {}
        self._held = session.identity_map._dict
        self._plans: dict[type, Plan] = {}
        self._met: set[tuple[Mapper[Any], tuple[Any, ...]]] = set()
        self._script: list[Step] = []
        self._seen: set[Any] = set()
        self._stack: list[_Frame] = []

    def script(self, root: State) -> list[Step]:
        """The way from one root. Database: none."""
        self._script, self._seen, self._stack = [], set(), []
        foreign = self._arrive(root, ROOT)
        while self._stack and not foreign:
            foreign = self._go_on(self._stack[-1])
        return [Own(root)] if foreign else self._script

    def _arrive(self, state: State, origin: int) -> bool:
        """Begin with an object that was not seen before. True where SQLAlchemy has to do it."""
        self._seen.add(state)
        plan = self._plans.get(state.class_)
        if plan is None:
            plan = self._plans[state.class_] = plan_of(cast(Any, state.manager).mapper)
        if plan.foreign:
            return True
        visit = self._visit(state, plan, origin)
        at_home = self._held.get(cast(Any, visit.key)) is state  # merged with itself, so nothing follows
        if at_home or not self._goes_on(visit):
            self._script.append(Leaf(visit))
        else:
            self._script.append(Enter(visit))
            self._stack.append(_Frame(visit))
        return False

    def _visit(self, state: State, plan: Plan, origin: int) -> Visit:
        key: Any = state.key
        loaded = instance_dict(state.obj())
        stored = key is not None
        if key is None:
            if not self.load:
                return Visit(state, loaded, plan, (), False, origin)
            key = plan.mapper._identity_key_from_state(state)
            values = key[1]
            some, every = None in values, all(value is None for value in values)
            stored = NEVER_SET not in values and (not some or (plan.mapper.allow_partial_pks and not every))
        visit = Visit(state, loaded, plan, key, stored, origin)
        if stored and self.load:
            held = self._held.get(key)
            obj = None if held is None else held.obj()
            if obj is None:
                if (plan.mapper, key) not in self._met:
                    self._met.add((plan.mapper, key))
                    self.absent[origin].setdefault(plan.mapper, {})[key] = visit
            elif held is not state and cast(State, held).expired_attributes:
                self.expired.setdefault(key, visit)
            for relation in plan.old_readers:
                if relation.key in loaded:
                    self.references.setdefault(relation.prop, {}).setdefault(key, visit)
        return visit

    def _goes_on(self, visit: Visit) -> bool:
        loaded = visit.loaded
        there = [relation for relation in visit.plan.relations if relation.key in loaded]
        return bool(there) and any(self._follows(visit, relation) for relation in there)

    def _follows(self, visit: Visit, relation: Relation) -> bool:
        """Whether the way leads through this relationship: not back where it came from."""
        if relation.key not in visit.loaded:
            return False
        if self.load:
            for back in relation.reverse:
                if (visit.state, back) in self._seen:
                    return False
        return True

    def _go_on(self, frame: _Frame) -> bool:
        seen, prop = self._seen, frame.relation.prop if frame.relation is not None else None
        origin = MEMBER if frame.relation is not None and frame.relation.many else REFERENCE
        for member in frame.coming:
            state: State = instance_state(member)
            frame.met.append(state)
            seen.add((state, prop))
            if state not in seen:
                depth = len(self._stack)
                if self._arrive(state, origin):
                    return True
                if len(self._stack) > depth:
                    return False
        if frame.relation is not None:
            self._script.append(Put(frame.relation, frame.met))
            frame.relation = None
        for step in frame.steps:
            if isinstance(step, Columns):
                self._script.append(step)
            elif self._follows(frame.visit, step):
                self._open(frame, step)
                return False
        self._script.append(_LEAVE)
        self._stack.pop()
        return False

    def _open(self, frame: _Frame, relation: Relation) -> None:
        visit, value = frame.visit, frame.visit.loaded[relation.key]
        frame.relation, frame.met = relation, []
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
