"""What was edited on one object: its base, as it goes into the snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN, SnapshotError
from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import Blueprint, Relationship
from sojourn.mapping.graph import former, is_let_go
from sojourn.snapshot.model import Edit
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, members, pending_mutations, state_in


class Met(Protocol):
    """A walk that is over. It numbers everybody only if it is asked, which is seldom."""

    @property
    def nodes(self) -> Mapping[int, int]: ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Which node an object is: by its id the position where it was met, and, if that is another one, its place."""

    walk: Met
    places: Sequence[int] | None

    def of(self, obj: Any) -> int:
        node = self.walk.nodes[id(obj)]
        return node if self.places is None else self.places[node]

    def all(self, collection: Any) -> list[int]:
        return [] if collection is None else [self.of(member) for member in members(collection)]


def former_members(state: State, plan: Blueprint) -> list[Any]:
    """What an edited object's relationships held before, and what was added to collections that are not loaded."""
    found: list[Any] = []
    recorded = edited_keys(state)
    for rel in plan.relationships.values():
        if rel.key not in recorded or not rel.loadable:
            continue
        if rel.many and rel.key not in state.dict:
            for changed in _noted(state, rel.key):
                found += changed
        found += former(state, rel.key, rel.many)
    return found


def _noted(state: State, key: str) -> tuple[list[Any], list[Any]]:
    """(added, removed) of a collection that is not loaded, without new objects that a flush would leave out."""
    added, removed = pending_mutations(state, key)
    return [one for one in added if not is_let_go(instance_state(one))], removed


def edit_of(plan: Blueprint, row: int, values: Mapping[str, Any], numbers: Numbers) -> Edit:
    """The edit of an object that holds these values; falsy where there is none.

    Raises SnapshotError for changes that cannot travel.
    """
    state = state_in(values)
    base, unknown = _column_bases(state, plan, values)
    added: dict[str, list[int]] = {}
    removed: dict[str, list[int]] = {}
    for relationship in _edited_relationships(state, plan):
        key, many = relationship.key, relationship.many
        before = base_of(state, key)
        if key not in values:
            arrived, left = _noted(state, key) if many else ([], [])
            added |= {key: numbers.all(arrived)} if arrived else {}
            removed |= {key: numbers.all(left)} if left else {}
        elif before is UNKNOWN:
            unknown.append(key)
        elif many and numbers.all(before) != numbers.all(values[key]):
            base[key] = numbers.all(before)
        elif not many and before is not values[key]:
            base[key] = None if before is None else numbers.of(before)
    return Edit(row, base, unknown, added, removed)


def _column_bases(state: State, plan: Blueprint, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The base of each edited column that has one, and the edited columns whose base nobody knows."""
    if state.key is None:
        return {}, []  # a new object has no row that its values could differ from
    # A row is found by its identity, so a primary key that differs from it counts as edited, whoever changed it.
    base = {
        key: identity
        for key, identity in zip(plan.primary_key, state.key[1], strict=True)
        if type(values[key]) is not type(identity) or values[key] != identity
    }
    unknown: list[str] = []
    for key in edited_columns(state, plan):
        if key in plan.primary_key or key not in values or not plan.columns[key].stored:
            continue
        before = base_value(state, key)
        if before is UNKNOWN:
            unknown.append(key)
        else:
            base[key] = before
    return base, unknown


def _edited_relationships(state: State, plan: Blueprint) -> Iterable[Relationship]:
    for key in edited_keys(state):
        relationship = plan.relationships.get(key)
        if relationship is None:
            continue
        if not relationship.loadable:
            raise SnapshotError(
                "changes of a dynamic or write-only collection cannot travel",
                where=f"{plan.entity}.{key}",
                remedy="Flush and commit them first.",
            )
        yield relationship
