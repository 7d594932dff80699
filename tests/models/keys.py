"""Keys and names: a composite primary key that a child refers to (Shelf, Book), a tree that refers to itself (Node),
natural keys that nobody generates (Country), client-made UUID keys (Ticket), and columns that are named other than
their attributes, the primary key too (Legacy)."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Shelf(Base):
    __tablename__ = "shelf"

    room: Mapped[str] = mapped_column(String(10), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str | None] = mapped_column(String(40))

    books: Mapped[list[Book]] = relationship(back_populates="shelf", order_by="Book.id")


class Book(Base):
    __tablename__ = "book"
    __table_args__ = (ForeignKeyConstraint(["shelf_room", "shelf_number"], ["shelf.room", "shelf.number"]),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    shelf_room: Mapped[str | None] = mapped_column(String(10))
    shelf_number: Mapped[int | None]

    shelf: Mapped[Shelf | None] = relationship(back_populates="books")


class Node(Base):
    __tablename__ = "node"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    name: Mapped[str] = mapped_column(String(40))

    parent: Mapped[Node | None] = relationship(back_populates="children", remote_side="Node.id")
    children: Mapped[list[Node]] = relationship(
        back_populates="parent", cascade="all, delete-orphan", order_by="Node.id"
    )


class Country(Base):
    __tablename__ = "country"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(60))


class Ticket(Base):
    __tablename__ = "ticket"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    subject: Mapped[str] = mapped_column(String(80))
    country_code: Mapped[str | None] = mapped_column(ForeignKey("country.code"))

    country: Mapped[Country | None] = relationship()


class Legacy(Base):
    __tablename__ = "tbl_legacy"

    id: Mapped[int] = mapped_column("LEGACY_NO", primary_key=True)
    name: Mapped[str] = mapped_column("nm", String(40))
    parent_id: Mapped[int | None] = mapped_column("par_no", ForeignKey("tbl_legacy.LEGACY_NO"))

    parent: Mapped[Legacy | None] = relationship(remote_side="Legacy.id")
