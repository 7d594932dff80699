"""The base of an object: what SQLAlchemy recorded, and the copies that are kept of what can be changed in place."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import InstanceState

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value, copied, edited_columns, forget, put_back, remember, remember_value, same
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models import columns, odd
from tests.models.columns import Settings
from tests.models.odd import Box, Corner

State = InstanceState[Any]
PLAN = blueprint(Settings)


@pytest.fixture
def settings(sqlite: Database) -> Settings:
    """Away, with its base remembered."""
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Settings(id=1, name="n", plain={"a": [1]}, tracked={"b": [1]}))
        session.commit()
        settings = session.get_one(Settings, 1)
        assert settings.name == "n"
        session.expunge(settings)
    remember(state_of(settings), PLAN)
    return settings


def edited(settings: Settings) -> dict[str, tuple[Any, Any]]:
    state = state_of(settings)
    return {key: (base_value(state, key), state.dict.get(key)) for key in edited_columns(state, PLAN)}


def test_nothing_is_edited_at_first(settings: Settings) -> None:
    assert edited(settings) == {}


def test_a_value_changed_in_place_is_edited_and_its_base_is_known(settings: Settings) -> None:
    assert settings.plain is not None
    assert settings.tracked is not None
    settings.plain["a"].append(2)
    settings.tracked["c"] = 3
    settings.tracked["b"].append(2)
    assert edited(settings) == {
        "plain": ({"a": [1]}, {"a": [1, 2]}),
        "tracked": ({"b": [1]}, {"b": [1, 2], "c": 3}),
    }
    settings.plain["a"].pop()
    assert edited(settings).keys() == {"tracked"}


def test_a_value_changed_in_place_and_then_replaced_has_its_first_base(settings: Settings) -> None:
    assert settings.plain is not None
    settings.plain["a"].append(2)
    settings.plain = {"new": 1}
    settings.tracked = {"new": 1}
    settings.tracked["newer"] = 2  # SQLAlchemy forgets the base here
    assert edited(settings) == {
        "plain": ({"a": [1]}, {"new": 1}),
        "tracked": ({"b": [1]}, {"new": 1, "newer": 2}),
    }


def test_an_empty_base_is_known_too(settings: Settings) -> None:
    state = state_of(settings)
    forget(state)
    settings.plain = settings.tracked = None
    state.committed_state.clear()
    remember(state, PLAN)
    settings.tracked = {}
    settings.tracked["a"] = 1
    assert edited(settings) == {"tracked": (None, {"a": 1})}


def test_an_edit_made_before_leaving_keeps_its_own_base(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Settings(id=1, name="n", plain={"a": 1}, tracked={"b": 1}))
        session.commit()
        settings = session.get_one(Settings, 1)
        settings.plain, settings.tracked, settings.name = {"new": 1}, {"new": 1}, "m"
        session.expunge(settings)
    remember(state_of(settings), PLAN)
    settings.plain["newer"] = settings.tracked["newer"] = 2
    assert edited(settings) == {
        "name": ("n", "m"),
        "plain": ({"a": 1}, {"new": 1, "newer": 2}),
        "tracked": ({"b": 1}, {"new": 1, "newer": 2}),
    }


def test_the_copies_travel_with_pickle(settings: Settings) -> None:
    assert settings.plain is not None
    settings.plain["a"].append(2)
    assert edited(pickle.loads(pickle.dumps(settings))) == edited(settings) != {}


def test_a_value_that_came_to_the_object_otherwise_has_no_copy(settings: Settings, sqlite: Database) -> None:
    with sqlite.session() as session:
        session.add(settings)
        session.refresh(settings)
        assert settings.plain is not None
        settings.plain["a"].append(2)
        assert base_value(state_of(settings), "plain") is settings.plain


def test_forgotten_copies_are_gone(settings: Settings) -> None:
    assert settings.plain is not None
    settings.plain["a"].append(2)
    forget(state_of(settings))
    assert edited(settings) == {}
    forget(state_of(Settings()))  # nothing to forget
    assert "info" not in state_of(Settings()).__dict__


def test_remembering_again_begins_anew(settings: Settings) -> None:
    assert settings.plain is not None
    settings.plain["a"].append(2)
    remember(state_of(settings), PLAN)
    assert edited(settings) == {}
    settings.plain = None
    state_of(settings).committed_state.clear()
    for key in ("plain", "tracked"):
        state_of(settings).dict.pop(key, None)
    remember(state_of(settings), PLAN)  # nothing loaded, nothing to copy
    assert edited(settings) == {}


def test_an_attribute_that_was_unloaded_is_no_edit(settings: Settings) -> None:
    del state_of(settings).dict["plain"]
    assert edited(settings) == {}


def test_a_base_that_somebody_else_knew_can_be_added(settings: Settings) -> None:
    state = state_of(settings)
    state.dict["plain"] = {"mine": 1}
    remember_value(state, "plain", {"theirs": 1})
    assert edited(settings) == {"plain": ({"theirs": 1}, {"mine": 1})}


def test_a_value_that_was_put_back_can_be_changed_and_put_back_again(settings: Settings) -> None:
    state = state_of(settings)
    for _ in range(3):
        assert settings.plain is not None
        assert settings.tracked is not None
        settings.plain["a"].append(2)
        settings.tracked["b"].append(2)
        settings.tracked["c"] = 3
        settings.name = "m"
        assert all(put_back(state, key) for key in ("plain", "tracked", "name"))
        assert edited(settings) == {}
        assert (settings.plain, settings.tracked, settings.name) == ({"a": [1]}, {"b": [1]}, "n")


def test_what_nobody_recorded_cannot_be_put_back(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Settings(id=1, name="n", tracked={"b": 1}))
        session.commit()
        settings = session.get_one(Settings, 1)
        assert settings.tracked is not None
        settings.tracked["b"] = 2
        assert not put_back(state_of(settings), "tracked")
        assert settings.tracked == {"b": 2}
        assert edited_columns(state_of(settings), PLAN) == ["tracked"]


def test_values_are_compared_by_their_type(settings: Settings) -> None:
    assert same(PLAN, "plain", {"a": 1}, {"a": 1})
    assert not same(PLAN, "plain", {"a": 1}, {"a": 2})
    assert not same(PLAN, "name", UNKNOWN, "a")
    assert not same(PLAN, "name", "a", UNKNOWN)
    expression = func.lower("A")
    assert same(PLAN, "name", expression, expression)
    assert not same(PLAN, "name", expression, func.lower("A"))
    assert not same(PLAN, "name", "a", expression)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (math.nan, float("nan"), True),
        (math.nan, 1.0, False),
        (Decimal("NaN"), Decimal("NaN"), True),
        (Decimal("sNaN"), Decimal("sNaN"), True),
        (Decimal("sNaN"), Decimal("NaN"), False),
        (Decimal("sNaN"), Decimal(1), False),
        (math.nan, Decimal("NaN"), False),
        ([1.5, [float("nan")]], [1.5, [math.nan]], True),
        ([1.5, math.nan], [2.5, float("nan")], False),
        ([math.nan], [float("nan"), 1.0], False),
        ((Decimal("sNaN"), Decimal(1)), (Decimal("sNaN"), Decimal(1)), True),
        ([Decimal("sNaN")], [Decimal(1)], False),
        (Range(Decimal("NaN"), None), Range(Decimal("NaN"), None), True),
        (Range(Decimal("NaN"), None), Range(Decimal("NaN"), None, bounds="()"), False),
        (MultiRange([Range(Decimal("NaN"), None)]), MultiRange([Range(Decimal("NaN"), None)]), True),
    ],
    ids=str,
)
def test_what_is_not_a_number_is_the_same_as_itself(one: Any, other: Any, expected: bool) -> None:
    assert same(PLAN, "plain", one, other) is expected


@pytest.mark.parametrize(
    "value", [{"a": [1, {"b": (1, [2])}]}, [], MutableDict(a=[1]), {1}, "text", None, 2**70], ids=str
)
def test_a_copy_is_equal_of_the_same_types_and_of_other_boxes(value: Any) -> None:
    copy = copied(value)
    assert (repr(copy), type(copy)) == (repr(value), type(value))
    if isinstance(value, dict):
        value["a"].append(5)
        assert copy != value


def test_a_copy_recurses_neither_into_what_is_deep_nor_into_what_contains_itself() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    copy = copied(deep)
    depth = 0
    while copy:
        (copy,) = copy
        depth += 1
    assert depth == 100_000
    circular: dict[str, Any] = {}
    circular["twice"] = [circular, circular]
    copy = copied(circular)
    assert copy is not circular
    assert copy["twice"][0] is copy["twice"][1] is copy


def test_a_type_of_ones_own_may_hold_values_that_change_in_place(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        session.add(Box(id=1, corner=Corner(1, 2), labels={"a": "b"}))
        session.commit()
        box = session.get_one(Box, 1)
        session.expunge(box)
    remember(state_of(box), blueprint(Box))
    assert box.labels is not None
    box.labels["a"] = "c"
    assert edited_columns(state_of(box), blueprint(Box)) == ["labels"]


def test_objects_of_plain_values_have_no_copies(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(columns.Audited(id=1, name="n"))
        session.commit()
        audited = session.get_one(columns.Audited, 1)
        session.expunge(audited)
    remember(state_of(audited), blueprint(columns.Audited))
    assert "info" not in state_of(audited).__dict__


@pytest.mark.parametrize("kind", [MutableDict, MutableList])
def test_a_copy_of_what_tracks_its_changes_tracks_its_own(kind: Any) -> None:
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    value = kind({"a": deep}) if kind is MutableDict else kind([deep])
    copy = copied(value)
    assert type(copy) is kind
    assert len(copy) == 1
    place = "a" if kind is MutableDict else 0
    copy[place].append("new")
    assert len(value[place]) == 1
