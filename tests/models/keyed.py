"""Rows to be put in order: a column of each kind that databases order and drivers carry in a way of their own."""

from __future__ import annotations

import datetime
import enum
from decimal import Decimal
from uuid import UUID

from sqlalchemy import (
    REAL,
    DateTime,
    Dialect,
    Enum,
    Float,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Numeric,
    String,
    TypeDecorator,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Mood(enum.Enum):
    """In the order of the database's enum, which is not the alphabet's."""

    sulky = "s"
    calm = "c"
    merry = "m"


class Loud(TypeDecorator[str]):
    """Shows what is stored in capitals, and stores what it is given in small letters: no way back to the same."""

    impl = String(20)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.lower()

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else value.upper()


class Entry(Base):
    __tablename__ = "ordered_entry"

    shelf: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    level: Mapped[int]
    title: Mapped[str] = mapped_column(String(20))
    number: Mapped[int | None]
    amount: Mapped[Decimal | None] = mapped_column(Numeric(12, 4))
    rounded: Mapped[float | None] = mapped_column(Numeric(20, 10, asdecimal=False))
    single: Mapped[float | None] = mapped_column(REAL().with_variant(mysql.FLOAT(), "mysql", "mariadb"))
    double: Mapped[float | None] = mapped_column(Float(53))
    name: Mapped[str | None] = mapped_column(String(20))
    loud: Mapped[str | None] = mapped_column(Loud)
    instant: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))
    day: Mapped[datetime.date | None]
    hour: Mapped[datetime.time | None]
    token: Mapped[UUID | None]
    data: Mapped[bytes | None] = mapped_column(LargeBinary(20))
    flag: Mapped[bool | None]
    mood: Mapped[Mood | None] = mapped_column(Enum(Mood, name="ordered_mood"))

    marks: Mapped[list[Mark]] = relationship(order_by="Mark.id")


class Mark(Base):
    __tablename__ = "ordered_mark"
    __table_args__ = (
        ForeignKeyConstraint(["shelf", "code"], ["ordered_entry.shelf", "ordered_entry.code"], ondelete="CASCADE"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf: Mapped[int]
    code: Mapped[str] = mapped_column(String(10))
    colour: Mapped[str] = mapped_column(String(10))


class NarrowBase(DeclarativeBase):
    """Apart from the others: nobody creates this table from its mapping."""


class Narrow(NarrowBase):
    """A mapping whose types hold less than the columns that the test makes."""

    __tablename__ = "ordered_narrow"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    whole: Mapped[int] = mapped_column(Integer)
    part: Mapped[Decimal] = mapped_column(Numeric(4, 2))
    letters: Mapped[str] = mapped_column(String(3))
    filled: Mapped[str] = mapped_column(String(9))
    moment: Mapped[datetime.datetime] = mapped_column(DateTime)
    real: Mapped[float] = mapped_column(Float(53))
