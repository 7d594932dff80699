"""The object that a given one is merged onto, and what `Session.merge` does to it before it comes to the attributes."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import util
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE, PASSIVE_NO_RESULT, state_str
from sqlalchemy.orm.exc import StaleDataError

from sojourn.sqlalchemy_internals.guard import Guard
from sojourn.sqlalchemy_internals.merge_walk import Visit
from sojourn.sqlalchemy_internals.state import State

# What every state has that was given none of its own; to look for them in its `__dict__` would make that a dict first.
_NO_CALLABLES = cast(Any, State).callables


class Target:
    """The object that a given one is merged onto, while its steps are played."""

    __slots__ = ("is_new", "loaded", "same", "state", "visit")

    def __init__(self, visit: Visit, state: State, loaded: dict[str, Any], is_new: bool) -> None:
        self.visit = visit
        self.state = state
        self.loaded = loaded
        self.is_new = is_new
        self.same = visit.state is state


def look_at_new(session: Session, state: State, *, load: bool) -> None:
    """What SQLAlchemy has to say about a given object without an identity."""
    if state in session._new:
        util.warn(
            f"Instance {state_str(state)} is already pending in this Session yet is being merged again; "
            "this is probably not what you want to do"
        )
    if not load:
        raise InvalidRequestError(
            "merge() with load=False option does not support objects transient (i.e. unpersisted) objects.  "
            "flush() all changes on mapped instances before merging with load=False."
        )


def copy_of_row(session: Session, visit: Visit) -> Any:
    """A new object of the session that passes for a row that was just loaded."""
    if visit.state.modified:
        raise InvalidRequestError(
            "merge() with load=False option does not support objects marked as 'dirty'.  flush() all changes on "
            "mapped instances before merging with load=False."
        )
    obj = visit.plan.manager.new_instance()
    state: State = instance_state(obj)
    state.key = cast(Any, visit.key)
    session._update_impl(state)
    return obj


def take_over(visit: Visit, state: State, loaded: dict[str, Any]) -> None:
    """The version is looked at, and how the given object was loaded goes over to its target."""
    given = visit.state
    if visit.plan.versioned:
        _check_version(visit, state, loaded)
    state.load_path = given.load_path
    state.load_options = given.load_options
    if given.callables is not _NO_CALLABLES and type(given.callables) is not Guard:
        state._copy_callables(given)


def _check_version(visit: Visit, state: State, loaded: dict[str, Any]) -> None:
    mapper: Any = visit.plan.mapper
    column = mapper.version_id_col
    given = mapper._get_state_attr_by_column(visit.state, visit.loaded, column, passive=PASSIVE_NO_INITIALIZE)
    there = mapper._get_state_attr_by_column(state, loaded, column, passive=PASSIVE_NO_INITIALIZE)
    if given is not PASSIVE_NO_RESULT and there is not PASSIVE_NO_RESULT and given != there:
        raise StaleDataError(
            f"Version id '{given}' on merged state {state_str(state)} does not match existing version '{there}'. "
            "Leave the version attribute unset when merging to update the most recent version."
        )
