"""Walking an object graph through what is loaded, without recursion and without loading anything.

A walk follows every relationship that has a value in memory. Members that were taken out of a collection, and objects
that a reference pointed to before it was changed, belong to the graph, too: their rows are part of the edit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.orm.attributes import instance_dict, instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, members, was_let_go


def walk(instances: Iterable[Any], follow: Callable[[Relationship], bool] | None = None) -> list[State]:
    """Every state that is reached from these instances, themselves included, in breadth-first order.

    `follow` limits the walk to some relationships. The list is bounded by memory, not by the stack. Database: none.
    """
    found: list[State] = []
    seen: set[int] = set()
    plans: dict[type, list[tuple[str, bool]]] = {}
    queue = list(instances)
    while queue:
        met: list[Any] = []
        _follow(queue, met, seen, plans, follow)
        states: list[State] = list(map(instance_state, met))
        found += states
        queue = [
            obj
            for state in states
            if state.modified
            for key, many in plans[state.class_]
            for obj in former(state, key, many)
        ]
    return found


def _follow(
    queue: list[Any],
    met: list[Any],
    seen: set[int],
    plans: dict[type, list[tuple[str, bool]]],
    follow: Callable[[Relationship], bool] | None,
) -> None:
    """Walk what hangs on the objects of `queue` now; everything that was not seen before goes to `met`."""
    note, see, enqueue, enqueue_all = met.append, seen.add, queue.append, queue.extend
    for obj in queue:  # the queue grows while it is read
        mark = id(obj)
        if mark in seen:
            continue
        see(mark)
        note(obj)
        plan = plans.get(obj.__class__)
        if plan is None:
            plan = plans[obj.__class__] = followed(instance_state(obj), follow)
        loaded = instance_dict(obj)
        for key, many in plan:
            value = loaded.get(key)
            if value is not None:
                if many:
                    enqueue_all(members(value))
                elif id(value) not in seen:
                    enqueue(value)


def by_class(states: Iterable[State]) -> dict[type, list[State]]:
    """States grouped by their class."""
    groups: defaultdict[type, list[State]] = defaultdict(list)
    for state in states:
        groups[state.class_].append(state)
    return groups


def followed(state: State, follow: Callable[[Relationship], bool] | None = None) -> list[tuple[str, bool]]:
    """The relationships of a state's class that hold members in memory, as (attribute, is a collection)."""
    relationships = blueprint(state.mapper).relationships.values()
    return [(rel.key, rel.many) for rel in relationships if rel.loadable and (follow is None or follow(rel))]


def former(state: State, key: str, many: bool) -> list[Any]:
    """What an edited relationship held before, where that is known."""
    if key not in edited_keys(state):
        return []
    base = base_of(state, key)
    if base is UNKNOWN or base is None:
        return []
    return members(base) if many else [base]


def is_let_go(state: State) -> bool:
    """Whether an object is new and was taken out of its owner again, or hangs on such a one: a flush leaves it out."""
    queue = [state]
    seen = {state}
    for one in queue:  # the queue grows while it is read
        if was_let_go(one):
            return True
        for rel in blueprint(one.mapper).relationships.values() if one.key is None else ():
            owning = blueprint(rel.target).relationships.get(rel.inverse or "") if rel.direction == "to one" else None
            owner = one.dict.get(rel.key) if owning is not None and owning.owns else None
            if owner is not None and (above := instance_state(owner)) not in seen:
                seen.add(above)
                queue.append(above)
    return False
