"""Reading an attribute that is not there, on an object that has no session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from sqlalchemy import inspect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_dict
from sqlalchemy.orm.base import ATTR_EMPTY
from sqlalchemy.orm.exc import DetachedInstanceError

from sojourn.errors import NotLoadedError
from sojourn.sqlalchemy_internals.loading import class_notes, expirable_keys
from sojourn.sqlalchemy_internals.state import State


def unload(state: State, key: str) -> None:
    """Drop the value of an attribute: it reads as not loaded, and a session loads it again."""
    old = state.dict.pop(key, None)
    impl = cast(Any, state.manager[key].impl)
    if impl.collection and old is not None:
        impl._invalidate_collection(old)
    if impl.accepts_scalar_loader and not isinstance(state.callables, Guard):
        state.expired_attributes.add(key)
    state.committed_state.pop(key, None)
    state.__dict__.get("_pending_mutations", {}).pop(key, None)


class Guard(dict[str, Callable[[State, Any], Any]]):
    """Loader callables for the attributes of one mapper, shared by all of its detached instances.

    SQLAlchemy asks `state.callables` for each attribute that has no value. The guard lets SQLAlchemy's own loader try,
    and turns its DetachedInstanceError into one that names the remedy. It is shared, so it does not let itself be
    changed: where SQLAlchemy would take a loader away from one object, or give it another one, the guard's own stays,
    which loads just as well.
    """

    __slots__ = ("class_", "expirable")

    def __init__(self, mapper: Mapper[Any]) -> None:
        super().__init__((key, _guard_attribute(key)) for key in mapper.attrs.keys())  # noqa: SIM118 - no Mapping
        self.class_ = mapper.class_
        self.expirable = expirable_keys(mapper.class_manager)

    def pop(self, key: str, default: Any = None) -> Any:
        return default

    def __delitem__(self, key: str) -> None:
        return None

    def __setitem__(self, key: str, value: Any) -> None:
        return None

    def __reduce__(self) -> tuple[Callable[[type], Guard], tuple[type]]:
        return guard_for_class, (self.class_,)

    def __deepcopy__(self, memo: object) -> Guard:
        return self


def guard(state: State) -> None:
    """From now on, reading an attribute that is not loaded says which loader option would have loaded it."""
    state.expired_attributes.clear()
    state.expired = False
    state.callables = guard_for(state.mapper)


def guard_for(mapper: Mapper[Any]) -> Guard:
    notes = class_notes(mapper)
    found = notes.get("sojourn.guard")
    if found is None or len(found) != len(mapper.attrs):
        found = notes["sojourn.guard"] = Guard(mapper)
    return cast(Guard, found)


def guard_for_class(class_: type) -> Guard:
    return guard_for(inspect(class_))


def take_off_guard(state: State) -> None:
    """The opposite of `guard`: from now on the session loads what is not there."""
    callables = state.callables
    if type(callables) is Guard:
        del state.callables
        loaded = instance_dict(state.obj()).keys()  # half the price of state.dict, for each object that comes home
        if not callables.expirable <= loaded:
            state.expired_attributes.update(callables.expirable - loaded)


def _guard_attribute(key: str) -> Callable[[State, Any], Any]:
    def load(state: State, passive: Any) -> Any:
        impl = cast(Any, state.manager[key].impl)
        try:
            if impl.callable_:
                return impl.callable_(state, passive)
            if state.key is None or not impl.accepts_scalar_loader:
                return ATTR_EMPTY
            state.expired_attributes.add(key)
            try:
                return state._load_expired(state, passive)
            finally:
                state.expired_attributes.discard(key)
        except (DetachedInstanceError, InvalidRequestError) as error:
            # A relationship or column that is mapped as raising asks for no session: at home it is what it is.
            if isinstance(error, NotLoadedError) or state.session_id is not None:
                raise
            class_name = state.class_.__name__
            option = "selectinload" if key in state.mapper.relationships else "undefer"
            raise NotLoadedError(
                class_name,
                key,
                f"Add {option}({class_name}.{key}) to the options of detach() (after the option that leads to "
                f"{class_name}, unless it is a root), or load it before leaving.",
            ) from None

    return load
