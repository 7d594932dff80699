"""The verbs on AsyncSession: each one tried, on aiosqlite, psycopg and asyncmy."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import selectinload

from sojourn import PayloadError, changes, clone, discard, dumps, loads, state
from sojourn.asyncio import attach, detach, merge, patch, prefetch, process, refresh, savepoint
from sojourn.batch import ledger
from tests.databases import Database
from tests.models.shop import Base, Customer, Line, Order, fill
from tests.session.observing import raised

SHAPE = selectinload(Customer.orders).selectinload(Order.lines)


def in_async(database: Database, story: Callable[[AsyncEngine], Awaitable[None]]) -> None:
    """Two customers with two orders of two lines each, and a coroutine on them."""
    database.create(Base.metadata)
    with database.session() as session:
        fill(session, customers=2, orders=2, lines=2)
        session.commit()

    async def run() -> None:
        async with database.async_engine() as engine:
            await story(engine)

    asyncio.run(run())


def test_a_graph_leaves_travels_and_comes_home(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            customers = await detach(session, (await session.scalars(select(Customer))).all(), SHAPE)
        (ada, _) = loads(dumps(customers), Base)
        ada.orders[0].lines[0].qty = 77
        ada.orders[0].lines.append(Line(sku="new", qty=1, price=5))
        async with AsyncSession(engine) as session:
            report = await attach(session, ada)
            assert [type(one) for one in report.inserted] == [Line]
            await session.commit()
        async with AsyncSession(engine) as session:
            quantities = (await session.scalars(select(Line.qty).where(Line.order_id == 1).order_by(Line.id))).all()
            assert (quantities[0], quantities[-1]) == (77, 1)

    in_async(database, story)


def test_a_payload_is_written_and_refused(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        allow = [Order.status, Order.lines, Line.qty, Line.sku, Line.price]
        payload = {"id": 1, "status": "x", "lines": [{"id": 1, "qty": 77}, {"sku": "new", "qty": 1, "price": "1.50"}]}
        async with AsyncSession(engine) as session:
            with pytest.raises(PayloadError):
                await patch(session, Order, {"id": 1, "lines": [{"id": 99}]}, allow=allow)
            report = await patch(session, Order, payload, allow=allow, on_absent="delete")
            assert (len(report.inserted), len(report.updated), len(report.deleted)) == (1, 2, 1)
            await session.commit()
        async with AsyncSession(engine) as session:
            quantities = (await session.scalars(select(Line.qty).where(Line.order_id == 1).order_by(Line.id))).all()
            assert quantities == [77, 1]

    in_async(database, story)


def test_merge_copies_onto_the_objects_of_the_session(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            customers = await detach(session, (await session.scalars(select(Customer))).all(), SHAPE)
        customers[0].orders[0].lines[0].qty = 77
        async with AsyncSession(engine) as session:
            merged = await merge(session, customers)
            assert merged[0] is not customers[0]
            one = await merge(session, Customer(id=1, name="Ada"))
            assert one.orders[0].lines[0].qty == 77
            await session.commit()
        async with AsyncSession(engine) as session:
            assert (await session.scalars(select(Line.qty).where(Line.id == 1))).one() == 77

    in_async(database, story)


def test_prefetch_fills_what_lazy_loading_could_not(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            customers = (await session.scalars(select(Customer).order_by(Customer.id))).all()
            await prefetch(session, customers, SHAPE)
            assert [len(order.lines) for customer in customers for order in customer.orders] == [2, 2, 2, 2]

    in_async(database, story)


def test_refresh_fills_what_a_commit_expired_and_keeps_edits(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            customer = (await session.scalars(select(Customer).where(Customer.id == 1))).one()
            await session.commit()
            assert "name" in state(customer).expired
            customer.city = "Ghent"
            await refresh(session, customer)
            assert "name" in state(customer).loaded
            assert changes(customer)["city"].new == "Ghent"  # type: ignore[union-attr]  # a column's change

    in_async(database, story)


def test_a_block_that_fails_leaves_database_and_objects_as_before(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            customer = await session.get_one(Customer, 1)
            customer.city = "before"
            with raised(IntegrityError):
                async with savepoint(session):
                    customer.name = "inside"
                    await session.flush()
                    session.add(Customer(name="without an address"))
            assert set(changes(customer)) == {"city"}
            async with savepoint(session) as block:
                customer.name = "inside"
                await session.flush()
                await block.rollback()
            assert set(changes(customer)) == {"city"}
            async with savepoint(session):
                customer.name = "kept"
            await session.commit()
        async with AsyncSession(engine) as session:
            customer = await session.get_one(Customer, 1)
            assert (customer.name, customer.city) == ("kept", "before")

    in_async(database, story)


def test_a_block_works_in_the_legacy_mode_of_aiosqlite(tmp_path: Path) -> None:
    async def story() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/legacy.sqlite")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            async with savepoint(session):
                session.add(Customer(name="a", email="b", balance=1))
            await session.rollback()
            assert (await session.scalars(select(Customer))).all() == []
        await engine.dispose()

    asyncio.run(story())


def test_what_needs_no_database_needs_no_await(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            order = await session.get_one(Order, 1, options=[selectinload(Order.lines)])
            order.status = "odd"
            discard(order)
            assert not changes(order)
            twin = clone(order)
            session.add(twin)
            await session.commit()
            copied = (await session.scalars(select(Line.sku).join(Line.order).where(Order.id > 4))).all()
            original = (await session.scalars(select(Line.sku).where(Line.order_id == 1))).all()
            assert sorted(copied) == sorted(original)

    in_async(database, story)


def test_a_scoped_session_will_do(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        scoped = async_scoped_session(async_sessionmaker(engine), asyncio.current_task)
        (customer,) = await detach(scoped, await scoped.get_one(Customer, 1))
        customer.name = "Grace"
        await attach(scoped, customer)
        await scoped.commit()
        assert (await scoped.scalars(select(Customer.name).where(Customer.id == 1))).one() == "Grace"
        await scoped.remove()

    in_async(database, story)


def test_a_job_runs_in_the_loop_with_plain_and_async_functions_and_workers(database: Database) -> None:
    async def story(engine: AsyncEngine) -> None:
        sessions = async_sessionmaker(engine)
        seen = []

        def plain(line: Line) -> None:
            line.qty += 100
            if line.id == 3:
                raise ValueError("not this one")

        async def later(line: Line) -> None:
            await asyncio.sleep(0)
            seen.append(asyncio.get_running_loop())
            line.qty += 100

        with ThreadPoolExecutor(1) as executor:
            for name, function, elsewhere in (("plain", plain, None), ("later", later, None), ("far", plain, executor)):
                report = await process(
                    sessions, select(Line), function, name=name, chunk=3, progress=False, lease=0.05, executor=elsewhere
                )
                assert (report.rows, report.rejected) == (8, 0 if function is later else 1)
        assert set(seen) == {asyncio.get_running_loop()}
        async with AsyncSession(engine) as session:
            quantities = (await session.scalars(select(Line.qty).order_by(Line.id))).all()
            assert [qty // 100 for qty in quantities] == [3, 3, 1, 3, 3, 3, 3, 3]

    try:
        in_async(database, story)
    finally:
        ledger.metadata.drop_all(database.engine)


def test_the_verbs_also_run_through_run_sync(database: Database) -> None:
    from sojourn import attach as plain_attach
    from sojourn import detach as plain_detach

    async def story(engine: AsyncEngine) -> None:
        async with AsyncSession(engine) as session:
            customer = await session.get_one(Customer, 1)
            [customer] = await session.run_sync(plain_detach, customer)
        customer.name = "Grace"
        async with AsyncSession(engine) as session:
            report = await session.run_sync(plain_attach, customer)
            assert report.updated == [customer]
            await session.commit()

    in_async(database, story)
