"""How the objects of one class are merged: its columns and relationships in SQLAlchemy's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.orm import ColumnProperty, Mapper, RelationshipProperty, attributes, unitofwork
from sqlalchemy.orm.collections import InstrumentedList
from sqlalchemy.orm.interfaces import MapperProperty

from sojourn.sqlalchemy_internals.merge_columns import Columns, active_history, columns_of
from sojourn.sqlalchemy_internals.state import State

_private = cast(Any, attributes)
# SQLAlchemy 2.1 writes these names with an underscore.
_REFERENCE = getattr(_private, "_ScalarObjectAttributeImpl", None) or _private.ScalarObjectAttributeImpl
_COLLECTION = getattr(_private, "_CollectionAttributeImpl", None) or _private.CollectionAttributeImpl
_OWN_LISTENERS = {attributes.__name__, unitofwork.__name__}


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
                steps += [*columns_of(mapper, run), relation]
                run = []
        elif merge is not MapperProperty.merge:
            foreign = True
    steps += columns_of(mapper, run)
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
    return bool(impl.collection) or active_history(impl)


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
        reads_old=not many and active_history(impl),
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
    if type(impl) is not _REFERENCE or impl.trackparent or not impl.send_modified_events or active_history(impl):
        return False
    # SQLAlchemy's own, for the cascade and the other side, do nothing about a value that stays.
    return all(listener.__module__ in _OWN_LISTENERS for listener in impl.dispatch.set)
