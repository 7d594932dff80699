"""The three-way merge of collections: members that I, they, and the session itself added, removed and moved."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import selectinload

from sojourn.errors import Conflict, ConflictError, MissingRowError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import keys
from tests.models.keys import Book, Shelf
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, line_of, one_order, open_shop, others, row, rows, shop_away, skus

# --- additions and removals ------------------------------------------------------------------------------------------


def test_additions_and_removals_of_both_sides_all_stand(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.pop(0)
    line_of(order, "mine")
    with others(database) as session:
        theirs = session.get_one(Order, 1)
        theirs.lines.pop(1)
        line_of(theirs, "theirs")
    with database.session() as session:
        report = attach(session, customer)
        assert [line.sku for line in order.lines] == ["3", "theirs", "mine"]
        assert all(line.order is order for line in order.lines)
        assert (len(report.inserted), len(report.deleted)) == (1, 1)
        session.commit()
        assert [line.sku for line in order.lines] == ["3", "theirs", "mine"]
    assert skus(database) == ["3", "theirs", "mine"]


def test_the_order_of_the_database_is_kept_and_mine_come_last(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.insert(0, Line(sku="mine", qty=1, price=1))
    with database.session() as session:
        attach(session, customer)
        assert [line.sku for line in order.lines] == ["1", "2", "3", "mine"]


def test_what_both_removed_is_gone_without_a_conflict(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.pop(0)
    with others(database) as session:
        session.delete(session.get_one(Line, 1))
    with database.session() as session, database.statements() as log:
        report = attach(session, customer)
        assert report.conflicts == report.deleted == []
        session.commit()
        assert log.deletes == []
    assert skus(database) == ["2", "3"]


def test_a_new_line_has_its_foreign_key_and_its_reference(database: Database) -> None:
    customer, order = one_order(database)
    new = line_of(order, "mine")
    with database.session() as session:
        attach(session, customer)
        assert new.order is order
        session.flush()
        assert new.order_id == 1
        session.commit()


def test_a_whole_new_branch_comes_along(database: Database) -> None:
    customer, order = one_order(database)
    branch = Order(number="new", status="open", placed_at=order.placed_at)
    line_of(branch, "a")
    line_of(branch, "b")
    customer.orders.append(branch)
    with database.session() as session:
        report = attach(session, customer)
        assert len(report.inserted) == 3
        session.commit()
        assert branch.customer_id == 1
    assert skus(database, branch.id) == ["a", "b"]


def test_a_removed_branch_is_deleted_with_its_children(database: Database) -> None:
    customer, order = one_order(database)
    customer.orders.remove(order)
    with database.session() as session:
        report = attach(session, customer)
        assert order in report.deleted
        session.commit()
    assert rows(database, Order) == []
    assert rows(database, Line) == []


def test_a_collection_that_is_replaced_as_a_whole_merges_by_member(database: Database) -> None:
    customer, order = one_order(database)
    kept = order.lines[1]
    order.lines = [kept, Line(sku="mine", qty=1, price=1)]
    with others(database) as session:
        line_of(session.get_one(Order, 1), "theirs")
    with database.session() as session:
        attach(session, customer)
        session.commit()
    assert sorted(skus(database)) == ["2", "mine", "theirs"]


def test_a_member_that_was_added_and_removed_again_is_no_edit(database: Database) -> None:
    customer, order = one_order(database)
    order.lines.remove(line_of(order, "never"))
    first = order.lines.pop(0)
    order.lines.append(first)
    with others(database) as session:
        line_of(session.get_one(Order, 1), "theirs")
    with database.session() as session, database.statements() as log:
        attach(session, customer)
        session.commit()
        assert log.inserts == log.updates == log.deletes == []
    assert skus(database) == ["1", "2", "3", "theirs"]


# --- removed here, changed there -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "left"), [("mine", ["2", "3"]), ("theirs", ["1", "2", "3"])])
def test_a_child_that_i_removed_and_they_edited_is_a_conflict(database: Database, policy: Any, left: list[str]) -> None:
    customer, order = one_order(database)
    gone = order.lines.pop(0)
    with others(database) as session:
        session.get_one(Line, 1).qty = 50
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, customer)
        [conflict] = caught.value.conflicts
        assert (conflict.identity, conflict.attribute) == (inspect(order).key, "lines")
        assert (conflict.base, conflict.mine, conflict.theirs) == (inspect(gone).key, None, inspect(gone).key)
        report = attach(session, customer, on_conflict=policy)
        assert (gone in report.deleted) is (policy == "mine")
        assert sorted(line.sku for line in order.lines) == left
        session.commit()
        if policy == "theirs":
            assert gone.order is order
            assert gone.qty == 50
    assert skus(database) == left


def test_a_child_that_i_removed_by_its_reference_and_they_edited_is_a_conflict_too(database: Database) -> None:
    one_order(database)
    for policy, left in (("theirs", ["1", "2", "3"]), ("mine", ["2", "3"])):
        line = away(database, Line, selectinload(Line.order))[0]
        line.order = None  # type: ignore[assignment]  # a line without an order is an orphan, to be deleted
        with others(database) as session:
            session.get_one(Line, 1).qty += 50
        with database.session() as session:
            with pytest.raises(ConflictError):
                attach(session, line)
            report = attach(session, line, on_conflict=policy)  # type: ignore[arg-type]  # literals in a loop are str
            assert (line in report.deleted) is (policy == "mine")
            session.commit()
        assert skus(database) == left


def test_a_child_that_they_removed_and_i_edited_is_a_missing_row(database: Database) -> None:
    customer, order = one_order(database)
    order.lines[0].qty = 50
    with others(database) as session:
        session.delete(session.get_one(Line, 1))
    with database.session() as session, pytest.raises(MissingRowError):
        attach(session, customer)


def test_the_edits_of_a_child_that_i_removed_go_with_it(database: Database) -> None:
    customer, order = one_order(database)
    gone = order.lines.pop(0)
    gone.qty = 50
    with database.session() as session, database.statements() as log:
        attach(session, customer)
        session.commit()
        assert log.updates == []
    assert skus(database) == ["2", "3"]


# --- moved -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order_of_parents", [(0, 1), (1, 0)])
@pytest.mark.parametrize("direction", [(0, 1), (1, 0)])
def test_an_owned_child_that_is_given_to_another_parent_is_not_deleted(
    database: Database, order_of_parents: tuple[int, int], direction: tuple[int, int]
) -> None:
    open_shop(database, 1, 2, 1)
    [customer] = shop_away(database)
    source, target = (customer.orders[place] for place in direction)
    line = source.lines[0]
    target.lines.append(source.lines.pop(0))
    with database.session() as session, database.statements() as log:
        report = attach(session, [customer.orders[place] for place in order_of_parents])
        assert report.updated == [line]
        assert report.deleted == []
        session.commit()
        assert log.deletes == []
        assert line.order is target
        assert (len(source.lines), len(target.lines)) == (0, 2)
    assert row(database, Line, line.id).order_id == target.id


def test_an_owned_child_that_is_moved_onto_the_sessions_instances_is_not_deleted(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    [customer] = shop_away(database)
    source, target = customer.orders
    target.lines.append(source.lines.pop(0))
    with database.session() as session:
        at_home = session.get_one(Customer, 1)
        before = [line for order in at_home.orders for line in order.lines]
        attach(session, customer)
        assert [len(order.lines) for order in at_home.orders] == [0, 2]
        assert before[0].order is at_home.orders[1]
        session.commit()
        assert [len(order.lines) for order in at_home.orders] == [0, 2]
    assert row(database, Line, 1).order_id == 2


def test_a_child_that_i_moved_by_its_reference_alone_is_moved_in_the_sessions_collections(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    line = away(database, Line, selectinload(Line.order))[0]
    elsewhere = away(database, Order)[1]
    line.order = elsewhere
    with database.session() as session:
        orders = [session.get_one(Order, 1), session.get_one(Order, 2)]
        assert [len(order.lines) for order in orders] == [1, 1]
        attach(session, line)
        assert [len(order.lines) for order in orders] == [0, 2]
        session.commit()
        assert [len(order.lines) for order in orders] == [0, 2]
    assert row(database, Line, 1).order_id == 2


@pytest.mark.parametrize(("policy", "parent"), [("mine", 2), ("theirs", 3)])
@pytest.mark.parametrize("loaded", ["both sides", "collections only", "references only"])
def test_a_child_that_both_moved_is_a_conflict(database: Database, policy: Any, parent: int, loaded: str) -> None:
    open_shop(database, 1, 3, 1)
    if loaded == "references only":
        lines = away(database, Line, selectinload(Line.order))
        orders: list[Any] = [line.order for line in lines]
        lines[0].order = orders[1]
        given: list[Any] = lines
    else:
        [customer] = shop_away(database)
        orders = customer.orders
        lines = [order.lines[0] for order in orders]
        if loaded == "collections only":
            for line in lines:
                del line.__dict__["order"]  # nobody has loaded it
        orders[1].lines.append(orders[0].lines.pop(0))
        given = orders
    with others(database) as session:
        session.get_one(Line, 1).order_id = 3
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, given)
        [conflict] = caught.value.conflicts
        assert conflict == Conflict(inspect(lines[0]).key, "order", *(inspect(order).key for order in orders))
        attach(session, given, on_conflict=policy)
        assert lines[0].order is orders[parent - 1]
        session.commit()
        assert [len(order.lines) for order in orders] == [0, 2, 1] if parent == 2 else [0, 1, 2]
        assert lines[0].order is orders[parent - 1]
    assert row(database, Line, 1).order_id == parent


@pytest.mark.parametrize(("policy", "left"), [("theirs", [1, 2]), ("mine", [2])])
@pytest.mark.parametrize("loaded", ["collections", "references"])
def test_a_child_that_i_removed_and_they_moved_is_a_conflict(
    database: Database, policy: Any, left: list[int], loaded: str
) -> None:
    open_shop(database, 1, 2, 1)
    given: list[Any]
    if loaded == "collections":
        [customer] = shop_away(database)
        given = customer.orders
        gone, target = given[0].lines.pop(0), given[1]
    else:
        given = away(database, Line, selectinload(Line.order))
        gone, target = given[0], given[1].order
        gone.order = None
    with others(database) as session:
        session.get_one(Line, 1).order_id = 2
    with database.session() as session:
        with pytest.raises(ConflictError):
            attach(session, given)
        report = attach(session, given, on_conflict=policy)
        assert (gone in report.deleted) is (policy == "mine")
        session.commit()
        if policy == "theirs":
            assert gone.order is target
    assert [line.id for line in rows(database, Line)] == left


def test_a_child_that_they_moved_and_i_only_edited_is_where_they_put_it(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    [customer] = shop_away(database)
    line = customer.orders[0].lines[0]
    line.qty = 50
    with others(database) as session:
        session.get_one(Line, 1).order_id = 2
    with database.session() as session:
        attach(session, customer)
        assert line.order is customer.orders[1]
        session.commit()
    found = row(database, Line, 1)
    assert (found.order_id, found.qty) == (2, 50)


def test_a_removal_of_what_they_moved_away_without_owning_it_leaves_it_there(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add_all(Shelf(room="a", number=number) for number in (1, 2))
        session.flush()
        session.add_all(Book(id=number, title="t", shelf_room="a", shelf_number=1) for number in (1, 2))
    shelves = away(database, Shelf, selectinload(Shelf.books))
    shelves[0].books.pop(0)
    removed = shelves[0].books.pop(0)
    with others(database) as session:
        session.get_one(Book, 2).shelf_number = 2
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, shelves)
        [conflict] = caught.value.conflicts
        assert (conflict.identity, conflict.attribute, conflict.mine) == (inspect(removed).key, "shelf", None)
        attach(session, shelves, on_conflict="theirs")
        session.commit()
    assert [(book.shelf_room, book.shelf_number) for book in rows(database, Book)] == [(None, None), ("a", 2)]
