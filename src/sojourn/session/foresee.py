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
from sojourn.session.newcomers import bring
from sojourn.session.rows import Reader
from sojourn.sqlalchemy_internals import held_by


def foresee(session: Session, incoming: Incoming, reader: Reader) -> list[Any]:
    """Instances for the members that were read and are not here yet; to be kept until they are members.

    Database: may load.
    """
    coming = {assumed_identity(state) for state in incoming.states}
    absent: dict[Blueprint, dict[Key, None]] = {}
    for rel, parents in reader.members.items():
        plan = blueprint(rel.target)
        for keys in parents.values():
            for key in keys:
                identity = make_identity(plan, key)
                if identity not in coming and held_by(session, identity) is None:
                    absent.setdefault(plan, {})[key] = None
    return [obj for plan, keys in absent.items() for obj in bring(session, plan, keys, reader, eagerly=False)]
