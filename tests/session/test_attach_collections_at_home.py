"""Collections where the session has its own instance: its unflushed additions and removals are theirs."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from sojourn.errors import ConflictError, MissingRowError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models.shop import Line, Order
from tests.session.attaching import held, line_of, one_order, others, row, skus

# --- where the session has its own collection ------------------------------------------------------------------------


def test_the_sessions_own_additions_and_removals_are_theirs(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.pop(0)
    line_of(order, "mine")
    with others(database) as session:
        line_of(session.get_one(Order, 1), "others")
    with database.session() as session:
        home = held(session)
        home.lines.pop(1)
        line_of(home, "home")
        attach(session, customer)
        assert sorted(line.sku for line in home.lines) == ["3", "home", "mine", "others"]
        session.commit()
        assert sorted(line.sku for line in home.lines) == ["3", "home", "mine", "others"]
    assert sorted(skus(database)) == ["3", "home", "mine", "others"]


def test_the_sessions_own_unloaded_collection_takes_my_edits(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.pop(0)
    line_of(order, "mine")
    with database.session() as session:
        home = held(session, lines=False)
        attach(session, customer)
        session.commit()
        assert [line.sku for line in home.lines] == ["2", "3", "mine"]


def test_a_child_that_i_removed_and_the_session_has_edited_is_a_conflict(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.pop(0)
    with database.session() as session:
        home = held(session)
        home.lines[0].qty = 50
        with pytest.raises(ConflictError):
            attach(session, customer)
        attach(session, customer, on_conflict="theirs")
        session.commit()
        assert [line.sku for line in home.lines] == ["1", "2", "3"]
    assert row(database, Line, 1).qty == 50


def doom_first_line(session: Session, order: Order, way: str) -> Line:
    """The session is about to delete the first line."""
    line = order.lines[0]
    if way == "delete":
        session.delete(line)
    else:
        order.lines.remove(line)
    return line


@pytest.mark.parametrize("way", ["delete", "remove"])
def test_an_edit_of_what_the_session_is_about_to_delete_is_a_missing_row(database: Database, way: str) -> None:
    customer, order = one_order(database)
    order.lines[0].qty = 50
    with database.session() as session:
        home = held(session)
        doomed = doom_first_line(session, home, way)
        with pytest.raises(MissingRowError) as caught:
            attach(session, customer)
        assert [conflict.identity for conflict in caught.value.conflicts] == [inspect(doomed).key]
        report = attach(session, customer, on_missing="skip")
        assert report.of(order.lines[0]) is None
        session.commit()
    assert skus(database) == ["2", "3"]


@pytest.mark.parametrize("way", ["delete", "remove"])
def test_what_the_session_is_about_to_delete_can_be_kept(database: Database, way: str) -> None:
    customer, order = one_order(database)
    order.lines[0].qty = 50
    with database.session() as session:
        home = held(session)
        doomed = doom_first_line(session, home, way)
        report = attach(session, customer, on_missing="recreate")
        assert report.of(order.lines[0]) is doomed
        assert doomed not in session.deleted
        session.commit()
        assert home.lines[0] is doomed
    assert row(database, Line, 1).qty == 50


def test_what_both_the_session_and_i_remove_is_removed(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.pop(0)
    with database.session() as session:
        home = held(session)
        session.delete(home.lines[0])
        assert attach(session, customer).conflicts == []
        session.commit()
    assert skus(database) == ["2", "3"]
