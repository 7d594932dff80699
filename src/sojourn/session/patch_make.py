"""Making a new object of a payload: in which order, with which arguments of its constructor."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sojourn.mapping.blueprint import Blueprint
from sojourn.session.patch_members import Target, holder_of
from sojourn.snapshot.payload import Node


def in_order(nodes: list[Node]) -> Iterator[Node]:
    """What a node refers to comes before it, so that a constructor can be given it."""
    done: set[Node] = set()
    for node in nodes:
        stack = [node]
        while stack:
            top = stack[-1]
            before = [one for one in top.references.values() if one is not None and one not in done]
            if before and top not in done:
                stack += before
                continue
            stack.pop()
            if top not in done:
                done.add(top)
                yield top


def arguments(node: Node, target: Target, targets: Mapping[Node, Target], objs: Mapping[Target, Any]) -> dict[str, Any]:
    """What the constructor takes of what is known of a new object."""
    own = {**node.natural, **node.values}
    own.update((name, composite_value(target.plan, None, name, parts)) for name, parts in node.composites.items())
    known: dict[str, Any] = {}
    for rel, child in node.references.items():
        known[rel.key] = None if child is None else objs.get(targets[child])
    if node.above is not None and node.rel is not None and node.in_collection:
        above = targets[node.above]
        if node.rel.inverse is not None:
            known.setdefault(node.rel.inverse, objs.get(above))
        known.update(dict.fromkeys(node.rel.remote_key))
        if above.found is not None:
            known.update(zip(node.rel.remote_key, holder_of(above.found, node.rel), strict=False))
    required = _parameters(target.plan.class_)
    needed = {name: value for name, value in known.items() if required.get(name)}
    return {**needed, **{name: value for name, value in own.items() if name in required or "" in required}}


def composite_value(plan: Blueprint, obj: Any, name: str, parts: dict[str, Any] | None) -> Any:
    """The whole value: what the payload gives of it, and the rest as it is."""
    if parts is None:
        return None
    if "" in parts:
        return parts[""]
    keys = plan.composites[name]
    make: Callable[..., Any] = plan.mapper.composites[name].composite_class
    return make(*[parts[key] if key in parts else getattr(obj, key, None) for key in keys])


def _parameters(class_: type) -> dict[str, bool]:
    """The names that a constructor takes, and whether it needs them; "" where it takes any."""
    found: dict[str, bool] = {}
    for parameter in inspect.signature(class_).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found[""] = True
        elif parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            found[parameter.name] = parameter.default is parameter.empty
    return found
