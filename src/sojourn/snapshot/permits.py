"""What a payload may write, how its objects are found, and what becomes of those that it does not name: the arguments
of `patch`, checked and ready to be asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from sqlalchemy.orm import QueryableAttribute

from sojourn.errors import BadArgumentError, WrongAttributeError
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint

Absent: TypeAlias = Literal["keep", "unlink", "delete"]
"""What becomes of the members of a collection that the payload's list does not name."""

_WORDS = ("keep", "unlink", "delete")


@dataclass(frozen=True, slots=True, eq=False)
class Permits:
    """The arguments of one `patch`."""

    allow: frozenset[tuple[Any, str]]
    match: Mapping[Any, tuple[str, ...]]
    absent: Absent
    absent_of: Mapping[tuple[Any, str], Absent] = field(default_factory=dict)

    def allows(self, plan: Blueprint, name: str) -> bool:
        """Whether an attribute of a class may be written."""
        return any((class_, name) in self.allow for class_ in plan.class_.__mro__)

    def natural(self, plan: Blueprint) -> tuple[str, ...]:
        """The attributes of the natural key of a class, or of the nearest of its base classes; empty: it has none."""
        return next((self.match[class_] for class_ in plan.class_.__mro__ if class_ in self.match), ())

    def fate(self, plan: Blueprint, rel: Relationship) -> Absent:
        """What becomes of absent members of a collection. Raises BadArgumentError where they cannot be unlinked."""
        owners = plan.class_.__mro__
        fate = next((self.absent_of[one, rel.key] for one in owners if (one, rel.key) in self.absent_of), self.absent)
        if fate == "unlink" and not unlinkable(rel):
            raise BadArgumentError(
                f"{plan.entity}.{rel.key} cannot be unlinked: what is taken out of it cannot stay without its owner. "
                'Say "delete" or "keep" in on_absent.'
            )
        return fate


def permits(allow: Iterable[Any], match: Mapping[Any, Iterable[Any]] | None, on_absent: Any) -> Permits:
    """The arguments of `patch`, checked. Raises WrongAttributeError, BadArgumentError, NotMappedError."""
    if on_absent is None or (isinstance(on_absent, str) and on_absent not in _WORDS):
        raise _unknown_word(on_absent)
    allowed = frozenset(_bound(attribute, "allow") for attribute in allow)
    keys = {blueprint(class_).class_: _key(blueprint(class_), given) for class_, given in (match or {}).items()}
    if isinstance(on_absent, str):
        return Permits(allowed, keys, cast(Absent, on_absent))
    absent_of: dict[tuple[Any, str], Absent] = {}
    for attribute, word in on_absent.items():
        class_, name = _bound(attribute, "on_absent")
        rel = blueprint(class_).relationships.get(name)
        if rel is None or rel.direction == "to one":
            raise WrongAttributeError(attribute, "is no collection", "on_absent takes collections: {Order.lines: …}.")
        if word not in _WORDS:
            raise _unknown_word(word)
        absent_of[class_, name] = word
    return Permits(allowed, keys, "keep", absent_of)


def unlinkable(rel: Relationship) -> bool:
    """Whether a member can be taken out of a collection and stay as a row of its own."""
    if rel.owns:
        return False
    if rel.direction == "many to many":
        return True
    target = blueprint(rel.target)
    return all(getattr(target.columns[key].column, "nullable", True) for key in rel.remote_key)


def nullable(plan: Blueprint, key: str) -> bool:
    """Of joined tables one column stands for several, which are equal: one of them that is never null is enough."""
    return all(getattr(each, "nullable", True) for each in plan.mapper.column_attrs[key].columns)


def discriminator(plan: Blueprint) -> str | None:
    """The attribute that tells the class of a row, where an attribute does."""
    teller = plan.mapper.polymorphic_on
    attributes = plan.mapper.column_attrs
    return next((key for key in plan.columns if any(one is teller for one in attributes[key].columns)), None)


def _unknown_word(word: object) -> BadArgumentError:
    return BadArgumentError(f'on_absent is {word!r}. It is "keep", "unlink", "delete", or a mapping to these.')


def _bound(attribute: Any, argument: str) -> tuple[Any, str]:
    class_ = attribute.class_ if isinstance(attribute, QueryableAttribute) else None
    if class_ is not None:
        plan = blueprint(class_)
        if any(attribute.key in names for names in (plan.columns, plan.relationships, plan.composites)):
            return plan.class_, attribute.key
    raise WrongAttributeError(
        attribute, "is no mapped attribute of a class", f"{argument} takes class-bound attributes: Order.status."
    )


def _key(plan: Blueprint, attributes: Iterable[Any]) -> tuple[str, ...]:
    names = []
    for attribute in attributes:
        class_, name = _bound(attribute, "match")
        rel = plan.relationships.get(name)
        stored = rel is not None or (name in plan.columns and plan.columns[name].stored)
        if not issubclass(plan.class_, class_) or not stored:
            raise WrongAttributeError(
                attribute, f"is no column of {plan.entity}", "match takes what rows are found by."
            )
        if rel is not None and not rel.by_primary_key:
            raise WrongAttributeError(attribute, "is no reference by a primary key", "match takes no other ones.")
        names.append(name)
    if not names:
        raise BadArgumentError(f"match has no attributes for {plan.entity}. Leave it out, or name its natural key.")
    return tuple(names)
