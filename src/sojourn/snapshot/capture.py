"""Objects in, a snapshot out: what is in memory and nothing else.

A walk finds who is there and what each object holds. Here it becomes tables: numbers are given anew where objects were
not met in the order of the tables, edits are told with their base, and what cannot leave is refused.

The only thing that is written is the token of a new object, so that a second dump of it says that it is the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import uuid4

from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import SnapshotError
from sojourn.mapping.base import TOKEN
from sojourn.snapshot.departure import refuse_copies, refuse_uncommitted
from sojourn.snapshot.edits import Numbers, edit_of
from sojourn.snapshot.model import Snapshot, Table
from sojourn.snapshot.walk import Group, NewSink, Walk
from sojourn.sqlalchemy_internals import State


def capture(objs: Sequence[Any], new_sink: NewSink | None = None) -> Snapshot:
    """The snapshot of these mapped instances and of everything that can be reached from them.

    With `new_sink` each table's rows go into a sink while they are read, and the table has what that made of them.

    Raises UncommittedError, and SnapshotError for a graph that the format cannot hold. Database: none.
    """
    walk = Walk(new_sink)
    roots = walk.meet(objs)
    walk.go()
    groups = list(walk.groups.values())
    if walk.sessions or any(state.was_deleted for group in groups for state in group.special_states()):
        refuse_uncommitted(list(map(instance_state, walk.met)))
    _refuse_ambiguous_names(groups)
    refuse_copies([(group.plan.base_class, group.identity_token, group.keys()) for group in groups if not group.new])
    renumbered = _renumbered(groups)
    numbers = Numbers(walk, renumbered)
    return Snapshot(_moved(roots, renumbered), [_table(group, walk.met, numbers) for group in groups])


def _refuse_ambiguous_names(groups: Iterable[Group]) -> None:
    classes: dict[str, type] = {}
    for group in groups:
        if classes.setdefault(group.plan.entity, group.plan.class_) is not group.plan.class_:
            raise SnapshotError(
                "the graph holds objects of two classes of this name",
                where=group.plan.entity,
                remedy="Rename one of the classes, or dump their objects apart.",
            )


def _renumbered(groups: Sequence[Group]) -> list[int] | None:
    """For each node as it was met its place in the tables; None where these are the same, as in most graphs."""
    runs = [run for group in groups for run in group.nodes]
    if _is_in_order(runs):
        return None
    order = list(chain.from_iterable(runs))
    places = [0] * len(order)
    for place, node in enumerate(order):
        places[node] = place
    return places


def _is_in_order(runs: Iterable[Sequence[int]]) -> bool:
    following = 0
    for run in runs:
        if not isinstance(run, range) or run.start != following:
            return False
        following = run.stop
    return True


def _moved(nodes: Sequence[int], places: Sequence[int] | None) -> list[int]:
    return list(nodes) if places is None else [places[node] for node in nodes]


def _table(group: Group, met: Sequence[Any], numbers: Numbers) -> Table:
    places = numbers.places
    references: Mapping[str, Sequence[int | None]] = group.references
    collections: Mapping[str, Sequence[Sequence[int]]] = group.collections
    if places is not None:
        references = {
            key: [None if node is None else places[node] for node in targets] for key, targets in references.items()
        }
        collections = {key: [_moved(nodes, places) for nodes in lists] for key, lists in collections.items()}
    edits = (edit_of(group.plan, row, group.special[row], numbers) for row in sorted(group.special))
    return Table(
        group.plan,
        group.columns,
        group.rows,
        references,
        collections,
        [edit for edit in edits if edit],
        [_token(instance_state(met[node])) for node in chain.from_iterable(group.nodes)] if group.new else None,
        group.identity_token,
        group.kinds,
        None if group.sink is None else group.sink.written(),
    )


def _token(state: State) -> str:
    token: str = state.info.setdefault(TOKEN, uuid4().hex)
    return token
