"""What a session and some objects look like from outside, deep enough that two looks are equal only where nothing
changed. It reads `__dict__`, the histories of `inspect(obj).attrs`, and the sets of the session; it knows nothing of
how sojourn remembers.

An object is told by who it is (its `id`), not by what it holds; so are collections. Values that can change in place are
copied.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import PassiveFlag, Session
from sqlalchemy.orm.collections import collection_adapter

Look = dict[str, Any]


@contextmanager
def raised(kind: type[BaseException], match: str | None = None) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """`pytest.raises` around a whole block of work that fails somewhere."""
    with pytest.raises(kind, match=match) as caught:
        yield caught


def look(session: Session, objs: Iterable[Any]) -> Look:
    """Everything that can be seen of the session, of these objects and of those that the session holds."""
    known = {id(one): one for one in (*objs, *session.new, *session.deleted, *session.identity_map.values())}
    with session.no_autoflush:
        return {
            "new": [id(one) for one in session._new.values()],
            "dirty": {id(one) for one in session.dirty},
            "deleted": {id(one) for one in session.deleted},
            "identities": {inspect(one).key: id(one) for one in session.identity_map.values()},
            "objects": {key: _object(one) for key, one in known.items()},
            "alive": list(known.values()),  # so that no other object gets the id of one of these
        }


def differences(before: Look, after: Look) -> list[str]:
    """What is not the same, in words. What came into the session later, by being loaded, may be there, unedited."""
    told = [
        f"session.{name}: {before[name]} became {after[name]}"
        for name in ("new", "dirty", "deleted")
        if before[name] != after[name]
    ]
    for key, one in before["identities"].items():
        if after["identities"].get(key) != one:
            told.append(f"identity {key} is another object")
    for one, held in before["objects"].items():
        now = after["objects"].get(one)
        if now is None:
            told.append(f"{held['class']} is gone")
            continue
        told += [f"{held['class']}.{name}: {_apart(held[name], now[name])}" for name in held if held[name] != now[name]]
    return told


def _apart(held: Any, now: Any) -> str:
    if isinstance(held, dict):
        return ", ".join(
            f"{key}: {held.get(key)} became {now.get(key)}" for key in held | now if held.get(key) != now.get(key)
        )
    return f"{held} became {now}"


def _object(obj: Any) -> dict[str, Any]:
    state = inspect(obj)
    return {
        "class": type(obj).__name__,
        "phase": [
            name for name in ("transient", "pending", "persistent", "deleted", "detached") if getattr(state, name)
        ],
        "key": state.key,
        "modified": state.modified,
        "orphan": state.mapper._is_orphan(state),
        "expired": (state.expired, set(state.expired_attributes), state.unloaded),
        "values": {key: _value(value) for key, value in vars(obj).items() if key != "_sa_instance_state"},
        "histories": {
            key: _history(state, key)
            for key, _ in state.attrs.items()
            if key not in state.mapper.composites or key in vars(obj)  # the history of a composite loads it
        },
        "plain": {key: type(value).__name__ for key, value in vars(obj).items()},
    }


def _history(state: Any, key: str) -> Any:
    # What state.attrs[key].history tells, and what waits in collections that are not loaded.
    looking = PassiveFlag.PASSIVE_NO_INITIALIZE | PassiveFlag.INCLUDE_PENDING_MUTATIONS
    history = tuple([_in_history(one) for one in part or ()] for part in state.get_history(key, looking))
    return tuple(map(sorted, history)) if isinstance(state.dict.get(key), set) else history  # a set has no order


def _in_history(value: Any) -> Any:
    # A composite in a history is made for it.
    return value.__composite_values__() if hasattr(value, "__composite_values__") else _value(value)


def _value(value: Any) -> Any:
    if inspect(value, raiseerr=False) is not None and hasattr(value, "_sa_instance_state"):
        return ("object", id(value))
    if hasattr(value, "_sa_adapter") and value._sa_adapter is not None:
        adapter = collection_adapter(value)
        members = (
            {key: id(one) for key, one in value.items()}
            if isinstance(value, dict)
            else {id(one) for one in value}
            if isinstance(value, set)
            else [id(one) for one in adapter]
        )
        return ("collection", id(value), adapter.invalidated, members)
    if hasattr(value, "__composite_values__"):
        return ("composite", id(value), value.__composite_values__())
    return copy.deepcopy(value)
