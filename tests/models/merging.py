"""A library with what `merge` has to take care of: both sides of relationships, lists, dicts and sets, a reference
to the same class, a version, a validator, a column that tracks changes in place, one that is deferred, one-to-one, a
reference of which the old value is loaded, and a hierarchy in one table.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    ColumnProperty,
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    composite,
    mapped_column,
    relationship,
    validates,
)


class Base(DeclarativeBase):
    pass


book_tag = Table(
    "m_book_tag",
    Base.metadata,
    Column("book_id", ForeignKey("m_book.id"), primary_key=True),
    Column("tag_name", ForeignKey("m_tag.name"), primary_key=True),
)


class Span:
    """A composite of two columns."""

    def __init__(self, first: int | None, last: int | None) -> None:
        self.first = first
        self.last = last

    def __composite_values__(self) -> tuple[int | None, int | None]:
        return self.first, self.last

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Span) and (self.first, self.last) == (other.first, other.last)

    def __repr__(self) -> str:
        return f"Span({self.first}, {self.last})"

    def __hash__(self) -> int:
        return hash((self.first, self.last))


class Author(Base):
    __tablename__ = "m_author"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    name: Mapped[str | None] = mapped_column(String(40))
    about: Mapped[str | None] = mapped_column(String(40), deferred=True)
    first: Mapped[int | None]
    last: Mapped[int | None]
    span: Mapped[Span] = composite("first", "last")
    kind: Mapped[str] = mapped_column(String(10), default="author")
    pen_name: Mapped[str | None] = mapped_column(String(40))

    books: Mapped[list[Book]] = relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Book.id", foreign_keys="Book.author_id"
    )
    edited: Mapped[list[Book]] = relationship(back_populates="editor", foreign_keys="Book.editor_id")
    profile: Mapped[Profile | None] = relationship(back_populates="author", cascade="all, delete-orphan")
    notes: Mapped[dict[str, Note]] = relationship(
        collection_class=attribute_keyed_dict("title"), cascade="all, delete-orphan", back_populates="author"
    )

    __mapper_args__ = {
        "version_id_col": version,
        "polymorphic_on": "kind",
        "polymorphic_identity": "author",
    }

    @validates("name")
    def check_name(self, _key: str, name: str | None) -> str | None:
        return name.strip() if name is not None else None


class Ghost(Author):
    haunts: Mapped[str | None] = mapped_column(String(40))

    __mapper_args__ = {"polymorphic_identity": "ghost"}


class Book(Base):
    __tablename__ = "m_book"

    author_id: Mapped[int | None] = mapped_column(ForeignKey("m_author.id"))
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(40))
    price: Mapped[float | None]
    extra: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(JSON))
    plain: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    editor_id: Mapped[int | None] = mapped_column(ForeignKey("m_author.id"))
    after_id: Mapped[int | None] = mapped_column(ForeignKey("m_book.id"))

    author: Mapped[Author | None] = relationship(back_populates="books", foreign_keys=[author_id])
    editor: Mapped[Author | None] = relationship(back_populates="edited", foreign_keys=[editor_id], active_history=True)
    after: Mapped[Book | None] = relationship(remote_side="Book.id", back_populates="before")
    before: Mapped[list[Book]] = relationship(back_populates="after")
    tags: Mapped[set[Tag]] = relationship(secondary=book_tag, back_populates="books")


class Tag(Base):
    __tablename__ = "m_tag"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    color: Mapped[str | None] = mapped_column(String(20))

    books: Mapped[list[Book]] = relationship(secondary=book_tag, back_populates="tags", order_by=Book.id)


class Profile(Base):
    __tablename__ = "m_profile"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("m_author.id"))
    text: Mapped[str | None] = mapped_column(String(40))

    author: Mapped[Author | None] = relationship(back_populates="profile")


class Note(Base):
    __tablename__ = "m_note"

    author_id: Mapped[int] = mapped_column(ForeignKey("m_author.id"), primary_key=True)
    title: Mapped[str] = mapped_column(String(20), primary_key=True)
    text: Mapped[str | None] = mapped_column(String(40))

    author: Mapped[Author | None] = relationship(back_populates="notes")


class OwnProperty(ColumnProperty[Any]):
    """A column that merges in a way of its own, and notes it."""

    inherit_cache = True
    merged: list[str] = []

    def merge(self, *args: Any) -> None:
        self.merged.append(self.key)
        super().merge(*args)


class Stamp(Base):
    __table__ = Table("m_stamp", Base.metadata, Column("id", Integer, primary_key=True), Column("text", String(20)))

    text = OwnProperty(__table__.c.text)
