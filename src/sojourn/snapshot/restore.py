"""A snapshot in, detached objects out (transient ones where they are new), as if a SELECT had built them.

The order matters. First every object is made and filled, with a guard on what is not loaded; then the load events run
(`@reconstructor`, composites, Mutable tracking); only then the edits are recorded, because load events may replace
values, and what they do to an object is no edit. Orphan marks come last, and those of removed members first: a member
that moved from one owner to another is no orphan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN, SnapshotError
from sojourn.mapping.base import remember
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.identity import Identity
from sojourn.snapshot.capture import TOKEN
from sojourn.snapshot.model import Edit, Snapshot, Table
from sojourn.snapshot.verify import verify
from sojourn.sqlalchemy_internals import (
    State,
    change_unloaded,
    drop_parent,
    fill_collection,
    fire_load,
    forget_edits,
    has_load_events,
    new_detached,
    set_base,
    set_parent,
)


def restore(snapshot: Snapshot) -> list[Any]:
    """The roots, with their graph behind them. Raises SnapshotError. Database: none."""
    identities = verify(snapshot)
    nodes: list[Any] = []
    built = [
        _build(table, keys, nodes, f"$.tables[{number}]")
        for number, (table, keys) in enumerate(zip(snapshot.tables, identities, strict=True))
    ]
    for each in built:
        _fill_references(each, nodes)
    for each in built:
        _fill_collections(each, nodes)
    for each in built:
        _fire_load_events(each)
    for each in built:
        _record_edits(each, nodes)
    for each in built:
        _mark_removed(each, nodes)
    for each in built:
        _mark_added(each, nodes)
    if any(table.tokens is not None for table in snapshot.tables):
        for each in built:
            _mark_new(each, nodes)
    return [nodes[root] for root in snapshot.roots]


@dataclass(slots=True)
class _Built:
    """A table and its objects."""

    table: Table
    instances: list[Any]
    states: list[State]
    where: str

    @property
    def plan(self) -> Blueprint:
        return self.table.plan

    def column(self, key: str) -> list[Any]:
        """What the rows hold for an attribute."""
        return list(map(itemgetter(self.table.attributes.index(key)), self.table.rows))


def _build(table: Table, identities: Sequence[Identity | None], nodes: list[Any], where: str) -> _Built:
    columns, token = table.columns, table.identity_token
    instances = new_detached(table.plan.mapper, identities)
    nodes += instances
    states: list[State] = list(map(instance_state, instances))
    for instance, row in zip(instances, table.rows, strict=True):
        instance.__dict__.update(zip(columns, row))  # noqa: B905 - the row goes on with references and collections
    if token is not None:
        for state in states:
            state.identity_token = token
    for state, new in zip(states, table.tokens or (), strict=False):
        state.info[TOKEN] = new
    return _Built(table, instances, states, where)


# --- relationships ---------------------------------------------------------------------------------------------------


def _fill_references(built: _Built, nodes: Sequence[Any]) -> None:
    for key in built.table.references:
        inverse = _inverse(built.plan.relationships[key])
        for instance, node in zip(built.instances, built.column(key), strict=True):
            target = instance.__dict__[key] = None if node is None else nodes[node]
            if inverse is not None and target is not None:
                target.__dict__.setdefault(inverse, instance)


def _fill_collections(built: _Built, nodes: Sequence[Any]) -> None:
    for key in built.table.collections:
        inverse = _inverse(built.plan.relationships[key])
        for number, (state, member_nodes) in enumerate(zip(built.states, built.column(key), strict=True)):
            members = [nodes[node] for node in member_nodes]
            try:
                fill_collection(state, key, members)
            except Exception as error:  # the collection class and its key function are the user's
                raise SnapshotError(
                    f"{built.plan.entity}.{key} does not take these members: {error}",
                    where=f"{built.where}.rows[{number}][{built.table.attributes.index(key)}]",
                ) from error
            if inverse is not None:
                owner = built.instances[number]
                for member in members:
                    member.__dict__.setdefault(inverse, owner)


def _inverse(relationship: Relationship) -> str | None:
    """The reference that leads back from what this relationship owns: it is known, as the owner is there."""
    if relationship.direction != "to many" or relationship.inverse is None:
        return None
    return None if blueprint(relationship.target).relationships[relationship.inverse].many else relationship.inverse


# --- events and edits ------------------------------------------------------------------------------------------------


def _fire_load_events(built: _Built) -> None:
    if not has_load_events(built.plan.mapper):
        return
    for number, state in enumerate(built.states):
        try:
            fire_load(state)
        except Exception as error:  # load events, composites and Mutable types are the user's
            raise SnapshotError(
                f"{built.plan.entity} does not take these values: {error}", where=f"{built.where}.rows[{number}]"
            ) from error
        if state.modified:
            forget_edits(state)


def _record_edits(built: _Built, nodes: Sequence[Any]) -> None:
    table, plan = built.table, built.plan
    if table.tokens is not None:
        stored = [key for key in table.columns if plan.columns[key].stored]
        for state in built.states:
            for key in stored:
                set_base(state, key, UNKNOWN)
    for edit in table.edits:
        state = built.states[edit.row]
        for key, base in edit.base.items():
            set_base(state, key, base if key in plan.columns else _objects(plan.relationships[key], base, nodes))
        for key in edit.unknown:
            set_base(state, key, UNKNOWN)
        for key in {**edit.added, **edit.removed}:
            change_unloaded(state, key, _members(edit.added, key, nodes), _members(edit.removed, key, nodes))
    if table.tokens is None and plan.mutable:
        for state in built.states:
            remember(state, plan)


def _objects(relationship: Relationship, value: Any, nodes: Sequence[Any]) -> Any:
    if relationship.many:
        return [nodes[node] for node in value]
    return None if value is None else nodes[value]


def _members(changes: Any, key: str, nodes: Sequence[Any]) -> list[Any]:
    return [nodes[node] for node in changes.get(key, ())]


# --- orphans ---------------------------------------------------------------------------------------------------------


def _mark_removed(built: _Built, nodes: Sequence[Any]) -> None:
    for edit, key, before, now in _changed_members(built):
        for node in (*_without(before, now), *edit.removed.get(key, ())):
            drop_parent(built.states[edit.row], key, instance_state(nodes[node]))


def _mark_added(built: _Built, nodes: Sequence[Any]) -> None:
    for edit, key, before, now in _changed_members(built):
        for node in (*_without(now, before), *edit.added.get(key, ())):
            set_parent(built.states[edit.row], key, instance_state(nodes[node]))


def _mark_new(built: _Built, nodes: Sequence[Any]) -> None:
    """A stored object has an owner unless the opposite is marked; with a new one it is the other way around."""
    for key in (*built.table.references, *built.table.collections):
        for state, value in zip(built.states, built.column(key), strict=True):
            for node in _as_nodes(value):
                member: State = instance_state(nodes[node])
                if member.key is None:
                    set_parent(state, key, member)


def _changed_members(built: _Built) -> Iterator[tuple[Edit, str, Sequence[int], Sequence[int]]]:
    """(edit, relationship, nodes before, nodes now); of an unloaded collection neither is known."""
    table = built.table
    for edit in table.edits:
        for key, base in edit.base.items():
            if key in built.plan.relationships:
                yield edit, key, _as_nodes(base), _as_nodes(table.rows[edit.row][table.attributes.index(key)])
        for key in {**edit.added, **edit.removed}:
            yield edit, key, (), ()


def _as_nodes(value: Any) -> Sequence[int]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _without(some: Sequence[int], others: Sequence[int]) -> list[int]:
    left_out = set(others)
    return [node for node in some if node not in left_out]
