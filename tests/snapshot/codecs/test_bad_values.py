"""What arrives wrong is refused with its place, in both encodings, and never taken for something else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sojourn.errors import SnapshotError
from sojourn.snapshot import dumps, loads
from tests.models.all_types import AllTypes
from tests.snapshot.test_values import Odd

NINES = "9" * 4301
LOCAL = "2026-01-01T00:00:00"
BAD: dict[tuple[type, str], list[Any]] = {
    (AllTypes, "an_int"): ["1", "18446744073709551615", "1e30", NINES, "-0", " 99999999999999999999", {}, 1.5, True],
    (AllTypes, "a_float"): ["nan", "inf", "1.5", "", {"float": "NaN"}, [], NINES],
    (AllTypes, "a_decimal"): [
        *({"float": "nan"}, {"float": 1.5}, {"int": "5"}, {"int": 5}, {"float": "NaN", "int": "1"}, {}, "abc"),
    ],
    (AllTypes, "an_instant"): [
        *("2026", {"local": LOCAL}, {"local": f"{LOCAL}Z", "offset": 1}, {"timedelta": "PT1S"}),
        *({"local": LOCAL, "offset": offset} for offset in (86_400_000_000, 10**18, True, 1.5, "1", None)),
        *({"local": {}, "offset": 1}, {"local": 5, "offset": 1}, {"local": "x", "offset": 1}),
    ],
    (AllTypes, "a_time"): [
        *({"timedelta": "P1Y"}, {"timedelta": 5}, {"timedelta": "P9999999999999D"}, {"timedelta": "PT1S", "x": 1}),
    ],
    (AllTypes, "a_timedelta"): [5, "1s", "P999999999999999D"],
    (AllTypes, "a_colour"): ["r", "", 0, {}, []],
    (AllTypes, "a_uuid"): ["x"],
    (Odd, "rights"): ["NONE", 8, -8, "8", 1.5, {}, True],
    (Odd, "host"): [
        *({"IPv4Address": "x"}, {"IPv4Address": None}, {"str": "x"}, {}, {"IPv4Address": "1.1.1.1", "x": 1}, 5),
    ],
    (Odd, "address"): [
        *({"PosixPath": "/etc"}, {"builtins.eval": "1"}, {"int": "5"}, {"str": 5}, {"Money": "1"}, {"UUID": None}),
    ],
    (Odd, "place"): [[], {"int": 1, "str": "x"}, {"json": {"a": 1}, "b": 2}, {"__class__": "x"}, {"datetime": "x"}],
    (Odd, "keys"): ["x", {}, ["x"], [[[[[[[1]]]]]]], [1.5]],
    (Odd, "span"): [
        *({}, {"bounds": "[["}, {"bounds": "[)", "lower": "x"}, {"bounds": "[)", "x": 1}, {"bounds": "[)", "empty": 1}),
    ],
    (Odd, "spans"): [{}, [None], [{"bounds": "[)", "lower": "1"}]],
    (Odd, "tags"): ["a", [1], [None], {"a": 1}],
    (Odd, "store"): [[], {"a": 1}, "x"],
}
CASES = [
    pytest.param(model, key, value, id=f"{key}-{number}")
    for (model, key), values in BAD.items()
    for number, value in enumerate(values)
]
PACKED: list[tuple[type, str, Any]] = [
    (AllTypes, "some_json", {1: 2}),
    (AllTypes, "some_json", [b"bytes"]),
    (AllTypes, "some_json", [float("nan")]),
    (AllTypes, "some_json", [msgspec.msgpack.Ext(5, b"x")]),
    (AllTypes, "some_json", b"{"),
    (AllTypes, "some_json", b"[1e999]"),
    (AllTypes, "some_json", b"[" * 100_000),
    (AllTypes, "some_json", b"[" * 600 + b"]" * 600),
    (AllTypes, "a_str", b"x"),
    (AllTypes, "a_date", msgspec.msgpack.Ext(-1, b"\x00\x00\x00\x01")),
    (Odd, "place", {"json": {1: 2}}),
    (Odd, "place", {"json": b"{"}),
    (Odd, "store", {"a": b"x"}),
]


def refused(model: type, key: str, value: Any, encoding: Any) -> None:
    form: Any = msgspec.msgpack if encoding == "msgpack" else msgspec.json
    document = form.decode(dumps(model(id=1), format=encoding))
    document["tables"][0] |= {"columns": ["id", key], "rows": [[1, None], [2, value]]}
    document["tables"][0]["new"] = ["0" * 32, "1" * 32]
    with pytest.raises(SnapshotError) as caught:
        loads(form.encode(document), model)
    assert (caught.value.where or "").startswith("$.tables[0].rows[1][1]")


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@pytest.mark.parametrize(("model", "key", "value"), CASES)
def test_a_form_that_is_none_of_the_columns_is_refused_with_its_place(
    model: type, key: str, value: Any, encoding: Any
) -> None:
    refused(model, key, value, encoding)


@pytest.mark.parametrize(("model", "key", "value"), PACKED, ids=map(str, range(len(PACKED))))
def test_what_messagepack_has_and_json_has_not_is_refused(model: type, key: str, value: Any) -> None:
    refused(model, key, value, "msgpack")
