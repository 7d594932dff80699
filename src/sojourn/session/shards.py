"""Horizontal sharding: on a `ShardedSession` a verb works in one shard, the one that its objects' identity keys name.

Under one primary key there may be a row in each shard, and only the token in the identity key tells them apart. So the
shard is made out once, at the door; whatever the verb then reads, it reads there, and whomever it finds is of there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from sojourn.errors import WrongSessionError
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.graph import walk
from sojourn.mapping.identity import SHARD, as_list

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
