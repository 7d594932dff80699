"""Attributes that a caller names: `Order.lines`, or "lines" where the class is clear.

Class-bound attributes are checked by the type checker and found by "rename" in an editor, so they are what the verbs
take; plain names are accepted where there is no doubt about the class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import QueryableAttribute

from sojourn.errors import WrongAttributeError
from sojourn.mapping.blueprint import Blueprint, blueprint

_REMEDY = "Name a mapped column, relationship or composite."


def class_and_key(given: object) -> tuple[type, str]:
    """The class and the attribute name of a class-bound attribute. Raises WrongAttributeError. Database: none."""
    if not isinstance(given, QueryableAttribute):
        raise WrongAttributeError(given, "is no class-bound attribute", "Pass one like Order.lines.")
    class_: Any = given.class_
    if not isinstance(class_, type) or not is_mapped(blueprint(class_), given.key):
        raise WrongAttributeError(given, "is not mapped", _REMEDY)
    return class_, given.key


def is_mapped(plan: Blueprint, key: str) -> bool:
    """Whether a class has a mapped column, relationship or composite of this name."""
    return key in plan.columns or key in plan.relationships or key in plan.composites


def named_of(plans: Iterable[Blueprint], given: Iterable[Any] | Any) -> dict[type, set[str]]:
    """Which attributes of each class are named by one or many names and class-bound attributes.

    A class-bound attribute counts for its class and the classes below it. The parts of a composite come with it. Raises
    WrongAttributeError for a name that no class has. Database: none.
    """
    found: dict[type, set[str]] = {plan.class_: set() for plan in plans}
    plans = [blueprint(class_) for class_ in found]
    for one in [given] if isinstance(given, (str, QueryableAttribute)) else given:
        class_, key = (object, one) if isinstance(one, str) else class_and_key(one)
        having = [plan for plan in plans if issubclass(plan.class_, class_) and is_mapped(plan, key)]
        if not having and plans:
            classes = ", ".join(sorted(plan.entity for plan in plans))
            raise WrongAttributeError(one, f"is no mapped attribute of {classes}", _REMEDY)
        for plan in having:
            found[plan.class_].update((key, *plan.composites.get(key, ())))
    return found
