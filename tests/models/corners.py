"""What attach meets seldom: a collection and its reference through a unique column that is no primary key (Depot,
Truck), a one-to-one that an owned object owns (Truck, Papers), a reference whose join condition says more than a
foreign key (Truck.spot), a collection without a way back (Depot.tools), a foreign key that is deferred (Tool.owner_id),
a dict of objects with a deferred column (Depot.crates), and one of shared objects that know who shares them
(Depot.signs)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table, and_
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, deferred, mapped_column, relationship


class Base(DeclarativeBase):
    pass


depot_sign = Table(
    "corner_depot_sign",
    Base.metadata,
    Column("depot_id", ForeignKey("corner_depot.id"), primary_key=True),
    Column("sign_id", ForeignKey("corner_sign.id"), primary_key=True),
)


class Depot(Base):
    __tablename__ = "corner_depot"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(10), unique=True)

    trucks: Mapped[list[Truck]] = relationship(
        back_populates="depot", cascade="all, delete-orphan", order_by="Truck.id"
    )
    tools: Mapped[list[Tool]] = relationship(order_by="Tool.id")
    crates: Mapped[dict[str, Crate]] = relationship(
        collection_class=attribute_keyed_dict("label"), cascade="all, delete-orphan"
    )
    signs: Mapped[dict[str, Sign]] = relationship(
        secondary=depot_sign, back_populates="depots", collection_class=attribute_keyed_dict("text")
    )


class Sign(Base):
    __tablename__ = "corner_sign"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(10))

    depots: Mapped[list[Depot]] = relationship(secondary=depot_sign, back_populates="signs", order_by="Depot.id")


class Spot(Base):
    __tablename__ = "corner_spot"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(10))


class Truck(Base):
    __tablename__ = "corner_truck"

    id: Mapped[int] = mapped_column(primary_key=True)
    plate: Mapped[str] = mapped_column(String(10))
    depot_code: Mapped[str | None] = mapped_column(ForeignKey("corner_depot.code"))
    spot_id: Mapped[int | None] = mapped_column(ForeignKey("corner_spot.id"))

    depot: Mapped[Depot | None] = relationship(back_populates="trucks")
    papers: Mapped[Papers | None] = relationship(back_populates="truck", cascade="all, delete-orphan")
    spot: Mapped[Spot | None] = relationship(primaryjoin=lambda: and_(Truck.spot_id == Spot.id, Spot.state == "open"))


class Papers(Base):
    __tablename__ = "corner_papers"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(10))
    truck_id: Mapped[int | None] = mapped_column(ForeignKey("corner_truck.id"))

    truck: Mapped[Truck | None] = relationship(back_populates="papers")


class Owner(Base):
    __tablename__ = "corner_owner"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))


class Tool(Base):
    __tablename__ = "corner_tool"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(10))
    depot_id: Mapped[int | None] = mapped_column(ForeignKey("corner_depot.id"))
    owner_id: Mapped[int | None] = deferred(mapped_column(ForeignKey("corner_owner.id")))

    owner: Mapped[Owner | None] = relationship()


class Crate(Base):
    __tablename__ = "corner_crate"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(10))
    depot_id: Mapped[int | None] = mapped_column(ForeignKey("corner_depot.id"))
    content: Mapped[str | None] = deferred(mapped_column(String(10)))
