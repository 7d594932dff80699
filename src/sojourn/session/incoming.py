"""What comes home: the given graph sorted by what each object is and what was edited on it. Nothing is changed here.

Clean objects stay plain states, because there are many of them and nothing is to be decided about them. Only an object
with edits, a new one, or one whose row matters to somebody's edit becomes an `Arrival`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN, WrongSessionError
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import by_class, is_let_go, walk
from sojourn.mapping.identity import Identity, assumed_identity
from sojourn.session.arrival import Arrival, arrival_of, changed_members, members_now, take_over
from sojourn.session.positions import Positions, take_positions
from sojourn.session.tokens import known_tokens, token_of
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    edited_keys,
    held_by,
    pending_mutations,
    pending_states,
    whereabouts,
)


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
    positions: Positions = field(default_factory=Positions)

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


def collect(session: Session, roots: Sequence[Any], *, checked: bool = True) -> Incoming:
    """Sort the graph that is reached from `roots`. `checked`: it will be held against what is stored.

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
            arrival = arrival_of(state, state.key or assumed_identity(state), found.homes.get(state))
            if arrival.has_edits:
                found.arrivals[state] = arrival
    for speaking, other in found.copies:
        take_over(found.arrivals[speaking], other)
    if checked and found.arrivals:
        found.positions = take_positions(found.by_class, found.arrivals, found.speaker, partial(_concerned, found))
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
            if not is_let_go(instance_state(item))
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
            arrival = arrival_of(state, state.key, None)
            if arrival.has_edits:
                found.arrivals[state] = arrival
    return found


def take_positions_at_home(found: Incoming) -> None:
    """The same for positions that lists give, where whole objects are merged. Database: none."""

    def concerned(obj: Any) -> Arrival:
        state: State = instance_state(obj)
        return found.arrivals.setdefault(state, Arrival(state, blueprint(state.mapper), state.key, None))

    found.positions = take_positions(by_class(found.at_home), found.arrivals, found.speaker, concerned)


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
    if not arrival_of(other, None, None).has_edits:
        found.homes[other] = first
    elif arrival_of(first, None, None).has_edits:
        found.homes[other] = first
        found.copies.append((first, other))
    else:
        unique[name] = other
        del found.states[first]
        found.states[other] = None
        if first in found.homes:
            found.homes[other] = found.homes[first]
        found.homes[first] = other


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
            _follow_new_reference(found, arrival, rel)


def _follow_new_reference(found: Incoming, arrival: Arrival, rel: Relationship) -> None:
    """What refers to another owner was put into it, also where the owner's collection is not loaded."""
    target = arrival.source(rel.key).dict.get(rel.key)
    owner = None if target is None else found.speaker(instance_state(target))
    owning = None if owner is None else blueprint(owner.mapper).relationships.get(rel.inverse or "")
    if owner is None or owning is None or not owning.loadable or owning.key in owner.dict:
        return
    if (owner, owning) not in arrival.added_to:
        arrival.added_to.append((owner, owning))


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
