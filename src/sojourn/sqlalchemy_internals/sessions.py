"""In and out of a session, for many states at once, without cascades."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.orm import Session

from sojourn.sqlalchemy_internals.guard import take_off_guard
from sojourn.sqlalchemy_internals.state import State


def in_session(state: State, session: Session) -> bool:
    """Whether this very session holds the state (pending, persistent, or deleted and not yet committed)."""
    return state.session_id == session.hash_key


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the states of a graph are, as one session sees it."""

    here: list[State]  # in this session: pending, persistent, or deleted and not yet committed
    elsewhere: list[State]  # in another living session
    deleted: list[State]  # in no session, because a flush deleted their row
    away: list[State]  # detached or transient


def whereabouts(session: Session, states: Iterable[State]) -> Whereabouts:
    """Sort states by where they are."""
    found = Whereabouts([], [], [], [])
    own, away = session.hash_key, found.away
    for state in states:
        if state.session_id is None and not state._deleted:
            away.append(state)
        elif state.session_id == own:
            found.here.append(state)
        elif state.session_id is not None and state.session is not None:
            found.elsewhere.append(state)
        elif state._deleted:
            found.deleted.append(state)
        else:
            away.append(state)
    return found


def held_by(session: Session, key: tuple[Any, ...]) -> State | None:
    """The state that the session holds for an identity, if its object is alive."""
    state = session.identity_map._dict.get(cast(Any, key))
    return cast(State, state) if state is not None and state.obj() is not None else None


def not_held(session: Session, keys: Iterable[Any]) -> list[tuple[Any, ...]]:
    """Those of the keys of which the session holds no living object."""
    held: Any = session.identity_map._dict
    return [key for key in keys if (state := held.get(key)) is None or state.obj() is None]


def attach_persistent(session: Session, states: Iterable[State]) -> None:
    """Put detached states into the session's identity map, as `Session.add` does for each, without its cascades.

    The caller has seen to it that no other state is held for any of these identities.
    """
    identity_map = session.identity_map
    known, modified, reference = identity_map._dict, identity_map._modified, identity_map._wr
    hash_key = session.hash_key
    dispatch = session.dispatch
    before, after, persistent = dispatch.before_attach, dispatch.after_attach, dispatch.detached_to_persistent
    observed = bool(before or after or persistent)
    session._autobegin_t()
    for state in states:
        if observed:
            before(session, state)
        known[cast(Any, state.key)] = state
        state._instance_dict = reference
        state.session_id = hash_key
        take_off_guard(state)
        if state.modified:
            modified.add(state)
            state._strong_obj = state.obj()
        if observed:
            after(session, state)
            persistent(session, state)


def attach_pending(session: Session, state: State) -> None:
    """`Session.add` for one transient state, without its cascades."""
    take_off_guard(state)
    session._save_impl(state)


def take_out(session: Session, states: Sequence[State]) -> None:
    """`Session.expunge` for many states at once, without its cascades."""
    session._expunge_states(states)


def pending_states(session: Session) -> list[State]:
    """The states that wait for their INSERT."""
    return list(session._new)


def sessions_of(states: Iterable[State]) -> list[Session]:
    """The living sessions that hold any of these states."""
    holders = {state.session_id: state for state in states}
    return [session for state in holders.values() if (session := state.session) is not None]


def touched_states(session: Session) -> set[State]:
    """The states that took part in a flush (or bulk UPDATE) that is not committed yet, in any enclosing transaction.

    SQLAlchemy notes the objects that a flush looked at, so the parent of a flushed child counts, too.
    """
    touched: set[State] = set()
    transaction = session._transaction
    while transaction is not None:
        touched.update(transaction._new, transaction._dirty, transaction._deleted)
        transaction = transaction._parent
    return touched


def before_merge(session: Session, *, load: bool) -> None:
    """What `Session.merge` begins with: a warning inside a flush, and the autoflush where it is going to load."""
    if session._warn_on_events:
        session._flush_warning("Session.merge()")
    if load:
        session._autoflush()


def looks_up_plainly(session: Session) -> bool:
    """Whether the session finds objects by nothing but their key: not so where it has several databases (shards)."""
    return type(session)._identity_lookup is Session._identity_lookup
