"""What column types say of their values."""

from __future__ import annotations

import decimal
import enum
import uuid
from typing import Any

import pytest
from sqlalchemy import ARRAY, Enum, Integer, Numeric, PickleType, String, Uuid
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine, UserDefinedType

from sojourn.mapping.columns import python_type_of


class Color(enum.Enum):
    RED = 1


class Silent(TypeDecorator[Any]):
    impl = String
    cache_ok = True


class Outspoken(Silent):
    @property
    def python_type(self) -> type[Color]:
        return Color


class Own(UserDefinedType[Any]):
    pass


@pytest.mark.parametrize(
    ("type_", "python_type"),
    [
        (Integer(), int),
        (Numeric(), decimal.Decimal),
        (Numeric(asdecimal=False), float),
        (Uuid(), uuid.UUID),
        (Uuid(as_uuid=False), str),
        (Enum(Color), Color),
        (Enum("red", name="color"), str),
        (ARRAY(Integer), list),
        (Outspoken(), Color),
    ],
)
def test_a_type_that_says_what_its_values_are_is_believed(type_: TypeEngine[Any], python_type: type) -> None:
    assert python_type_of(type_) is python_type


@pytest.mark.parametrize("type_", [NullType(), PickleType(), postgresql.INET(), Own(), Silent()], ids=repr)
def test_a_type_that_does_not_say_what_its_values_are_has_none(type_: TypeEngine[Any]) -> None:
    assert python_type_of(type_) is None
