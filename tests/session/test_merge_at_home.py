"""merge where nobody listens: plain columns and lists, which take a way of their own, beside SQLAlchemy's merge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Table, insert, inspect, select
from sqlalchemy.exc import InvalidRequestError, SAWarning
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    joinedload,
    mapped_column,
    raiseload,
    relationship,
    selectinload,
)

from sojourn import merge
from tests.databases import Database
from tests.models import shop
from tests.models.shop import Customer, Line, Order

Way = Callable[[Session, Any], Any]

both_ways = pytest.mark.parametrize("way", [Session.merge, merge], ids=["SQLAlchemy", "sojourn"])


class Base(DeclarativeBase):
    pass


twice = Table(
    "h_twice", Base.metadata, Column("page_id", ForeignKey("h_page.id")), Column("word", ForeignKey("h_word.id"))
)


class Page(Base):
    __tablename__ = "h_page"

    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[list[Word]] = relationship(secondary=twice)


class Word(Base):
    __tablename__ = "h_word"

    id: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def open_shop(sqlite: Database) -> Database:
    sqlite.create(shop.Base.metadata)
    with sqlite.session() as session:
        shop.fill(session, 3, 2, 2)
        session.commit()
    return sqlite


def away(database: Database, *options: Any) -> Customer:
    """Customer 1, detached."""
    with database.session() as session:
        customer = session.scalars(select(Customer).options(*options)).unique().first()
        session.expunge_all()
    assert customer is not None
    return customer


@both_ways
def test_an_edit_that_the_session_holds_keeps_its_old_value(open_shop: Database, way: Way) -> None:
    given = away(open_shop)
    given.name, given.city = "theirs", "there"
    with open_shop.session(autoflush=False) as session:
        held = session.get_one(Customer, 1)
        was = held.name, held.city
        held.name = "mine"
        way(session, given)
        history = inspect(held).attrs
        assert (*history.name.history.deleted, *history.city.history.deleted) == was
        assert (held.name, held.city) == ("theirs", "there")


@both_ways
def test_a_member_that_waits_for_its_unloaded_collection_is_not_forgotten(open_shop: Database, way: Way) -> None:
    given = away(open_shop, selectinload(Customer.orders))
    with open_shop.session(autoflush=False) as session:
        held = session.get_one(Customer, 1)
        waiting = Order(number="new", status="open", placed_at=shop.FIRST_DAY, customer=held)
        session.add(waiting)
        way(session, given)
        assert "orders" in inspect(held).dict
        assert waiting not in held.orders
        # Replaced by the members that are given, with all events.
        assert waiting.customer is None
        assert waiting not in session


@both_ways
def test_members_that_a_joined_collection_repeats_are_there_once(open_shop: Database, way: Way) -> None:
    with open_shop.session() as session:
        options = selectinload(Customer.orders).joinedload(Order.lines)
        given = session.scalars(select(Customer).options(options)).first()
        assert given is not None
        for order in given.orders:
            session.expire(order, ["lines"])  # not merged, so the options still load it with the orders
        session.expunge_all()
    del given.orders[1]
    with open_shop.session() as session:
        held = way(session, given)
        assert [order.id for order in held.orders] == [1]
        assert len(inspect(held.orders[0]).dict["lines"]) == 2
        assert [order.id for order in inspect(held).attrs.orders.history.deleted] == [2]


@both_ways
def test_a_link_that_is_there_twice_gives_one_member(sqlite: Database, way: Way) -> None:
    sqlite.create(Base.metadata)
    with sqlite.session() as session:
        session.add_all([Page(id=1), Word(id="x")])
        session.flush()
        session.execute(insert(twice), [{"page_id": 1, "word": "x"}] * 2)
        session.commit()
        given = session.scalars(select(Page).options(selectinload(Page.words))).one()
        given.words.clear()
        session.expunge_all()
    with sqlite.session() as session:
        held = way(session, given)
        assert [word.id for word in inspect(held).attrs.words.history.deleted] == ["x"]


@both_ways
def test_the_session_begins_a_transaction_though_nothing_is_read(open_shop: Database, way: Way) -> None:
    given = away(open_shop)
    given.name = "theirs"
    with open_shop.session(expire_on_commit=False) as session:
        held = session.get_one(Customer, 1)
        session.commit()
        way(session, given)
        assert session.in_transaction()
        session.rollback()
        assert held.name != "theirs"


@both_ways
def test_a_loader_that_the_given_object_got_by_an_option_comes_along(open_shop: Database, way: Way) -> None:
    given = away(open_shop, raiseload(Customer.orders))
    with open_shop.session() as session:
        held = way(session, given)
        with pytest.raises(InvalidRequestError, match="raise"):
            assert held.orders


@both_ways
def test_a_pending_object_of_a_key_that_is_held_is_warned_of(open_shop: Database, way: Way) -> None:
    with open_shop.session(autoflush=False) as session:
        held = session.get_one(Customer, 1)
        pending = Customer(id=1, name="n", email="e", balance=1)
        session.add(pending)
        with pytest.warns(SAWarning, match="already pending in this Session"):
            assert way(session, pending) is held
        session.expunge(pending)


@both_ways
def test_a_line_read_with_its_order_is_the_one_that_is_merged(open_shop: Database, way: Way) -> None:
    given = away(open_shop, joinedload(Customer.orders).joinedload(Order.lines))
    given.orders[0].lines[0].qty += 1
    with open_shop.session() as session:
        held = way(session, given)
        session.flush()
        assert held.orders[0].lines[0] is session.get_one(Line, given.orders[0].lines[0].id)
        assert held.orders[0].lines[0].qty == given.orders[0].lines[0].qty
