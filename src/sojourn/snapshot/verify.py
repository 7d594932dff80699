"""Checking a snapshot that came from outside, before any object is built.

What is checked here holds for every encoding: that nodes exist and are of the right class, that no identity is there
twice, that edits are of attributes that can be edited. The encoding has checked the types of the values.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import date, datetime
from itertools import accumulate, chain
from operator import itemgetter
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

from sojourn.errors import SnapshotError, identity_text
from sojourn.mapping.blueprint import Blueprint, Relationship
from sojourn.mapping.identity import Identity, make_identity
from sojourn.snapshot.model import Edit, Snapshot, Table

Moved: TypeAlias = dict[int, Identity]
"""By row: the identity of an object whose primary key was edited. Of all others the row itself tells it."""

_GOOD_KEYS = frozenset({int, str, bytes, bool, UUID, date, datetime, NoneType})
"""Types of which each value is a key. None is one part of a composite key at most."""


def verify(snapshot: Snapshot) -> list[Moved]:
    """The identities, for each table, that its rows do not tell. Raises SnapshotError. Pure."""
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
        self._misfits: dict[Relationship, list[int]] = {}

    def all_right(self, nodes: Sequence[int | None], relationship: Relationship) -> bool:
        """Whether each table between the lowest and the highest node fits. If not, each node has to be looked at."""
        known = [node for node in nodes if node is not None]
        if not known:
            return True
        first, last = bisect_right(self._ends, min(known)), bisect_right(self._ends, max(known))
        return last < len(self._ends) and self._fit(relationship, first, last)

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
        return table < len(self._ends) and (relationship is None or self._fit(relationship, table, table))

    def _wrong(self, where: str, node: int, relationship: Relationship | None) -> SnapshotError:
        table = bisect_right(self._ends, node)
        if relationship is None or table == len(self._ends):
            return SnapshotError(f"there is no object with the number {node}", where=where)
        name = f"{relationship.property.parent.class_.__name__}.{relationship.key}"
        return SnapshotError(
            f"object {node} is of {self._plans[table].entity}, and {name} takes {relationship.target.class_.__name__}",
            where=where,
        )

    def _fit(self, relationship: Relationship, first: int, last: int) -> bool:
        # A list of exceptions, not a look at each table: a document may have thousands, each referring to all of them.
        misfits = self._misfits.get(relationship)
        if misfits is None:
            wrong = {plan.class_ for plan in self._plans if not plan.mapper.isa(relationship.target)}
            misfits = [table for table, plan in enumerate(self._plans) if plan.class_ in wrong]
            self._misfits[relationship] = misfits
        following = bisect_left(misfits, first)
        return following == len(misfits) or misfits[following] > last


def _check_relationships(table: Table, nodes: _Nodes, where: str) -> None:
    for key, targets in table.references.items():
        if not nodes.all_right(targets, table.plan.relationships[key]):
            for row, target in enumerate(targets):
                nodes.check(f"{where}.references.{key}[{row}]", target, table.plan.relationships[key])
    for key, lists in table.collections.items():
        if not nodes.all_right(list(chain.from_iterable(lists)), table.plan.relationships[key]):
            for row, members in enumerate(lists):
                nodes.check(f"{where}.collections.{key}[{row}]", members, table.plan.relationships[key])


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
    if not table.holds(key):
        raise SnapshotError(f"{plan.entity}.{key} is not loaded in this table", where=where)
    column = plan.columns.get(key)
    # A new object has no row, so its columns have no base.
    editable = plan.relationships[key].writable if column is None else column.stored and table.tokens is None
    if not editable:
        raise SnapshotError(f"{plan.entity}.{key} cannot have been edited here", where=where)


# --- identities ------------------------------------------------------------------------------------------------------


def _identities(tables: Sequence[Table]) -> list[Moved]:
    known: dict[Any, set[Any]] = {}
    moved: list[Moved] = []
    for number, table in enumerate(tables):
        if table.tokens is not None:
            moved.append({})
            continue
        keys, of_table = _keys(table, f"$.tables[{number}]")
        moved.append(of_table)
        seen = known.setdefault((table.plan.base_class, table.identity_token), set())
        count = len(seen) + len(keys)
        seen.update(keys)
        if len(seen) < count:
            _report_twice(tables)
    return moved


def _keys(table: Table, where: str) -> tuple[list[Any], Moved]:
    """The primary keys that the database holds; a key of one column stands for itself."""
    plan = table.plan
    for key in plan.primary_key:
        if key not in table.columns:
            raise SnapshotError(
                f"{plan.entity}.{key} is missing, and without its primary key a row cannot be identified",
                where=f"{where}.columns",
            )
    positions = [table.columns.index(key) for key in plan.primary_key]
    keys: list[Any] = list(map(itemgetter(*positions), table.rows))
    moved: Moved = {}
    for edit in table.edits:
        if not edit.base.keys().isdisjoint(plan.primary_key):
            row = table.rows[edit.row]
            now = [row[position] for position in positions]
            before = tuple(map(edit.base.get, plan.primary_key, now))
            keys[edit.row] = before if len(before) > 1 else before[0]
            moved[edit.row] = make_identity(plan, before, table.identity_token)
    empty = None if len(positions) == 1 else (None,) * len(positions)
    if empty in keys:
        raise SnapshotError(
            f"the primary key of {plan.entity} is null",
            where=f"{where}.rows[{keys.index(empty)}]",
            remedy="New objects go into a table of their own, with tokens.",
        )
    _check_keys(plan, keys, len(positions) > 1, f"{where}.rows")
    return keys, moved


def _check_keys(plan: Blueprint, keys: Sequence[Any], composite: bool, where: str) -> None:
    """Raise SnapshotError for a key that equals no key, not even itself, or that cannot be told from others."""
    if set(map(type, chain.from_iterable(keys) if composite else keys)) <= _GOOD_KEYS:
        return
    for row, key in enumerate(keys):
        if not all(map(_is_a_key, key if composite else (key,))):
            raise SnapshotError(
                f"the primary key of {plan.entity} is a value that identifies nothing",
                where=f"{where}[{row}]",
                remedy="NaN and what cannot be hashed, such as a list, are no keys.",
            )


def _is_a_key(part: Any) -> bool:
    try:
        hash(part)
        return bool(part == part)  # noqa: PLR0124 - NaN differs from itself
    except Exception:  # noqa: BLE001 - the type may be the user's; a Decimal that is a signaling NaN raises, too
        return False


def _report_twice(tables: Sequence[Table]) -> None:
    seen: dict[Identity, str] = {}
    for number, table in enumerate(tables):
        if table.tokens is not None:
            continue
        for row, key in enumerate(_keys(table, f"$.tables[{number}]")[0]):
            identity = make_identity(table.plan, key if isinstance(key, tuple) else (key,), table.identity_token)
            where = f"$.tables[{number}].rows[{row}]"
            if seen.setdefault(identity, where) != where:
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
