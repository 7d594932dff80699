"""What `Session.merge` refreshes object by object, because it needs an old value of what is expired: read in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy.orm import RelationshipProperty, Session

from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.session.rows import Reader
from sojourn.sqlalchemy_internals import (
    Curtain,
    State,
    Visit,
    Walk,
    eager_in_refresh,
    expired_keys,
    held_by,
    reads_old,
)

Prop = RelationshipProperty[Any]


def read_expired(session: Session, walk: Walk, curtain: Curtain) -> None:
    """Read all that is expired of the objects of which one old value is needed, as SQLAlchemy does it.

    What was found waits behind the curtain. Database: may load.
    """
    reader = Reader(session)
    found: list[tuple[State, Blueprint, list[str], Sequence[Prop]]] = []
    for visit in walk.expired.values():
        held = held_by(session, visit.key)
        if held is None or not _is_refreshed(visit, held):
            continue
        followed = [prop for prop, owners in walk.collections.items() if visit.key in owners]
        eager: Sequence[Prop] | None = eager_in_refresh(visit.state, held, followed)
        plan = blueprint(held.mapper)
        names = [key for key in expired_keys(held) if key in plan.columns]
        if eager is None or not names:
            continue
        table = reader.table(plan)
        table.want(plan, names)
        table.keys[visit.key[1]] = None
        found.append((held, plan, names, eager))
    reader.run()
    for held, plan, names, along in found:
        table = reader.table(plan)
        row = table.rows.get(cast(Any, held.key)[1])
        if row is not None:
            values = {name: row[table.columns[plan.columns[name].column]] for name in names}
            curtain.rows[held.key] = values, along


def _is_refreshed(visit: Visit, held: State) -> bool:
    """Whether merging the session's object has to load what is expired of it."""
    plan = blueprint(held.mapper)
    for key in visit.plan.order:
        if key in visit.loaded and key not in held.dict and reads_old(held, key):
            rel = plan.relationships.get(key)
            if rel is None or any(name not in held.dict for name in rel.local_key or plan.primary_key):
                return True
    return False
