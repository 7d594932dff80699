"""Ways to map a class: imperatively (Planet and Moon are plain classes) and as a dataclass (Invoice with Items;
`paid` and the list have defaults, `id` is not in `__init__`)."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, registry, relationship


class Base(MappedAsDataclass, DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoice"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    number: Mapped[str] = mapped_column(String(20))
    paid: Mapped[bool] = mapped_column(default=False)
    items: Mapped[list[Item]] = relationship(
        back_populates="invoice", cascade="all, delete-orphan", order_by="Item.id", default_factory=list
    )


class Item(Base):
    __tablename__ = "invoice_item"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    invoice_id: Mapped[int] = mapped_column(ForeignKey("invoice.id"), init=False)
    text: Mapped[str] = mapped_column(String(80))
    cents: Mapped[int] = mapped_column(default=0)
    invoice: Mapped[Invoice | None] = relationship(back_populates="items", default=None)


class Planet:
    """Mapped imperatively below; its own `__init__` knows nothing of SQLAlchemy."""

    id: int
    moons: list[Moon]

    def __init__(self, name: str) -> None:
        self.name = name


class Moon:
    """Mapped imperatively below."""

    id: int
    planet_id: int | None
    planet: Planet | None

    def __init__(self, name: str) -> None:
        self.name = name


imperative = registry(metadata=Base.metadata)

planet_table = Table(
    "planet", imperative.metadata, Column("id", Integer, primary_key=True), Column("name", String(40), nullable=False)
)
moon_table = Table(
    "moon",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("planet_id", ForeignKey("planet.id")),
    Column("name", String(40), nullable=False),
)

imperative.map_imperatively(
    Planet, planet_table, properties={"moons": relationship(Moon, back_populates="planet", order_by=moon_table.c.id)}
)
imperative.map_imperatively(Moon, moon_table, properties={"planet": relationship(Planet, back_populates="moons")})
