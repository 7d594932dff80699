"""A snapshot in, detached objects out (transient ones where they are new), as if a SELECT had built them.

The order matters. First every object is made and filled, with a guard on what is not loaded; then the load events run
(`@reconstructor`, composites, Mutable tracking); only then the edits are recorded, because load events may replace
values, and what they do to an object is no edit. Orphan marks come last, and those of removed members first: a member
that moved from one owner to another is no orphan.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm.attributes import instance_dict, instance_state

from sojourn.errors import UNKNOWN, SnapshotError
from sojourn.mapping.base import TOKEN, remember, remember_built
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.made import made_once
from sojourn.snapshot.model import Edit, Snapshot, Table
from sojourn.snapshot.values import codec_of
from sojourn.snapshot.verify import Moved, verify
from sojourn.sqlalchemy_internals import (
    Builder,
    State,
    change_unloaded,
    drop_parent,
    fill_collection,
    fill_lists,
    fire_load,
    forget_edits,
    has_load_events,
    make_builder,
    plain_builder,
    set_base,
    set_parent,
)
from sojourn.sqlalchemy_internals import members as members_of

_MANY = 200
"""From so many rows on, writing the source of a builder pays. A document of many small tables must not write many."""


def restore(snapshot: Snapshot) -> list[Any]:
    """The roots, with their graph behind them. Raises SnapshotError. Database: none."""
    identities = verify(snapshot)
    nodes: list[Any] = []
    built = [
        _build(table, moved, nodes, f"$.tables[{number}]")
        for number, (table, moved) in enumerate(zip(snapshot.tables, identities, strict=True))
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
    where: str

    @property
    def plan(self) -> Blueprint:
        return self.table.plan

    def state(self, row: int) -> State:
        state: State = instance_state(self.instances[row])
        return state


def _build(table: Table, moved: Moved, nodes: list[Any], where: str) -> _Built:
    instances = _builder(table)(table.rows, table.identity_token)
    nodes += instances
    for row, identity in moved.items():
        instance_state(instances[row]).key = identity
    for instance, token in zip(instances, table.tokens or (), strict=False):
        instance_state(instance).info[TOKEN] = token
    return _Built(table, instances, where)


def _builder(table: Table) -> Builder:
    plan, stored = table.plan, table.tokens is None
    if len(table.rows) < _MANY:
        return plain_builder(plan.mapper, table.columns, plan.primary_key, stored=stored)
    shape = len(plan.mapper.attrs), stored, *table.columns  # the guard knows the attributes of the mapping
    return made_once(
        plan,
        "builders",
        shape,
        lambda: make_builder(plan.mapper, table.columns, plan.primary_key, stored=stored),
    )


# --- relationships ---------------------------------------------------------------------------------------------------


def _fill_references(built: _Built, nodes: Sequence[Any]) -> None:
    for key, targets in built.table.references.items():
        inverse = _inverse(built.plan.relationships[key])
        for instance, node in zip(built.instances, targets, strict=True):
            target = instance_dict(instance)[key] = None if node is None else nodes[node]
            if inverse is not None and target is not None:
                instance_dict(target).setdefault(inverse, instance)


def _fill_collections(built: _Built, nodes: Sequence[Any]) -> None:
    for key, lists in built.table.collections.items():
        inverse = _inverse(built.plan.relationships[key])
        if not fill_lists(built.plan.mapper, key, built.instances, lists, nodes, inverse):
            _fill_others(built, key, lists, nodes, inverse)


def _fill_others(
    built: _Built, key: str, lists: Sequence[Sequence[int]], nodes: Sequence[Any], inverse: str | None
) -> None:
    for row, of_one in enumerate(lists):
        members = [nodes[node] for node in of_one]
        try:
            fill_collection(built.state(row), key, members)
            taken = len(members_of(instance_dict(built.instances[row])[key]))
        except Exception as error:  # the collection class and its key function are the user's
            raise SnapshotError(
                f"{built.plan.entity}.{key} does not take these members: {error}",
                where=f"{built.where}.collections.{key}[{row}]",
            ) from error
        if taken < len(of_one):  # left out without a word, they would count as removed
            raise SnapshotError(
                f"{built.plan.entity}.{key} takes {taken} of these {len(of_one)} members: others have the same key",
                where=f"{built.where}.collections.{key}[{row}]",
                remedy="Give each member a key of its own before the objects leave.",
            )
        if inverse is not None:
            for member in members:
                instance_dict(member).setdefault(inverse, built.instances[row])


def _inverse(relationship: Relationship) -> str | None:
    """The reference that leads back from what this relationship owns: it is known, as the owner is there."""
    if relationship.direction != "to many" or relationship.inverse is None:
        return None
    return None if blueprint(relationship.target).relationships[relationship.inverse].many else relationship.inverse


# --- events and edits ------------------------------------------------------------------------------------------------


def _fire_load_events(built: _Built) -> None:
    if not has_load_events(built.plan.mapper):
        return
    for row, instance in enumerate(built.instances):
        state: State = instance_state(instance)
        try:
            fire_load(state)
        except Exception as error:  # load events, composites and Mutable types are the user's
            raise SnapshotError(
                f"{built.plan.entity} does not take these values: {error}", where=f"{built.where}.rows[{row}]"
            ) from error
        if state.modified:
            forget_edits(state)


def _record_edits(built: _Built, nodes: Sequence[Any]) -> None:
    table, plan = built.table, built.plan
    if table.tokens is not None:
        stored = [key for key in table.columns if plan.columns[key].stored]
        for instance in built.instances:
            for key in stored:
                set_base(instance_state(instance), key, UNKNOWN)
    for edit in table.edits:
        state = built.state(edit.row)
        for key, base in edit.base.items():
            if key in plan.columns:
                set_base(state, key, _tracked(built, state, key, base))
            else:
                set_base(state, key, _objects(plan.relationships[key], base, nodes))
        for key in edit.unknown:
            set_base(state, key, UNKNOWN)
        for key in {**edit.added, **edit.removed}:
            change_unloaded(state, key, _members(edit.added, key, nodes), _members(edit.removed, key, nodes))
    if table.tokens is None and plan.mutable:
        _remember_bases(built)


def _remember_bases(built: _Built) -> None:
    table, plan = built.table, built.plan
    # Load events have seen the objects, and what they made of the values is not known to be plain.
    heard = has_load_events(plan.mapper)
    keys = [key for key in plan.mutable if key in table.columns]
    plain = [] if heard else [key for key in keys if codec_of(plan, key).document]
    special = range(len(built.instances)) if heard else sorted(edit.row for edit in table.edits)
    if not heard:
        edited = set(special)
        remember_built((each for row, each in enumerate(built.instances) if row not in edited), keys, plain)
    for row in special:
        remember(built.state(row), plan, plain)


def _tracked(built: _Built, state: State, key: str, base: Any) -> Any:
    """The base in the Mutable class of the value that took its place, so that changes are seen if it is put back."""
    now = state.dict.get(key)
    if not isinstance(now, MutableBase):
        return base
    try:
        return type(now).coerce(key, base)
    except Exception as error:  # the class may be the user's
        raise SnapshotError(
            f"{built.plan.entity}.{key} does not take its former value: {error}", where=f"{built.where}.edits"
        ) from error


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
            drop_parent(built.state(edit.row), key, instance_state(nodes[node]))


def _mark_added(built: _Built, nodes: Sequence[Any]) -> None:
    for edit, key, before, now in _changed_members(built):
        inverse = _owning(built.plan.relationships[key])
        for node in (*_without(now, before), *edit.added.get(key, ())):
            set_parent(built.state(edit.row), key, instance_state(nodes[node]))
            if inverse is not None:  # the owner's collection may not be loaded
                set_parent(instance_state(nodes[node]), inverse, built.state(edit.row))


def _owning(relationship: Relationship) -> str | None:
    """The other side of a reference to one."""
    return relationship.inverse if relationship.direction == "to one" else None


def _mark_new(built: _Built, nodes: Sequence[Any]) -> None:
    """A stored object has an owner unless the opposite is marked; with a new one it is the other way around."""
    for key, values in (*built.table.references.items(), *built.table.collections.items()):
        for instance, value in zip(built.instances, values, strict=True):
            for node in _as_nodes(value):
                member: State = instance_state(nodes[node])
                if member.key is None:
                    set_parent(instance_state(instance), key, member)


def _changed_members(built: _Built) -> Iterator[tuple[Edit, str, Sequence[int], Sequence[int]]]:
    """(edit, relationship, nodes before, nodes now); of an unloaded collection neither is known."""
    related = {**built.table.references, **built.table.collections}
    for edit in built.table.edits:
        for key, base in edit.base.items():
            if key in related:
                yield edit, key, _as_nodes(base), _as_nodes(related[key][edit.row])
        for key in edit.unknown:  # what is there came, perhaps from another owner
            if key in related:
                yield edit, key, (), _as_nodes(related[key][edit.row])
        for key in {**edit.added, **edit.removed}:
            yield edit, key, (), ()


def _as_nodes(value: Any) -> Sequence[int]:
    return value if isinstance(value, list) else () if value is None else (value,)


def _without(some: Sequence[int], others: Sequence[int]) -> list[int]:
    left_out = set(others)
    return [node for node in some if node not in left_out]
