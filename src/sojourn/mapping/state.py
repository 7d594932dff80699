"""state() and changes(): what is loaded, expired and edited on one object, and what the edits are.

Both read what is in memory and nothing else: no load, no `__repr__` of the user's, no `__eq__` of mapped classes. An
object can be looked at in the middle of a flush, in a debugger or after its session is gone, and is the same
afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from sqlalchemy import inspect
from sqlalchemy.orm import InstanceState

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.identity import Identity, state_of
from sojourn.mapping.text import keyed_text, member_text, members_text, object_text, value_text
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, members, pending_mutations

Name: TypeAlias = Literal["transient", "pending", "persistent", "deleted", "detached"]


@dataclass(frozen=True, slots=True, repr=False)
class Change:
    """A value that was changed. `old` is UNKNOWN where no base is known; a reference's values are objects or None."""

    old: Any
    new: Any

    def __repr__(self) -> str:
        return f"Change(old={_value_or_object(self.old)}, new={_value_or_object(self.new)})"


@dataclass(frozen=True, slots=True, repr=False)
class CollectionChange:
    """What came into a collection and what was taken out of it."""

    added: list[Any]
    removed: list[Any]

    def __repr__(self) -> str:
        return f"CollectionChange(added=[{members_text(self.added)}], removed=[{members_text(self.removed)}])"


class Changes(Mapping[str, Change | CollectionChange]):
    """The changes of one object by attribute, in mapping order; falsy when there are none."""

    __slots__ = ("_found", "_of")

    def __init__(self, of: str, found: dict[str, Change | CollectionChange]) -> None:
        self._of = of
        self._found = found

    def __getitem__(self, key: str) -> Change | CollectionChange:
        return self._found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<Changes of {self._of}: {', '.join(f'{key}: {one!r}' for key, one in self._found.items()) or 'none'}>"


@dataclass(frozen=True, slots=True, repr=False)
class ObjectState:
    """What `state()` saw. `repr()` is one line, `str()` and `.long` tell every attribute; neither looks again.

    `identity` is SQLAlchemy's identity key, None for an object without one. `loaded`, `unloaded` and `expired` are
    names of mapped columns, relationships and composites. What is expired is unloaded, too. On a new object "unloaded"
    means that the attribute was never set.
    """

    name: Name
    identity: Identity | None
    loaded: frozenset[str]
    unloaded: frozenset[str]
    expired: frozenset[str]
    changes: Changes
    long: str

    def __repr__(self) -> str:
        return self.long.partition("\n")[0]

    def __str__(self) -> str:
        return self.long


def state(obj: object) -> ObjectState:
    """What is loaded, expired and edited on a mapped instance, and where it stands in its life.

    Parameters: one mapped instance. Returns an `ObjectState`; its `name` is "transient" (new), "pending" (added, not
    flushed), "persistent", "deleted" (flushed, not committed) or "detached". Raises NotMappedError. Database: none.
    """
    one = state_of(obj)
    plan = blueprint(one.mapper)
    names = _names(plan)
    loaded = frozenset(key for key in names if _is_loaded(one, plan, key))
    unloaded = frozenset(names) - loaded
    expired = frozenset(
        key for key in unloaded if not one.expired_attributes.isdisjoint(plan.composites.get(key, (key,)))
    )
    found = _changes(one, plan)
    name = _name(one)
    first = f"{object_text(one)} {name}{', modified' if found else ''}"
    lines = [_line(one, plan, key, expired, found) for key in names if plan.units.get(key, key) == key]
    return ObjectState(name, one.key, loaded, unloaded, expired, found, "\n  ".join([first, *lines]))


def changes(obj: object) -> Changes:
    """What was edited on a mapped instance since it was loaded, or since its last flush.

    Parameters: one mapped instance. Returns a Mapping from the attribute to a `Change(old, new)` or, for a collection,
    a `CollectionChange(added, removed)`; falsy when there is no change. A composite is one value under its attribute's
    name. A value that was set back to its base is no change, nor is a collection whose order alone is another. A
    collection that is not loaded but was changed through its backref counts. View-only relationships and SQL
    expressions are never written, and never listed.

    A new object (transient or pending) has no base: each attribute that was set is a change from UNKNOWN, each member
    of a collection is an addition. A plain JSON value that was changed in place is seen on objects that left through
    `detach`, whose base was copied; at home, nobody remembers the old value, and SQLAlchemy itself does not write it.

    Raises NotMappedError. Database: none.
    """
    one = state_of(obj)
    return _changes(one, blueprint(one.mapper))


def _changes(one: State, plan: Blueprint) -> Changes:
    found: dict[str, Change | CollectionChange] = {}
    columns = [key for key in plan.columns if key in one.dict] if one.key is None else edited_columns(one, plan)
    for unit in dict.fromkeys(plan.units[key] for key in columns if plan.columns[key].stored):
        found[unit] = _unit_change(one, plan, unit)
    for rel in plan.relationships.values():
        change = _relationship_change(one, rel) if rel.writable else None
        if change is not None:
            found[rel.key] = change
    return Changes(object_text(one), found)


def _unit_change(one: State, plan: Blueprint, unit: str) -> Change:
    keys = plan.composites.get(unit, (unit,))
    # A value that was deleted with `del` is written as NULL.
    new = [one.dict.get(key, None if key in edited_keys(one) or one.key is None else UNKNOWN) for key in keys]
    old = [UNKNOWN] if one.key is None else [base_value(one, key) for key in keys]
    if unit not in plan.composites:
        return Change(old[0], new[0])
    return Change(_composite(plan, unit, old), _composite(plan, unit, new))


def _composite(plan: Blueprint, unit: str, parts: list[Any]) -> Any:
    if any(part is UNKNOWN for part in parts):
        return UNKNOWN
    make: Any = plan.mapper.composites[unit].composite_class
    return None if all(part is None for part in parts) else make(*parts)


def _relationship_change(one: State, rel: Relationship) -> Change | CollectionChange | None:
    if not rel.many:
        return _reference_change(one, rel)
    added: list[Any]
    removed: list[Any] = []
    if one.key is None and rel.loadable:
        added = list(members(one.dict.get(rel.key, [])))
    elif rel.key not in edited_keys(one):
        return None
    else:
        base = base_of(one, rel.key)
        if not rel.loadable or (rel.key not in one.dict and base is UNKNOWN):
            added, removed = pending_mutations(one, rel.key)
        else:  # empty where it was deleted with `del`
            now = members(one.dict.get(rel.key, []))
            added, removed = (list(now), []) if base is UNKNOWN else (_without(now, base), _without(base, now))
    return CollectionChange(added, removed) if added or removed else None


def _without(these: list[Any], those: list[Any]) -> list[Any]:
    known = {id(obj) for obj in those}
    return [obj for obj in these if id(obj) not in known]


def _reference_change(one: State, rel: Relationship) -> Change | None:
    new = one.dict.get(rel.key)
    if one.key is None:
        return Change(UNKNOWN, new) if rel.key in one.dict else None
    if rel.key not in edited_keys(one):
        return None
    old = base_of(one, rel.key)
    if old is UNKNOWN and rel.foreign_keys:
        # The reference was not loaded, but its foreign key may tell whether it was empty, or meant the same row.
        key = tuple(base_value(one, name) for name in (rel.local_key or rel.foreign_keys))
        if any(part is None for part in key):
            old = None
        elif rel.by_primary_key and new is not None:
            identity = state_of(new).key
            old = new if identity is not None and identity[1] == key else UNKNOWN
    return None if old is new else Change(old, new)


def _names(plan: Blueprint) -> list[str]:
    return [*plan.columns, *plan.composites, *plan.relationships]


def _is_loaded(one: State, plan: Blueprint, key: str) -> bool:
    if key in plan.composites:
        return all(part in one.dict for part in plan.composites[key])
    return key in one.dict and (key in plan.columns or plan.relationships[key].loadable)


def _name(one: State) -> Name:
    if one.key is None:
        return "pending" if one.pending else "transient"
    return "persistent" if one.persistent else "deleted" if one.deleted else "detached"


def _line(one: State, plan: Blueprint, key: str, expired: frozenset[str], found: Changes) -> str:
    rel = plan.relationships.get(key)
    if rel is not None and not rel.loadable:
        text = "not held in memory"
    elif not _is_loaded(one, plan, key):
        gone = "not set" if one.key is None else "expired" if key in expired else "not loaded"
        text = "None" if isinstance(found.get(key), Change) else gone
    elif rel is not None:
        text = _held(one.dict[key], rel)
    elif key in plan.composites:
        text = _composite_text(plan, key, [one.dict[part] for part in plan.composites[key]])
    else:
        text = value_text(one.dict[key])
    mark = "  key" if key in plan.primary_key else ""
    return f"{key}: {text}{mark}{_history(one, plan, found.get(key), key)}"


def _held(value: Any, rel: Relationship) -> str:
    if not rel.many:
        return member_text(value)
    if isinstance(value, dict):
        return f"{{{keyed_text(value)}}}"
    return f"[{members_text(members(value))}]"


def _history(one: State, plan: Blueprint, change: Change | CollectionChange | None, key: str) -> str:
    if isinstance(change, CollectionChange):
        sides = (("added", change.added), ("removed", change.removed))
        return "".join(f"  {verb} {members_text(objects)}" for verb, objects in sides if objects)
    if change is None or one.key is None:
        return ""
    if change.old is UNKNOWN:
        return "  was unknown"
    if key in plan.relationships:
        return f"  was {member_text(change.old)}"
    if key in plan.composites:
        return f"  was {_composite_text(plan, key, [base_value(one, part) for part in plan.composites[key]])}"
    return f"  was {value_text(change.old)}"


def _composite_text(plan: Blueprint, key: str, parts: list[Any]) -> str:
    name = getattr(plan.mapper.composites[key].composite_class, "__name__", key)
    return "None" if all(part is None for part in parts) else f"{name}({', '.join(map(value_text, parts))})"


def _value_or_object(value: Any) -> str:
    mapped = isinstance(inspect(value, raiseerr=False), InstanceState)
    return member_text(value) if mapped else value_text(value)
