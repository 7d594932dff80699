"""What leaves with the objects that were given, and what may not leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sojourn.errors import SnapshotError, UncommittedError, identity_text
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.graph import walk
from sojourn.sqlalchemy_internals import State, edited_keys, pending_mutations, sessions_of, touched_states


def reached(objs: Sequence[Any]) -> list[State]:
    """What a walk reaches, and what was added to or removed from collections that are not loaded."""
    states = walk(objs)
    known = len(objs)
    while True:
        changed = [member for state in states if state.modified for member in _pending_members(state)]
        if len(changed) + len(objs) == known:
            return states
        known = len(changed) + len(objs)
        states = walk([*objs, *changed])


def _pending_members(state: State) -> Iterable[Any]:
    plan = blueprint(state.mapper)
    recorded = edited_keys(state)
    for relationship in plan.relationships.values():
        if relationship.many and relationship.key in recorded and relationship.key not in state.dict:
            for changed in pending_mutations(state, relationship.key):
                yield from changed


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


def refuse_copies(states: Sequence[State]) -> None:
    """Raise SnapshotError where two instances stand for one row: the document has one place for it. Pure."""
    keys = [state.key for state in states if state.key is not None]
    if len(set(keys)) == len(keys):
        return
    seen: set[Any] = set()
    for key in keys:
        if key in seen:
            raise SnapshotError(
                "the graph holds two instances of this row",
                where=identity_text(key),
                remedy="Bring them together with attach() first, or dump them apart.",
            )
        seen.add(key)
