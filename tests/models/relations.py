"""Kinds of relationship and collection: one-to-one (Person, Passport; owned), many-to-many as a list with a backref
(Article, Tag), an association object (Person, Membership, Club), a dict keyed by an attribute (Article.notes), a set
(Article.links), and a reference that has no way back (Article.author)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, attribute_keyed_dict, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

    passport: Mapped[Passport | None] = relationship(back_populates="person", cascade="all, delete-orphan")
    memberships: Mapped[list[Membership]] = relationship(
        back_populates="person", cascade="all, delete-orphan", order_by="Membership.club_id"
    )


class Passport(Base):
    __tablename__ = "passport"

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), unique=True)
    number: Mapped[str] = mapped_column(String(20))

    person: Mapped[Person] = relationship(back_populates="passport")


class Club(Base):
    __tablename__ = "club"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

    memberships: Mapped[list[Membership]] = relationship(
        back_populates="club", cascade="all, delete-orphan", order_by="Membership.person_id"
    )


class Membership(Base):
    """The association object: its key is its two references, and it has a column of its own."""

    __tablename__ = "membership"

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    club_id: Mapped[int] = mapped_column(ForeignKey("club.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(20))

    person: Mapped[Person] = relationship(back_populates="memberships")
    club: Mapped[Club] = relationship(back_populates="memberships")


article_tag = Table(
    "article_tag",
    Base.metadata,
    Column("article_id", ForeignKey("article.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Article(Base):
    __tablename__ = "article"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(80))
    author_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))

    author: Mapped[Person | None] = relationship()
    tags: Mapped[list[Tag]] = relationship(secondary=article_tag, back_populates="articles", order_by="Tag.id")
    notes: Mapped[dict[str, Note]] = relationship(
        collection_class=attribute_keyed_dict("keyword"), back_populates="article", cascade="all, delete-orphan"
    )
    links: Mapped[set[Link]] = relationship(back_populates="article", cascade="all, delete-orphan")


class Tag(Base):
    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)

    articles: Mapped[list[Article]] = relationship(secondary=article_tag, back_populates="tags", order_by="Article.id")


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id"))
    keyword: Mapped[str] = mapped_column(String(40))
    text: Mapped[str] = mapped_column(String(200))

    article: Mapped[Article] = relationship(back_populates="notes")


class Link(Base):
    __tablename__ = "link"

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id"))
    url: Mapped[str] = mapped_column(String(200))

    article: Mapped[Article] = relationship(back_populates="links")
