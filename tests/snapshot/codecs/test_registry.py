"""`register_type`: what sojourn knows nothing of travels as its user says, and whatever goes wrong says where."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Integer, PickleType, String, types
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Mapped, mapped_column, registry

from sojourn.errors import BadArgumentError, SnapshotError
from sojourn.snapshot import dumps, loads
from sojourn.snapshot.values import register_type
from tests.models.custom_types import Money, MoneyType

ENCODINGS = pytest.mark.parametrize("encoding", ["json", "msgpack"])


class Celsius:
    """A class of a user's, with nothing to help sojourn."""

    def __init__(self, degrees: Any) -> None:
        self.degrees = degrees

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Celsius) and other.degrees == self.degrees

    def __hash__(self) -> int:
        return hash(self.degrees)


class Kelvin(Celsius):
    """A subclass of a class that may be registered."""


def decorator(impl: Any = String, **members: Any) -> Any:
    """A new TypeDecorator class."""
    return type("Temperature", (types.TypeDecorator,), {"impl": impl, "cache_ok": True, **members})


def model_of(type_: Any) -> Any:
    """A new mapped class with one column of the type."""

    class Cell:
        __tablename__ = "cell"
        id: Mapped[int] = mapped_column(primary_key=True)
        value: Mapped[Any] = mapped_column(type_, nullable=True)

    return registry().mapped(Cell)


def sent(model: Any, value: Any, encoding: Any = "json") -> bytes:
    row = model()
    row.id, row.value = 1, value
    return dumps(row, format=encoding)


def back(model: Any, value: Any, encoding: Any) -> Any:
    (copy,) = loads(sent(model, value, encoding), model)
    return copy.value


def wired(model: Any, value: Any) -> Any:
    return json.loads(sent(model, value))["tables"][0]["rows"][0][1]


@ENCODINGS
@pytest.mark.parametrize(
    ("wire", "inside"),
    [
        (str, "5"),
        (int, 5),
        (int, 2**70),
        (float, 0.5),
        (float, float("inf")),
        (bytes, b"\x00"),
        (dict, {"a": [2**70]}),
        (list, [1]),
    ],
    ids=str,
)
def test_a_registered_sql_type_travels_as_its_wire(encoding: Any, wire: type, inside: Any) -> None:
    class_ = decorator()
    register_type(class_, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=wire)
    model = model_of(class_)
    value = back(model, Celsius(inside), encoding)
    assert type(value) is Celsius
    assert value.degrees == inside
    assert type(value.degrees) is wire
    assert back(model, None, encoding) is None


@ENCODINGS
def test_a_registered_sql_type_counts_for_its_subclasses_inside_arrays_and_over_pickle(encoding: Any) -> None:
    class_ = decorator(PickleType)
    register_type(class_, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int)
    below = type("Below", (class_,), {"cache_ok": True})
    assert back(model_of(below), Celsius(2**80), encoding) == Celsius(2**80)
    assert back(model_of(pg.ARRAY(below)), [Celsius(1), [Celsius(2), None]], encoding) == [
        Celsius(1),
        [Celsius(2), None],
    ]


@ENCODINGS
def test_a_registered_class_travels_by_name_in_columns_that_do_not_say_their_python_type(encoding: Any) -> None:
    register_type(Celsius, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int, name="celsius")
    model = model_of(decorator(Integer))
    assert back(model, Celsius(5), encoding) == Celsius(5)
    assert back(model, 5, encoding) == 5
    assert wired(model, Celsius(5)) == {"celsius": 5}
    assert wired(model_of(MoneyType), Money(Decimal(1), "EUR")) == {"Money": "1 EUR"}


@ENCODINGS
def test_a_registered_class_travels_bare_in_columns_that_say_it(encoding: Any) -> None:
    register_type(Celsius, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int, name="celsius")
    model = model_of(decorator(Integer, python_type=Celsius))
    assert back(model, Celsius(5), encoding) == Celsius(5)
    assert wired(model, Celsius(5)) == 5
    with pytest.raises(SnapshotError, match=r"Cell\.value: a new object holds a Kelvin, and the column takes Celsius"):
        sent(model, Kelvin(5))


def test_registering_again_replaces() -> None:
    class_ = decorator()
    register_type(class_, to_wire=lambda value: str(value.degrees), from_wire=Celsius)
    register_type(class_, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int)
    assert wired(model_of(class_), Celsius(5)) == 5


def test_a_subclass_of_a_registered_class_is_not_known() -> None:
    register_type(Celsius, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int, name="celsius")
    with pytest.raises(SnapshotError, match="holds a Kelvin, of which nobody said how it travels"):
        sent(model_of(decorator()), Kelvin(1))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((Celsius(1),), "takes a class, got a Celsius"),
        ((String(5),), "takes a class, got a String"),
        ((Kelvin, set), "one of str, int, float, bytes, dict, list as wire"),
        ((Kelvin, str, "Decimal"), "the name Decimal stands for another class"),
        ((Kelvin, str, "json"), "the name json stands for another class"),
        ((Kelvin, str, "Money"), "the name Money stands for another class"),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments: tuple[Any, ...], what: str) -> None:
    type_, wire, name = (*arguments, str, None)[:3] if len(arguments) < 3 else arguments
    with pytest.raises(BadArgumentError, match=what):
        register_type(type_, to_wire=str, from_wire=Kelvin, wire=wire, name=name)


def test_a_class_that_gets_another_name_is_read_by_both() -> None:
    register_type(Celsius, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int, name="first")
    model = model_of(decorator())
    before = sent(model, Celsius(1))
    register_type(Celsius, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=int, name="celsius")
    assert wired(model, Celsius(1)) == {"celsius": 1}
    (copy,) = loads(before, model)
    assert copy.value == Celsius(1)


def _fails(_value: Any) -> Any:
    raise KeyError("secret")


@ENCODINGS
@pytest.mark.parametrize(
    ("to_wire", "what"),
    [
        (_fails, "Temperature's to_wire raised KeyError"),
        (lambda value: None, "Temperature's to_wire returned None"),
        (lambda value: 5, "Temperature's to_wire made an int instead of a str"),
    ],
)
def test_a_function_that_fails_on_the_way_out_is_a_snapshot_error(
    encoding: Any,
    to_wire: Callable[[Any], Any],
    what: str,
) -> None:
    class_ = decorator()
    register_type(class_, to_wire=to_wire, from_wire=Celsius)
    with pytest.raises(SnapshotError, match=what) as caught:
        sent(model_of(class_), Celsius(1), encoding)
    assert caught.value.where == "Cell.value"


@ENCODINGS
@pytest.mark.parametrize(
    ("from_wire", "what"),
    [
        (_fails, "raised KeyError"),
        (lambda value: None, "from_wire returned None"),
        (Kelvin, "from_wire made a Kelvin"),
    ],
)
def test_a_function_that_fails_on_the_way_in_is_a_snapshot_error_with_the_place(
    encoding: Any,
    from_wire: Callable[[Any], Any],
    what: str,
) -> None:
    model = model_of(decorator(python_type=Celsius))
    register_type(Celsius, to_wire=lambda value: value.degrees, from_wire=from_wire, wire=int, name="celsius")
    data = sent(model, Celsius(1), encoding)
    with pytest.raises(SnapshotError, match=what) as caught:
        loads(data, model)
    assert caught.value.where == "$.tables[0].rows[0][1]"


@ENCODINGS
def test_a_wire_of_the_wrong_type_is_refused_on_the_way_in(encoding: Any) -> None:
    class_ = decorator()
    register_type(class_, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=dict)
    model = model_of(class_)
    other = decorator()
    register_type(other, to_wire=lambda value: value.degrees, from_wire=Celsius, wire=list)
    data = sent(model_of(other), Celsius([1]), encoding)
    with pytest.raises(SnapshotError, match="expected a dict, got a list"):
        loads(data, model)
    with pytest.raises(SnapshotError, match="holds a set inside JSON"):
        sent(model, Celsius({"a": {1}}), encoding)
