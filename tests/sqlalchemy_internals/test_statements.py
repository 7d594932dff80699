"""What a SELECT says of itself that has no public spelling."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Select, asc, desc, nulls_last, select, true
from sqlalchemy.orm import joinedload, with_loader_criteria

from sojourn.sqlalchemy_internals import criteria_of, orderings_of, shaping_of
from tests.models.shop import Line


def told(statement: Select[Any]) -> list[tuple[str, bool, bool | None]]:
    return [(str(one.expression), one.descending, one.nulls_first) for one in orderings_of(statement)]


def test_an_order_by_is_told_element_by_element() -> None:
    doubled = (Line.qty * 2).label("doubled")
    statement = select(Line).order_by(
        Line.sku, Line.qty.desc(), asc(Line.price).nulls_first(), nulls_last(desc(doubled))
    )
    assert told(statement) == [
        ("order_line.sku", False, None),
        ("order_line.qty", True, None),
        ("order_line.price", False, True),
        ("order_line.qty * :qty_1", True, False),
    ]
    assert told(statement.order_by(None)) == []


def test_an_expression_keeps_what_is_no_order() -> None:
    assert told(select(Line).order_by(-Line.qty)) == [("-order_line.qty", False, None)]


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "limit": (1,),
    "offset": (1,),
    "fetch": (1,),
    "distinct": (),
    "with_for_update": (),
    "group_by": (Line.id,),
    "having": (true(),),
}


@pytest.mark.parametrize("name", list(ARGUMENTS))
def test_what_chooses_gathers_or_locks_rows_is_named_by_its_method(name: str) -> None:
    assert shaping_of(select(Line).where(Line.qty > 1).order_by(Line.id)) == []
    assert shaping_of(getattr(select(Line), name)(*ARGUMENTS[name])) == [name]


def test_criteria_for_classes_are_told_from_loader_options() -> None:
    criteria = with_loader_criteria(Line, Line.qty > 1)
    assert criteria_of(select(Line).options(joinedload(Line.order), criteria)) == [criteria]
    assert criteria_of(select(Line)) == []
