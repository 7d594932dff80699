"""What a relationship of a mapping is: who is a member of whom, by which columns, and who goes with whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column
from sqlalchemy.orm import Mapper, RelationshipDirection, RelationshipProperty
from sqlalchemy.sql import ColumnElement, operators
from sqlalchemy.sql.selectable import FromClause

from sojourn.mapping.columns import mapped_keys, primary_key_of
from sojourn.sqlalchemy_internals import identity_class


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
    # The members stand in tables that count for themselves (concrete inheritance): a key does not tell who is meant.
    scattered: bool = False


def relationship_of(mapper: Mapper[Any], prop: RelationshipProperty[Any]) -> Relationship:
    """What a mapper says of one of its relationships. Database: none."""
    target = prop.mapper
    to_one = prop.direction is RelationshipDirection.MANYTOONE
    pairs = _plain_pairs(prop)
    here = mapped_keys(mapper, (local for local, _ in pairs)) if pairs else ()
    there = mapped_keys(target, (remote for _, remote in pairs)) if pairs else ()
    if not here or not there:
        pairs = None
    if pairs and to_one and set(there) == set(primary_key_of(target)):
        order = [there.index(key) for key in primary_key_of(target)]
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
        foreign_keys=mapped_keys(mapper, prop.local_columns) if to_one else (),
        remote_key=there,
        local_key=here,
        by_primary_key=to_one and pairs is not None and there == primary_key_of(target),
        link=_link(mapper, prop),
        tells_members=pairs is not None and not target.single,
        scattered=any(identity_class(one) is not identity_class(target) for one in target.self_and_descendants),
        from_primary_key=here == primary_key_of(mapper),
    )


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
    here = mapped_keys(mapper, (local for local, _ in pairs))
    there = {key: remote for key, (_, remote) in zip(here, pairs, strict=False)}
    primary_key = primary_key_of(mapper)
    return tuple(there[key] for key in primary_key) if there.keys() == set(primary_key) else ()


def _inverse(prop: RelationshipProperty[Any]) -> str | None:
    """The attribute on the target that back_populates this one, if it is there."""
    name = prop.back_populates or (prop.backref[0] if isinstance(prop.backref, tuple) else prop.backref)
    return name if isinstance(name, str) and name in prop.mapper.relationships else None
