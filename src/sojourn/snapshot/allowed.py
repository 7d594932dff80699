"""Which classes bytes may build: those that the caller listed, and no other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Mapper, registry

from sojourn.errors import NotMappedError, SnapshotError
from sojourn.mapping.blueprint import Blueprint, blueprint


class Allowed:
    """The allowed classes by name. A subclass of an allowed class is not allowed by that.

    `models` is a registry, a declarative base (all of its classes), a mapped class, or an iterable of these. Raises
    NotMappedError for anything else.
    """

    def __init__(self, models: Any) -> None:
        self._mappers: dict[str, set[Mapper[Any]]] = {}
        for mapper in _mappers(models):
            self._mappers.setdefault(mapper.class_.__name__, set()).add(mapper)

    def blueprint(self, entity: str, where: str) -> Blueprint:
        """The blueprint of the class of this name. Raises SnapshotError if it is not allowed, or if there are two."""
        found = self._mappers.get(entity, set())
        if not found:
            raise SnapshotError(
                f"the class {entity!r} is not among the models that were given",
                where=where,
                remedy="Add it to models if these bytes may build its objects. "
                f'If it has another name now, say so: renames={{"{entity}": TheClass}}.',
            )
        if len(found) > 1:
            raise SnapshotError(
                f"{len(found)} of the models that were given are called {entity!r}",
                where=where,
                remedy="Give the classes that are meant, in place of a registry or base that holds all of them, "
                f'or say which one is meant: renames={{"{entity}": TheClass}}.',
            )
        return blueprint(next(iter(found)))

    def of_class(self, class_: type, where: str) -> Blueprint:
        """The blueprint of a class. Raises SnapshotError if it is not allowed."""
        plan = blueprint(class_)
        if plan.mapper not in self._mappers.get(plan.entity, ()):
            raise SnapshotError(
                f"the class {plan.entity!r} is not among the models that were given",
                where=where,
                remedy="Add it to models if these bytes may build its objects.",
            )
        return plan

    def has(self, entity: str, fingerprint: str) -> bool:
        """Whether exactly one class has this name, and its mapping is the one that the fingerprint is of."""
        found = self._mappers.get(entity, set())
        return len(found) == 1 and blueprint(next(iter(found))).fingerprint == fingerprint


def _mappers(models: Any) -> Iterable[Mapper[Any]]:
    if isinstance(models, type):
        mapper: Any = inspect(models, raiseerr=False)
        if isinstance(mapper, Mapper):
            return [mapper]
        models = getattr(models, "registry", models)  # a declarative base
    if isinstance(models, registry):
        return models.mappers
    if isinstance(models, Iterable) and not isinstance(models, (str, bytes, type)):
        return [mapper for model in models for mapper in _mappers(model)]
    raise NotMappedError(models)
