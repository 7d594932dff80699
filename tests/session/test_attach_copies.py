"""One identity twice in what is given, and the same work given twice: one object, one edit, one row."""

from __future__ import annotations

from typing import Any

import pytest

from sojourn.errors import ConflictError
from sojourn.session.attach import Verify, attach
from sojourn.snapshot import dumps, loads
from tests.databases import Database
from tests.models import columns, shop
from tests.models.columns import Point, Shape
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, columns_set, line_of, open_shop, others, row, rows, shop_away


def two_copies(database: Database) -> tuple[Customer, Customer]:
    """Customer 1 with orders and lines, twice."""
    return shop_away(database)[0], shop_away(database)[0]


# --- copies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", ["changed", "none"])
@pytest.mark.parametrize("at_home", [False, True])
def test_edits_of_different_attributes_of_two_copies_all_stand(
    database: Database, at_home: bool, verify: Verify
) -> None:
    open_shop(database, 1, 1, 1)
    first, second = two_copies(database)
    first.name = "first"
    second.city = "second"
    second.orders[0].status = "second"
    first.orders[0].lines[0].qty = 50
    with database.session() as session, database.statements() as log:
        home = session.get_one(Customer, 1) if at_home else first
        log.clear()
        report = attach(session, [first, second], verify=verify)
        assert report.conflicts == []
        assert report.instances == [home, home]
        session.commit()
        assert columns_set(log) == [
            ("customer", ["city", "name"]),
            ("customer_order", ["status"]),
            ("order_line", ["qty"]),
        ]


@pytest.mark.parametrize(("policy", "city"), [("mine", "first"), ("theirs", "second"), (lambda one: "third", "third")])
@pytest.mark.parametrize("verify", ["changed", "none"])
def test_different_edits_of_one_attribute_are_decided_by_policy(
    database: Database, policy: Any, city: str, verify: Verify
) -> None:
    open_shop(database, 1, 0, 0)
    first, second = two_copies(database)
    first.city, second.city = "first", "second"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, [first, second], verify=verify)
        [conflict] = caught.value.conflicts
        assert (conflict.base, conflict.mine, conflict.theirs) == ("Bergen", "first", "second")
        attach(session, [first, second], on_conflict=policy, verify=verify)
        session.commit()
    assert row(database, Customer, 1).city == city


def test_the_same_edit_of_two_copies_is_one(database: Database) -> None:
    open_shop(database, 1, 1, 2)
    first, second = two_copies(database)
    for one in (first, second):
        one.city = "same"
        one.orders[0].lines.pop(0)
    with database.session() as session:
        report = attach(session, [first, second])
        assert (report.conflicts, len(report.deleted)) == ([], 1)
        session.commit()
    assert [line.id for line in rows(database, Line)] == [2]


def test_a_copy_that_was_edited_speaks_for_one_that_was_not(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    for number in (0, 1):
        copies = two_copies(database)
        line_of(copies[number].orders[0], f"new {number}")
        with database.session() as session:
            report = attach(session, copies)
            assert report.instances[0] is report.instances[1]
            assert len(report.inserted) == 1
            session.commit()
    assert len(rows(database, Line)) == 4


def test_edits_of_a_collection_on_one_copy_and_of_a_column_on_the_other_stand(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    first, second = two_copies(database)
    first.city = "first"
    gone = second.orders.pop(0)
    with database.session() as session:
        report = attach(session, [first, second])
        assert gone.id in [order.id for order in report.deleted if isinstance(order, Order)]
        assert [order.id for order in report.instances[0].orders] == [2]
        session.commit()
    assert row(database, Customer, 1).city == "first"
    assert [order.id for order in rows(database, Order)] == [2]


@pytest.mark.parametrize("verify", ["changed", "none"])
def test_what_two_copies_did_to_one_collection_is_done_together(database: Database, verify: Verify) -> None:
    open_shop(database, 1, 3, 1)
    first, second = two_copies(database)
    first.orders.pop(0)
    second.orders.pop(1)
    line_of(first.orders[1], "first")
    line_of(second.orders[1], "second")
    with database.session() as session:
        report = attach(session, [first, second], verify=verify)
        assert report.conflicts == []
        session.commit()
    assert [order.id for order in rows(database, Order)] == [3]
    assert [line.sku for line in rows(database, Line)] == ["SKU-021", "first", "second"]


def test_a_composite_of_two_copies_is_one_value(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Shape(id=1, name="shape", start=Point(0, 0)))
    [first], [second] = away(database, Shape), away(database, Shape)
    first.start, second.start = Point(1, 0), Point(0, 1)
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, [first, second])
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine, conflict.theirs) == ("start", Point(1, 0), Point(0, 1))
        attach(session, [first, second], on_conflict="theirs")
        session.commit()
        assert row(database, Shape, 1).start == Point(0, 1)


def test_a_member_that_comes_as_another_copy_is_the_same_member(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    [customer] = shop_away(database)
    first, second = customer.orders
    copy = away(database, Line)[0]
    copy.qty = 50
    first.lines.remove(first.lines[0])
    second.lines.append(copy)
    with database.session() as session:
        report = attach(session, customer)
        assert report.deleted == []
        session.commit()
    found = row(database, Line, 1)
    assert (found.order_id, found.qty) == (2, 50)


# --- the same bytes --------------------------------------------------------------------------------------------------


def bytes_with_everything(database: Database) -> bytes:
    open_shop(database, 1, 1, 2)
    [mine] = shop_away(database)
    mine.city = "mine"
    line_of(mine.orders[0], "new")
    mine.orders[0].lines.pop(0)
    return dumps(mine)


def load(data: bytes) -> Customer:
    [customer] = loads(data, shop.Base)
    assert isinstance(customer, Customer)
    return customer


def test_the_same_bytes_attached_twice_to_one_session_insert_nothing_twice(database: Database) -> None:
    data = bytes_with_everything(database)
    with database.session() as session:
        first, again = load(data), load(data)
        attach(session, first)
        report = attach(session, again)
        assert report.instances == [first]
        assert (report.inserted, report.conflicts) == ([], [])
        session.commit()
        # Also after the commit, as long as the session lives.
        assert attach(session, load(data)).conflicts == []
        session.commit()
    assert [line.sku for line in rows(database, Line)] == ["SKU-014", "new"]
    assert row(database, Customer, 1).city == "mine"


def test_the_same_bytes_given_twice_at_once_insert_nothing_twice(database: Database) -> None:
    data = bytes_with_everything(database)
    with database.session() as session:
        report = attach(session, [load(data), load(data)])
        assert report.conflicts == []
        assert len(report.inserted) == 1
        session.commit()
    assert [line.sku for line in rows(database, Line)] == ["SKU-014", "new"]


def test_bytes_of_what_was_committed_before_are_no_edit_any_more(database: Database) -> None:
    open_shop(database, 1, 1, 2)
    [mine] = shop_away(database)
    mine.city = "mine"
    mine.orders[0].lines.pop(0)
    data = dumps(mine)
    for time in ("first", "second"):
        with database.session() as session, database.statements() as log:
            report = attach(session, load(data))
            assert report.conflicts == []
            session.commit()
            assert (len(log.updates), len(log.deletes)) == ((1, 1) if time == "first" else (0, 0))
    assert [line.id for line in rows(database, Line)] == [2]


def test_bytes_travel_with_their_base(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = shop_away(database)
    mine.city = "mine"
    data = dumps(mine)
    with others(database) as session:
        theirs = session.get_one(Customer, 1)
        theirs.city, theirs.name = "theirs", "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, load(data))
        [conflict] = caught.value.conflicts
        assert (conflict.base, conflict.mine, conflict.theirs) == ("Bergen", "mine", "theirs")
        attach(session, load(data), on_conflict="mine")
        session.commit()
    found = row(database, Customer, 1)
    assert (found.city, found.name) == ("mine", "theirs")


def test_bytes_are_merged_onto_what_the_session_holds(database: Database) -> None:
    data = bytes_with_everything(database)
    with database.session() as session:
        home = session.get_one(Customer, 1)
        lines = list(home.orders[0].lines)
        report = attach(session, load(data))
        assert report.instances == [home]
        assert [line.sku for line in home.orders[0].lines] == ["SKU-014", "new"]
        assert home.orders[0].lines[0] is lines[1]
        session.commit()
