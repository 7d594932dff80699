"""What column types keep to themselves."""

from __future__ import annotations

from sqlalchemy import Integer, String, create_engine
from sqlalchemy.dialects.postgresql import UUID

from sojourn.sqlalchemy_internals import variant_for, variants_of


def test_the_variants_of_a_type_are_those_that_it_was_given() -> None:
    assert variants_of(String()) == []
    variants = variants_of(String().with_variant(UUID(), "postgresql").with_variant(Integer(), "sqlite", "mysql"))
    assert list(map(type, variants)) == [UUID, Integer, Integer]


def test_a_type_stands_for_itself_where_it_has_no_variant() -> None:
    dialect = create_engine("sqlite://").dialect
    assert isinstance(variant_for(String().with_variant(Integer(), "sqlite"), dialect), Integer)
    other = String().with_variant(Integer(), "mysql")
    assert variant_for(other, dialect) is other
