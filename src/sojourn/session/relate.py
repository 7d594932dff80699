"""Writing relationships as they were decided, on both sides, without events.

A relationship is one fact with two sides, and SQLAlchemy flushes whichever side has a history. So an edit is recorded
where the verdict says, the other side is brought in step without a history of its own, and at the end the marks are set
by which SQLAlchemy knows orphans.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from sqlalchemy.orm import InstanceState, Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.identity import make_identity
from sojourn.session.arrival import changed_members, members_now
from sojourn.session.incoming import owned
from sojourn.session.keys import pointed
from sojourn.session.membership import change, hold, record_departure, record_removal, refer_back, without
from sojourn.session.verdict import ReferenceVerdict, Verdict
from sojourn.session.write import write_values
from sojourn.sqlalchemy_internals import (
    State,
    base_of,
    clear_parent,
    drop_parent,
    edited_keys,
    forget_edit,
    forget_mutation,
    held_by,
    in_session,
    leave_as_orphan,
    members,
    set_base,
    set_parent,
    settle,
    unload,
)

Person = Callable[[Hashable], Any]  # from who it is to the object that stands for it in the session, if any


class Relating:
    """Writes the relationships of one verb."""

    def __init__(self, session: Session, verdicts: Iterable[Verdict], person: Person) -> None:
        self.session = session
        self.verdicts = [verdict for verdict in verdicts if verdict.fate != "skip"]
        self.person = person
        self.loose: list[Any] = []  # to be deleted, and nobody here owns them
        # Collections that are written by their own verdict.
        self.governed = {(verdict.home, rel.key) for verdict in self.verdicts for rel in verdict.collections}

    def run(self) -> None:
        """Write collections, then references, then the marks. The columns have been written. Database: none."""
        self._write_collections()
        for verdict in self.verdicts:
            for rel, ruling in verdict.references.items():
                self._write_reference(verdict, rel, ruling)
            if verdict.fate in ("insert", "recreate"):
                for rel in verdict.arrival.plan.relationships.values():
                    if rel.direction == "to one" and rel.writable:
                        self._tell_other_side(verdict.home, rel, (), verdict.home.dict.get(rel.key))
        self._delete()
        for verdict in self.verdicts:
            settle(verdict.home)

    def _write_collections(self) -> None:
        stands: list[tuple[State, Relationship, list[Any]]] = []
        for verdict in self.verdicts:
            for rel, (stored, final) in verdict.collections.items():
                stands.append((verdict.home, rel, self._write_collection(verdict, rel, stored, final)))
        for state, rel, stand in stands:
            for obj in stand:
                set_parent(state, rel.key, instance_state(obj))
        for verdict in self.verdicts:
            if verdict.fate == "as is":
                self._stand_as_given(verdict)

    def _delete(self) -> None:
        going = {verdict.home: verdict for verdict in self.verdicts if verdict.fate == "delete"}
        for verdict in going.values():
            self._take_from_owners(verdict)
            self._let_new_children_go(verdict.home)
        leaving = {*going, *(instance_state(obj) for obj in self.session.deleted)}
        for verdict in self.verdicts:
            for rel in verdict.arrival.references if verdict.home not in going else ():
                record_departure(verdict.home, rel, leaving)

    # --- collections ---

    def _write_collection(
        self, verdict: Verdict, rel: Relationship, stored: list[Hashable], final: list[Hashable]
    ) -> list[Any]:
        state = verdict.home
        there, stand = self._people(stored), self._people(final)
        removed = without(there, stand)
        if verdict.arrival.home is not None and rel.key in edited_keys(state):
            # What the session itself has taken out is marked already, and may have another owner.
            removed = without(removed, without(removed, members_now(state, rel)))
            self._lose_their_place(state, rel, without(changed_members(state, rel)[0], stand))
        if verdict.arrival.home is None:
            for obj in without(members_now(state, rel), stand):
                clear_parent(state, rel.key, instance_state(obj))  # an addition of mine that does not stand
        if rel.many:
            hold(state, rel.key, stand)
            before: Any = there
        else:
            state.dict[rel.key] = stand[0] if stand else None
            before = there[0] if there else None
        if state.key is None or without(there, stand) or without(stand, there):
            set_base(state, rel.key, before)
        else:
            forget_edit(state, rel.key)
        for obj in removed:
            drop_parent(state, rel.key, instance_state(obj))
            if rel.direction == "many to many":
                self.leave(instance_state(obj), rel.inverse, state.obj())
        for obj in stand:
            if rel.direction == "many to many":
                self.enter(instance_state(obj), rel.inverse, state.obj())
            else:
                refer_back(rel, state, instance_state(obj))
        return stand

    def _stand_as_given(self, verdict: Verdict) -> None:
        """What nobody merges has the owner that it was given, whatever its former one has lost."""
        state = verdict.home
        for rel in verdict.arrival.collections:
            for obj in changed_members(state, rel)[0]:
                set_parent(state, rel.key, instance_state(obj))
        for rel in verdict.arrival.references:
            target = state.dict.get(rel.key)
            if target is not None and rel.inverse is not None:
                set_parent(instance_state(target), rel.inverse, state)

    def _lose_their_place(self, owner: State, rel: Relationship, objs: Iterable[Any]) -> None:
        """The session itself had put them there, where a ruling put others: as if they were taken out again."""
        for obj in objs:
            child: State = instance_state(obj)
            drop_parent(owner, rel.key, child)
            if rel.direction == "many to many":
                self.leave(child, rel.inverse, owner.obj())
            elif child.dict.get(rel.inverse or "") is owner.obj():
                child.dict[rel.inverse or ""] = None
            leave_as_orphan(child)

    def _people(self, some: Iterable[Hashable]) -> list[Any]:
        return [obj for one in some if (obj := self.person(one)) is not None]

    # --- references ---

    def _write_reference(self, verdict: Verdict, rel: Relationship, ruling: ReferenceVerdict) -> None:
        state, stored = verdict.home, ruling.stored
        holders = [state.dict.get(rel.key), base_of(state, rel.key) if rel.key in edited_keys(state) else None]
        holders += [self._found(rel, stored), self._found(rel, verdict.arrival.source(rel.key).dict.get(rel.key))]
        target = self._found(rel, ruling.target)
        before: Any = UNKNOWN
        stored_key = stored if isinstance(stored, tuple) else (None,) * len(rel.local_key)
        if stored is not UNKNOWN:
            before = self._found(rel, stored)
            for name, value in zip(rel.local_key, stored_key, strict=True):
                forget_edit(state, name)
                if name in state.dict:
                    state.dict[name] = value
        elif rel.key in edited_keys(state):
            before = base_of(state, rel.key)
        if target is None and isinstance(ruling.target, tuple):
            # The row is somewhere, but not in memory: the foreign key says where, and the session loads it on demand.
            unload(state, rel.key)
            values = zip(stored_key, ruling.target, strict=True)
            write_values(state, dict(zip(rel.local_key, values, strict=True)))
        else:
            state.dict[rel.key] = target
            if ruling.writes:
                set_base(state, rel.key, UNKNOWN if before is None and stored is not None else before)
            else:
                forget_edit(state, rel.key)
        self._tell_other_side(state, rel, holders, target)

    def _found(self, rel: Relationship, target: Any) -> Any:
        """The object that stands for a target: given as a state, a key, or an object of the graph."""
        if target is None or target is UNKNOWN:
            return None
        if isinstance(target, tuple):
            if not rel.by_primary_key:
                return None
            identity = make_identity(blueprint(rel.target), target)
            held = held_by(self.session, identity)
            return self.person(identity) or (None if held is None else held.obj())
        return self.person(target if isinstance(target, InstanceState) else instance_state(target))

    def _tell_other_side(self, child: State, rel: Relationship, holders: Iterable[Any], target: Any) -> None:
        if rel.inverse is None:
            return
        obj = child.obj()
        for holder in {id(one): one for one in holders if one is not None and one is not UNKNOWN}.values():
            state = instance_state(holder)
            if in_session(state, self.session):
                self.leave(state, rel.inverse, obj, unless=target)
            clear_parent(state, rel.inverse, child)
        if target is not None:
            self.enter(instance_state(target), rel.inverse, obj)
            set_parent(instance_state(target), rel.inverse, child)

    def _take_from_owners(self, verdict: Verdict) -> None:
        """A child that is deleted is taken out of its owners, with a history: SQLAlchemy cascades along that alone."""
        child, removed_from = verdict.home, [(one, rel) for one, rel in verdict.arrival.removed_from if rel.owns]
        for parent, rel in removed_from:
            holder = child.dict.get(rel.inverse or "")
            if holder is not None and rel.inverse is not None:
                if rel.inverse not in edited_keys(child):
                    set_base(child, rel.inverse, holder)
                child.dict[rel.inverse] = None
            owners = [one for one in (self.person(parent), holder) if one is not None]
            owners = list({id(one): one for one in owners if self._can_lose(instance_state(one), rel, child)}.values())
            for owner in owners:
                record_removal(instance_state(owner), rel, child.obj())
            self._leave_stored_owner(child, rel, owners)
            drop_parent(parent, rel.key, child)
            if not owners:
                self.loose.append(child.obj())

    def _can_lose(self, owner: State, rel: Relationship, child: State) -> bool:
        """Whether a removal can be recorded: a collection that is not loaded has only what is stored there, and
        SQLAlchemy breaks off where it loads it and misses what was removed."""
        inverse = blueprint(child.mapper).relationships.get(rel.inverse or "")
        if rel.key in owner.dict or inverse is None or inverse.pairs is None:
            return True
        key = tuple(base_of(child, name) for name in inverse.local_key)
        stored = base_of(child, inverse.key) if UNKNOWN in key else self._found(inverse, pointed(key))
        return stored is UNKNOWN or stored is owner.obj()

    def _leave_stored_owner(self, child: State, rel: Relationship, owners: list[Any]) -> None:
        """They have moved it before it is deleted: whoever it is with now must not go on holding it."""
        inverse = blueprint(child.mapper).relationships.get(rel.inverse or "")
        if inverse is not None and inverse.pairs is not None:
            there = self._found(inverse, pointed(tuple(child.dict.get(key) for key in inverse.local_key)))
            if there is not None and without([there], owners):
                self.leave(instance_state(there), rel.key, child.obj())

    def _let_new_children_go(self, state: State) -> None:
        """What the session itself has put under a row that is deleted: SQLAlchemy cannot flush both."""
        for rel in owned(blueprint(state.mapper)):
            now = members_now(state, rel)
            new = [obj for obj in now if instance_state(obj).key is None]
            if new and rel.many:
                change(state, rel.key, without(now, new))
            elif new:
                unload(state, rel.key)
            for obj in new:
                if in_session(instance_state(obj), self.session):
                    self.session.expunge(obj)

    # --- the other side, without a history ---

    def leave(self, holder: State, name: str | None, obj: Any, unless: Any = None) -> None:
        """Take an object out of a relationship of its holder, where that is in memory."""
        other = blueprint(holder.mapper).relationships.get(name or "")
        if other is None or not other.loadable:
            return
        forget_mutation(holder, other.key, obj)
        if holder.obj() is unless or (holder, other.key) in self.governed or holder.dict.get(other.key) is None:
            return
        if not other.many:
            if holder.dict[other.key] is obj:
                unload(holder, other.key)
            return
        now = list(members(holder.dict[other.key]))
        if len(without(now, [obj])) < len(now):
            change(holder, other.key, without(now, [obj]))

    def enter(self, holder: State, name: str | None, obj: Any) -> None:
        """Put an object into a relationship of its holder, where that is in memory."""
        other = blueprint(holder.mapper).relationships.get(name or "")
        if other is None or not other.loadable or other.key not in holder.dict or (holder, other.key) in self.governed:
            return
        if not other.many:
            holder.dict[other.key] = obj
            forget_edit(holder, other.key)
            return
        now = [] if holder.dict[other.key] is None else list(members(holder.dict[other.key]))
        if without([obj], now):
            change(holder, other.key, [*now, obj])
