"""Kinds of column: deferred (Document.body), a version counter (Document.version), a composite (Shape.start and
Shape.end), server defaults, `onupdate` in Python and as SQL (Audited), JSON that is compared by value and JSON that
tracks changes in place (Settings)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Integer, String, Text, text
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, deferred, mapped_column


class Base(DeclarativeBase):
    pass


class Document(Base):
    __tablename__ = "document"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    title: Mapped[str] = mapped_column(String(80))
    summary: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str] = deferred(mapped_column(Text))

    __mapper_args__ = {"version_id_col": version}


@dataclass(frozen=True)
class Point:
    """The value of a composite."""

    x: int
    y: int


class Shape(Base):
    __tablename__ = "shape"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    start: Mapped[Point] = composite(mapped_column("x1"), mapped_column("y1"))
    end: Mapped[Point | None] = composite(
        # Said in full: SQLAlchemy 2.0 reads neither class nor column types from an optional annotation.
        # One may assign None; a row with two NULLs loads as Point(None, None).
        Point,
        mapped_column("x2", Integer, nullable=True),
        mapped_column("y2", Integer, nullable=True),
    )


class Audited(Base):
    __tablename__ = "audited"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    status: Mapped[str] = mapped_column(String(20), server_default="new")
    made_by: Mapped[str] = mapped_column(String(20), default=lambda: "python")
    edited_by: Mapped[str | None] = mapped_column(String(20), onupdate=lambda: "python")
    revision: Mapped[int] = mapped_column(server_default="1", onupdate=text("revision + 1"))


class Settings(Base):
    __tablename__ = "settings"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    plain: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    tracked: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(JSON()))
