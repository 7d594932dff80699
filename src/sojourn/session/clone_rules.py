"""What clone() does with each attribute of a class: the defaults, and what deep=, share= and skip= say instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column
from sqlalchemy.orm import Mapper, QueryableAttribute

from sojourn.errors import WrongAttributeError
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.naming import class_and_key

Named = Iterable[QueryableAttribute[Any]]

# deep: the members are copied, too. share: the same members, or their copies where they are copied anyway. keep: the
# same members, come what may. link: only members that are copied anyway. skip: nothing.
Mode = Literal["deep", "share", "keep", "link", "skip"]


@dataclass(frozen=True, slots=True, eq=False)
class Rules:
    """How the objects of one class are copied."""

    plan: Blueprint
    modes: dict[str, Mode]  # by relationship
    data: tuple[str, ...]  # column attributes whose values are copied; foreign keys as their references allow
    skipped: frozenset[str]  # column attributes that the caller leaves out


class RuleBook:
    """The rules of each class, worked out when it is first met. Raises WrongAttributeError."""

    def __init__(self, deep: Named, share: Named, skip: Named) -> None:
        self._named: dict[tuple[type, str], Mode] = {}
        self._rules: dict[Mapper[Any], Rules] = {}
        self._name(deep, "deep")
        self._name(share, "keep")
        self._name(skip, "skip")

    def of(self, mapper: Mapper[Any]) -> Rules:
        """The rules for the objects of a mapper."""
        found = self._rules.get(mapper)
        if found is None:
            found = self._rules[mapper] = self._work_out(blueprint(mapper))
        return found

    def _name(self, given: Named, mode: Mode) -> None:
        for attribute in given:
            class_, key = class_and_key(attribute)
            plan = blueprint(class_)
            if (class_, key) in self._named:
                raise WrongAttributeError(attribute, "is named twice", "Name it in one of deep, share and skip.")
            rel = plan.relationships.get(key)
            if mode != "skip" and (rel is None or not rel.writable or not rel.loadable):
                what = "is no relationship whose members can be copied or shared"
                raise WrongAttributeError(attribute, what, "Columns are copied; view-only and dynamic ones are not.")
            if mode == "keep" and rel is not None and (rel.direction == "to many" or rel.owns):
                what = "cannot be shared: its members have one parent, and would be taken from the original"
                raise WrongAttributeError(attribute, what, "Copy them with deep=, or leave them out with skip=.")
            self._named.update(((class_, part), mode) for part in plan.composites.get(key, (key,)))

    def _work_out(self, plan: Blueprint) -> Rules:
        named = {key: mode for class_ in reversed(plan.class_.__mro__) for key, mode in self._of_class(class_)}
        skipped = frozenset(key for key in plan.columns if key in named)
        return Rules(
            plan=plan,
            modes={rel.key: _mode(rel, named, skipped) for rel in plan.relationships.values()},
            data=tuple(key for key in plan.columns if key not in skipped and _is_data(plan, key)),
            skipped=skipped,
        )

    def _of_class(self, class_: type) -> list[tuple[str, Mode]]:
        return [(key, mode) for (owner, key), mode in self._named.items() if owner is class_]


def _mode(rel: Relationship, named: dict[str, Mode], skipped: frozenset[str]) -> Mode:
    if not rel.writable or skipped.intersection(rel.foreign_keys):
        return "skip"
    if rel.key in named:
        return named[rel.key]
    if rel.owns or _is_association(rel):
        return "deep"
    return "link" if rel.direction == "to many" else "share"


def _is_association(rel: Relationship) -> bool:
    """Whether the members are rows of an association: their key holds the key of the parent."""
    if rel.direction != "to many":
        return False
    remote = [there for _, there in rel.property.local_remote_pairs or ()]
    return bool(remote) and all(column in rel.target.primary_key for column in remote)


def _is_data(plan: Blueprint, key: str) -> bool:
    """Whether a column holds what the user put there: no key, no version counter, nothing that the server makes."""
    if key == plan.version or key in plan.primary_key or not plan.columns[key].stored:
        return False
    columns: list[Any] = plan.mapper.column_attrs[key].columns
    # In a joined table the key is another attribute at times (Truck.truck_id), and the flush fills it.
    return not any(column.primary_key or column.server_default is not None for column in _of_tables(columns))


def _of_tables(columns: Iterable[Any]) -> list[Column[Any]]:
    return [column for column in columns if isinstance(column, Column)]
