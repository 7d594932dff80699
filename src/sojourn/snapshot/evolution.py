"""Documents that were written with another version of the mapping.

Attributes are found by name, so an attribute that a document does not have is simply not loaded. What a document has
and the mapping does not is an error, unless the caller said what became of it: it has another name now (`renames`), or
it may be left out (`on_unknown="ignore"`).

A table whose fingerprint is that of its class today was written with today's mapping, and is read as it is. So a rename
may stay in the program for ever, also when an old name comes to mean something new.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from sqlalchemy import inspect
from sqlalchemy.orm import Mapper

from sojourn.errors import BadArgumentError, NotMappedError, SnapshotError
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.envelope import RawEdit, RawTable

OnUnknown: TypeAlias = Literal["raise", "ignore"]
Renames: TypeAlias = Mapping[Any, Any]
"""{class: {old attribute: new attribute}, old name of a class: class}."""

_CELL = re.compile(r"^(\$\.tables\[\d+\]\.(?:rows\[\d+\]|columns))\[(\d+)\]")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Evolution:
    """What the caller said about documents of other versions."""

    ignores: bool = False
    attributes: Mapping[type, Mapping[str, str]] = field(default_factory=dict)
    classes: Mapping[str, type] = field(default_factory=dict)

    def plan(self, table: RawTable, allowed: Allowed, where: str) -> Blueprint:
        """The blueprint of a table's class. Raises SnapshotError if it is not allowed, whatever it was renamed to."""
        renamed = self.classes.get(table.entity)
        if renamed is None or allowed.has(table.entity, table.schema):
            return allowed.blueprint(table.entity, where)
        return allowed.of_class(renamed, where)

    def adapted(self, table: RawTable, plan: Blueprint, where: str) -> Adapted:
        """A table with the names of today's mapping, and without what shall be left out. Pure.

        Raises SnapshotError where two attributes of the document would have one name.
        """
        names = self._names(plan) if table.schema != plan.fingerprint else {}
        table = _renamed(table, names, where) if names else table
        if self.ignores:
            return _without_unknown(table, plan)
        return Adapted(table)

    def _names(self, plan: Blueprint) -> dict[str, str]:
        """Old name -> new name. Those of the class itself count before those of the classes that it inherits from."""
        names: dict[str, str] = {}
        for mapper in plan.mapper.iterate_to_root():
            names = {**self.attributes.get(mapper.class_, {}), **names}
        return names


@dataclass(frozen=True, slots=True)
class Adapted:
    """A table with the columns of today's mapping, and where they stand in its rows; None if that is everywhere."""

    table: RawTable
    kept: Sequence[int] | None = None

    def place(self, where: str) -> str:
        """A place in this table as it is counted in the document, with the columns that were left out."""
        kept = self.kept
        return where if kept is None else _CELL.sub(lambda at: f"{at[1]}[{kept[int(at[2])]}]", where)


def evolution(on_unknown: OnUnknown, renames: Renames | None) -> Evolution:
    """What `loads` was told. Raises BadArgumentError and NotMappedError for what it cannot mean."""
    if on_unknown not in ("raise", "ignore"):
        raise BadArgumentError(f'on_unknown takes "raise" or "ignore", got {on_unknown!r}')
    attributes: dict[type, Mapping[str, str]] = {}
    classes: dict[str, type] = {}
    for old, new in (renames or {}).items():
        if isinstance(old, str):
            classes[old] = _class(new)
        else:
            attributes[_class(old)] = _attribute_names(_class(old), new)
    return Evolution(on_unknown == "ignore", attributes, classes)


def _class(model: Any) -> type:
    mapper = inspect(model, raiseerr=False) if isinstance(model, type) else None
    if not isinstance(mapper, Mapper):
        raise NotMappedError(model)
    return mapper.class_


def _attribute_names(class_: type, names: Any) -> Mapping[str, str]:
    if not isinstance(names, Mapping):
        raise BadArgumentError(f"renames takes {{old: new}} for {class_.__name__}")
    plan = blueprint(class_)
    for new in names.values():
        if new not in plan.columns and new not in plan.relationships:
            raise BadArgumentError(
                f"renames says that an attribute is called {new!r} now, and {class_.__name__} has none of this name"
            )
    return names


# --- renamed ---------------------------------------------------------------------------------------------------------


def _renamed(table: RawTable, names: Mapping[str, str], where: str) -> RawTable:
    columns = [names.get(key, key) for key in table.columns]
    _refuse_twice(columns, table.columns, f"{where}.columns")
    return msgspec.structs.replace(
        table,
        columns=columns,
        references=_rekeyed(table.references, names, f"{where}.references"),
        collections=_rekeyed(table.collections, names, f"{where}.collections"),
        edits=[_renamed_edit(edit, names, f"{where}.edits[{at}]") for at, edit in enumerate(table.edits)],
    )


def _renamed_edit(edit: RawEdit, names: Mapping[str, str], where: str) -> RawEdit:
    return msgspec.structs.replace(
        edit,
        base=_rekeyed(edit.base, names, f"{where}.base"),
        unknown=[names.get(key, key) for key in edit.unknown],
        added=_rekeyed(edit.added, names, f"{where}.added"),
        removed=_rekeyed(edit.removed, names, f"{where}.removed"),
    )


def _rekeyed(parts: Mapping[str, _T], names: Mapping[str, str], where: str) -> dict[str, _T]:
    new = [names.get(key, key) for key in parts]
    _refuse_twice(new, parts, where)
    return dict(zip(new, parts.values(), strict=True))


def _refuse_twice(new: list[str], old: Iterable[str], where: str) -> None:
    """Only what renaming makes two of is refused here; what the document has twice is refused for all documents."""
    before = list(old)
    if len(set(new)) < len(set(before)):
        again = next(key for key in new if new.count(key) > 1)
        raise SnapshotError(
            f"there are several attributes that are called {again!r} after renaming",
            where=where,
            remedy="Leave out of renames what these bytes have under its new name already.",
        )


# --- left out --------------------------------------------------------------------------------------------------------


def _without_unknown(table: RawTable, plan: Blueprint) -> Adapted:
    unknown = {key for key in table.columns if key not in plan.columns}
    unknown |= {key for key in table.references if not _is_loadable(plan, key, many=False)}
    unknown |= {key for key in table.collections if not _is_loadable(plan, key, many=True)}
    known = (plan.columns.keys() | plan.relationships.keys()) - unknown
    kept = [at for at, key in enumerate(table.columns) if key in known]
    unchanged = len(kept) == len(table.columns)
    table = msgspec.structs.replace(
        table,
        columns=[table.columns[at] for at in kept],
        references=_only(known, table.references),
        collections=_only(known, table.collections),
        edits=[_known_edit(edit, plan, known) for edit in table.edits],
    )
    return Adapted(table, None if unchanged else kept)


def _is_loadable(plan: Blueprint, key: str, *, many: bool) -> bool:
    relationship = plan.relationships.get(key)
    return relationship is not None and relationship.loadable and relationship.many is many


def _known_edit(edit: RawEdit, plan: Blueprint, known: set[str]) -> RawEdit:
    collections = {key for key in known if _is_loadable(plan, key, many=True)}
    return msgspec.structs.replace(
        edit,
        base=_only(known, edit.base),
        unknown=[key for key in edit.unknown if key in known],
        added=_only(collections, edit.added),
        removed=_only(collections, edit.removed),
    )


def _only(known: set[str], parts: Mapping[str, _T]) -> dict[str, _T]:
    return {key: part for key, part in parts.items() if key in known}
