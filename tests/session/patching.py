"""What the tests of patch share: the attributes of the shop that may be written, and how a refusal is told."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session

from sojourn.errors import PayloadError
from sojourn.session.patch import patch
from tests.databases import Database
from tests.models.shop import Customer, Line, Order

SHOP = [
    *(Customer.name, Customer.email, Customer.city, Customer.balance, Customer.orders),
    *(Order.number, Order.status, Order.placed_at, Order.customer, Order.lines),
    *(Line.sku, Line.qty, Line.price, Line.order),
]


def first_looks(database: Database) -> int:
    """MariaDB looks for what may not be there before it locks, with one SELECT more, once a transaction."""
    return 1 if database.name == "mariadb" else 0


def faults(session: Session, model: type[Any], payload: Any, **arguments: Any) -> list[str]:
    """The faults of a payload, as a message shows them."""
    with pytest.raises(PayloadError) as caught:
        patch(session, model, payload, **arguments)
    return [str(one) for one in caught.value.errors]


def shop_faults(session: Session, model: type[Any], payload: Any, **arguments: Any) -> list[str]:
    """The same, where the shop's attributes are allowed."""
    return faults(session, model, payload, allow=SHOP, **arguments)
