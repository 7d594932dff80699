"""The benchmark graph: customers, their orders, the orders' lines. Two levels of owned children (delete-orphan), both
sides of each relationship, collections as lists ordered by id. `fill` makes any number of rows; 1,000 x 3 x 3 is the
graph of DESIGN.md.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ForeignKey, Numeric, String, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(120))
    city: Mapped[str | None] = mapped_column(String(80))
    balance: Mapped[Decimal] = mapped_column(Numeric(12, 2))

    orders: Mapped[list[Order]] = relationship(
        back_populates="customer", cascade="all, delete-orphan", order_by="Order.id"
    )


class Order(Base):
    __tablename__ = "customer_order"  # "order" is a reserved word

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    number: Mapped[str] = mapped_column(String(20))
    status: Mapped[str] = mapped_column(String(20))
    placed_at: Mapped[datetime]

    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list[Line]] = relationship(back_populates="order", cascade="all, delete-orphan", order_by="Line.id")


class Line(Base):
    __tablename__ = "order_line"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("customer_order.id"), index=True)
    sku: Mapped[str] = mapped_column(String(20))
    qty: Mapped[int]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))

    order: Mapped[Order] = relationship(back_populates="lines")


CITIES = ("Antwerp", "Bergen", "Cork", "Delft", None)
STATUSES = ("open", "paid", "sent")
FIRST_DAY = datetime(2026, 1, 1, 8, 30)


def fill(session: Session, customers: int, orders: int, lines: int) -> None:
    """Insert `customers` rows with `orders` orders each, with `lines` lines each, in empty tables; the caller commits.

    The rows depend on nothing but the three numbers. Ids count from 1 in each table, children in their parents' order:
    customer 1 has the orders 1 to `orders`, and so on.
    """
    session.execute(insert(Customer), [_customer_row(id_) for id_ in range(1, customers + 1)])
    total_orders = customers * orders
    if total_orders:
        session.execute(insert(Order), [_order_row(id_, (id_ - 1) // orders + 1) for id_ in range(1, total_orders + 1)])
    total_lines = total_orders * lines
    if total_lines:
        session.execute(insert(Line), [_line_row(id_, (id_ - 1) // lines + 1) for id_ in range(1, total_lines + 1)])
    if session.get_bind().dialect.name == "postgresql":
        _advance_sequences(session)


def _customer_row(id_: int) -> dict[str, object]:
    return {
        "id": id_,
        "name": f"Customer {id_}",
        "email": f"customer{id_}@example.org",
        "city": CITIES[id_ % len(CITIES)],
        "balance": Decimal(id_ * 137 % 100_000) / 100,
    }


def _order_row(id_: int, customer_id: int) -> dict[str, object]:
    return {
        "id": id_,
        "customer_id": customer_id,
        "number": f"N-{id_:06d}",
        "status": STATUSES[id_ % len(STATUSES)],
        "placed_at": FIRST_DAY + timedelta(minutes=37 * id_),
    }


def _line_row(id_: int, order_id: int) -> dict[str, object]:
    return {
        "id": id_,
        "order_id": order_id,
        "sku": f"SKU-{id_ * 7 % 1000:03d}",
        "qty": id_ % 9 + 1,
        "price": Decimal(id_ * 89 % 10_000) / 100,
    }


def _advance_sequences(session: Session) -> None:
    """PostgreSQL does not count keys that were given: without this the next generated key would be 1 again."""
    for model in (Customer, Order, Line):
        highest = select(func.coalesce(func.max(model.id), 0) + 1).scalar_subquery()
        session.execute(select(func.setval(func.pg_get_serial_sequence(model.__tablename__, "id"), highest, False)))
