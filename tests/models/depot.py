"""Three floors that own each other, all of one form, and tags that are shared: depots hold shelves, shelves hold boxes,
boxes bear tags. A label says who a row is for its whole life, and SQLite gives no key twice."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Depot(Base):
    __tablename__ = "depot"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(20), unique=True)
    a: Mapped[int]
    b: Mapped[int]

    children: Mapped[list[Shelf]] = relationship(
        back_populates="parent", cascade="all, delete-orphan", order_by="Shelf.id"
    )


class Shelf(Base):
    __tablename__ = "shelf"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("depot.id"), index=True)
    label: Mapped[str] = mapped_column(String(20), unique=True)
    a: Mapped[int]
    b: Mapped[int]

    parent: Mapped[Depot] = relationship(back_populates="children")
    children: Mapped[list[Box]] = relationship(back_populates="parent", cascade="all, delete-orphan", order_by="Box.id")


box_tag = Table(
    "box_tag",
    Base.metadata,
    Column("box_id", ForeignKey("box.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Box(Base):
    __tablename__ = "box"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"), index=True)
    label: Mapped[str] = mapped_column(String(20), unique=True)
    a: Mapped[int]
    b: Mapped[int]

    parent: Mapped[Shelf] = relationship(back_populates="children")
    tags: Mapped[list[Tag]] = relationship(secondary=box_tag, back_populates="boxes", order_by="Tag.id")


class Tag(Base):
    __tablename__ = "tag"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(20), unique=True)

    boxes: Mapped[list[Box]] = relationship(secondary=box_tag, back_populates="tags", order_by="Box.id")
