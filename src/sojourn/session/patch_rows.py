"""The rows that a payload is about: wanted as soon as it is known what they are found by, and read in as few rounds as
that takes.

A primary key, or the parent of a collection, is mostly known from the payload itself, so one round reads everything:
one SELECT a table. Where an object is found by a natural key, its collections can be wanted only when its row has been
read; the tables of these collections wait for that, so that they, too, are read once.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Row
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.selectable import FromClause

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.session.keys import Key
from sojourn.session.locks import Hold, secure
from sojourn.session.rows import Reader, TableRead

Names: TypeAlias = tuple[str, ...]
Want: TypeAlias = tuple[Blueprint, Relationship | Names, Key]
"""(whose table, what by, values): by a collection the key of its parent, by names these columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One row that was read."""

    plan: Blueprint  # the class that the row is of
    key: Key
    read: TableRead
    row: Row[Any]

    def value(self, plan: Blueprint, name: str) -> Any:
        """The value of a column attribute, as it is in the database."""
        return self.row[self.read.columns[plan.columns[name].column]]

    def values(self, plan: Blueprint, names: Iterable[str]) -> Key:
        """The values of some."""
        return tuple([self.value(plan, name) for name in names])


class PatchRows:
    """The reads of one patch."""

    def __init__(self, session: Session, written: Collection[ColumnElement[Any]]) -> None:
        self.session = session
        self.written = written  # these are read though they be deferred
        self.readers: list[Reader] = []
        self.wanted: dict[Want, bool] = {}  # -> whether its rows will be written
        self.done: set[Want] = set()
        self._found: dict[tuple[Blueprint, Key], Found] = {}
        self._index: dict[tuple[Blueprint, Names], dict[Key, dict[Key, Found]]] = {}

    @property
    def statements(self) -> int:
        """How many SELECTs it took so far."""
        return sum(reader.statements for reader in self.readers)

    def want(self, plan: Blueprint, by: Relationship | Names, values: Key, *, write: bool) -> None:
        """Read this, too, when it is next read."""
        one = (plan, by, values)
        if one not in self.done:
            self.wanted[one] = self.wanted.get(one, False) or write

    def is_read(self, plan: Blueprint, by: Names, values: Key) -> bool:
        """Whether these rows were looked for."""
        return (plan, by, values) in self.done

    def run(self, waiting: Collection[FromClause]) -> None:
        """Read what is wanted, less the tables that more will be wanted of; if only these are left, them.

        Database: loads.
        """
        ready = [one for one in self.wanted if one[0].table not in waiting] or list(self.wanted)
        reader = Reader(self.session, lock=True)
        for plan, by, values in ready:
            read = reader.table(plan)
            # Firmly: what is written may be deleted by its absence, and a row is looked for once.
            read.keep(Hold.DELETED if self.wanted.pop((plan, by, values)) else Hold.POINTED_AT)
            self._want_columns(read, plan)
            if isinstance(by, Relationship):
                read.keep(Hold.DELETED)
                reader.want_members(by, [values], rows=True)
            elif by == plan.primary_key:
                read.keys[values] = None
            else:
                read.want(plan, by)  # they may be deferred
                read.naturals.setdefault(tuple(plan.columns[name].column for name in by), {})[values] = None
            self.done.add((plan, by, values))
        firm = (read.plan for read in reader.tables.values() if read.hold is Hold.DELETED)
        secure(self.session, firm, lock=True)
        reader.run()
        self.readers.append(reader)
        self._index.clear()

    def members(self, rel: Relationship, parent: Key) -> list[Key] | None:
        """The primary keys of a collection's members; None where nobody has read them."""
        for reader in self.readers:
            if rel in reader.members and parent in reader.members[rel]:
                return reader.members[rel][parent]
        return None

    def found(self, plan: Blueprint, key: Key) -> Found | None:
        """The row under a primary key, if it is of this class. It has been read."""
        known = self._found.get((plan, key))
        if known is not None:
            return known
        rows = [(read, read.rows[key]) for read in self._reads(plan) if key in read.rows]
        found = _found(plan, key, *rows[0]) if rows else None
        if found is not None:
            self._found[plan, key] = found
        return found

    def by_values(self, plan: Blueprint, names: Names, values: Key) -> list[Found]:
        """The rows that have these values, of those that were read."""
        index = self._index.get((plan, names))
        if index is None:
            index = self._index[plan, names] = {}
            columns = {plan.columns[name].column for name in names}
            for read in self._reads(plan):
                for key, row in read.rows.items() if columns <= read.columns.keys() else ():
                    if (one := self.found(plan, key)) is not None:
                        index.setdefault(read.getter(plan, names)(row), {})[key] = one
        return list(index.get(values, {}).values())

    def complete(self, ones: Iterable[tuple[Found, bool]]) -> dict[tuple[Blueprint, Key], Found]:
        """The whole rows of those whose class has a table of its own beside the one that was read.

        The second of each pair is whether it will be written. Database: may load.
        """
        lacking = [(one, write) for one, write in ones if one.plan.table is not one.read.plan.table]
        for one, write in lacking:
            self.want(one.plan, one.plan.primary_key, one.key, write=write)
        if not lacking:
            return {}
        self.run(())
        reader = self.readers[-1]
        return {
            (one.plan, one.key): Found(one.plan, one.key, read, read.rows[one.key])
            for one, _ in lacking
            if one.key in (read := reader.table(one.plan)).rows
        }

    def _reads(self, plan: Blueprint) -> list[TableRead]:
        return [read for reader in self.readers if (read := reader.tables.get(plan.table)) is not None]

    def _want_columns(self, read: TableRead, plan: Blueprint) -> None:
        """The columns of the class and of those that share its table."""
        for mapper in plan.mapper.self_and_descendants:
            one = blueprint(mapper)
            if one.table is plan.table:
                wanted = {key for key, it in one.columns.items() if not it.deferred or it.column in self.written}
                read.want(
                    one, [key for key in one.columns if key in wanted and _is_here(one.columns[key].column, plan)]
                )
        teller: Any = plan.mapper.polymorphic_on
        if teller is not None and _is_here(teller, plan):
            read.columns.setdefault(teller, len(read.columns))


def _is_here(column: ColumnElement[Any], plan: Blueprint) -> bool:
    """Whether it can be read with these rows. The discriminator of concrete tables is a column of their union."""
    return getattr(column, "table", None) in {None, *plan.mapper.tables}


def _found(plan: Blueprint, key: Key, read: TableRead, row: Row[Any]) -> Found | None:
    """A row of this class or a subclass of it; None for one of another class in the same table."""
    teller: Any = plan.mapper.polymorphic_on
    if teller is None or teller not in read.columns:
        return Found(plan, key, read, row)
    value: Hashable = row[read.columns[teller]]
    mapper = plan.mapper.polymorphic_map.get(value)
    if mapper is None or not issubclass(mapper.class_, plan.class_):
        return None
    return Found(blueprint(mapper), key, read, row)
