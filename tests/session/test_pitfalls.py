"""The eleven pitfalls of bringing objects back: for each, what SQLAlchemy alone does, and then what attach does."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import load_only, make_transient_to_detached, selectinload

from sojourn.errors import UNKNOWN, ConflictError, MissingRowError, WrongSessionError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from tests.databases import Database
from tests.models import columns, keys
from tests.models.columns import Document
from tests.models.keys import Country
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import (
    away,
    columns_set,
    fingerprint,
    line_of,
    open_shop,
    others,
    partly_away,
    row,
    rows,
    shop_away,
)


def test_1_merge_loses_the_update_of_another_column_and_attach_keeps_it(database: Database) -> None:
    open_shop(database)
    for way in ("merge", "attach"):
        [mine, _] = away(database, Customer)
        mine.name = f"renamed by {way}"
        with others(database) as session:
            session.get_one(Customer, 1).email = f"{way}@example.org"
        with database.session() as session, database.statements() as log:
            if way == "merge":
                session.merge(mine)
                # merge compares with the row that it has just read, so it takes the old address for an edit.
                written = ["email", "name"]
            else:
                attach(session, mine)
                written = ["name"]
            session.commit()
            assert columns_set(log) == [("customer", written)]
        found = row(database, Customer, 1)
        assert found.name == f"renamed by {way}"
        assert found.email == ("customer1@example.org" if way == "merge" else "attach@example.org")


def test_2_merge_deletes_the_child_that_others_added_to_an_unedited_parent_and_attach_keeps_it(
    database: Database,
) -> None:
    open_shop(database, 1, 1, 1)
    for way in ("merge", "attach"):
        [mine] = shop_away(database)
        with others(database) as session:
            line_of(session.get_one(Order, 1), f"added before {way}")
        with database.session() as session, database.statements() as log:
            session.merge(mine) if way == "merge" else attach(session, mine)
            session.commit()
            assert len(log.deletes) == (1 if way == "merge" else 0)
        skus = [line.sku for line in rows(database, Line)]
        assert (f"added before {way}" in skus) is (way == "attach")


def test_3_merging_an_edited_child_reverts_its_parent_and_attach_leaves_clean_objects_alone(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    for way in ("merge", "attach"):
        [line] = away(database, Line, selectinload(Line.order))
        line.qty += 1
        with others(database) as session:
            session.get_one(Order, 1).status = f"set before {way}"
        with database.session() as session, database.statements() as log:
            session.merge(line) if way == "merge" else attach(session, line)
            session.commit()
            written = {table for table, _ in columns_set(log)}
        assert written == ({"order_line", "customer_order"} if way == "merge" else {"order_line"})
        assert (row(database, Order, 1).status == f"set before {way}") is (way == "attach")


def test_4_merge_reads_each_object_by_itself_and_attach_each_table_once(database: Database) -> None:
    open_shop(database, 3, 2, 2)

    def edited() -> list[Customer]:
        customers = shop_away(database)
        for customer in customers:
            customer.city = f"new {customer.city}"
            for order in customer.orders:
                order.status = f"new {order.status}"
                for line in order.lines:
                    line.qty += 1
        return customers

    customers = edited()
    with database.session() as session, database.statements() as log:
        for customer in customers:
            session.merge(customer)
    # One for each customer, one for the orders of each, one for the lines of each order.
    assert len(log.selects) == 3 + 3 + 6

    customers = edited()
    with database.session() as session, database.statements() as log:
        report = attach(session, customers)
        assert (len(log), report.statements) == (3, 3)
        log.clear()
        session.commit()
        assert [update.executemany for update in log.updates] == [True] * 3
    assert len(report.updated) == 21


def test_5_merge_brings_a_deleted_row_back_and_attach_says_that_it_is_missing(database: Database) -> None:
    database.create(keys.Base.metadata)
    for way in ("merge", "attach"):
        with others(database) as session:
            session.merge(Country(code="be", name="Belgium"))
        [mine] = away(database, Country)
        mine.name = "Belgique"
        with others(database) as session:
            session.delete(session.get_one(Country, "be"))
        with database.session() as session:
            if way == "merge":
                session.merge(mine)
            else:
                with pytest.raises(MissingRowError) as caught:
                    attach(session, mine)
                assert [conflict.missing for conflict in caught.value.conflicts] == [True]
            session.commit()
        assert [country.name for country in rows(database, Country)] == (["Belgique"] if way == "merge" else [])
        with others(database) as session:
            session.query(Country).delete()


def test_6_the_base_of_an_unloaded_attribute_is_lost_and_attach_says_so(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Document(title="title", body="body"))
    with database.session() as session:
        mine = session.scalars(select(Document)).one()
        session.expunge(mine)
    mine.body = "mine"
    assert inspect(mine).attrs.body.history.deleted == ()  # SQLAlchemy does not know what it was
    with others(database) as session:
        session.get_one(Document, 1).body = "theirs"

    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine, conflict.theirs) == ("body", "mine", "theirs")
        assert conflict.base is UNKNOWN
        session.rollback()
        attach(session, mine, on_unknown_base="mine")
        session.commit()
    with database.session() as session:
        assert session.get_one(Document, 1).body == "mine"


def test_6_detach_loads_the_base_so_that_nothing_is_unknown(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Document(title="title", body="body"))
    with database.session() as session:
        mine = session.scalars(select(Document)).one()
        mine.body = "mine"  # not loaded
        detach(session, mine)
    with others(database) as session:
        session.get_one(Document, 1).title = "theirs"
    with database.session() as session:
        report = attach(session, mine)
        assert report.conflicts == []
        session.commit()
    with database.session() as session:
        found = session.get_one(Document, 1)
        assert (found.title, found.body) == ("theirs", "mine")


def test_7_attributes_that_are_absent_on_what_comes_home_leave_the_row_alone(database: Database) -> None:
    open_shop(database, 1, 1, 1)

    def partial() -> Customer:
        """An instance with three of its columns, as one builds it from a form."""
        customer = Customer(id=1, name="Customer 1")
        make_transient_to_detached(customer)
        customer.city = "Ghent"
        return customer

    before = row(database, Customer, 1)
    with database.session() as session:
        held = session.get_one(Customer, 1)
        merged = session.merge(partial())
        # merge leaves them alone, too, but expires them, and so takes a SELECT for each object later.
        assert merged is held
        assert merged.email == before.email
        session.rollback()
    with database.session() as session, database.statements() as log:
        mine = partial()
        attach(session, mine, on_unknown_base="mine")
        session.commit()
        assert columns_set(log) == [("customer", ["city"])]
    found = row(database, Customer, 1)
    assert (found.city, found.email, found.balance) == ("Ghent", before.email, before.balance)


def test_7_what_was_not_loaded_is_loaded_on_demand_after_attach(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    [mine] = partly_away(database, Customer, load_only(Customer.name))
    mine.name = "renamed"
    with database.session() as session:
        attach(session, mine)
        assert "email" not in mine.__dict__
        assert mine.email == "customer1@example.org"
        assert [order.id for order in mine.orders] == [1, 2]


def test_8_merge_of_an_incomplete_copy_may_write_null_and_attach_writes_what_is_there(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with database.session() as session:
        # What a program builds that turns a payload without a city into an object.
        merged = session.merge(Customer(id=1, name="Customer 1", city=None))
        assert inspect(merged).attrs.city.history.added == [None]
        session.rollback()
    [mine] = partly_away(database, Customer, load_only(Customer.name))
    mine.name = "renamed"
    assert "city" not in mine.__dict__
    with database.session() as session:
        attach(session, mine)
        session.commit()
    assert row(database, Customer, 1).city is not None

    [mine] = away(database, Customer)
    mine.city = None
    with database.session() as session, database.statements() as log:
        attach(session, mine)
        session.commit()
        assert columns_set(log) == [("customer", ["city"])]
    assert row(database, Customer, 1).city is None


def test_9_merge_lets_the_last_of_two_copies_win_and_attach_names_the_difference(database: Database) -> None:
    open_shop(database, 1, 0, 0)

    def copies(first_city: str | None, second_city: str | None) -> list[Customer]:
        both = [*away(database, Customer), *away(database, Customer)]
        for copy, city in zip(both, (first_city, second_city), strict=True):
            if city is not None:
                copy.city = city
        return both

    with database.session() as session:
        merged = [session.merge(copy) for copy in copies("first", "second")]
        assert [one.city for one in merged] == ["second", "second"]
        session.rollback()

    first, second = copies("first", "second")
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, [first, second])
        [conflict] = caught.value.conflicts
        assert {conflict.mine, conflict.theirs} == {"first", "second"}
        assert conflict.base == row(database, Customer, 1).city

    for cities in [("edited", None), (None, "edited"), ("edited", "edited")]:
        first, second = copies(*cities)
        with database.session() as session:
            report = attach(session, [first, second])
            assert report.instances[0] is report.instances[1]
            assert report.of(first) is report.of(second)
            assert report.instances[0].city == "edited"


def test_10_the_originals_are_those_of_the_leaving_and_not_those_of_the_coming_home(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
    with database.session() as session:
        # merge takes the row that is there now for the original, so there is nothing to notice.
        merged = session.merge(mine)
        assert inspect(merged).attrs.city.history.deleted == ["theirs"]
        session.rollback()
    with database.session() as session, pytest.raises(ConflictError) as caught:
        attach(session, mine)
    [conflict] = caught.value.conflicts
    assert (conflict.base, conflict.mine, conflict.theirs) == ("Bergen", "mine", "theirs")


def test_11_add_fails_half_way_where_the_session_has_a_child_already_and_attach_merges_onto_it(
    database: Database,
) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = shop_away(database)
    mine.orders[0].lines[0].qty = 77
    with database.session() as session:
        held = session.get_one(Line, 1)
        with pytest.raises(InvalidRequestError, match="already present in this session"):
            session.add(mine)
        assert mine in session  # the root is in although add has failed
        assert held in session

    [mine] = shop_away(database)
    mine.orders[0].lines[0].qty = 77
    given = mine.orders[0].lines[0]
    with database.session() as session:
        held = session.get_one(Line, 1)
        report = attach(session, mine)
        assert report.of(given) is held
        assert mine.orders[0].lines == [held]
        assert held.order is mine.orders[0]
        assert given not in session
        session.commit()
    assert row(database, Line, 1).qty == 77


def test_11_where_attach_cannot_take_a_child_nothing_is_half_done(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = shop_away(database)
    mine.city = "mine"
    [line] = mine.orders[0].lines
    with database.session() as elsewhere, database.session() as session:
        del line.order  # or add() would take the order and the customer along
        elsewhere.add(line)
        before = fingerprint(session, [mine])
        with pytest.raises(WrongSessionError) as caught:
            attach(session, mine)
        assert caught.value.objects == [line]
        assert fingerprint(session, [mine]) == before
        assert mine not in session
