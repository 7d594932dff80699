"""Bring unedited objects up to what was read: columns, references and collections.

Most rows are as they were, so each is first compared as one tuple; only a row that differs is looked at by attribute.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import compress
from operator import ne
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.orm.collections import KeyFuncDict

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint, getter
from sojourn.mapping.identity import make_identity
from sojourn.session.arrival import changed_members
from sojourn.session.keys import Key
from sojourn.session.newcomers import bring
from sojourn.session.ordering import in_order
from sojourn.session.positions import numbering_in
from sojourn.session.rows import Reader, TableRead, local_values
from sojourn.session.write import follow_foreign_keys, take_row
from sojourn.sqlalchemy_internals import State, edited_keys, held_by, members, put_collection

_NO_KEY = (None, None)  # of an object without an identity


def catch_up(
    session: Session, groups: Mapping[type, list[State]], reader: Reader, *, fill: bool = False
) -> list[State]:
    """Write what was read into the states (given by class), where it differs; gives those that changed.

    Edited attributes stay as they are. With `fill`, columns that are not loaded are filled, too. Database: may load
    (members of collections that nobody here has seen).
    """
    changed: dict[State, None] = {}
    stale: list[tuple[State, Relationship, list[Key]]] = []
    for class_, group in groups.items():
        plan = blueprint(class_)
        read = reader.tables.get(plan.table)
        if read is not None:
            for state, row in _different(plan, read, group):
                if take_row(state, read, row, fill=fill):
                    changed[state] = None
                    follow_foreign_keys(session, state)
    for class_, group in groups.items():
        for rel in blueprint(class_).relationships.values():
            if rel in reader.members:
                stale += _stale_collections(rel, reader.members[rel], group, changed)
    if stale:
        _rebuild(session, stale, reader)
        changed.update((state, None) for state, _, _ in stale)
    return list(changed)


def _different(plan: Blueprint, read: TableRead, states: Iterable[State]) -> list[tuple[State, Any]]:
    """The states whose loaded columns are not what was read, with their rows."""
    keys = [key for key, column in plan.columns.items() if column.column in read.columns]
    from_row, from_object = read.getter(plan, keys), getter(keys)
    rows = read.rows
    pairs = [(state, rows[key]) for state in states if (key := (state.key or _NO_KEY)[1]) in rows]
    objects = [instance_dict(state.obj()) for state, _ in pairs]
    try:
        return list(compress(pairs, map(ne, (from_row(row) for _, row in pairs), map(from_object, objects))))
    except (KeyError, TypeError, ValueError):
        # A column is not loaded somewhere, or `==` gives no bool, as with arrays: each is looked at by attribute.
        return pairs


def _stale_collections(
    rel: Relationship, current: dict[Key, list[Key]], states: Iterable[State], changed: Collection[State]
) -> Iterator[tuple[State, Relationship, list[Key]]]:
    """The unedited collections that do not hold exactly the members that were read, each under its key of now.

    Lists that number their members are among them where the positions of now say another order.
    """
    for state in states:
        loaded = instance_dict(state.obj())
        if rel.key not in loaded or (state.modified and _is_edited(state, rel)):
            continue
        now = current.get(local_values(state, rel))
        if now is None:
            continue
        value = loaded[rel.key]
        held = [] if value is None else members(value) if rel.many else [value]
        keys = [(instance_state(one).key or _NO_KEY)[1] for one in held]
        if (keys != now and (len(keys) != len(now) or set(keys) != set(now))) or (
            changed and (_is_misfiled(value, changed) or _is_out_of_order(state, rel, changed))
        ):
            yield state, rel, now


def _is_misfiled(collection: Any, changed: Collection[State]) -> bool:
    if not isinstance(collection, KeyFuncDict):
        return False
    return any(instance_state(one) in changed and collection.keyfunc(one) != key for key, one in collection.items())


def _is_out_of_order(state: State, rel: Relationship, changed: Collection[State]) -> bool:
    numbering = numbering_in(state, rel)
    if numbering is None:
        return False
    held: list[State] = [instance_state(one) for one in state.dict[rel.key]]
    return any(one in changed for one in held) and in_order(rel, held, numbering) != held


def _is_edited(state: State, rel: Relationship) -> bool:
    return rel.key in edited_keys(state) and changed_members(state, rel) != ([], [])


def _rebuild(session: Session, stale: list[tuple[State, Relationship, list[Key]]], reader: Reader) -> None:
    unseen: dict[Blueprint, dict[Key, None]] = {}
    for _, rel, keys in stale:
        plan = blueprint(rel.target)
        for key in keys:
            if held_by(session, make_identity(plan, key)) is None:
                unseen.setdefault(plan, {})[key] = None
    # The session holds its objects weakly: these lines keep the new ones until they are members.
    newcomers = [bring(session, plan, keys, reader) for plan, keys in unseen.items()]
    for state, rel, keys in stale:
        plan = blueprint(rel.target)
        found = [held for key in keys if (held := held_by(session, make_identity(plan, key))) is not None]
        order = [instance_state(one) for one in members(state.dict[rel.key])] if rel.many else []
        there = set(found)
        now = [one for one in order if one in there]
        now += [one for one in found if one not in set(now)]
        numbering = numbering_in(state, rel)
        if numbering is not None:
            now = in_order(rel, now, numbering)
        if rel.many:
            put_collection(state, rel.key, [one.obj() for one in now])
        else:
            state.dict[rel.key] = now[0].obj() if now else None
    del newcomers
