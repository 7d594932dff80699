"""savepoint() where the database has a say: lost connections, deadlocks, two-phase transactions, several databases,
SQLite's ways with transactions, and connections that have none."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, PendingRollbackError
from sqlalchemy.orm import Session

from sojourn import NoTransactionError, savepoint
from tests.databases import Database
from tests.models import relations, shop
from tests.models.shop import Customer, Order
from tests.session.observing import differences, look, raised
from tests.session.test_locks import CommitsItself
from tests.session.test_savepoint import WorkError, ada, fails


@pytest.fixture
def server(database: Database) -> Database:
    if database.name == "sqlite":
        pytest.skip("SQLite has no connection to lose, and one lock")
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=2, orders=0, lines=0)
        session.commit()
    return database


def test_after_a_lost_connection_the_objects_are_as_before_and_the_error_is_itself(server: Database) -> None:
    with server.session() as session:
        customer = session.get_one(Customer, 1)
        customer.name = "before"
        before = look(session, [])
        number = session.connection().scalar(
            text("SELECT pg_backend_pid()" if server.name == "postgresql" else "SELECT connection_id()")
        )
        with raised(DBAPIError) as caught, savepoint(session):
            session.flush()
            with server.engine.connect() as other:
                end = "SELECT pg_terminate_backend({})" if server.name == "postgresql" else "KILL {}"
                other.execute(text(end.format(number)))
            customer.city = "inside"
            session.flush()
        assert caught.value.connection_invalidated  # type: ignore[attr-defined]  # of DBAPIError
        assert differences(before, look(session, [])) == []
        with pytest.raises(PendingRollbackError):
            session.commit()
        session.rollback()
        assert customer.name == "Customer 1"


def test_after_a_connection_was_lost_unnoticed_the_own_error_goes_on_and_says_so(server: Database) -> None:
    with server.session() as session:
        customer = session.get_one(Customer, 1)
        customer.name = "before"
        before = look(session, [])
        number = session.connection().scalar(
            text("SELECT pg_backend_pid()" if server.name == "postgresql" else "SELECT connection_id()")
        )
        with raised(WorkError) as caught, savepoint(session):
            session.flush()
            with server.engine.connect() as other:
                end = "SELECT pg_terminate_backend({})" if server.name == "postgresql" else "KILL {}"
                other.execute(text(end.format(number)))
            raise WorkError
        assert "ended the whole transaction" in caught.value.__notes__[0]
        assert differences(before, look(session, [])) == []
        with pytest.raises(PendingRollbackError):
            session.commit()
        session.rollback()


def test_a_deadlock_is_raised_as_itself_and_nothing_goes_on_unnoticed(server: Database) -> None:
    with server.session() as session, server.session() as other:
        if server.name == "postgresql":  # it breaks off who first looks why nothing goes on
            session.execute(text("SET LOCAL deadlock_timeout = '200ms'"))
            other.execute(text("SET LOCAL deadlock_timeout = '10s'"))
        mine, theirs = session.get_one(Customer, 1), other.get_one(Customer, 2)
        mine.name = "flushed"
        session.flush()
        mine.city = "before"
        theirs.name, theirs.city = "theirs", "Delft"
        other.flush()
        if server.name == "mariadb":  # it breaks off who has written less
            other.execute(text("UPDATE customer SET email = 'x' WHERE id > 2"))
            other.add_all([ada() for _ in range(20)])
            other.flush()
        before = look(session, [])

        def crosswise() -> None:
            other.execute(text("UPDATE customer SET email = 'theirs' WHERE id = 1"))

        thread = threading.Thread(target=crosswise)
        thread.start()
        time.sleep(0.3)  # it waits for us by now
        with raised(OperationalError) as caught, savepoint(session):
            session.execute(text("UPDATE customer SET email = 'mine' WHERE id = 2"))
        assert "eadlock" in str(caught.value)
        assert differences(before, look(session, [])) == []
        if server.name == "mariadb":  # it has rolled back what was flushed before the block, too
            with pytest.raises(PendingRollbackError):
                session.commit()
        session.rollback()
        thread.join()
        other.rollback()


def test_when_the_database_has_ended_the_transaction_the_session_waits_for_its_rollback(session: Session) -> None:
    session.execute(
        text("CREATE TRIGGER no BEFORE INSERT ON customer_order BEGIN SELECT RAISE(ROLLBACK, 'all is lost'); END")
    )
    session.commit()
    customer = session.get_one(Customer, 1)
    customer.name = "flushed"
    session.flush()
    customer.city = "before"
    before = look(session, [])
    with raised(IntegrityError, match="all is lost") as caught, savepoint(session):
        session.add(Order(customer_id=1, number="N", status="s", placed_at=shop.FIRST_DAY))
        session.flush()
    assert "ended the whole transaction" in caught.value.__notes__[0]
    assert differences(before, look(session, [])) == []
    with pytest.raises(PendingRollbackError):  # nothing goes on without what was flushed before
        session.commit()
    session.rollback()
    assert (customer.name, customer.city) == ("Customer 1", "Bergen")


def test_a_block_that_is_rolled_back_by_name_tells_that_the_savepoint_is_gone(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "before"
    before = look(session, [])
    with savepoint(session) as block:
        session.flush()
        session.connection().connection.rollback()  # behind SQLAlchemy's back
        with pytest.raises(OperationalError, match="no such savepoint"):
            block.rollback()
        assert differences(before, look(session, [])) == []
    assert differences(before, look(session, [])) == []
    session.rollback()


def test_a_block_whose_release_fails_is_as_before(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "before"
    before = look(session, [])
    with raised(OperationalError, match="no such savepoint"), savepoint(session):
        session.flush()
        session.connection().connection.rollback()
    assert differences(before, look(session, [])) == []
    session.rollback()


def test_a_two_phase_transaction_has_savepoints(server: Database) -> None:
    if server.name == "postgresql":
        pytest.skip("this server prepares no transactions; the other one does")
    with server.session(twophase=True) as session:
        customer = session.get_one(Customer, 1)
        customer.name = "before"

        def work() -> None:
            customer.city = "inside"
            session.flush()

        fails(session, work)
        session.commit()
        assert (customer.name, customer.city) == ("before", "Bergen")


def test_a_session_in_somebody_elses_transaction_goes_back_to_its_savepoint(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.engine.connect() as connection:
        outer = connection.begin()
        with Session(connection) as session:
            session.add(ada(name="kept"))
            session.flush()
            with raised(WorkError), savepoint(session):
                session.add(ada(name="inside"))
                session.flush()
                raise WorkError
            session.commit()
            assert connection.execute(text("SELECT name FROM customer")).scalars().all() == ["kept"]
        outer.rollback()
        assert connection.execute(text("SELECT name FROM customer")).scalars().all() == []


def test_every_connection_of_the_session_has_a_savepoint_also_one_that_joins_inside(tmp_path: Path) -> None:
    one, two = create_engine(f"sqlite:///{tmp_path}/one"), create_engine(f"sqlite:///{tmp_path}/two")
    shop.Base.metadata.create_all(one)
    relations.Base.metadata.create_all(two)
    with Session(binds={shop.Base: one, relations.Base: two}) as session:
        session.execute(select(Customer))
        tag = relations.Tag(name="before")
        session.add(tag)

        def work() -> None:
            session.add(ada())
            session.flush()
            assert session.scalars(select(relations.Tag.name)).all() == ["before"]

        fails(session, work)
        with raised(WorkError), savepoint(session):
            session.add(relations.Tag(name="inside"))
            session.flush()
            raise WorkError
        session.commit()
        assert session.scalars(select(relations.Tag.name)).all() == ["before"]
        assert session.scalars(select(Customer)).all() == []
    one.dispose()
    two.dispose()


def test_what_goes_through_the_connection_itself_goes_back_too(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        connection = session.connection()
        with raised(WorkError), savepoint(session):
            connection.execute(text("INSERT INTO customer (id, name, email, balance) VALUES (1, 'a', 'b', 1)"))
            raise WorkError
        assert session.scalars(select(Customer)).all() == []


def _legacy(kind: str, path: Path) -> Engine:
    return create_engine("sqlite://" if kind == "memory" else f"sqlite:///{path}")


@pytest.mark.parametrize("kind", ["file", "memory"])
def test_a_database_in_the_legacy_mode_of_pysqlite_goes_back_too(kind: str, tmp_path: Path) -> None:
    engine = _legacy(kind, tmp_path / "legacy.sqlite")
    shop.Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(ada(name="first"))
        session.commit()
        with savepoint(session):
            session.add(ada(name="kept"))
        session.rollback()  # the RELEASE committed nothing
        assert session.scalars(select(Customer.name)).all() == ["first"]
        session.add(ada(name="second"))
        with raised(WorkError), savepoint(session):
            session.flush()
            raise WorkError
        session.commit()
        assert session.scalars(select(Customer.name).order_by(Customer.id)).all() == ["first", "second"]
    engine.dispose()


def test_a_connection_that_commits_each_statement_is_refused(database: Database) -> None:
    database.create(shop.Base.metadata)
    with Session(database.engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        customer = ada()
        session.add(customer)
        session.connection()
        before = look(session, [])
        with pytest.raises(NoTransactionError, match="with savepoint"):
            savepoint(session).__enter__()
        assert differences(before, look(session, [])) == []
        session.rollback()
        session.add(customer)
        with raised(NoTransactionError), savepoint(session):  # a connection that joins inside
            session.flush()
        assert list(session.new) == [customer]
        session.expunge_all()


def test_a_sqlite_driver_that_would_never_commit_the_block_is_refused(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.sqlite", connect_args={"factory": CommitsItself})
    with Session(engine) as session:
        session.connection()
        with pytest.raises(NoTransactionError, match="create_engine"):
            savepoint(session).__enter__()
    engine.dispose()
