"""The snapshot: an object graph as plain data, between the objects and the bytes.

It is columnar. Objects of one class of which exactly the same attributes are loaded make a table, so the loaded mask is
the table's own list of columns: what is not listed was not loaded. Objects are numbered over all tables in order, and
point to each other by these numbers ("nodes"). Edits are sparse: only what differs from the base is written down.

Capture makes a snapshot of objects and restore makes objects of a snapshot; the encodings turn one into bytes and back.
None of them needs to know of the others. Values are still Python values here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sojourn.mapping.blueprint import Blueprint

Row: TypeAlias = Sequence[Any]
"""The values of the columns of one object."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What one object held before it was edited. What it holds now is in its row.

    `base` maps an attribute to its former value: a column's value, a reference's node or None, the nodes of a
    collection's former members. Attributes whose former value nobody recorded are in `unknown`. `added` and `removed`
    are of collections that are not loaded: their other members are not known.
    """

    row: int
    base: Mapping[str, Any] = field(default_factory=dict)
    unknown: Sequence[str] = ()
    added: Mapping[str, Sequence[int]] = field(default_factory=dict)
    removed: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.base or self.unknown or self.added or self.removed)


@dataclass(frozen=True, slots=True)
class Table:
    """Objects of one class with the same loaded attributes.

    `references` maps a relationship to one object to a node or None for each row, `collections` one to many objects to
    the nodes of each row's members. `tokens` marks new objects, which have no row in a database yet: one token an
    object, by which a second copy of it is recognised. It is None for objects that have an identity: the base values of
    their primary key columns, and `identity_token`. `kinds` has the combinations of Python types in the rows, where
    whoever read them took note of it. `written` is None, or has the rows as they stand in a document, in pieces;
    then `rows` is empty.
    """

    plan: Blueprint
    columns: Sequence[str]
    rows: Sequence[Row]
    references: Mapping[str, Sequence[int | None]] = field(default_factory=dict)
    collections: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)
    edits: Sequence[Edit] = ()
    tokens: Sequence[str] | None = None
    identity_token: str | int | None = None
    kinds: AbstractSet[tuple[type, ...]] | None = None
    written: Sequence[bytes] | None = None

    def holds(self, key: str) -> bool:
        """Whether this attribute is loaded."""
        return key in self.columns or key in self.references or key in self.collections


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A graph: the nodes that were asked for, in order, and the tables with every object that can be reached."""

    roots: Sequence[int]
    tables: Sequence[Table]
