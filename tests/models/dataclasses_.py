"""Mapped classes whose equality, defaults and construction are made by somebody else: declarative dataclasses that are
compared by value and so cannot be hashed (Basket, Fruit), and, mapped imperatively, a plain dataclass (Stone) and
classes of attrs (Tree, Branch, Leaf). Whoever runs `__init__` leaves a mark in `MADE`."""

from __future__ import annotations

from dataclasses import dataclass, field

import attrs
from sqlalchemy import Column, ForeignKey, Integer, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, registry, relationship

MADE: list[str] = []
"""A word for each `__init__` that ran."""


class Base(MappedAsDataclass, DeclarativeBase):
    pass


basket_fruit = Table(
    "basket_fruit",
    Base.metadata,
    Column("basket_id", ForeignKey("basket.id"), primary_key=True),
    Column("fruit_id", ForeignKey("fruit.id"), primary_key=True),
)


class Basket(Base, kw_only=True):
    __tablename__ = "basket"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(40))
    size: Mapped[int] = mapped_column(default=7)
    note: Mapped[str | None] = mapped_column(String(40), default="none yet")
    outer_id: Mapped[int | None] = mapped_column(ForeignKey("basket.id"), init=False, default=None)
    outer: Mapped[Basket | None] = relationship(
        back_populates="inner", remote_side="Basket.id", default=None, repr=False
    )
    inner: Mapped[list[Basket]] = relationship(
        back_populates="outer", order_by="Basket.id", default_factory=list, repr=False
    )
    fruits: Mapped[list[Fruit]] = relationship(secondary=basket_fruit, order_by="Fruit.id", default_factory=list)

    def __post_init__(self) -> None:
        MADE.append("basket")


class Fruit(Base, kw_only=True, order=True):
    __tablename__ = "fruit"

    id: Mapped[int] = mapped_column(primary_key=True, init=False, compare=False)
    kind: Mapped[str] = mapped_column(String(40), default="apple")
    grams: Mapped[int | None] = mapped_column(default=None)

    def __post_init__(self) -> None:
        MADE.append("fruit")


imperative = registry(metadata=Base.metadata)


@dataclass
class Stone:
    """Mapped imperatively below; its defaults are the dataclass's own."""

    name: str
    grams: int = 5
    parts: list[Stone] = field(default_factory=list)
    id: int | None = None
    whole_id: int | None = None

    def __post_init__(self) -> None:
        MADE.append("stone")


stone_table = Table(
    "stone",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(40), nullable=False),
    Column("grams", Integer, nullable=False),
    Column("whole_id", ForeignKey("stone.id")),
)
imperative.map_imperatively(Stone, stone_table, properties={"parts": relationship(Stone, order_by=stone_table.c.id)})


# SQLAlchemy reads no annotations of attrs, so its classes are mapped imperatively.


@attrs.define(slots=False)
class Tree:
    """Compared by value, as attrs does by default, and so without a hash."""

    name: str
    height: int = 3
    branches: list[Branch] = attrs.field(factory=list)
    id: int | None = None

    def __attrs_post_init__(self) -> None:
        MADE.append("tree")


@attrs.define(slots=False, eq=False)
class Branch:
    name: str
    tree: Tree | None = None
    leaves: set[Leaf] = attrs.field(factory=set)
    id: int | None = None

    def __attrs_post_init__(self) -> None:
        MADE.append("branch")


@attrs.define(slots=False, eq=False)
class Leaf:
    colour: str = "green"
    id: int | None = None

    def __attrs_post_init__(self) -> None:
        MADE.append("leaf")


tree_table = Table(
    "tree",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(40), nullable=False),
    Column("height", Integer, nullable=False),
)
branch_table = Table(
    "branch",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("tree_id", ForeignKey("tree.id")),
    Column("name", String(40), nullable=False),
)
leaf_table = Table(
    "leaf",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("branch_id", ForeignKey("branch.id")),
    Column("colour", String(20), nullable=False),
)
branches = relationship(Branch, back_populates="tree", order_by=branch_table.c.id)
imperative.map_imperatively(Tree, tree_table, properties={"branches": branches})
imperative.map_imperatively(
    Branch,
    branch_table,
    properties={
        "tree": relationship(Tree, back_populates="branches"),
        "leaves": relationship(Leaf, collection_class=set, cascade="all, delete-orphan"),
    },
)
imperative.map_imperatively(Leaf, leaf_table)
