"""What the other modules have not: a dynamic, a write-only, a one-way and an ordering collection (Box), a mutable
composite (Corner), a class that cannot be compared, hashed by value or printed (Pin), a type that makes a dict of a
string (Labels), a class that sets itself up when it is loaded (Watched), a reference that owns its target and a dict
of shared members (Album, Cover, Sticker), an SQL expression (Album.length), an association object that nothing owns
(Stay), and composite references that overlap, in a key (Stay) and beside it (Complaint), and a collection that is no
list, set or dict (Desk.papers)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Column, Dialect, ForeignKey, ForeignKeyConstraint, Integer, String, Table, TypeDecorator, func
from sqlalchemy.ext.mutable import MutableComposite
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    attribute_keyed_dict,
    column_property,
    composite,
    mapped_column,
    reconstructor,
    relationship,
)
from sqlalchemy.orm.collections import collection


class Base(DeclarativeBase):
    pass


class Labels(TypeDecorator[dict[str, str]]):
    """A dict, kept as a string."""

    impl = String(200)
    cache_ok = True

    def process_bind_param(self, value: dict[str, str] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, str] | None:
        return None if value is None else json.loads(value)


class Corner(MutableComposite):
    """The value of a composite that is changed in place."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __setattr__(self, key: str, value: int) -> None:
        object.__setattr__(self, key, value)
        self.changed()

    def __composite_values__(self) -> tuple[int, int]:
        return self.x, self.y


class Box(Base):
    __tablename__ = "box"

    id: Mapped[int] = mapped_column(primary_key=True)
    labels: Mapped[dict[str, str] | None] = mapped_column(Labels)
    corner: Mapped[Corner] = composite(mapped_column("x", Integer), mapped_column("y", Integer))

    balls: DynamicMapped[Ball] = relationship(back_populates="box")
    cubes: WriteOnlyMapped[Cube] = relationship(
        back_populates="box", cascade="all, delete-orphan", passive_deletes=True
    )
    pins: Mapped[list[Pin]] = relationship(
        collection_class=ordering_list("position"), order_by="Pin.position", cascade="all, delete-orphan"
    )


class Ball(Base):
    __tablename__ = "ball"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))

    box: Mapped[Box | None] = relationship(back_populates="balls")


class Cube(Base):
    __tablename__ = "cube"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id", ondelete="cascade"))

    box: Mapped[Box | None] = relationship(back_populates="cubes")


class Pin(Base):
    __tablename__ = "pin"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    position: Mapped[int | None]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("two pins were compared")

    def __hash__(self) -> int:
        raise AssertionError("a pin was hashed")

    def __repr__(self) -> str:
        raise AssertionError("a pin was printed")


class Watched(Base):
    __tablename__ = "watched"

    code: Mapped[str] = mapped_column(String(10), primary_key=True)

    def __init__(self, code: str) -> None:
        self.code = code
        self.made_by = "__init__"

    @reconstructor
    def rebuilt(self) -> None:
        self.made_by = "reconstructor"


album_sticker = Table(
    "album_sticker",
    Base.metadata,
    Column("album_id", ForeignKey("album.id"), primary_key=True),
    Column("sticker_id", ForeignKey("sticker.id"), primary_key=True),
)


class Cover(Base):
    __tablename__ = "cover"

    id: Mapped[int] = mapped_column(primary_key=True)
    colour: Mapped[str] = mapped_column(String(20))


class Sticker(Base):
    __tablename__ = "sticker"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class Album(Base):
    __tablename__ = "album"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(20))
    cover_id: Mapped[int | None] = mapped_column(ForeignKey("cover.id"))
    length: Mapped[int] = column_property(func.length(title))

    cover: Mapped[Cover | None] = relationship(cascade="all, delete-orphan", single_parent=True)
    stickers: Mapped[dict[str, Sticker]] = relationship(
        secondary=album_sticker, collection_class=attribute_keyed_dict("name")
    )


class Room(Base):
    __tablename__ = "room"

    hotel: Mapped[str] = mapped_column(String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Guest(Base):
    __tablename__ = "guest"

    hotel: Mapped[str] = mapped_column(String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)

    stays: Mapped[list[Stay]] = relationship(back_populates="guest", order_by="Stay.room_number")


class Stay(Base):
    __tablename__ = "stay"
    __table_args__ = (
        ForeignKeyConstraint(["hotel", "room_number"], ["room.hotel", "room.number"]),
        ForeignKeyConstraint(["hotel", "guest_number"], ["guest.hotel", "guest.number"]),
    )

    hotel: Mapped[str] = mapped_column(String(10), primary_key=True)
    room_number: Mapped[int] = mapped_column(primary_key=True)
    guest_number: Mapped[int] = mapped_column(primary_key=True)
    nights: Mapped[int]

    room: Mapped[Room] = relationship(overlaps="guest,stays")
    guest: Mapped[Guest] = relationship(back_populates="stays", overlaps="room,stays")


class Complaint(Base):
    __tablename__ = "complaint"
    __table_args__ = (
        ForeignKeyConstraint(["hotel", "room_number"], ["room.hotel", "room.number"]),
        ForeignKeyConstraint(["hotel", "guest_number"], ["guest.hotel", "guest.number"]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    hotel: Mapped[str | None] = mapped_column(String(10))
    room_number: Mapped[int | None]
    guest_number: Mapped[int | None]

    room: Mapped[Room | None] = relationship(overlaps="guest")
    guest: Mapped[Guest | None] = relationship(overlaps="room")


class Pile(Collection[Any]):
    """A collection of a class of its own."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    @collection.appender  # type: ignore[untyped-decorator]  # SQLAlchemy leaves it untyped
    def push(self, item: Any) -> None:
        self.held.append(item)

    @collection.remover  # type: ignore[untyped-decorator]  # the same
    def drop(self, item: Any) -> None:
        self.held.remove(item)

    @collection.iterator  # type: ignore[untyped-decorator]  # the same
    def __iter__(self) -> Iterator[Any]:
        return iter(self.held)

    def __contains__(self, item: object) -> bool:
        return item in self.held

    def __len__(self) -> int:
        return len(self.held)


class Desk(Base):
    __tablename__ = "desk"

    id: Mapped[int] = mapped_column(primary_key=True)

    papers: Mapped[Pile] = relationship(
        "Paper", collection_class=Pile, back_populates="desk", order_by="Paper.id", cascade="all, delete-orphan"
    )


class Paper(Base):
    __tablename__ = "paper"

    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[int | None] = mapped_column(ForeignKey("desk.id"))

    desk: Mapped[Desk | None] = relationship(back_populates="papers")
