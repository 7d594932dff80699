"""on_missing: rows that others, or the session itself, have deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import selectinload

from sojourn.errors import ConflictError, MissingRowError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import keys
from tests.models.keys import Country
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, line_of, open_shop, others, row, rows, shop_away

# --- on_missing ------------------------------------------------------------------------------------------------------


def without_rows(database: Database, *doomed: tuple[type[Any], int], at_home: bool = False) -> Customer:
    """The whole shop of one customer with two orders of two lines; of these some rows are deleted by others."""
    open_shop(database, 1, 2, 2)
    [mine] = shop_away(database)
    return mine


def delete(database: Database, model: type[Any], key: int) -> None:
    with others(database) as session:
        session.delete(session.get_one(model, key))


def test_missing_rows_are_all_in_the_one_error(database: Database) -> None:
    mine = without_rows(database)
    for order in mine.orders:
        order.lines[0].qty = 50
    delete(database, Line, 1)
    delete(database, Line, 3)
    with database.session() as session, pytest.raises(MissingRowError) as caught:
        attach(session, mine)
    assert [conflict.identity for conflict in caught.value.conflicts] == [(Line, (1,), None), (Line, (3,), None)]
    assert "Line(1): the row does not exist any more" in str(caught.value)
    assert "on_missing" in str(caught.value)


def test_missing_rows_beside_other_conflicts_are_a_conflict_error_with_all(database: Database) -> None:
    mine = without_rows(database)
    mine.orders[0].lines[0].qty = 50
    mine.city = "mine"
    delete(database, Line, 1)
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        assert not isinstance(caught.value, MissingRowError)
        assert sorted(conflict.missing for conflict in caught.value.conflicts) == [False, True]
        with pytest.raises(MissingRowError):
            attach(session, mine, on_conflict="mine")
        with pytest.raises(ConflictError):
            attach(session, mine, on_missing="skip")
        attach(session, mine, on_conflict="mine", on_missing="skip")


def test_a_missing_row_is_recreated_with_everything_that_is_known(database: Database) -> None:
    mine = without_rows(database)
    line = mine.orders[0].lines[0]
    line.qty = 50
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine, on_missing="recreate")
        assert report.inserted == [line]
        assert [conflict.missing for conflict in report.conflicts] == [True]
        session.commit()
        assert line in mine.orders[0].lines
    found = row(database, Line, 1)
    assert (found.qty, found.sku, found.order_id) == (50, "SKU-007", 1)


def test_a_missing_branch_is_recreated_with_its_children(database: Database) -> None:
    mine = without_rows(database)
    mine.orders[0].status = "mine"
    delete(database, Order, 1)  # and its lines
    with database.session() as session:
        report = attach(session, mine, on_missing="recreate")
        assert sorted(type(one).__name__ for one in report.inserted) == ["Line", "Line", "Order"]
        session.commit()
    assert row(database, Order, 1).status == "mine"
    assert [line.order_id for line in rows(database, Line)] == [1, 1, 2, 2]


def test_children_that_are_still_there_are_not_recreated(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(keys.Shelf(room="a", number=1, books=[keys.Book(title="book")]))
    [shelf] = away(database, keys.Shelf, selectinload(keys.Shelf.books))
    shelf.label = "mine"
    with others(database) as session:
        session.delete(session.get_one(keys.Shelf, ("a", 1)))  # the book stays, on no shelf
    with database.session() as session:
        report = attach(session, shelf, on_missing="recreate")
        assert report.inserted == [shelf]
        session.commit()
    assert [(book.title, book.shelf_room) for book in rows(database, keys.Book)] == [("book", None)]


def test_a_missing_row_is_recreated_where_the_session_still_holds_the_object(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    [mine] = away(database, Country)
    mine.name = "mine"
    with database.session() as session:
        held = session.get_one(Country, "be")
        session.commit()
        delete(database, Country, "be")  # type: ignore[arg-type]  # its key is text
        report = attach(session, mine, on_missing="recreate")
        assert report.instances == [held]
        session.commit()
        assert (held.code, held.name) == ("be", "mine")
    assert row(database, Country, "be").name == "mine"


def test_a_skipped_object_stays_outside_with_its_edits(database: Database) -> None:
    mine = without_rows(database)
    line, sibling = mine.orders[0].lines
    line.qty = 50
    sibling.qty = 60
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine, on_missing="skip")
        assert report.of(line) is None
        assert line not in session
        assert inspect(line).detached
        assert line.qty == 50
        assert mine.orders[0].lines == [sibling]
        session.commit()
        assert mine.orders[0].lines == [sibling]
    assert next(one.qty for one in rows(database, Line)) == 60


def test_a_skipped_root_is_none_in_the_report(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    first, second = away(database, Customer)
    first.city = second.city = "mine"
    delete(database, Customer, 1)
    with database.session() as session:
        report = attach(session, [first, second], on_missing="skip")
        assert report.instances == [None, second]
        session.commit()


def test_the_children_of_a_skipped_object_are_skipped_too(database: Database) -> None:
    mine = without_rows(database)
    branch = mine.orders[0]
    branch.status = "mine"
    branch.lines[0].qty = 50
    new = line_of(branch, "new")
    delete(database, Order, 1)
    with database.session() as session:
        report = attach(session, mine, on_missing="skip")
        assert [report.of(one) for one in (branch, new, *branch.lines)] == [None] * 5
        assert set(session) == {mine, mine.orders[0], *mine.orders[0].lines}
        assert [order.id for order in mine.orders] == [2]
        session.commit()
    assert [order.id for order in rows(database, Order)] == [2]
    assert [line.id for line in rows(database, Line)] == [3, 4]


def test_a_missing_row_of_a_child_that_i_removed_is_no_conflict(database: Database) -> None:
    mine = without_rows(database)
    gone = mine.orders[0].lines.pop(0)
    gone.qty = 50
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine)
        assert report.conflicts == []
        session.commit()
    assert [line.id for line in rows(database, Line)] == [2, 3, 4]


def test_verify_all_finds_the_missing_rows_of_clean_objects(database: Database) -> None:
    mine = without_rows(database)
    line = mine.orders[0].lines[0]
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine, verify="all")
        assert report.of(line) is None
        assert line not in mine.orders[0].lines
    [mine] = shop_away(database)
    delete(database, Customer, 1)
    with database.session() as session:
        with pytest.raises(MissingRowError):
            attach(session, mine, verify="all")
        report = attach(session, mine, verify="all", on_missing="skip")
        assert report.instances == [None]
