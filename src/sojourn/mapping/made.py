"""What is made once for a mapped class and a shape of its rows: readers, builders, decoders.

Making one is dear, and using it again is cheap. But documents from outside choose shapes, too, and must not fill the
memory: so of each kind a class keeps a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from sojourn.mapping.blueprint import Blueprint
from sojourn.sqlalchemy_internals import class_notes

_MAX = 100

T = TypeVar("T")


def made_once(plan: Blueprint, kind: str, shape: Hashable, make: Callable[[], T]) -> T:
    """What `make` returned when this was first asked for this shape. Pure but for what is kept."""
    kept: dict[Hashable, T] = class_notes(plan.mapper).setdefault(f"sojourn.{kind}", {})
    found = kept.get(shape)
    if found is None:
        if len(kept) >= _MAX:
            kept.clear()
        found = kept[shape] = make()
    return found
