"""Limits: a document that is too large is refused before an object is built, and one that is not is not."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import FrozenInstanceError
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Optional, Union

import msgspec
import pytest

from sojourn.errors import BadArgumentError, SnapshotError
from sojourn.snapshot import dumps, loads, restore
from sojourn.snapshot.limits import Limits, can_nest, check_rows, check_value
from tests.models import all_types, columns, shop
from tests.models.all_types import AllTypes
from tests.models.columns import Settings
from tests.models.shop import Customer

FORMATS: tuple[Literal["json", "msgpack"], ...] = ("json", "msgpack")
BOTH = pytest.mark.parametrize("format_", FORMATS)


def nested(depth: int) -> Any:
    value: Any = []
    for level in range(depth - 1):
        value = [value] if level % 2 else {"x": value}
    return value


def refused(data: bytes, models: Any, limits: Limits, monkeypatch: pytest.MonkeyPatch) -> SnapshotError:
    """The error, and nothing was built before it."""
    monkeypatch.setattr(restore, "verify", None)  # the step before anything is built
    with pytest.raises(SnapshotError) as caught:
        loads(data, models, limits=limits)
    return caught.value


@BOTH
def test_as_many_bytes_as_allowed_are_read_and_one_more_is_not(
    format_: Literal["json", "msgpack"], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dumps(Customer(name="Ann"), format=format_)
    assert loads(data, shop.Base, limits=Limits(max_bytes=len(data)))[0].name == "Ann"
    error = refused(data, shop.Base, Limits(max_bytes=len(data) - 1), monkeypatch)
    assert error.where == "$"
    assert f"more bytes than max_bytes allows, which is {len(data) - 1}" in str(error)
    assert "limits=Limits(max_bytes=...)" in error.remedy


def test_the_signature_counts_among_the_bytes() -> None:
    data = dumps(Customer(name="Ann"), key=b"k" * 16)
    with pytest.raises(SnapshotError, match="max_bytes"):
        loads(data, shop.Base, key=b"k" * 16, limits=Limits(max_bytes=len(data) - 1))


@BOTH
def test_as_many_objects_as_allowed_are_built_and_one_more_is_not(
    format_: Literal["json", "msgpack"], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = dumps([Customer(name="a"), Customer(name="b"), Customer(city="c")], format=format_)
    assert len(loads(data, shop.Base, limits=Limits(max_objects=3))) == 3
    error = refused(data, shop.Base, Limits(max_objects=2), monkeypatch)
    assert error.where == "$.tables[1].rows"  # that is where the third one stands
    assert "more objects than max_objects allows, which is 2" in str(error)


@BOTH
def test_values_as_deep_as_allowed_are_read_and_deeper_ones_are_not(
    format_: Literal["json", "msgpack"], monkeypatch: pytest.MonkeyPatch
) -> None:
    def data(depth: int) -> bytes:
        return dumps([Settings(name="s", plain={}), Settings(name="s", plain=nested(depth))], format=format_)

    for limit in (0, 1, 2, 64):
        if limit:
            assert loads(data(limit), columns.Base, limits=Limits(max_depth=max(limit, 1)))[1].plain == nested(limit)
        error = refused(data(limit + 1), columns.Base, Limits(max_depth=limit), monkeypatch)
        assert error.where == f"$.tables[0].rows[{int(limit > 0)}][1]"
        assert f"deeper nesting than max_depth allows, which is {limit}" in str(error)
        monkeypatch.undo()


@BOTH
def test_strings_as_long_as_allowed_are_read_and_longer_ones_are_not(
    format_: Literal["json", "msgpack"], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(max_string=100)
    held: list[tuple[dict[str, Any], Any, str]] = [
        ({"a_text": "x"}, AllTypes, "a_text"),
        ({"a_text": "é"}, AllTypes, "a_text"),  # characters count, not bytes
        ({"some_bytes": b"x"}, AllTypes, "some_bytes"),
    ]
    for values, model, key in held:
        for length, good in ((100, True), (101, False)):
            obj = model(**{name: value * length for name, value in values.items()})
            data = dumps(obj, format=format_)
            if good:
                assert len(getattr(loads(data, all_types.Base, limits=limits)[0], key)) == 100
            else:
                error = refused(data, all_types.Base, limits, monkeypatch)
                assert error.where == "$.tables[0].rows[0][0]"
                assert "a longer string than max_string allows, which is 100" in str(error)
                monkeypatch.undo()


@BOTH
@pytest.mark.parametrize(
    "value", [{"k": "x" * 101}, ["x", ["x" * 101]], {"x" * 101: 1}, [{"a": {"x" * 101: None}}], "x" * 101]
)
def test_strings_and_keys_inside_json_count(value: Any, format_: Literal["json", "msgpack"]) -> None:
    data = dumps(Settings(name="s", plain=value), format=format_)
    assert loads(data, columns.Base)[0].plain == value
    with pytest.raises(SnapshotError, match="a longer string than max_string") as caught:
        loads(data, columns.Base, limits=Limits(max_string=100))
    assert caught.value.where == "$.tables[0].rows[0][1]"


@BOTH
def test_former_values_are_held_to_the_same_limits(format_: Literal["json", "msgpack"]) -> None:
    data = dumps(Settings(name="s", plain={}), format=format_)
    old = loads(data, columns.Base)[0]
    assert old.name == "s"
    for base, limits, message in (
        (nested(5), Limits(max_depth=4), "deeper nesting"),
        ({"x": "y" * 101}, Limits(max_string=100), "a longer string"),
    ):
        tree = {
            "sojourn": 1,
            "roots": [0],
            "tables": [
                {
                    "entity": "Settings",
                    "schema": "0" * 12,
                    "columns": ["id", "plain"],
                    "rows": [[1, None]],
                    "edits": [{"row": 0, "base": {"plain": base}}],
                }
            ],
        }
        encode = msgspec.json.encode if format_ == "json" else msgspec.msgpack.encode
        assert loads(encode(tree), columns.Base)[0].plain is None
        with pytest.raises(SnapshotError, match=message) as caught:
            loads(encode(tree), columns.Base, limits=limits)
        assert caught.value.where == "$.tables[0].edits[0].base.plain"


@BOTH
def test_none_is_no_limit(format_: Literal["json", "msgpack"]) -> None:
    none = Limits(max_bytes=None, max_objects=None, max_depth=None, max_string=None)
    data = dumps(Settings(name="x" * 1000, plain=nested(300)), format=format_)
    assert loads(data, columns.Base, limits=none)[0].plain == nested(300)
    with pytest.raises(SnapshotError, match="max_depth"):
        loads(data, columns.Base)


def test_the_defaults_are_as_documented() -> None:
    limits = Limits()
    assert (limits.max_bytes, limits.max_objects) == (128 * 1024 * 1024, 1_000_000)
    assert (limits.max_depth, limits.max_string) == (64, 16 * 1024 * 1024)


@pytest.mark.parametrize("name", ["max_bytes", "max_objects", "max_depth", "max_string"])
@pytest.mark.parametrize("value", [-1, 1.5, "1", True, float("inf")])
def test_a_limit_is_a_number_or_none(name: str, value: Any) -> None:
    with pytest.raises(BadArgumentError, match=name):
        Limits(**{name: value})


def test_limits_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Limits().max_bytes = 1  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize(
    ("wire", "nests"),
    [
        (int, False),
        (str | None, False),
        (Optional[Literal["a"]], False),  # noqa: UP045 - the old form is another type
        (Union[Decimal, int, None], False),  # noqa: UP007 - the same
        (datetime, False),
        (Any, True),
        (list[int], True),
        (dict[str, str | None] | None, True),
        (str | list[str], True),
        (dict, True),
    ],
)
def test_only_types_that_may_hold_others_are_looked_into(wire: Any, nests: bool) -> None:
    assert can_nest(wire) is nests


def test_a_value_that_holds_very_many_is_looked_through_once() -> None:
    wide = [[{"a": [1] * 10}] * 10] * 1000
    check_value(wide, 10, Limits(max_depth=4), "$")
    with pytest.raises(SnapshotError, match="deeper nesting"):
        check_value(wide, 10, Limits(max_depth=3), "$")
    check_rows([], 10**9, [0], Limits(), "$")


# --- bombs -----------------------------------------------------------------------------------------------------------

ROWS = b'{"sojourn":1,"roots":[],"tables":[{"entity":"Settings","schema":"","columns":["id","plain"],"rows":[[1,'
PACKED_ROWS = (
    b"\x83\xa7sojourn\x01\xa5roots\x90\xa6tables\x91\x84\xa6entity\xa8Settings\xa6schema\xa0"
    b"\xa7columns\x92\xa2id\xa5plain\xa4rows\x91\x92\x01"
)


@pytest.mark.parametrize("start", [b"", ROWS, PACKED_ROWS], ids=["alone", "in rows", "in packed rows"])
@pytest.mark.parametrize(
    "bomb", [b"[", b'{"":', b"\x91", b"\x81\xa0", b"\xdd\xff\xff\xff\xff", b"\xdf\x00\x00\x00\x02\xa0"]
)
def test_a_nesting_bomb_is_refused_at_once(start: bytes, bomb: bytes) -> None:
    data = start + bomb * (20_000_000 // len(bomb))
    began = time.process_time()
    with pytest.raises(SnapshotError):
        loads(data, columns.Base)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("lie", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"])
def test_a_length_that_is_a_lie_takes_no_memory(lie: bytes) -> None:
    tracemalloc.start()
    try:
        for data in (PACKED_ROWS + lie, PACKED_ROWS.replace(b"\x91\x92\x01", lie), lie, b"\x81\xa7sojourn" + lie):
            with pytest.raises(SnapshotError):
                loads(data, columns.Base)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
