"""One object that comes home and about which something is to be decided: what was edited on it.

Nothing is changed here, and nothing is asked of the session.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.identity import Identity, assumed_identity
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, members


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


def arrival_of(state: State, identity: Identity | None, home: State | None) -> Arrival:
    """What was edited on one object. Database: none."""
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


def take_over(arrival: Arrival, other: State) -> None:
    """Another copy's edits of attributes that the speaking copy has not edited count as if they were its own.

    Database: none.
    """
    theirs, units = arrival_of(other, arrival.identity, arrival.home), arrival.plan.units
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


def shared(arrival: Arrival) -> list[Relationship]:
    """The loaded collections whose members no foreign key of their own puts there: they are lost with the row."""
    loaded = arrival.state.dict
    return [
        rel
        for rel in arrival.plan.relationships.values()
        if rel.direction == "many to many" and rel.loadable and rel.writable and loaded.get(rel.key) is not None
    ]


def changed_members(state: State, rel: Relationship) -> tuple[list[Any], list[Any]]:
    """(added, removed) of an edited collection, told apart by who they stand for."""
    before, now = members_before(state, rel), members_now(state, rel)
    had, has = set(map(_name, before)), set(map(_name, now))
    return [one for one in now if _name(one) not in had], [one for one in before if _name(one) not in has]


def _name(obj: Any) -> Hashable:
    """What tells members of one graph apart: their identity, or, for a new object, the object itself."""
    state: State = instance_state(obj)
    return assumed_identity(state) or state


def base_side(arrival: Arrival, key: str) -> Any:
    """The base of a column attribute of an arrival. A new object has none."""
    return UNKNOWN if arrival.is_new else base_value(arrival.source(key), key)
