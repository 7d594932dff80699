"""Rows that are written while they are read make the document that all rows at once would make, or the same error."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any, Literal

import msgspec
import pytest
from sqlalchemy import JSON, DateTime, ForeignKey, Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, make_transient_to_detached, mapped_column, relationship

from sojourn.errors import SnapshotError, UncommittedError
from sojourn.mapping.blueprint import blueprint
from sojourn.snapshot import document, dumps
from sojourn.snapshot.capture import capture
from sojourn.snapshot.encoding import JSON as JSON_ENCODING
from sojourn.snapshot.encoding import MESSAGEPACK, encode
from sojourn.snapshot.writing import RowWriter
from tests.databases import Database

Format = Literal["json", "msgpack"]
both = pytest.mark.parametrize("format_", ["json", "msgpack"])
MANY = 1200
LATE = 900


class Base(DeclarativeBase):
    pass


class Kind(enum.Enum):
    LETTER = 1
    BOX = 2


class Parcel(Base):
    __tablename__ = "parcel"

    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    kind: Mapped[Kind | None]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    weight: Mapped[float]
    sent_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    extra: Mapped[Any] = mapped_column(JSON)
    part_of_id: Mapped[int | None] = mapped_column(ForeignKey("parcel.id"))

    part_of: Mapped[Parcel | None] = relationship(remote_side="Parcel.id")


class Stamp(Base):
    __tablename__ = "stamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))


def parcel(id_: int, **values: Any) -> Parcel:
    usual: dict[str, Any] = {
        "id": id_,
        "size": id_ * 3,
        "kind": (*Kind, None)[id_ % 3],
        "price": Decimal(id_) / 4,
        "weight": id_ / 7,
        "sent_at": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=id_),
        "extra": {"tags": ["a", id_]},
        "part_of_id": None,
    }
    obj = Parcel(**(usual | values))
    make_transient_to_detached(obj)
    return obj


def parcels(count: int, **late: Any) -> list[Parcel]:
    """As many, of which one that comes late has other values."""
    return [parcel(number, **(late if number == LATE else {})) for number in range(count)]


def at_once(objs: list[Any], format_: Format) -> bytes:
    """The document from all rows at once."""
    return encode(capture(objs), MESSAGEPACK if format_ == "msgpack" else JSON_ENCODING)


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time that `dumps` reads a graph, whether it writes meanwhile."""
    made: list[bool] = []

    def heard(objs: Any, *sink: Any) -> Any:
        made.append(bool(sink))
        return capture(objs, *sink)

    monkeypatch.setattr(document, "capture", heard)
    return made


@both
@pytest.mark.parametrize("count", [0, 1, 15, 16, 499, 500, 501, MANY])
def test_any_number_of_rows_makes_the_same_document(count: int, format_: Format, readings: list[bool]) -> None:
    objs = parcels(count)
    assert dumps(objs, format=format_) == at_once(objs, format_)
    assert readings == [True]


@both
def test_objects_that_are_met_one_by_one_make_the_same_document(format_: Format, readings: list[bool]) -> None:
    chain = parcels(MANY)
    for one, following in pairwise(chain):
        one.__dict__["part_of"] = following
    chain[-1].__dict__["part_of"] = None
    assert dumps(chain[0], format=format_) == at_once(chain[:1], format_)
    assert readings == [True]


@both
def test_tables_that_are_read_by_turns_make_the_same_document(format_: Format, readings: list[bool]) -> None:
    stamps = [Stamp(id=number, price=Decimal(number)) for number in range(MANY)]
    pairs = zip(parcels(MANY), stamps, strict=True)
    objs = [obj for pair in pairs for obj in pair]
    objs += [Stamp(), parcel(MANY)]
    assert dumps(objs, format=format_) == at_once(objs, format_)
    assert readings == [True]


@both
@pytest.mark.parametrize(
    "late",
    [
        {"price": 1.5},
        {"price": float("nan")},
        {"weight": float("inf")},
        {"weight": 2},
        {"sent_at": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))},
        {"sent_at": datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=1172)))},
        {"extra": None},
    ],
    ids=str,
)
def test_a_value_of_another_form_in_a_late_row_is_written_as_ever(
    late: dict[str, Any], format_: Format, readings: list[bool]
) -> None:
    objs = parcels(MANY, **late)
    assert dumps(objs, format=format_) == at_once(objs, format_)
    assert readings == [True]


@pytest.mark.parametrize("late", [{"size": 2**70}, {"extra": [2**70]}, {"price": 2**70}], ids=str)
def test_what_messagepack_has_no_form_for_gets_its_own_when_all_is_read_again(
    late: dict[str, Any], readings: list[bool]
) -> None:
    objs = parcels(MANY, **late)
    assert dumps(objs, format="msgpack") == at_once(objs, "msgpack")
    assert readings == [True, False]


def test_a_base_that_messagepack_has_no_form_for_gets_its_own_too(readings: list[bool]) -> None:
    objs = parcels(MANY, size=2**70)
    objs[LATE].size = 7
    assert dumps(objs, format="msgpack") == at_once(objs, "msgpack")
    assert readings == [True, False]


@both
@pytest.mark.parametrize("late", [{"size": "7"}, {"extra": (1,)}, {"extra": float("nan")}, {"price": "1"}], ids=str)
def test_a_value_that_cannot_travel_is_named(late: dict[str, Any], format_: Format) -> None:
    with pytest.raises(SnapshotError) as caught:
        dumps(parcels(MANY, **late), format=format_)
    (key,) = late
    assert caught.value.where == f"Parcel.{key}"
    assert caught.value.what.startswith(f"Parcel({LATE}) ")


@both
def test_a_base_that_cannot_travel_is_named(format_: Format) -> None:
    objs = parcels(MANY, extra=(1,))
    objs[LATE].extra = [1]
    with pytest.raises(SnapshotError, match=rf"Parcel.extra: Parcel\({LATE}\) holds a tuple"):
        dumps(objs, format=format_)


def test_text_that_is_not_unicode_is_named() -> None:
    with pytest.raises(
        SnapshotError, match=rf"Parcel.extra: Parcel\({LATE}\) holds a value of the type dict that JSON"
    ):
        dumps(parcels(MANY, extra={"a": "\ud800"}))


def test_two_instances_of_one_row_far_apart_are_refused() -> None:
    objs = parcels(MANY)
    with pytest.raises(SnapshotError, match="two instances of this row") as caught:
        dumps([*objs, parcel(3)])
    assert caught.value.where == "Parcel(3)"


def test_what_is_not_committed_is_told_before_a_value_that_cannot_travel(sqlite: Database) -> None:
    sqlite.create(Base.metadata)
    with Session(sqlite.engine) as session:
        one = Stamp(id=1, price=Decimal(1))
        session.add(one)
        session.flush()
        with pytest.raises(UncommittedError):
            dumps([*parcels(3, size="7"), one, parcel(7, size="7")])


@pytest.mark.parametrize("count", [15, 16, 2**16 - 1, 2**16, 70_000])
def test_an_array_of_any_length_has_its_length(count: int) -> None:
    writer = RowWriter(MESSAGEPACK, blueprint(Stamp), ("id",))
    rows = [(number,) for number in range(count)]
    for start in range(0, count, 30_000):
        writer.write(rows[start : start + 30_000], {(int,)})
    read: Callable[[bytes], Any] = msgspec.msgpack.decode
    assert read(b"".join(writer.written())) == list(map(list, rows))
