"""The outer form of a document: what can be read of it before the classes are looked up.

Values, and the nodes of relationships, are left as bytes: what they have to be shows with the mapping. Nodes could be
read here, but then msgspec would not say in which relationship a wrong one stands.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

Node: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
# As large as it may be in both encodings.
ShardNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Token: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]


class RawEdit(msgspec.Struct, forbid_unknown_fields=True):
    """What one row held before it was edited."""

    row: Node
    base: dict[str, msgspec.Raw] = {}
    unknown: list[str] = []
    added: dict[str, msgspec.Raw] = {}
    removed: dict[str, msgspec.Raw] = {}


class RawTable(msgspec.Struct, forbid_unknown_fields=True):
    """Objects of one class with the same loaded attributes."""

    entity: str
    schema: str
    columns: list[str]
    rows: msgspec.Raw
    references: dict[str, msgspec.Raw] = {}
    collections: dict[str, msgspec.Raw] = {}
    edits: list[RawEdit] = []
    new: list[Token] | None = None
    identity_token: str | ShardNumber | None = None


class RawDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A document."""

    sojourn: int
    roots: list[Node]
    tables: list[RawTable]


class Version(msgspec.Struct):
    """The version of a document whose other parts may be of another form."""

    sojourn: int
