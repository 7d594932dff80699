"""Writing what was decided or read onto one object, without events: values and the base that they are edits of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import edited_columns, remember_value, same
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.identity import make_identity
from sojourn.session.keys import Key, pointed
from sojourn.session.rows import TableRead
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    edited_keys,
    fire_refresh,
    forget_edit,
    has_refresh_events,
    held_by,
    loaded_now,
    set_base,
    settle,
    unload,
)


def take_row(state: State, read: TableRead, row: Any, *, leave: Iterable[str] = (), fill: bool = False) -> list[str]:
    """Bring the loaded, unedited columns of a state up to a row; with `fill` also those that are not loaded.

    Gives the attributes that changed.
    """
    plan = blueprint(state.mapper)
    loaded, touched, left = state.dict, set(edited_keys(state)), set(leave)
    left.update(edited_columns(state, plan) if touched else ())
    changed = []
    for key, column in plan.columns.items():
        position = read.columns.get(column.column)
        if position is None or key in left or not (fill or key in loaded):
            continue
        value = row[position]
        if key not in loaded or not same(plan, key, loaded[key], value):
            loaded[key] = value
            changed.append(key)
        if key in touched:
            forget_edit(state, key)  # it was set, and set back
    if touched:
        settle(state)
    if fill:
        loaded_now(state, changed)
    if changed and has_refresh_events(state.mapper):
        fire_refresh(state, changed)
    return changed


def write_values(state: State, writes: Mapping[str, tuple[Any, Any]]) -> None:
    """Each attribute holds its second value, recorded as an edit of the first where the two differ.

    One whose second value is UNKNOWN is to be loaded.
    """
    plan = blueprint(state.mapper)
    for key, (stored, final) in writes.items():
        if final is UNKNOWN:  # theirs, which nobody has read
            unload(state, key)
            continue
        state.dict[key] = final
        if same(plan, key, final, stored):
            forget_edit(state, key)
        else:
            set_base(state, key, stored)
    # Composites are made anew of all their parts at once, and Mutable values are tracked.
    derived = [key for key in writes if key in state.dict and (plan.units[key] != key or plan.columns[key].mutable)]
    if derived:
        fire_refresh(state, derived)


def refer_anew(state: State, rel: Relationship, target: Any) -> None:
    """A reference of an object that has no row yet, recorded so that the flush takes the foreign key from it."""
    state.dict[rel.key] = target
    if target is not None:
        set_base(state, rel.key, None)
    elif rel.pairs is not None:
        state.dict.update((key, None) for key in rel.local_key if key not in blueprint(state.mapper).primary_key)


def write_bases(state: State, bases: Mapping[str, Any]) -> None:
    """Record what edited column attributes held before, where nobody had."""
    columns = blueprint(state.mapper).columns
    for key, base in bases.items():
        set_base(state, key, base)
        if columns[key].mutable:
            remember_value(state, key, base)


def follow_foreign_keys(session: Session, state: State, leave: Iterable[str] = ()) -> None:
    """A loaded reference whose foreign key has moved points to its new row, or is loaded again on demand."""
    plan, left = blueprint(state.mapper), set(leave)
    for rel in plan.relationships.values():
        if rel.direction != "to one" or rel.pairs is None or rel.key not in state.dict or rel.key in left:
            continue
        if any(name not in state.dict for name in rel.local_key):
            continue  # a foreign key that is not loaded has not moved, and is not empty
        target = state.dict[rel.key]
        if rel.key in edited_keys(state) and base_of(state, rel.key) is not target:
            continue
        if target is not None and instance_state(target).key is None:
            continue  # a new object: the flush sets the foreign key
        key = pointed(tuple(state.dict.get(name) for name in rel.local_key))
        if key == _pointed_at(rel, target):
            continue
        found = None if key is None else _held(session, rel, key)
        if key is not None and found is None:
            unload(state, rel.key)
        else:
            state.dict[rel.key] = found


def _pointed_at(rel: Relationship, target: Any) -> Any:
    """The foreign key that leads to an object; where its own key is not loaded, none does."""
    if target is None:
        return None
    state: State = instance_state(target)
    if rel.by_primary_key and state.key is not None:
        return state.key[1]
    return tuple(state.dict.get(name, UNKNOWN) for name in rel.remote_key)


def _held(session: Session, rel: Relationship, key: Key) -> Any:
    state = held_by(session, make_identity(blueprint(rel.target), key)) if rel.by_primary_key else None
    return None if state is None else state.obj()
