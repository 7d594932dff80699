"""Loader options, taken apart into steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from sojourn.sqlalchemy_internals.state import State


def forget_options(state: State, options: Sequence[Any] | None = None) -> None:
    """Take off the loader options that an instance was loaded with, if they are among these; None: whatever they are.

    They would steer its later loads, and some of them cannot be pickled (sqlalchemy#8109).
    """
    held = state.__dict__.get("load_options")
    if held and (options is None or any(one is other for one in held for other in options)):
        del state.load_options
        state.__dict__.pop("load_path", None)


@dataclass(frozen=True, slots=True)
class OptionStep:
    """One step of a loader option: `path` are attribute names from the root entity, the last may be a wildcard.

    `root` is None for a wildcard that holds everywhere. `group` names what `undefer_group` takes in; `recursion` is the
    `recursion_depth` of a self-referential relationship; `aliased` says that the path ends at an alias.
    """

    root: Mapper[Any] | None
    path: tuple[str, ...]
    targets: tuple[Mapper[Any], ...]
    strategy: Mapping[str, Any]
    criteria: tuple[Any, ...] = ()
    group: str | None = None
    recursion: int | None = None
    aliased: bool = False


def option_steps(option: Any) -> Iterator[OptionStep] | None:
    """The steps of a `Load`-style option in order, or None for an option of another kind (criteria, user-defined)."""
    context = getattr(option, "context", None)
    if isinstance(context, tuple):
        return (_step(element) for element in context)
    wildcard = getattr(option, "path", None)
    if isinstance(wildcard, tuple) and hasattr(option, "strategy"):
        strategy, group = dict(option.strategy or ()), _group(option.local_opts)
        return iter((OptionStep(None, (_wildcard(wildcard[-1]),), (), strategy, group=group),))
    return None


def _step(element: Any) -> OptionStep:
    path = element.path.path
    names: list[str] = []
    mappers: list[Mapper[Any]] = []
    for part in path[1:]:
        if isinstance(part, str):
            names.append(_wildcard(part))
        elif hasattr(part, "key"):
            names.append(part.key)
        else:
            mappers.append(inspect(part).mapper)
    return OptionStep(
        inspect(path[0]).mapper,
        tuple(names),
        tuple(mappers),
        dict(element.strategy or ()),
        tuple(element._extra_criteria),
        _group(element.local_opts),
        element.local_opts.get("recursion_depth"),
        bool(getattr(path[-1], "is_aliased_class", False)),
    )


def _group(options: Mapping[str, Any]) -> str | None:
    prefix = "undefer_group_"
    return next((name.removeprefix(prefix) for name in options if name.startswith(prefix)), None)


def _wildcard(token: str) -> str:
    return "columns:*" if token.startswith("column:") else "relationships:*"
