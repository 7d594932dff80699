"""Reading what is in the database now, in bulk: one SELECT a mapped table and chunk of keys, through Core.

A read names a table (a mapper, or the join of an inheritance chain), the primary keys that are wanted, and the
collections whose members are wanted. The members of a plain one-to-many collection are rows of the same table, found by
their foreign key, so they ride on the same SELECT: `WHERE id = ANY(:keys) OR order_id = ANY(:parents)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Dialect, Row, Select, or_, select
from sqlalchemy.orm import Mapper, Session, aliased
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.sql.visitors import iterate

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.session.keys import Key, at_once, within
from sojourn.session.locks import Hold, hold_rows, in_lock_order, locks_gaps, sorted_keys
from sojourn.session.shards import bind_arguments
from sojourn.sqlalchemy_internals import State


@dataclass(eq=False)
class TableRead:
    """What is wanted of one mapped table, and, after `Reader.run`, what is there."""

    plan: Blueprint
    keys: dict[Key, None] = field(default_factory=dict)
    columns: dict[ColumnElement[Any], int] = field(default_factory=dict)  # column -> position in a row
    holders: dict[Relationship, dict[Key, None]] = field(default_factory=dict)  # collection -> the keys of its parents
    naturals: dict[tuple[ColumnElement[Any], ...], dict[Key, None]] = field(default_factory=dict)  # other columns
    new: dict[Key, None] = field(default_factory=dict)  # keys of new objects; `Reader.run` adds them to the others
    held: set[Key] = field(default_factory=set)  # the keys for which `hold` is meant; others may be held with them
    members_held: bool = False  # whether it is meant for those, too, who are found in collections
    hold: Hold = Hold.NOT  # how firmly, where the reader locks
    rows: dict[Key, Row[Any]] = field(default_factory=dict)

    def want(self, plan: Blueprint, attributes: Iterable[str]) -> None:
        """Read these column attributes, too."""
        for key in attributes:
            self.columns.setdefault(plan.columns[key].column, len(self.columns))

    def keep(self, hold: Hold) -> None:
        """Hold the rows at least so firmly."""
        self.hold = max(self.hold, hold)

    def getter(self, plan: Blueprint, attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
        """A function from a row to the values of these attributes, as a tuple."""
        return row_getter([self.columns[plan.columns[key].column] for key in attributes])


class Reader:
    """The reads of one verb. It collects what is wanted, then `run` executes it; `statements` counts the SELECTs."""

    def __init__(self, session: Session, *, lock: bool = False) -> None:
        self.session = session
        self.lock = lock
        self.statements = 0
        self.tables: dict[FromClause, TableRead] = {}
        self.members: dict[Relationship, dict[Key, list[Key]]] = {}  # collection -> parent key -> members' primary keys
        self._with_rows: set[Relationship] = set()
        # A transaction that has read before may see rows as they were then, in what it reads without locks.
        self._sees_now = not session.in_transaction()

    def table(self, plan: Blueprint) -> TableRead:
        """The read of this mapper's table. Mappers that share a table share the read."""
        read = self.tables.get(plan.table)
        if read is None:
            read = self.tables[plan.table] = TableRead(plan)
            read.want(plan, plan.primary_key)
        return read

    def want_members(self, relationship: Relationship, parents: Iterable[Key], *, rows: bool = False) -> None:
        """Read who is in this collection of these parents, each given by the values of the relationship's local key.

        With `rows` the members' rows are read in any case, not where they come along alone. Where the members stand in
        several tables nothing is read, and who they are stays as it is known.
        """
        if relationship.scattered:
            return
        if relationship.tells_members:
            child = blueprint(relationship.target)
            # All of its columns, not the keys alone: a member that is new here is built from its row.
            read = self._whole_table(child)
            read.want(child, relationship.remote_key)
            read.holders.setdefault(relationship, {}).update(dict.fromkeys(parents))
        else:
            found = self.members.setdefault(relationship, {})
            found.update((parent, []) for parent in parents if parent not in found)
            if rows:
                self._with_rows.add(relationship)

    def to_be_written(self) -> list[Blueprint]:
        """The mappings of which rows are held to be written."""
        return [one.plan for one in self.tables.values() if one.hold >= Hold.EDITED and (one.keys or one.new)]

    def run(self) -> None:
        """Execute every read. Database: always loads, without autoflush."""
        with self.session.no_autoflush:
            # Rows before members: who has locked a parent finds in its collection what nobody will change any more.
            members_first = {rel: self._whole_table(blueprint(rel.target)) for rel in self._with_rows}
            last = {read.plan.table for read in members_first.values()}
            tables = list(self.tables)
            if self.lock and len(tables) > 1:
                tables = in_lock_order(tables)
            for table in tables:
                if table not in last:
                    self._run_table(self.tables[table])
            for relationship, parents in list(self.members.items()):
                if not relationship.tells_members:
                    self._run_members(relationship, parents)
                    if relationship in members_first:
                        found = (key for keys in parents.values() for key in keys)
                        members_first[relationship].keys.update(dict.fromkeys(found))
            for table in tables:
                if table in last:
                    self._run_table(self.tables[table])

    def _whole_table(self, plan: Blueprint) -> TableRead:
        read = self.table(plan)
        read.want(plan, [key for key, column in plan.columns.items() if not column.deferred])
        return read

    def _run_table(self, read: TableRead) -> None:
        if not (read.keys or read.new or read.holders or read.naturals):
            return
        dialect = dialect_of(self.session, read.plan.mapper)
        locks = self.lock and read.hold is not Hold.NOT
        primary_key = [read.plan.columns[key].column for key in read.plan.primary_key]
        keys: Iterable[Key] = {**read.keys, **read.new}
        remote = {rel: [blueprint(rel.target).columns[key].column for key in rel.remote_key] for rel in read.holders}
        sources = [within(dialect, remote[rel], parents) for rel, parents in read.holders.items()]
        naturals = [within(dialect, columns, wanted) for columns, wanted in read.naturals.items()]
        statement = select(*read.columns).select_from(read.plan.table)
        sees_now, self._sees_now = self._sees_now, self._sees_now and locks
        if locks and locks_gaps(dialect) and (read.new or naturals or (read.holders and sees_now)):
            # A locking read of what is not there locks the gap in an index, for others as well, and then nobody can
            # insert. So what has to be looked for is looked for without locks first.
            wanted = [within(dialect, primary_key, keys), *naturals, *sources]
            if not sees_now:
                wanted = [within(dialect, primary_key, read.new), *naturals]
            read.rows = self._select(read, statement.order_by(*_ordering(read, primary_key, locks=False)), wanted)
            self._sees_now = False
            keys, naturals = {**read.keys, **read.rows}, []
            if sees_now:
                every = read.hold is Hold.DELETED or read.members_held
                keys, sources = [key for key in read.rows if every or key in read.held], []
        if locks:
            statement = hold_rows(statement, read.plan.table, read.hold, dialect)
            keys = keys if at_once(dialect) else sorted_keys(keys)
        statement = statement.order_by(*_ordering(read, primary_key, locks))
        found = self._select(read, statement, [within(dialect, primary_key, keys), *naturals, *sources])
        if read.rows:  # what is gone since the first look, and what has changed, in the order of the first look
            again = set(keys)
            read.rows = {key: found.get(key, row) for key, row in read.rows.items() if key in found or key not in again}
        read.rows.update(found)
        read.keys.update(read.new)
        for relationship, parents in read.holders.items():
            child = blueprint(relationship.target)
            take_parent = read.getter(child, relationship.remote_key)
            members: dict[Key, list[Key]] = {parent: [] for parent in parents}
            for key, parent in zip(read.rows, map(take_parent, read.rows.values()), strict=True):
                known = members.get(parent)
                if known is not None:
                    known.append(key)
            self.members[relationship] = members

    def _select(
        self, read: TableRead, statement: Select[Any], sources: list[list[ColumnElement[bool]]]
    ) -> dict[Key, Row[Any]]:
        take_key = row_getter([read.columns[read.plan.columns[key].column] for key in read.plan.primary_key])
        found: dict[Key, Row[Any]] = {}
        for chunk in zip_longest(*sources):  # the n-th chunk of every source shares a statement
            conditions = [condition for condition in chunk if condition is not None]
            result = self._execute(statement.where(or_(*conditions)), read.plan.mapper)
            found.update(zip(map(take_key, result), result, strict=True))
        return found

    def _run_members(self, relationship: Relationship, parents: dict[Key, list[Key]]) -> None:
        """Who belongs to whom, through a third table or an own join condition: (parent key, member key) pairs."""
        prop = relationship.property
        parent = aliased(prop.parent.class_)
        parent_plan, child_plan = blueprint(prop.parent), blueprint(relationship.target)
        here = [getattr(parent, key) for key in relationship.local_key or parent_plan.primary_key]
        there = [getattr(child_plan.class_, key) for key in child_plan.primary_key]
        statement = select(*here, *there).select_from(parent).join(getattr(parent, relationship.key))
        order_by = [one for one in prop.order_by or () if _belongs(one, child_plan)]
        for condition in within(dialect_of(self.session, prop.parent), here, parents):
            for row in self._execute(statement.where(condition).order_by(*order_by), prop.parent):
                parents[tuple(row[: len(here)])].append(tuple(row[len(here) :]))

    def _execute(self, statement: Any, mapper: Mapper[Any]) -> Sequence[Row[Any]]:
        self.statements += 1
        return self.session.execute(statement, bind_arguments=bind_arguments(self.session, mapper=mapper)).all()


def local_values(state: State, relationship: Relationship) -> Key:
    """What a parent's members are found by: its values of the relationship's local key, or its primary key."""
    if state.key is not None and (relationship.from_primary_key or not relationship.local_key):
        return state.key[1]  # as it is in the database, also where a primary key was edited
    loaded = state.dict
    return tuple([loaded.get(key) for key in relationship.local_key])


def dialect_of(session: Session, mapper: Mapper[Any]) -> Dialect:
    """The dialect of the database in which the session keeps this mapper."""
    return session.get_bind(**bind_arguments(session, mapper=mapper)).dialect


def row_getter(positions: Sequence[int]) -> Callable[[Any], tuple[Any, ...]]:
    """A function from a row to the tuple of these positions."""
    first, count = positions[0], len(positions)
    if list(positions) == list(range(first, first + count)):
        return itemgetter(slice(first, first + count))  # a slice of a row is a tuple, and costs half of tuple(row)
    return itemgetter(*positions)


def _ordering(read: TableRead, primary_key: list[ColumnElement[Any]], locks: bool) -> list[Any]:
    # Locks are taken in the order of the rows, and two attaches that lock in key order cannot wait for each other.
    if locks:
        return list(primary_key)
    orders = [one for rel in read.holders for one in rel.property.order_by or () if _belongs(one, read.plan)]
    return [*orders, *primary_key] if len(read.holders) == 1 else list(primary_key)


def _belongs(ordering: Any, plan: Blueprint) -> bool:
    """Whether an ORDER BY needs no other table than the member's own."""
    columns = [part for part in iterate(ordering) if isinstance(part, Column)]
    return all(column.table in plan.mapper.tables for column in columns)
