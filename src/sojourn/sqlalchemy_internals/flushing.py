"""What a flush would find to do, and what it leaves behind, for who writes in its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.state import InstanceState

from sojourn.sqlalchemy_internals.state import State


def modified_states(session: Session) -> list[State]:
    """The persistent states of a session that hold an edit."""
    return list(session.identity_map._modified)


def adds_or_deletes(session: Session) -> bool:
    """Whether there are objects to insert or to delete."""
    return bool(session._new or session._deleted)


def flush_is_watched(session: Session) -> bool:
    """Whether anybody has asked to be told of this session's flushes."""
    dispatch = session.dispatch
    return bool(dispatch.before_flush or dispatch.after_flush or dispatch.after_flush_postexec)


def update_is_watched(mapper: Mapper[Any]) -> bool:
    """Whether anybody has asked to be told of the UPDATEs of a mapper."""
    dispatch = mapper.dispatch
    return bool(dispatch.before_update or dispatch.after_update)


def column_edits(states: Iterable[State], columns: Collection[str]) -> dict[tuple[str, ...], list[State]] | None:
    """Which states a flush would write which columns of: those whose value is not equal to the base.

    None where a state holds any other edit than one of these columns, or one whose value is gone.
    """
    found: defaultdict[tuple[str, ...], list[State]] = defaultdict(list)
    for state in states:
        if "_pending_mutations" in state.__dict__:
            return None
        loaded, changed = state.dict, []
        for key, base in state.committed_state.items():
            if key not in columns or key not in loaded:
                return None
            impl: Any = state.manager[key].impl
            if impl.is_equal(loaded[key], base) is not True:
                changed.append(key)
        if changed:
            found[tuple(sorted(changed)) if len(changed) > 1 else (changed[0],)].append(state)
    return found


def settle_written(session: Session, states: Iterable[State]) -> None:
    """The states count as unedited from now on: their values are in the database."""
    InstanceState._commit_all_states([(state, state.dict) for state in states], session.identity_map)
