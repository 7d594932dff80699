"""One column of each common type, all nullable, with a row of ordinary values (`SAMPLE`) and one of edge values
(`EDGES`).

What the databases make of them is theirs: SQLite and MariaDB drop a time zone, MariaDB rounds to whole seconds.
"""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Date,
    DateTime,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


class AllTypes(Base):
    __tablename__ = "all_types"

    id: Mapped[int] = mapped_column(primary_key=True)
    an_int: Mapped[int | None] = mapped_column(Integer)
    a_float: Mapped[float | None] = mapped_column(Float(53))
    a_str: Mapped[str | None] = mapped_column(String(80))
    a_text: Mapped[str | None] = mapped_column(Text)
    a_bool: Mapped[bool | None] = mapped_column(Boolean)
    some_bytes: Mapped[bytes | None] = mapped_column(LargeBinary)
    a_decimal: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    a_date: Mapped[date | None] = mapped_column(Date)
    a_time: Mapped[time | None] = mapped_column(Time)
    a_datetime: Mapped[datetime | None] = mapped_column(DateTime)
    an_instant: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    a_timedelta: Mapped[timedelta | None] = mapped_column(Interval)
    a_uuid: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    a_colour: Mapped[Colour | None] = mapped_column(Enum(Colour))
    some_json: Mapped[Any] = mapped_column(JSON, nullable=True)


SAMPLE: dict[str, Any] = {
    "an_int": 42,
    "a_float": 0.1,
    "a_str": "plain",
    "a_text": "two\nlines",
    "a_bool": True,
    "some_bytes": b"\x00\x01\xfe\xff",
    "a_decimal": Decimal("12.3450"),
    "a_date": date(2026, 2, 28),
    "a_time": time(13, 37, 1),
    "a_datetime": datetime(2026, 2, 28, 13, 37, 1),
    "an_instant": datetime(2026, 2, 28, 13, 37, 1, tzinfo=UTC),
    "a_timedelta": timedelta(days=1, hours=2, seconds=3),
    "a_uuid": uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "a_colour": Colour.GREEN,
    "some_json": {"list": [1, 2.5, None, True], "nested": {"key": "value"}},
}

EDGES: dict[str, Any] = {
    "an_int": -(2**31),
    "a_float": -1e300,
    "a_str": "",
    "a_text": 'quotes " and \\ and ünïcödé 🦉',
    "a_bool": False,
    "some_bytes": b"",
    "a_decimal": Decimal("-0.0001"),
    "a_date": date(1970, 1, 1),
    "a_time": time(0, 0),
    "a_datetime": datetime(2038, 1, 19, 3, 14, 8),
    "an_instant": datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
    "a_timedelta": timedelta(0),
    "a_uuid": uuid.UUID(int=0),
    "a_colour": Colour.RED,
    "some_json": [],
}
