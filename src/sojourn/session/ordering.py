"""Merging the order of an `ordering_list`, and numbering its members anew.

Who is in the list has been decided (`gather`). Here base, mine and theirs are brought into the order that each side
has, by the positions that it knows, and `sojourn.reconcile` makes one order of the three. The list's own function then
says which position each member gets; a row is written where that is not what is stored.
"""

from __future__ import annotations

from collections.abc import Container, Hashable
from typing import Any, NamedTuple

from sqlalchemy.orm.attributes import instance_dict, instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.reconcile import merge_order
from sojourn.session.arrival import Arrival, members_before, members_now
from sojourn.session.positions import by_position, gives_its_numbers, numbering_in
from sojourn.session.sides import Sides
from sojourn.sqlalchemy_internals import Numbering, State, edited_keys, new_instance

Members = list[Hashable]


class Number(NamedTuple):
    """The position that a member of a list gets."""

    key: str  # the attribute
    stored: Any  # what is in the database; UNKNOWN for a new member
    value: Any


class Ordering:
    """The lists of one verb that number their members. `numbers` says who gets which position."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.numbers: dict[Hashable, Number] = {}

    def order(
        self, arrival: Arrival, rel: Relationship, final: Members, again: Container[Hashable], *, fresh: bool
    ) -> Members:
        """The members of a list in their order, after `numbers` got theirs.

        `again`: whose row was deleted and is made again, so that they are members as before. `fresh`: the list's owner
        has no row yet. Database: none.
        """
        numbering = self.sides.incoming.positions.lists[arrival.state, rel]
        base, mine, theirs, stored = self.sides.members(arrival, rel)
        if fresh:
            base, theirs = [], []
        else:
            base = self._as_before(arrival.source(rel.key), rel, base, numbering)
            theirs = self._theirs(arrival, rel, theirs, stored, numbering)
        ordered = merge_order(base, mine, theirs, [*final, *(one for one in mine if one in again)])
        self._number(arrival, rel, ordered, numbering)
        return ordered

    # --- the sides ---

    def _as_before(self, state: State, rel: Relationship, members: Members, numbering: Numbering) -> Members:
        """The members in the order of the positions that they had at the base: of a sort() the list itself tells
        nothing."""
        objs = [*members_before(state, rel), *members_now(state, rel)]
        bases = {self._name(obj): base_value(instance_state(obj), numbering.attribute) for obj in objs}
        now = {self._name(obj) for obj in members_now(state, rel)}
        stayed = [one for one in members if one in now]
        return [*by_position(rel, stayed, bases), *(one for one in members if one not in now)]

    def _theirs(
        self, arrival: Arrival, rel: Relationship, members: Members, stored: Members, numbering: Numbering
    ) -> Members:
        """The other side's members: the session's own order, where it has one, over that of the stored positions."""
        key, home = numbering.attribute, arrival.home
        positions = {one: self._row(rel, one).get(key, UNKNOWN) for one in stored}
        there = by_position(rel, stored, positions)
        if home is None or rel.key not in home.dict:
            return there
        now = members_now(home, rel)
        own = numbering_in(home, rel)
        if own is None or not gives_its_numbers(home, rel, own):  # the session has set positions by hand
            edited = [obj for obj in now if key in edited_keys(instance_state(obj))]
            positions.update((self._name(obj), instance_dict(obj).get(key)) for obj in edited)
            return by_position(rel, members, positions)
        before = members_before(home, rel) if rel.key in edited_keys(home) else now
        base = self._as_before(home, rel, [self._name(obj) for obj in before], own)
        return merge_order(base, [self._name(obj) for obj in now], there, members)

    def _name(self, obj: Any) -> Hashable:
        return self.sides.incoming.who(instance_state(obj))

    def _row(self, rel: Relationship, member: Hashable) -> dict[str, Any]:
        """What was read of a member's row, by attribute."""
        plan = blueprint(rel.target)
        read = self.sides.reader.tables.get(plan.table)
        row = read.rows.get(member[1]) if read is not None and isinstance(member, tuple) else None
        if read is None or row is None:
            return {}
        places = ((name, read.columns.get(column.column)) for name, column in plan.columns.items())
        return {name: row[place] for name, place in places if place is not None}

    # --- the numbers ---

    def _number(self, arrival: Arrival, rel: Relationship, final: Members, numbering: Numbering) -> None:
        """Ask the list's function, about objects that only look like the members: nothing may be changed yet."""
        key, columns = numbering.attribute, blueprint(rel.target).columns
        mine = {self._name(obj): obj for obj in members_now(arrival.source(rel.key), rel)}
        rows = [self._row(rel, one) for one in final]
        samples: list[Any] = []
        for one, row in zip(final, rows, strict=True):
            sample = new_instance(rel.target)
            values = instance_dict(mine[one]) if one in mine else row
            instance_dict(sample).update((name, value) for name, value in values.items() if name in columns)
            samples.append(sample)
        for at, (one, row, sample) in enumerate(zip(final, rows, samples, strict=True)):
            value = instance_dict(sample)[key] = numbering.number(at, samples)
            stored = row[key] if key in row else self._stored(mine.get(one), key)
            self.numbers[one] = Number(key, stored, value)

    def _stored(self, obj: Any, key: str) -> Any:
        """What is stored of a member that was not read with the list: it comes from elsewhere, or is new."""
        incoming = self.sides.incoming
        arrival = None if obj is None else incoming.arrivals.get(incoming.speaker(instance_state(obj)))
        return UNKNOWN if arrival is None else self.sides.stored(arrival)(key)


def in_order(rel: Relationship, members: list[State], numbering: Numbering) -> list[State]:
    """Members in the order of the positions that they have; as they are, where one is an edit. Database: none."""
    key = numbering.attribute
    if any(key in edited_keys(one) for one in members):
        return members
    return by_position(rel, members, {one: one.dict.get(key, UNKNOWN) for one in members})
