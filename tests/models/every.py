"""What the table of mappings (tests/mappings/) has and the other modules have not: a natural key that changes with its
references (Currency, Price), children that the database deletes (Rack, Slot), version counters that are no integers
(Ledger, Journal) or the database's own (Stock), an Enum (Lamp), a table in a schema (Plot, Tree), one whose schema is
told later (Ship, Sailor), tables without keys between them for several databases (Account, Entry), and a class with
validators and events (Form, Field)."""

from __future__ import annotations

import enum
import os
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Enum, FetchedValue, ForeignKey, MetaData, String
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship, validates
from sqlalchemy.types import UserDefinedType


class Base(DeclarativeBase):
    pass


class Currency(Base):
    __tablename__ = "currency"

    code: Mapped[str] = mapped_column(String(3), primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

    prices: Mapped[list[Price]] = relationship(
        back_populates="currency", cascade="all, delete-orphan", order_by="Price.id", passive_updates=True
    )


class Price(Base):
    __tablename__ = "price"

    id: Mapped[int] = mapped_column(primary_key=True)
    currency_code: Mapped[str] = mapped_column(ForeignKey("currency.code", onupdate="CASCADE"))
    cents: Mapped[int]

    currency: Mapped[Currency] = relationship(back_populates="prices")


class Rack(Base):
    __tablename__ = "rack"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

    slots: Mapped[list[Slot]] = relationship(
        back_populates="rack", cascade="all, delete-orphan", passive_deletes=True, order_by="Slot.id"
    )


class Slot(Base):
    __tablename__ = "slot"

    id: Mapped[int] = mapped_column(primary_key=True)
    rack_id: Mapped[int] = mapped_column(ForeignKey("rack.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(40))

    rack: Mapped[Rack] = relationship(back_populates="slots")
    things: Mapped[list[Thing]] = relationship(
        back_populates="slot", cascade="all, delete-orphan", passive_deletes=True, order_by="Thing.id"
    )


class Thing(Base):
    __tablename__ = "thing"

    id: Mapped[int] = mapped_column(primary_key=True)
    slot_id: Mapped[int] = mapped_column(ForeignKey("slot.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(40))

    slot: Mapped[Slot] = relationship(back_populates="things")


class Ledger(Base):
    __tablename__ = "ledger"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    total: Mapped[int]
    stamp: Mapped[str] = mapped_column(String(32))

    __mapper_args__ = {"version_id_col": stamp, "version_id_generator": lambda _: uuid.uuid4().hex}


class Journal(Base):
    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    total: Mapped[int]
    edited: Mapped[datetime] = mapped_column(DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb"))

    __mapper_args__ = {"version_id_col": edited, "version_id_generator": lambda _: datetime.now()}


class ServerBase(DeclarativeBase):
    """Apart from the others, because only PostgreSQL has what it needs."""


class TransactionId(UserDefinedType[str]):
    """PostgreSQL's xid: a String would be cast, and cannot be compared with one."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "XID"


class Stock(ServerBase):
    __tablename__ = "stock"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    total: Mapped[int]
    xmin: Mapped[str] = mapped_column("xmin", TransactionId, system=True, server_default=FetchedValue())

    __mapper_args__ = {"version_id_col": xmin, "version_id_generator": False}


class Light(enum.Enum):
    RED = "r"
    AMBER = "a"
    GREEN = "g"


class Lamp(Base):
    __tablename__ = "lamp"

    id: Mapped[int] = mapped_column(primary_key=True)
    shows: Mapped[Light] = mapped_column(Enum(Light))
    next: Mapped[Light | None] = mapped_column(Enum(Light, native_enum=False, length=10))


# A schema is as wide as the server on MariaDB, so each test process has its own.
SCHEMA = f"sojourn_schema_{os.getpid()}"


class SchemaBase(DeclarativeBase):
    metadata = MetaData(schema=SCHEMA)


class Plot(SchemaBase):
    __tablename__ = "plot"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    size: Mapped[int]

    plants: Mapped[list[Plant]] = relationship(back_populates="plot", cascade="all, delete-orphan", order_by="Plant.id")


class Plant(SchemaBase):
    __tablename__ = "plant"

    id: Mapped[int] = mapped_column(primary_key=True)
    plot_id: Mapped[int] = mapped_column(ForeignKey(f"{SCHEMA}.plot.id"))
    name: Mapped[str] = mapped_column(String(40))

    plot: Mapped[Plot] = relationship(back_populates="plants")


class TenantBase(DeclarativeBase):
    metadata = MetaData(schema="tenant")


class Ship(TenantBase):
    __tablename__ = "ship"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    tons: Mapped[int]

    sailors: Mapped[list[Sailor]] = relationship(
        back_populates="ship", cascade="all, delete-orphan", order_by="Sailor.id"
    )


class Sailor(TenantBase):
    __tablename__ = "sailor"

    id: Mapped[int] = mapped_column(primary_key=True)
    ship_id: Mapped[int] = mapped_column(ForeignKey("tenant.ship.id"))
    name: Mapped[str] = mapped_column(String(40))

    ship: Mapped[Ship] = relationship(back_populates="sailors")


class ApartBase(DeclarativeBase):
    """Tables that may stand in different databases: no foreign key leads from one to the other."""


class Account(ApartBase):
    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    region: Mapped[str] = mapped_column(String(10))

    entries: Mapped[list[Entry]] = relationship(
        primaryjoin=lambda: Account.id == foreign(Entry.account_id),
        back_populates="account",
        cascade="all, delete-orphan",
        order_by="Entry.id",
    )


class Entry(ApartBase):
    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int]
    cents: Mapped[int]

    account: Mapped[Account] = relationship(
        primaryjoin=lambda: Account.id == foreign(Entry.account_id), back_populates="entries"
    )


class Form(Base):
    __tablename__ = "form"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(40))
    place: Mapped[str | None] = mapped_column(String(40))

    fields: Mapped[list[Field]] = relationship(back_populates="form", cascade="all, delete-orphan", order_by="Field.id")

    @validates("title", "place")
    def tidied(self, _key: str, value: str | None) -> str | None:
        return value and value.strip()

    @validates("fields")
    def named(self, _key: str, field: Field) -> Field:
        if not field.name:
            raise ValueError("a field needs a name")
        return field


class Field(Base):
    __tablename__ = "field"

    id: Mapped[int] = mapped_column(primary_key=True)
    form_id: Mapped[int] = mapped_column(ForeignKey("form.id"))
    name: Mapped[str] = mapped_column(String(40))

    form: Mapped[Form] = relationship(back_populates="fields")

    def __init__(self, name: str, **others: Any) -> None:
        super().__init__(name=name, **others)
