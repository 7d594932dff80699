"""What one mapper looks like, compiled once.

A blueprint answers the questions that every verb asks of a mapping (which attributes are columns, which one is the
version counter, which children are owned, how a collection finds its rows) without asking SQLAlchemy again for each
object. It is kept with the mapper and compiled anew when attributes were added to the mapper in the meantime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import ColumnProperty, CompositeProperty, Mapper
from sqlalchemy.sql.selectable import FromClause

from sojourn.errors import NotMappedError
from sojourn.mapping.columns import ColumnAttribute, column_attribute, primary_key_of
from sojourn.mapping.relationships import Relationship, relationship_of
from sojourn.sqlalchemy_internals import class_notes, identity_class

__all__ = ["Blueprint", "ColumnAttribute", "Plans", "Relationship", "blueprint", "getter"]

_KEY = "sojourn.blueprint"


@dataclass(frozen=True, eq=False)
class Blueprint:
    """Everything that the verbs need to know of one mapper."""

    mapper: Mapper[Any]
    class_: type
    entity: str
    columns: dict[str, ColumnAttribute]
    primary_key: tuple[str, ...]
    version: str | None
    relationships: dict[str, Relationship]
    composites: dict[str, tuple[str, ...]]
    units: dict[str, str]  # column attribute -> the composite that it belongs to, else itself
    mutable: tuple[str, ...]
    own_key: dict[str, str] = field(default_factory=dict)  # column attribute -> to-one relationship that it serves

    @property
    def stored(self) -> tuple[str, ...]:
        """The attributes that are columns of a table."""
        return tuple(key for key, column in self.columns.items() if column.stored)

    @property
    def table(self) -> FromClause:
        """What a row of this mapper is selected from: a table, or the join of an inheritance chain."""
        return self.mapper.persist_selectable

    @property
    def base_class(self) -> type:
        """The class that identity keys of this mapper carry: a table of its own (concrete) makes keys of its own."""
        return identity_class(self.mapper)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits over attribute names, column types and relationships: changes when the mapping does."""
        lines = [f"{key}:{type(column.type).__name__}" for key, column in sorted(self.columns.items())]
        lines += [f"{key}>{rel.target.class_.__name__}" for key, rel in sorted(self.relationships.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def blueprint(mapped: Mapper[Any] | type | object) -> Blueprint:
    """The blueprint of a mapper, a mapped class or a mapped instance. Database: none.

    Raises NotMappedError.
    """
    mapper = mapped if isinstance(mapped, Mapper) else _mapper(mapped)
    notes = class_notes(mapper)
    found = notes.get(_KEY)
    if found is not None and found[0] == len(mapper.attrs):
        return cast(Blueprint, found[1])
    compiled = _compile(mapper)
    notes[_KEY] = (len(mapper.attrs), compiled)
    return compiled


class Plans(dict[type, Blueprint]):
    """The blueprints of the classes that a loop over many objects meets, looked up once a class."""

    def __missing__(self, class_: type) -> Blueprint:
        found = self[class_] = blueprint(class_)
        return found


def getter(keys: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function from a mapping to the tuple of these keys' values (`itemgetter` gives a bare value for one key)."""
    if len(keys) == 1:
        key = keys[0]
        return lambda source: (source[key],)
    return itemgetter(*keys) if keys else lambda source: ()


def _mapper(mapped: object) -> Mapper[Any]:
    try:
        inspected: Any = inspect(mapped if isinstance(mapped, type) else type(mapped))
    except NoInspectionAvailable:
        raise NotMappedError(mapped) from None
    if not isinstance(inspected, Mapper):
        raise NotMappedError(mapped)
    return inspected


def _is_of_union(mapper: Mapper[Any], prop: ColumnProperty[Any]) -> bool:
    """Whether a property is the discriminator that only the union of concrete tables has, not the class's own table."""
    table = getattr(prop.columns[0], "table", None)
    return table is not None and not mapper.persist_selectable.is_derived_from(table)


def _compile(mapper: Mapper[Any]) -> Blueprint:
    attributes = mapper.attrs  # configures the mappers
    columns = {
        prop.key: column_attribute(mapper, prop)
        for prop in attributes
        # A discriminator that is an SQL expression is a property, but no attribute of the class.
        if isinstance(prop, ColumnProperty) and prop.key in mapper.class_manager and not _is_of_union(mapper, prop)
    }
    composites = {
        prop.key: tuple(part.key for part in prop.props) for prop in attributes if isinstance(prop, CompositeProperty)
    }
    in_composite = {key: name for name, keys in composites.items() for key in keys}
    relationships = {prop.key: relationship_of(mapper, prop) for prop in mapper.relationships}
    version = mapper.version_id_col
    return Blueprint(
        mapper=mapper,
        class_=mapper.class_,
        entity=mapper.class_.__name__,
        columns=columns,
        primary_key=primary_key_of(mapper),
        version=mapper.get_property_by_column(version).key if version is not None else None,
        relationships=relationships,
        composites=composites,
        units={key: in_composite.get(key, key) for key in columns},
        mutable=tuple(key for key, column in columns.items() if column.mutable),
        own_key={
            key: rel.key
            for rel in relationships.values()
            if rel.direction == "to one" and rel.writable
            for key in rel.foreign_keys
        },
    )
