"""What one mapper looks like, compiled once.

A blueprint answers the questions that every verb asks of a mapping (which attributes are columns, which one is the
version counter, which children are owned, how a collection finds its rows) without asking SQLAlchemy again for each
object. It is kept with the mapper and compiled anew when attributes were added to the mapper in the meantime.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import hashlib
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any, Literal, cast

from sqlalchemy import Column, Interval, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import ColumnProperty, CompositeProperty, Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql import ColumnElement, operators
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.types import TypeDecorator, TypeEngine

from sojourn.errors import NotMappedError
from sojourn.mapping.columns import python_type_of
from sojourn.sqlalchemy_internals import class_notes, identity_class

_KEY = "sojourn.blueprint"
_IMMUTABLE = (
    int, float, str, bytes, bool, decimal.Decimal, uuid.UUID, enum.Enum,
    datetime.date, datetime.time, datetime.timedelta,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class ColumnAttribute:
    """One attribute that is a column, or an SQL expression that is loaded like one."""

    key: str
    column: ColumnElement[Any]
    type: TypeEngine[Any]
    primary_key: bool
    foreign_key: bool
    deferred: bool
    stored: bool  # False for SQL expressions (column_property): read, never written
    mutable: bool  # the value may be changed in place, so a base needs a copy
    generated: bool  # the database or the mapping makes a value where none is given
    group: str | None = None  # of deferred columns that are loaded together
    query_only: bool = False  # query_expression(): a query gives it a value, the database knows none


@dataclass(frozen=True, slots=True, eq=False)
class Relationship:
    """One relationship as the verbs see it."""

    key: str
    property: RelationshipProperty[Any]
    target: Mapper[Any]
    many: bool  # a collection
    direction: Literal["to one", "to many", "many to many"]
    inverse: str | None  # the attribute on the target that is the other side
    owns: bool  # delete-orphan: a member that is taken out is deleted
    deletes: bool  # deleting the parent deletes the members
    writable: bool  # False for viewonly
    loadable: bool  # False for dynamic and write-only collections, which hold no members in memory
    secondary: FromClause | None
    # The column pairs (here, there), where the join condition is nothing but their equality and needs no third table.
    pairs: tuple[tuple[ColumnElement[Any], ColumnElement[Any]], ...] | None
    foreign_keys: tuple[str, ...] = ()  # attributes here that hold the reference (to one only)
    remote_key: tuple[str, ...] = ()  # attributes there that the reference, or the collection, is found by
    local_key: tuple[str, ...] = ()  # attributes here that the pairs start from
    by_primary_key: bool = False  # to one: remote_key is the target's primary key, in its order
    # Columns of the third table that hold this side's primary key, in its order, where that is the whole condition.
    link: tuple[ColumnElement[Any], ...] = ()
    from_primary_key: bool = False  # local_key is the primary key here, in its order
    # The columns of the target's table alone tell who is a member: not so where other classes share the table.
    tells_members: bool = False


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


def _compile(mapper: Mapper[Any]) -> Blueprint:
    attributes = mapper.attrs  # configures the mappers
    columns = {
        prop.key: _column(mapper, prop)
        for prop in attributes
        # A discriminator that is an SQL expression is a property, but no attribute of the class.
        if isinstance(prop, ColumnProperty) and prop.key in mapper.class_manager
    }
    composites = {
        prop.key: tuple(part.key for part in prop.props) for prop in attributes if isinstance(prop, CompositeProperty)
    }
    in_composite = {key: name for name, keys in composites.items() for key in keys}
    relationships = {prop.key: _relationship(mapper, prop) for prop in mapper.relationships}
    version = mapper.version_id_col
    return Blueprint(
        mapper=mapper,
        class_=mapper.class_,
        entity=mapper.class_.__name__,
        columns=columns,
        primary_key=tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key),
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


def _column(mapper: Mapper[Any], prop: ColumnProperty[Any]) -> ColumnAttribute:
    column = prop.columns[0]
    stored = isinstance(column, Column)
    return ColumnAttribute(
        key=prop.key,
        column=column,
        type=column.type,
        primary_key=any(column in mapper.primary_key for column in prop.columns),
        foreign_key=any(getattr(column, "foreign_keys", ()) for column in prop.columns),
        deferred=prop.deferred,
        stored=stored,
        mutable=_is_mutable(column.type),
        generated=any(isinstance(one, Column) and _is_generated(one) for one in prop.columns),
        group=prop.group,
        query_only=("query_expression", True) in prop.strategy_key,
    )


def _is_generated(column: Column[Any]) -> bool:
    return (
        column.server_default is not None
        or column.default is not None
        or getattr(column.table, "autoincrement_column", None) is column  # a mapped subquery has none
    )


def _is_mutable(type_: TypeEngine[Any]) -> bool:
    if isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        return True  # what it makes of its column's type is its own business: a dict of a string, say
    python_type = python_type_of(type_)
    return python_type is None or not issubclass(python_type, _IMMUTABLE)


def _relationship(mapper: Mapper[Any], prop: RelationshipProperty[Any]) -> Relationship:
    target = prop.mapper
    to_one = prop.direction is RelationshipDirection.MANYTOONE
    pairs = _plain_pairs(prop)
    here = _keys(mapper, (local for local, _ in pairs)) if pairs else ()
    there = _keys(target, (remote for _, remote in pairs)) if pairs else ()
    if not here or not there:
        pairs = None
    if pairs and to_one and set(there) == set(_primary_key(target)):
        order = [there.index(key) for key in _primary_key(target)]
        pairs = tuple(pairs[i] for i in order)
        here, there = tuple(here[i] for i in order), tuple(there[i] for i in order)
    return Relationship(
        key=prop.key,
        property=prop,
        target=target,
        many=bool(prop.uselist),
        direction="to one" if to_one else "many to many" if prop.secondary is not None else "to many",
        inverse=_inverse(prop),
        owns=prop.cascade.delete_orphan,
        deletes=prop.cascade.delete,
        writable=not prop.viewonly,
        loadable=prop.lazy not in ("dynamic", "write_only"),
        secondary=prop.secondary,
        pairs=pairs,
        foreign_keys=_keys(mapper, prop.local_columns) if to_one else (),
        remote_key=there,
        local_key=here,
        by_primary_key=to_one and pairs is not None and there == _primary_key(target),
        link=_link(mapper, prop),
        tells_members=pairs is not None and not target.single,
        from_primary_key=here == _primary_key(mapper),
    )


def _primary_key(mapper: Mapper[Any]) -> tuple[str, ...]:
    return tuple(mapper.get_property_by_column(column).key for column in mapper.primary_key)


def _keys(mapper: Mapper[Any], columns: Iterable[Any]) -> tuple[str, ...]:
    """The attributes that map these columns; empty if one of them is not mapped."""
    try:
        return tuple(mapper.get_property_by_column(column).key for column in columns)
    except UnmappedColumnError:
        return ()


def _plain_pairs(prop: RelationshipProperty[Any]) -> tuple[tuple[Any, Any], ...] | None:
    if prop.secondary is not None or not prop.local_remote_pairs:
        return None
    return tuple(prop.local_remote_pairs) if _is_equality(prop, len(prop.local_remote_pairs)) else None


def _is_equality(prop: RelationshipProperty[Any], pairs: int) -> bool:
    """Whether the join condition on this side is nothing but the equality of so many column pairs."""
    join: Any = prop.primaryjoin
    clauses = list(join.clauses) if getattr(join, "operator", None) is operators.and_ else [join]
    return len(clauses) == pairs and all(
        getattr(clause, "operator", None) is operators.eq
        and isinstance(clause.left, Column)
        and isinstance(clause.right, Column)
        for clause in clauses
    )


def _link(mapper: Mapper[Any], prop: RelationshipProperty[Any]) -> tuple[ColumnElement[Any], ...]:
    pairs = list(prop.synchronize_pairs)
    if prop.secondary is None or not _is_equality(prop, len(pairs)):
        return ()
    there = {key: remote for key, (_, remote) in zip(_keys(mapper, (local for local, _ in pairs)), pairs, strict=False)}
    primary_key = _primary_key(mapper)
    return tuple(there[key] for key in primary_key) if there.keys() == set(primary_key) else ()


def _inverse(prop: RelationshipProperty[Any]) -> str | None:
    """The attribute on the target that back_populates this one, if it is there."""
    name = prop.back_populates or (prop.backref[0] if isinstance(prop.backref, tuple) else prop.backref)
    return name if isinstance(name, str) and name in prop.mapper.relationships else None
