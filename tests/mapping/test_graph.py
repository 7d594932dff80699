"""A walk reaches what is loaded, and what was there before it was edited; it loads nothing and needs no stack."""

from __future__ import annotations

from itertools import pairwise

from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from sojourn.mapping.graph import by_class, former, walk
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models.keys import Node
from tests.models.odd import Ball, Box, Pin
from tests.models.relations import Article, Link, Note, Tag
from tests.models.shop import Customer, Line, Order


def reached(*objects: object) -> list[object]:
    return [state.obj() for state in walk(objects)]


def test_what_is_loaded_is_reached_once_and_breadth_first(session: Session, sqlite: Database) -> None:
    customer = session.get_one(Customer, 1, options=[selectinload(Customer.orders).selectinload(Order.lines)])
    one, two = customer.orders
    with sqlite.statements() as log:
        assert reached(customer) == [customer, one, two, *one.lines, *two.lines]
        assert reached(one.lines[0]) == [one.lines[0]]  # its order was not loaded on it
        assert len(reached(customer, one, customer)) == 7
    assert len(log) == 0


def test_what_is_not_loaded_is_not_reached(session: Session, sqlite: Database) -> None:
    order = session.get_one(Order, 1)
    with sqlite.statements() as log:
        assert reached(order) == [order]
    assert len(log) == 0


def test_what_was_taken_out_or_pointed_elsewhere_belongs_to_the_graph(session: Session) -> None:
    one, two = session.get_one(Order, 1, options=[selectinload(Order.lines)]), session.get_one(Order, 2)
    customer, first = one.customer, one.lines[0]
    one.lines.remove(first)
    one.customer = Customer()
    assert first in reached(one)
    assert customer in reached(one)
    assert two not in reached(one)
    assert former(state_of(one), "lines", many=True) == [first, one.lines[0]]
    assert former(state_of(one), "customer", many=False) == [customer]
    assert former(state_of(two), "lines", many=True) == []
    session.expunge_all()


def test_all_kinds_of_collection_are_walked_and_dynamic_ones_are_not() -> None:
    article = Article(tags=[Tag()], notes={"a": Note(keyword="a")}, links={Link()})
    assert len(reached(article)) == 4
    box = Box(pins=[Pin(), Pin()])
    box.balls.append(Ball())
    assert len(reached(box)) == 3


def test_a_walk_can_be_limited_to_some_relationships(session: Session) -> None:
    customer = session.get_one(Customer, 1, options=[selectinload(Customer.orders).selectinload(Order.lines)])
    states = walk([customer], lambda rel: rel.key != "lines")
    assert [state.class_ for state in states] == [Customer, Order, Order]


def test_states_are_grouped_by_class(session: Session) -> None:
    customer = session.get_one(Customer, 1, options=[selectinload(Customer.orders).selectinload(Order.lines)])
    groups = by_class(walk([customer]))
    assert {class_: len(states) for class_, states in groups.items()} == {Customer: 1, Order: 2, Line: 4}


def test_a_circle_is_walked_once() -> None:
    one, two = Node(), Node()
    one.parent, two.parent = two, one
    assert {id(obj) for obj in reached(one)} == {id(one), id(two)}


def test_a_chain_of_10_000_is_walked() -> None:
    chain = [Node() for _ in range(10_000)]
    for parent, child in pairwise(chain):
        set_committed_value(child, "parent", parent)
    assert len(walk([chain[-1]])) == 10_000
