"""Which row an object stands for, and what counts as one object or many."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import make_transient_to_detached

from sojourn.errors import NotMappedError
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.identity import as_list, assumed_identity, make_identity, primary_key, state_of
from tests.models.inheritance import Animal, Dog
from tests.models.keys import Legacy, Shelf
from tests.models.odd import Box, Pin
from tests.models.shop import Customer, Order
from tests.models.styles import Planet


class Crate(list[Any]):
    """Iterable, but no mapped class."""


@pytest.mark.parametrize("given", [None, 7, "text", b"bytes", Customer, ["text"], [Customer], object(), [None]])
def test_what_is_no_mapped_instance_is_refused(given: Any) -> None:
    with pytest.raises(NotMappedError):
        as_list(given)
    with pytest.raises(NotMappedError):
        state_of(given)


def test_one_instance_and_any_iterable_become_a_list() -> None:
    one, two = Customer(), Order()
    for given in (
        (one, two),
        [one, two],
        iter([one, two]),
        {one: 1, two: 2},
        (obj for obj in (one, two)),
        Crate([one, two]),
    ):
        assert as_list(given) == [one, two]
    assert as_list(one) == [one]
    assert as_list([]) == []
    assert as_list(Planet("Mars"))


def test_objects_that_cannot_be_compared_are_listed() -> None:
    pin, box = Pin(), Box()
    box.pins = [pin]
    assert [id(obj) for obj in as_list(pin)] == [id(obj) for obj in as_list(box.pins)] == [id(pin)]


def test_a_new_object_has_an_identity_as_soon_as_its_whole_key_is_set() -> None:
    shelf = Shelf(room="A")
    assert assumed_identity(inspect(shelf)) is None
    shelf.number = 0
    assert assumed_identity(inspect(shelf)) == (Shelf, ("A", 0), None)
    assert assumed_identity(inspect(Legacy(id=7))) == (Legacy, (7,), None)


def test_identities_carry_the_class_at_the_top_as_sqlalchemys_do() -> None:
    dog = Dog(id=1)
    assumed = assumed_identity(inspect(dog))
    assert assumed == (Animal, (1,), None)
    make_transient_to_detached(dog)
    assert inspect(dog).key == assumed == assumed_identity(inspect(dog)) == make_identity(blueprint(dog), (1,))
    assert primary_key(dog) == (1,)


def test_the_identity_of_an_object_stays_while_its_key_is_edited() -> None:
    customer = Customer(id=1)
    make_transient_to_detached(customer)
    customer.id = 2
    assert assumed_identity(inspect(customer)) == (Customer, (1,), None)
