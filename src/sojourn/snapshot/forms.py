"""How `to_dict` writes the objects of each class at each place of the shape: an outline made ready to work with.

Who takes the columns out of an object, which types have a form of their own, and what makes the dict are found out once
for all objects of a class at a place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.shape import Shape
from sojourn.snapshot.outline import outline
from sojourn.snapshot.values import Codec, registered_codec

Plain = dict[str, Any]
Build = Callable[[Iterable[tuple[Any, ...]]], list[Plain]]  # makes a dict of each row of plain values
Field = tuple[str, tuple[str, ...] | None]  # a name and, for a composite, those of its parts


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How the objects of one class are written at one place of the shape."""

    plan: Blueprint
    picks: Mapping[str, Callable[[Any], Any]]  # column attribute -> what takes it out of an object's `__dict__`
    codecs: Mapping[str, Codec]  # those that were registered for the columns' types
    build: Build
    references: tuple[FormReference, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FormReference:
    """One relationship that is written. `repeats`: an object on the way to here could stand here again."""

    key: str
    many: bool
    repeats: bool
    place: Place


class Place(dict[type, Form]):
    """The forms at one place of the shape, by class. Made where objects are, as the shape itself grows."""

    def __init__(self, shape: Shape, places: dict[Shape, Place]) -> None:
        super().__init__()
        self.shape, self.places = shape, places

    def __missing__(self, class_: type) -> Form:
        form = self[class_] = _form(blueprint(class_), self.shape, self.places)
        return form


def place_of(shape: Shape, places: dict[Shape, Place]) -> Place:
    """The place of a shape, made when it is first asked for and kept in `places`. Pure."""
    found = places.get(shape)
    if found is None:
        found = places[shape] = Place(shape, places)
    return found


def _form(plan: Blueprint, shape: Shape, places: dict[Shape, Place]) -> Form:
    lines = outline(plan, shape)
    keys = [key for field in lines.fields.values() for key in ([field] if isinstance(field, str) else field.values())]
    fields = tuple((name, None if isinstance(field, str) else tuple(field)) for name, field in lines.fields.items())
    references = tuple(
        FormReference(one.relationship.key, one.relationship.many, one.repeats, place_of(one.shape, places))
        for one in lines.references
    )
    codecs = {key: codec for key in keys if (codec := registered_codec(plan.columns[key].type)) is not None}
    return Form(plan, {key: itemgetter(key) for key in keys}, codecs, _builder(fields), references)


@lru_cache(maxsize=1000)
def _builder(fields: tuple[Field, ...]) -> Build:
    """A function that makes a dict of each row. Generated, because a dict display takes a third of `dict(zip())`."""
    variables: list[str] = []
    members_of: list[str] = []
    for name, parts in fields:
        values = [f"v{len(variables) + offset}" for offset in range(1 if parts is None else len(parts))]
        variables += values
        nested = ", ".join(f"{part!r}: {value}" for part, value in zip(parts or (), values, strict=False))
        members_of.append(f"{name!r}: " + (values[0] if parts is None else f"{{{nested}}}"))
    row = "".join(f"{variable}, " for variable in variables)
    made: dict[str, Any] = {}
    source = f"def build(rows):\n    return [{{{', '.join(members_of)}}} for ({row}) in rows]"
    exec(source, made)  # each attribute name in it is a literal
    build: Build = made["build"]
    return build
