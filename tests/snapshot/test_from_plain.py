"""Values of a payload: what `to_dict` writes is read back, and what no column takes is refused."""

from __future__ import annotations

import enum
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Text,
    Time,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.types import TypeEngine

from sojourn.snapshot.from_plain import reader_of
from sojourn.snapshot.plain import plain_value
from tests.models.all_types import EDGES, SAMPLE, AllTypes, Colour
from tests.models.custom_types import Level, LevelType, Money, MoneyType, Rights, RightsType, SetType, Status

DIALECTS: list[Any] = [sqlite, postgresql, mysql]
LITE, POSTGRES, MARIA = (module.dialect() for module in DIALECTS)
Range = postgresql.Range


class Speaking(TypeDecorator[IPv4Address]):
    """Its Python type has no form of its own here."""

    impl = String
    cache_ok = True
    python_type = IPv4Address


def read(type_: TypeEngine[Any], value: Any, dialect: Any = POSTGRES) -> Any:
    return reader_of(type_, dialect)(value)


@pytest.mark.parametrize("row", [SAMPLE, EDGES], ids=["sample", "edges"])
@pytest.mark.parametrize("key", sorted(SAMPLE))
@pytest.mark.parametrize("dialect", [LITE, POSTGRES, MARIA], ids=lambda dialect: dialect.name)
def test_what_to_dict_writes_is_read_back_and_the_value_itself_too(row: dict[str, Any], key: str, dialect: Any) -> None:
    type_ = AllTypes.__table__.c[key].type
    for given in (plain_value(row[key]), row[key]):
        found = read(type_, given, dialect)
        assert (found, type(found)) == (row[key], type(row[key]))


@pytest.mark.parametrize(
    ("type_", "plain", "value"),
    [
        (Float(), 5, 5.0),
        (Numeric(), 5, Decimal(5)),
        (Numeric(), 1.5, Decimal("1.5")),
        (Numeric(), "0", Decimal(0)),
        (Numeric(asdecimal=False), 1.5, 1.5),
        (Integer(), -(2**31), -(2**31)),
        (SmallInteger(), 2**15 - 1, 2**15 - 1),
        (BigInteger(), 2**63 - 1, 2**63 - 1),
        (mysql.INTEGER(unsigned=True), 2**32 - 1, 2**32 - 1),
        (mysql.YEAR(), 2026, 2026),
        (mysql.SET("a", "b"), ["b", "a"], {"a", "b"}),
        (mysql.SET("a", "b"), {"b"}, {"b"}),
        (Uuid(as_uuid=False), str(UUID(int=7)), str(UUID(int=7))),
        (Enum("a", "b"), "a", "a"),
        (RightsType(), ["READ", "WRITE"], Rights.READ | Rights.WRITE),
        (RightsType(), Rights.READ, Rights.READ),
        (LevelType(), "LOW", Level.LOW),
        (Enum(Status), next(iter(Status)).name, next(iter(Status))),
        (MoneyType(), {"any": 1}, {"any": 1}),
        (PickleType(), [1], [1]),
        (Speaking(), "x", "x"),
        (ARRAY(Integer), [1, None], [1, None]),
        (ARRAY(Integer), [[1], [2]], [[1], [2]]),
        (ARRAY(Numeric, dimensions=2, as_tuple=True), [["1"], [None]], ((Decimal(1),), (None,))),
        (ARRAY(String), (), []),
        (postgresql.HSTORE(), {"a": None, "b": "c"}, {"a": None, "b": "c"}),
        (postgresql.DOMAIN("d", Integer()), 5, 5),
        (postgresql.TSVECTOR(), "a", "a"),
        (postgresql.INET(), "::1", "::1"),
        (postgresql.INT4RANGE(), {"lower": 1, "bounds": "(]", "empty": False}, Range(1, None, bounds="(]")),
        (postgresql.DATERANGE(), {"upper": "2026-01-01"}, Range(None, date(2026, 1, 1))),
        (postgresql.NUMRANGE(), Range(Decimal(1), None), Range(Decimal(1), None)),
        (postgresql.TSTZMULTIRANGE(), [{"empty": True}], [Range(empty=True)]),
        (DateTime(timezone=True), "2026-01-01T00:00:00", datetime(2026, 1, 1)),
        (DateTime(timezone=True), "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        (Time(timezone=True), "10:00:00Z", time(10, tzinfo=UTC)),
        (Interval(), "P1D", timedelta(1)),
        (LargeBinary(), "AAE=", b"\0\1"),
        (JSON(), {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        (JSON(), (1, "x", True, 1.5), [1, "x", True, 1.5]),
    ],
)  # fmt: skip
def test_other_types_are_read(type_: TypeEngine[Any], plain: Any, value: Any) -> None:
    found = read(type_, plain, MARIA if type(type_).__module__.startswith("sqlalchemy.dialects.mysql") else POSTGRES)
    assert found == value
    assert type(found) is type(value)


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


CIRCLE: Any = []
CIRCLE += [CIRCLE, CIRCLE]


@pytest.mark.parametrize(
    ("type_", "plain", "fault"),
    [
        (Integer(), "5", "Expected int, got str"),
        (Integer(), True, "Expected int, got bool"),
        (Integer(), 5.0, "Expected int, got float"),
        (Integer(), 2**31, "is not between -2147483648 and 2147483647"),
        (SmallInteger(), 2**15, "is not between -32768 and 32767"),
        (BigInteger(), 2**63, "is not between"),
        (mysql.INTEGER(unsigned=True), -1, "is not between 0 and 4294967295"),
        (Boolean(), 1, "Expected bool, got int"),
        (String(3), "abcd", "is longer than 3 characters"),
        (Text(), "\ud800", "half of a surrogate pair"),
        (Text(), "a\0", "the character NUL"),
        (Text(), 5, "Expected str, got int"),
        (Float(), float("nan"), "no finite number"),
        (Float(), "1", "Expected float, got str"),
        (Numeric(), "NaN", "no finite number"),
        (Numeric(), "1e5000", "too large or too small"),
        (Numeric(), "x", "Invalid decimal string"),
        (Date(), "2026-13-01", "Invalid"),
        (Date(), datetime(2026, 1, 1), "Expected date, got datetime"),
        (DateTime(), "2026-01-01T00:00:00Z", "has an offset from UTC"),
        (Time(), "10:00:00Z", "has an offset from UTC"),
        (Uuid(), "x", "Invalid UUID"),
        (LargeBinary(), "%", "Invalid base64"),
        (Enum(Colour), "BLUE", "expected one of RED, GREEN"),
        (Enum(Colour), "r", "expected one of RED, GREEN"),
        (Enum("a", "b"), "c", "expected one of a, b"),
        (Enum("a", "b"), ["a"], "expected one of a, b"),
        (RightsType(), ["ALL"], "expected one of"),
        (RightsType(), 3, "Expected array, got int"),
        (mysql.SET("a"), ["c"], "expected one of a"),
        (ARRAY(Integer), 3, "expected array, got int"),
        (ARRAY(Integer), {}, "expected array, got object"),
        (ARRAY(Integer), ["x"], "Expected int, got str"),
        (ARRAY(Integer, dimensions=2), [1], "expected array, got int"),
        (ARRAY(Integer), _deep(100_000), "nested deeper than 64 levels"),
        (postgresql.HSTORE(), {"a": 1}, "Expected str | null, got int"),
        (postgresql.INT4RANGE(), {"from": 1}, "expected an object of lower, upper, bounds and empty"),
        (postgresql.INT4RANGE(), 3, "expected an object of lower, upper, bounds and empty"),
        (postgresql.INT4RANGE(), {"bounds": "<>"}, "expected one of"),
        (postgresql.INT4MULTIRANGE(), {}, "expected array, got object"),
        (JSON(), _deep(100_000), "nested deeper than 64 levels"),
        (JSON(), CIRCLE, "nested deeper than 64 levels"),
        (JSON(), {"a": float("inf")}, "no finite number"),
        (JSON(), {1: 2}, "a name that is no text"),
        (JSON(), [{"\ud800": 2}], "half of a surrogate pair"),
        (JSON(), [date(2026, 1, 1)], "holds a value of the type date, which JSON has no form for"),
        (PickleType(), float("nan"), "no finite number"),
    ],
)  # fmt: skip
def test_what_is_none_of_a_columns_values_is_refused(type_: TypeEngine[Any], plain: Any, fault: str) -> None:
    dialect = MARIA if type(type_).__module__.startswith("sqlalchemy.dialects.mysql") else POSTGRES
    with pytest.raises(ValueError, match=re.escape(fault)):
        read(type_, plain, dialect)


def test_sqlite_keeps_64_bits_and_nul_whatever_the_column_is_called() -> None:
    assert read(Integer(), 2**40, LITE) == 2**40
    assert read(String(), "a\0", LITE) == "a\0"
    with pytest.raises(ValueError, match="is not between"):
        read(Integer(), 2**63, LITE)


def test_a_document_is_a_copy() -> None:
    given = {"a": [1]}
    found = read(JSON(), given)
    assert found == given
    assert found["a"] is not given["a"]


def test_registered_types_are_read_as_they_travel() -> None:
    class Priced(TypeDecorator[Money]):
        impl = String
        cache_ok = True
        python_type = Money

    assert read(SetType(), ["a", "b"]) == {"a", "b"}
    assert read(Priced(), "5 EUR") == Money(Decimal(5), "EUR")
    assert read(Priced(), Money(Decimal(5), "EUR")) == Money(Decimal(5), "EUR")
    with pytest.raises(ValueError, match="from_wire raised"):
        read(Priced(), "x")
    with pytest.raises(ValueError, match="Expected str"):
        read(Priced(), 5)


def test_an_enum_of_a_plain_python_type_is_its_name() -> None:
    class Size(enum.IntEnum):
        SMALL = 1

    class Sized(TypeDecorator[Size]):
        impl = Integer
        cache_ok = True
        python_type = Size

    assert read(Sized(), "SMALL") is Size.SMALL
    with pytest.raises(ValueError, match="expected one of SMALL"):
        read(Sized(), 1)
