"""Reading whole objects in the shape of a branch, by what they are found by, a chunk of keys at a time.

Who needs them is known by then (see `sojourn.session.prefetch`), and who gets them is decided there, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, defer, lazyload, undefer
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql.base import ExecutableOption

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.shape import EAGER, Branch, Shape
from sojourn.session.keys import Key, within
from sojourn.session.rows import Reader, dialect_of
from sojourn.session.shards import bind_arguments
from sojourn.sqlalchemy_internals import forget_options


class Finder:
    """Finds objects for one verb. `statements` counts the SELECTs."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.statements = 0

    def by_primary_key(self, branch: Branch, target: Blueprint, keys: Sequence[Key]) -> list[Any]:
        """Rows of (object, *primary key). Database: may load."""
        return self._load(branch, target, _attributes(target, target.primary_key), keys)

    def members(self, rel: Relationship, branch: Branch, parents: Sequence[Key]) -> Mapping[Key, list[Any]]:
        """The members of each parent, which is given by its local key. Database: may load."""
        prop, target = rel.property, blueprint(branch.target or rel.target)
        if rel.pairs is not None:
            rows = self._load(branch, target, _attributes(target, rel.remote_key), parents, order_by=prop.order_by)
        elif rel.link:
            through = (rel.secondary, prop.secondaryjoin)
            rows = self._load(branch, target, rel.link, parents, order_by=prop.order_by, through=through)
        else:
            return self._by_join(rel, branch, target, parents)
        found: defaultdict[Key, list[Any]] = defaultdict(list)
        for obj, *key in rows:
            found[tuple(key)].append(obj)
        return found

    def _by_join(
        self, rel: Relationship, branch: Branch, target: Blueprint, parents: Sequence[Key]
    ) -> Mapping[Key, list[Any]]:
        """Through a join condition of its own: first who belongs to whom, then the members."""
        reader = Reader(self.session)
        reader.members[rel] = {parent: [] for parent in parents}
        reader.run()
        self.statements += reader.statements
        pairs = reader.members[rel]
        wanted = list(dict.fromkeys(key for keys in pairs.values() for key in keys))
        rows = self.by_primary_key(branch, target, wanted)
        loaded = {tuple(key): obj for obj, *key in rows}
        return {parent: [loaded[key] for key in keys if key in loaded] for parent, keys in pairs.items()}

    def _load(
        self,
        branch: Branch,
        target: Blueprint,
        found_by: Sequence[Any],
        keys: Sequence[Key],
        *,
        order_by: Any = None,
        through: tuple[Any, Any] | None = None,
    ) -> list[Any]:
        """Rows of (object, *what it was found by), in the shape of the branch."""
        general = branch.shape.general
        options = [*_options(target, branch.shape), *general.criteria, *general.others]
        statement: Any = select(target.class_, *found_by).select_from(target.class_)
        if through is not None:
            statement = statement.join(*through)
        statement = statement.where(*branch.criteria).order_by(*order_by or ()).options(*options)
        rows: list[Any] = []
        where = bind_arguments(self.session)
        for condition in within(dialect_of(self.session, target.mapper), found_by, keys):
            self.statements += 1
            rows.extend(self.session.execute(statement.where(condition), bind_arguments=where).all())
        for row in rows:
            forget_options(instance_state(row[0]), options)
        return rows


def _attributes(plan: Blueprint, keys: Iterable[str]) -> list[Any]:
    return [getattr(plan.class_, key) for key in keys]


def _options(plan: Blueprint, shape: Shape) -> list[ExecutableOption]:
    """What loads exactly the shape's columns, and no relationship: those come in bulk, one level down."""
    wanted = set(shape.wanted_columns(plan))
    options: list[ExecutableOption] = []
    for key, column in plan.columns.items():
        if column.deferred and key in wanted:
            options.append(undefer(getattr(plan.class_, key)))
        elif not column.deferred and not column.query_only and key not in wanted:
            options.append(defer(getattr(plan.class_, key)))
    eager = [rel for rel in plan.relationships.values() if rel.property.lazy in EAGER]
    return [*options, *(lazyload(getattr(plan.class_, rel.key)) for rel in eager)]
