"""Objects in, a snapshot out: what is in memory and nothing else.

Nothing is loaded, no attribute is read through its descriptor, and no user code runs. The only thing that is written is
the token of a new object, so that a second dump of it says that it is the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from operator import itemgetter
from typing import Any, cast
from uuid import uuid4

from sqlalchemy.orm.attributes import instance_dict
from sqlalchemy.orm.collections import InstrumentedList

from sojourn.errors import UNKNOWN, SnapshotError
from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.snapshot.departure import reached, refuse_copies, refuse_uncommitted
from sojourn.snapshot.model import Edit, Row, Snapshot, Table
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    edited_keys,
    members,
    pending_mutations,
)

TOKEN = "sojourn.token"
"""Where a new object's token is kept in `InstanceState.info`."""


def capture(objs: Sequence[Any]) -> Snapshot:
    """The snapshot of these mapped instances and of everything that can be reached from them.

    Raises UncommittedError, and SnapshotError for a graph that the format cannot hold. Database: none.
    """
    states = reached(objs)
    instances = [state.obj() for state in states]
    refuse_uncommitted(states)
    refuse_copies(states)
    groups = _grouped(states, instances)
    nodes: dict[int, int] = {}
    for group in groups:
        nodes.update(zip(map(id, group.instances), count(len(nodes))))
    return Snapshot([nodes[id(obj)] for obj in objs], [_table(group, nodes) for group in groups])


# --- grouping --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """The objects of one table to be."""

    plan: Blueprint
    columns: tuple[str, ...]
    references: tuple[str, ...]
    collections: tuple[str, ...]
    new: bool
    identity_token: Any
    instances: list[Any] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    values: list[Mapping[str, Any]] = field(default_factory=list)  # what each object holds
    edited: list[int] = field(default_factory=list)  # positions of those that may be edited


def _grouped(states: Sequence[State], instances: Sequence[Any]) -> list[_Group]:
    groups: dict[Any, _Group] = {}
    latest: dict[type, tuple[Any, _Group]] = {}  # the shape and group of the last object of each class
    values: Mapping[str, Any]
    for state, instance, values in zip(states, instances, map(instance_dict, instances), strict=True):
        key = state.key
        # Objects that were loaded together hold their attributes in the same order, and compare fast.
        shape = (tuple(values), None if key is None else (key[2],))
        known, group = latest.get(state.class_, (None, None))
        if group is None or shape != known:
            values, group = _group_of(state, values, groups)  # noqa: PLW2901 - completed, where something is missing
            if len(values) == len(shape[0]):
                latest[state.class_] = shape, group
        if state.modified:
            if any(name not in values for name in edited_keys(state)):
                values, group = _group_of(state, values, groups)  # noqa: PLW2901 - the same
            group.edited.append(len(group.states))
        elif group.plan.mutable:
            group.edited.append(len(group.states))
        group.instances.append(instance)
        group.states.append(state)
        group.values.append(values)
    _refuse_ambiguous_names(groups.values())
    return list(groups.values())


def _group_of(state: State, values: Mapping[str, Any], groups: dict[Any, _Group]) -> tuple[Mapping[str, Any], _Group]:
    """What an object holds, with what has to be said besides, and its group."""
    plan = blueprint(state.mapper)
    values = _completed(state, plan, values)
    token = None if state.key is None else state.key[2]
    if token is not None and type(token) not in (str, int):
        raise SnapshotError(
            f"the identity token is of the type {type(token).__name__}",
            where=plan.entity,
            remedy="Identity tokens travel if they are str or int.",
        )
    relationships = [rel for rel in plan.relationships.values() if rel.loadable and rel.key in values]
    columns = tuple(key for key in plan.columns if key in values)
    references = tuple(rel.key for rel in relationships if not rel.many)
    collections = tuple(rel.key for rel in relationships if rel.many)
    new = state.key is None
    group = _Group(plan, columns, references, collections, new, token)
    return values, groups.setdefault((plan.class_, columns, references, collections, new, token), group)


def _completed(state: State, plan: Blueprint, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the object holds, with its primary key, and with None or nothing for what was deleted from it."""
    missing: dict[str, Any] = {}
    if state.key is not None:
        missing.update(zip(plan.primary_key, state.key[1], strict=True))
        for key in edited_keys(state):
            relationship = plan.relationships.get(key)
            # A column whose base is not known is read from the database again, a reference is not.
            if relationship is not None and not relationship.many:
                missing[key] = None
            elif base_of(state, key) is not UNKNOWN:
                missing[key] = None if relationship is None else []
    return {**missing, **values} if missing.keys() - values.keys() else values


def _refuse_ambiguous_names(groups: Iterable[_Group]) -> None:
    classes: dict[str, type] = {}
    for group in groups:
        if classes.setdefault(group.plan.entity, group.plan.class_) is not group.plan.class_:
            raise SnapshotError(
                "the graph holds objects of two classes of this name",
                where=group.plan.entity,
                remedy="Rename one of the classes, or dump their objects apart.",
            )


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(group: _Group, nodes: Mapping[int, int]) -> Table:
    columns: list[Sequence[Any]] = [list(map(itemgetter(key), group.values)) for key in group.columns]
    columns += [list(map(nodes.get, map(id, map(itemgetter(key), group.values)))) for key in group.references]
    columns += [_all_nodes(nodes, map(itemgetter(key), group.values)) for key in group.collections]
    rows: list[Row] = list(zip(*columns, strict=True)) if columns else [()] * len(group.states)
    return Table(
        group.plan,
        group.columns,
        group.references,
        group.collections,
        rows,
        _edits(group, columns, nodes),
        [_token(state) for state in group.states] if group.new else None,
        group.identity_token,
    )


def _all_nodes(nodes: Mapping[int, int], collections: Iterable[Any]) -> list[list[int]]:
    take = nodes.__getitem__
    return [
        # Nearly all collections are plain lists, and there are many.
        list(map(take, map(id, collection))) if type(collection) is InstrumentedList else _nodes(nodes, collection)
        for collection in collections
    ]


def _nodes(nodes: Mapping[int, int], collection: Any) -> list[int]:
    return [] if collection is None else list(map(nodes.__getitem__, map(id, members(collection))))


def _token(state: State) -> str:
    token: str = state.info.setdefault(TOKEN, uuid4().hex)
    return token


def _edits(group: _Group, columns: Sequence[Sequence[Any]], nodes: Mapping[int, int]) -> list[Edit]:
    rows = dict.fromkeys(group.edited)
    if not group.new:
        # A row is found by its identity, so a primary key that differs from it counts as edited, whoever changed it.
        held = list(zip(*(columns[group.columns.index(key)] for key in group.plan.primary_key), strict=True))
        keys = [cast(Any, state.key)[1] for state in group.states]
        if held != keys:
            rows.update((row, None) for row, (one, other) in enumerate(zip(held, keys, strict=True)) if one != other)
    edits = (_edit(group, row, nodes) for row in sorted(rows))
    return [edit for edit in edits if edit]


def _edit(group: _Group, row: int, nodes: Mapping[int, int]) -> Edit:
    state, values, plan = group.states[row], group.values[row], group.plan
    base, unknown = _column_bases(state, plan, values)
    added: dict[str, list[int]] = {}
    removed: dict[str, list[int]] = {}
    for relationship in _edited_relationships(state, plan):
        key, many = relationship.key, relationship.many
        before = base_of(state, key)
        if key not in values:
            arrived, left = pending_mutations(state, key) if many else ([], [])
            added |= {key: _nodes(nodes, arrived)} if arrived else {}
            removed |= {key: _nodes(nodes, left)} if left else {}
        elif before is UNKNOWN:
            unknown.append(key)
        elif many and _nodes(nodes, before) != _nodes(nodes, values[key]):
            base[key] = _nodes(nodes, before)
        elif not many and before is not values[key]:
            base[key] = None if before is None else nodes[id(before)]
    return Edit(row, base, unknown, added, removed)


def _column_bases(state: State, plan: Blueprint, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The base of each edited column that has one, and the edited columns whose base nobody knows."""
    if state.key is None:
        return {}, []  # a new object has no row that its values could differ from
    base = {
        key: identity
        for key, identity in zip(plan.primary_key, state.key[1], strict=True)
        if type(values[key]) is not type(identity) or values[key] != identity
    }
    unknown: list[str] = []
    for key in edited_columns(state, plan):
        if key in plan.primary_key or key not in values or not plan.columns[key].stored:
            continue
        before = base_value(state, key)
        if before is UNKNOWN:
            unknown.append(key)
        else:
            base[key] = before
    return base, unknown


def _edited_relationships(state: State, plan: Blueprint) -> Iterable[Relationship]:
    for key in edited_keys(state):
        relationship = plan.relationships.get(key)
        if relationship is None:
            continue
        if not relationship.loadable:
            raise SnapshotError(
                "changes of a dynamic or write-only collection cannot travel",
                where=f"{plan.entity}.{key}",
                remedy="Flush and commit them first.",
            )
        yield relationship
