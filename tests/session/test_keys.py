"""How keys travel: every type of key finds its rows and no others, on each database, in as few statements as it can."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, inspect, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import selectinload

from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.keys import CHUNK, pointed, within
from sojourn.session.prefetch import prefetch
from sojourn.session.refresh import refresh
from tests.databases import Database
from tests.models import odd_keys
from tests.models.odd_keys import KINDS, Kind

each_kind = pytest.mark.parametrize("kind", KINDS, ids=repr)


@pytest.fixture
def fill(database: Database) -> Iterator[Callable[[Kind], None]]:
    """A function that makes the tables of a kind of key, with a parent for each key and two children each."""
    tables: list[Table] = []

    def fill(kind: Kind) -> None:
        if database.name in kind.skip:
            pytest.skip(kind.skip[database.name])
        tables.extend((kind.parent.__table__, kind.child.__table__))
        odd_keys.metadata.create_all(database.engine, tables)
        with database.session() as session:
            for key in kind.keys:
                parent = kind.parent()
                for name, value in zip(key_names(kind), key, strict=True):
                    setattr(parent, name, value)
                parent.note = "first"
                parent.children = [kind.child(), kind.child()]
                session.add(parent)
            session.commit()

    yield fill
    database.clean()
    odd_keys.metadata.drop_all(database.engine, tables)


def key_names(kind: Kind) -> list[str]:
    return [f"k{position}" for position in range(len(kind.types))]


def columns_of(kind: Kind) -> list[Any]:
    return [kind.parent.__table__.c[name] for name in key_names(kind)]


def found(database: Database, kind: Kind, keys: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    columns = columns_of(kind)
    with database.session() as session:
        conditions = within(database.engine.dialect, columns, keys)
        return [tuple(row) for condition in conditions for row in session.execute(select(*columns).where(condition))]


@each_kind
def test_some_keys_find_their_rows_and_no_others(database: Database, fill: Callable[[Kind], None], kind: Kind) -> None:
    fill(kind)
    for wanted in (list(kind.keys[:1]), list(kind.keys[1:]), list(kind.keys)):
        rows = found(database, kind, wanted)
        assert (len(rows), set(rows)) == (len(wanted), set(wanted))


@each_kind
def test_references_and_collections_are_found_by_keys_of_every_type(
    database: Database, fill: Callable[[Kind], None], kind: Kind
) -> None:
    fill(kind)
    with database.session() as session:
        children = session.scalars(select(kind.child)).all()
        prefetch(session, children, selectinload(kind.child.parent).selectinload(kind.parent.children))
        assert len(children) == 2 * len(kind.keys)
        with database.statements() as log:
            keys = {tuple(getattr(child.parent, name) for name in key_names(kind)) for child in children}
            assert all(child in child.parent.children and len(child.parent.children) == 2 for child in children)
        assert keys == set(kind.keys)
        assert len(log) == 0


@each_kind
def test_objects_with_keys_of_every_type_leave_come_home_and_are_refreshed(
    database: Database, fill: Callable[[Kind], None], kind: Kind
) -> None:
    fill(kind)
    with database.session() as session:
        parents = detach(session, session.scalars(select(kind.parent)).all(), selectinload(kind.parent.children))
    parents[0].note = "mine"
    with database.session() as session:
        report = attach(session, parents, verify="all")
        assert (report.updated, report.conflicts) == ([parents[0]], [])
        last = inspect(parents[-1]).identity
        session.commit()
        with database.session() as other:
            other.get_one(kind.parent, last).note = "theirs"
            other.commit()
        refresh(session, parents)
        assert [one.note for one in parents] == ["mine", *["first"] * (len(parents) - 2), "theirs"]
        assert [len(one.children) for one in parents] == [2] * len(parents)


def test_more_keys_than_a_chunk_travel_as_one_parameter_where_the_database_can(database: Database) -> None:
    table = Table("many_keys", MetaData(), Column("id", Integer, primary_key=True))
    table.create(database.engine)
    try:
        with database.session() as session:
            session.execute(insert(table), [{"id": number} for number in range(1, 2 * CHUNK + 200)])
            conditions = within(database.engine.dialect, [table.c.id], [(number,) for number in range(2 * CHUNK + 100)])
            with database.statements() as log:
                rows = [row for condition in conditions for row in session.execute(select(table).where(condition))]
        assert sorted(row.id for row in rows) == list(range(1, 2 * CHUNK + 100))
        assert len(log) == len(conditions) == (3 if database.name == "mariadb" else 1)
    finally:
        database.clean()
        table.drop(database.engine)


DIALECTS: list[Any] = [make() for make in (sqlite.dialect, postgresql.dialect, mysql.dialect)]
KEYS = Table("keys", MetaData(), Column("a", Integer), Column("b", String(10)))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.name)
def test_no_keys_are_no_condition(dialect: Any) -> None:
    assert within(dialect, [KEYS.c.a], []) == []
    assert within(dialect, [KEYS.c.a, KEYS.c.b], iter(())) == []


def test_a_key_that_is_given_twice_travels_once(sqlite: Database) -> None:
    (condition,) = within(sqlite.engine.dialect, [KEYS.c.a], [(1,), (2,), (1,)])
    assert [json.loads(value) for value in condition.compile().params.values()] == [[1, 2]]


def test_an_old_sqlite_takes_keys_in_chunks() -> None:
    dialect: Any = create_engine("sqlite://").dialect
    dialect.dbapi = SimpleNamespace(sqlite_version_info=(3, 31, 0))
    assert len(within(dialect, [KEYS.c.a], [(number,) for number in range(CHUNK + 1)])) == 2


def test_a_database_that_compares_no_rows_gets_every_pair_spelled_out() -> None:
    (condition,) = within(DefaultDialect(), [KEYS.c.a, KEYS.c.b], [(1, "x"), (2, "y")])
    assert str(condition) == "keys.a = :a_1 AND keys.b = :b_1 OR keys.a = :a_2 AND keys.b = :b_2"


def test_a_foreign_key_with_an_empty_part_points_nowhere() -> None:
    assert pointed((1, None)) is None
    assert pointed((0, "")) == (0, "")
