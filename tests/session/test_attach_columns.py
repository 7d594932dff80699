"""The three-way merge of columns: mine against theirs, with a known base and without one."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.exc import StatementError

from sojourn.errors import Conflict, ConflictError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from tests.databases import Database
from tests.models import all_types, columns, keys
from tests.models.all_types import EDGES, SAMPLE, AllTypes
from tests.models.columns import Point, Shape
from tests.models.keys import Country, Legacy, Shelf
from tests.models.shop import Customer, Order
from tests.session.attaching import away, columns_set, open_shop, others, row

# --- scalars ---------------------------------------------------------------------------------------------------------


def test_edits_of_different_columns_of_one_row_both_stand(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.name = "mine"
    with others(database) as session:
        theirs = session.get_one(Customer, 1)
        theirs.city, theirs.balance = None, Decimal("7.50")
    with database.session() as session, database.statements() as log:
        attach(session, mine)
        # The object knows what they did before anything is flushed.
        assert (mine.name, mine.city, mine.balance) == ("mine", None, Decimal("7.50"))
        session.commit()
        assert columns_set(log) == [("customer", ["name"])]
    found = row(database, Customer, 1)
    assert (found.name, found.city, found.balance) == ("mine", None, Decimal("7.50"))


def test_edits_of_one_column_are_a_conflict_that_shows_all_three_values(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city, mine.name = "mine", "renamed"
    with others(database) as session:
        session.get_one(Customer, 1).city = None
    with database.session() as session, pytest.raises(ConflictError) as caught:
        attach(session, mine)
    key = inspect(mine).key
    assert caught.value.conflicts == [Conflict(key, "city", "Bergen", "mine", None)]
    assert "Customer(1).city: base 'Bergen', mine 'mine', theirs None" in str(caught.value)


def test_all_conflicts_are_in_the_one_error(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    customers = away(database, Customer)
    orders = away(database, Order)
    for customer in customers:
        customer.name, customer.city = "mine", "mine"
    orders[0].status = "mine"
    with others(database) as session:
        for customer in session.scalars(select(Customer)):
            customer.name, customer.city = "theirs", "theirs"
        session.get_one(Order, 1).status = "theirs"
    with database.session() as session, pytest.raises(ConflictError) as caught:
        attach(session, [*customers, *orders])
    found = {(str(conflict).partition(":")[0]) for conflict in caught.value.conflicts}
    assert found == {"Customer(1).name", "Customer(1).city", "Customer(2).name", "Customer(2).city", "Order(1).status"}


@pytest.mark.parametrize("attribute", SAMPLE)
def test_each_common_type_merges_and_conflicts(database: Database, attribute: str) -> None:
    database.create(all_types.Base.metadata)
    with others(database) as session:
        session.add_all([AllTypes(id=1, **SAMPLE), AllTypes(id=2, **SAMPLE)])
    first, second = away(database, AllTypes)
    setattr(first, attribute, copy.deepcopy(EDGES[attribute]))
    setattr(second, attribute, None)
    with others(database) as session:
        theirs = session.get_one(AllTypes, 1)
        another = "an_int" if attribute != "an_int" else "a_str"
        setattr(theirs, another, EDGES[another])
        setattr(session.get_one(AllTypes, 2), attribute, EDGES[attribute])
    with database.session() as session, database.statements() as log:
        attach(session, first)
        session.commit()
        assert columns_set(log) == [("all_types", [attribute])]
        with pytest.raises(ConflictError) as caught:
            attach(session, second)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine) == (attribute, None)
        session.rollback()
        found = session.get_one(AllTypes, 1)
        expected = {**SAMPLE, another: EDGES[another], attribute: EDGES[attribute]}
        for name, value in expected.items():
            stored = getattr(found, name)
            if name == "an_instant":  # SQLite and MariaDB drop the time zone
                stored = stored.replace(tzinfo=value.tzinfo)
            assert stored == value, name


def test_an_equal_value_of_another_representation_is_no_edit(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.balance = Decimal(str(mine.balance) + "000")
    with database.session() as session, database.statements() as log:
        report = attach(session, mine)
        session.commit()
        assert log.updates == []
    assert report.unchanged == [mine]


def test_an_sql_expression_as_a_value_is_an_edit(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.name = func.upper(Customer.name)
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
    with database.session() as session:
        attach(session, mine)
        session.commit()
    found = row(database, Customer, 1)
    assert (found.name, found.city) == ("CUSTOMER 1", "theirs")


# --- composites ------------------------------------------------------------------------------------------------------


def shape(database: Database) -> Shape:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Shape(id=1, name="shape", start=Point(0, 0), end=Point(9, 9)))
    [mine] = away(database, Shape)
    return mine


def test_a_composite_is_one_value_even_where_the_sides_changed_different_parts(database: Database) -> None:
    mine = shape(database)
    mine.start = Point(1, 0)
    with others(database) as session:
        session.get_one(Shape, 1).start = Point(0, 1)
    with database.session() as session, pytest.raises(ConflictError) as caught:
        attach(session, mine)
    [conflict] = caught.value.conflicts
    assert (conflict.attribute, conflict.base) == ("start", Point(0, 0))
    assert (conflict.mine, conflict.theirs) == (Point(1, 0), Point(0, 1))


@pytest.mark.parametrize(
    ("policy", "result"),
    [("mine", Point(1, 0)), ("theirs", Point(0, 1)), (lambda conflict: Point(5, 5), Point(5, 5))],
    ids=["mine", "theirs", "function"],
)
def test_a_composite_is_decided_as_one(database: Database, policy: Any, result: Point) -> None:
    mine = shape(database)
    mine.start = Point(1, 0)
    with others(database) as session:
        session.get_one(Shape, 1).start = Point(0, 1)
    with database.session() as session:
        held = session.get_one(Shape, 1)
        attach(session, mine, on_conflict=policy)
        assert held.start == result
        session.commit()
        assert session.get_one(Shape, 1).start == result


def test_composites_of_one_row_merge_beside_each_other(database: Database) -> None:
    mine = shape(database)
    mine.start = Point(1, 1)
    with others(database) as session:
        session.get_one(Shape, 1).end = None
    with database.session() as session, database.statements() as log:
        attach(session, mine)
        assert (mine.start, mine.end) == (Point(1, 1), Point(None, None))  # type: ignore[arg-type]  # two NULLs
        session.commit()
        assert columns_set(log) == [("shape", ["x1", "y1"])]


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_primary_key_that_was_edited_away_finds_its_row_by_the_old_one(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    [mine] = away(database, Country)
    mine.code = "BX"
    with others(database) as session:
        session.get_one(Country, "be").name = "theirs"
    with database.session() as session:
        report = attach(session, mine)
        assert report.updated == [mine]
        session.commit()
        assert (mine.code, mine.name) == ("BX", "theirs")
        assert [country.code for country in session.scalars(select(Country))] == ["BX"]


def test_a_composite_primary_key_finds_its_row(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add_all(Shelf(room=room, number=number, label="old") for room in "ab" for number in (1, 2))
    shelves = away(database, Shelf)
    shelves[1].label = "mine"
    shelves[2].label = "mine"
    with others(database) as session:
        session.get_one(Shelf, ("b", 1)).label = "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, shelves)
        assert [str(conflict).partition(":")[0] for conflict in caught.value.conflicts] == ["Shelf('b', 1).label"]
        attach(session, shelves, on_conflict="theirs")
        session.commit()
        assert [shelf.label for shelf in shelves] == ["old", "mine", "theirs", "old"]


def test_attributes_that_are_named_other_than_their_columns_merge(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add_all([Legacy(id=1, name="root"), Legacy(id=2, name="child", parent_id=1)])
    mine = away(database, Legacy)[1]
    mine.name = "mine"
    with others(database) as session:
        session.get_one(Legacy, 2).parent = None
    with database.session() as session, database.statements() as log:
        attach(session, mine)
        session.commit()
        assert columns_set(log) == [("tbl_legacy", ["nm"])]
        assert (mine.name, mine.parent_id, mine.parent) == ("mine", None, None)


def test_a_value_that_the_database_refuses_fails_at_flush_as_ever(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.name = None  # type: ignore[assignment]  # that is the mistake
    with database.session() as session:
        attach(session, mine)
        with pytest.raises(StatementError):
            session.flush()


def test_edits_that_detach_found_unflushed_are_edits(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with database.session() as session:
        mine = session.get_one(Customer, 1)
        mine.name = "mine"
        detach(session, mine)
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
    with database.session() as session:
        attach(session, mine)
        session.commit()
    found = row(database, Customer, 1)
    assert (found.name, found.city) == ("mine", "theirs")
