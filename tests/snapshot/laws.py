"""What a round trip through bytes keeps, said of each object of a graph: a picture that an object and its copy share.

Copies have two things besides, which the format says: the reference that leads back from a loaded collection is filled,
and what was deleted with `del` holds None, or nothing, with the same base. And they lack one: what came to an owner and
left it again before anybody looked is an orphan to SQLAlchemy, and its copy is not. Nor does it know of a column that
was deleted with `del` and had not been loaded, which SQLAlchemy cannot flush.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from sqlalchemy import inspect

from sojourn.errors import UNKNOWN
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.graph import former, walk
from sojourn.mapping.state import Change, CollectionChange, state
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, is_orphan, members, pending_mutations
from tests.snapshot.documents import edits, history

ENCODINGS: tuple[Literal["json", "msgpack"], ...] = ("json", "msgpack")


def name_of(obj: Any) -> Any:
    """What an object and its copy have in common: the identity, or the token that a first dump gave it."""
    one = inspect(obj)
    return one.key or one.info["sojourn.token"]


def names(objs: Iterable[Any]) -> list[str]:
    return sorted(str(name_of(obj)) for obj in objs)


def everything(objs: Iterable[Any]) -> list[Any]:
    """The graph, with what came to or left collections that are not loaded."""
    found: dict[int, Any] = {}
    queue = list(objs)
    while queue:
        met = [one.obj() for one in walk(queue) if id(one.obj()) not in found]
        found.update((id(obj), obj) for obj in met)
        queue = [
            member
            for obj in met
            for rel in blueprint(obj).relationships.values()
            for changed in pending_mutations(inspect(obj), rel.key)
            for member in changed
            if id(member) not in found
        ]
    return list(found.values())


def pictures(objs: Iterable[Any]) -> dict[Any, dict[str, Any]]:
    """The picture of each object of a graph, by its name."""
    return {name_of(obj): picture(obj) for obj in everything(objs)}


def picture(obj: Any) -> dict[str, Any]:
    """All that a round trip shall keep of an object. Database: none."""
    one, plan = inspect(obj), blueprint(obj)
    told: dict[str, Any] = {"class": type(obj), "new": one.key is None, "orphan": is_orphan(one)}
    for key in plan.columns:
        told[key] = (type(one.dict[key]), one.dict[key]) if key in one.dict else "not loaded"
        told[f"{key} edited"] = edits(obj).get(key, "no") if one.key else None
    for rel in plan.relationships.values():
        told[rel.key] = _related(one.dict[rel.key], rel.many) if rel.loadable and rel.key in one.dict else "not loaded"
        told[f"{rel.key} pending"] = [names(changed) for changed in pending_mutations(one, rel.key)]
        recorded = rel.key in edited_keys(one)
        told[f"{rel.key} base"] = _base(one, rel.key, rel.many) if recorded and one.key else None
    if one.session is None:  # in a session SQLAlchemy may load to know it
        # Of a value that was changed in place SQLAlchemy knows no base, and a copy does.
        loaded = [key for key in (*plan.columns, *plan.relationships) if key in one.dict and key not in plan.mutable]
        told |= {f"{key} history": [*map(_part, history(obj, key))] for key in loaded if key in one.manager}
    seen = state(obj)
    told["changes"] = {key: _change(change) for key, change in seen.changes.items()}
    told["loaded"] = seen.loaded
    return told


def _related(value: Any, many: bool) -> Any:
    if not many:
        return None if value is None else name_of(value)
    if isinstance(value, dict):
        return [name_of(member) for member in value.values()], type(value)
    return names(value) if isinstance(value, set) else [name_of(member) for member in members(value)], type(value)


def _part(part: Any) -> list[Any]:
    """One part of a history: values as they are, objects by their names in no order."""
    told = [name_of(one) if inspect(one, raiseerr=False) is not None else one for one in part or ()]
    return sorted(told, key=str) if len(told) > 1 else told


def _base(one: State, key: str, many: bool) -> Any:
    """What a relationship held before, where that was recorded and is something else than now."""
    base = base_of(one, key)
    if many:
        if base is UNKNOWN or base is None:
            return base if key in one.dict else None  # what came and went unseen is pending
        before = names(members(base))
        return None if key in one.dict and before == names(members(one.dict[key])) else before
    if key in one.dict and base is one.dict[key]:
        return None
    return base if base is UNKNOWN or base is None else name_of(base)


def _change(change: Change | CollectionChange) -> Any:
    if isinstance(change, CollectionChange):
        return names(change.added), names(change.removed)
    return [_side(side) for side in (change.old, change.new)]


def _side(value: Any) -> Any:
    if hasattr(value, "__composite_values__"):  # which may be compared by identity
        return value.__composite_values__()
    return name_of(value) if inspect(value, raiseerr=False) is not None else value


def differences(before: dict[Any, dict[str, Any]], after: dict[Any, dict[str, Any]], objs: Iterable[Any]) -> list[str]:
    """Where copies tell something else than their originals, `objs`; what the format says apart."""
    found = [f"{name} is only in one" for name in before.keys() ^ after.keys()]
    taken_out = _taken_out(everything(objs))
    for obj in everything(objs):
        name, one, plan = name_of(obj), inspect(obj), blueprint(obj)
        if name not in after:
            continue
        excused = _deleted(one, plan) | _backwards(one, plan) | {f"{key} edited" for key in _deleted_unseen(one, plan)}
        if before[name]["orphan"] and (id(obj) not in taken_out or _is_displaced(one, plan)):
            excused.add("orphan")
        for key, told in before[name].items():
            mine, yours = told, after[name][key]
            if key == "loaded":
                mine, yours = mine - excused, yours - excused
            elif key == "changes":
                known = _told_by_identity(one, plan)
                unseen = _deleted_unseen(one, plan) | known
                mine = {at: change for at, change in mine.items() if at not in unseen}
                filled = _backwards(one, plan) if one.key is None else set()  # all that a new object has is a change
                yours = {at: change for at, change in yours.items() if at not in known | filled}
            if key not in excused and mine != yours:
                found.append(f"{name} {key}: {told!r} came back as {after[name][key]!r}")
    return found


def _taken_out(objs: Iterable[Any]) -> set[int]:
    """What was owned and is not owned any more, by id. What another owner holds in the same place was moved, even where
    SQLAlchemy took it out of its former one after that and marked it."""
    lost: set[tuple[int, Any]] = set()
    held: set[tuple[int, Any]] = set()
    for obj in objs:
        one = inspect(obj)
        for rel in blueprint(obj).relationships.values():
            if rel.owns:
                gone = [*pending_mutations(one, rel.key)[1], *former(one, rel.key, rel.many)]
                lost.update((id(member), rel.property) for member in gone)
                held.update((id(member), rel.property) for member in _held(one, rel.key, rel.many))
    return {member for member, _ in lost - held}


def _is_displaced(one: State, plan: Blueprint) -> bool:
    """Whether the owner that it refers to does not hold it: another member has taken its place in a dict, so that it
    came and left before anybody looked."""
    for rel in plan.relationships.values():
        owner = one.dict.get(rel.key) if not rel.many and rel.inverse else None
        owning = None if owner is None else blueprint(owner).relationships[rel.inverse or ""]
        if owning is None or not owning.owns or owning.key not in owner.__dict__:
            continue
        if all(member is not one.obj() for member in _held(inspect(owner), owning.key, owning.many)):
            return True
    return False


def _held(one: State, key: str, many: bool) -> list[Any]:
    value = one.dict.get(key)
    return [] if value is None else list(members(value)) if many else [value]


def _deleted(one: State, plan: Blueprint) -> set[str]:
    """What was deleted with `del`, and the primary key, which comes back from the identity."""
    if one.key is None:
        return set()
    gone = {key for key in edited_keys(one) if key not in one.dict}
    return gone | (set(plan.primary_key) - one.dict.keys())


def _deleted_unseen(one: State, plan: Blueprint) -> set[str]:
    """Columns that were deleted with `del` before they were ever loaded: a copy has them to be loaded."""
    return {key for key in _deleted(one, plan) if key in plan.columns and base_of(one, key) is UNKNOWN}


def _told_by_identity(one: State, plan: Blueprint) -> set[str]:
    """References that were set unseen, whose foreign key is an expired primary key: it comes back from the identity,
    so a copy may tell what its original cannot, where they had pointed."""
    expired = set(plan.primary_key) - one.dict.keys() if one.key is not None else set()
    return {
        rel.key
        for rel in plan.relationships.values()
        if not rel.many and rel.key in edited_keys(one) and base_of(one, rel.key) is UNKNOWN
        if not expired.isdisjoint(rel.local_key or rel.foreign_keys)
    }


def _backwards(one: State, plan: Blueprint) -> set[str]:
    """References that are not loaded, and that the other side's loaded collection fills."""
    return {rel.key for rel in plan.relationships.values() if not rel.many and rel.inverse and rel.key not in one.dict}
