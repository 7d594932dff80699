"""What column types keep to themselves."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.types import TypeEngine


def variants_of(type_: TypeEngine[Any]) -> list[TypeEngine[Any]]:
    """The types that stand for this one on certain dialects: `String().with_variant(UUID(), "postgresql")`."""
    return list(type_._variant_mapping.values())


def variant_for(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """The type that stands for this one on a dialect: itself, if it has no variant there."""
    return type_._variant_mapping.get(dialect.name, type_)
