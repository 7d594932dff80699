"""What an API may meet: descriptions (Book), decorated types that say what their values are and that do not (Book),
discriminators that are an SQL expression (Parcel, Letter) and that may be null (Figure, Circle), an abstract class
(Round), references that are always there and that are not (Chapter), a dict of members that refers to its own class
(Folder), and a collection that a function makes (Folder.pages)."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Dialect, ForeignKey, String, TypeDecorator, case
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, column_property, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Silent(TypeDecorator[dict[str, Any]]):
    """A dict, kept as a string; it does not say so."""

    impl = String(200)
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else json.loads(value)


class Speaking(Silent):
    """The same, and it says so."""

    cache_ok = True

    @property
    def python_type(self) -> type[dict[str, Any]]:
        return dict


class Book(Base):
    __tablename__ = "published_book"
    __table_args__ = {"comment": "What we have in print."}

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80), comment="As on the cover.", doc="The title.")
    blurb: Mapped[str | None] = mapped_column(String(200), comment="For the back.")
    silent: Mapped[dict[str, Any] | None] = mapped_column(Silent)
    speaking: Mapped[dict[str, Any]] = mapped_column(Speaking)

    chapters: Mapped[list[Chapter]] = relationship(
        order_by="Chapter.id", back_populates="book", foreign_keys="Chapter.book_id", doc="In their order."
    )


class Chapter(Base):
    __tablename__ = "published_chapter"

    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int] = mapped_column(ForeignKey("published_book.id"))
    quotes_id: Mapped[int | None] = mapped_column(ForeignKey("published_book.id"))
    name: Mapped[str] = mapped_column(String(5))
    twice: Mapped[str] = column_property(name + name)

    book: Mapped[Book] = relationship(back_populates="chapters", foreign_keys=book_id)
    quotes: Mapped[Book | None] = relationship(foreign_keys=quotes_id)


class Parcel(Base):
    __tablename__ = "published_parcel"

    id: Mapped[int] = mapped_column(primary_key=True)
    grams: Mapped[int] = mapped_column()

    __mapper_args__ = {"polymorphic_on": case((grams < 50, "letter"), else_="parcel"), "polymorphic_identity": "parcel"}


class Letter(Parcel):
    __mapper_args__ = {"polymorphic_identity": "letter"}


class Figure(Base):
    __tablename__ = "published_figure"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "figure"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str | None] = mapped_column(String(20))


class Round(Figure):
    __mapper_args__ = {"polymorphic_abstract": True}

    radius: Mapped[int | None]


class Circle(Round):
    __mapper_args__ = {"polymorphic_identity": "circle"}


class Folder(Base):
    __tablename__ = "published_folder"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("published_folder.id"))

    folders: Mapped[dict[str, Folder]] = relationship(
        collection_class=attribute_keyed_dict("name"), back_populates="parent", order_by="Folder.id"
    )
    parent: Mapped[Folder | None] = relationship(back_populates="folders", remote_side="Folder.id")
    pages: Mapped[list[Page]] = relationship(collection_class=ordering_list("position"), order_by="Page.position")


class Page(Base):
    __tablename__ = "published_page"

    id: Mapped[int] = mapped_column(primary_key=True)
    folder_id: Mapped[int | None] = mapped_column(ForeignKey("published_folder.id"))
    position: Mapped[int | None]
