"""The new objects that came home to a session before, by the token that travels with each.

A new object has no identity, so when the same bytes come home twice only its token tells that it is here already. The
session remembers it, and weakly: an object that nobody holds any more is not kept for it.
"""

from __future__ import annotations

import weakref
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.mapping.base import TOKEN
from sojourn.sqlalchemy_internals import State, in_session

_TOKENS = "sojourn.tokens"


def token_of(state: State) -> Any:
    """The token that travels with an object; None where it has none. Database: none."""
    return state.info.get(TOKEN) if "info" in state.__dict__ else None


def known_tokens(session: Session) -> dict[Any, State]:
    """The objects that came home with a token and are still in this session. Database: none."""
    attached = session.info.get(_TOKENS, {})
    return {token: instance_state(obj) for token, obj in attached.items() if in_session(instance_state(obj), session)}


def remember_token(session: Session, token: Any, obj: Any) -> None:
    """Note that this object stands for a token from now on. Database: none."""
    session.info.setdefault(_TOKENS, weakref.WeakValueDictionary())[token] = obj
