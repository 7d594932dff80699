"""Lists that number their members: from one on (Deck.slides, with text and speaker's notes that slides own), by a
function of one's own (Agenda.points), downwards (Chart.entries), and in a way of its own, a subclass (Shelf.books)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.orderinglist import OrderingList, ordering_list
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Deck(Base):
    __tablename__ = "deck"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), default="deck")

    slides: Mapped[list[Slide]] = relationship(
        back_populates="deck",
        collection_class=ordering_list("position", count_from=1),
        order_by="Slide.position",
        cascade="all, delete-orphan",
    )


class Slide(Base):
    __tablename__ = "slide"

    id: Mapped[int] = mapped_column(primary_key=True)
    deck_id: Mapped[int | None] = mapped_column(ForeignKey("deck.id"))
    position: Mapped[int | None]
    text: Mapped[str] = mapped_column(String(40))

    deck: Mapped[Deck | None] = relationship(back_populates="slides")


def in_steps(index: int, members: Sequence[Any]) -> int:
    """Ten behind the one before, so that others find room."""
    return members[index - 1].place + 10 if index else 10


class Agenda(Base):
    __tablename__ = "agenda"

    id: Mapped[int] = mapped_column(primary_key=True)

    points: Mapped[list[Point]] = relationship(
        collection_class=ordering_list("place", ordering_func=in_steps), order_by="Point.place"
    )


class Point(Base):
    __tablename__ = "point"

    id: Mapped[int] = mapped_column(primary_key=True)
    agenda_id: Mapped[int | None] = mapped_column(ForeignKey("agenda.id"))
    place: Mapped[int | None] = mapped_column(deferred=True)
    text: Mapped[str] = mapped_column(String(40))


class Chart(Base):
    __tablename__ = "chart"

    id: Mapped[int] = mapped_column(primary_key=True)

    entries: Mapped[list[Song]] = relationship(
        collection_class=ordering_list("score", ordering_func=lambda index, members: -index),
        order_by="Song.score.desc()",
        cascade="all, delete-orphan",
    )


class Song(Base):
    __tablename__ = "song"

    id: Mapped[int] = mapped_column(primary_key=True)
    chart_id: Mapped[int] = mapped_column(ForeignKey("chart.id"))
    score: Mapped[int]
    text: Mapped[str] = mapped_column(String(40))


class Lettered(OrderingList[Any]):
    """Numbers by letters, in a way of its own."""

    def __init__(self) -> None:
        super().__init__("letter")

    def _set_order_value(self, entity: Any, value: Any) -> None:
        entity.letter = "abcdefgh"[value]

    def _get_order_value(self, entity: Any) -> Any:
        return None if entity.letter is None else "abcdefgh".index(entity.letter)


class Shelf(Base):
    __tablename__ = "shelf"

    id: Mapped[int] = mapped_column(primary_key=True)

    books: Mapped[list[Book]] = relationship(
        collection_class=Lettered, order_by="Book.letter", cascade="all, delete-orphan"
    )


class Book(Base):
    __tablename__ = "book"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelf.id"))
    letter: Mapped[str | None] = mapped_column(String(1))
    text: Mapped[str] = mapped_column(String(40))
