"""New objects: with and without a key, with a row that is there already, twice, and beside what the session holds."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import make_transient, selectinload

from sojourn.errors import UNKNOWN, ConflictError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import keys, relations, shop
from tests.models.keys import Book, Country, Shelf, Ticket
from tests.models.relations import Club, Membership, Person
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, columns_set, line_of, open_shop, others, row, rows, shop_away


def customer(**values: Any) -> Customer:
    return Customer(**{"name": "new", "email": "new@example.org", "balance": 1, **values})


def test_a_new_object_without_a_key_is_inserted(database: Database) -> None:
    database.create(shop.Base.metadata)
    new = customer()
    with database.session() as session, database.statements() as log:
        report = attach(session, new)
        assert (report.instances, report.inserted, report.statements) == ([new], [new], 0)
        assert inspect(new).pending
        assert len(log) == 0
        session.commit()
        assert new.id is not None


def test_a_new_graph_is_inserted_as_add_would(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    order = Order(number="new", status="open", placed_at=shop.FIRST_DAY, customer=customer())
    line_of(order, "a")
    with database.session() as session:
        report = attach(session, order.lines[0])
        assert len(report.inserted) == 3
        session.commit()
        assert (order.lines[0].order_id, order.customer_id) == (order.id, order.customer.id)


def test_a_new_object_with_a_key_is_looked_for_and_inserted_where_there_is_no_row(database: Database) -> None:
    database.create(keys.Base.metadata)
    new = [Country(code="be", name="Belgium"), Country(code="nl", name="Netherlands")]
    with database.session() as session, database.statements() as log:
        report = attach(session, new)
        assert len(log.selects) == report.statements == 1
        assert report.inserted == new
        session.commit()
    assert [one.name for one in rows(database, Country)] == ["Belgium", "Netherlands"]


def test_verify_none_looks_for_a_key_that_is_set_all_the_same(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    new = [Country(code="be", name="Belgium"), Country(code="nl", name="Netherlands")]
    with database.session() as session, database.statements() as log:
        report = attach(session, new, verify="none")
        assert len(log.selects) == (2 if database.name == "mariadb" else 1)  # it looks without locks first
        assert (report.inserted, report.unchanged) == ([new[1]], [new[0]])
        session.commit()


@pytest.mark.parametrize(
    ("policies", "name"),
    [
        ({"on_conflict": "mine"}, "mine"),
        ({"on_conflict": "theirs"}, "Belgium"),
        ({"on_unknown_base": "mine"}, "mine"),
        ({"on_unknown_base": "theirs", "on_conflict": "mine"}, "Belgium"),
        ({"on_unknown_base": lambda conflict: f"{conflict.theirs}, {conflict.mine}"}, "Belgium, mine"),
    ],
)
def test_a_new_object_whose_row_is_there_has_an_unknown_base(
    database: Database, policies: dict[str, Any], name: str
) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    mine = Country(code="be", name="mine")
    with database.session() as session, database.statements() as log:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.identity, conflict.attribute) == ((Country, ("be",), None), "name")
        assert (conflict.base, conflict.mine, conflict.theirs) == (UNKNOWN, "mine", "Belgium")
        assert inspect(mine).transient

        report = attach(session, mine, **policies)
        assert report.inserted == []
        assert inspect(mine).persistent
        session.commit()
        assert mine.name == name
        assert log.inserts == []
        assert columns_set(log) == ([] if name == "Belgium" else [("country", ["name"])])
    assert row(database, Country, "be").name == name


def test_a_new_object_that_equals_its_row_is_unchanged(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    mine = Country(code="be", name="Belgium")
    with database.session() as session, database.statements() as log:
        report = attach(session, mine)
        assert (report.unchanged, report.conflicts) == ([mine], [])
        assert session.get(Country, "be") is mine
        session.commit()
        assert log.updates == log.inserts == []


def test_what_a_new_object_does_not_say_stays_as_it_is_in_its_row(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    mine = Customer(id=1, name="mine")
    with database.session() as session, database.statements() as log:
        attach(session, mine, on_unknown_base="mine")
        assert mine.email == "customer1@example.org"
        session.commit()
        assert columns_set(log) == [("customer", ["name"])]
    assert row(database, Customer, 1).city == "Bergen"


def test_client_made_keys_insert_nothing_twice(database: Database) -> None:
    database.create(keys.Base.metadata)
    key = uuid4()
    for session_number in (1, 2):
        ticket = Ticket(id=key, subject="once")
        again = Ticket(id=key, subject="once")
        with database.session() as session:
            report = attach(session, [ticket, again])
            assert report.instances == [ticket, ticket]
            assert len(report.inserted) == (1 if session_number == 1 else 0)
            assert attach(session, Ticket(id=key, subject="once")).instances == [ticket]
            session.commit()
    assert [one.subject for one in rows(database, Ticket)] == ["once"]


def test_a_pending_object_with_the_same_key_takes_the_edits(database: Database) -> None:
    database.create(keys.Base.metadata)
    with database.session() as session:
        pending = Country(code="be", name="Belgium")
        session.add(pending)
        mine = Country(code="be", name="mine")
        with pytest.raises(ConflictError):
            attach(session, mine)
        report = attach(session, mine, on_conflict="mine")
        assert report.instances == [pending]
        assert mine not in session
        session.commit()
    assert [one.name for one in rows(database, Country)] == ["mine"]


def test_a_new_object_with_the_key_of_what_the_session_holds_takes_the_edits(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    with database.session() as session:
        held = session.get_one(Country, "be")
        held.name = "home"
        mine = Country(code="be", name="mine")
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.mine, conflict.theirs) == ("mine", "home")
        report = attach(session, mine, on_conflict="mine")
        assert report.instances == [held]
        session.commit()
    assert row(database, Country, "be").name == "mine"


def test_a_new_parent_takes_an_existing_child(database: Database) -> None:
    open_shop(database, 1, 1, 2)
    [old] = shop_away(database)
    line = old.orders[0].lines[0]
    branch = Order(number="new", status="open", placed_at=shop.FIRST_DAY, customer=old)
    branch.lines.append(line)
    assert line not in old.orders[0].lines
    with database.session() as session:
        report = attach(session, old)
        assert (report.inserted, report.updated, report.deleted) == ([branch], [line], [])
        session.commit()
        assert [len(order.lines) for order in old.orders] == [1, 1]
    assert row(database, Line, line.id).order_id == branch.id


def test_a_new_parent_takes_an_existing_child_that_comes_alone(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Book(id=1, title="book", shelf=Shelf(room="a", number=1)))
    [book] = away(database, Book)
    shelf = Shelf(room="b", number=1, books=[book])
    with others(database) as session:
        session.get_one(Book, 1).title = "theirs"
    with database.session() as session:
        report = attach(session, shelf)
        assert report.inserted == [shelf]
        assert report.updated == [book]
        session.commit()
    found = row(database, Book, 1)
    assert (found.shelf_room, found.title) == ("b", "theirs")


def test_new_children_are_inserted_with_the_key_of_a_new_parent_whose_row_is_there(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Shelf(room="a", number=1, label="label", books=[Book(title="theirs")]))
    shelf = Shelf(room="a", number=1, books=[Book(title="mine")])
    with database.session() as session:
        report = attach(session, shelf)
        assert (report.conflicts, report.inserted) == ([], shelf.books[-1:])
        session.commit()
        assert [book.title for book in shelf.books] == ["theirs", "mine"]
        assert shelf.label == "label"


def test_an_association_object_between_two_new_ones_is_inserted(database: Database) -> None:
    database.create(relations.Base.metadata)
    ann, club = Person(name="Ann"), Club(name="club")
    Membership(person=ann, club=club, role="chair")
    with database.session() as session:
        report = attach(session, [ann])
        assert len(report.inserted) == 3
        session.commit()
    assert [one.role for one in rows(database, Membership)] == ["chair"]


def test_an_object_that_was_made_transient_is_new(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    make_transient(mine)
    mine.name = "mine"
    with database.session() as session:
        with pytest.raises(ConflictError):
            attach(session, mine)
        attach(session, mine, on_unknown_base="mine")
        session.commit()
    assert [one.name for one in rows(database, Customer)] == ["mine"]


def test_a_new_child_with_a_key_under_a_parent_that_is_held(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = away(database, Order, selectinload(Order.lines))
    mine.lines.append(Line(id=77, sku="mine", qty=1, price=1))
    with database.session() as session:
        held = session.get_one(Order, 1)
        attach(session, mine)
        session.commit()
        assert [line.id for line in held.lines] == [1, 77]
    assert row(database, Line, 77).order_id == 1
