"""Everything that one transaction can entangle, in one small world: a natural key that children follow (Team.code), a
version counter, plain and tracked JSON, a composite, defaults of the server and on update, unique names that make a
flush fail, owned children in an ordering list (Team.members) with a subclass in a table of its own (Lead), a
many-to-many set (Team.tags), a dict (Team.badges), a dynamic and a write-only collection (Team.notes, Team.logs), and
a reference that owns nothing (Team.captain)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table, text
from sqlalchemy.ext.mutable import MutableComposite, MutableDict
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    WriteOnlyMapped,
    attribute_keyed_dict,
    composite,
    deferred,
    mapped_column,
    relationship,
)


class Base(DeclarativeBase):
    pass


class Place(MutableComposite):
    """The value of a composite that is changed in place."""

    def __init__(self, x: int | None, y: int | None) -> None:
        self.x, self.y = x, y

    def __setattr__(self, key: str, value: int | None) -> None:
        object.__setattr__(self, key, value)
        self.changed()

    def __composite_values__(self) -> tuple[int | None, int | None]:
        return self.x, self.y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and (self.x, self.y) == (other.x, other.y)

    __hash__ = None  # type: ignore[assignment] # as of every mutable value


team_tag = Table(
    "team_tag",
    Base.metadata,
    Column("team_code", ForeignKey("team.code", onupdate="cascade"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Team(Base):
    __tablename__ = "team"

    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(20), unique=True)
    version: Mapped[int] = mapped_column()
    status: Mapped[str] = mapped_column(String(10), server_default="new")
    revision: Mapped[int] = mapped_column(server_default="1", onupdate=text("revision + 1"))
    plain: Mapped[Any] = mapped_column(JSON)
    tracked: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(JSON()))
    story: Mapped[str | None] = deferred(mapped_column(String(20)))
    place: Mapped[Place] = composite(mapped_column("x", Integer), mapped_column("y", Integer))
    captain_id: Mapped[int | None] = mapped_column(ForeignKey("tag.id"))

    captain: Mapped[Tag | None] = relationship()
    members: Mapped[list[Member]] = relationship(
        back_populates="team",
        collection_class=ordering_list("position"),
        order_by="Member.position",
        cascade="all, delete-orphan",
    )
    tags: Mapped[set[Tag]] = relationship(secondary=team_tag, back_populates="teams")
    badges: Mapped[dict[str, Badge]] = relationship(
        collection_class=attribute_keyed_dict("kind"), back_populates="team", cascade="all, delete-orphan"
    )
    notes: DynamicMapped[Note] = relationship(back_populates="team")
    logs: WriteOnlyMapped[Log] = relationship(back_populates="team", cascade="all, delete-orphan", passive_deletes=True)

    __mapper_args__ = {"version_id_col": version}


class Member(Base):
    __tablename__ = "member"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "member"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str | None] = mapped_column(String(20), unique=True)
    position: Mapped[int | None]
    team_code: Mapped[str | None] = mapped_column(ForeignKey("team.code", onupdate="cascade"))

    team: Mapped[Team | None] = relationship(back_populates="members")


class Lead(Member):
    __tablename__ = "lead"
    __mapper_args__ = {"polymorphic_identity": "lead"}

    id: Mapped[int] = mapped_column(ForeignKey("member.id"), primary_key=True)
    since: Mapped[int | None]


class Tag(Base):
    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(20), unique=True)

    teams: Mapped[list[Team]] = relationship(secondary=team_tag, back_populates="tags", order_by="Team.code")


class Badge(Base):
    __tablename__ = "badge"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    name: Mapped[str | None] = mapped_column(String(20), unique=True)
    team_code: Mapped[str] = mapped_column(ForeignKey("team.code", onupdate="cascade"))

    team: Mapped[Team] = relationship(back_populates="badges")


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(20), unique=True)
    team_code: Mapped[str | None] = mapped_column(ForeignKey("team.code", onupdate="cascade"))

    team: Mapped[Team | None] = relationship(back_populates="notes")


class Log(Base):
    __tablename__ = "log"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(20), unique=True)
    team_code: Mapped[str | None] = mapped_column(ForeignKey("team.code", onupdate="cascade", ondelete="cascade"))

    team: Mapped[Team | None] = relationship(back_populates="logs")
