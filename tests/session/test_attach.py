"""Coming home: which instance stands in the session, what it points to, what is written, what is reported."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, selectinload

from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import keys
from tests.models.keys import Node
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, columns_set, copies_in_reach, line_of, open_shop, others, row, rows, shop_away

# --- where the session does not hold the identity --------------------------------------------------------------------


def test_the_very_same_instances_come_home(database: Database) -> None:
    open_shop(database)
    customers = shop_away(database)
    graph = [
        obj for one in customers for obj in (one, *one.orders, *(line for order in one.orders for line in order.lines))
    ]
    customers[0].orders[0].lines[0].qty = 50
    with database.session() as session:
        report = attach(session, customers)
        assert report.instances == customers
        assert all(report.of(obj) is obj for obj in graph)
        assert all(obj in session and inspect(obj).persistent for obj in graph)
        assert set(session) == set(graph)
        session.commit()
        assert customers[0].orders[0].lines[0].qty == 50


def test_what_comes_home_is_an_ordinary_persistent_object(database: Database) -> None:
    open_shop(database)
    [first, _] = away(database, Customer)
    with database.session() as session:
        attach(session, first)
        assert session.get(Customer, 1) is first
        assert [order.customer for order in first.orders] == [first, first]
        first.name = "edited at home"
        session.commit()
        assert first.name == "edited at home"
        session.delete(first.orders[0])
        session.commit()
        assert [order.id for order in first.orders] == [2]


def test_one_instance_or_any_iterable_is_taken_and_reported_in_order(database: Database) -> None:
    open_shop(database)
    first, second = away(database, Customer)
    with database.session() as session:
        assert attach(session, first).instances == [first]
        assert attach(session, iter([second, first, second])).instances == [second, first, second]
        assert attach(session, []).instances == []


def test_objects_that_are_home_already_stay_as_they_are(database: Database) -> None:
    open_shop(database)
    with database.session() as session, database.statements() as log:
        customer = session.get_one(Customer, 1)
        customer.name = "not flushed yet"
        log.clear()
        report = attach(session, customer)
        assert report.instances == [customer]
        assert report.of(customer) is customer
        assert inspect(customer).attrs.name.history.deleted == ["Customer 1"]
        assert len(log) == 0


def test_the_guard_is_off_at_home_and_the_rest_loads_on_demand(database: Database) -> None:
    open_shop(database)
    [first, _] = away(database, Customer)
    with database.session() as session:
        attach(session, first)
        assert [len(order.lines) for order in first.orders] == [2, 2]


# --- where it does ---------------------------------------------------------------------------------------------------


def test_edits_are_merged_onto_the_instance_that_the_session_holds(database: Database) -> None:
    open_shop(database)
    [copy, _] = away(database, Customer)
    copy.name, copy.city = "edited", None
    with database.session() as session:
        held = session.get_one(Customer, 1)
        report = attach(session, copy)
        assert report.of(copy) is held
        assert report.instances == [held]
        assert copy not in session
        assert (held.name, held.city, held.email) == ("edited", None, "customer1@example.org")
        session.commit()
    assert row(database, Customer, 1).name == "edited"


def test_an_instance_that_the_session_has_expired_takes_edits_too(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    [copy] = shop_away(database)
    copy.name = "edited"
    copy.orders[0].status = "edited"
    removed = copy.orders[0].lines.pop(0)
    line_of(copy.orders[0], "new")
    with database.session() as session:
        customer, order, line = session.get_one(Customer, 1), session.get_one(Order, 1), session.get_one(Line, 1)
        session.commit()  # expires them
        attach(session, copy)
        session.commit()
        assert (customer.name, order.status) == ("edited", "edited")
        assert [line.sku for line in order.lines] == ["SKU-014", "new"]
        assert inspect(line).detached
    assert removed.id not in {line.id for line in rows(database, Line)}


def test_every_reference_to_a_copy_is_pointed_to_the_instance_at_home(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    [customer] = shop_away(database)
    order = customer.orders[0]
    order.lines[0].qty = 99
    with database.session() as session:
        held_order, held_line = session.get_one(Order, 1), session.get_one(Line, 3)
        report = attach(session, customer)
        assert report.of(order) is held_order
        assert customer.orders[0] is held_order
        assert held_order not in (order,)
        assert held_line in customer.orders[1].lines
        assert all(one.order is held_order for one in held_order.lines)
        assert copies_in_reach(session) == []
        session.commit()
    assert row(database, Line, 1).qty == 99


def test_references_are_pointed_anew_deep_in_the_graph_and_in_both_directions(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        for number in range(1, 8):
            session.add(Node(id=number, name=str(number), parent_id=number // 2 or None))
            session.flush()
    children = selectinload(Node.children)
    [root] = [node for node in away(database, Node, children.selectinload(Node.children)) if node.id == 1]
    root.children[1].children[0].name = "edited"
    with database.session() as session:
        held = [session.get_one(Node, number) for number in (2, 3, 6)]
        attach(session, root)
        assert root.children == held[:2]
        assert held[1].children[0] is held[2]
        assert [one.parent for one in held] == [root, root, held[1]]
        assert held[2].name == "edited"
        assert copies_in_reach(session) == []


def test_an_object_at_home_that_holds_a_copy_is_pointed_anew(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [copy] = away(database, Order)
    copy.status = "edited"
    with database.session() as session:
        held = session.get_one(Order, 1)
        new = Line(sku="new", qty=1, price=1)
        new.order = copy
        attach(session, new)
        assert new.order is held
        assert held.status == "edited"
        session.commit()
        assert [line.sku for line in held.lines] == ["SKU-007", "new"]


def test_two_objects_that_share_a_copy_share_the_instance_at_home(database: Database) -> None:
    open_shop(database, 1, 3, 0)
    orders = away(database, Order, selectinload(Order.customer))
    orders[1].customer.name = "edited"
    with database.session() as session:
        held = session.get_one(Customer, 1)
        attach(session, orders)
        assert [order.customer for order in orders] == [held] * 3
        assert held.name == "edited"


def test_a_session_may_drop_its_own_instance_at_any_time_before(database: Database) -> None:
    open_shop(database, 1, 1, 0)
    [copy] = away(database, Customer)
    copy.name = "edited"
    with database.session() as session:
        session.get_one(Customer, 1)  # nobody keeps it
        gc.collect()
        assert not session.identity_map
        report = attach(session, copy)
        assert report.of(copy) is copy
        session.commit()
    assert row(database, Customer, 1).name == "edited"


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", ["changed", "all", "none"])
def test_the_update_names_the_edited_columns_and_clean_objects_write_nothing(database: Database, verify: Any) -> None:
    open_shop(database)
    customers = shop_away(database)
    customers[0].name = "edited"
    customers[0].orders[1].lines[0].qty = 50
    customers[0].orders[1].lines[0].sku = "edited"
    with database.session() as session, database.statements() as log:
        attach(session, customers, verify=verify)
        session.commit()
        assert columns_set(log) == [("customer", ["name"]), ("order_line", ["qty", "sku"])]
        assert log.inserts == log.deletes == []


@pytest.mark.parametrize("verify", ["changed", "all", "none"])
def test_a_clean_graph_writes_nothing_at_all(database: Database, verify: Any) -> None:
    open_shop(database)
    customers = shop_away(database)
    customers[0].name = "edited"
    customers[0].name = "Customer 1"  # back to what it was
    with database.session() as session, database.statements() as log:
        report = attach(session, customers, verify=verify)
        session.commit()
        assert [statement.kind for statement in log] == ["SELECT"] * (3 if verify == "all" else 0)
        assert report.statements == len(log)
    assert len(report.unchanged) == 14
    assert report.inserted == report.updated == report.deleted == []


def test_an_edit_that_others_made_too_writes_nothing(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "the same"
    with others(database) as session:
        session.get_one(Customer, 1).city = "the same"
    with database.session() as session, database.statements() as log:
        report = attach(session, mine)
        session.commit()
        assert log.updates == []
    assert report.unchanged == [mine]
    assert [(merge.attribute, merge.result) for merge in report.merged] == [("city", "the same")]


def test_clean_parents_do_not_delete_what_others_added(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    for verify in ("changed", "all", "none"):
        [mine] = shop_away(database)
        with others(database) as session:
            line_of(session.get_one(Order, 1), f"before {verify}")
        with database.session() as session:
            attach(session, mine, verify=verify)
            mine.orders[0].status = f"edited after {verify}"
            session.commit()
    assert len(rows(database, Line)) == 4


# --- verify ----------------------------------------------------------------------------------------------------------


def test_verify_changed_reads_only_the_tables_and_rows_of_what_was_edited(database: Database) -> None:
    open_shop(database)
    customers = shop_away(database)
    customers[1].orders[0].status = "edited"
    with database.session() as session, database.statements() as log:
        attach(session, customers)
        [select_] = log.selects
    assert "FROM customer_order" in select_.sql
    assert "[3]" in str(select_.parameters) or 3 in dict(select_.parameters).values()


def test_verify_all_brings_clean_objects_up_to_date(database: Database) -> None:
    open_shop(database, 2, 2, 2)
    customers = shop_away(database)
    first, second = customers
    customers[1].orders[1].lines[1].qty = 50
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
        session.delete(session.get_one(Line, 1))
        line_of(session.get_one(Order, 2), "theirs")
        session.get_one(Order, 2).customer = session.get_one(Customer, 2)
    with database.session() as session, database.statements() as log:
        attach(session, customers, verify="all")
        assert len(log.selects) == 3
        log.clear()
        assert first.city == "theirs"
        assert [order.id for order in first.orders] == [1]
        assert [line.id for line in first.orders[0].lines] == [2]
        assert sorted(order.id for order in second.orders) == [2, 3, 4]
        [moved] = [order for order in second.orders if order.id == 2]
        assert moved.customer is second
        assert moved.customer_id == 2
        assert [line.sku for line in moved.lines][2:] == ["theirs"]
        assert all(line.order is moved for line in moved.lines)
        assert len(log) == 0
        session.commit()
        assert columns_set(log) == [("order_line", ["qty"])]


def test_verify_none_reads_nothing_and_writes_the_edits_as_they_are(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = shop_away(database)
    mine.city = "mine"
    line_of(mine.orders[0], "new")
    mine.orders[0].lines.pop(0)
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
    with database.session() as session, database.statements() as log:
        report = attach(session, mine, verify="none")
        assert len(log) == report.statements == 0
        session.commit()
    assert row(database, Customer, 1).city == "mine"
    assert [line.sku for line in rows(database, Line)] == ["new"]


# --- events ----------------------------------------------------------------------------------------------------------


def test_session_events_fire_as_with_add(database: Database) -> None:
    open_shop(database, 1, 1, 1)

    def heard(way: str) -> list[tuple[str, str]]:
        [mine] = shop_away(database)
        line_of(mine.orders[0], "new")
        events: list[tuple[str, str]] = []
        with database.session() as session:
            for name in ("before_attach", "after_attach", "detached_to_persistent", "transient_to_pending"):
                event.listen(session, name, _listener(name, events))
            session.add(mine) if way == "add" else attach(session, mine, verify="none")
        return sorted(events)

    assert heard("attach") == heard("add")
    assert ("detached_to_persistent", "Line") in heard("attach")
    assert ("transient_to_pending", "Line") in heard("attach")


def _listener(name: str, events: list[tuple[str, str]]) -> Any:
    def listen(_session: Session, obj: Any) -> None:
        events.append((name, type(obj).__name__))

    return listen
