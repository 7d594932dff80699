"""Copies of session objects that leave in their place: exactly the shape, with edits and base."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value, remember, remember_value
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.graph import former
from sojourn.mapping.shape import Shape
from sojourn.session.write import write_bases
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    edit_collection,
    edited_keys,
    fire_load,
    guard,
    has_load_events,
    members,
    new_instance,
    put_collection,
    set_base,
    set_parent,
)

Wanted = dict[State, set[str] | None]  # state -> the attributes of the shape; None: everything that is loaded


def shaped(states: Sequence[State], shapes: Mapping[Mapper[Any], Shape]) -> Wanted:
    """The objects that a shape reaches, each with its attributes there. An object on two paths gets both. No I/O."""
    wanted: Wanted = {}
    seen: set[tuple[State, int]] = set()
    queue = [(state, shapes[state.mapper]) for state in states]
    for state, shape in queue:  # the queue grows while it is read
        if (state, id(shape)) in seen:
            continue
        seen.add((state, id(shape)))
        plan = blueprint(state.mapper)
        here = wanted.setdefault(state, set())
        assert here is not None
        here.update(shape.wanted_columns(plan))
        for rel, branch in shape.branches(plan):
            if not rel.loadable:
                continue
            here.add(rel.key)
            for child in (*_current(state, rel), *former(state, rel.key, rel.many)):
                child_state: State = instance_state(child)
                queue.append((child_state, branch.shape))
                if rel.inverse is not None and rel.direction == "to many":
                    inverse = wanted.setdefault(child_state, set())
                    assert inverse is not None
                    inverse.add(rel.inverse)
    return wanted


def copy_graph(
    roots: Sequence[State], leaving: Mapping[State, set[str] | None], bases: Mapping[State, Mapping[str, Any]]
) -> list[Any]:
    """Detached copies of the roots, and of everything in `leaving` that hangs on them. `bases` are those that had to be
    read. Database: none."""
    copies: dict[State, Any] = {state: new_instance(state.mapper) for state in leaving}
    for original, twin in copies.items():
        _copy_columns(original, instance_state(twin), leaving[original])
    for original, twin in copies.items():
        _copy_relationships(original, instance_state(twin), leaving[original], copies)
    for original, twin in copies.items():
        state: State = instance_state(twin)
        plan = blueprint(original.mapper)
        if has_load_events(original.mapper):
            fire_load(state)
        _copy_edits(original, state, leaving[original], copies)
        remember(state, plan)
        for key in plan.mutable:
            if key in edited_keys(original) and key in state.dict:
                remember_value(state, key, copy.deepcopy(base_value(original, key)))
        wanted = leaving[original]
        write_bases(state, {key: v for key, v in bases.get(original, {}).items() if wanted is None or key in wanted})
        if state.key is not None:
            guard(state)
    return [copies[state] for state in roots]


def _copy_columns(original: State, twin: State, wanted: Iterable[str] | None) -> None:
    plan = blueprint(original.mapper)
    loaded = original.dict
    twin.key = original.key
    for key, column in plan.columns.items():
        if key in loaded and (wanted is None or key in wanted):
            value = loaded[key]
            twin.dict[key] = copy.deepcopy(value) if column.mutable else value


def _copy_relationships(
    original: State, twin: State, wanted: Iterable[str] | None, copies: Mapping[State, Any]
) -> None:
    for rel in blueprint(original.mapper).relationships.values():
        if not rel.loadable or rel.key not in original.dict or not (wanted is None or rel.key in wanted):
            continue
        now = _twins(_current(original, rel), copies)
        if now is None:
            continue  # the inverse of a collection whose parent is not in the shape
        if rel.many:
            put_collection(twin, rel.key, now)
        else:
            twin.dict[rel.key] = now[0] if now else None
        for child in now:
            if rel.direction != "to one":
                set_parent(twin, rel.key, instance_state(child))


def _copy_edits(original: State, twin: State, wanted: Iterable[str] | None, copies: Mapping[State, Any]) -> None:
    plan = blueprint(original.mapper)
    for key in list(edited_keys(original)):
        if not (wanted is None or key in wanted):
            continue
        if key in plan.columns:
            set_base(twin, key, base_value(original, key))
        rel = plan.relationships.get(key)
        if rel is None or not rel.loadable or key not in twin.dict:
            continue
        base = base_of(original, key)
        if rel.many and base is not UNKNOWN:
            old = [copies[instance_state(one)] for one in members(base)]
            edit_collection(twin, key, old, list(members(twin.dict[key])))
        elif base is UNKNOWN or base is None:
            set_base(twin, key, base)
        else:
            set_base(twin, key, copies.get(instance_state(base), UNKNOWN))


def _current(state: State, rel: Relationship) -> list[Any]:
    value = state.dict.get(rel.key)
    return [] if value is None else list(members(value)) if rel.many else [value]


def _twins(objs: Iterable[Any], copies: Mapping[State, Any]) -> list[Any] | None:
    twins = []
    for obj in objs:
        twin = copies.get(instance_state(obj))
        if twin is None:
            return None
        twins.append(twin)
    return twins
