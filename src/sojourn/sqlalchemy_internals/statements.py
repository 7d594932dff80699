"""What a SELECT says of itself that has no public spelling: its ORDER BY, and what limits or gathers its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, UnaryExpression
from sqlalchemy.orm import LoaderCriteriaOption
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Label, _label_reference


@dataclass(frozen=True, slots=True, eq=False)
class Ordering:
    """One element of an ORDER BY. `nulls_first` is None where the statement leaves it to the database."""

    expression: Any
    descending: bool
    nulls_first: bool | None


def orderings_of(statement: Select[Any]) -> list[Ordering]:
    """The ORDER BY of a statement, element by element; labels are replaced by what they stand for."""
    return [_ordering(clause) for clause in statement._order_by_clauses]


def shaping_of(statement: Select[Any]) -> list[str]:
    """The clauses of a statement that choose among its rows, gather them or lock them, by the method that adds them."""
    found = {
        "limit": statement._limit_clause is not None,
        "offset": statement._offset_clause is not None,
        "fetch": statement._fetch_clause is not None,
        "distinct": statement._distinct,
        "group_by": bool(statement._group_by_clauses),
        "having": bool(statement._having_criteria),
        # Of SQLAlchemy 2.1: PostgreSQL's DISTINCT ON, and what others may add.
        "ext": any(getattr(statement, name, None) is not None for name in _EXTENSION_POINTS),
        "with_for_update": statement._for_update_arg is not None,
    }
    return [name for name, there in found.items() if there]


def criteria_of(statement: Select[Any]) -> list[LoaderCriteriaOption]:
    """The criteria for whole classes among the options of a statement."""
    return [option for option in statement._with_options if isinstance(option, LoaderCriteriaOption)]


def _ordering(clause: Any) -> Ordering:
    descending, nulls_first = False, None
    while True:
        if isinstance(clause, UnaryExpression) and clause.modifier in _MODIFIERS:
            descending = descending or clause.modifier is operators.desc_op
            if clause.modifier in _NULLS:
                nulls_first = clause.modifier is operators.nulls_first_op
        elif not isinstance(clause, (_label_reference, Label)):
            return Ordering(clause, descending, nulls_first)
        clause = clause.element


_EXTENSION_POINTS = ("_post_select_clause", "_pre_columns_clause", "_post_criteria_clause", "_post_body_clause")
_NULLS = {operators.nulls_first_op, operators.nulls_last_op}
_MODIFIERS = {operators.asc_op, operators.desc_op, *_NULLS}
