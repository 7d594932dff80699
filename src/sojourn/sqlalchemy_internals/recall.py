"""A session and all of its objects as they were: who was in it, as what, and what each of them was like.

SQLAlchemy's rollback of a savepoint expunges what was added and expires what was edited, the edits of before included.
Here everything is remembered before and put back after that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.writeonly import WriteOnlyHistory

from sojourn.sqlalchemy_internals.edits import members
from sojourn.sqlalchemy_internals.state import State
from sojourn.sqlalchemy_internals.undo import Memento, Undo


class Recall(Undo):
    """Everything that a session holds, and what its objects refer to, as it is when this is made.

    The objects stay in memory as long as this does. It is to be restored once, after SQLAlchemy's own rollback.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._pending = dict(session._new)
        self._persistent = [one for one in session.identity_map.all_states() if one.obj() is not None]
        self._references: dict[type, tuple[str, ...]] = {}
        self.remember((*self._persistent, *self._pending, *_deleted_before(session)))
        outside = list(self._remembered.values())
        for memento in outside:  # it grows on the way
            for state in self._strangers(memento):
                if state not in self._remembered:
                    self.remember((state,))
                    outside.append(self._remembered[state])

    @property
    def states(self) -> list[State]:
        """Who is remembered."""
        return list(self._remembered)

    def untie(self) -> None:
        """Changes in place of the values that were set meanwhile are no edits any more. To be called before a rollback
        expires them."""
        for memento in self._remembered.values():
            memento.untie()

    def restore(self) -> None:
        """Everything is as it was; session events tell where an object goes that SQLAlchemy's rollback left elsewhere.

        What was loaded meanwhile stays in the session, expired: it is read again when it is used. What was in no
        session, and is in another one now, is left alone.
        """
        session: Any = self.session
        identity_map = session.identity_map
        loaded = [one for one in identity_map.all_states() if one not in self._remembered]
        before = {state: _phase(state) for state in self._remembered}
        identity_map._dict.clear()
        identity_map._modified.clear()
        for state, memento in self._remembered.items():
            elsewhere = state.session
            if elsewhere is not None and elsewhere is not session:
                if memento.kept.get("session_id") is None:
                    continue
                elsewhere._expunge_states([state])
            memento.put_back()
            state.__dict__.pop("_instance_dict", None)
        for state in self._persistent:
            identity_map._dict[state.key] = state
            identity_map._manage_incoming_state(state)
        session._new = dict(self._pending)
        session._deleted = dict(self._deleted)
        self._let_stay(loaded)
        for state, phase in before.items():
            for tell in getattr(session.dispatch, f"{phase}_to_{_phase(state)}", ()):
                tell(session, state)

    def _let_stay(self, loaded: Iterable[State]) -> None:
        session: Any = self.session
        identity_map = session.identity_map
        for state in loaded:
            state._expire(state.dict, identity_map._modified)
            if state.key in identity_map._dict:  # the identity is another object's again
                state._detach(session)
            else:
                identity_map._dict[state.key] = state

    def _strangers(self, memento: Memento) -> Iterator[State]:
        """Who is referred to, and in no session: objects that are new, or detached."""
        own = self.session.hash_key
        for obj in self._referred_to(memento):
            state = getattr(obj, "_sa_instance_state", None)
            if state is not None and state.session_id != own and state.session is None:
                yield state

    def _referred_to(self, memento: Memento) -> Iterator[Any]:
        values, class_ = memento.values, memento.state.class_
        references = self._references.get(class_)
        if references is None:
            references = self._references[class_] = tuple(memento.state.mapper.relationships.keys())
        for key in references:
            value = values.get(key)
            if value is None:
                continue
            if getattr(value, "_sa_adapter", None) is not None:
                yield from members(value)
            else:
                yield value
        for key, base in memento.committed.items():
            if isinstance(base, WriteOnlyHistory):
                yield from (*base.added_items, *base.deleted_items)
            elif key in references:
                yield from base if isinstance(base, list) else (base,)
        for pending in memento.kept.get("_pending_mutations", {}).values():
            yield from (*pending.added_items, *pending.deleted_items)


def _deleted_before(session: Session) -> Iterator[State]:
    """Who was deleted by a flush that is not committed yet."""
    transaction = session._transaction
    while transaction is not None:
        yield from (state for state in transaction._deleted if state.obj() is not None)
        transaction = transaction._parent


def _phase(state: State) -> str:
    if state.session is None:
        return "transient" if state.key is None else "detached"
    return "pending" if state.key is None else "deleted" if state._deleted else "persistent"
