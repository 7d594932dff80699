"""What comes home: the given graph sorted by what each object is and what was edited on it. Nothing is changed here.

Clean objects stay plain states, because there are many of them and nothing is to be decided about them. Only an object
with edits, a new one, or one whose row matters to somebody's edit becomes an `Arrival`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN, WrongSessionError
from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import by_class, walk
from sojourn.mapping.identity import Identity, assumed_identity
from sojourn.session.tokens import known_tokens, token_of
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    edited_keys,
    held_by,
    members,
    pending_mutations,
    pending_states,
    whereabouts,
)


@dataclass(eq=False, slots=True)
class Arrival:
    """An object about which something is to be decided."""

    state: State
    plan: Blueprint
    identity: Identity | None
    home: State | None  # the session's own state for this identity; None: the given instance itself comes home
    columns: list[str] = field(default_factory=list)
    references: list[Relationship] = field(default_factory=list)  # edited
    collections: list[Relationship] = field(default_factory=list)  # edited, with one-to-one
    removed_from: list[tuple[State, Relationship]] = field(default_factory=list)  # taken out of a collection
    added_to: list[tuple[State, Relationship]] = field(default_factory=list)  # put into a collection
    sources: dict[str, State] = field(default_factory=dict)  # attribute -> the other copy whose edit of it counts
    rivals: list[tuple[str, State]] = field(default_factory=list)  # attributes that another copy has edited, too

    def source(self, key: str) -> State:
        """The copy that speaks for an attribute."""
        return self.sources.get(key, self.state) if self.sources else self.state

    def copies(self, key: str) -> list[State]:
        """The copies that have edited an attribute, the speaking one first."""
        return [self.source(key), *(other for edited, other in self.rivals if edited == key)]

    @property
    def is_new(self) -> bool:
        """Whether the object never had a row, as far as it knows."""
        return self.state.key is None

    @property
    def has_edits(self) -> bool:
        """Whether the object itself wants to write something."""
        return self.is_new or bool(self.columns or self.references or self.collections)


@dataclass(eq=False)
class Incoming:
    """The sorted graph."""

    roots: list[Any]
    states: dict[State, None]  # everything in the graph that is not in the session, one for each identity
    at_home: list[State]  # what is in the session already
    arrivals: dict[State, Arrival]
    homes: dict[State, State]  # given state -> the session's own state, or the copy that speaks for it
    copies: list[tuple[State, State]]  # (speaking copy, other copy), both edited
    kept: list[Any] = field(default_factory=list)  # a state holds its object weakly, and references will be re-pointed

    @cached_property
    def by_class(self) -> dict[type, list[State]]:
        """`states`, grouped by their class."""
        return by_class(self.states)

    def home_of(self, state: State) -> State:
        """The state that stands for a given one."""
        while state in self.homes:
            state = self.homes[state]
        return state

    def who(self, state: State) -> Hashable:
        """What tells members apart: the identity of whoever stands for a state, or, for a new object, that one."""
        standing = self.home_of(state) if self.homes else state
        return assumed_identity(standing) or standing

    def speaker(self, state: State) -> State:
        """The given state that speaks for a given one: itself, or another copy of the same identity."""
        while state not in self.states and state in self.homes:
            state = self.homes[state]
        return state


def collect(session: Session, roots: Sequence[Any]) -> Incoming:
    """Sort the graph that is reached from `roots`.

    Raises WrongSessionError for objects of another session and for deleted ones. Database: none.
    """
    where = whereabouts(session, _reach(roots))
    if where.elsewhere:
        strangers = [state.obj() for state in where.elsewhere]
        raise WrongSessionError(strangers, "in another session", "Detach them from it first, or attach a copy.")
    if where.deleted:
        deleted = [state.obj() for state in where.deleted]
        raise WrongSessionError(deleted, "were deleted", "Call make_transient() on them to insert them as new rows.")
    found = Incoming(list(roots), {}, where.here, {}, {}, [], [state.obj() for state in (*where.away, *where.here)])
    identities = [state.key or assumed_identity(state) for state in where.away]
    different = set(identities)
    if len(session.identity_map) or pending_states(session) or None in different or len(different) < len(identities):
        _match(session, found, zip(where.away, identities, strict=True))
    else:
        found.states = dict.fromkeys(where.away)  # nobody is held already, new or here twice
    for state in found.states:
        if state.modified or state.key is None or "info" in state.__dict__:
            arrival = _arrival(state, state.key or assumed_identity(state), found.homes.get(state))
            if arrival.has_edits:
                found.arrivals[state] = arrival
    for speaking, other in found.copies:
        _take_over(found.arrivals[speaking], other)
    _follow_members(found)
    return found


def _reach(roots: Sequence[Any]) -> list[State]:
    """The graph, with what was put into or taken out of collections that are not loaded."""
    while True:
        states = walk(roots)
        pending = [
            item
            for state in states
            if state.modified
            for key in edited_keys(state)
            if key in blueprint(state.mapper).relationships
            for items in pending_mutations(state, key)
            for item in items
        ]
        if pending:
            there = set(states)
            pending = [item for item in pending if instance_state(item) not in there]
        if not pending:
            return states
        roots = [*roots, *pending]


def edited_at_home(states: Iterable[State], roots: Sequence[Any]) -> Incoming:
    """States that are in the session already, sorted as if they came home: what refresh merges. Database: none."""
    found = Incoming(list(roots), {}, list(states), {}, {}, [])
    for state in found.at_home:
        if state.modified:
            arrival = _arrival(state, state.key, None)
            if arrival.has_edits:
                found.arrivals[state] = arrival
    return found


def _arrival(state: State, identity: Identity | None, home: State | None) -> Arrival:
    plan = blueprint(state.mapper)
    arrival = Arrival(state, plan, identity, home)
    if state.key is None:
        # A new object has no base: everything that was set on it is its edit.
        loaded = state.dict
        arrival.columns = [key for key, column in plan.columns.items() if key in loaded and column.stored]
        edited: Iterable[str] = [key for key in plan.relationships if loaded.get(key)]
    else:
        arrival.columns = [key for key in edited_columns(state, plan) if plan.columns[key].stored]
        edited = edited_keys(state)
    for key in edited:
        rel = plan.relationships.get(key)
        if rel is None or not rel.writable or not rel.loadable:
            continue
        if rel.direction == "to one":
            if state.key is None or base_of(state, key) is not state.dict.get(key):
                arrival.references.append(rel)
        elif state.key is None or changed_members(state, rel) != ([], []):
            arrival.collections.append(rel)
    return arrival


def members_before(state: State, rel: Relationship) -> list[Any]:
    """The members at the base; none where no base is known."""
    if state.key is None:
        return []
    base = base_of(state, rel.key)
    return [] if base is UNKNOWN or base is None else list(members(base)) if rel.many else [base]


def members_now(state: State, rel: Relationship) -> list[Any]:
    """The members of a collection, or the object of a one-to-one, as a list."""
    value = state.dict.get(rel.key)
    return [] if value is None else list(members(value)) if rel.many else [value]


def changed_members(state: State, rel: Relationship) -> tuple[list[Any], list[Any]]:
    """(added, removed) of an edited collection, told apart by who they stand for."""
    before, now = members_before(state, rel), members_now(state, rel)
    had, has = set(map(_name, before)), set(map(_name, now))
    return [one for one in now if _name(one) not in had], [one for one in before if _name(one) not in has]


def _name(obj: Any) -> Hashable:
    """What tells members of one graph apart: their identity, or, for a new object, the object itself."""
    state: State = instance_state(obj)
    return assumed_identity(state) or state


def _match(session: Session, found: Incoming, given: Iterable[tuple[State, Identity | None]]) -> None:
    """Find for each state the one that stands for its identity: the session's own, or the first copy with edits."""
    new_here = {identity: one for one in pending_states(session) if (identity := assumed_identity(one)) is not None}
    tokens = known_tokens(session)
    unique: dict[Hashable, State] = {}
    for state, identity in given:
        # A new object without a key is known by the token that travels with it, if it has travelled.
        token = token_of(state) if state.key is None else None
        name: Hashable = identity or token
        if name is not None and name in unique:
            _unify(found, unique, name, state)
            continue
        home: State | None = None
        if name is not None:
            unique[name] = state
        if identity is not None:
            home = held_by(session, identity) or new_here.get(identity)
        if home is None and token is not None:
            home = tokens.get(token)
        found.states[state] = None
        if home is not None:
            found.homes[state] = home
            found.kept.append(home.obj())


def _unify(found: Incoming, unique: dict[Hashable, State], name: Hashable, other: State) -> None:
    """A second instance of one identity: the edited one speaks; where both are edited, `copies` has them compared."""
    first = unique[name]
    if not _arrival(other, None, None).has_edits:
        found.homes[other] = first
    elif _arrival(first, None, None).has_edits:
        found.homes[other] = first
        found.copies.append((first, other))
    else:
        unique[name] = other
        del found.states[first]
        found.states[other] = None
        if first in found.homes:
            found.homes[other] = found.homes[first]
        found.homes[first] = other


def _take_over(arrival: Arrival, other: State) -> None:
    """Another copy's edits of attributes that the speaking copy has not edited count as if they were its own."""
    theirs, units = _arrival(other, arrival.identity, arrival.home), arrival.plan.units
    mine = {units[key] for key in arrival.columns}
    mine |= {rel.key for rel in (*arrival.references, *arrival.collections)}
    for key in theirs.columns:
        if units[key] in mine:
            arrival.rivals.append((key, other))
        else:
            arrival.sources[key] = other
            arrival.columns.append(key)
    for edited, own in ((theirs.references, arrival.references), (theirs.collections, arrival.collections)):
        for rel in edited:
            if rel.key in mine:
                arrival.rivals.append((rel.key, other))
            else:
                arrival.sources[rel.key] = other
                own.append(rel)


def _follow_members(found: Incoming) -> None:
    """Objects that somebody's edit puts in or takes out matter, too, edited or not."""
    for arrival in list(found.arrivals.values()):
        for rel in arrival.collections:
            edits = [changed_members(copy, rel) for copy in arrival.copies(rel.key)]
            for concerned in {
                id(one): one for added, _ in edits for obj in added for one in (_concerned(found, obj),)
            }.values():
                concerned.added_to.append((arrival.state, rel))
            for obj in (obj for _, removed in edits for obj in removed):
                _concerned(found, obj).removed_from.append((arrival.state, rel))
        for rel in arrival.references:
            target = arrival.source(rel.key).dict.get(rel.key)
            if target is not None:
                _concerned(found, target)
    for arrival in found.arrivals.values():
        for rel in arrival.references:
            _follow_reference(arrival, rel)


def _follow_reference(arrival: Arrival, rel: Relationship) -> None:
    """What refers to its owner no more was taken out of it, also where the owner's collection is not loaded."""
    source = arrival.source(rel.key)
    former = None if arrival.is_new or source.dict.get(rel.key) is not None else base_of(source, rel.key)
    if former is None or former is UNKNOWN:
        return
    owner: State = instance_state(former)
    owning = blueprint(owner.mapper).relationships.get(rel.inverse or "")
    if owning is not None and owning.owns and not any(one is owning for _, one in arrival.removed_from):
        arrival.removed_from.append((owner, owning))


def _concerned(found: Incoming, obj: Any) -> Arrival:
    speaking = found.speaker(instance_state(obj))
    if speaking not in found.states:  # it is in the session already, which looks after it
        return Arrival(speaking, blueprint(speaking.mapper), assumed_identity(speaking), None)
    arrival = found.arrivals.get(speaking)
    if arrival is None:
        home = found.homes.get(speaking)
        arrival = Arrival(speaking, blueprint(speaking.mapper), assumed_identity(speaking), home)
        found.arrivals[speaking] = arrival
    return arrival


def owned(plan: Blueprint) -> list[Relationship]:
    """The relationships whose members go when the object goes."""
    relationships = plan.relationships.values()
    return [rel for rel in relationships if rel.loadable and rel.direction == "to many" and (rel.owns or rel.deletes)]


def owned_below(found: Incoming, states: Iterable[State], *, deep: bool = True) -> Iterator[State]:
    """What these objects own as far as it comes home, too; with `deep` also what that owns."""
    queue = list(states)
    seen = set(queue)
    for one in queue:  # the queue grows while it is read
        for rel in owned(blueprint(one.mapper)):
            for obj in members_now(one, rel):
                child = found.speaker(instance_state(obj))
                if child in found.states and child not in seen:
                    seen.add(child)
                    yield child
                    if deep:
                        queue.append(child)


def base_side(arrival: Arrival, key: str) -> Any:
    """The base of a column attribute of an arrival. A new object has none."""
    return UNKNOWN if arrival.is_new else base_value(arrival.source(key), key)
