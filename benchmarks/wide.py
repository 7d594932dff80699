"""The data set "wide": one table of 25 mixed columns, no relationships. It shows what values cost, as the graph shows
what objects cost. And its judge.

The rows depend on nothing but their number, so they are made anew where they are wanted: kept, they would be many more
objects for the garbage collector to look at, in every side's time. Each value is such that SQLite gives back what was
written.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Enum,
    Float,
    LargeBinary,
    Numeric,
    SmallInteger,
    String,
    Text,
    insert,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.types import TypeDecorator

from benchmarks.place import Place, Row, WrongResultError, as_row, compare, types_of


class Base(DeclarativeBase):
    pass


class Grade(enum.Enum):
    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


class Instant(TypeDecorator[datetime]):
    """A datetime with its zone. SQLite drops zones, so there it is written as UTC and read as that."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None or value.tzinfo is not None else value.replace(tzinfo=UTC)


class Record(Base):
    __tablename__ = "record"

    id: Mapped[int] = mapped_column(primary_key=True)
    rank: Mapped[int] = mapped_column(SmallInteger)
    count: Mapped[int]
    visits: Mapped[int | None]
    serial: Mapped[int] = mapped_column(BigInteger)
    offset: Mapped[int | None] = mapped_column(BigInteger)
    code: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(120))
    city: Mapped[str | None] = mapped_column(String(80))
    note: Mapped[str | None] = mapped_column(Text)
    ratio: Mapped[float] = mapped_column(Float(53))
    score: Mapped[float | None] = mapped_column(Float(53))
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    weight: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    active: Mapped[bool]
    checked: Mapped[bool | None]
    born: Mapped[date]
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime | None]
    seen_at: Mapped[datetime] = mapped_column(Instant)
    token: Mapped[UUID]
    grade: Mapped[Grade | None] = mapped_column(Enum(Grade))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)


COLUMNS = tuple(Record.__table__.columns.keys())
FULL = 20_000
SMALL = 60

_CITIES = ("Antwerp", "Bergen", "Cork", "Delft", "Évora", None)
_GRADES = (*Grade, None)
_SENTENCE = "Left with the neighbours on the second floor. "
_FIRST_DAY = datetime(2026, 1, 1, 8, 30)


class Wide(Place):
    """The wide table in one database."""

    data = "wide"
    base = Base

    def __init__(self, name: str, engine: Engine, count: int) -> None:
        super().__init__(name, engine)
        self._count = count
        Base.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(insert(Record), list(rows(count)))
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))  # before the first round, not by the server somewhere between two sides

    @property
    def objects(self) -> int:
        return self._count

    def load(self, session: Session) -> list[Record]:
        return list(session.scalars(select(Record).order_by(Record.id)))

    def expect_objects(self, roots: Sequence[Record]) -> None:
        try:
            found = [{key: getattr(record, key) for key in COLUMNS} for record in roots]
        except DetachedInstanceError as error:
            raise WrongResultError(f"not everything is loaded: {error}") from error
        compare("record", found, rows(self._count))

    def expect_plain(self, roots: Sequence[Row]) -> None:
        types = types_of(rows(self._count))
        compare("record", [as_row(row, types) for row in roots], rows(self._count))


def rows(count: int) -> Iterator[Row]:
    """`count` rows, by attribute."""
    return map(_row, range(1, count + 1))


def _row(id_: int) -> Row:
    return {
        "id": id_,
        "rank": id_ % 100,
        "count": id_ * 37 % 1_000_000,
        "visits": None if id_ % 7 == 0 else id_ * 11 % 50_000,
        "serial": 4_000_000_000_000_000_000 + id_ * 7919,
        "offset": None if id_ % 5 == 0 else -(id_ * 104_729_000_003),
        "code": f"C{id_ * 7 % 10_000:04d}",
        "name": f"Customer number {id_}",
        "email": f"customer{id_}@mail{id_ % 13}.example.org",
        "city": _CITIES[id_ % len(_CITIES)],
        "note": None if id_ % 3 == 0 else _SENTENCE * (id_ % 4 + 1),
        "ratio": id_ / 7,
        "score": None if id_ % 4 == 0 else (id_ * 31 % 1000) / 8,
        "price": Decimal(id_ * 89 % 1_000_000) / 100,
        "weight": None if id_ % 6 == 0 else Decimal(id_ * 1237 % 10_000_000) / 10_000,
        "active": id_ % 2 == 0,
        "checked": None if id_ % 9 == 0 else id_ % 3 == 0,
        "born": date(1950, 1, 1) + timedelta(days=id_ * 13 % 25_000),
        "created_at": _FIRST_DAY + timedelta(minutes=37 * id_),
        "changed_at": None
        if id_ % 8 == 0
        else _FIRST_DAY + timedelta(seconds=97 * id_, microseconds=id_ * 1009 % 10**6),
        "seen_at": (_FIRST_DAY + timedelta(seconds=61 * id_, microseconds=id_ * 499 % 10**6)).replace(tzinfo=UTC),
        "token": UUID(int=id_ * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128, version=4),
        "grade": _GRADES[id_ % len(_GRADES)],
        "digest": (id_ * 0x9E3779B97F4A7C15).to_bytes(12, "big") * (id_ % 3 + 1),
        "extra": {
            "tags": ["new", "gift"][: id_ % 3],
            "level": id_ % 10,
            "from": {"shop": id_ % 40, "paid": id_ % 2 == 0},
        },
    }
