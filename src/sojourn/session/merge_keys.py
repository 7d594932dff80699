"""Which keys of a merge can be looked for in bulk: those that every database finds where Python would.

`Session.merge` asks for one row at a time, and whether a text "1" finds the number 1, or "a" finds "A", is the
database's to say. In bulk it is Python that puts rows and keys together, so only keys of which nobody could doubt take
part; the others are left to SQLAlchemy.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.sql import ColumnElement
from sqlalchemy.types import TypeDecorator

from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.columns import python_type_of
from sojourn.session.keys import Key
from sojourn.sqlalchemy_internals import State, Visit


class LocalKey:
    """What the members of the targets of one class will be found by once these are merged."""

    def __init__(self, mapper: Mapper[Any], prop: RelationshipProperty[Any]) -> None:
        plan = blueprint(mapper)
        self.primary_key = plan.primary_key
        self.names = plan.relationships[prop.key].local_key or plan.primary_key
        self.columns = [plan.columns[name].column for name in self.names]
        self.exact = exact_types(self.columns)

    def __call__(self, visit: Visit, target: State | None) -> Key | None:
        """None where that is best left to SQLAlchemy."""
        names, here = self.names, visit.loaded
        local: Key = visit.key[1]  # the primary key is known before the row is
        if target is not None or names != self.primary_key:
            there = dict(zip(self.primary_key, local, strict=True)) | (target.dict if target is not None else {})
            try:
                local = tuple([there[name] for name in names])
            except KeyError:
                return None
        for name, value, class_ in zip(names, local, self.exact, strict=True):
            if here.get(name, value) != value or (
                value is not None and class_ is not None and type(value) is not class_
            ):
                return None
        return local


def exact_types(columns: Sequence[ColumnElement[Any]]) -> list[type | None]:
    """The types that values of these columns have to be of, so that no database takes them for something else."""
    return [None if isinstance(one.type, TypeDecorator) else python_type_of(one.type) for one in columns]


def is_exact(types: Sequence[type | None], key: Key) -> bool:
    for class_, value in zip(types, key, strict=True):
        if value is None or not (class_ is None or type(value) is class_):
            return False
    return True


def folded(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_fold(value) if isinstance(value, str) else value for value in key[1])


def _fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(one for one in plain if not unicodedata.combining(one)).rstrip()
