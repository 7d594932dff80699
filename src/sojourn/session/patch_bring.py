"""Everybody whom a patch is about, in the session and up to date: built from the rows that were read, or brought up to
them, with the collections that the payload names loaded. Whatever can change is remembered for `Undo` before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state, set_committed_value

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import by_class
from sojourn.mapping.identity import make_identity
from sojourn.session.catch_up import catch_up
from sojourn.session.keys import pointed
from sojourn.session.membership import without
from sojourn.session.newcomers import bring
from sojourn.session.patch_members import Member, Target
from sojourn.session.patch_plan import Membership, Plan
from sojourn.session.patch_rows import Found
from sojourn.session.prefetch import Filling, fill_inverse
from sojourn.session.rows import local_values
from sojourn.snapshot.payload import Node
from sojourn.sqlalchemy_internals import State, Undo, forget_mutation, held_by, members, put_collection, set_base


class Bringing:
    """Brings the objects of one patch. `objs` are those of its targets, as far as they are there already."""

    def __init__(self, session: Session, plan: Plan, nodes: list[Node], undo: Undo) -> None:
        self.session = session
        self.plan = plan
        self.targets = plan.targets
        self.members = plan.search.members
        self.nodes = nodes
        self.undo = undo
        self.filling = Filling(session)
        self.objs: dict[Target, Any] = {}
        self._kept: list[Any] = []  # the session holds its objects weakly

    def run(self) -> None:
        """Bring them. Database: may load."""
        targets = dict.fromkeys(target for target in self.targets.values())
        wanted: list[Member] = [one for target in targets if (one := target.found or target.held) is not None]
        for membership in self.plan.memberships:
            wanted += [*self.members.stored(membership.parent, membership.rel), *membership.now]
        held = [state for one in wanted if (state := self.members.state_of(one)) is not None]
        self._kept.extend(state.obj() for state in held)
        self.undo.remember(dict.fromkeys(held))
        self._bring_rows(one for one in wanted if isinstance(one, Found))
        here = [state for one in wanted if (state := self.members.state_of(one)) is not None]
        self.undo.remember(self._neighbours(here))
        for reader in self.plan.search.rows.readers:
            catch_up(self.session, by_class(dict.fromkeys(here)), reader, fill=True)
        for target in targets:
            state = self.members.state_of(target)
            if state is not None:
                self.objs[target] = state.obj()
        for membership in self.plan.memberships:
            if not membership.parent.is_new:
                self._fill(membership)
        self._fill_references()

    def _bring_rows(self, rows: Iterable[Found]) -> None:
        # Targets come first: they know the whole row of a class whose columns are in several tables.
        first: dict[tuple[Blueprint, Any], Found] = {}
        for one in rows:
            if self.members.state_of(one) is None:
                first.setdefault((one.plan, one.key), one)
        absent: dict[tuple[Blueprint, Any], list[Any]] = {}
        for one in first.values():
            absent.setdefault((one.plan, one.read), []).append(one.key)
        for (plan, read), keys in absent.items():
            reader = next(one for one in self.plan.search.rows.readers if read in one.tables.values())
            brought = bring(self.session, plan, keys, reader)
            self._kept.extend(brought)
            self.undo.arrived(map(instance_state, brought))

    def _neighbours(self, states: Iterable[State]) -> Iterator[State]:
        """Whom the backrefs of these can change: those whom they refer to, in memory or by a foreign key."""
        for state in states:
            for rel in blueprint(state.mapper).relationships.values():
                value = state.dict.get(rel.key) if rel.loadable else None
                if value is not None:
                    yield from map(instance_state, members(value) if rel.many else [value])
                elif rel.by_primary_key and rel.key not in state.dict:
                    key = pointed(tuple(state.dict.get(name) for name in rel.local_key))
                    held = None if key is None else held_by(self.session, make_identity(blueprint(rel.target), key))
                    if held is not None:
                        yield held

    def _fill(self, membership: Membership) -> None:
        """The collection holds who is in it now, and its history says what the session itself has done to it."""
        rel, state = membership.rel, instance_state(self.objs[membership.parent])
        stored = self.objects(self.members.stored(membership.parent, rel))
        now = self.objects(membership.now)
        loaded = state.dict.get(rel.key)
        there = list(members(loaded)) if rel.many and loaded is not None else [] if loaded is None else [loaded]
        if rel.key not in state.dict or without(there, now) or without(now, there):
            forget_mutation(state, rel.key)
            if rel.many:
                put_collection(state, rel.key, now)
            else:
                state.dict[rel.key] = now[0] if now else None
        if state.key is not None and (without(stored, now) or without(now, stored)):
            set_base(state, rel.key, stored if rel.many else stored[0] if stored else None)
        fill_inverse(rel, [state])

    def _fill_references(self) -> None:
        """References whose former target SQLAlchemy will ask for are loaded in bulk, not one by one."""
        wanted: dict[Relationship, list[State]] = {}
        for node in self.nodes:
            obj = self.objs.get(self.targets[node])
            for rel in node.references if obj is not None else ():
                state = instance_state(obj)
                key = pointed(local_values(state, rel)) if rel.by_primary_key else ()
                held = held_by(self.session, make_identity(blueprint(rel.target), key)) if key else None
                if rel.key in state.dict:
                    continue
                if key is None or held is not None:
                    set_committed_value(obj, rel.key, None if held is None else held.obj())
                elif not rel.by_primary_key or rel.owns or rel.deletes:
                    wanted.setdefault(rel, []).append(state)
        for rel, states in wanted.items():
            self.filling.fill_relationships(states, {class_: [rel.key] for class_ in by_class(states)})
            self.undo.remember(self._neighbours(states))

    def objects(self, some: Iterable[Member]) -> list[Any]:
        """The session's objects for these."""
        return [state.obj() for one in some if (state := self.members.state_of(one)) is not None]
