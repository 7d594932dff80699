"""What the other tests take for granted: the databases, and the statement log that counts for law 3."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.databases import Database
from tests.models.shop import Base, Customer, Line, Order, fill
from tests.statements import Statement, recorded


@pytest.fixture
def shop(database: Database) -> Database:
    database.create(Base.metadata)
    with database.session() as session:
        fill(session, customers=3, orders=2, lines=2)
        session.commit()
    return database


def test_a_test_finds_its_database_empty(database: Database) -> None:
    database.create(Base.metadata)
    with database.session() as session:
        assert session.scalars(select(Customer)).all() == []


def test_foreign_keys_are_enforced(shop: Database) -> None:
    with shop.session() as session, pytest.raises(IntegrityError):
        session.execute(text("UPDATE order_line SET order_id = 999"))


def test_generated_keys_go_on_after_filled_rows(shop: Database) -> None:
    with shop.session() as session:
        customer = Customer(name="New", email="new@example.org", balance=0)
        session.add(customer)
        session.commit()
        assert customer.id == 4


def test_an_outer_rollback_undoes_a_released_savepoint(shop: Database) -> None:
    with shop.session() as session:
        with session.begin_nested():
            session.add(Customer(id=10, name="Nested", email="nested@example.org", balance=0))
        session.rollback()
        assert session.get(Customer, 10) is None


def test_one_session_commits_while_another_reads(shop: Database) -> None:
    with shop.session() as reader, shop.session() as writer:
        assert reader.get_one(Customer, 1).name == "Customer 1"
        writer.get_one(Customer, 1).name = "Changed"
        writer.commit()
        reader.rollback()
        assert reader.get_one(Customer, 1).name == "Changed"


def test_the_log_sorts_statements_by_kind_and_flags_executemany(shop: Database) -> None:
    with shop.session() as session, shop.statements() as log:
        customers = session.scalars(select(Customer).order_by(Customer.id)).all()
        for customer in customers:
            customer.city = "Ghent"
        session.flush()
        with session.begin_nested():
            session.delete(session.get_one(Line, 1))
        session.rollback()
    assert len(log.selects) == 2
    assert [update.executemany for update in log.updates] == [True]
    assert len(log.deletes) == 1
    assert len(log.inserts) == 0
    assert [statement.kind for statement in log][-4:] == ["SAVEPOINT", "SELECT", "DELETE", "RELEASE"]
    assert len(log) == 6


def test_the_log_sees_nothing_outside_its_block(sqlite: Database) -> None:
    with recorded(sqlite.engine) as log:
        pass
    with sqlite.session() as session:
        session.execute(text("SELECT 1"))
    assert len(log) == 0


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT 1", "SELECT"),
        ("  (SELECT 1) UNION (SELECT 2)", "SELECT"),
        ("WITH gone AS (DELETE FROM a RETURNING id) SELECT id FROM gone", "SELECT"),
        ("WITH keys(id) AS (SELECT 1) UPDATE a SET b = (SELECT 2)", "UPDATE"),
        ("PRAGMA foreign_keys", "PRAGMA"),
    ],
)
def test_a_statement_knows_its_kind(sql: str, kind: str) -> None:
    assert Statement(sql, (), executemany=False).kind == kind


def test_an_asyncio_engine_sees_the_same_database(shop: Database) -> None:
    async def names() -> list[str]:
        async with shop.async_engine() as engine, AsyncSession(engine) as session:
            with shop.statements(engine.sync_engine) as log:
                found = await session.scalars(select(Customer.name).order_by(Customer.id))
            assert len(log.selects) == 1
            return list(found)

    assert asyncio.run(names()) == ["Customer 1", "Customer 2", "Customer 3"]


def test_fill_gives_each_parent_its_children_in_order(shop: Database) -> None:
    with shop.session() as session:
        customers = session.scalars(select(Customer).order_by(Customer.id)).all()
        assert [[order.id for order in customer.orders] for customer in customers] == [[1, 2], [3, 4], [5, 6]]
        orders = session.scalars(select(Order).order_by(Order.id)).all()
        assert [[line.id for line in order.lines] for order in orders][-1] == [11, 12]
