"""A membership through a third table is one fact that two collections tell.

SQLAlchemy writes it once, by whichever side has it as an edit. So where refresh finds that others made the same edit as
I did, the other side must not go on telling it as one: its flush would insert a row that is there, or delete one that
is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm.attributes import instance_state

from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.session.arrival import Arrival, changed_members, members_before, members_now
from sojourn.sqlalchemy_internals import (
    State,
    edited_keys,
    forget_edit,
    forget_mutation,
    put_collection,
    set_base,
    settle,
)


@dataclass(frozen=True, slots=True)
class Told:
    """The members that I added to a collection or removed from it, before it is merged."""

    holder: State
    rel: Relationship
    members: list[Any]


def told(arrivals: Iterable[Arrival]) -> list[Told]:
    """What the edited collections of third tables tell. Database: none."""
    return [
        Told(arrival.state, rel, [one for side in changed_members(arrival.state, rel) for one in side])
        for arrival in arrivals
        for rel in arrival.collections
        if rel.direction == "many to many" and rel.inverse is not None
    ]


def agree(before: Iterable[Told]) -> None:
    """After the merge: what is no edit any more on one side is none on the other. Database: none."""
    for one in before:
        obj, edited = one.holder.obj(), one.rel.key in edited_keys(one.holder)
        now = set(map(id, members_now(one.holder, one.rel)))
        base = set(map(id, members_before(one.holder, one.rel))) if edited else now
        for member in one.members:
            if (id(member) in now) == (id(member) in base):
                _tell(instance_state(member), one.rel.inverse or "", obj, present=id(member) in now)


def _tell(state: State, key: str, obj: Any, *, present: bool) -> None:
    rel = blueprint(state.mapper).relationships[key]
    forget_mutation(state, key, obj)
    if rel.loadable and key in state.dict:
        now = members_now(state, rel)
        base = members_before(state, rel) if key in edited_keys(state) else now
        new_now, new_base = _with(now, obj, present), _with(base, obj, present)
        if len(new_now) != len(now):
            put_collection(state, key, new_now)
        if set(map(id, new_now)) == set(map(id, new_base)):
            forget_edit(state, key)
        else:
            set_base(state, key, new_base)
    settle(state)


def _with(members: list[Any], obj: Any, present: bool) -> list[Any]:
    there = any(one is obj for one in members)
    if there == present:
        return members
    return [*members, obj] if present else [one for one in members if one is not obj]
