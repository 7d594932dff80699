"""The three-way merge of one object's columns: which values stand, decided before anything is written.

A composite is one value. A foreign key that serves an edited reference is decided with the reference, and the version
counter is nobody's edit: it follows the row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, is_dataclass
from typing import Any

from sojourn.errors import UNKNOWN, BadArgumentError, Conflict
from sojourn.mapping.base import same
from sojourn.mapping.blueprint import Blueprint
from sojourn.reconcile import merge_value
from sojourn.session.report import Rulings

Side = Callable[[str], Any]
Writes = dict[str, tuple[Any, Any]]  # column attribute -> (what is stored, what shall be)


def merge_columns(
    plan: Blueprint,
    identity: tuple[Any, ...] | None,
    edited: Iterable[str],
    sides: tuple[Side, Side, Side],
    rulings: Rulings,
    leave: Collection[str] = (),
) -> dict[str, Any]:
    """What the edited column attributes shall hold, after conflicts were ruled on.

    `sides` are functions from a column attribute to its base, my and their value; `leave` are attributes decided
    elsewhere. Database: none.
    """
    base, mine, theirs = sides
    result: dict[str, Any] = {}
    for unit, keys in _units(plan, edited, leave).items():
        bases, mines, theirss = (tuple(side(key) for key in keys) for side in (base, mine, theirs))
        unit_base = UNKNOWN if any(value is UNKNOWN for value in bases) else bases
        outcome = merge_value(unit_base, mines, theirss, _equality(plan, keys))
        final = outcome.value
        shown = [_shown(plan, unit, side) for side in (unit_base, mines, theirss)]
        if outcome.conflict:
            conflict = Conflict(identity, unit, shown[0], shown[1], shown[2])
            final = _values(plan, unit, rulings.rule(conflict), conflict, (mines, theirss))
        elif outcome.merged:
            rulings.note(identity, unit, (*shown, _shown(plan, unit, final)))
        result.update(zip(keys, final, strict=True))
    return result


def note_theirs(
    plan: Blueprint,
    identity: tuple[Any, ...] | None,
    unedited: Iterable[str],
    sides: tuple[Side, Side],
    rulings: Rulings,
) -> None:
    """Note which attributes that I left alone they have changed; `sides` are base and theirs. Database: none."""
    base, theirs = sides
    for unit, keys in _units(plan, unedited, ()).items():
        bases, theirss = (tuple(side(key) for key in keys) for side in (base, theirs))
        if not any(value is UNKNOWN for value in bases) and not _equality(plan, keys)(bases, theirss):
            before, after = _shown(plan, unit, bases), _shown(plan, unit, theirss)
            rulings.note(identity, unit, (before, before, after, after))


def _units(plan: Blueprint, keys: Iterable[str], leave: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The values that the columns make up, by name, each with its columns: a composite is one."""
    units = (plan.units[key] for key in keys if key != plan.version and key not in leave)
    return {unit: plan.composites.get(unit, (unit,)) for unit in units}


def _equality(plan: Blueprint, keys: tuple[str, ...]) -> Callable[[Any, Any], bool]:
    def equal(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
        return all(same(plan, key, a, b) for key, a, b in zip(keys, one, other, strict=True))

    return equal


def _shown(plan: Blueprint, unit: str, values: Any) -> Any:
    if values is UNKNOWN:
        return UNKNOWN
    if unit not in plan.composites:
        return values[0]
    make: Any = plan.mapper.composites[unit].composite_class
    return None if all(value is None for value in values) else make(*values)


def _values(
    plan: Blueprint, unit: str, ruled: Any, conflict: Conflict, sides: tuple[tuple[Any, ...], tuple[Any, ...]]
) -> tuple[Any, ...]:
    if ruled is conflict.mine:
        return sides[0]
    if ruled is conflict.theirs:
        return sides[1]
    if unit not in plan.composites:
        return (ruled,)
    if ruled is None:
        return (None,) * len(plan.composites[unit])
    if hasattr(ruled, "__composite_values__"):
        return tuple(ruled.__composite_values__())
    if is_dataclass(ruled):
        return tuple(getattr(ruled, one.name) for one in fields(ruled))
    raise BadArgumentError(f"on_conflict gave {type(ruled).__name__} for the composite {plan.entity}.{unit}.")
