"""What a reader says of many objects is what SQLAlchemy says of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import InstanceState, Session, load_only, selectinload

from sojourn.mapping.identity import state_of
from sojourn.sqlalchemy_internals import Reader, make_reader
from tests.databases import Database
from tests.models import keys, shop
from tests.models.keys import Shelf
from tests.models.shop import Customer, Order

State = InstanceState[Any]
NAMES = ("id", "name", "email", "city", "balance")


@pytest.fixture
def session(sqlite: Database) -> Iterator[Session]:
    """Three customers with one order each."""
    sqlite.create(shop.Base.metadata, keys.Base.metadata)
    with sqlite.session() as session:
        shop.fill(session, customers=3, orders=1, lines=0)
        session.add(Shelf(room="R", number=7, label=None))
        session.commit()
    with sqlite.session() as session:
        yield session


@pytest.fixture
def customers(session: Session) -> list[Customer]:
    return list(session.scalars(select(Customer).order_by(Customer.id)))


def reader(*columns: str, stored: bool = True, related: Iterable[str] = ()) -> Reader:
    return make_reader(columns, ["id"], stored=stored, related=list(related))


def held(objs: Iterable[object]) -> list[dict[str, Any]]:
    return [obj.__dict__ for obj in objs]


def test_rows_are_what_the_objects_hold_in_the_order_that_was_asked_for(customers: list[Customer]) -> None:
    reading = reader("name", "id")(held(customers), 0, None)
    assert reading is not None
    assert reading.rows == [("Customer 1", 1), ("Customer 2", 2), ("Customer 3", 3)]
    assert reading.kinds == {(str, int)}


def test_each_combination_of_types_is_noted_once(customers: list[Customer]) -> None:
    customers[1].__dict__["name"] = None
    reading = reader("id", "name")(held(customers), 0, None)
    assert reading is not None
    assert reading.kinds == {(int, str), (int, type(None))}


def test_edited_and_deleted_objects_are_special(session: Session, customers: list[Customer]) -> None:
    def special() -> list[int]:
        reading = reader("id", "name")(held(customers), 0, None)
        assert reading is not None
        return reading.special

    assert special() == []
    customers[2].name = "edited"
    assert special() == [2]
    session.delete(customers[0])
    session.flush()
    assert state_of(customers[0]).deleted
    assert special() == [0]


def test_an_object_whose_key_is_not_that_of_its_identity_is_special(customers: list[Customer]) -> None:
    customers[1].__dict__["id"] = 99
    reading = reader("id")(held(customers), 0, None)
    assert reading is not None
    assert (reading.rows, reading.special) == ([(1,), (99,), (3,)], [1])


def test_every_part_of_a_composite_key_counts(session: Session) -> None:
    shelf = session.scalars(select(Shelf)).one()
    read = make_reader(["number", "room"], ["room", "number"], stored=True)
    for key, value in (("room", "other"), ("number", 8)):
        reading = read([{**shelf.__dict__}], 0, None)
        assert reading is not None
        assert reading.special == []
        reading = read([{**shelf.__dict__, key: value}], 0, None)
        assert reading is not None
        assert reading.special == [0]


def test_the_sessions_of_the_objects_are_told(session: Session, customers: list[Customer]) -> None:
    reading = reader("id")(held(customers), 0, None)
    assert reading is not None
    assert reading.sessions == {session.hash_key}
    session.expunge_all()
    reading = reader("id")(held(customers), 0, None)
    assert reading is not None
    assert reading.sessions == set()


def test_an_object_of_another_size_is_of_another_shape(customers: list[Customer], session: Session) -> None:
    size = len(customers[0].__dict__)
    assert reader(*NAMES)(held(customers), size, None) is not None
    assert reader(*NAMES)(held(customers), size + 1, None) is None
    session.expire(customers[1], ["city"])
    assert reader("id", "name")(held(customers), size, None) is None
    assert reader("id", "name")(held(customers), 0, None) is not None


def test_an_object_without_one_of_the_columns_is_of_another_shape(session: Session) -> None:
    partial = session.scalars(select(Customer).options(load_only(Customer.name)).where(Customer.id == 1)).one()
    with pytest.raises(KeyError):
        reader("id", "city")(held([partial]), 0, None)


def test_an_object_without_one_of_the_relationships_is_of_another_shape(session: Session) -> None:
    read = reader("id", related=["orders"])
    bare, full = (
        session.scalars(select(Customer).options(*options).where(Customer.id == number)).one()
        for number, options in ((1, ()), (2, (selectinload(Customer.orders),)))
    )
    reading = read(held([full]), 0, None)
    assert reading is not None
    assert reading.rows == [(2,)]
    with pytest.raises(KeyError):
        read(held([full, bare]), 0, None)


def test_new_and_stored_objects_are_of_different_shapes(customers: list[Customer]) -> None:
    new = Order(id=1)
    stored, unstored = reader("id"), reader("id", stored=False)
    assert stored(held([new]), 0, None) is None
    assert unstored(held([new, *customers]), 0, None) is None
    reading = unstored(held([new]), 0, None)
    assert reading is not None
    assert (reading.rows, reading.special) == ([(1,)], [0])


def test_another_identity_token_is_another_shape(session: Session) -> None:
    customer = session.get_one(Customer, 1, identity_token="eu")
    assert reader("id")(held([customer]), 0, None) is None
    reading = reader("id")(held([customer]), 0, "eu")
    assert reading is not None
    assert reading.rows == [(1,)]


def test_objects_of_which_no_column_is_loaded_are_read_too() -> None:
    reading = reader(stored=False)(held([Order(), Order()]), 0, None)
    assert reading is not None
    assert (reading.rows, reading.kinds) == ([(), ()], {()})
