"""SQLModel: classes that pydantic and SQLAlchemy share. One-to-many both ways (Club, Member), many-to-many through a
class of its own (Member, Badge, Award), and a JSON column (Club.facts)."""

# No `from __future__ import annotations`: SQLModel reads the annotations of relationships as they are.
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import registry
from sqlmodel import Field, Relationship, SQLModel


class Base(SQLModel, registry=registry()):
    """A registry of its own, so that its classes are not among all of SQLModel's."""


class Award(Base, table=True):
    __tablename__ = "award"

    member_id: int | None = Field(default=None, foreign_key="club_member.id", primary_key=True)
    badge_id: int | None = Field(default=None, foreign_key="badge.id", primary_key=True)


class Badge(Base, table=True):
    __tablename__ = "badge"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)


class Club(Base, table=True):
    __tablename__ = "sport_club"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    facts: dict[str, Any] | None = Field(default=None, sa_type=JSON)

    members: list["Member"] = Relationship(
        back_populates="club", sa_relationship_kwargs={"order_by": "Member.id", "cascade": "all, delete-orphan"}
    )


class Member(Base, table=True):
    __tablename__ = "club_member"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=40)
    age: int = 18
    club_id: int | None = Field(default=None, foreign_key="sport_club.id")

    club: Club | None = Relationship(back_populates="members")
    badges: list[Badge] = Relationship(link_model=Award, sa_relationship_kwargs={"order_by": "Badge.id"})
