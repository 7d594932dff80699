"""Checking a snapshot that came from outside, before any object is built.

What is checked here holds for every encoding: that nodes exist and are of the right class, that no identity is there
twice, that edits are of attributes that can be edited. The encoding has checked the types of the values.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any

from sojourn.errors import SnapshotError, identity_text
from sojourn.mapping.blueprint import Relationship
from sojourn.mapping.identity import Identity, make_identity
from sojourn.snapshot.model import Edit, Snapshot, Table


def verify(snapshot: Snapshot) -> list[list[Identity | None]]:
    """The identities of the objects of each table, None for new ones. Raises SnapshotError. Pure."""
    nodes = _Nodes(snapshot.tables)
    nodes.check("$.roots", snapshot.roots)
    for number, table in enumerate(snapshot.tables):
        where = f"$.tables[{number}]"
        _check_relationships(table, nodes, where)
        seen: set[int] = set()
        for position, edit in enumerate(table.edits):
            _check_edit(table, edit, nodes, f"{where}.edits[{position}]", seen)
    _check_tokens(snapshot.tables)
    return _identities(snapshot.tables)


class _Nodes:
    """The classes of the nodes."""

    def __init__(self, tables: Sequence[Table]) -> None:
        self._plans = [table.plan for table in tables]
        self._ends = list(accumulate(len(table.rows) for table in tables))
        self._fits: dict[tuple[Relationship, int], bool] = {}

    def all_right(self, nodes: Sequence[int | None], relationship: Relationship) -> bool:
        """Whether each table between the lowest and the highest node fits. If not, each node has to be looked at."""
        known = [node for node in nodes if node is not None]
        if not known:
            return True
        first, last = bisect_right(self._ends, min(known)), bisect_right(self._ends, max(known))
        return last < len(self._ends) and all(self._fit(relationship, table) for table in range(first, last + 1))

    def check(self, where: str, value: Any, relationship: Relationship | None = None) -> None:
        """Raise SnapshotError unless the node, or each of a list of nodes, exists and fits the relationship."""
        if isinstance(value, list):
            for position, node in enumerate(value):
                if not self._is_right(node, relationship):
                    raise self._wrong(f"{where}[{position}]", node, relationship)
        elif value is not None and not self._is_right(value, relationship):
            raise self._wrong(where, value, relationship)

    def _is_right(self, node: int, relationship: Relationship | None) -> bool:
        table = bisect_right(self._ends, node)
        return table < len(self._ends) and (relationship is None or self._fit(relationship, table))

    def _wrong(self, where: str, node: int, relationship: Relationship | None) -> SnapshotError:
        table = bisect_right(self._ends, node)
        if relationship is None or table == len(self._ends):
            return SnapshotError(f"there is no object with the number {node}", where=where)
        name = f"{relationship.property.parent.class_.__name__}.{relationship.key}"
        return SnapshotError(
            f"object {node} is of {self._plans[table].entity}, and {name} takes {relationship.target.class_.__name__}",
            where=where,
        )

    def _fit(self, relationship: Relationship, table: int) -> bool:
        fits = self._fits.get((relationship, table))
        if fits is None:
            fits = self._plans[table].mapper.isa(relationship.target)
            self._fits[relationship, table] = fits
        return fits


def _check_relationships(table: Table, nodes: _Nodes, where: str) -> None:
    for position, key in enumerate((*table.references, *table.collections), len(table.columns)):
        relationship = table.plan.relationships[key]
        values = list(map(itemgetter(position), table.rows))
        if nodes.all_right(list(chain.from_iterable(values)) if relationship.many else values, relationship):
            continue
        for number, value in enumerate(values):
            nodes.check(f"{where}.rows[{number}][{position}]", value, relationship)


# --- edits -----------------------------------------------------------------------------------------------------------


def _check_edit(table: Table, edit: Edit, nodes: _Nodes, where: str, seen: set[int]) -> None:
    if edit.row >= len(table.rows):
        raise SnapshotError(f"there is no row {edit.row} in this table", where=f"{where}.row")
    if edit.row in seen:
        raise SnapshotError(f"row {edit.row} has two entries", where=f"{where}.row")
    seen.add(edit.row)
    plan = table.plan
    for key in edit.base:
        _check_editable(table, key, f"{where}.base")
        relationship = plan.relationships.get(key)
        if relationship is not None:
            nodes.check(f"{where}.base.{key}", edit.base[key], relationship)
    for position, key in enumerate(edit.unknown):
        _check_editable(table, key, f"{where}.unknown[{position}]")
        if key in edit.base or key in edit.unknown[:position]:
            raise SnapshotError(f"{plan.entity}.{key} is named twice", where=f"{where}.unknown[{position}]")
        if key in plan.primary_key:
            raise SnapshotError(
                f"{plan.entity}.{key} is part of the identity, which has to be known",
                where=f"{where}.unknown[{position}]",
            )
    for name, changes in (("added", edit.added), ("removed", edit.removed)):
        for key, members in changes.items():
            relationship = plan.relationships.get(key)
            if relationship is None or not _is_open(relationship) or key in table.collections or table.tokens:
                raise SnapshotError(
                    f"{plan.entity}.{key} is not a collection of a stored object that can change without being loaded",
                    where=f"{where}.{name}",
                )
            nodes.check(f"{where}.{name}.{key}", members, relationship)


def _is_open(relationship: Relationship) -> bool:
    return relationship.many and relationship.loadable and relationship.writable


def _check_editable(table: Table, key: str, where: str) -> None:
    plan = table.plan
    if key not in table.attributes:
        raise SnapshotError(f"{plan.entity}.{key} is not loaded in this table", where=where)
    column = plan.columns.get(key)
    # A new object has no row, so its columns have no base.
    editable = plan.relationships[key].writable if column is None else column.stored and table.tokens is None
    if not editable:
        raise SnapshotError(f"{plan.entity}.{key} cannot have been edited here", where=where)


# --- identities ------------------------------------------------------------------------------------------------------


def _identities(tables: Sequence[Table]) -> list[list[Identity | None]]:
    found: list[list[Identity | None]] = []
    for number, table in enumerate(tables):
        where = f"$.tables[{number}]"
        if table.tokens is None:
            found.append(_identities_of(table, where))
        else:
            found.append([None] * len(table.rows))
    known = [identity for identities in found for identity in identities if identity is not None]
    if len(set(known)) != len(known):
        _report_twice(found)
    return found


def _identities_of(table: Table, where: str) -> list[Identity | None]:
    plan = table.plan
    for key in plan.primary_key:
        if key not in table.columns:
            raise SnapshotError(
                f"{plan.entity}.{key} is missing, and without its primary key a row cannot be identified",
                where=f"{where}.columns",
            )
    positions = [table.columns.index(key) for key in plan.primary_key]
    keys: list[tuple[Any, ...]] = list(zip(*(map(itemgetter(at), table.rows) for at in positions), strict=True))
    for edit in table.edits:
        if not edit.base.keys().isdisjoint(plan.primary_key):
            keys[edit.row] = tuple(map(edit.base.get, plan.primary_key, keys[edit.row]))
    empty = (None,) * len(positions)
    if empty in keys:
        raise SnapshotError(
            f"the primary key of {plan.entity} is null",
            where=f"{where}.rows[{keys.index(empty)}]",
            remedy="New objects go into a table of their own, with tokens.",
        )
    token = table.identity_token
    return [make_identity(plan, key, token) for key in keys]


def _report_twice(found: Sequence[Sequence[Identity | None]]) -> None:
    seen: dict[Identity, str] = {}
    for number, identities in enumerate(found):
        for row, identity in enumerate(identities):
            where = f"$.tables[{number}].rows[{row}]"
            if identity is not None and seen.setdefault(identity, where) != where:
                raise SnapshotError(f"{identity_text(identity)} is at {seen[identity]} already", where=where)


def _check_tokens(tables: Sequence[Table]) -> None:
    seen: set[str] = set()
    for number, table in enumerate(tables):
        where = f"$.tables[{number}].new"
        if table.tokens is None:
            continue
        if len(table.tokens) != len(table.rows):
            raise SnapshotError(f"there are {len(table.tokens)} tokens for {len(table.rows)} rows", where=where)
        if table.identity_token is not None:
            raise SnapshotError("new objects have no identity token yet", where=f"$.tables[{number}].identity_token")
        for row, token in enumerate(table.tokens):
            if token in seen:
                raise SnapshotError("another object has this token", where=f"{where}[{row}]")
            seen.add(token)
