"""Lists that number their members: SQLAlchemy's `ordering_list`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.orderinglist import OrderingList

_OWN = ("reorder", "_order_entity", "_get_order_value", "_set_order_value")


@dataclass(frozen=True, slots=True)
class Numbering:
    """How a list numbers: the attribute of its members, and what it gives the one at an index of a list."""

    attribute: str
    number: Callable[[int, Sequence[Any]], Any]


def numbering_of(collection: Any, factory: Any) -> Numbering | None:
    """How a collection numbers its members; None where it does not, or in a way of its own (a subclass).

    `factory` makes such a collection: a pickled one, with members that refer to their owner, comes back without
    knowing how.
    """
    kind = type(collection)
    if not isinstance(collection, OrderingList) or any(
        getattr(kind, name) is not getattr(OrderingList, name) for name in _OWN
    ):
        return None
    knowing = collection if "ordering_attr" in vars(collection) else factory()
    return Numbering(knowing.ordering_attr, knowing.ordering_func)
