"""What the golden files of values hold: a class with a column of each type, and how to say what its rows hold.

The files were written once with `ROWS`. What they mean stands beside them, in format-1-types.txt, so that a later value
of the type matrix, or a type more, changes nothing about them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import registry

from tests.models.matrix import CASES
from tests.snapshot.test_type_matrix import shape

_LOCAL = timezone(timedelta(seconds=1172))
EDGES: dict[str, tuple[Any, ...]] = {
    "BigInteger": (2**64 - 1, 2**64, -(2**63) - 1, 10**30),
    "Float": (float("nan"), float("inf"), float("-inf"), 5, 2**70),
    "Numeric": (Decimal("NaN"), Decimal("1E+30"), 5, 2**70, 1.5, float("inf")),
    "DateTime timezone": (datetime(1900, 1, 1, tzinfo=_LOCAL), datetime.max.replace(tzinfo=UTC)),
    "Time": (time(1, 2, tzinfo=UTC), time(1, 2, tzinfo=_LOCAL), timedelta(hours=30), timedelta(microseconds=-1)),
    "Interval": (timedelta.min, timedelta.max, timedelta(microseconds=-1)),
    "JSON": (2**70, {"deep": [[[{"": [None, True, 1, 1.0, "1"]}]]]}),
}
_LONG = 200
# SQLAlchemy 2.0 gives them as str and 2.1 as a BitString, so a document of the one cannot be read by the other.
_BY_VERSION = {"BIT", "BIT varying"}
ROWS: dict[str, list[Any]] = {
    case.name: [value for value in (*case.values, *EDGES.get(case.name, ())) if len(repr(value)) < _LONG]
    for case in CASES
    if case.name not in _BY_VERSION
}


def everything(names: Iterable[str]) -> Any:
    """A new class with a column for each of these cases of the type matrix."""
    cases = {case.name: case for case in CASES}
    mappers = registry()
    key = sa.Column("id", sa.Integer, primary_key=True)
    columns = [sa.Column(name, cases[name].make(), nullable=True) for name in names]
    class_ = type("Everything", (), {})
    mappers.map_imperatively(class_, sa.Table("everything", mappers.metadata, key, *columns))
    return class_


def rows() -> Iterator[dict[str, Any]]:
    """What the golden files were made of: the first value of each type, the second ones, …"""
    for values in zip_longest(*ROWS.values()):
        yield dict(zip(ROWS, values, strict=True))


def described(objs: Iterable[Any], names: Iterable[str]) -> str:
    """A line for each value that is not None."""
    columns = list(names)
    found = ((obj.id, name, getattr(obj, name)) for obj in objs for name in columns)
    return "".join(f"{number} {name}: {shape(value)}\n" for number, name, value in found if value is not None)
