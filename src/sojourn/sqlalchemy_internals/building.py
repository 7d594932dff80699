"""Making instances, as SQLAlchemy's loader does: `__init__` is not called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.instrumentation import ClassManager

from sojourn.sqlalchemy_internals.guard import guard_for
from sojourn.sqlalchemy_internals.loading import expire_unloaded, fire_load, identity_class
from sojourn.sqlalchemy_internals.state import State


def new_instance(mapper: Mapper[Any]) -> Any:
    """An instance as SQLAlchemy's loader makes it: `__init__` is not called."""
    return mapper.class_manager.new_instance()


Builder: TypeAlias = Callable[[Iterable[Sequence[Any]], Any], list[Any]]
"""`build(rows, identity_token)`: an instance for each row."""


def make_builder(mapper: Mapper[Any], columns: Sequence[str], primary_key: Sequence[str], *, stored: bool) -> Builder:
    """A function that makes instances of rows: guarded ones with an identity, or new ones (not `stored`).

    `columns` of stored objects contain the primary key. The function's source is made for these columns, with each name
    written out, since there may be many rows. Load events are left to the caller. Database: none.
    """
    manager = cast(Any, mapper.class_manager)
    names = {key: f"a{position}" for position, key in enumerate(columns)}
    identity = "".join(f"{names[key]}, " for key in primary_key) if stored else ""
    usual = manager._state_setter is ClassManager._state_setter
    lines = [
        f"def build(rows, token):\n    instances = []\n    add = instances.append\n    for {_targets(names)} in rows:",
        "obj = new(class_)",
        "state = new_state(state_class)",
        "initialize(state, obj, manager)",  # Python calls a function faster than a class
        "loaded = obj.__dict__",
        # What SQLAlchemy's own setter does, without a call for each object.
        "loaded['_sa_instance_state'] = state" if usual else "put_state(obj, state)",
        *([f"state.key = (base, ({identity}), token)", "state.callables = guard"] if stored else []),
        *(["if token is not None: state.identity_token = token"] if stored else []),
        *(f"loaded[{key!r}] = {name}" for key, name in names.items()),
        "add(obj)",
    ]
    made: dict[str, Any] = {
        "new": cast(Any, mapper.class_).__new__,
        "class_": mapper.class_,
        "base": identity_class(mapper),
        "manager": manager,
        "state_class": manager._state_constructor,
        "new_state": manager._state_constructor.__new__,
        "initialize": manager._state_constructor.__init__,
        "put_state": manager._state_setter,
        "guard": guard_for(mapper),
    }
    exec("\n        ".join(lines) + "\n    return instances", made)
    build: Builder = made["build"]
    return build


def plain_builder(mapper: Mapper[Any], columns: Sequence[str], primary_key: Sequence[str], *, stored: bool) -> Builder:
    """The same without a source of its own: slower for many rows, and soon made for few. Database: none."""
    manager, guard = cast(Any, mapper.class_manager), guard_for(mapper)
    class_, base = mapper.class_, identity_class(mapper)
    make_state, put_state = manager._state_constructor, manager._state_setter
    identity = [columns.index(key) for key in primary_key] if stored else []

    def build(rows: Iterable[Sequence[Any]], token: Any) -> list[Any]:
        instances = []
        for row in rows:
            obj = cast(Any, class_).__new__(class_)
            state = make_state(obj, manager)
            put_state(obj, state)
            if stored:
                state.key = base, tuple([row[at] for at in identity]), token
                state.callables = guard
                if token is not None:
                    state.identity_token = token
            obj.__dict__.update(zip(columns, row, strict=True))
            instances.append(obj)
        return instances

    return build


def _targets(names: Mapping[str, str]) -> str:
    return f"({''.join(f'{name}, ' for name in names.values())})" if names else "_"


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
