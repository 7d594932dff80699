"""Making instances, as SQLAlchemy's loader does: `__init__` is not called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.sqlalchemy_internals.guard import guard_for
from sojourn.sqlalchemy_internals.loading import expire_unloaded, fire_load
from sojourn.sqlalchemy_internals.state import State


def new_instance(mapper: Mapper[Any]) -> Any:
    """An instance as SQLAlchemy's loader makes it: `__init__` is not called."""
    return mapper.class_manager.new_instance()


def new_detached(mapper: Mapper[Any], identities: Iterable[Any]) -> list[Any]:
    """An instance for each identity key, guarded; a transient one for each None. One loop, as there may be many."""
    manager, guard_ = cast(Any, mapper.class_manager), guard_for(mapper)
    class_, make_state, put_state = manager.class_, manager._state_constructor, manager._state_setter
    instances = []
    for identity in identities:
        instance = class_.__new__(class_)
        state = make_state(instance, manager)
        put_state(instance, state)
        if identity is not None:
            state.key = identity
            state.callables = guard_
        instances.append(instance)
    return instances


def build_persistent(session: Session, mapper: Mapper[Any], key: Any, values: Mapping[str, Any]) -> Any:
    """A persistent instance made of a row that was read, as SQLAlchemy's loader makes one."""
    obj = mapper.class_manager.new_instance()
    state: State = instance_state(obj)
    state.key = key
    state.dict.update(values)
    session.identity_map.add(state)
    state.session_id = session.hash_key
    expire_unloaded(state)
    fire_load(state)
    session.dispatch.loaded_as_persistent(session, state)
    return obj
