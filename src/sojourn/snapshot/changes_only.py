"""What a worker sends home: a snapshot with no more in it than was changed, and the way there.

Edited objects keep their primary key, their version and what was edited, with its base; new objects keep everything.
What an edit points to has to be there, too, and so has each object on the way from the roots to an edit, with the
relationship that leads on. Of those only the primary key is kept, and of members of a dict or another collection of its
own kind all columns, since nobody knows what their keys are made of. A collection is kept whole or not at all: one with
some of its members would pass for one that has no others.

Everything here is about plain data: a snapshot in, a smaller one out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from sojourn.snapshot.model import Edit, Snapshot, Table

_PLAIN_COLLECTIONS = (None, list, set)

_Place: TypeAlias = tuple[int, int]
"""The number of a table and of a row in it."""


def only_changes(snapshot: Snapshot) -> Snapshot:
    """The snapshot without what nobody changed. Pure."""
    chosen = _Chosen(snapshot)
    groups: dict[Any, list[int]] = {}
    for node in sorted(chosen.attributes):
        groups.setdefault((chosen.places[node][0], frozenset(chosen.attributes[node])), []).append(node)
    order = [node for nodes in groups.values() for node in nodes]
    moved = {node: place for place, node in enumerate(order)}.__getitem__
    tables = [
        _part(snapshot.tables[number], attributes, [chosen.places[node][1] for node in nodes], moved)
        for (number, attributes), nodes in groups.items()
    ]
    return Snapshot(list(map(moved, snapshot.roots)), tables)


class _Chosen:
    """Which nodes stay, and which attributes of each."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._tables = snapshot.tables
        self.places: list[_Place] = [
            (number, row) for number, table in enumerate(snapshot.tables) for row in range(len(table.rows))
        ]
        self._edits = {(number, edit.row): edit for number, table in enumerate(snapshot.tables) for edit in table.edits}
        self.attributes: dict[int, set[str]] = {}
        self._waiting: list[int] = []
        ways = self._ways(snapshot.roots)
        for root in snapshot.roots:
            self._keep(root)
        first = [0, *accumulate(len(table.rows) for table in snapshot.tables)]
        changed = {first[number] + row for number, row in self._edits}
        for number, table in enumerate(snapshot.tables):
            if table.tokens is not None:
                changed.update(range(first[number], first[number + 1]))
        for node in sorted(changed):
            self._keep(node)
            while node in ways:
                node, key = ways[node]  # noqa: PLW2901 - on the way back to a root
                if key in self.attributes.get(node, ()):
                    break  # from there on it is a way that was taken already, or that of another change
                self._keep(node, key)
        self._settle()

    def _ways(self, roots: Iterable[int]) -> dict[int, tuple[int, str]]:
        """For each node that is no root the relationship by which the walk came to it, and whose that is."""
        met = dict.fromkeys(roots)
        queue = list(met)
        ways: dict[int, tuple[int, str]] = {}
        for node in queue:  # it grows while it is read
            for key, target in self._held(node):
                if target not in met:
                    met[target] = None
                    ways[target] = node, key
                    queue.append(target)
        return ways

    def _held(self, node: int) -> Iterator[tuple[str, int]]:
        """(relationship, target) for what an object holds, and for what it held before it was edited."""
        place = number, row = self.places[node]
        table, edit = self._tables[number], self._edits.get(place)
        for key, targets in table.references.items():
            yield from ((key, target) for target in _nodes(targets[row]))
        for key, lists in table.collections.items():
            yield from ((key, target) for target in lists[row])
        if edit is not None:
            for key, base in edit.base.items():
                if key not in table.columns:
                    yield from ((key, target) for target in _nodes(base))
            for changes in (edit.added, edit.removed):
                yield from ((key, target) for key, targets in changes.items() for target in targets)

    def _keep(self, node: int, key: str | None = None) -> None:
        kept = self.attributes.get(node)
        if kept is None:
            kept = self.attributes[node] = set(self._own(node))
            self._waiting.append(node)
        if key is not None and key not in kept:
            if self._tables[self.places[node][0]].holds(key):
                kept.add(key)
            self._waiting.append(node)

    def _own(self, node: int) -> Iterable[str]:
        """The attributes of an object that have to be told whoever points to it."""
        number, row = self.places[node]
        table = self._tables[number]
        if table.tokens is not None:
            return (*table.columns, *table.references, *table.collections)
        plan, edit = table.plan, self._edits.get((number, row))
        if edit is None:
            return plan.primary_key
        edited = {*edit.base, *edit.unknown}
        units = {plan.units.get(key) for key in edited}  # the parts of a composite stay together
        return (
            *plan.primary_key,
            *(key for key in table.columns if key == plan.version or plan.units[key] in units),
            *(key for key in (*table.references, *table.collections) if key in edited),
        )

    def _settle(self) -> None:
        """What the attributes that stay point to stays, too."""
        while self._waiting:
            node = self._waiting.pop()
            kept = self.attributes[node]
            table, edit = self._tables[self.places[node][0]], self._edits.get(self.places[node])
            for key, target in self._held(node):
                if key in kept or (edit is not None and not table.holds(key)):
                    self._keep(target)
                    if table.plan.relationships[key].property.collection_class not in _PLAIN_COLLECTIONS:
                        self.attributes[target].update(self._tables[self.places[target][0]].columns)


def _part(table: Table, kept: frozenset[str], rows: Sequence[int], moved: Callable[[int], int]) -> Table:
    """These rows of a table with these attributes, and its nodes as they are numbered now."""
    columns = [key for key in table.columns if key in kept]
    positions = [table.columns.index(key) for key in columns]
    edits = {edit.row: edit for edit in table.edits}
    return Table(
        table.plan,
        columns,
        [tuple(table.rows[row][position] for position in positions) for row in rows],
        {
            key: [None if (target := targets[row]) is None else moved(target) for row in rows]
            for key, targets in table.references.items()
            if key in kept
        },
        {
            key: [list(map(moved, lists[row])) for row in rows]
            for key, lists in table.collections.items()
            if key in kept
        },
        [_moved(edits[row], table, place, moved) for place, row in enumerate(rows) if row in edits],
        None if table.tokens is None else [table.tokens[row] for row in rows],
        table.identity_token,
    )


def _moved(edit: Edit, table: Table, row: int, moved: Callable[[int], int]) -> Edit:
    return Edit(
        row,
        {key: base if key in table.columns else _renumbered(base, moved) for key, base in edit.base.items()},
        edit.unknown,
        _lists(edit.added, moved),
        _lists(edit.removed, moved),
    )


def _renumbered(base: Any, moved: Callable[[int], int]) -> Any:
    return list(map(moved, base)) if isinstance(base, list) else None if base is None else moved(base)


def _lists(changes: Mapping[str, Sequence[int]], moved: Callable[[int], int]) -> dict[str, list[int]]:
    return {key: list(map(moved, nodes)) for key, nodes in changes.items()}


def _nodes(value: Any) -> Sequence[int]:
    return value if isinstance(value, list) else () if value is None else (value,)
