"""Values come back equal and of the same type, or `dumps` refuses them and names the attribute."""

from __future__ import annotations

import ipaddress
import json
import math
import uuid
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from operator import itemgetter
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, Enum, Integer, Numeric, PickleType, func, types
from sqlalchemy.dialects import mysql
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.mysql import TIME as MysqlTime  # noqa: N811 - a class of that name
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.ext.mutable import MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sojourn.errors import SnapshotError
from sojourn.snapshot import dumps, loads
from tests.models.all_types import EDGES, SAMPLE, AllTypes, Colour
from tests.models.custom_types import IPAddress, Level, Pair, Place, Rights, RightsType, Shout, Status
from tests.snapshot.documents import document_of, dumped, encoded


class Base(DeclarativeBase):
    pass


class UnknownMoney(types.UserDefinedType[Any]):
    """It says that its Python type is one that sojourn does not know."""

    cache_ok = True

    @property
    def python_type(self) -> type[Pair]:
        return Pair


class Odd(Base):
    """Types beside the common ones."""

    __tablename__ = "odd"

    id: Mapped[int] = mapped_column(primary_key=True)
    letter: Mapped[str | None] = mapped_column(Enum("a", "b", name="letter"))
    level: Mapped[Level | None] = mapped_column(Enum(Level))
    rights: Mapped[Rights | None] = mapped_column(RightsType)
    address: Mapped[Any] = mapped_column(IPAddress, nullable=True)
    lasts: Mapped[Any] = mapped_column(MysqlTime, nullable=True)
    keys: Mapped[Any] = mapped_column(pg.ARRAY(Integer), nullable=True)
    pairs: Mapped[Any] = mapped_column(pg.ARRAY(Integer, as_tuple=True), nullable=True)
    span: Mapped[Any] = mapped_column(pg.NUMRANGE, nullable=True)
    spans: Mapped[Any] = mapped_column(pg.INT4MULTIRANGE, nullable=True)
    tags: Mapped[Any] = mapped_column(mysql.SET("a", "b"), nullable=True)
    store: Mapped[Any] = mapped_column(pg.HSTORE, nullable=True)
    bits: Mapped[Any] = mapped_column(pg.BIT, nullable=True)
    host: Mapped[Any] = mapped_column(pg.INET, nullable=True)
    pickles: Mapped[Any] = mapped_column(pg.ARRAY(PickleType), nullable=True)
    money: Mapped[Any] = mapped_column(UnknownMoney, nullable=True)
    shout: Mapped[str | None] = mapped_column(Shout(20))
    code: Mapped[str | None] = mapped_column(types.Uuid(as_uuid=False))
    rough: Mapped[float | None] = mapped_column(Numeric(asdecimal=False))
    strict_json: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    listed: Mapped[Any] = mapped_column(MutableList.as_mutable(JSON()), nullable=True)
    pickled: Mapped[Any] = mapped_column(PickleType, nullable=True)
    place: Mapped[Any] = mapped_column(Place, nullable=True)


class Text(str):
    """A subclass of str."""

    __slots__ = ()


@pytest.fixture(params=["json", "msgpack"])
def encoding(request: pytest.FixtureRequest) -> Any:
    return request.param


def round_trip(model: type, key: str, value: Any, encoding: Any = "json") -> Any:
    original = model(id=1, **{key: value})
    data = dumped(original) if encoding == "json" else dumps(original, format=encoding)
    (copy,) = loads(data, model)
    return copy.__dict__[key]


@pytest.mark.parametrize("values", [SAMPLE, EDGES], ids=["sample", "edges"])
@pytest.mark.parametrize("key", SAMPLE)
def test_each_common_type_comes_back_equal_and_of_its_type(values: dict[str, Any], key: str, encoding: Any) -> None:
    value = values[key]
    back = round_trip(AllTypes, key, value, encoding)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("key", SAMPLE)
def test_none_is_none_in_every_type(key: str, encoding: Any) -> None:
    assert round_trip(AllTypes, key, None, encoding) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("an_int", 2**63 - 1),
        ("an_int", 2**64 - 1),
        ("an_int", 2**64),
        ("an_int", -(2**63) - 1),
        ("an_int", 10**4000),
        ("an_int", -(2**63)),
        ("a_float", 5),
        ("a_float", 5.0),
        ("a_float", -0.0),
        ("a_float", 5e-324),
        ("a_float", 2**64),
        ("a_float", 10**400),
        ("a_decimal", 10),
        ("a_decimal", 2**64),
        ("a_decimal", Decimal("NaN")),
        ("a_decimal", Decimal("sNaN123")),
        ("a_decimal", Decimal("-NaN")),
        ("a_decimal", math.inf),
        ("a_decimal", 0.5),
        ("a_decimal", Decimal("1.5000")),
        ("a_decimal", Decimal("-0")),
        ("a_decimal", Decimal("1E+30")),
        ("a_decimal", Decimal("123456789012345678901234567890.123456789")),
        ("a_decimal", Decimal("-Infinity")),
        ("a_str", "\x00\u2028\U0001f989"),
        ("a_str", "NaN"),
        ("a_date", date.min),
        ("a_date", date.max),
        ("a_time", time(23, 59, 59, 999999)),
        ("a_time", time(1, 2, 3, 4, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))),
        ("a_time", time(1, 2, tzinfo=timezone(timedelta(seconds=1172)))),
        ("a_time", timedelta(hours=-838, minutes=-59)),
        ("a_datetime", datetime.min),
        ("a_datetime", datetime.max),
        ("an_instant", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5, minutes=45)))),
        ("an_instant", datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, microseconds=5)))),
        ("an_instant", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23)))),
        ("an_instant", datetime(1900, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam"))),
        ("an_instant", datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))),
        ("a_timedelta", timedelta.min),
        ("a_timedelta", timedelta.max),
        ("a_timedelta", timedelta(microseconds=-1)),
        ("some_json", {"a": [1, 1.0, -0.0, True, None, "x", {"": []}]}),
        ("some_json", "text"),
        ("some_json", False),
        ("some_json", 2**64),
        ("some_json", {"a": [-(2**70), 1]}),
    ],
    ids=str,
)
def test_values_at_the_edge_come_back_exactly(key: str, value: Any, encoding: Any) -> None:
    back = round_trip(AllTypes, key, value, encoding)
    assert type(back) is type(value)
    assert str(back) == str(value)  # with its offset, where it has one
    if getattr(value, "fold", 0) == 0 and "NaN" not in str(
        value
    ):  # Python holds two zones' times in the hour that repeats for different
        assert back == value


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_that_are_not_finite_come_back(value: float, encoding: Any) -> None:
    back = round_trip(AllTypes, "a_float", value, encoding)
    assert type(back) is float
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("letter", "a"),
        ("level", Level.HIGH),
        ("shout", "quiet"),
        ("code", "not checked"),
        ("rough", 1.5),
        ("listed", MutableList([1, {"a": []}])),
        ("level", Level.LOW),
        ("rights", Rights.READ),
        ("rights", Rights.READ | Rights.WRITE),
        ("rights", Rights(0)),
        ("rights", Rights.RUN | Rights.READ),
        ("place", 1),
        ("place", True),
        ("place", 2**70),
        ("place", math.inf),
        ("place", "text"),
        ("place", b"bytes"),
        ("place", [1, {"a": 2**70}]),
        ("place", Decimal("sNaN")),
        ("place", datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=1172)))),
        ("address", "text"),
        ("address", ipaddress.ip_address("::1")),
        ("address", date(2026, 1, 1)),
        ("address", time(1, tzinfo=timezone(timedelta(seconds=1)))),
        ("address", uuid.UUID(int=1)),
        ("address", 1.5),
        ("address", -math.inf),
        ("address", {"json": 1}),
        ("lasts", timedelta(days=3, microseconds=-1)),
        ("keys", [1, [2, [None]], []]),
        ("keys", [[[[[[2**64]]]]]]),
        ("pairs", ((1, 2), (3, -(2**70)))),
        ("span", pg.Range(Decimal("NaN"), 2**64, bounds="[]")),
        ("span", pg.Range(empty=True)),
        ("spans", MultiRange([pg.Range(1, None), pg.Range(empty=True)])),
        ("tags", {"a"}),
        ("store", {"a": None}),
        ("bits", getattr(pg, "BitString", str)("101")),
        ("bits", "101"),
        ("host", "10.0.0.1/8"),
        ("host", ipaddress.ip_interface("fe80::1%eth0/64")),
    ],
    ids=str,
)
def test_less_common_types_travel_by_their_python_type(key: str, value: Any, encoding: Any) -> None:
    back = round_trip(Odd, key, value, encoding)
    assert repr(back) == repr(value) or back == value  # NaN is not equal, and sets have no order
    assert type(back) is type(value)


def test_an_enum_travels_by_name() -> None:
    document = document_of(AllTypes(id=1, a_colour=Colour.GREEN))
    assert document["tables"][0]["rows"] == [[1, "GREEN"]]


def test_a_json_null_is_null_where_the_database_makes_no_difference() -> None:
    assert round_trip(AllTypes, "some_json", JSON.NULL) is None


def test_the_dump_of_a_value_does_not_touch_it() -> None:
    value = {"a": [1]}
    original = AllTypes(id=1, some_json=value)
    dumps(original)
    assert original.some_json is value


KINDS: dict[str, st.SearchStrategy[Any]] = {
    "an_int": st.integers(),
    "a_float": st.floats() | st.integers(),
    "a_str": st.text(),
    "a_bool": st.booleans(),
    "some_bytes": st.binary(),
    "a_decimal": st.decimals() | st.integers() | st.floats(),
    "a_date": st.dates(),
    "a_time": st.times() | st.timedeltas(),
    "a_datetime": st.datetimes(),
    "an_instant": st.datetimes(timezones=st.timezones()),
    "a_timedelta": st.timedeltas(),
    "a_uuid": st.uuids(),
    "a_colour": st.sampled_from(Colour),
    "some_json": st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
}  # fmt: skip


@given(st.lists(st.fixed_dictionaries({}, optional={key: st.none() | kind for key, kind in KINDS.items()}), max_size=4))
def test_any_mixture_of_values_comes_back(rows: list[dict[str, Any]]) -> None:
    originals = [AllTypes(id=number, **row) for number, row in enumerate(rows)]
    for data in (dumped(originals), dumps(originals, format="msgpack")):
        for row, copy in zip(rows, loads(data, AllTypes), strict=True):
            back = {key: value for key, value in copy.__dict__.items() if key in KINDS}
            assert repr(sorted(back.items(), key=itemgetter(0))) == repr(sorted(_kept(row).items(), key=itemgetter(0)))


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """A time zone's name is not kept, its offset is. Nor is `fold`, which is no part of a value that has an offset."""
    kept: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, datetime) and value.tzinfo is not None:
            offset = value.utcoffset()
            kept[key] = value.replace(tzinfo=timezone(offset) if offset else UTC, fold=0)
        else:
            kept[key] = value.replace(fold=0) if isinstance(value, (datetime, time)) else value
    return kept


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("an_int", True, "holds a bool, and the column takes int"),
        ("an_int", Level.LOW, "holds a Level, and the column takes int"),
        ("an_int", "1", "holds a str, and the column takes int"),
        ("an_int", 1.0, "holds a float, and the column takes int"),
        ("an_int", func.random(), "holds a random, and the column takes int"),
        ("an_int", AllTypes.an_int + 1, "holds a BinaryExpression, and the column takes int"),
        ("a_bool", 1, "holds an int, and the column takes bool"),
        ("a_float", Decimal(1), "holds a Decimal, and the column takes float or int"),
        ("a_decimal", "1.5", "holds a str, and the column takes Decimal or float or int"),
        ("a_str", Text("x"), "holds a Text, and the column takes str"),
        ("a_str", Status.OPEN, "holds a Status, and the column takes str"),
        ("a_str", b"x", "holds a bytes, and the column takes str"),
        ("a_str", "\ud800", "holds a value of the type str that JSON cannot"),
        ("a_str", Pair(1), "holds a Pair, and the column takes str"),
        ("some_bytes", bytearray(b"x"), "holds a bytearray, and the column takes bytes"),
        ("a_date", datetime(2026, 1, 1), "holds a datetime, and the column takes date"),
        ("a_datetime", date(2026, 1, 1), "holds a date, and the column takes datetime"),
        ("a_datetime", "2026-01-01T00:00:00", "holds a str, and the column takes datetime"),
        ("a_time", time(1, tzinfo=ZoneInfo("Europe/Berlin")), "holds a time zone that gives no offset"),
        ("a_timedelta", 5, "holds an int, and the column takes timedelta"),
        ("a_uuid", str(uuid.UUID(int=1)), "holds a str, and the column takes UUID"),
        ("a_colour", "RED", "holds a str, and the column takes Colour"),
        ("some_json", {1: "x"}, "holds an int as a key inside JSON, and keys are str there"),
        ("some_json", [math.nan], "holds nan inside JSON, which has no form for it"),
        ("some_json", [math.inf], "holds inf inside JSON, which has no form for it"),
        ("some_json", {"a": (1, 2)}, "holds a tuple inside JSON, which would come back as something else"),
        ("some_json", [Decimal(1)], "holds a Decimal inside JSON, which would come back as something else"),
        ("some_json", [datetime(2026, 1, 1)], "holds a datetime inside JSON, which would come back as something else"),
        ("some_json", Status.OPEN, "holds a Status inside JSON, which would come back as something else"),
        ("some_json", OrderedDict(a=1), "holds an OrderedDict inside JSON, which would come back as something else"),
        ("some_json", [Pair(1)], "holds a Pair inside JSON, which would come back as something else"),
        ("some_json", [b"x"], "holds a bytes inside JSON, which would come back as something else"),
        ("some_json", ["\udfff"], "holds a value of the type list that JSON cannot"),
    ],
)
def test_a_value_that_would_come_back_as_another_is_refused_by_name(key: str, value: Any, what: str) -> None:
    fine = AllTypes(id=1, **{key: SAMPLE[key]})
    with pytest.raises(SnapshotError) as caught:
        dumps([fine, AllTypes(id=2, **{key: value})])
    assert caught.value.where == f"AllTypes.{key}"
    assert f"AllTypes.{key}: a new object {what}." in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(("encoding", "what"), [("json", "that JSON cannot"), ("msgpack", "more digits than Python")])
@pytest.mark.parametrize("key", ["an_int", "a_float", "a_decimal"])
def test_an_integer_of_more_digits_than_python_reads_is_refused(key: str, encoding: Any, what: str) -> None:
    with pytest.raises(SnapshotError, match=what) as caught:
        dumps(AllTypes(id=1, **{key: 10**4300}), format=encoding)
    assert caught.value.where == f"AllTypes.{key}"


def test_json_that_is_too_deep_or_contains_itself_is_refused() -> None:
    circular: list[Any] = []
    circular += [circular] * 1000
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (circular, deep):
        with pytest.raises(SnapshotError, match=r"AllTypes\.some_json: .*nested too deeply, or that contains itself"):
            dumps(AllTypes(id=1, some_json=value))


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("pickled", [1], "values of the type PickleType cannot travel"),
        ("pickles", [[1]], "values of the type ARRAY cannot travel"),
        ("money", Pair(1), "values of the type UnknownMoney cannot travel"),
        ("place", Pair(1), "holds a Pair, of which nobody said how it travels"),
        ("address", Pair(1), "holds a Pair, of which nobody said how it travels"),
        ("place", Rights.READ, "holds a Rights, of which nobody said how it travels"),
        ("rights", 1, "holds an int, and the column takes Rights"),
        ("keys", (1, 2), "holds a tuple, and the column takes list"),
        ("keys", [1, "x"], "holds a str, and the column takes int"),
        ("keys", [(1,)], "holds a tuple, and the column takes int"),
        ("keys", [[[[[[[1]]]]]]], "holds a list, and the column takes int"),
        ("pairs", [1, 2], "holds a list, and the column takes tuple"),
        ("span", (1, 2), "holds a tuple, and the column takes Range"),
        ("span", pg.Range("a", "b"), "holds a str, and the column takes Decimal or float or int"),
        ("spans", [pg.Range(1, 2)], "holds a list, and the column takes MultiRange"),
        ("spans", MultiRange(cast(Any, [(1, 2)])), "holds a tuple inside its MultiRange"),
        ("tags", {"a", 1}, "holds an int inside its set"),
        ("tags", ["a"], "holds a list, and the column takes set"),
        ("store", {"a": 1}, "holds an int inside its HSTORE"),
        ("store", {1: "a"}, "holds an int as a key"),
        ("store", [], "holds a list, and the column takes dict"),
        ("host", b"x", "holds a bytes, of which nobody said how it travels"),
        ("bits", 5, "holds an int, "),
        ("strict_json", JSON.NULL, "would come back as something else"),
    ],
)
def test_less_common_types_are_refused_where_something_would_be_lost(
    key: str, value: Any, what: str, encoding: Any
) -> None:
    with pytest.raises(SnapshotError, match=what) as caught:
        dumps(Odd(id=1, **{key: value}), format=encoding)
    assert caught.value.where == f"Odd.{key}"
    assert "register_type" in caught.value.remedy


def test_a_type_that_cannot_travel_does_not_matter_where_it_is_not_loaded() -> None:
    assert round_trip(Odd, "letter", "b") == "b"


def test_a_type_that_cannot_travel_is_refused_on_the_way_in() -> None:
    document = document_of(Odd(id=1, letter="a"))
    document["tables"][0]["columns"] = ["id", "pickled"]
    with pytest.raises(SnapshotError, match=r"Odd\.pickled: values of the type PickleType cannot travel"):
        loads(encoded(document), Odd)


def test_the_base_of_an_edit_is_checked_like_a_value() -> None:
    document = document_of(AllTypes(id=1, a_str="x"))
    table = document["tables"][0]
    del table["new"]
    (detached,) = loads(encoded(document), AllTypes)
    detached.a_str = "y"
    assert json.loads(dumps(detached))["tables"][0]["edits"] == [{"row": 0, "base": {"a_str": "x"}}]
    detached.__dict__["a_str"] = Text("x")
    with pytest.raises(SnapshotError, match=r"AllTypes\.a_str: AllTypes\(1\) holds a Text"):
        dumps(detached)


def test_bytes_travel_as_base64_and_durations_as_iso_8601() -> None:
    document = document_of(AllTypes(id=1, some_bytes=b"\x00\xff", a_timedelta=timedelta(seconds=1)))
    assert document["tables"][0]["rows"] == [[1, "AP8=", "PT1S"]]
