"""Attributes named by a caller: class-bound ones for their class and those below, plain names wherever they fit."""

from __future__ import annotations

from typing import Any

import pytest

from sojourn.errors import WrongAttributeError
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.naming import class_and_key, is_mapped, named_of
from tests.models.columns import Shape
from tests.models.inheritance import Animal, Cat, Dog, Puppy
from tests.models.shop import Customer, Order


@pytest.mark.parametrize(
    ("given", "class_", "key"),
    [
        (Order.status, Order, "status"),
        (Order.lines, Order, "lines"),
        (Shape.start, Shape, "start"),
        (Animal.name, Animal, "name"),
        (Dog.name, Dog, "name"),
        (Puppy.weeks, Puppy, "weeks"),
    ],
)
def test_a_class_bound_attribute_names_its_class_and_key(given: Any, class_: type, key: str) -> None:
    assert class_and_key(given) == (class_, key)


@pytest.mark.parametrize("given", ["status", Order, Order(), Order.metadata, None])
def test_what_is_no_class_bound_attribute_is_refused(given: object) -> None:
    with pytest.raises(WrongAttributeError, match="is no class-bound attribute"):
        class_and_key(given)


def test_columns_relationships_and_composites_are_mapped() -> None:
    plan = blueprint(Shape)
    assert [is_mapped(plan, key) for key in ("name", "start", "x1", "metadata")] == [True, True, True, False]
    assert is_mapped(blueprint(Order), "lines")


def test_a_class_bound_attribute_counts_for_the_classes_below() -> None:
    plans = [blueprint(class_) for class_ in (Dog, Puppy, Cat)]
    assert named_of(plans, [Animal.name]) == {Dog: {"name"}, Puppy: {"name"}, Cat: {"name"}}
    assert named_of(plans, Dog.tricks) == {Dog: {"tricks"}, Puppy: {"tricks"}, Cat: set()}
    assert named_of(plans, [Puppy.name, "lives"]) == {Dog: set(), Puppy: {"name"}, Cat: {"lives"}}


def test_a_name_alone_is_one_name_and_not_its_letters() -> None:
    assert named_of([blueprint(Customer)], "name") == {Customer: {"name"}}


def test_a_composite_brings_its_columns_along() -> None:
    assert named_of([blueprint(Shape)], [Shape.start, "end"]) == {Shape: {"start", "x1", "y1", "end", "x2", "y2"}}


@pytest.mark.parametrize("given", ["nmae", Order.status, 7])
def test_an_attribute_that_nobody_has_is_refused(given: object) -> None:
    with pytest.raises(WrongAttributeError):
        named_of([blueprint(Customer)], [given])


def test_without_objects_there_is_nobody_to_miss_an_attribute() -> None:
    assert named_of([], ["name"]) == {}
