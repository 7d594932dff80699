"""Text for people that calls nobody's __repr__, and stays short."""

from __future__ import annotations

import enum
import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, inspect
from sqlalchemy.ext.mutable import MutableDict, MutableList, MutableSet
from sqlalchemy.orm import make_transient_to_detached

from sojourn.errors import UNKNOWN
from sojourn.mapping.text import keyed_text, member_text, members_text, object_text, value_text
from tests.models.inheritance import Dog
from tests.models.keys import Shelf
from tests.models.odd import Pin  # a class whose __repr__ fails


class Loud:
    def __repr__(self) -> str:
        raise AssertionError("printed")


class Colour(enum.Enum):
    RED = "r"

    def __repr__(self) -> str:
        raise AssertionError("printed")


class Named(str):  # not the builtin type, so its __repr__ may be anything
    def __repr__(self) -> str:
        raise AssertionError("printed")


Deceiver: Any = type("list", (list,), {"__repr__": Loud.__repr__})
KEY = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (1, "1"),
        (1.5, "1.5"),
        (True, "True"),
        ("a'b", '"a\'b"'),
        (b"ab", "b'ab'"),
        (bytearray(b"ab"), "b'ab'"),
        (Decimal("1.50"), "Decimal('1.50')"),
        (date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (KEY, repr(KEY)),
        (UNKNOWN, "UNKNOWN"),
        ([1, ["a"], (2,), {3}, frozenset({4})], "[1, ['a'], (2,), {3}, frozenset({4})]"),
        ({"a": {"b": 1}}, "{'a': {'b': 1}}"),
        (MutableDict({"a": 1}), "{'a': 1}"),
        (MutableList([1]), "[1]"),
        (MutableSet({1}), "{1}"),
        (Colour.RED, "Colour.RED"),
        (Loud(), "<Loud>"),
        (Named("a"), "<Named>"),
        (Deceiver([1]), "<list>"),
        ([Loud(), {"a": Loud()}], "[<Loud>, {'a': <Loud>}]"),
        (Pin(), "<Pin>"),
        (func.now(), "<now>"),
        (Loud, "<type>"),
    ],
)
def test_a_value_is_shown_by_its_own_type_and_never_by_a_users_repr(value: Any, text: str) -> None:
    assert value_text(value) == text


@pytest.mark.parametrize(
    "value", ["x" * 1000, b"x" * 1000, 10**1000, list(range(1000)), {str(n): n for n in range(1000)}]
)
def test_a_long_value_is_cut(value: Any) -> None:
    text = value_text(value)
    assert len(text) < 100
    assert "..." in text


def test_a_deep_value_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert value_text(deep).startswith("[[[[[[")
    assert len(value_text(deep)) < 100


def test_an_object_is_shown_by_its_class_and_key() -> None:
    shelf, dog = Shelf(room="A", number=1), Dog(id=7)
    assert (object_text(inspect(shelf)), member_text(dog), member_text(None)) == ("Shelf(new)", "Dog(new)", "None")
    make_transient_to_detached(shelf)
    make_transient_to_detached(dog)
    assert (member_text(shelf), member_text(dog)) == ("Shelf('A', 1)", "Dog(7)")


def test_of_many_objects_the_first_are_named() -> None:
    assert members_text([]) == ""
    assert members_text([Dog(), Dog()]) == "Dog(new), Dog(new)"
    assert members_text([Dog() for _ in range(12)]) == ", ".join(["Dog(new)"] * 10) + ", … 2 more"
    assert keyed_text({"a": Dog()}) == "'a': Dog(new)"
    assert keyed_text({n: Dog() for n in range(12)}).endswith("9: Dog(new), … 2 more")
