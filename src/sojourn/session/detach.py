"""Take a graph of objects out of the session, loaded as far as it will be needed, and remember its base.

The loader options name the shape that must be there. It is filled in bulk, expired attributes too; then the closed
graph leaves: an object never stays behind half, and no object of the session keeps pointing at one that left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar, overload

from sqlalchemy.orm import Session
from sqlalchemy.sql.base import ExecutableOption

from sojourn.errors import UNKNOWN, BadArgumentError, Conflict, MissingRowError, UncommittedError, WrongSessionError
from sojourn.mapping.base import base_value, edited_columns, remember
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.graph import by_class, walk
from sojourn.mapping.identity import as_list, state_of
from sojourn.session.detached_copy import copy_graph, shaped
from sojourn.session.prefetch import Filling, fill_inverse
from sojourn.session.rows import Reader
from sojourn.session.shards import in_one_shard
from sojourn.session.ties import Ties, ties_between
from sojourn.session.write import write_bases
from sojourn.sqlalchemy_internals import (
    State,
    edited_keys,
    forget_mutation,
    forget_options,
    guard,
    in_session,
    take_out,
    touched_states,
    unload,
)

T = TypeVar("T")


@overload
def detach(
    session: Session,
    objs: Iterable[T],
    *options: ExecutableOption,
    copy: bool = False,
    uncommitted: Literal["raise", "allow"] = "raise",
) -> list[T]: ...
@overload
def detach(
    session: Session,
    objs: T,
    *options: ExecutableOption,
    copy: bool = False,
    uncommitted: Literal["raise", "allow"] = "raise",
) -> list[T]: ...
@in_one_shard
def detach(
    session: Session,
    objs: T | Iterable[T],
    *options: ExecutableOption,
    copy: bool = False,
    uncommitted: Literal["raise", "allow"] = "raise",
) -> list[T]:
    """Take objects, and everything that is loaded on them, out of the session.

    `objs`: one instance or an iterable of instances of this session. `options`: SQLAlchemy's own loader options; what
    they name is loaded in bulk before the objects leave. Edits that are not flushed travel as edits, new objects as
    new.
    `copy=True`: a copy of exactly the shape leaves and the session keeps its own objects; without options the shape is
    what is loaded. `uncommitted`: what to do with values that were flushed but not committed: "raise", or "allow".

    Returns the detached roots, in the order given. Reading an attribute outside the shape raises NotLoadedError, which
    is a DetachedInstanceError and names the option that would have loaded it. An object of the session that referred
    to one that left loads it again on its next access.

    Raises UncommittedError, WrongSessionError (objects of no or of another session, or edits in the session that refer
    to an object that would leave), MissingRowError where the row of an expired object is gone, WrongAttributeError for
    what is no loader option of these classes. After an error nothing has changed, except that more may be loaded.

    Database: may load. At most one SELECT a relationship and chunk of keys, and one a mapped table for columns, and one
    for bases that are not known. Never flushes.
    """
    if uncommitted not in ("raise", "allow"):
        raise BadArgumentError(f'uncommitted is {uncommitted!r}. It is "raise" or "allow".')
    roots: list[T] = as_list(objs)
    states = [state_of(obj) for obj in roots]
    strangers = [state.obj() for state in states if not in_session(state, session)]
    if strangers:
        raise WrongSessionError(strangers, "not in this session", "Detach objects from the session that holds them.")
    filling = Filling(session, options)
    filling.fill(states)
    leaving = shaped(states, filling.shapes) if copy and options else dict.fromkeys(walk(roots))
    own = [state for state in leaving if in_session(state, session)]
    _check_committed(session, own, uncommitted)
    _fill_expired(filling, states, own)
    bases = _unknown_bases(session, filling, own)
    if filling.gone:
        missing = [Conflict(state.key, None, UNKNOWN, UNKNOWN, None, missing=True) for state in filling.gone]
        raise MissingRowError(missing, "Leave these objects out, and expunge them.")
    ties = Ties() if copy else ties_between(session, own)
    if ties.torn:
        raise WrongSessionError(
            [state.obj() for state in ties.torn],
            "edited, and tied by the edit to objects that would leave or stay without them",
            "Commit first, detach these, too, or pass copy=True.",
        )
    for class_, same_class in by_class(own).items():
        for rel in blueprint(class_).relationships.values():
            fill_inverse(rel, same_class)
    if copy:
        return copy_graph(states, leaving, bases)
    _leave(session, own, ties, bases)
    return roots


def _leave(session: Session, states: Sequence[State], ties: Ties, bases: Mapping[State, Mapping[str, Any]]) -> None:
    for state in states:
        remember(state, blueprint(state.mapper))  # first, because a value may refuse to be copied
    for state, key in ties.holding:
        unload(state, key)
    for state, key, member in ties.noted:
        forget_mutation(state, key, member)
    for state, values in bases.items():
        write_bases(state, values)
    take_out(session, states)
    for state in states:
        forget_options(state)
        if state.key is not None:
            guard(state)


def _check_committed(session: Session, states: Sequence[State], uncommitted: str) -> None:
    deleted = session.deleted
    marked = [state.obj() for state in states if state.deleted or (deleted and state.obj() in deleted)]
    if marked:
        raise UncommittedError(marked, "deleted, or marked for it", "Commit the deletion, and leave them out.")
    touched = touched_states(session) if uncommitted == "raise" else set()
    flushed = [state.obj() for state in states if state in touched] if touched else []
    if flushed:
        raise UncommittedError(
            flushed,
            "flushed in a transaction that is not committed",
            'Commit first, or pass uncommitted="allow" if this transaction is certain to commit.',
        )


def _fill_expired(filling: Filling, roots: Sequence[State], states: Iterable[State]) -> None:
    """Objects of the graph beyond the shape leave with their columns, too."""
    expired = [state for state in states if state.expired_attributes and state.key is not None]
    if expired:
        reached = shaped(roots, filling.shapes)
        filling.fill_columns(by_class(state for state in expired if state not in reached))


def _unknown_bases(session: Session, filling: Filling, states: Iterable[State]) -> dict[State, dict[str, Any]]:
    """What was there before edits whose base nobody recorded. Here it can still be read, one SELECT a table."""
    reader = Reader(session)
    lacking: list[tuple[State, list[str]]] = []
    for state in states:
        if state.key is None or not (state.modified or "info" in state.__dict__):
            continue
        plan = blueprint(state.mapper)
        # The base of a reference that was set before it was loaded is its foreign key.
        held = [key for rel in plan.relationships.values() if rel.key in edited_keys(state) for key in rel.local_key]
        filling.fill_columns({state.class_: [state]}, {state.class_: held})
        keys = [key for key in edited_columns(state, plan) if base_value(state, key) is UNKNOWN]
        if keys:
            read = reader.table(plan)
            read.want(plan, keys)
            read.keys[state.key[1]] = None
            lacking.append((state, keys))
    reader.run()
    bases: dict[State, dict[str, Any]] = {}
    for state, keys in lacking:
        plan = blueprint(state.mapper)
        read = reader.table(plan)
        row = read.rows.get(state.key[1]) if state.key is not None else None
        if row is None:
            filling.gone.append(state)
        else:
            bases[state] = {key: row[read.columns[plan.columns[key].column]] for key in keys}
    return bases
