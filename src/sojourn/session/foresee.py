"""Whoever others have added is loaded before anything is changed, so that a database that fails changes nothing.

The merge knows new members by their keys. What is not here yet, neither in the session nor in the graph that comes
home, becomes an instance now; the later steps find it in the session and have nothing left to load.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.identity import assumed_identity, make_identity
from sojourn.session.incoming import Incoming
from sojourn.session.keys import Key
from sojourn.session.locks import sorted_keys
from sojourn.session.newcomers import bring
from sojourn.session.rows import Reader
from sojourn.sqlalchemy_internals import held_by

_NO_KEY = (None, None)  # of an object without an identity


def foresee(session: Session, incoming: Incoming, reader: Reader) -> list[Any]:
    """Instances for the members that were read and are not here yet; to be kept until they are members.

    Database: may load.
    """
    wanted: dict[Blueprint, set[Key]] = {}
    for rel, parents in reader.members.items():
        wanted.setdefault(blueprint(rel.target), set()).update(*parents.values())
    newcomers: list[Any] = []
    for plan, keys in wanted.items():
        for class_, states in incoming.by_class.items() if keys else ():
            if blueprint(class_).base_class is plan.base_class:
                keys.difference_update([(state.key or assumed_identity(state) or _NO_KEY)[1] for state in states])
        absent = sorted_keys(key for key in keys if held_by(session, make_identity(plan, key)) is None)
        newcomers += bring(session, plan, absent, reader, eagerly=False)
    return newcomers
