"""What leaves with the objects that were given, and what may not leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sojourn.errors import SnapshotError, UncommittedError, identity_text
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


def refuse_copies(rows: Iterable[tuple[type, Any, Sequence[Any]]]) -> None:
    """Raise SnapshotError where two instances stand for one row: the document has one place for it. Pure.

    `rows` is (base class, identity token, primary keys) of some objects; a key of one column stands for itself.
    """
    known: dict[Any, set[Any]] = {}
    for base_class, token, keys in rows:
        seen = known.setdefault((base_class, token), set())
        count = len(seen) + len(keys)
        if len(set(keys)) < len(keys) or len(seen.union(keys)) < count:
            raise SnapshotError(
                "the graph holds two instances of this row",
                where=identity_text((base_class, _first_again(seen, keys), token)),
                remedy="Bring them together with attach() first, or dump them apart.",
            )
        seen.update(keys)


def _first_again(seen: set[Any], keys: Iterable[Any]) -> tuple[Any, ...]:
    known = set(seen)
    for key in keys:
        if key in known:
            return key if isinstance(key, tuple) else (key,)
        known.add(key)
    raise AssertionError("none of the keys is there again")
