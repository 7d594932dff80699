"""Every kind of mapping, one instance each, in the order of the table in docs/reference/mappings.md."""

from __future__ import annotations

from tests.mappings import classes, columns, databases, relationships
from tests.mappings.mapping import Mapping


def _of(module: object) -> list[Mapping]:
    """The mappings that a module defines, in its order; those with a leading underscore are for others to build on."""
    return [
        one()
        for name, one in vars(module).items()
        if isinstance(one, type) and issubclass(one, Mapping) and one.__module__ == module.__name__ and name[0] != "_"  # type: ignore[attr-defined]
    ]


EVERY = [*_of(classes), *_of(columns), *_of(relationships), *_of(databases)]
