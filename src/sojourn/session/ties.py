"""What ties objects that leave a session to those that stay, in both directions.

A relationship of a staying object that was loaded and not edited is only a memory of the database: it can be loaded
again. An edited one cannot be kept on one side: its flush would need both objects.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state

from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.graph import former
from sojourn.sqlalchemy_internals import State, edited_keys, members, pending_mutations, pending_states


@dataclass(eq=False)
class Ties:
    """`holding`: relationships of staying objects that hold a leaving one, unedited. `torn`: objects with an edit that
    leads from one side to the other. `noted`: (leaving object, its unloaded collection, staying member), where the edit
    is the member's own and the collection has only heard of it."""

    holding: list[tuple[State, str]] = field(default_factory=list)
    torn: list[State] = field(default_factory=list)
    noted: list[tuple[State, str, Any]] = field(default_factory=list)


def ties_between(session: Session, leaving: Collection[State]) -> Ties:
    """The ties between these states and everything else in their session. Database: none."""
    found = Ties()
    there = set(leaving)
    bases = {state.mapper.base_mapper for state in leaving}
    relevant: dict[Mapper[Any], list[Relationship]] = {}
    for state in [*session.identity_map.all_states(), *pending_states(session)]:
        if state in there:
            continue
        towards = relevant.get(state.mapper)
        if towards is None:
            relationships = blueprint(state.mapper).relationships.values()
            towards = relevant[state.mapper] = [rel for rel in relationships if rel.target.base_mapper in bases]
        for rel in towards:
            _look_at_staying(found, state, rel, there)
    for state in leaving:
        if state.modified:
            _look_at_leaving(found, state, there)
    return found


def _look_at_staying(found: Ties, state: State, rel: Relationship, leaving: set[State]) -> None:
    value = instance_dict(state.obj()).get(rel.key) if rel.loadable else None
    edited = state.key is None or rel.key in edited_keys(state)
    if value is not None and any(instance_state(one) in leaving for one in (members(value) if rel.many else (value,))):
        if edited:
            found.torn.append(state)
        else:
            found.holding.append((state, rel.key))
    elif edited and rel.direction != "to one":
        added, removed = pending_mutations(state, rel.key)
        if any(instance_state(one) in leaving for one in (*added, *removed, *former(state, rel.key, rel.many))):
            found.torn.append(state)


def _look_at_leaving(found: Ties, state: State, leaving: set[State]) -> None:
    for rel in blueprint(state.mapper).relationships.values():
        if rel.key not in edited_keys(state) or rel.direction == "to one" or (rel.loadable and rel.key in state.dict):
            continue
        for one in [each for side in pending_mutations(state, rel.key) for each in side]:
            if instance_state(one) in leaving:
                continue
            if rel.inverse is None:
                found.torn.append(state)
            else:
                found.noted.append((state, rel.key, one))
