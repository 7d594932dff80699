"""The codecs of Python's own scalar types, by type and by name."""

from __future__ import annotations

import datetime
from decimal import Decimal
from uuid import UUID

from sojourn.snapshot.codecs.codec import Codec, plain
from sojourn.snapshot.codecs.numbers import DECIMAL, FLOAT, INT
from sojourn.snapshot.codecs.times import DATE, DATETIME, TIME, TIMEDELTA

STR = plain(str)
BYTES = plain(bytes)

SCALARS: dict[type, Codec] = {
    int: INT,
    float: FLOAT,
    Decimal: DECIMAL,
    bool: plain(bool),
    str: STR,
    bytes: BYTES,
    UUID: plain(UUID),
    datetime.date: DATE,
    datetime.datetime: DATETIME,
    datetime.time: TIME,
    datetime.timedelta: TIMEDELTA,
}
"""What a column says its Python type is, to how its values travel."""
