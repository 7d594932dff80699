"""The models that the README and the documentation use, and a small database of them.

from examples.shop import Customer, Line, Order, Session, open_shop
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine, ForeignKey, Numeric, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

__all__ = ["Base", "Customer", "Line", "Order", "Session", "open_shop"]


class Base(DeclarativeBase):
    """The registry: what `loads` may build."""


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str | None]
    orders: Mapped[list[Order]] = relationship(
        back_populates="customer", cascade="all, delete-orphan", order_by="Order.id"
    )


class Order(Base):
    __tablename__ = "customer_order"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    status: Mapped[str]
    note: Mapped[str | None]
    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list[Line]] = relationship(back_populates="order", cascade="all, delete-orphan", order_by="Line.id")


class Line(Base):
    __tablename__ = "order_line"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("customer_order.id"), index=True)
    sku: Mapped[str]
    qty: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    order: Mapped[Order] = relationship(back_populates="lines")


def open_shop(path: Path | str) -> Engine:
    """A new SQLite file with one customer and one order of two lines."""
    engine = create_engine(f"sqlite:///{path}")

    # The sqlite3 module opens a transaction late; with these two, BEGIN is where SQLAlchemy says it is.
    @event.listens_for(engine, "connect")
    def _no_implicit_begin(connection, _record):  # type: ignore[no-untyped-def]  # the DBAPI's connection has no type
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection):  # type: ignore[no-untyped-def]  # as above
        connection.exec_driver_sql("BEGIN")

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        first = Line(sku="chair", qty=4, price=Decimal("89.00"))
        second = Line(sku="table", qty=1, price=Decimal("240.00"))
        order = Order(status="open", note=None, lines=[first, second])
        session.add(Customer(name="Ada", city="Cork", orders=[order]))
        session.commit()
    return engine
