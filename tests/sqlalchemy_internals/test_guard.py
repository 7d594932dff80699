"""The guard: what is not loaded says how to load it; in a session, what is not there is loaded as ever."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import InstanceState, Session, load_only, selectinload, undefer
from sqlalchemy.orm.exc import DetachedInstanceError

from sojourn import sqlalchemy_internals as internals
from sojourn.errors import UNKNOWN, NotLoadedError
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models import columns, shop
from tests.models.columns import Document
from tests.models.shop import Customer, Line, Order

State = InstanceState[Any]


@pytest.fixture
def session(sqlite: Database) -> Iterator[Session]:
    sqlite.create(shop.Base.metadata, columns.Base.metadata)
    with sqlite.session() as session:
        shop.fill(session, customers=1, orders=2, lines=2)
        session.add(Document(id=1, title="t", body="b"))
        session.commit()
    with sqlite.session() as session:
        yield session


@pytest.fixture
def customer(session: Session) -> Customer:
    """Away, guarded, with its name and its orders."""
    customer = session.scalars(select(Customer).options(load_only(Customer.name), selectinload(Customer.orders))).one()
    session.expunge_all()
    internals.guard(state_of(customer))
    return customer


def test_what_is_loaded_is_read_as_ever(customer: Customer) -> None:
    assert (customer.name, len(customer.orders)) == ("Customer 1", 2)


def test_what_is_not_loaded_says_which_option_would_have_loaded_it(session: Session, customer: Customer) -> None:
    order, document = session.get_one(Order, 1), session.get_one(Document, 1)
    session.expunge_all()
    for unguarded in (order, document):
        with pytest.raises(DetachedInstanceError):
            unguarded.lines if isinstance(unguarded, Order) else unguarded.body
        internals.guard(state_of(unguarded))
    for obj, key, option in [
        (order, "customer", "selectinload(Order.customer)"),
        (order, "lines", "selectinload(Order.lines)"),
        (document, "body", "undefer(Document.body)"),
        (customer, "city", "undefer(Customer.city)"),
    ]:
        for _ in range(2):  # the first failure leaves nothing behind
            with pytest.raises(NotLoadedError) as caught:
                getattr(obj, key)
            assert (caught.value.class_name, caught.value.attribute) == (type(obj).__name__, key)
            assert option in str(caught.value)
            assert isinstance(caught.value, DetachedInstanceError)
        assert getattr(obj, "id", 1) == 1
        assert key not in state_of(obj).dict


def test_an_expired_object_says_so_for_each_attribute(session: Session) -> None:
    order = session.get_one(Order, 1)
    session.expire(order)
    session.expunge(order)
    internals.guard(state_of(order))
    for key in ("status", "number"):
        with pytest.raises(NotLoadedError, match=f"undefer\\(Order.{key}\\)"):
            getattr(order, key)


def test_what_is_not_loaded_can_be_set_and_has_an_unknown_base(customer: Customer) -> None:
    customer.city = "Delft"
    assert customer.city == "Delft"
    assert internals.base_of(state_of(customer), "city") is UNKNOWN


def test_a_guarded_object_is_pickled_and_copied_with_its_guard(customer: Customer) -> None:
    for twin in (pickle.loads(pickle.dumps(customer)), copy.deepcopy(customer)):
        assert (twin.name, len(twin.orders)) == ("Customer 1", 2)
        with pytest.raises(NotLoadedError, match=r"undefer\(Customer.city\)"):
            twin.city  # noqa: B018 - reading is what is tested
        assert state_of(twin).callables is state_of(customer).callables


def test_the_guard_is_shared_and_stays_whole(session: Session, customer: Customer) -> None:
    other = Customer(id=7)
    internals.guard(state_of(other))
    guard = state_of(customer).callables
    assert state_of(other).callables is guard
    whole = dict(guard)
    session.add(customer)
    session.expire(customer, ["name", "orders"])  # takes loaders off one object; a refresh puts others on
    assert customer.name == "Customer 1"
    session.refresh(customer)
    session.commit()
    assert customer.city == "Bergen"
    assert dict(guard) == whole


def test_a_guarded_object_that_was_added_loads_what_is_missing(session: Session, customer: Customer) -> None:
    document = session.get_one(Document, 1)
    session.expunge(document)
    internals.guard(state_of(document))
    session.add_all([customer, document])
    assert (customer.city, customer.email) == ("Bergen", "customer1@example.org")
    assert document.body == "b"
    assert customer.orders[0].customer is customer
    assert len(customer.orders[0].lines) == 2


def test_without_its_guard_an_object_loads_all_missing_columns_at_once(
    session: Session, sqlite: Database, customer: Customer
) -> None:
    internals.take_off_guard(state_of(customer))
    internals.take_off_guard(state_of(customer))  # none to take off
    session.add(customer)
    assert state_of(customer).callables == {}
    with sqlite.statements() as log:
        assert (customer.city, customer.email) == ("Bergen", "customer1@example.org")
    assert len(log) == 1


def test_a_whole_object_without_its_guard_has_nothing_expired(session: Session) -> None:
    line, document = session.get_one(Line, 1), session.get_one(Document, 1)
    session.expunge_all()
    for obj in (line, document):
        internals.guard(state_of(obj))
        internals.take_off_guard(state_of(obj))
        assert not state_of(obj).expired_attributes  # the deferred body has a loader of its own


def test_unload_is_expire_for_one_attribute(session: Session, sqlite: Database) -> None:
    one, two = session.get_one(Order, 1), session.get_one(Order, 2)
    session.expunge_all()
    session.add_all([one, two])
    for order in (one, two):
        assert order.lines
    for order in (one, two):
        order.status = "edited"
        order.lines.pop()
        order.customer = None  # type: ignore[assignment]  # a user may try
    keys = ["status", "lines", "customer"]
    session.expire(one, keys)
    for key in keys:
        internals.unload(state_of(two), key)
    for order in (one, two):
        state = state_of(order)
        assert not state.dict.keys() & set(keys)
        assert not set(internals.edited_keys(state)) & set(keys)
        assert state.expired_attributes == {"status"}
    session.expunge_all()
    session.add(two)
    assert (two.status, len(two.lines), two.customer.id) == ("sent", 2, 1)


def test_a_collection_that_was_unloaded_warns_who_still_changes_it(session: Session) -> None:
    order = session.get_one(Order, 1)
    lines = order.lines
    internals.unload(state_of(order), "lines")
    with pytest.warns(match="This collection has been invalidated"):
        lines.append(Line())


def test_an_attribute_that_is_unloaded_under_guard_is_guarded(customer: Customer) -> None:
    internals.unload(state_of(customer), "name")
    with pytest.raises(NotLoadedError, match=r"undefer\(Customer.name\)"):
        customer.name  # noqa: B018 - reading is what is tested


def test_a_new_object_under_guard_reads_as_a_new_object_does() -> None:
    order = Order()
    internals.guard(state_of(order))
    assert (order.status, order.lines) == (None, [])  # type: ignore[comparison-overlap]  # not set
    assert order.customer is None


def test_undeferred_columns_are_there(session: Session) -> None:
    document = session.get_one(Document, 1, options=[undefer(Document.body)])
    session.expunge(document)
    internals.guard(state_of(document))
    assert document.body == "b"
