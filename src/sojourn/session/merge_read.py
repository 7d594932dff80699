"""What `Session.merge` would SELECT object by object, read in bulk: rows by primary key, and collections.

Collections come first, since they bring whole rows, and leave few to be looked for by key; but what the way to which
leads through no collection is looked for before. What is read is read in the way in which SQLAlchemy would read it, and
waits behind a curtain until SQLAlchemy would have read it, since what is loaded when can be seen in the result.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Select, select
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Mapper, RelationshipProperty, Session, aliased
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.base import ExecutableOption

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.session.keys import Key, within
from sojourn.session.merge_expired import read_expired
from sojourn.session.merge_keys import LocalKey, exact_types, folded, is_exact
from sojourn.session.rows import dialect_of
from sojourn.sqlalchemy_internals import (
    LOAD_OPTIONS,
    MEMBER,
    REFERENCE,
    ROOT,
    Curtain,
    Members,
    State,
    Visit,
    Walk,
    Ways,
    as_lazy_load,
    eager_among,
    held_by,
    load_as,
    loads_by_get,
    loads_lazily,
    looks_up_plainly,
    not_held,
    path_of_members,
    plain_rows,
    way_of_rows,
)

Prop = RelationshipProperty[Any]
Visits = Mapping[tuple[Any, ...], Visit]


class MergeReader:
    """The reading for one merge: what was found waits behind `curtain`."""

    def __init__(self, session: Session, walk: Walk, options: Sequence[ORMOption] | None) -> None:
        self.session = session
        self.walk = walk
        self.options = list(options or ())
        self.curtain = Curtain(session)
        self.kept: list[Any] = []
        self.ways = Ways()

    def run(self) -> None:
        """Read everything. Database: may load, without autoflush."""
        self._read()
        self.curtain.draw()
        self.kept.clear()  # from here on the curtain holds what is behind it, and nobody what has come out

    def _read(self) -> None:
        walk = self.walk
        if not looks_up_plainly(self.session):
            return
        for mapper, visits in walk.absent.items():
            if self.options:  # they are for the roots
                self._read_rows(mapper, _come_to(visits, ROOT), self.options)
                self._read_rows(mapper, _come_to(visits, REFERENCE))
            else:
                self._read_rows(mapper, _come_to(visits, ROOT, REFERENCE))
        for prop, visits in walk.collections.items():
            self._read_members(prop, visits)
        for mapper, visits in walk.absent.items():
            self._read_rows(mapper, _come_to(visits, MEMBER))
        for prop, visits in walk.collections.items():  # those that are found by a column of their owner's row
            self._read_members(prop, visits)
        if walk.expired:
            read_expired(self.session, walk, self.curtain)
        for prop, visits in walk.references.items():
            if loads_by_get(prop):
                self._read_references(prop, visits)
            else:
                self._read_members(prop, visits)

    # --- rows by primary key ---

    def _read_rows(
        self, mapper: Mapper[Any], wanted: Iterable[tuple[Any, ...]], options: Sequence[ExecutableOption] = ()
    ) -> None:
        missing = not_held(self.session, wanted)
        if not missing:
            return
        columns = mapper.primary_key
        types = exact_types(columns)
        sure = [key for key in missing if key[2] is None and is_exact(types, key[1])]
        statement = select(mapper.class_).options(*options)
        found: set[tuple[Any, ...]] = set()
        attributes = [getattr(mapper.class_, mapper.get_property_by_column(column).key) for column in columns]
        for condition in within(dialect_of(self.session, mapper), attributes, [key[1] for key in sure]):
            try:
                result = self.session.scalars(statement.where(condition)).unique().all()
            except ArgumentError:  # an option does not fit: SQLAlchemy shall say so, when it comes to that
                return
            self.kept += result
            way = way_of_rows(mapper, options)
            self.curtain.tangled |= way is not None
            self.curtain.note(way, result)
            found.update(cast(Any, instance_state(obj).key) for obj in result)
        # What a database takes for equal, "a" and "A" perhaps, is left to it.
        alike = {folded(key) for key in found}
        self.curtain.absent[mapper].update(key for key in sure if key not in found and folded(key) not in alike)

    # --- relationships ---

    def _read_members(self, prop: Prop, visits: Visits) -> None:
        groups: defaultdict[Hashable, list[tuple[Visit, Key]]] = defaultdict(list)
        finding: dict[Mapper[Any], LocalKey] = {}
        session, ways, known, absent = self.session, self.ways, self.curtain.members[prop], self.curtain.absent
        for key, visit in visits.items():
            mapper = visit.plan.mapper
            if key in known or key in absent[mapper]:
                continue
            target = held_by(session, key)
            if target is not None and (target is visit.state or not loads_lazily(visit.state, target, prop.key)):
                continue
            find = finding.get(mapper)
            if find is None:
                find = finding[mapper] = LocalKey(mapper, prop)
            local = find(visit, target)
            if local is not None:
                groups[ways.of_members(visit.state, prop)].append((visit, local))
        for way, group in groups.items():
            self._read_group(prop, way, group)

    def _read_group(self, prop: Prop, way: Hashable, group: Sequence[tuple[Visit, Key]]) -> None:
        some = group[0][0]
        rel = blueprint(some.plan.mapper).relationships[prop.key]
        statement, found_by = _statement(rel, some.plan.mapper)
        eager = eager_among(some.state, path_of_members(some.state, prop), _relationships(rel.target))
        leave = [one for one in eager if one in self.walk.collections and rel.target.isa(one.parent)]
        self.curtain.tangled |= len(leave) < len(eager)
        statement = as_lazy_load(statement, some.state, prop, leave)
        wanted = dict.fromkeys(local for _, local in group if None not in local)
        found: dict[Key, list[Any]] = {local: [] for local in wanted}
        strange = False
        for condition in within(dialect_of(self.session, rel.target), found_by, wanted):
            result = self.session.execute(statement.where(condition), execution_options=LOAD_OPTIONS)
            rows = plain_rows(result, unique=rel.pairs is None)
            objects = [row[0] for row in rows]
            self.kept += objects
            self.curtain.note(way, objects)
            for row in rows:
                group_of = found.get(row[1:])
                if group_of is None:
                    strange = True  # the database compares in another way than Python
                else:
                    group_of.append(row[0])
        if strange:
            return
        strangers = self._strangers(leave, found.values())
        members = self.curtain.members[prop]
        for visit, local in group:
            members[visit.key] = Members(found.get(local, []), way, leave)
        self._load_strangers(prop, some, rel, strangers)

    def _strangers(self, leave: Collection[Prop], found: Iterable[Iterable[Any]]) -> list[State]:
        """The members that are not merged with anything that has these relationships."""
        if not leave:
            return []
        states = {instance_state(obj): None for members in found for obj in members}
        return [
            state
            for state in states
            if self.curtain.is_new(state) and not all(state.key in self.walk.collections[one] for one in leave)
        ]

    def _load_strangers(self, prop: Prop, some: Visit, rel: Relationship, strangers: Sequence[State]) -> None:
        """They get what their options load eagerly after all."""
        if not strangers:
            return
        for state in strangers:
            load_as(state, some.state, prop)
        target = blueprint(rel.target)
        statement = as_lazy_load(select(target.class_), some.state, prop, ())
        keys = [cast(Any, state.key)[1] for state in strangers]
        columns = [getattr(target.class_, key) for key in target.primary_key]
        for condition in within(dialect_of(self.session, rel.target), columns, keys):
            self.kept += self.session.scalars(statement.where(condition)).unique()
            self.curtain.note(None, ())
            self.curtain.tangled = True

    def _read_references(self, prop: Prop, visits: Visits) -> None:
        """What references point to now, where setting one loads that."""
        pointing: dict[tuple[Any, ...], Key] = {}
        target: Blueprint | None = None
        for key, visit in visits.items():
            held = held_by(self.session, key)
            if held is None or held is visit.state or not loads_lazily(visit.state, held, prop.key):
                continue
            rel = blueprint(visit.plan.mapper).relationships[prop.key]
            local = tuple(held.dict.get(name) for name in rel.local_key)
            if rel.by_primary_key and None not in local and not visit.state.load_options:
                pointing[key] = local
                target = blueprint(rel.target)
        if target is None:
            return
        identities = {local: (target.base_class, local, None) for local in pointing.values()}
        unseen = [local for local, identity in identities.items() if held_by(self.session, identity) is None]
        columns = [getattr(target.class_, key) for key in target.primary_key]
        statement: Select[Any] = select(target.class_)
        for condition in within(dialect_of(self.session, target.mapper), columns, unseen):
            result = self.session.scalars(statement.where(condition)).unique().all()
            self.kept += result
            self.curtain.note(way_of_rows(target.mapper, None), result)
        way = way_of_rows(target.mapper, None)
        self.curtain.tangled |= way is not None
        for key, local in pointing.items():
            found = held_by(self.session, identities[local])
            self.curtain.members[prop][key] = Members([] if found is None else [found.obj()], way, ())


def _come_to(visits: Visits, *origins: int) -> list[tuple[Any, ...]]:
    """The keys of those that were come to in one of these ways."""
    return [key for key, visit in visits.items() if visit.origin in origins]


def _relationships(mapper: Mapper[Any]) -> list[Prop]:
    """Those of the mapper and its subclasses."""
    return list(dict.fromkeys(prop for one in mapper.self_and_descendants for prop in one.relationships))


def _statement(rel: Relationship, owner: Mapper[Any]) -> tuple[Select[Any], list[Any]]:
    """A SELECT of (member, *what it was found by), without a condition, and these columns."""
    target = blueprint(rel.target)
    prop = rel.property
    if rel.pairs is not None and _same_types(rel.pairs):
        found_by: list[Any] = [getattr(target.class_, key) for key in rel.remote_key]
        statement = select(target.class_, *found_by).select_from(target.class_)
    elif rel.link:
        found_by = list(rel.link)
        statement = (
            select(target.class_, *found_by)
            .select_from(target.class_)
            .join(cast(Any, rel.secondary), prop.secondaryjoin)
        )
    else:
        parent = cast(Any, aliased(owner.class_))
        names = rel.local_key or blueprint(owner).primary_key
        found_by = [getattr(parent, key) for key in names]
        joined = getattr(parent, rel.key).of_type(target.class_)
        statement = select(target.class_, *found_by).select_from(parent).join(joined)
    return statement.order_by(*prop.order_by or ()), found_by


def _same_types(pairs: Iterable[tuple[ColumnElement[Any], ColumnElement[Any]]]) -> bool:
    return all(type(here.type) is type(there.type) for here, there in pairs)
