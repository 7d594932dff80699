"""Every column type, with values of it: one small table for each, made where it is needed.

`value` is where a value starts and `target` where it shall end. The databases that have a type are named with it; what
they make of a value is theirs. Types of which a database must be told first name the extension.
"""

from __future__ import annotations

import enum
import ipaddress
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql as my
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects import sqlite as lite
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.ext.mutable import MutableDict, MutableList, MutableSet
from sqlalchemy.orm import registry

from tests.models import custom_types as custom
from tests.models.all_types import Colour
from tests.models.custom_types import Level, Money, Rights, Status

ALL = ("sqlite", "postgresql", "mariadb")
PG, MY, LITE = ("postgresql",), ("mariadb",), ("sqlite",)


@dataclass(frozen=True)
class Case:
    """A type, values of it, and where it exists."""

    name: str
    make: Callable[[], Any]
    values: Sequence[Any]
    on: Sequence[str] = ALL
    extension: str | None = None

    def model(self) -> Any:
        """A new class that is mapped to a new table with two columns of the type."""
        mapper_registry = registry()
        columns = [
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("value", self.make(), nullable=True),
            sa.Column("target", self.make(), nullable=True),
        ]
        model = type("Cell", (), {})
        mapper_registry.map_imperatively(model, sa.Table("cell", mapper_registry.metadata, *columns))
        return model


def _enum_values(class_: type[enum.Enum]) -> list[str]:
    return [member.value for member in class_]


def _ranges(name: str, first: Any, last: Any, **parts: Any) -> list[Case]:
    """The range and the multirange type of one name, on values in order."""
    ranges = [
        *(Range(first, last), Range(first, None, bounds="()"), Range(None, last, bounds="(]"), Range(None, None)),
        *(Range(empty=True), Range(first, last, bounds="[]"), Range(first, last, bounds="()")),
    ]
    multi = [MultiRange([Range(None, first, bounds="()"), Range(last, None)]), MultiRange(), MultiRange([ranges[0]])]
    return [
        Case(f"{name}RANGE", getattr(pg, f"{name}RANGE"), ranges, PG),
        Case(f"{name}MULTIRANGE", getattr(pg, f"{name}MULTIRANGE"), multi, PG),
    ]


def _addresses(*texts: str) -> tuple[Any, ...]:
    """As psycopg gives them: an address, or an interface where the network's size is not the whole."""
    return tuple(ipaddress.ip_interface(text) if "/" in text else ipaddress.ip_address(text) for text in texts)


HALF_PAST = timezone(timedelta(hours=5, minutes=30))
INTS = (0, -1, 32767)
TEXTS = ("plain", "", 'ünï "\\\n', "NaN")
BYTES = (b"\x00\x01\xfe\xff", b"")
DECIMALS = (Decimal("12.500000"), Decimal("-0.000001"), Decimal(0))
DATES = (date(2026, 2, 28), date(1, 1, 1), date(9999, 12, 31))
TIMES = (time(13, 37, 1), time(0, 0), time(23, 59, 59, 999999))
MOMENTS = (datetime(2026, 2, 28, 13, 37, 1, 250000), datetime(1970, 1, 1), datetime(2037, 12, 31, 23, 59, 59))
INSTANTS = (datetime(2026, 2, 28, 13, 37, 1, 5, tzinfo=UTC), datetime(2026, 2, 28, 13, tzinfo=HALF_PAST))
DURATIONS = (timedelta(days=1, microseconds=5), timedelta(0), timedelta(days=3, hours=23))
DOCUMENTS: tuple[Any, ...] = ({"a": [1, 2.5, None, True, {"": "ü"}]}, [], [1, [2]], "text", 5, False)
UUIDS = (uuid.UUID(int=0), uuid.UUID("12345678-1234-5678-1234-567812345678"))

GENERIC = [
    Case("Integer", sa.Integer, INTS),
    Case("SmallInteger", sa.SmallInteger, INTS),
    Case("BigInteger", sa.BigInteger, (*INTS, 2**63 - 1, -(2**63))),
    Case("Boolean", sa.Boolean, (True, False)),
    Case("String", lambda: sa.String(50), TEXTS),
    Case("Text", sa.Text, TEXTS),
    Case("Unicode", lambda: sa.Unicode(50), TEXTS),
    Case("UnicodeText", sa.UnicodeText, TEXTS),
    Case("LargeBinary", sa.LargeBinary, BYTES),
    Case("Float", lambda: sa.Float(53), (0.1, -0.0, 1e300, 5.0)),
    Case("Float asdecimal", lambda: sa.Float(53, asdecimal=True), (Decimal("0.5"), Decimal(3))),
    Case("Double", sa.Double, (0.1, -1e300)),
    Case("Numeric", lambda: sa.Numeric(20, 6), DECIMALS),
    Case("Numeric asdecimal=False", lambda: sa.Numeric(20, 6, asdecimal=False), (0.5, 3.0)),
    Case("Date", sa.Date, DATES),
    Case("DateTime", sa.DateTime, MOMENTS),
    Case("DateTime timezone", lambda: sa.DateTime(timezone=True), INSTANTS),
    Case("Time", sa.Time, TIMES),
    Case("Interval", sa.Interval, DURATIONS),
    Case("Enum", lambda: sa.Enum(Colour), tuple(Colour)),
    Case("Enum of IntEnum", lambda: sa.Enum(Level), tuple(Level)),
    Case("Enum of StrEnum", lambda: sa.Enum(Status), tuple(Status)),
    Case("Enum of Flag", lambda: sa.Enum(Rights), tuple(Rights)),
    Case("Enum of strings", lambda: sa.Enum("a", "b", name="letter"), ("a", "b")),
    Case("Enum by value", lambda: sa.Enum(Colour, values_callable=_enum_values, name="by_value"), tuple(Colour)),
    Case("Enum not native", lambda: sa.Enum(Colour, native_enum=False), tuple(Colour)),
    Case("Uuid", sa.Uuid, UUIDS),
    Case("Uuid as text", lambda: sa.Uuid(as_uuid=False), tuple(map(str, UUIDS))),
    Case("JSON", sa.JSON, DOCUMENTS),
    Case("JSON none_as_null", lambda: sa.JSON(none_as_null=True), DOCUMENTS),
    Case("CHAR", lambda: sa.CHAR(5), ("abcde",)),
    Case("VARCHAR", lambda: sa.VARCHAR(50), TEXTS),
    Case("TEXT", sa.TEXT, TEXTS),
    Case("INTEGER", sa.INTEGER, INTS),
    Case("INT", sa.INT, INTS),
    Case("SMALLINT", sa.SMALLINT, INTS),
    Case("BIGINT", sa.BIGINT, INTS),
    Case("NUMERIC", lambda: sa.NUMERIC(20, 6), DECIMALS),
    Case("DECIMAL", lambda: sa.DECIMAL(20, 6), DECIMALS),
    Case("FLOAT", lambda: sa.FLOAT(53), (0.1,)),
    Case("REAL", sa.REAL, (0.5,)),
    Case("DOUBLE_PRECISION", sa.DOUBLE_PRECISION, (0.1,)),
    Case("DATE", sa.DATE, DATES),
    Case("TIME", sa.TIME, TIMES),
    Case("TIMESTAMP", sa.TIMESTAMP, MOMENTS[:1]),
    Case("BOOLEAN", sa.BOOLEAN, (True, False)),
    Case("UUID", sa.UUID, UUIDS, PG),
    Case("DATETIME", sa.DATETIME, MOMENTS, ("sqlite", "mariadb")),
    Case("BLOB", sa.BLOB, BYTES, ("sqlite", "mariadb")),
    Case("BINARY", lambda: sa.BINARY(3), (b"a\x00c",), ("sqlite", "mariadb")),
    Case("VARBINARY", lambda: sa.VARBINARY(9), BYTES, ("sqlite", "mariadb")),
    Case("NCHAR", lambda: sa.NCHAR(5), ("abcdü",), ("sqlite", "mariadb")),
    Case("NVARCHAR", lambda: sa.NVARCHAR(50), TEXTS, ("sqlite", "mariadb")),
    Case("CLOB", sa.CLOB, TEXTS, LITE),
    Case(
        "variants",
        lambda: sa.String(40).with_variant(pg.UUID(), "postgresql"),
        tuple(map(str, UUIDS)),
        ("sqlite", "mariadb"),
    ),
    Case("variants on PostgreSQL", lambda: sa.String(40).with_variant(pg.UUID(), "postgresql"), UUIDS, PG),
]

CUSTOM = [
    Case("decorator of its impl's type", lambda: custom.Shout(20), ("QUIET",)),
    Case("decorator that adds a zone", custom.UtcDateTime, INSTANTS),
    Case(
        "decorator of another type", custom.IPAddress, (ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1"))
    ),
    Case("JSON in text", custom.JSONText, ({"a": [1, {"b": 2**70}]}, [1.5, None], "text", 5, True)),
    Case(
        "exact Decimal",
        custom.ExactDecimal,
        tuple(map(Decimal, ("NaN", "sNaN", "-NaN7", "Infinity", "1E+300", "-0.00"))),
    ),
    Case("integers of any size", custom.BigNumber, (0, 2**63, 2**64, -(2**64), 10**4000)),
    Case("Flag", custom.RightsType, (Rights.READ, Rights.READ | Rights.WRITE, Rights(0), Rights.RUN | Rights.READ)),
    Case("registered SQLAlchemy type", custom.LevelType, tuple(Level)),
    Case("registered Python class", custom.MoneyType, (Money(Decimal("1.50"), "EUR"),)),
    Case("registered with a list", custom.SetType, ({"a", "b"}, set())),
    Case("nothing known", custom.Place, ("POINT(1 2)",)),
    Case("MutableDict", lambda: MutableDict.as_mutable(sa.JSON()), (MutableDict(a=[1]), MutableDict())),
    Case("MutableList", lambda: MutableList.as_mutable(sa.JSON()), (MutableList([1, {"a": []}]), MutableList())),
    Case("MutableSet", lambda: MutableSet.as_mutable(custom.SetType()), (MutableSet({"a"}),)),
]

SQLITE = [
    Case("sqlite.DATE", lite.DATE, DATES, LITE),
    Case("sqlite.DATETIME", lite.DATETIME, MOMENTS, LITE),
    Case("sqlite.TIME", lite.TIME, TIMES, LITE),
    Case("sqlite.JSON", lite.JSON, DOCUMENTS, LITE),
    Case("infinite floats", sa.Float, (float("inf"), float("-inf")), LITE),
]

POSTGRESQL = [
    Case("infinite and no numbers", sa.Float, (float("nan"), float("inf"), float("-inf"), -0.0), PG),
    Case("special Decimals", sa.Numeric, (Decimal("NaN"), Decimal("Infinity"), Decimal("1E+30"), Decimal(10**40)), PG),
    Case("ARRAY", lambda: pg.ARRAY(sa.Integer), ([1, None, 3], [], [[1, 2], [3, 4]], [[[1]], [[2]]]), PG),
    Case("ARRAY generic", lambda: sa.ARRAY(sa.Text), (["a", "ü", None],), PG),
    Case("ARRAY of dimensions", lambda: pg.ARRAY(sa.Text, dimensions=2), ([["a", "b"], ["c", None]],), PG),
    Case("ARRAY as_tuple", lambda: pg.ARRAY(sa.Integer, as_tuple=True), ((1, 2), ()), PG),
    Case(
        "ARRAY as_tuple nested", lambda: pg.ARRAY(sa.Numeric, as_tuple=True, dimensions=2), (((Decimal("1.5"),),),), PG
    ),
    Case("ARRAY of Numeric", lambda: pg.ARRAY(sa.Numeric), ([Decimal("1.50"), Decimal("NaN"), None],), PG),
    Case("ARRAY of Float", lambda: pg.ARRAY(sa.Float), ([1.5, float("nan"), float("-inf"), None],), PG),
    Case("ARRAY of Boolean", lambda: pg.ARRAY(sa.Boolean), ([True, None],), PG),
    Case("ARRAY of BYTEA", lambda: pg.ARRAY(pg.BYTEA), ([b"\x00\xff", b""],), PG),
    Case("ARRAY of DateTime", lambda: pg.ARRAY(sa.DateTime(timezone=True)), (list(INSTANTS), [list(INSTANTS)]), PG),
    Case("ARRAY of Date", lambda: pg.ARRAY(sa.Date), (list(DATES),), PG),
    Case("ARRAY of Interval", lambda: pg.ARRAY(pg.INTERVAL), (list(DURATIONS),), PG),
    Case("ARRAY of UUID", lambda: pg.ARRAY(pg.UUID), (list(UUIDS),), PG),
    Case("ARRAY of ENUM", lambda: pg.ARRAY(sa.Enum(Colour, name="colours")), ([Colour.RED, None], []), PG),
    Case("ARRAY of JSONB", lambda: pg.ARRAY(pg.JSONB), ([{"a": 1}, None, "x"], []), PG),
    Case("ARRAY of INET", lambda: pg.ARRAY(pg.INET), ([ipaddress.ip_address("10.0.0.1"), None],), PG),
    Case("ARRAY of INT4RANGE", lambda: pg.ARRAY(pg.INT4RANGE), ([Range(1, 5), Range(empty=True)],), PG),
    Case("ARRAY of a decorator", lambda: pg.ARRAY(custom.MoneyType), ([Money(Decimal(1), "EUR"), None],), PG),
    Case("MutableList of ARRAY", lambda: MutableList.as_mutable(pg.ARRAY(sa.Integer)), (MutableList([1, 2]),), PG),
    Case("pg.JSON", pg.JSON, DOCUMENTS, PG),
    Case("JSONB", pg.JSONB, DOCUMENTS, PG),
    Case("pg.UUID", pg.UUID, UUIDS, PG),
    Case("INET", pg.INET, _addresses("10.0.0.1", "10.1.2.3/8", "::1", "fe80::1/64"), PG),
    Case("CIDR", pg.CIDR, tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "2001:db8::/32"))), PG),
    Case("MACADDR", pg.MACADDR, ("08:00:2b:01:02:03",), PG),
    Case("MACADDR8", pg.MACADDR8, ("08:00:2b:01:02:03:04:05",), PG),
    Case("HSTORE", pg.HSTORE, ({"a": "b", "c": None}, {}), PG, "hstore"),
    Case("MutableDict of HSTORE", lambda: MutableDict.as_mutable(pg.HSTORE), (MutableDict(a="b"),), PG, "hstore"),
    Case("CITEXT", pg.CITEXT, TEXTS, PG, "citext"),
    Case("INTERVAL", pg.INTERVAL, (*DURATIONS, timedelta(days=-5, microseconds=-1)), PG),
    Case("ENUM", lambda: pg.ENUM(Colour, name="pg_colour"), tuple(Colour), PG),
    Case("DOMAIN", lambda: pg.DOMAIN("positive", sa.Integer), (5,), PG),
    Case("TSVECTOR", pg.TSVECTOR, ("'fat':2 'rat':3",), PG),
    Case("TSQUERY", pg.TSQUERY, ("'fat' & 'rat'",), PG),
    Case("BYTEA", pg.BYTEA, BYTES, PG),
    Case("MONEY", pg.MONEY, ("$1,000.50",), PG),
    Case("OID", pg.OID, (0, 2**32 - 1), PG),
    Case("REGCLASS", pg.REGCLASS, ("pg_class",), PG),
    Case("REGCONFIG", pg.REGCONFIG, ("english",), PG),
    Case("BIT", lambda: pg.BIT(5), ("10110",), PG),
    Case("BIT varying", lambda: pg.BIT(varying=True), ("1", "0101"), PG),
    Case("pg.TIMESTAMP", lambda: pg.TIMESTAMP(timezone=True), INSTANTS, PG),
    Case("pg.TIME", lambda: pg.TIME(timezone=True), tuple(moment.timetz() for moment in INSTANTS), PG),
    *_ranges("INT4", 1, 5),
    *_ranges("INT8", -(2**62), 2**62),
    *_ranges("NUM", Decimal("1.50"), Decimal("2.25")),
    *_ranges("DATE", date(2026, 1, 1), date(2026, 2, 1)),
    *_ranges("TS", *MOMENTS[1::-1]),
    *_ranges("TSTZ", INSTANTS[1], INSTANTS[0]),
]

MARIADB = [
    Case("TINYINT", my.TINYINT, (-128, 127), MY),
    Case("TINYINT(1)", lambda: my.TINYINT(1), (0, 1), MY),
    Case("TINYINT unsigned", lambda: my.TINYINT(unsigned=True), (255,), MY),
    Case("SMALLINT unsigned", lambda: my.SMALLINT(unsigned=True), (65535,), MY),
    Case("MEDIUMINT", lambda: my.MEDIUMINT(unsigned=True), (2**24 - 1,), MY),
    Case("INTEGER unsigned zerofill", lambda: my.INTEGER(9, unsigned=True, zerofill=True), (42, 2**32 - 1), MY),
    Case("BIGINT unsigned", lambda: my.BIGINT(unsigned=True), (2**64 - 1, 0), MY),
    Case("my.BIT", lambda: my.BIT(1), (0, 1), MY),
    Case("BIT(64)", lambda: my.BIT(64), (2**64 - 1, 5), MY),
    Case("YEAR", my.YEAR, (1901, 2155), MY),
    Case(
        "my.DECIMAL", lambda: my.DECIMAL(65, 30, unsigned=True), (Decimal(10**30), Decimal("0." + "0" * 29 + "1")), MY
    ),
    Case("my.NUMERIC", lambda: my.NUMERIC(20, 6), DECIMALS, MY),
    Case("my.DOUBLE", my.DOUBLE, (Decimal("0.5"),), MY),
    Case("my.DOUBLE asdecimal=False", lambda: my.DOUBLE(asdecimal=False), (0.1, -0.0), MY),
    Case("my.FLOAT", my.FLOAT, (0.5,), MY),
    Case("my.REAL", my.REAL, (Decimal("0.5"),), MY),
    Case("my.TIME", lambda: my.TIME(fsp=6), TIMES, MY),
    Case("my.DATETIME", lambda: my.DATETIME(fsp=6), MOMENTS, MY),
    Case("my.TIMESTAMP", lambda: my.TIMESTAMP(fsp=6), MOMENTS[:1], MY),
    Case("my.ENUM", lambda: my.ENUM("a", "b"), ("a", "b"), MY),
    Case("my.ENUM of a class", lambda: my.ENUM(Colour), tuple(Colour), MY),
    Case("SET", lambda: my.SET("a", "b", "c"), ({"a", "c"}, {"b"}), MY),
    Case("SET by bits", lambda: my.SET("a", "b", "", retrieve_as_bitwise=True), ({"a", ""}, set()), MY),
    Case("MutableSet of SET", lambda: MutableSet.as_mutable(my.SET("a", "b")), (MutableSet({"a"}),), MY),
    Case("my.CHAR", lambda: my.CHAR(5, charset="utf8mb4"), ("abcdü",), MY),
    Case("my.VARCHAR", lambda: my.VARCHAR(50, collation="utf8mb4_bin"), TEXTS, MY),
    Case("TINYTEXT", my.TINYTEXT, TEXTS, MY),
    Case("my.TEXT", my.TEXT, TEXTS, MY),
    Case("MEDIUMTEXT", my.MEDIUMTEXT, TEXTS, MY),
    Case("LONGTEXT", my.LONGTEXT, (*TEXTS, "long" * 50_000), MY),
    Case("my.NCHAR", lambda: my.NCHAR(5), ("abcdü",), MY),
    Case("my.NVARCHAR", lambda: my.NVARCHAR(50), TEXTS, MY),
    Case("my.BINARY", lambda: my.BINARY(3), (b"a\x00c",), MY),
    Case("my.VARBINARY", lambda: my.VARBINARY(9), BYTES, MY),
    Case("TINYBLOB", my.TINYBLOB, BYTES, MY),
    Case("my.BLOB", my.BLOB, BYTES, MY),
    Case("MEDIUMBLOB", my.MEDIUMBLOB, BYTES, MY),
    Case("LONGBLOB", my.LONGBLOB, BYTES, MY),
    Case("my.JSON", my.JSON, DOCUMENTS, MY),
    Case("my.BOOLEAN", my.BOOLEAN, (True, False), MY),
    # SQLAlchemy 2.0 renders them for mariadb:// only, and the tests connect with mysql://.
    Case("INET4", my.INET4, ("10.0.0.1",), MY if sa.__version__ >= "2.1" else ()),
    Case("INET6", my.INET6, ("::1",), MY if sa.__version__ >= "2.1" else ()),
]

CASES = [*GENERIC, *CUSTOM, *SQLITE, *POSTGRESQL, *MARIADB]
