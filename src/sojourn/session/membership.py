"""Who is in a relationship of one object: changed in memory without events, and with or without a history of it."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    change_unloaded,
    edited_keys,
    forget_edit,
    forget_mutation,
    is_orphan,
    members,
    put_collection,
    refill,
    set_base,
    settle,
)


def without(objs: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """The objects that are not among the others, compared by what they are. Pure."""
    there = {id(obj) for obj in others}
    return [obj for obj in objs if id(obj) not in there]


def hold(state: State, key: str, objs: list[Any]) -> None:
    """Make a collection hold these members; the collection object stays, if there is one. Database: none."""
    if state.dict.get(key) is None:
        put_collection(state, key, objs)
    else:
        forget_mutation(state, key)
        refill(state, key, objs)


def change(state: State, key: str, now: list[Any]) -> None:
    """Other members without a history: an edit that is there stays an edit of what it was one of.

    Database: none.
    """
    base = base_of(state, key) if key in edited_keys(state) else UNKNOWN
    hold(state, key, now)
    if base is UNKNOWN:
        return
    if not without(members(base), now) and not without(now, members(base)):
        forget_edit(state, key)
        settle(state)
    else:
        set_base(state, key, base)


def record_removal(owner: State, rel: Relationship, obj: Any) -> None:
    """An owner loses a member, and its history says so. Database: none."""
    if rel.key not in owner.dict:
        change_unloaded(owner, rel.key, (), [obj])
        return
    base = base_of(owner, rel.key) if rel.key in edited_keys(owner) else owner.dict[rel.key]
    if rel.many:
        before = list(members(base))
        hold(owner, rel.key, without(members(owner.dict[rel.key]), [obj]))
        set_base(owner, rel.key, [*without(before, [obj]), obj])
    elif owner.dict[rel.key] is obj or base is None:
        owner.dict[rel.key] = None
        set_base(owner, rel.key, obj)


def record_departure(child: State, rel: Relationship, going: Container[State]) -> None:
    """A child refers to another owner, and its former one is deleted: the history of that one says so, too.

    A collection that is not loaded is loaded by the flush that deletes its owner, and what is stored there goes with
    it, or loses its foreign key. Database: none.
    """
    former = base_of(child, rel.key)
    if former is None or former is UNKNOWN or former is child.dict.get(rel.key):
        return
    owner: State = instance_state(former)
    owning = blueprint(owner.mapper).relationships.get(rel.inverse or "")
    if owning is None or not owning.loadable or owning.key in owner.dict:
        return
    if owner in going or is_orphan(owner):
        change_unloaded(owner, owning.key, (), [child.obj()])


def refer_back(rel: Relationship, parent: State, child: State) -> None:
    """A member refers to its owner, where that is known of it and nobody has edited it. Database: none."""
    if rel.inverse is None or rel.direction != "to many" or rel.inverse in edited_keys(child):
        return
    if child.key is not None and rel.inverse not in child.dict:
        return
    if child.dict.get(rel.inverse) is not parent.obj():
        child.dict[rel.inverse] = parent.obj()
        if child.key is None:
            set_base(child, rel.inverse, None)
