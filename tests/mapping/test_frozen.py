"""A frozen value is a copy: what happens to the original afterwards does not reach it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.mapping.frozen import freeze

PLAIN: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN)
def test_what_is_thawed_is_what_was_frozen(value: Any) -> None:
    frozen = freeze(value)
    assert repr(frozen.thawed()) == repr(value)
    assert frozen.is_still(value)
    assert repr(pickle.loads(pickle.dumps(frozen)).thawed()) == repr(value)


def test_a_change_of_the_original_is_seen_and_does_not_reach_the_copy() -> None:
    value = {"list": [1, {"a": None}]}
    frozen = freeze(value)
    value["list"].append(2)
    assert not frozen.is_still(value)
    assert frozen.thawed() == {"list": [1, {"a": None}]}
    frozen.thawed()["list"].append(3)
    assert frozen.thawed() == {"list": [1, {"a": None}]}


@pytest.mark.parametrize(
    "now", [object(), {1: object()}, 2**70, "\ud800"], ids=["object", "inside", "big", "surrogate"]
)
def test_a_value_that_is_no_json_any_more_is_another_one(now: Any) -> None:
    assert not freeze({}).is_still(now)
