"""Each codec by itself: random columns are the same after the journey in both encodings, at every depth."""

from __future__ import annotations

import datetime
import ipaddress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.orm import registry

from sojourn.mapping.blueprint import blueprint
from sojourn.snapshot.codecs.codec import Codec
from sojourn.snapshot.values import codec_of
from tests.models import custom_types as custom
from tests.models.all_types import Colour
from tests.models.custom_types import Money, Rights
from tests.snapshot.test_type_matrix import shape

INTS = st.integers()
MICROSECONDS = 10**6
OFFSETS = st.integers(-86399 * MICROSECONDS, 86399 * MICROSECONDS) | st.integers(-1439, 1439).map(
    lambda minutes: minutes * 60 * MICROSECONDS
)
ZONES = OFFSETS.map(lambda offset: datetime.timezone(datetime.timedelta(microseconds=offset)))
MOMENTS = st.datetimes(timezones=st.none() | ZONES | st.just(datetime.UTC)).map(lambda value: value.replace(fold=0))
TIMES = st.times(timezones=st.none() | ZONES).map(lambda value: value.replace(fold=0))
FLOATS = st.floats()
TEXTS = st.text()
DECIMALS = st.decimals() | st.just(Decimal("sNaN12")) | FLOATS | INTS
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | INTS | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=10,
)
ADDRESSES = (
    st.ip_addresses() | TEXTS | st.builds(ipaddress.ip_interface, st.tuples(st.ip_addresses(v=4), st.integers(0, 32)))
)
ANYTHING = (
    st.booleans() | INTS | FLOATS | TEXTS | st.binary() | st.decimals() | st.uuids() | st.dates() | MOMENTS | TIMES
    | st.timedeltas() | st.ip_addresses() | st.builds(Money, st.decimals(allow_nan=False, places=2), st.just("EUR"))
    | st.lists(DOCUMENTS) | st.dictionaries(TEXTS, DOCUMENTS)
)  # fmt: skip


def arrays(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inner = st.lists(st.none() | items)
    return st.lists(st.none() | items | inner | st.lists(inner, max_size=3), max_size=4)


def ranges(bounds: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    limits = st.none() | bounds
    kinds: Any = st.sampled_from(["[)", "(]", "[]", "()"])
    return st.builds(Range, limits, limits, bounds=kinds) | st.just(Range(empty=True))


COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "int": (sa.Integer(), INTS),
    "float": (sa.Float(), FLOATS | INTS),
    "Decimal": (sa.Numeric(), DECIMALS),
    "str": (sa.String(), TEXTS),
    "bytes": (sa.LargeBinary(), st.binary()),
    "date": (sa.Date(), st.dates()),
    "datetime": (sa.DateTime(), MOMENTS),
    "time": (sa.Time(), TIMES | st.timedeltas()),
    "timedelta": (sa.Interval(), st.timedeltas()),
    "UUID": (sa.Uuid(), st.uuids()),
    "Enum": (sa.Enum(Colour), st.sampled_from(Colour)),
    "Flag": (custom.RightsType(), st.sampled_from(Rights)),  # of combinations, too
    "JSON": (sa.JSON(), DOCUMENTS),
    "SET": (mysql.SET("a"), st.sets(TEXTS)),
    "HSTORE": (postgresql.HSTORE(), st.dictionaries(TEXTS, st.none() | TEXTS)),
    "INET": (postgresql.INET(), ADDRESSES),
    "ARRAY of int": (postgresql.ARRAY(sa.Integer), arrays(INTS)),
    "ARRAY of datetime": (postgresql.ARRAY(sa.DateTime), arrays(MOMENTS)),
    "ARRAY of Decimal": (postgresql.ARRAY(sa.Numeric), arrays(DECIMALS)),
    "ARRAY of Enum": (postgresql.ARRAY(sa.Enum(Colour)), arrays(st.sampled_from(Colour))),
    "ARRAY of INET": (postgresql.ARRAY(postgresql.INET), arrays(ADDRESSES)),
    "ARRAY of JSON": (postgresql.ARRAY(sa.JSON), st.lists(DOCUMENTS, max_size=3)),
    "ARRAY of ARRAY of JSON": (
        postgresql.ARRAY(sa.JSON, dimensions=2),
        st.lists(st.lists(DOCUMENTS, max_size=2), max_size=2),
    ),
    "ARRAY of ranges": (postgresql.ARRAY(postgresql.NUMRANGE), arrays(ranges(DECIMALS))),
    "ARRAY of anything": (
        postgresql.ARRAY(custom.IPAddress),
        arrays(ANYTHING.filter(lambda value: type(value) is not list)),
    ),
    "tuple": (postgresql.ARRAY(sa.Integer, as_tuple=True), st.lists(INTS | st.lists(INTS).map(tuple)).map(tuple)),
    "TSTZRANGE": (postgresql.TSTZRANGE(), ranges(MOMENTS)),
    "NUMRANGE": (postgresql.NUMRANGE(), ranges(DECIMALS)),
    "INT8MULTIRANGE": (postgresql.INT8MULTIRANGE(), st.lists(ranges(INTS)).map(MultiRange)),
    "a decorator": (custom.IPAddress(), ANYTHING),
    "nothing known": (custom.Place(), ANYTHING),
}


def _codecs() -> dict[str, Codec]:
    mappers = registry()
    columns = [sa.Column(name, type_) for name, (type_, _) in COLUMNS.items()]
    table = sa.Table("every", mappers.metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    model = type("Every", (), {})
    mappers.map_imperatively(model, table)
    plan = blueprint(model)
    return {name: codec_of(plan, name) for name in COLUMNS}


CODECS = _codecs()


def journey(codec: Codec, values: list[Any], packed: bool) -> list[Any]:
    """A column as the encodings carry it: narrow first, wide where msgspec refuses."""
    encoding: Any = msgspec.msgpack if packed else msgspec.json
    try:
        data = encoding.encode(codec.outgoing(values, packed))
    except OverflowError:
        data = encoding.encode(codec.outgoing(values, packed, wide=True))
    try:
        read = encoding.decode(data, type=list.__class_getitem__(codec.wire))
    except msgspec.ValidationError:
        return list(codec.incoming(encoding.decode(data, type=list.__class_getitem__(codec.widest)), packed))
    return list(read if codec.wide is not None else codec.incoming(read, packed))


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize("name", COLUMNS)
# There are many types, and how long it takes to make values of them says nothing about the code.
@settings(max_examples=settings().max_examples // 4, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_column_of_any_values_is_the_same_after_the_journey(name: str, packed: bool, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.none() | COLUMNS[name][1], max_size=5))
    untouched = shape(values)
    assert shape(journey(CODECS[name], values, packed)) == untouched
    assert shape(values) == untouched
    wide: Any = CODECS[name].outgoing(values, packed, wide=True)
    assert len(wide) == len(values)
