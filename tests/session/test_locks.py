"""Nobody slips in between the SELECT of a row and its UPDATE, on any database and in any of its modes."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, create_mock_engine, event, outerjoin, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from sojourn import asyncio as sojourn_asyncio
from sojourn.errors import NoTransactionError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.locks import Hold, hold_rows, in_lock_order, sorted_keys
from tests.databases import Database
from tests.models import inheritance, ordered, shop
from tests.models.inheritance import Car
from tests.models.ordered import Deck, Slide
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, line_of, one_order, open_shop, others, row, rows, shop_away
from tests.session.test_attach_policies import impatient

# --- SQLite: one lock for all ----------------------------------------------------------------------------------------

MODES = ["legacy", "deferred", "autocommit=False"]


@contextmanager
def engine_in(mode: str, path: Path, journal: str) -> Iterator[Engine]:
    """A SQLite file whose driver begins transactions in one of its ways; nobody waits long for a lock."""
    arguments: dict[str, Any] = {"timeout": 0.1}
    if mode == "autocommit=False":
        arguments["autocommit"] = False
    engine = create_engine(f"sqlite:///{path}", connect_args=arguments)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        if mode == "deferred":
            connection.isolation_level = None

    if mode == "deferred":
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    connection.close()
    shop.Base.metadata.create_all(engine)
    with Session(engine) as session:
        shop.fill(session, 2, 0, 0)
        session.commit()
    yield engine
    engine.dispose()


def write(engine: Engine) -> None:
    """Somebody else's update."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE customer SET city = 'theirs' WHERE id = 1"))


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("begun", [False, True], ids=["fresh", "begun"])
def test_on_sqlite_nobody_writes_between_attach_and_commit(
    tmp_path: Path, mode: str, journal: str, begun: bool
) -> None:
    if mode == "autocommit=False" and sys.version_info < (3, 12):
        pytest.skip("sqlite3 has autocommit=False since Python 3.12")
    with engine_in(mode, tmp_path / "shop.sqlite", journal) as engine:
        with Session(engine) as session:
            [mine] = detach(session, session.get_one(Customer, 1))
        mine.city = "mine"
        with Session(engine) as session:
            if begun:
                session.get_one(Customer, 2)
            attach(session, mine)
            with pytest.raises(OperationalError, match="locked"):
                write(engine)
            session.commit()
        with Session(engine) as session:
            assert session.get_one(Customer, 1).city == "mine"


def test_who_comes_too_late_is_told_before_anything_is_changed(tmp_path: Path) -> None:
    with engine_in("deferred", tmp_path / "shop.sqlite", "WAL") as engine:
        with Session(engine) as session:
            [mine] = detach(session, session.get_one(Customer, 1))
        mine.city = "mine"
        with Session(engine) as session:
            session.get_one(Customer, 2)  # from here on the transaction sees the database as it is now
            with Session(engine) as other:
                other.get_one(Customer, 1).name = "theirs"
                other.commit()
            with pytest.raises(OperationalError, match="locked"):
                attach(session, mine)
            session.rollback()
            attach(session, mine)
            session.commit()
            assert (mine.city, mine.name) == ("mine", "theirs")


def test_a_look_takes_no_lock_on_sqlite(tmp_path: Path) -> None:
    with engine_in("legacy", tmp_path / "shop.sqlite", "WAL") as engine:
        with Session(engine) as session:
            both = detach(session, list(session.scalars(select(Customer))))
        both[0].city = "mine"
        with Session(engine) as session:
            attach(session, both, dry_run=True)
            attach(session, both[1])
            write(engine)


def test_the_lock_is_taken_through_asyncio(tmp_path: Path) -> None:
    async def run(path: Path) -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}", connect_args={"timeout": 0.1})
        async with AsyncSession(engine) as session:
            mine = await session.get_one(Customer, 1)
            await sojourn_asyncio.detach(session, mine)
        mine.city = "mine"
        async with AsyncSession(engine) as session, AsyncSession(engine) as other:
            await sojourn_asyncio.attach(session, mine)
            with pytest.raises(OperationalError, match="locked"):
                await other.execute(text("UPDATE customer SET city = 'theirs' WHERE id = 1"))
            await session.commit()
        await engine.dispose()

    path = tmp_path / "shop.sqlite"
    with engine_in("legacy", path, "WAL"):
        asyncio.run(run(path))


# --- no transaction at all -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", [True, False])
def test_where_each_statement_commits_attach_refuses_and_says_what_to_write(database: Database, lock: bool) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    careless = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with Session(careless) as session, pytest.raises(NoTransactionError) as caught:
        attach(session, mine, lock=lock)
    lines = str(caught.value).partition("\n")[2].rpartition("\n")[0]
    with Session(careless) as session:
        exec(textwrap.dedent(lines), {"session": session, "objs": mine, "attach": attach})
        session.commit()
    assert row(database, Customer, 1).city == "mine"


def test_an_engine_made_to_commit_each_statement_is_refused_too(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    engine = create_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    with Session(engine) as session, pytest.raises(NoTransactionError):
        attach(session, mine)
    engine.dispose()


def test_a_driver_that_was_told_to_commit_each_statement_is_found_out(database: Database) -> None:
    if database.name == "sqlite":
        pytest.skip("what SQLite's drivers call autocommit is tested above")
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    engine = create_engine(database.engine.url, connect_args={"autocommit": True})
    with Session(engine) as session, pytest.raises(NoTransactionError):
        attach(session, mine)
    engine.dispose()


def test_without_edits_or_without_a_check_no_transaction_is_asked_for(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    clean, edited = away(database, Customer)
    edited.city = "mine"
    with Session(database.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        attach(session, clean, verify="all")
        attach(session, edited, verify="none")
        session.commit()
    assert row(database, Customer, 2).city == "mine"


# --- row locks -------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(database: Database) -> Database:
    """A database that locks rows."""
    if database.name == "sqlite":
        pytest.skip("SQLite has no row locks")
    return database


def test_the_rows_of_all_tables_of_a_subclass_are_locked(server: Database) -> None:
    server.create(inheritance.Base.metadata)
    with others(server) as session:
        session.add(Car(id=1, plate="theirs", doors=4))
    [mine] = away(server, Car)
    mine.plate = "mine"
    with server.session() as session:
        attach(session, mine)
        for table in ("vehicle", "car"):
            with impatient(server) as other, pytest.raises(OperationalError):
                other.execute(text(f"UPDATE {table} SET id = id WHERE id = 1"))


@pytest.mark.parametrize("verify", ["changed", "all"])
def test_what_goes_with_a_removed_object_is_locked(server: Database, verify: Any) -> None:
    open_shop(server, 1, 1, 2)
    [customer] = shop_away(server)
    customer.orders.pop()
    with server.session() as session:
        attach(session, customer, verify=verify)
        with impatient(server) as other, pytest.raises(OperationalError):
            other.execute(text("UPDATE order_line SET qty = 99 WHERE id = 2"))


def test_whoever_a_list_may_number_anew_is_locked(server: Database) -> None:
    server.create(ordered.Base.metadata)
    with others(server) as session:
        session.add(Deck(id=1, slides=[Slide(id=number, text="a") for number in (1, 2, 3)]))
    [mine] = away(server, Deck, selectinload(Deck.slides))
    with others(server) as session:
        theirs = session.get_one(Deck, 1)
        theirs.slides.append(Slide(id=4, text="theirs"))
    mine.slides.pop(0)
    with server.session() as session:
        attach(session, mine)
        for number in (2, 3, 4):
            with impatient(server) as other, pytest.raises(OperationalError):
                other.execute(text(f"UPDATE slide SET text = 'theirs' WHERE id = {number}"))


def test_tables_are_locked_in_one_order_whatever_comes_first(server: Database) -> None:
    open_shop(server, 1, 1, 1)

    def tables(*, lines_first: bool) -> list[str]:
        [customer] = shop_away(server)
        order = customer.orders[0]
        customer.city = order.status = order.lines[0].sku = "mine"
        given = [order.lines[0], order, customer]
        with server.session() as session, server.statements() as log:
            attach(session, given if lines_first else given[::-1])
        return [statement.sql.partition("FROM ")[2].split()[0].strip('`"') for statement in log.selects]

    assert tables(lines_first=True) == tables(lines_first=False) == ["customer", "customer_order", "order_line"]


def test_what_an_edit_points_to_cannot_go_away_and_others_may_point_there_too(server: Database) -> None:
    open_shop(server, 2, 1, 0)
    orders = away(server, Order, selectinload(Order.customer))
    orders[0].customer = orders[1].customer
    with server.session() as session:
        attach(session, orders)
        with impatient(server) as other:
            other.execute(text("INSERT INTO customer_order VALUES (7, 2, 'n', 's', '2026-01-01')"))
            other.rollback()
        with impatient(server) as other, pytest.raises(OperationalError):
            other.execute(text("DELETE FROM customer WHERE id = 2"))


def test_two_who_add_new_objects_with_keys_do_not_wait_for_each_other(server: Database) -> None:
    open_shop(server, 1, 0, 0)

    def new(key: int) -> Customer:
        return Customer(id=key, name="n", email="e", balance=0)

    with server.session() as first, server.session() as second:
        attach(first, [new(11), new(12)])
        attach(second, [new(13), new(14)])
        first.flush()
        second.flush()  # under repeatable read MariaDB would break one off, had they locked the gap
        first.commit()
        second.commit()
    assert [one.id for one in rows(server, Customer)] == [1, 11, 12, 13, 14]


def test_a_new_object_whose_row_is_there_is_locked(server: Database) -> None:
    open_shop(server, 1, 0, 0)
    with server.session() as session:
        attach(session, Customer(id=1, city="mine"), on_unknown_base="mine")
        with impatient(server) as other, pytest.raises(OperationalError):
            other.execute(text("UPDATE customer SET city = 'theirs' WHERE id = 1"))


def test_members_are_read_after_their_parent_is_locked(server: Database) -> None:
    _, order = one_order(server, 2)
    line_of(order, "new")
    order.lines[0].sku = "mine"
    with server.session() as session, server.statements() as log:
        attach(session, order)
    tables = [one.sql.partition("FROM ")[2].split()[0] for one in log.selects]
    # MariaDB would lock the gap for a new line, too: it looks for the members first.
    assert tables == ["customer_order", "order_line", "order_line"][: 3 if server.name == "mariadb" else 2]
    assert ["UPDATE" in one.sql for one in log.selects] == ([True, False, True] if len(tables) == 3 else [True, True])


def test_a_line_edited_by_two_is_written_by_both_in_turn(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [first], [second] = away(database, Line), away(database, Line)
    first.sku, second.qty = "first", 77
    for mine in (first, second):
        with database.session() as session:
            attach(session, mine)
            session.commit()
    line = row(database, Line, 1)
    assert (line.sku, line.qty) == ("first", 77)


def test_sql_server_locks_by_hints() -> None:
    dialect = create_mock_engine("mssql+pyodbc://", lambda *_: None).dialect
    statement = hold_rows(select(Customer.__table__.c.id), Customer.__table__, Hold.EDITED, dialect)
    assert "customer WITH (UPDLOCK)" in str(statement.compile(dialect=dialect))


def test_keys_of_any_type_have_one_order() -> None:
    assert sorted_keys([(2,), (10,), (1,)]) == [(1,), (2,), (10,)]
    assert sorted_keys([("a",), (1,)]) == sorted_keys([(1,), ("a",)])


def test_tables_have_one_order_whichever_are_read() -> None:
    tables = [Line.__table__, Customer.__table__, Order.__table__]
    assert [getattr(one, "name", "") for one in in_lock_order(tables)] == ["customer", "customer_order", "order_line"]
    assert [getattr(one, "name", "") for one in in_lock_order(tables[:2])] == ["customer", "order_line"]
    mapped_elsewhere = select(Customer.__table__).subquery("other")
    assert in_lock_order([*tables, mapped_elsewhere])[0] is mapped_elsewhere


def test_the_outer_side_of_a_join_is_not_locked() -> None:
    join = outerjoin(Customer.__table__, Order.__table__)
    dialect = create_mock_engine("postgresql+psycopg://", lambda *_: None).dialect
    statement = hold_rows(select(join), join, Hold.DELETED, dialect)
    assert str(statement.compile(dialect=dialect)).endswith("FOR UPDATE OF customer")


class CommitsItself(sqlite3.Connection):
    """A connection as of Python 3.12 with autocommit=True."""

    autocommit = True


def test_a_sqlite_driver_that_would_never_commit_our_transaction_is_refused(tmp_path: Path) -> None:
    with engine_in("legacy", tmp_path / "shop.sqlite", "WAL") as engine:
        with Session(engine) as session:
            [mine] = detach(session, session.get_one(Customer, 1))
        mine.city = "mine"
        careless = create_engine(engine.url, connect_args={"factory": CommitsItself})
        with Session(careless) as session, pytest.raises(NoTransactionError, match="create_engine"):
            attach(session, mine)
        careless.dispose()


def test_each_attached_file_of_sqlite_is_locked_where_its_tables_are_written(tmp_path: Path) -> None:
    with engine_in("deferred", tmp_path / "shop.sqlite", "WAL") as engine:
        elsewhere = create_engine(f"sqlite:///{tmp_path / 'main.sqlite'}", connect_args={"timeout": 0.1})

        @event.listens_for(elsewhere, "connect")
        def connected(connection: Any, _record: object) -> None:
            connection.isolation_level = None
            connection.execute(f"ATTACH '{tmp_path / 'shop.sqlite'}' AS shop")

        event.listen(elsewhere, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        mapped = elsewhere.execution_options(schema_translate_map={None: "shop"})
        with Session(mapped) as session:
            [mine] = detach(session, session.get_one(Customer, 1))
        mine.city = "mine"
        with Session(mapped) as session:
            attach(session, mine)
            with pytest.raises(OperationalError, match="locked"):
                write(engine)
            session.commit()
        elsewhere.dispose()
