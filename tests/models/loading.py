"""What can be said about loading: relationships mapped as eager, as joined or as raising; join conditions of their own
(Team.captain); a reference to a unique column that is no primary key (Player.ground); a third table that has an order
(Player.friends, self-referential); a collection of one subclass of a table (Team.hounds) with an eager relationship
that only the subclass has (Hound.toys); deferred groups, columns that raise, SQL expressions as columns; a tree that is
eager to a depth (Twig); a write-only collection without a way back (Team.entries); and values that `==` cannot compare,
as numpy's arrays (Sheet.grid)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, Integer, PickleType, String, Table, and_, func, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    WriteOnlyMapped,
    column_property,
    deferred,
    foreign,
    mapped_column,
    query_expression,
    relationship,
    remote,
)


class Base(DeclarativeBase):
    pass


class Ground(Base):
    __tablename__ = "ground"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(10), unique=True)
    name: Mapped[str] = mapped_column(String(40))


friendship = Table(
    "friendship",
    Base.metadata,
    Column("player_id", ForeignKey("player.id"), primary_key=True),
    Column("friend_id", ForeignKey("player.id"), primary_key=True),
    Column("place", Integer, nullable=False, server_default="0"),
)


class Team(Base):
    __tablename__ = "team"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    motto: Mapped[str | None] = deferred(mapped_column(String(80)), group="texts")
    history: Mapped[str | None] = deferred(mapped_column(String(80)), group="texts")
    secret: Mapped[str | None] = deferred(mapped_column(String(80)), raiseload=True)
    loud: Mapped[str | None] = query_expression()

    players: Mapped[list[Player]] = relationship(
        back_populates="team", lazy="selectin", order_by="Player.number.desc()"
    )
    captain: Mapped[Player | None] = relationship(
        primaryjoin=lambda: and_(Team.id == foreign(Player.team_id), Player.role == "captain"), viewonly=True
    )
    guarded: Mapped[list[Player]] = relationship(lazy="raise", viewonly=True, order_by="Player.id")
    pets: Mapped[list[Pet]] = relationship(order_by="Pet.id", back_populates="team")
    hounds: Mapped[list[Hound]] = relationship(order_by="Hound.id", viewonly=True)
    entries: WriteOnlyMapped[Entry] = relationship()


class Entry(Base):
    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))


class Player(Base):
    __tablename__ = "player"

    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    number: Mapped[int]
    role: Mapped[str] = mapped_column(String(20), default="field")
    ground_code: Mapped[str | None] = mapped_column(ForeignKey("ground.code"))

    team: Mapped[Team | None] = relationship(back_populates="players", lazy="joined")
    ground: Mapped[Ground | None] = relationship()
    friends: Mapped[list[Player]] = relationship(
        secondary=friendship,
        primaryjoin=lambda: Player.id == friendship.c.player_id,
        secondaryjoin=lambda: Player.id == friendship.c.friend_id,
        order_by=friendship.c.place,
    )


# It counts players, so it stands after them.
Team.size = column_property(
    select(func.count(Player.id)).where(Player.team_id == Team.id).correlate_except(Player).scalar_subquery()
)


class Pet(Base):
    __tablename__ = "pet"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "pet"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))

    team: Mapped[Team | None] = relationship(back_populates="pets")


class Hound(Pet):
    __mapper_args__ = {"polymorphic_identity": "hound"}

    bark: Mapped[str | None] = mapped_column(String(20))

    toys: Mapped[list[Toy]] = relationship(lazy="selectin", order_by="Toy.id")


class Toy(Base):
    __tablename__ = "toy"

    id: Mapped[int] = mapped_column(primary_key=True)
    hound_id: Mapped[int | None] = mapped_column(ForeignKey("pet.id"))


class Grid:
    """A value whose `==` gives no bool."""

    def __init__(self, *cells: int) -> None:
        self.cells = cells

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, Grid):
            return NotImplemented
        return Grid(*(mine == yours for mine, yours in zip(self.cells, other.cells, strict=True)))

    __hash__ = None  # type: ignore[assignment] # as of every mutable value

    def __bool__(self) -> bool:
        raise ValueError("a grid is neither true nor false")


def same_grid(one: Grid | None, other: Grid | None) -> bool:
    return (None if one is None else one.cells) == (None if other is None else other.cells)


class Sheet(Base):
    __tablename__ = "sheet"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))
    grid: Mapped[Grid | None] = mapped_column(PickleType(comparator=same_grid))


class Twig(Base):
    """A tree that is loaded two levels deep; `elder` is found by a join condition that no foreign key stands for."""

    __tablename__ = "twig"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("twig.id"))

    twigs: Mapped[list[Twig]] = relationship(lazy="selectin", join_depth=2, order_by="Twig.id")
    elder: Mapped[Twig | None] = relationship(
        primaryjoin=lambda: remote(Twig.id) == foreign(Twig.id) - 1, viewonly=True, uselist=False
    )


def grounds_teams_players() -> list[Any]:
    """Two teams of three players, four pets and two toys; player 1 is captain and everybody's friend."""
    grounds = [Ground(id=1, code="N", name="North"), Ground(id=2, code="S", name="South")]
    teams = [
        Team(id=1, name="Reds", motto="go", history="long", secret="x"),
        Team(id=2, name="Blues", motto="on", history="short", secret="y"),
    ]
    players = [
        Player(id=number, number=number, team=teams[number > 3], ground=grounds[number % 2]) for number in range(1, 7)
    ]
    players[0].role = players[3].role = "captain"
    pets = [Pet(id=1, team=teams[0]), Hound(id=2, team=teams[0], bark="wau", toys=[Toy(id=1), Toy(id=2)])]
    pets += [Hound(id=3, team=teams[1], bark="waf"), Pet(id=4, team=teams[1])]
    return [*grounds, *teams, *players, *pets]
