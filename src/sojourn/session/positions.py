"""The positions of members of an `ordering_list`: data that follows from the list, and so no edits of their own.

Such a list numbers its members in a column of theirs. Who takes one out, or puts one in front, edits the positions of
all behind it, and others who do so elsewhere in the list edit the same ones: no conflict, since it is the order that
was changed. So where a list has been changed, the positions that it gave are taken from the edits of its members here;
`ordering` merges the order, and lets the list number anew.

A position that was set by hand is an edit of a plain column. It shows itself: it is not what the list would give. A
list in which that is so is left as it is, with all its positions, and so is one that was not loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql import operators

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value, same
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.reconcile import left_in_order
from sojourn.session.arrival import Arrival, members_before, members_now
from sojourn.sqlalchemy_internals import Numbering, State, edited_keys, numbering_of

M = TypeVar("M", bound=Hashable)


@dataclass(eq=False)
class Positions:
    """Which positions are not to be merged as columns."""

    lists: dict[tuple[State, Relationship], Numbering] = field(default_factory=dict)  # by owner: lists with edits
    given: dict[State, str] = field(default_factory=dict)  # who is, or was, in one of them -> the attribute


def take_positions(
    by_class: Mapping[type, Iterable[State]],
    arrivals: dict[State, Arrival],
    speaker: Callable[[State], State],
    concerned: Callable[[Any], Arrival],
) -> Positions:
    """Find the lists that were changed and number their members, and take these positions from the arrivals' edits.

    A list that was only put in another order counts as an edit of its owner; a member about which nothing else is to be
    decided is no arrival any more. Database: none.
    """
    found = Positions()
    by_hand: set[State] = set()
    for class_, states in by_class.items():
        for rel in _may_number(blueprint(class_)):
            for state in states:
                arrival = arrivals.get(state)
                source = state if arrival is None else arrival.source(rel.key)
                numbering = numbering_in(source, rel)
                edited = arrival is not None and rel in arrival.collections
                if numbering is None or not (edited or _renumbered(source, rel, numbering)):
                    continue
                objs = [*members_now(source, rel), *(members_before(source, rel) if edited else ())]
                everybody = [speaker(instance_state(obj)) for obj in objs]
                if gives_its_numbers(source, rel, numbering):
                    found.lists[state, rel] = numbering
                    found.given.update(dict.fromkeys(everybody, numbering.attribute))
                else:
                    by_hand.update(everybody)
    for state, rel in found.lists:
        owner = concerned(state.obj())
        if rel not in owner.collections:
            owner.collections.append(rel)
    for state in by_hand:
        found.given.pop(state, None)
    for state, key in found.given.items():
        if state in arrivals:
            _leave_out(arrivals, arrivals[state], key)
    return found


def numbering_in(state: State, rel: Relationship) -> Numbering | None:
    """How a loaded list numbers its members in a plain column; None where it is none that does. Database: none."""
    numbering = numbering_of(state.dict.get(rel.key), rel.property.collection_class)
    if numbering is None:
        return None
    plan, key = blueprint(rel.target), numbering.attribute
    column = plan.columns.get(key)
    plain = column is not None and column.stored and key not in plan.primary_key and plan.units[key] == key
    return numbering if plain else None


def gives_its_numbers(state: State, rel: Relationship, numbering: Numbering) -> bool:
    """Whether the members have the positions that the list gives them.

    Who was put in from another place, of this list or another one, may have the position of there: a list does not
    number whom it gets with a number. Database: none.
    """
    plan, key, collection = blueprint(rel.target), numbering.attribute, state.dict[rel.key]
    states: list[State] = [instance_state(obj) for obj in collection]
    before = set(map(instance_state, members_before(state, rel)))
    stayed = [one for one in states if one in before]
    in_place = left_in_order(stayed, by_position(rel, stayed, {one: base_value(one, key) for one in stayed}))
    for at, one in enumerate(states):
        is_known = key in one.dict or key in edited_keys(one)  # `del slide.position` is an edit, too
        is_asked = is_known and (
            one in in_place or (one not in before and (one.key is None or _is_edited(one, plan, key)))
        )
        if is_asked and not same(plan, key, one.dict.get(key), numbering.number(at, collection)):
            return False
    return True


def by_position(rel: Relationship, members: list[M], positions: Mapping[M, Any]) -> list[M]:
    """Members in the order of their positions, those without one last; as they are, where that cannot be said."""
    some = [(positions.get(one, UNKNOWN), one) for one in members]
    if any(value is UNKNOWN for value, _ in some):
        return members
    placed = [pair for pair in some if pair[0] is not None]
    first = next(iter(rel.property.order_by or ()), None)
    try:
        placed.sort(key=itemgetter(0), reverse=getattr(first, "modifier", None) is operators.desc_op)
    except TypeError:
        return members
    return [one for _, one in placed] + [one for value, one in some if value is None]


def _is_edited(state: State, plan: Blueprint, key: str) -> bool:
    return key in edited_keys(state) and not same(plan, key, base_value(state, key), state.dict.get(key))


def _may_number(plan: Blueprint) -> list[Relationship]:
    return [
        rel
        for rel in plan.relationships.values()
        if rel.property.collection_class is not None
        and (rel.direction == "to many" and rel.many and rel.writable and rel.loadable and not rel.scattered)
    ]


def _renumbered(state: State, rel: Relationship, numbering: Numbering) -> bool:
    """Whether a member of the list has another position than it had."""
    plan, states = blueprint(rel.target), map(instance_state, members_now(state, rel))
    return any(one.modified and _is_edited(one, plan, numbering.attribute) for one in states)


def _leave_out(arrivals: dict[State, Arrival], arrival: Arrival, key: str) -> None:
    arrival.columns = [one for one in arrival.columns if one != key]
    arrival.rivals = [(one, other) for one, other in arrival.rivals if one != key]
    arrival.sources.pop(key, None)
    if not arrival.has_edits and not arrival.rivals:
        del arrivals[arrival.state]
