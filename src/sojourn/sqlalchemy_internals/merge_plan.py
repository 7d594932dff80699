"""How the objects of one class are merged: its properties in SQLAlchemy's order, plain columns as one function.

`Session.merge` asks each property of each object to merge itself. Most are columns that nobody listens to, and all that
such a one does is to note the old value and to put the new one into `__dict__`. A run of these is one function here,
whose source is made for their names. Every other column is still merged by SQLAlchemy's own property.

An old value is noted only where it differs from the new one: the history of an attribute that was set to what it was is
the same without. Values count as the same where nobody could tell them apart, which 1 and True, 1.0 and Decimal("1.00")
are not. The object is dirty in any case, as with `Session.merge`.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty, attributes, unitofwork
from sqlalchemy.orm.base import NO_VALUE
from sqlalchemy.orm.collections import InstrumentedList
from sqlalchemy.orm.interfaces import MapperProperty

from sojourn.sqlalchemy_internals.loading import class_notes
from sojourn.sqlalchemy_internals.state import State

_private = cast(Any, attributes)
# SQLAlchemy 2.1 writes these names with an underscore.
_SCALAR = getattr(_private, "_ScalarAttributeImpl", None) or _private.ScalarAttributeImpl
_REFERENCE = getattr(_private, "_ScalarObjectAttributeImpl", None) or _private.ScalarObjectAttributeImpl
_COLLECTION = getattr(_private, "_CollectionAttributeImpl", None) or _private.CollectionAttributeImpl
_OWN_LISTENERS = {attributes.__name__, unitofwork.__name__}

_MISSING = object()
_EXACT = {int, str, bool, bytes, datetime.date, datetime.timedelta, uuid.UUID}  # what is equal is the same

Run: TypeAlias = Callable[[Any, State, dict[str, Any], State, dict[str, Any]], None]
"""`run(merging, source state, source dict, target state, target dict)` merges some columns; `merging` has the
`session`, the bookkeeping of the root, `done` and `by_key`, and what to call: `mark` and `refresh`."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Some columns that follow each other."""

    run: Run
    props: tuple[ColumnProperty[Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """One relationship that merge follows."""

    prop: RelationshipProperty[Any]
    key: str
    many: bool
    local: tuple[str, ...]  # the columns here that it is loaded by
    reverse: tuple[RelationshipProperty[Any], ...]  # who came through one of these does not go back through this one
    reads_old: bool  # setting the reference loads what was there
    quiet: bool  # nobody listens, so setting what is there already is nothing but a mark on the parent


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How the objects of one class are merged."""

    mapper: Mapper[Any]
    manager: Any
    steps: tuple[Columns | Relation, ...]  # in SQLAlchemy's order
    columns: tuple[Columns, ...]
    relations: tuple[Relation, ...]
    old_readers: tuple[Relation, ...]  # references of which setting one loads what was there
    order: tuple[str, ...]  # the attributes of the steps
    versioned: bool
    foreign: bool  # a property merges itself in a way of its own


def plan_of(mapper: Mapper[Any]) -> Plan:
    """The plan of a mapper, as its listeners are now. Database: none."""
    manager = mapper.class_manager
    steps: list[Columns | Relation] = []
    run: list[ColumnProperty[Any]] = []
    foreign = False
    for prop in mapper.iterate_properties:
        merge = type(prop).merge
        if merge is ColumnProperty.merge:
            column = cast(ColumnProperty[Any], prop)
            run += [column] if column.instrument else []
        elif merge is RelationshipProperty.merge:
            relation = _relation(manager, cast(RelationshipProperty[Any], prop))
            if relation is not None:
                steps += [*_columns(mapper, run), relation]
                run = []
        elif merge is not MapperProperty.merge:
            foreign = True
    steps += _columns(mapper, run)
    return Plan(
        mapper=mapper,
        manager=manager,
        steps=tuple(steps),
        columns=tuple(step for step in steps if isinstance(step, Columns)),
        relations=tuple(step for step in steps if isinstance(step, Relation)),
        old_readers=tuple(step for step in steps if isinstance(step, Relation) and step.reads_old),
        order=tuple(key for step in steps for key in _keys(step)),
        versioned=mapper.version_id_col is not None,
        foreign=foreign,
    )


def _keys(step: Columns | Relation) -> list[str]:
    return [step.key] if isinstance(step, Relation) else [prop.key for prop in step.props]


def reads_old(state: State, key: str) -> bool:
    """Whether merging this attribute loads the value that was there, as for a key, and for any collection."""
    impl: Any = state.manager[key].impl
    return bool(impl.collection) or _active_history(impl)


def _relation(manager: Any, prop: RelationshipProperty[Any]) -> Relation | None:
    if "merge" not in prop.cascade:
        return None
    impl = manager[prop.key].impl
    many = bool(prop.uselist)
    return Relation(
        prop=prop,
        key=prop.key,
        many=many,
        local=tuple(
            manager.mapper.get_property_by_column(column).key
            for column in prop.local_columns
            if column in manager.mapper._columntoproperty
        ),
        reverse=tuple(prop._reverse_property),
        reads_old=not many and _active_history(impl),
        quiet=_quiet_collection(prop, impl) if many else _quiet_reference(impl),
    )


def _quiet_collection(prop: RelationshipProperty[Any], impl: Any) -> bool:
    dispatch = impl.dispatch
    if type(impl) is not _COLLECTION or impl.collection_factory is not InstrumentedList:
        return False
    # SQLAlchemy's own listener for a member that stays takes it into the session, where it is.
    own = 0 if prop.viewonly else 1
    listened = dispatch.bulk_replace or dispatch.init_collection or dispatch.dispose_collection
    return not listened and len(list(dispatch.append_wo_mutation)) <= own


def _quiet_reference(impl: Any) -> bool:
    if type(impl) is not _REFERENCE or impl.trackparent or not impl.send_modified_events or _active_history(impl):
        return False
    # SQLAlchemy's own, for the cascade and the other side, do nothing about a value that stays.
    return all(listener.__module__ in _OWN_LISTENERS for listener in impl.dispatch.set)


def _active_history(impl: Any) -> bool:
    return bool(impl.dispatch._active_history)


# --- columns ---


def _columns(mapper: Mapper[Any], props: Sequence[ColumnProperty[Any]]) -> list[Columns]:
    if not props:
        return []
    kinds = tuple((prop, _kind(mapper, prop)) for prop in props)
    made: dict[Any, Columns] = class_notes(mapper).setdefault("sojourn.merge", {})
    found = made.get(kinds)
    if found is None:
        found = made[kinds] = Columns(_make_run(kinds), tuple(props))
    return [found]


def _kind(mapper: Mapper[Any], prop: ColumnProperty[Any]) -> str:
    """Who sets the column: "plain", this module; "kept", it too where the old value is loaded; "own", SQLAlchemy."""
    impl: Any = mapper.class_manager[prop.key].impl
    if type(impl) is not _SCALAR or impl.dispatch.set or not impl.send_modified_events:
        return "own"
    kind = "kept" if _active_history(impl) else "plain"
    # A type that says itself what is equal is asked, later, by SQLAlchemy: it gets all old values.
    compares = type(prop.columns[0].type).compare_values.__module__
    return kind if compares.startswith("sqlalchemy.") else f"{kind} noted"


def _make_run(kinds: Sequence[tuple[ColumnProperty[Any], str]]) -> Run:
    lines = ["def run(m, ss, source, ts, target):", "    noted = ts.committed_state"]
    if all(kind != "own" for _, kind in kinds):
        lines += _all_at_once(kinds)
    lines.append("    marked = False")
    names: dict[str, Any] = {}
    for position, (prop, kind) in enumerate(kinds):
        key, name = prop.key, f"p{position}"
        names[name] = prop
        own = f"{name}.merge(m.session, ss, source, ts, target, True, m.done, m.by_key)"
        if kind == "own":
            lines.append(f"    {own}")
            continue
        if kind.startswith("kept"):
            lines += [
                f"    if {key!r} not in target and {key!r} in source: m.refresh(ts, target)",
                f"    if {key!r} not in target: {own}",
                "    else:",
            ]
            missing = "pass"
        else:
            lines.append("    if True:")
            missing = f"if ts.key is not None and {key!r} not in target: ts._expire_attributes(target, [{key!r}], True)"
        lines += [
            f"        v = source.get({key!r}, missing)",
            f"        if v is missing:\n            {missing}",
            "        else:",
            "            if not marked:",
            "                marked = True",
            f"                {_IS_MARKED} or m.mark(ts, target)",
            f"            if {key!r} not in noted:",
            f"                o = target.get({key!r}, missing)",
            f"                if v is not o and {_differs(kind)}: noted[{key!r}] = no_value if o is missing else o",
            f"            target[{key!r}] = v",
        ]
    names |= {"missing": _MISSING, "no_value": NO_VALUE, "exact": _EXACT, "unlike": _unlike}
    exec("\n".join(lines), names)
    run: Run = names["run"]
    return run


def _all_at_once(kinds: Sequence[tuple[ColumnProperty[Any], str]]) -> list[str]:
    """The usual case in half the time: both sides have all of the columns, and no old value is noted yet."""
    lines = ["    if not noted:", "        try:"]
    for position, (prop, _) in enumerate(kinds):
        lines.append(f"            v{position} = source[{prop.key!r}]; o{position} = target[{prop.key!r}]")
    lines += ["        except KeyError:", "            pass", "        else:"]
    lines.append(f"            {_IS_MARKED} or m.mark(ts, target)")
    for position, (prop, kind) in enumerate(kinds):
        lines += [
            f"            v = v{position}; o = o{position}",
            "            if v is not o:",
            f"                if {_differs(kind)}: noted[{prop.key!r}] = o",
            f"                target[{prop.key!r}] = v",
        ]
    return [*lines, "            return"]


# What SQLAlchemy asks before it notes that an object is dirty.
_IS_MARKED = "(ts.modified and (not ts.session_id or ts._strong_obj is not None))"


def _differs(kind: str) -> str:
    """Of a value and another one that is not the same object."""
    if kind.endswith("noted"):
        return "True"
    return "(v.__class__ is not o.__class__ or (v != o if v.__class__ in exact else unlike(v, o)))"


def _unlike(value: Any, other: Any) -> bool:
    """Whether two values of one class can be told apart, where its `==` does not tell all."""
    class_ = value.__class__
    if class_ is decimal.Decimal:
        return bool(value.compare_total(other))
    if class_ is datetime.datetime or class_ is datetime.time:
        return value.tzinfo is not other.tzinfo or value.fold != other.fold or bool(value != other)
    return class_ is not float or bool(value != other) or not value  # 0.0 and -0.0
