"""What stands in the plain form of an object: the part of a shape that `to_dict` writes and `json_schema` describes.

Both read this, so that they cannot disagree. It is less than the shape that `detach` takes along: a relationship that
is mapped as eager says how to load, not what to publish, so only those are in that an option names; and columns that
only sojourn needs are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass

from sqlalchemy.orm import CompositeProperty

from sojourn.mapping.blueprint import Blueprint, Relationship
from sojourn.mapping.shape import Branch, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One relationship that is written. `repeats`: an object on the way to here could stand here again."""

    relationship: Relationship
    shape: Shape
    repeats: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The names in the plain form of one class at one place, in their order.

    `fields` are column attributes under their own names, and composites: {name of a part: column attribute}.
    """

    plan: Blueprint
    fields: Mapping[str, str | Mapping[str, str]]
    references: tuple[Reference, ...]


def outline(plan: Blueprint, shape: Shape) -> Outline:
    """What is written of the objects of a class at a place of a shape. Pure."""
    written: dict[str, str | dict[str, str]] = {}
    for key in shape.selected_columns(plan):
        unit = plan.units[key]
        if unit == key:
            written[key] = key
        else:
            parts = written.setdefault(unit, {})
            assert isinstance(parts, dict)  # an attribute is a column or a composite
            parts[part_names(plan, unit)[key]] = key
    references = [
        Reference(rel, branch.shape, _repeats(rel, branch, shape))
        for rel, branch in shape.branches(plan)
        if branch.wanted or any(said.relationships for said in (shape.wildcards, shape.general.wildcards))
    ]
    return Outline(plan, written, tuple(references))


def part_names(plan: Blueprint, composite: str) -> dict[str, str]:
    """Column attribute -> its name in the composite: the dataclass's own, else that of the column attribute."""
    keys = plan.composites[composite]
    prop = plan.mapper.attrs[composite]
    class_ = prop.composite_class if isinstance(prop, CompositeProperty) else None
    names = [each.name for each in fields(class_) if each.init] if is_dataclass(class_) else []
    return dict(zip(keys, names if len(names) == len(keys) else keys, strict=True))


def _repeats(rel: Relationship, branch: Branch, shape: Shape) -> bool:
    return branch.repeated or rel.target.base_mapper in {mapper.base_mapper for mapper in shape.path}
