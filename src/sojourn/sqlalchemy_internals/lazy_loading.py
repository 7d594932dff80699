"""SELECTs in bulk that load as SQLAlchemy's own lazy loading does, which knows one object at a time.

A lazy load carries the options that its object was loaded with, and where it stands in their path, so that what they
say of the members holds for them, too. The same is said here for the members of many objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Result, Select
from sqlalchemy.engine import IteratorResult
from sqlalchemy.orm import Mapper, RelationshipProperty, context, strategies, strategy_options
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.orm.interfaces import MANYTOONE

from sojourn.sqlalchemy_internals.guard import Guard
from sojourn.sqlalchemy_internals.loading import fire_refresh
from sojourn.sqlalchemy_internals.options import option_steps
from sojourn.sqlalchemy_internals.state import State

_private = cast(Any, context)
_COMPILE_STATE = getattr(_private, "_ORMCompileState", None) or _private.ORMCompileState
_LAZY = getattr(strategies, "_LazyLoader", None) or cast(Any, strategies).LazyLoader

EAGER = ("selectin", "joined", "subquery", "immediate", False, "select_in")

LOAD_OPTIONS: dict[str, Any] = {
    "_sa_orm_load_options": _private.QueryContext.default_load_options + {"_invoke_all_eagers": False}
}
"""Execution options: objects that the session holds already are left alone by eager loaders, as in a lazy load."""


def loads_lazily(source: State, target: State, key: str) -> bool:
    """Whether reading this relationship of the target, once it is merged with the source, would load it with
    SQLAlchemy's usual lazy loader."""
    if key in target.dict or target.committed_state.get(key, NO_VALUE) is not NO_VALUE:
        return False
    if not isinstance(source.callables, Guard) and key in source.callables:
        return False
    loader = getattr(cast(Any, target.manager[key].impl).callable_, "__self__", None)
    return type(loader) is _LAZY and not cast(Any, loader).is_aliased_class


def loads_by_get(prop: RelationshipProperty[Any]) -> bool:
    """Whether a lazy load of this reference is a look into the session first."""
    return bool(cast(Any, prop)._use_get)


def way_of_rows(mapper: Mapper[Any], options: Sequence[Any] | None) -> Hashable:
    """How rows are read by their key; None without options that could make a difference."""
    return "by key" if options or _is_eager(mapper) else None


class Ways:
    """How the members of objects are read, worked out once for each place and each set of options."""

    def __init__(self) -> None:
        self._found: dict[Any, tuple[Hashable, Any]] = {}

    def of_members(self, source: State, prop: RelationshipProperty[Any]) -> Hashable:
        """The place in the path, and the options; None as above."""
        options, path = source.load_options, source.load_path
        known = (id(options), id(path), prop) if options else prop
        found = self._found.get(known)
        if found is None:
            way: Hashable = prop if _is_eager(prop.mapper) else None
            if options:
                way = cast(Any, path)[prop].path, _signature(options)
            # What the ids are of is held, so they stay its own.
            found = self._found[known] = way, (options, path)
        return found[0]


def eager_in_refresh(
    source: State, target: State, followed: Collection[RelationshipProperty[Any]]
) -> list[RelationshipProperty[Any]] | None:
    """What a refresh of the target, when it is merged with the source, loads besides its columns; None where that is
    more than the collections that are followed anyway."""
    if source.callables and not isinstance(source.callables, Guard):
        return None
    path = cast(Any, source.load_path).path if source.load_options else ()
    eager = eager_among(source, path, target.mapper.relationships)
    return eager if all(prop in followed for prop in eager) else None


def _signature(options: Sequence[Any]) -> Hashable:
    """Options that say the same have the same signature, though each query has its own."""
    keys: list[Hashable] = []
    for option in options:
        cached = option._generate_cache_key()
        key = None if cached is None else (cached.key, tuple(one.value for one in cached.bindparams))
        try:
            hash(key)
        except TypeError:
            key = None
        keys.append(key or id(option))
    return tuple(keys)


def as_lazy_load(
    statement: Select[Any], source: State, prop: RelationshipProperty[Any], leave: Collection[RelationshipProperty[Any]]
) -> Select[Any]:
    """The statement, as a lazy load of this relationship for an object with the source's options.

    `leave` are relationships of the members that somebody else is going to load: no option loads them here.
    """
    path: Any = source.load_path[prop] if source.load_options else cast(Any, source.mapper)._path_registry[prop]
    made = cast(Any, statement.options(*cast(Any, source.load_options)) if source.load_options else statement)
    made._compile_options = _COMPILE_STATE.default_compile_options + {"_current_path": path}
    made = _add(made, _back_lazily(prop), (prop,))
    for one in leave:
        made = _add(made, _not_here(one), (prop, one))
    return cast(Select[Any], made)


def path_of_members(source: State, prop: RelationshipProperty[Any]) -> Sequence[Any]:
    """Where the members of an object's relationship stand in the path of its options."""
    return cast(Any, source.load_path)[prop].path if source.load_options else ()


def eager_among(
    source: State, path: Sequence[Any], props: Iterable[RelationshipProperty[Any]]
) -> list[RelationshipProperty[Any]]:
    """Those of these relationships that the source's options, or the mapping, load eagerly at this place."""
    here = tuple(part.key for part in path[1::2])
    said: dict[str, bool] = {}
    for option in source.load_options:
        for step in option_steps(cast(Any, option)) or ():
            if step.path and "lazy" in step.strategy and (step.root is None or step.path[:-1] == here):
                said[step.path[-1]] = step.strategy["lazy"] in EAGER
    default = said.get("relationships:*")
    return [one for one in props if said.get(one.key, (one.lazy in EAGER) if default is None else default)]


def _is_eager(mapper: Mapper[Any]) -> bool:
    return any(prop.lazy in EAGER for one in mapper.self_and_descendants for prop in one.relationships)


def _add(statement: Any, say: Callable[[Any], None], key: Hashable) -> Any:
    # SQLAlchemy 2.0 has the same under another name.
    add = getattr(statement, "_add_compile_state_func", None) or statement._add_context_option
    return add(say, key)


def plain_rows(result: Result[Any], *, unique: bool) -> Sequence[tuple[Any, ...]]:
    """All rows, each of them once. Where no eager loader repeats them, and the statement does not (`unique`), they are
    plain tuples: nobody asks for their columns by name, so to make Rows of them would be for nothing."""
    some: Any = result
    if unique or some._unique_filter_state is not None or not isinstance(result, IteratorResult):
        return cast(Sequence[tuple[Any, ...]], result.unique().all())
    return cast(Sequence[tuple[Any, ...]], some._fetchall_impl())


def load_as(target: State, source: State, prop: RelationshipProperty[Any]) -> None:
    """Note on a member how it was loaded: with the source's options, through this relationship."""
    if source.load_options:
        target.load_options = source.load_options
        target.load_path = cast(Any, source.load_path)[prop][target.mapper]


def expired_keys(state: State) -> set[str]:
    """The columns that SQLAlchemy would load as soon as it needs one of them."""
    names = state.expired_attributes & state.unmodified
    return {key for key in names if state.manager[key].impl.load_on_unexpire}


def refresh(state: State, loaded: dict[str, Any], row: Mapping[str, Any]) -> None:
    """Fill what is expired with what was read, as SQLAlchemy does when it needs some of it."""
    keys = [key for key in expired_keys(state) if key in row]
    loaded.update((key, row[key]) for key in keys)
    state._commit(loaded, keys)
    state.expired_attributes.clear()
    fire_refresh(state, keys)


def _back_lazily(prop: RelationshipProperty[Any]) -> Callable[[Any], None]:
    """The references back to the objects whose members are loaded are not loaded eagerly: these are there."""

    def say(compiled: Any) -> None:
        for back in prop._reverse_property:
            if back.direction is MANYTOONE and back._use_get and not isinstance(back.strategy, _LAZY):
                _lazily(compiled, back, back.parent)

    return say


def _not_here(prop: RelationshipProperty[Any]) -> Callable[[Any], None]:
    def say(compiled: Any) -> None:
        # An option that has led to here is shortened to what follows.
        compiled.attributes.pop(("loader", (prop.parent, prop)), None)
        _lazily(compiled, prop, prop.parent)

    return say


def _lazily(compiled: Any, prop: RelationshipProperty[Any], parent: Any) -> None:
    path = compiled.compile_options._current_path[parent]
    load: Any = cast(Any, strategy_options.Load)._construct_for_existing_path(path)
    load.lazyload(prop).process_compile_state(compiled)
