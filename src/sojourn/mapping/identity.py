"""Identity keys: which row an object stands for.

SQLAlchemy's identity key is `(class at the top of the hierarchy, primary key values, identity token)`. A persistent or
detached object has one; a new object has an assumed one as soon as its whole primary key is set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, TypeAlias

from sqlalchemy import inspect
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.exc import UnmappedInstanceError

from sojourn.errors import NotMappedError, identity_text
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.sqlalchemy_internals import State

Identity: TypeAlias = tuple[type, tuple[Any, ...], Any]

SHARD: ContextVar[Any] = ContextVar("SHARD", default=None)
"""The identity token of the shard that a verb works in (see `sojourn.session.shards`); None without sharding."""

__all__ = [
    "SHARD",
    "Identity",
    "as_list",
    "assumed_identity",
    "identity_text",
    "make_identity",
    "primary_key",
    "state_of",
]


def state_of(obj: object) -> State:
    """The InstanceState of a mapped instance. Raises NotMappedError. Database: none."""
    try:
        state = instance_state(obj)
    except (AttributeError, UnmappedInstanceError):
        raise NotMappedError(obj) from None
    return state


def as_list(objs: object) -> list[Any]:
    """One instance or an iterable of instances, as a list of mapped instances. Raises NotMappedError."""
    if inspect(objs, raiseerr=False) is not None and not isinstance(objs, type):
        return [state_of(objs).obj()]
    if isinstance(objs, (str, bytes, type)) or not isinstance(objs, Iterable):
        raise NotMappedError(objs)
    found = list(objs)
    try:
        deque(map(instance_state, found), maxlen=0)
    except (AttributeError, UnmappedInstanceError):
        deque(map(state_of, found), maxlen=0)  # raises for the first that is none
    return found


def make_identity(plan: Blueprint, primary_key: tuple[Any, ...], token: Any = None) -> Identity:
    """The identity key for primary key values in the mapper's order. No token: that of the current shard."""
    return plan.base_class, primary_key, SHARD.get() if token is None else token


def primary_key(obj: object) -> tuple[Any, ...]:
    """The primary key values of a persistent or detached instance."""
    key = instance_state(obj).key
    assert key is not None
    return key[1]


def assumed_identity(state: State) -> Identity | None:
    """The identity of an object: its own, or, for a new object whose whole primary key is set, the one it will have."""
    if state.key is not None:
        return state.key
    plan = blueprint(state.mapper)
    loaded = state.dict
    primary_key = tuple(loaded.get(key) for key in plan.primary_key)
    return None if any(value is None for value in primary_key) else make_identity(plan, primary_key)
