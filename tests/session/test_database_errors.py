"""Errors of the database during attach: after a rollback the same objects come home in a second try."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, selectinload

from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import relations
from tests.models.inheritance import Base as VehicleBase
from tests.models.inheritance import Car, Owner
from tests.models.relations import Article, Tag
from tests.models.shop import Customer, Line
from tests.session.attaching import away, fingerprint, open_shop, others, row, shop_away
from tests.session.test_law_four import edited_shop, make_busy

# --- any statement may fail ------------------------------------------------------------------------------------------


class BrokenPipeOfOursError(Exception):
    """What stands for any error of a database."""


@contextmanager
def failing(engine: Engine, at: int) -> Iterator[list[int]]:
    """The statement with this number fails (from 0); gives the numbers of those that were tried."""
    tried: list[int] = []

    def execute(*_: Any) -> None:
        tried.append(len(tried))
        if tried[-1] == at:
            raise BrokenPipeOfOursError

    event.listen(engine, "before_cursor_execute", execute)
    try:
        yield tried
    finally:
        event.remove(engine, "before_cursor_execute", execute)


def fails_at_each_statement_and_then_succeeds(
    database: Database, given: Callable[[], tuple[list[Any], list[Any]]], *, busy: bool = False, **arguments: Any
) -> int:
    """Attach with each of its statements failing once: nothing is changed, and the same objects can be attached."""
    for number in range(20):
        objs, removed = given()
        with database.session() as session:
            watched = [*objs, *removed, *(make_busy(session) if busy else [])]
            before = fingerprint(session, watched)
            with failing(database.engine, number) as tried:
                try:
                    attach(session, objs, **arguments)
                except BrokenPipeOfOursError:
                    pass
                else:
                    return len(tried)
            assert fingerprint(session, watched) == before, f"statement {number} left something behind"
            session.rollback()
            session.expunge_all()
            attach(session, objs, **arguments)
            session.flush()
            session.rollback()
    raise AssertionError("it never came through")


@pytest.mark.parametrize("verify", ["changed", "all"])
@pytest.mark.parametrize("busy", [False, True])
def test_whatever_statement_fails_nothing_is_changed(sqlite: Database, verify: str, busy: bool) -> None:
    edited_shop(sqlite)

    def given() -> tuple[list[Any], list[Any]]:
        customers = shop_away(sqlite)
        customers[0].city = "mine"
        removed = customers[0].orders[0].lines.pop(1)
        customers[1].orders[0].lines.append(customers[0].orders[1].lines.pop(0))
        return list(customers), [removed]

    assert fails_at_each_statement_and_then_succeeds(sqlite, given, busy=busy, verify=verify) >= 2


@pytest.mark.parametrize("verify", ["changed", "all"])
def test_members_that_others_added_through_a_third_table_are_loaded_before_anything_is_changed(
    sqlite: Database, verify: str
) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add(Article(id=1, title="t", tags=[Tag(id=1, name="a")]))
        session.add_all([Tag(id=2, name="b"), Tag(id=3, name="c")])
    shape = selectinload(Article.tags).selectinload(Tag.articles)
    taken = [away(sqlite, Article, shape)[0] for _ in range(9)]
    with others(sqlite) as session:
        article = session.get_one(Article, 1)
        article.tags.append(session.get_one(Tag, 2))

    def given() -> tuple[list[Any], list[Any]]:
        article = taken.pop()
        removed = list(article.tags)
        article.title = "mine"
        if verify == "changed":
            article.tags.clear()
        return [article], removed

    assert fails_at_each_statement_and_then_succeeds(sqlite, given, verify=verify) >= 3


def test_members_of_a_subclass_that_others_added_are_loaded_before_anything_is_changed(sqlite: Database) -> None:
    sqlite.create(VehicleBase.metadata)
    with others(sqlite) as session:
        session.add(Owner(id=1, name="o", vehicles=[Car(id=1, plate="p", doors=2)]))
    taken = [away(sqlite, Owner, selectinload(Owner.vehicles))[0] for _ in range(9)]
    with others(sqlite) as session:
        owner = session.get_one(Owner, 1)
        owner.vehicles.append(Car(id=2, plate="q", doors=4))

    def given() -> tuple[list[Any], list[Any]]:
        owner = taken.pop()
        owner.name = "mine"
        return [owner], []

    assert fails_at_each_statement_and_then_succeeds(sqlite, given, verify="all") >= 3


# --- real errors of real servers -------------------------------------------------------------------------------------


@pytest.fixture
def server(database: Database) -> Database:
    if database.name == "sqlite":
        pytest.skip("SQLite has one lock and no connection to lose; tests/session/test_locks.py has what it says")
    return database


def comes_home_in_a_second_try(session: Session, objs: list[Any], *codes: object) -> None:
    """attach fails with one of these codes and changes nothing; after a rollback it succeeds."""
    before = fingerprint(session, objs)
    with pytest.raises(DBAPIError) as caught:
        attach(session, objs)
    original: Any = caught.value.orig
    assert {getattr(original, "sqlstate", None), *original.args[:1]} & set(codes), repr(original)
    assert fingerprint(session, objs) == before
    session.rollback()
    attach(session, objs)
    session.commit()


def test_a_lost_connection(server: Database) -> None:
    open_shop(server, 1, 1, 1)
    [customer] = shop_away(server)
    customer.city = customer.orders[0].lines[0].sku = "mine"
    with server.session() as session:
        own = "pg_backend_pid()" if server.name == "postgresql" else "connection_id()"
        number = session.scalar(text(f"SELECT {own}"))
        end = "SELECT pg_terminate_backend({})" if server.name == "postgresql" else "KILL {}"
        with server.engine.connect() as other:
            other.execute(text(end.format(number)))
        comes_home_in_a_second_try(session, [customer], "57P01", 2006, 2013, 4031, None)
    assert (row(server, Customer, 1).city, row(server, Line, 1).sku) == ("mine", "mine")


def test_a_lock_that_is_not_granted_in_time(server: Database) -> None:
    open_shop(server, 1, 1, 1)
    [customer] = shop_away(server)
    customer.city = customer.orders[0].lines[0].sku = "mine"
    with server.session() as session, server.session() as other:
        short = "SET lock_timeout = '200ms'" if server.name == "postgresql" else "SET innodb_lock_wait_timeout = 1"
        session.execute(text(short))
        session.commit()
        other.execute(text("UPDATE order_line SET qty = 77 WHERE id = 1"))
        before = fingerprint(session, [customer])
        with pytest.raises(OperationalError):
            attach(session, customer)
        assert fingerprint(session, [customer]) == before
        session.rollback()
        other.commit()
        attach(session, customer)
        session.commit()
        session.execute(text(short.replace("200ms", "10s").replace("= 1", "= 10")))
        session.commit()
    line = row(server, Line, 1)
    assert (line.sku, line.qty) == ("mine", 77)


def test_a_deadlock_with_somebody_who_locks_the_other_way_round(server: Database) -> None:
    open_shop(server, 1, 1, 1)
    [customer] = shop_away(server)
    customer.city = customer.orders[0].lines[0].sku = "mine"
    told: list[str] = []
    with server.session() as session, server.session() as other:
        other.execute(text("UPDATE order_line SET qty = 77 WHERE id = 1"))

        def crosswise() -> None:
            try:
                other.execute(text("UPDATE customer SET name = 'theirs' WHERE id = 1"))
                other.commit()
                told.append("done")
            except OperationalError:
                other.rollback()
                told.append("deadlock")

        thread = threading.Timer(0.3, crosswise)
        thread.start()
        before = fingerprint(session, [customer])
        failed = None
        try:
            attach(session, customer)
        except OperationalError as error:
            failed = error
            assert fingerprint(session, [customer]) == before
            session.rollback()
        thread.join()
        if failed is not None:
            attach(session, customer)
        session.commit()
    assert [told, failed is None] in (
        [["done"], False],
        [["deadlock"], True],
    )  # the database chooses whom it breaks off
    assert row(server, Customer, 1).city == "mine"
    assert row(server, Customer, 1).name == ("theirs" if failed else "Customer 1")


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_serialization_failure(server: Database, level: str) -> None:
    if server.name == "mariadb":
        pytest.skip("MariaDB's locking reads see what is there now")
    open_shop(server, 2, 0, 0)
    mine, _ = away(server, Customer)
    mine.city = "mine"
    with Session(server.engine.execution_options(isolation_level=level)) as session:
        session.get_one(Customer, 2)  # from here on the transaction sees the database as it is now
        with others(server) as other:
            other.get_one(Customer, 1).name = "theirs"
        session.expunge_all()
        comes_home_in_a_second_try(session, [mine], "40001")
    customer = row(server, Customer, 1)
    assert (customer.city, customer.name) == ("mine", "theirs")
