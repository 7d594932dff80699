"""The three-way merge of references (many-to-one) and of the foreign keys behind them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session, joinedload, make_transient_to_detached, selectinload

from sojourn.errors import Conflict, ConflictError, MissingRowError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from tests.databases import Database
from tests.models import inheritance, keys, relations
from tests.models.inheritance import Animal, Owner
from tests.models.keys import Book, Legacy, Node, Shelf
from tests.models.relations import Article, Person
from tests.models.shop import Customer, Order
from tests.session.attaching import away, columns_set, open_shop, others, row

WITH_CUSTOMER = selectinload(Order.customer)


def orders_away(database: Database) -> tuple[list[Order], list[Customer]]:
    """Order 1 of customer 1, 2 of 2, 3 of 3, all with their customers loaded."""
    open_shop(database, 3, 1, 0)
    orders = away(database, Order, WITH_CUSTOMER)
    return orders, [order.customer for order in orders]


def customer_of(database: Database, order: int) -> int:
    return row(database, Order, order).customer_id


def test_a_reference_that_i_changed_is_written(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with others(database) as session:
        session.get_one(Order, 1).status = "theirs"
    with database.session() as session, database.statements() as log:
        attach(session, orders)
        assert orders[0].customer is customers[1]
        session.commit()
        assert columns_set(log) == [("customer_order", ["customer_id"])]
    assert (customer_of(database, 1), row(database, Order, 1).status) == (2, "theirs")


@pytest.mark.parametrize("verify", ["changed", "all"])
def test_a_reference_that_was_set_back_is_left_where_its_foreign_key_is_not_loaded(
    database: Database, verify: Any
) -> None:
    open_shop(database, 2, 1, 0)
    only = selectinload(Customer.orders).load_only(Order.status)
    with database.session() as session:
        one, two = detach(session, session.query(Customer).options(only).order_by(Customer.id).all())
    order = two.orders[0]
    order.customer = one
    order.customer = two
    order.status = "mine"
    assert "customer_id" not in order.__dict__
    with database.session() as session, database.statements() as log:
        attach(session, [one, two], verify=verify)
        assert order.customer is two
        session.commit()
        assert columns_set(log) == [("customer_order", ["status"])]
    assert customer_of(database, 2) == 2


def test_a_reference_that_others_changed_is_theirs_and_points_to_the_new_object(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].status = "mine"
    with others(database) as session:
        session.get_one(Order, 1).customer_id = 3
    with database.session() as session, database.statements() as log:
        attach(session, orders)
        assert orders[0].customer_id == 3
        assert orders[0].customer is customers[2]
        log.clear()
        session.commit()
        assert columns_set(log) == [("customer_order", ["status"])]
    assert customer_of(database, 1) == 3


def test_a_reference_that_others_changed_to_somebody_unseen_is_loaded_on_demand(database: Database) -> None:
    open_shop(database, 3, 1, 0)
    [first, *_] = away(database, Order, WITH_CUSTOMER)
    first.status = "mine"
    with others(database) as session:
        session.get_one(Order, 1).customer_id = 3
    with database.session() as session:
        attach(session, first)
        assert first.customer.id == 3
        session.commit()
    assert customer_of(database, 1) == 3


def test_a_reference_that_both_changed_in_one_way_is_no_conflict(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with others(database) as session:
        session.get_one(Order, 1).customer_id = 2
    with database.session() as session, database.statements() as log:
        report = attach(session, orders)
        session.commit()
        assert log.updates == []
        assert orders[0].customer is customers[1]
    assert report.updated == []


@pytest.mark.parametrize(
    ("policy", "result"),
    [("mine", 2), ("theirs", 3), (lambda conflict: conflict.base, 1), (lambda conflict: conflict.theirs, 3)],
    ids=["mine", "theirs", "base", "function of theirs"],
)
def test_a_reference_that_both_changed_is_decided_by_policy(database: Database, policy: Any, result: int) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with others(database) as session:
        session.get_one(Order, 1).customer_id = 3
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, orders)
        one, two, three = (inspect(customer).key for customer in customers)
        assert caught.value.conflicts == [Conflict(inspect(orders[0]).key, "customer", one, two, three)]
        attach(session, orders, on_conflict=policy)
        assert orders[0].customer is customers[result - 1]
        session.commit()
        assert orders[0].customer is customers[result - 1]
    assert customer_of(database, 1) == result


def test_a_function_may_answer_with_an_object(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with others(database) as session:
        session.get_one(Order, 1).customer_id = 3
    with database.session() as session:
        attach(session, orders, on_conflict=lambda conflict: customers[0])
        session.commit()
    assert customer_of(database, 1) == 1


def test_a_target_that_was_deleted_meanwhile_is_a_missing_row(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[2]
    with others(database) as session:
        session.delete(session.get_one(Customer, 3))
    with database.session() as session, pytest.raises(MissingRowError) as caught:
        attach(session, orders[0])
    assert [conflict.identity for conflict in caught.value.conflicts] == [inspect(customers[2]).key]


def test_a_deleted_target_can_be_recreated(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[2]
    with others(database) as session:
        session.delete(session.get_one(Customer, 3))
    with database.session() as session:
        report = attach(session, orders[0], on_missing="recreate")
        assert report.inserted == [customers[2]]
        session.commit()
    assert customer_of(database, 1) == 3
    assert row(database, Customer, 3).name == "Customer 3"


def test_a_reference_to_a_target_that_was_skipped_stays_what_it_is_for_others(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[2]
    orders[0].status = "mine"
    with others(database) as session:
        session.delete(session.get_one(Customer, 3))
    with database.session() as session:
        report = attach(session, orders[0], on_missing="skip")
        assert report.of(customers[2]) is None
        assert customers[2] not in session
        session.commit()
        assert orders[0].customer.id == 1
    assert (customer_of(database, 1), row(database, Order, 1).status) == (1, "mine")


def test_a_reference_to_a_new_object_brings_it_along(database: Database) -> None:
    orders, _ = orders_away(database)
    new = Customer(name="new", email="new@example.org", balance=1)
    orders[0].customer = new
    with database.session() as session:
        report = attach(session, orders)
        assert report.inserted == [new]
        assert report.updated == [orders[0]]
        session.commit()
        assert orders[0].customer is new
    assert customer_of(database, 1) == new.id > 3


def test_a_reference_to_a_new_object_conflicts_with_theirs(database: Database) -> None:
    orders, customers = orders_away(database)
    new = Customer(name="new", email="new@example.org", balance=1)
    orders[0].customer = new
    with others(database) as session:
        session.get_one(Order, 1).customer_id = 3
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, orders)
        [conflict] = caught.value.conflicts
        assert conflict.mine is new
        attach(session, orders, on_conflict="theirs")
        assert orders[0].customer is customers[2]
        session.commit()
    assert customer_of(database, 1) == 3


def test_a_foreign_key_that_was_edited_directly_is_an_edit_of_that_column(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer_id = 2
    with others(database) as session:
        session.get_one(Order, 2).customer_id = 3
    orders[1].customer_id = 1
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, orders)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.base, conflict.mine, conflict.theirs) == ("customer_id", 2, 1, 3)
        attach(session, orders, on_conflict="theirs")
        assert [order.customer for order in orders] == [customers[1], customers[2], customers[2]]
        session.commit()
    assert [customer_of(database, order) for order in (1, 2, 3)] == [2, 3, 3]


def test_a_reference_that_is_emptied_is_written_as_null(database: Database) -> None:
    database.create(relations.Base.metadata)
    with others(database) as session:
        session.add(Article(id=1, title="title", author=Person(id=1, name="Ann")))
    [mine] = away(database, Article, selectinload(Article.author))
    mine.author = None
    with database.session() as session, database.statements() as log:
        attach(session, mine)
        assert mine.author is None
        session.commit()
        assert columns_set(log) == [("article", ["author_id"])]
    assert row(database, Article, 1).author_id is None


def test_an_unloaded_reference_that_was_set_has_its_foreign_key_for_a_base(database: Database) -> None:
    open_shop(database, 3, 1, 0)
    [first, second, third] = away(database, Order)
    elsewhere = away(database, Customer)
    first.customer = elsewhere[1]
    second.customer = elsewhere[0]
    third.customer = elsewhere[2]  # to whom it belongs already
    with others(database) as session:
        session.get_one(Order, 2).customer_id = 3
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, [first, second, third])
        assert [conflict.base[1] for conflict in caught.value.conflicts] == [(2,)]
        report = attach(session, [first, second, third], on_conflict="mine")
        assert report.updated == [first, second]
        session.commit()
    assert [customer_of(database, order) for order in (1, 2, 3)] == [2, 1, 3]


def test_a_reference_through_a_composite_key_merges(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        shelves = [Shelf(room="a", number=1), Shelf(room="a", number=2), Shelf(room="b", number=1)]
        session.add_all([*shelves, Book(id=1, title="one", shelf=shelves[0]), Book(id=2, title="two")])
    one, two = away(database, Book, selectinload(Book.shelf))
    shelves = away(database, Shelf)
    one.shelf, two.shelf = shelves[1], shelves[2]
    with others(database) as session:
        session.get_one(Book, 1).shelf = session.get_one(Shelf, ("b", 1))
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, [one, two])
        [conflict] = caught.value.conflicts
        assert [side[1] for side in (conflict.base, conflict.mine, conflict.theirs)] == [("a", 1), ("a", 2), ("b", 1)]
        attach(session, [one, two], on_conflict="theirs")
        session.commit()
        assert [(book.shelf_room, book.shelf_number) for book in (one, two)] == [("b", 1), ("b", 1)]


def test_a_reference_without_a_way_back_merges(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add_all([Legacy(id=1, name="one"), Legacy(id=2, name="two"), Legacy(id=3, name="three", parent_id=1)])
    one, two, three = away(database, Legacy, selectinload(Legacy.parent))
    three.parent = two
    one.name = "mine"
    with database.session() as session:
        held = session.get_one(Legacy, 2)
        attach(session, [one, two, three])
        assert three.parent is held
        session.commit()
    assert row(database, Legacy, 3).parent_id == 2


def test_a_reference_to_a_polymorphic_object_merges(database: Database) -> None:
    database.create(inheritance.Base.metadata)
    with others(database) as session:
        session.add_all([Owner(id=1, name="Ann"), Owner(id=2, name="Bob")])
        session.flush()
        session.add(inheritance.Puppy(id=1, name="Rex", owner_id=1))
    [rex] = away(database, Animal, joinedload(Animal.owner))
    ann, bob = away(database, Owner)
    rex.owner = bob
    with database.session() as session:
        attach(session, [rex, ann])
        session.commit()
        assert rex.owner is bob
    assert row(database, Animal, 1).owner_id == 2


# --- where the session holds the object ------------------------------------------------------------------------------


def held_orders(session: Session) -> list[Order]:
    return [session.get_one(Order, number) for number in (1, 2, 3)]


def test_a_reference_is_merged_onto_the_sessions_instances(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with database.session() as session:
        held = held_orders(session)
        target = session.get_one(Customer, 2)
        attach(session, orders)
        assert held[0].customer is target
        session.commit()
    assert customer_of(database, 1) == 2


def test_the_sessions_own_unflushed_reference_is_theirs(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].status = "mine"
    orders[1].customer = customers[0]
    with database.session() as session:
        held = held_orders(session)
        held[0].customer = held[1].customer = session.get_one(Customer, 3)
        with pytest.raises(ConflictError) as caught:
            attach(session, orders)
        [conflict] = caught.value.conflicts
        assert [side[1] for side in (conflict.base, conflict.mine, conflict.theirs)] == [(2,), (1,), (3,)]
        attach(session, orders, on_conflict="theirs")
        assert [order.customer.id for order in held] == [3, 3, 3]
        session.commit()
    assert [customer_of(database, order) for order in (1, 2, 3)] == [3, 3, 3]
    assert row(database, Order, 1).status == "mine"


def test_the_same_reference_set_here_and_there_is_written_once(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with database.session() as session, database.statements() as log:
        held = held_orders(session)
        held[0].customer = session.get_one(Customer, 2)
        assert attach(session, orders).conflicts == []
        session.commit()
        assert columns_set(log) == [("customer_order", ["customer_id"])]
    assert customer_of(database, 1) == 2


def test_mine_over_the_sessions_own_reference(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with database.session() as session:
        held = held_orders(session)
        held[0].customer = session.get_one(Customer, 3)
        attach(session, orders, on_conflict="mine")
        session.commit()
        assert held[0].customer.id == 2
    assert customer_of(database, 1) == 2


def test_the_sessions_own_foreign_key_is_theirs(database: Database) -> None:
    orders, customers = orders_away(database)
    orders[0].customer = customers[1]
    with database.session() as session:
        held = held_orders(session)
        held[0].customer_id = 3
        with pytest.raises(ConflictError):
            attach(session, orders)
        attach(session, orders, on_conflict="theirs")
        session.commit()
    assert customer_of(database, 1) == 3


# --- trees -----------------------------------------------------------------------------------------------------------


def test_nodes_of_a_tree_are_moved_by_both(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        for number in range(1, 6):
            session.add(Node(id=number, name=str(number), parent_id=1 if number > 1 else None))
            session.flush()
    nodes = away(database, Node, selectinload(Node.parent))
    nodes[2].parent = nodes[1]  # 3 under 2
    with others(database) as session:
        session.get_one(Node, 5).parent_id = 4
    nodes[4].name = "mine"
    with database.session() as session:
        attach(session, nodes)
        assert nodes[4].parent is nodes[3]
        session.commit()
    assert [row(database, Node, number).parent_id for number in (2, 3, 4, 5)] == [1, 2, 1, 4]


def test_a_detached_target_that_was_made_from_its_key_alone_is_found(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    [first, _] = away(database, Order, WITH_CUSTOMER)
    target = Customer(id=2)
    make_transient_to_detached(target)
    first.customer = target
    with database.session() as session:
        attach(session, first)
        session.commit()
        assert target.name == "Customer 2"
    assert customer_of(database, 1) == 2
