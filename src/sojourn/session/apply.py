"""Carry out the verdicts of an attach: put objects into the session and write what was decided. Nothing is decided
here.

No attribute event is fired, so that nothing of the caller's can fail half way; both sides of a relationship are kept in
step by hand. The session's own events (`before_attach` and its like) fire as with `Session.add`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value, forget, put_back
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.graph import followed
from sojourn.session.decide import Decider
from sojourn.session.incoming import Incoming
from sojourn.session.newcomers import bring
from sojourn.session.relate import Relating
from sojourn.session.rows import Reader
from sojourn.session.tokens import remember_token, token_of
from sojourn.session.verdict import Verdict
from sojourn.session.write import follow_foreign_keys, refer_anew, take_row, write_bases, write_values
from sojourn.sqlalchemy_internals import (
    State,
    attach_pending,
    attach_persistent,
    base_of,
    become_transient,
    edited_keys,
    expire_unloaded,
    fire_refresh,
    forget_edit,
    forget_mutation,
    held_by,
    loaded_now,
    members,
    put_collection,
    set_base,
    set_parent,
    settle,
    take_out,
    unload,
)


class Homecoming:
    """Applies one attach."""

    def __init__(self, session: Session, incoming: Incoming, decider: Decider, reader: Reader) -> None:
        self.session = session
        self.incoming = incoming
        self.verdicts = decider.verdicts
        self.reader = reader
        self.skipped = {state for state, verdict in self.verdicts.items() if verdict.fate == "skip"}
        self.skipped |= {state for state in incoming.states if state in decider.fates.gone}
        self.revived = decider.sides.revived
        self.numbers = decider.ordering.numbers
        self.people: dict[Hashable, State] = {}  # identity -> the state that stands for it in the session
        self.kept_alive: list[Any] = []
        self.relating = Relating(session, self.verdicts.values(), self._person)

    def arrive(self) -> None:
        """Bring everything home, and write the columns. What was read besides may be written then, before `relate`.

        Database: may load (members of other tables that arrived through a third table).
        """
        self._summon()
        for home in self.revived:
            self._revive(home)
        for verdict in self.verdicts.values():
            if verdict.fate == "recreate":
                self._recreate(verdict)
            elif verdict.fate == "update" and verdict.arrival.is_new and verdict.arrival.home is None:
                self._recognize(verdict)
        if self.incoming.homes or self.skipped:
            for state in [*self.incoming.states, *self.incoming.at_home]:
                if state not in self.incoming.homes and state not in self.skipped:
                    self._repoint(state)
        for verdict in self.verdicts.values():
            if verdict.fate == "as is":
                self._record(verdict)
        self._bring_in(
            [one for one in self.incoming.states if one not in self.incoming.homes and one not in self.skipped]
        )
        self._remember_tokens()
        self._forget_positions()
        for verdict in self.verdicts.values():
            if verdict.fate == "update":
                self._write(verdict)

    def relate(self) -> None:
        """Write the relationships as they were decided, and delete. Database: none."""
        self.relating.run()
        self._number()
        for obj in self.relating.loose:
            self.session.delete(obj)

    def _forget_positions(self) -> None:
        """Who is not in the list any more has no position in it: what the list gave it here is no edit."""
        for state, key in self.incoming.positions.given.items():
            if state.key is not None and self.standing(state) is state and self.incoming.who(state) not in self.numbers:
                if not put_back(state, key):
                    forget_edit(state, key)
                    unload(state, key)
                settle(state)

    def _number(self) -> None:
        """Everybody in a list that was changed gets a position: new objects, too, and whom others have added."""
        for name, number in self.numbers.items():
            obj = self._person(name)
            if obj is not None:
                write_values(instance_state(obj), {number.key: (number.stored, number.value)})
                settle(instance_state(obj))

    def _recognize(self, verdict: Verdict) -> None:
        """A new object whose row was found has an identity."""
        state = verdict.arrival.state
        state.key = verdict.arrival.identity
        expire_unloaded(state)
        for key in verdict.arrival.plan.primary_key:
            forget_edit(state, key)

    def _recreate(self, verdict: Verdict) -> None:
        """An object whose row is to be inserted again has no identity; everything on it is new."""
        state, home = verdict.arrival.state, verdict.arrival.home
        references = self._edited_references(verdict)
        if home is not None:
            take_out(self.session, [home])
            known = {key: value for key, value in state.dict.items() if key in verdict.arrival.plan.columns}
            edited = {key: known[key] for key in verdict.arrival.columns}
            home.dict.update({**known, **home.dict, **edited})
            fire_refresh(home, list(known))
            for rel in verdict.arrival.plan.relationships.values():
                target = state.dict.get(rel.key) if rel.direction == "to one" and rel.loadable else None
                if target is not None and (here := self._obj(target)) is not None:
                    home.dict.setdefault(rel.key, here)
            follow_foreign_keys(self.session, home, leave={rel.key for rel in references})
            state = home
        become_transient(state)
        for key in list(edited_keys(state)):
            forget_edit(state, key)
        loaded_now(state, verdict.arrival.plan.columns)
        for rel, target in references.items():
            refer_anew(state, rel, target)
        if home is not None:
            attach_pending(self.session, home)

    def _edited_references(self, verdict: Verdict) -> dict[Relationship, Any]:
        """The session's own unflushed references, and over them mine: the object is told by its columns otherwise."""
        arrival, home = verdict.arrival, verdict.arrival.home
        found: dict[Relationship, Any] = {}
        for rel in arrival.plan.relationships.values():
            if rel.direction != "to one" or not rel.writable:
                continue
            if rel in arrival.references:
                target = arrival.source(rel.key).dict.get(rel.key)
                found[rel] = None if target is None else self._obj(target)
            elif home is not None and rel.key in edited_keys(home) and rel.key in home.dict:
                found[rel] = home.dict[rel.key]
        return found

    def _revive(self, home: State) -> None:
        """The session was about to delete its instance: not any more."""
        self.session.add(home.obj())
        for rel in blueprint(home.mapper).relationships.values():
            former = base_of(home, rel.key) if rel.key in edited_keys(home) and rel.direction == "to one" else None
            if former is None or former is UNKNOWN or rel.inverse is None or home.dict.get(rel.key) is not None:
                continue
            owner: State = instance_state(former)
            home.dict[rel.key] = former
            forget_edit(home, rel.key)
            set_parent(owner, rel.inverse, home)
            self.relating.enter(owner, rel.inverse, home.obj())

    def _record(self, verdict: Verdict) -> None:
        """SQLAlchemy has not seen what was changed in place: it is told before the copy of the base is dropped."""
        state = verdict.arrival.state
        bases = {key: base_value(state, key) for key in verdict.arrival.columns}
        write_bases(state, {key: base for key, base in bases.items() if base is not UNKNOWN})

    def _bring_in(self, coming: list[State]) -> None:
        attach_persistent(self.session, [state for state in coming if state.key is not None])
        for state in coming:
            if state.key is None:
                attach_pending(self.session, state)
            elif state.modified:
                self._forget_mutations(state)
                _empty_deleted(state)
            if "info" in state.__dict__:
                forget(state)

    def _forget_mutations(self, state: State) -> None:
        """What is noted on a collection that is not loaded is the other side of edits that are in the graph, too."""
        for rel in blueprint(state.mapper).relationships.values():
            if rel.loadable and rel.many and rel.key not in state.dict and rel.key in edited_keys(state):
                forget_mutation(state, rel.key)

    def standing(self, state: State) -> State | None:
        """The state that stands for a given one after attach; None where it was skipped."""
        home = self.incoming.home_of(state)
        return None if home in self.skipped or state in self.skipped else home

    # --- who is who ---

    def _summon(self) -> None:
        """Everybody whom a final collection or reference names, also those who arrived while we were away."""
        if not any(verdict.collections or verdict.references for verdict in self.verdicts.values()):
            return
        for state in [*self.incoming.states, *self.incoming.at_home]:
            home = self.standing(state)
            if home is not None:
                self.people[self.incoming.who(state)] = home
        wanted: dict[Relationship, dict[Any, None]] = {}
        for verdict in self.verdicts.values():
            for rel, (stored, final) in verdict.collections.items():
                for member in (*stored, *final):
                    if member not in self.people and not isinstance(member, InstanceState):
                        wanted.setdefault(rel, {})[member] = None
        for rel, identities in wanted.items():
            for identity in identities:
                held = held_by(self.session, identity)
                if held is not None:
                    self.people[identity] = held
            absent = [identity for identity in identities if identity not in self.people]
            for obj in bring(self.session, blueprint(rel.target), (identity[1] for identity in absent), self.reader):
                self.kept_alive.append(obj)
                newcomer: State = instance_state(obj)
                self.people[self.incoming.who(newcomer)] = newcomer

    def _repoint(self, state: State) -> None:
        """References to copies become references to the instances that stand for them."""
        loaded = state.dict
        for key, many in followed(state):
            value = loaded.get(key)
            if value is not None:
                now = list(members(value)) if many else [value]
                homes = [self._obj(one) for one in now]
                if any(home is not one for home, one in zip(homes, now, strict=True)):
                    self._replace(state, key, many, [home for home in homes if home is not None])
            if key in edited_keys(state):
                base = base_of(state, key)
                if base is not UNKNOWN and base is not None:
                    old = [home for one in (members(base) if many else [base]) if (home := self._obj(one)) is not None]
                    set_base(state, key, old if many else old[0] if old else UNKNOWN)

    def _replace(self, state: State, key: str, many: bool, homes: list[Any]) -> None:
        edited = key in edited_keys(state)
        base = base_of(state, key) if edited else None
        if many:
            put_collection(state, key, homes)
            if edited:
                set_base(state, key, base)
        elif homes:
            state.dict[key] = homes[0]
        else:
            unload(state, key)

    def _obj(self, obj: Any) -> Any:
        home = self.standing(instance_state(obj))
        return None if home is None else home.obj()

    def _write(self, verdict: Verdict) -> None:
        state = verdict.home
        read = self.reader.tables.get(verdict.arrival.plan.table)
        row = read.rows.get(state.key[1]) if read is not None and state.key is not None else None
        if read is not None and row is not None:
            take_row(state, read, row, leave=verdict.writes)
        write_values(state, verdict.writes)
        follow_foreign_keys(self.session, state, leave={rel.key for rel in verdict.references})
        settle(state)

    def _person(self, one: Hashable) -> Any:
        """The object that stands in the session for an identity or a state; None where nobody does."""
        state = self.standing(one) if isinstance(one, InstanceState) else self.people.get(one)
        return None if state is None else state.obj()

    def _remember_tokens(self) -> None:
        for verdict in self.verdicts.values():
            token = token_of(verdict.arrival.state)
            if token is not None:
                remember_token(self.session, token, verdict.home.obj())


def _empty_deleted(state: State) -> None:
    """What was deleted with `del` holds None: SQLAlchemy breaks off at such a column, and may overlook a reference."""
    plan = blueprint(state.mapper)
    for key in edited_keys(state):
        rel = plan.relationships.get(key)
        if key not in state.dict and (key in plan.columns if rel is None else rel.loadable and not rel.many):
            state.dict[key] = None
