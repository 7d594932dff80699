"""Loader options are taken apart into the steps that SQLAlchemy made of them."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import (
    aliased,
    defaultload,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    raiseload,
    selectinload,
    subqueryload,
    undefer,
    undefer_group,
    with_loader_criteria,
)

from sojourn.sqlalchemy_internals import OptionStep, forget_options, option_steps
from tests.databases import Database
from tests.models import shop
from tests.models.columns import Document
from tests.models.inheritance import Animal, Dog, Owner
from tests.models.keys import Node
from tests.models.shop import Customer, Line, Order


def steps(option: Any) -> list[OptionStep]:
    found = option_steps(option)
    assert found is not None
    return list(found)


def paths(option: Any) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    return [(step.path, dict(step.strategy)) for step in steps(option)]


def test_a_chain_has_a_step_for_each_link() -> None:
    first, second = steps(selectinload(Customer.orders).joinedload(Order.lines))
    assert (first.path, first.strategy["lazy"]) == (("orders",), "selectin")
    assert (second.path, second.strategy["lazy"]) == (("orders", "lines"), "joined")
    assert first.root is second.root is inspect(Customer)
    assert [one.targets[-1].class_ for one in (first, second)] == [Order, Line]


@pytest.mark.parametrize(
    ("option", "lazy"),
    [
        (subqueryload(Customer.orders), "subquery"),
        (immediateload(Customer.orders), "immediate"),
        (lazyload(Customer.orders), "select"),
        (raiseload(Customer.orders), "raise"),
    ],
)
def test_every_way_to_load_a_relationship_has_its_name(option: Any, lazy: str) -> None:
    assert paths(option) == [(("orders",), {"lazy": lazy})]


def test_columns_are_deferred_or_not() -> None:
    assert [(one, strategy["deferred"]) for one, strategy in paths(undefer(Document.body))] == [(("body",), False)]
    assert [(one, strategy["deferred"]) for one, strategy in paths(defer(Document.title))] == [(("title",), True)]
    wildcard, named = paths(load_only(Order.number))
    assert (wildcard[0], wildcard[1]["deferred"]) == (("number",), False) or wildcard[0] == ("columns:*",)
    assert {wildcard[0], named[0]} == {("number",), ("columns:*",)}


def test_wildcards_hold_at_their_place_or_everywhere() -> None:
    (everywhere,) = steps(selectinload("*"))
    assert (everywhere.root, everywhere.path) == (None, ("relationships:*",))
    (columns,) = steps(undefer("*"))
    assert (columns.root, columns.path) == (None, ("columns:*",))
    assert steps(selectinload(Customer.orders).selectinload("*"))[-1].path == ("orders", "relationships:*")
    assert steps(defaultload(Customer.orders).defer("*"))[-1].path == ("orders", "columns:*")


def test_groups_recursion_aliases_subclasses_and_criteria_are_told() -> None:
    assert steps(undefer_group("texts"))[0].group == "texts"
    assert steps(defaultload(Customer.orders).undefer_group("texts"))[-1].group == "texts"
    assert steps(selectinload(Node.children, recursion_depth=3))[0].recursion == 3
    assert steps(selectinload(Node.children))[0].recursion is None
    alias = aliased(Order)
    assert steps(joinedload(Customer.orders.of_type(alias)))[0].aliased
    (dogs,) = steps(selectinload(Owner.animals.of_type(Dog)))
    assert dogs.targets == (inspect(Dog),)
    assert not dogs.aliased
    (named,) = steps(selectinload(Owner.animals.and_(Animal.name == "Rex")))
    assert len(named.criteria) == 1
    assert steps(selectinload(Owner.animals))[0].criteria == ()


def test_an_option_of_another_kind_has_no_steps() -> None:
    assert option_steps(with_loader_criteria(Order, Order.status == "paid")) is None


def test_an_instance_forgets_the_options_that_it_was_loaded_with(sqlite: Database) -> None:
    sqlite.create(shop.Base.metadata)
    option, another = selectinload(Customer.orders.and_(Order.id > 0)), selectinload(Customer.orders)
    with sqlite.session() as session:
        shop.fill(session, customers=1, orders=1, lines=0)
        session.commit()
        customer = session.scalars(select(Customer).options(option)).one()
        session.expunge_all()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):  # sqlalchemy#8109
        pickle.dumps(customer)
    state: Any = inspect(customer)
    forget_options(state, [another])
    assert state.load_options
    forget_options(state, [option])
    assert not state.load_options
    for order in customer.orders:
        forget_options(inspect(order))
    forget_options(state)  # none left
    assert len(pickle.loads(pickle.dumps(customer)).orders) == 1
