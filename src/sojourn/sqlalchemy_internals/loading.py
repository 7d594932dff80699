"""What is loaded on an instance and what is not, and the events that tell of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy.orm import Mapper

from sojourn.sqlalchemy_internals.state import State


def class_notes(mapper: Mapper[Any]) -> dict[Any, Any]:
    """A place to keep what was worked out about a mapper, as long as the mapper lives."""
    return mapper.class_manager.info


def identity_class(mapper: Mapper[Any]) -> type:
    """The class that identity keys of a mapper carry."""
    class_: type = mapper._identity_class
    return class_


def expire_unloaded(state: State) -> None:
    """The columns without a value are loaded from the row on demand; they are not empty."""
    expirable = expirable_keys(state.manager)
    if not expirable <= state.dict.keys():
        state.expired_attributes.update(expirable - state.dict.keys())


def expirable_keys(manager: Any) -> set[str]:
    # A column that is mapped as deferred has its own loader; every other one is loaded by being expired.
    return {key for key in manager if manager[key].impl.accepts_scalar_loader and not manager[key].impl.callable_}


def loaded_now(state: State, keys: Iterable[str]) -> None:
    """These columns have just been filled: nothing about them is expired any more."""
    state.expired_attributes.difference_update(keys)
    state.expired = False


def fire_load(state: State) -> None:
    """What runs after a SELECT built an instance: load events, `@reconstructor`, composites, Mutable tracking."""
    state.manager.dispatch.load(state, None)


def has_load_events(mapper: Mapper[Any]) -> bool:
    """Whether `fire_load` would call anybody."""
    return bool(mapper.class_manager.dispatch.load)


def fire_refresh(state: State, keys: Sequence[str]) -> None:
    """What runs after a SELECT wrote over an instance's attributes."""
    state.manager.dispatch.refresh(state, None, keys)


def has_refresh_events(mapper: Mapper[Any]) -> bool:
    """Whether `fire_refresh` would call anybody."""
    return bool(mapper.class_manager.dispatch.refresh)


def become_transient(state: State) -> None:
    """Forget the identity; the values stay. `make_transient` does the same and expires more."""
    state.key = None
    state.__dict__.pop("_deleted", None)
