"""The parameters of attach: on_conflict, on_missing, allow, lock, and arguments that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, selectinload

from sojourn.errors import Conflict, ConflictError, NotAllowedError, SojournError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, columns_set, line_of, open_shop, others, row, shop_away

# --- on_conflict -----------------------------------------------------------------------------------------------------


def conflicting(database: Database) -> Customer:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.name, mine.city, mine.email = "mine", "mine", "mine"
    with others(database) as session:
        theirs = session.get_one(Customer, 1)
        theirs.name, theirs.city = "theirs", "theirs"
    return mine


@pytest.mark.parametrize(
    ("policy", "result"),
    [
        ("mine", ("mine", "mine", "mine")),
        ("theirs", ("theirs", "theirs", "mine")),
        (lambda conflict: f"{conflict.base}+{conflict.theirs}", ("Customer 1+theirs", "Bergen+theirs", "mine")),
        (
            lambda conflict: conflict.mine if conflict.attribute == "city" else conflict.theirs,
            ("theirs", "mine", "mine"),
        ),
        (lambda conflict: conflict.base, ("Customer 1", "Bergen", "mine")),
    ],
    ids=["mine", "theirs", "both", "by attribute", "base"],
)
@pytest.mark.parametrize("at_home", [False, True])
def test_a_policy_decides_each_conflict(
    database: Database, policy: Any, result: tuple[str, str, str], at_home: bool
) -> None:
    mine = conflicting(database)
    with database.session() as session, database.statements() as log:
        home = session.get_one(Customer, 1) if at_home else mine
        report = attach(session, mine, on_conflict=policy)
        assert (home.name, home.city, home.email) == result
        assert {conflict.attribute for conflict in report.conflicts} == {"name", "city"}
        session.commit()
        [(_, written)] = columns_set(log)
        assert written == sorted(
            name for name, value in zip(("name", "city", "email"), result, strict=True) if value != "theirs"
        )
    found = row(database, Customer, 1)
    assert (found.name, found.city, found.email) == result


def test_a_function_is_asked_once_for_each_conflict(database: Database) -> None:
    mine = conflicting(database)
    asked: list[Conflict] = []

    def policy(conflict: Conflict) -> Any:
        asked.append(conflict)
        return conflict.mine

    with database.session() as session:
        report = attach(session, mine, on_conflict=policy)
    assert asked == report.conflicts
    key = inspect(mine).key
    assert asked == [
        Conflict(key, "name", "Customer 1", "mine", "theirs"),
        Conflict(key, "city", "Bergen", "mine", "theirs"),
    ]


@pytest.mark.parametrize("at_home", ["column", "same column"])
def test_the_sessions_own_unflushed_edits_are_theirs(database: Database, at_home: str) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    with database.session() as session:
        home = session.get_one(Customer, 1)
        if at_home == "column":
            home.name = "home"
            assert attach(session, mine).conflicts == []
            session.commit()
            assert (home.name, home.city) == ("home", "mine")
            return
        home.city = "home"
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.base, conflict.mine, conflict.theirs) == ("Bergen", "mine", "home")
        attach(session, mine, on_conflict="theirs")
        session.commit()
        assert home.city == "home"


@pytest.mark.parametrize("city", ["same", "Bergen"])
def test_the_session_and_i_may_agree(database: Database, city: str) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "same"
    with database.session() as session, database.statements() as log:
        home = session.get_one(Customer, 1)
        home.city = "same"
        assert attach(session, mine, on_conflict=lambda conflict: city).conflicts == []
        session.commit()
        assert columns_set(log) == [("customer", ["city"])]
    assert row(database, Customer, 1).city == "same"


def test_mine_may_put_a_column_back_to_what_is_in_the_database(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    with database.session() as session, database.statements() as log:
        home = session.get_one(Customer, 1)
        home.city = "home"
        attach(session, mine, on_conflict=lambda conflict: conflict.base)
        assert home.city == "Bergen"
        session.commit()
        assert log.updates == []


# --- allow -----------------------------------------------------------------------------------------------------------


def test_edits_outside_allow_are_refused_and_all_named(database: Database) -> None:
    open_shop(database, 1, 1, 2)
    [mine] = shop_away(database)
    mine.city = "mine"
    mine.orders[0].status = "mine"
    mine.orders[0].lines[0].price = 0  # type: ignore[assignment]  # a Decimal, in full
    mine.orders[0].lines.pop(1)
    with database.session() as session:
        with pytest.raises(NotAllowedError) as caught:
            attach(session, mine, allow=[Order.status, Line.qty])
        assert caught.value.attributes == [("Customer", "city"), ("Line", "price"), ("Order", "lines")]
        with pytest.raises(NotAllowedError):
            attach(session, mine, allow=[])
        attach(session, mine, allow=[Customer.city, Order.status, Order.lines, Line.price])
        session.commit()
    assert row(database, Customer, 1).city == "mine"


def test_a_collection_and_its_inverse_reference_count_as_one(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    [mine] = shop_away(database)
    first, second = mine.orders
    second.lines.append(first.lines.pop(0))
    new = line_of(second, "new")
    with database.session() as session:
        with pytest.raises(NotAllowedError) as caught:
            attach(session, mine, allow=[Order.lines])
        # What is set on a new object counts like an edit.
        assert caught.value.attributes == [("Line", "price"), ("Line", "qty"), ("Line", "sku")]
        report = attach(session, mine, allow=[Order.lines, Line.sku, Line.qty, Line.price])
        assert report.inserted == [new]
        session.commit()
    assert row(database, Line, 1).order_id == 2


def test_a_reference_alone_must_be_allowed(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    first, second = away(database, Order, selectinload(Order.customer))
    first.customer = second.customer
    with database.session() as session:
        with pytest.raises(NotAllowedError) as caught:
            attach(session, first, allow=[Order.status])
        assert caught.value.attributes == [("Order", "customer")]
        attach(session, first, allow=[Order.customer])


def test_a_foreign_key_is_not_a_way_around_allow(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    [first, _] = away(database, Order)
    first.customer_id = 2
    with database.session() as session, pytest.raises(NotAllowedError) as caught:
        attach(session, first, allow=[Order.status, Order.customer])
    assert caught.value.attributes == [("Order", "customer_id")]


def test_a_second_copy_is_not_a_way_around_allow(database: Database) -> None:
    open_shop(database, 1, 1, 0)
    [first], [second] = away(database, Order), away(database, Order)
    first.status = "mine"
    second.number = "forged"
    for policy in ("raise", "mine", "theirs"):
        for given in ([first, second], [second, first]):
            with database.session() as session, pytest.raises(NotAllowedError) as caught:
                attach(session, given, allow=[Order.status], on_conflict=policy)
            assert caught.value.attributes == [("Order", "number")]


def test_the_deletion_of_a_row_must_be_allowed_where_it_is_asked_for(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [line] = away(database, Line, selectinload(Line.order))
    line.order = None  # type: ignore[assignment]  # an orphan, to be deleted
    with database.session() as session, pytest.raises(NotAllowedError):
        attach(session, line, allow=[Line.qty])


# --- lock ------------------------------------------------------------------------------------------------------------


@contextmanager
def impatient(database: Database) -> Iterator[Session]:
    """A session whose statements do not wait for a lock."""
    with database.session() as session:
        if database.name == "postgresql":
            session.execute(text("SET LOCAL lock_timeout = '200ms'"))
        else:
            session.execute(text("SET innodb_lock_wait_timeout = 1"))
        yield session
        session.rollback()
        if database.name == "mariadb":
            session.execute(text("SET innodb_lock_wait_timeout = 10"))


def test_the_edited_rows_are_locked_and_no_others(database: Database) -> None:
    if database.name == "sqlite":
        pytest.skip("SQLite has no row locks")
    open_shop(database, 2, 0, 0)
    first, second = away(database, Customer)
    first.city = "mine"
    with database.session() as session:
        attach(session, [first, second])
        with impatient(database) as other:
            other.get_one(Customer, 2).city = "theirs"
            other.flush()
            other.rollback()
        with impatient(database) as other, pytest.raises(OperationalError):
            other.execute(text("UPDATE customer SET city = 'theirs' WHERE id = 1"))
        session.commit()
    assert row(database, Customer, 1).city == "mine"


def test_without_lock_nobody_waits(database: Database) -> None:
    if database.name == "sqlite":
        pytest.skip("SQLite has no row locks")
    open_shop(database, 1, 0, 0)
    [first] = away(database, Customer)
    first.city = "mine"
    with database.session() as session:
        attach(session, first, lock=False)
        with impatient(database) as other:
            other.execute(text("UPDATE customer SET city = 'theirs' WHERE id = 1"))


def test_rows_are_locked_in_key_order(database: Database) -> None:
    open_shop(database, 3, 0, 0)
    customers = away(database, Customer)
    for customer in customers:
        customer.city = "mine"
    with database.session() as session, database.statements() as log:
        attach(session, reversed(customers))
        [statement] = log.selects
        assert "ORDER BY customer.id" in statement.sql
        assert ("UPDATE" in statement.sql) is (database.name != "sqlite")


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [{"verify": "some"}, {"on_missing": "ignore"}, {"on_conflict": "ours"}, {"on_unknown_base": "base"}],
    ids=str,
)
def test_an_argument_that_nobody_knows_is_an_error_that_names_the_choices(
    sqlite: Database, arguments: dict[str, Any]
) -> None:
    open_shop(sqlite, 1, 0, 0)
    [mine] = away(sqlite, Customer)
    with sqlite.session() as session, pytest.raises(SojournError) as caught:
        attach(session, mine, **arguments)
    [(name, value)] = arguments.items()
    assert name in str(caught.value)
    assert value in str(caught.value)
