"""Inheritance: animals in a single table (Animal, Dog, Cat, and Puppy two levels down), vehicles in joined tables
(Vehicle, Car, Truck, and Lorry two levels down; each subclass has a table of its own), and an Owner who has some of
each, so that polymorphic members stand in collections."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owner"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40))

    animals: Mapped[list[Animal]] = relationship(back_populates="owner", order_by="Animal.id")
    vehicles: Mapped[list[Vehicle]] = relationship(back_populates="owner", order_by="Vehicle.id")


class Animal(Base):
    __tablename__ = "animal"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(40))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))

    owner: Mapped[Owner | None] = relationship(back_populates="animals")


class Dog(Animal):
    __mapper_args__ = {"polymorphic_identity": "dog"}

    tricks: Mapped[int | None]


class Puppy(Dog):
    __mapper_args__ = {"polymorphic_identity": "puppy"}

    weeks: Mapped[int | None]


class Cat(Animal):
    __mapper_args__ = {"polymorphic_identity": "cat"}

    lives: Mapped[int | None]


class Vehicle(Base):
    __tablename__ = "vehicle"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    plate: Mapped[str] = mapped_column(String(20))
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))

    owner: Mapped[Owner | None] = relationship(back_populates="vehicles")


class Car(Vehicle):
    __tablename__ = "car"
    __mapper_args__ = {"polymorphic_identity": "car"}

    id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    doors: Mapped[int]


class Truck(Vehicle):
    __tablename__ = "truck"
    __mapper_args__ = {"polymorphic_identity": "truck"}

    # The key has another name than the parent's column, as inherited schemas often do.
    truck_id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    tons: Mapped[int]


class Lorry(Truck):
    __tablename__ = "lorry"
    __mapper_args__ = {"polymorphic_identity": "lorry"}

    lorry_id: Mapped[int] = mapped_column(ForeignKey("truck.truck_id"), primary_key=True)
    axles: Mapped[int]
