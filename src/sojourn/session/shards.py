"""Horizontal sharding: on a `ShardedSession` a verb works in one shard, the one that its objects' identity keys name.

Under one primary key there may be a row in each shard, and only the token in the identity key tells them apart. So the
shard is made out once, at the door; whatever the verb then reads, it reads there, and whomever it finds is of there.

A payload has no identity keys, so the session's own functions are asked about its roots. `merge` does not come through
this door: on such a session it reads as `Session.merge` does, object by object, each in its own shard.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_dict

from sojourn.errors import PayloadError, PayloadFault, WrongSessionError
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.graph import walk
from sojourn.mapping.identity import SHARD, as_list
from sojourn.sqlalchemy_internals import new_instance

P = ParamSpec("P")
R = TypeVar("R")


def in_one_shard(verb: Callable[P, R]) -> Callable[P, R]:
    """The verb, a function of a session and objects, with the shard of the objects for everything that it reads."""

    @wraps(verb)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        session: Any = args[0] if args else kwargs.get("session")
        if not is_sharded(session):
            return verb(*args, **kwargs)
        here, there = list(args), dict(kwargs)  # an iterable is read here, so the verb gets what was in it
        objs = as_list(args[1] if len(args) > 1 else kwargs["objs"])
        if len(args) > 1:
            here[1] = objs
        else:
            there["objs"] = objs
        token = SHARD.set(_shard_of(session, objs))
        try:
            return verb(*here, **there)  # type: ignore[arg-type]  # the same arguments
        finally:
            SHARD.reset(token)

    return run


@contextmanager
def in_shard_of_payload(session: Session, model: Any, payload: Any) -> Iterator[None]:
    """The shard of a payload's roots, for everything that is read inside the block.

    It is the one where `identity_chooser` looks for a root's primary key, if that is one only, else what
    `shard_chooser` says of an instance that has the root's columns.
    """
    if not is_sharded(session):
        yield
        return
    plan = blueprint(model)
    roots = payload if isinstance(payload, list) else [payload]
    # What is no object is the payload's reader's to refuse.
    shards = [_chosen(session, plan, root if isinstance(root, Mapping) else {}) for root in roots or [{}]]
    strangers = [at for at, shard in enumerate(shards) if shard != shards[0]]
    if strangers:
        message = "is of another shard than $[0]: patch the objects of one shard at a time"
        raise PayloadError([PayloadFault(f"$[{at}]", message) for at in strangers])
    token = SHARD.set(shards[0])
    try:
        yield
    finally:
        SHARD.reset(token)


def _chosen(session: Any, plan: Blueprint, root: Mapping[str, Any]) -> Any:
    """The shard of one root of a payload."""
    key = tuple([root.get(name) for name in plan.primary_key])
    if None not in key:
        nothing: dict[str, Any] = {"lazy_loaded_from": None, "execution_options": {}, "bind_arguments": {}}
        found = list(session.identity_chooser(plan.mapper, key, **nothing))
        if len(found) == 1:
            return found[0]
    sample = new_instance(plan.mapper)
    instance_dict(sample).update({name: value for name, value in root.items() if name in plan.columns})
    return session.shard_chooser(plan.mapper, sample)


def is_sharded(session: Session) -> bool:
    """Whether a session has its rows in several shards."""
    extension: Any = sys.modules.get("sqlalchemy.ext.horizontal_shard")  # who has such a session has imported it
    return extension is not None and isinstance(session, extension.ShardedSession)


def bind_arguments(session: Session, **others: Any) -> dict[str, Any]:
    """What tells the session where to execute a statement."""
    return {**others, "shard_id": SHARD.get()} if is_sharded(session) else others


def _shard_of(session: Any, objs: list[Any]) -> Any:
    states = walk(objs)
    tokens = {state.key[2]: state for state in states if state.key is not None}
    if len(tokens) > 1:
        raise WrongSessionError(
            [state.obj() for state in tokens.values()], "in several shards", "Pass the objects of one shard at a time."
        )
    if tokens or not objs:
        return next(iter(tokens), None)
    return session.shard_chooser(blueprint(objs[0]).mapper, objs[0])
