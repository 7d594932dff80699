"""What column types keep to themselves."""

from __future__ import annotations

from sqlalchemy import Integer, String
from sqlalchemy.dialects.postgresql import UUID

from sojourn.sqlalchemy_internals import variants_of


def test_the_variants_of_a_type_are_those_that_it_was_given() -> None:
    assert variants_of(String()) == []
    variants = variants_of(String().with_variant(UUID(), "postgresql").with_variant(Integer(), "sqlite", "mysql"))
    assert list(map(type, variants)) == [UUID, Integer, Integer]
