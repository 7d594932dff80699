"""Columns with many values of one type: ARRAY, the SET of MySQL, HSTORE.

The items of a whole column go through their own codec together. Only where that changes something, the arrays are
built anew around them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy.ext.mutable import MutableBase

from sojourn.snapshot.codecs.codec import NONE, Codec, Values, article

MAX_DIMENSIONS = 6
"""As many as PostgreSQL has. A column's own number of dimensions binds nobody there."""

_HSTORE_VALUES: frozenset[type] = frozenset({str, NONE})

# --- ARRAY -----------------------------------------------------------------------------------------------------------


def array_codec(item: Codec, dimensions: int | None, as_tuple: bool) -> Codec:
    """The codec of an ARRAY: whatever is a list inside is a further dimension.

    Items that may travel as arrays themselves (JSON, for one) have as many dimensions around them as the column says.
    """
    depth = (dimensions or 1) if item.array else MAX_DIMENSIONS
    box: type = tuple if as_tuple else list
    return Codec(
        _nested(item.wire, item, box, depth),
        wide=None if item.wide is None else _nested(item.wide, item, box, depth),
        encode=partial(_arrays_out, item, box, depth),
        decode=None if item.decode is None else partial(_arrays_in, item, box, depth),
        array=True,
    )


def _nested(wire: Any, item: Codec, box: Any, depth: int) -> Any:
    """The type of arrays that are nested up to so deep; just so deep where the items are arrays."""
    nested = wire
    for _ in range(depth):
        member = nested if item.array or nested is wire else wire | nested
        # Types that are made at run time: mypy reads none of them.
        nested = tuple.__class_getitem__((member, ...)) if box is tuple else list.__class_getitem__(member)
    return nested | None


def _arrays_out(
    item: Codec, box: type, depth: int, values: Values, kinds: set[type], packed: bool, wide: bool
) -> Values:
    _check_boxes(kinds, box)
    items = _items(values, box, depth)
    sent = item.outgoing(items, packed, wide)
    return values if sent is items else _rebuilt(values, box, depth, sent)


def _arrays_in(item: Codec, box: type, depth: int, values: Values, packed: bool) -> Values:
    items = _items(values, box, depth)
    read = item.incoming(items, packed)
    return values if read is items else _rebuilt(values, box, depth, read)


def _items(values: Values, box: Any, depth: int) -> Values:
    """The items of all arrays of a column, in order."""
    items: list[Any] = list(chain.from_iterable(filter(None, values)))
    if depth == 1 or box not in set(map(type, items)):
        return items
    return list(_inside(items, box, depth - 1))


def _inside(members: Iterable[Any], box: Any, depth: int) -> Iterator[Any]:
    for member in members:
        if depth and type(member) is box:
            yield from _inside(member, box, depth - 1)
        else:
            yield member


def _rebuilt(values: Values, box: type, depth: int, items: Values) -> Values:
    """The arrays of a column with other items in the places of theirs."""
    rest = iter(items)
    return [None if value is None else _refilled(value, box, depth - 1, rest) for value in values]


def _refilled(array: Iterable[Any], box: Any, depth: int, items: Iterator[Any]) -> Any:
    return box(
        [_refilled(member, box, depth - 1, items) if depth and type(member) is box else next(items) for member in array]
    )


def _check_boxes(kinds: set[type], box: type) -> None:
    """Values of this type and None, and what tracks its changes in place."""
    for kind in kinds - {box, NONE}:
        if not (issubclass(kind, box) and issubclass(kind, MutableBase)):
            raise ValueError(f"holds {article(kind)}, and the column takes {box.__name__}")


# --- SET and HSTORE --------------------------------------------------------------------------------------------------


def _sets_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    _check_boxes(kinds, set)
    for kind in set(map(type, chain.from_iterable(filter(None, values)))) - {str}:
        raise ValueError(f"holds {article(kind)} inside its set, and the column takes str there")
    # In order, so that the same objects make the same document.
    return [None if value is None else sorted(value) for value in values]


def _hstores_out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    _check_boxes(kinds, dict)
    held = list(filter(None, values))
    for kind in set(map(type, chain.from_iterable(held))) - {str}:
        raise ValueError(f"holds {article(kind)} as a key, and keys are str in an HSTORE")
    for kind in set(map(type, chain.from_iterable(map(dict.values, held)))) - _HSTORE_VALUES:
        raise ValueError(f"holds {article(kind)} inside its HSTORE, and the column takes str there")
    return values


SET = Codec(set[str] | None, encode=_sets_out, array=True)
HSTORE = Codec(dict[str, str | None] | None, encode=_hstores_out)
