"""What leaves with the objects that were given, and what may not leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sojourn.errors import SnapshotError, UncommittedError, identity_text
from sojourn.mapping.identity import Identity
from sojourn.sqlalchemy_internals import State, sessions_of, touched_states


def refuse_uncommitted(states: Sequence[State]) -> None:
    """Raise UncommittedError for what a flush wrote and no commit confirmed, and for what is deleted. Pure."""
    deleted = [state.obj() for state in states if state.was_deleted]
    uncommitted: list[Any] = []
    for session in sessions_of(states):
        marked = session.deleted
        if marked:
            deleted += [state.obj() for state in states if state.obj() in marked]
        touched = touched_states(session)
        if touched:
            uncommitted += [state.obj() for state in states if state in touched and not state.was_deleted]
    if deleted:
        raise UncommittedError(deleted, "deleted, or marked for deletion", "Leave them out, or undo the deletion.")
    if uncommitted:
        raise UncommittedError(
            uncommitted,
            "flushed but not committed, so what they hold may never come to be",
            "Commit, or roll back, before they leave.",
        )


def refuse_copies(rows: Sequence[tuple[type, Any, Sequence[Any]]]) -> None:
    """Raise SnapshotError where two instances stand for one row: the document has one place for it. Pure.

    `rows` is (base class, identity token, primary keys) of some objects; a key of one column stands for itself.
    """
    known: dict[Any, set[Any]] = {}
    for base_class, token, keys in rows:
        seen = known.setdefault((base_class, token), set())
        count = len(seen) + len(keys)
        seen.update(keys)
        if len(seen) < count:
            raise SnapshotError(
                "the graph holds two instances of this row",
                where=identity_text(_first_again(rows)),
                remedy="Bring them together with attach() first, or dump them apart.",
            )


def _first_again(rows: Sequence[tuple[type, Any, Sequence[Any]]]) -> Identity:
    seen: set[Identity] = set()
    for base_class, token, keys in rows:
        for key in keys:
            identity = base_class, key if isinstance(key, tuple) else (key,), token
            if identity in seen:
                return identity
            seen.add(identity)
    raise AssertionError("no key is there twice")
