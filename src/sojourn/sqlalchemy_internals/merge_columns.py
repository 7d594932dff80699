"""Plain columns merged as one function.

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

from sqlalchemy.orm import ColumnProperty, Mapper, attributes
from sqlalchemy.orm.base import NO_VALUE

from sojourn.sqlalchemy_internals.loading import class_notes
from sojourn.sqlalchemy_internals.state import State

# SQLAlchemy 2.1 writes this name with an underscore.
_SCALAR = getattr(attributes, "_ScalarAttributeImpl", None) or cast(Any, attributes).ScalarAttributeImpl

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


def columns_of(mapper: Mapper[Any], props: Sequence[ColumnProperty[Any]]) -> list[Columns]:
    """These columns as a step of their own; none, where there are none. Database: none."""
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
    kind = "kept" if active_history(impl) else "plain"
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
    """The usual case, with nothing to ask: both sides have all of the columns, and no old value is noted yet."""
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


def active_history(impl: Any) -> bool:
    """Whether setting the attribute loads its old value first."""
    return bool(impl.dispatch._active_history)
