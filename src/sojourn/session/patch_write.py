"""Writing what was decided: the objects are brought into the session and up to date, then each attribute is set as the
caller would set it, so validators and events run.

They are the caller's code and may raise. So everything that can change is remembered before (`Undo`), all faults are
collected, and after any of them everything is put back.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state, set_committed_value
from sqlalchemy.orm.collections import KeyFuncDict, collection_adapter

from sojourn.errors import PayloadFault
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import by_class
from sojourn.mapping.identity import make_identity
from sojourn.session.catch_up import catch_up
from sojourn.session.keys import pointed
from sojourn.session.membership import without
from sojourn.session.newcomers import bring
from sojourn.session.patch_members import Member, Members, Target, holder_of
from sojourn.session.patch_plan import Membership, Plan
from sojourn.session.patch_rows import Found
from sojourn.session.prefetch import Filling, fill_inverse
from sojourn.session.rows import local_values
from sojourn.snapshot.payload import Node
from sojourn.snapshot.plain import plain_key
from sojourn.sqlalchemy_internals import (
    State,
    Undo,
    forget_mutation,
    held_by,
    members,
    new_instance,
    put_collection,
    set_base,
)


class Writing:
    """One patch while it is written. `objs` are the objects of the targets, `removed` those who left a collection."""

    def __init__(self, session: Session, plan: Plan, nodes: list[Node]) -> None:
        self.session = session
        self.plan = plan
        self.targets = plan.targets
        self.members: Members = plan.search.members
        self.nodes = nodes
        self.undo = Undo(session)
        self.filling = Filling(session)
        self.objs: dict[Target, Any] = {}
        self.faults: list[PayloadFault] = []
        self.moved: list[Any] = []  # members that came to a parent, or left one
        self.deleted: list[Any] = []
        self._passed: dict[Target, set[str]] = {}  # what the constructor was given
        self._first: Exception | None = None
        self._kept: list[Any] = []  # the session holds its objects weakly

    def run(self) -> None:
        """Write, or leave everything as it was. Database: may load."""
        try:
            self._bring()
            for node in _in_order(self.nodes):
                self._make(node)
            for node in self.nodes:
                self._set(node)
            for membership in self.plan.memberships:
                self._relate(membership)
            if not self.faults:
                self.session.add_all([obj for target, obj in self.objs.items() if target.is_new])
                self._delete()
        except BaseException:
            self.undo.restore()
            raise
        if self.faults:
            self.undo.restore()

    @property
    def cause(self) -> Exception | None:
        """The first error that the caller's code raised."""
        return self._first

    # --- everybody is here, and up to date ---

    def _bring(self) -> None:
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
        stored = self._objects(self.members.stored(membership.parent, rel))
        now = self._objects(membership.now)
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

    def _objects(self, some: Iterable[Member]) -> list[Any]:
        return [state.obj() for one in some if (state := self.members.state_of(one)) is not None]

    # --- new objects ---

    def _make(self, node: Node) -> None:
        target = self.targets[node]
        if target in self.objs or not target.is_new:
            return
        with self._at(node.path):
            given = self._given(node, target)
            self._passed[target] = set(given)
            try:
                self.objs[target] = target.plan.class_(**given)
            except SQLAlchemyError:
                raise
            except Exception as error:
                if not self._blame(node, target.plan, given, error):
                    raise

    def _blame(self, node: Node, plan: Blueprint, given: Mapping[str, Any], error: Exception) -> bool:
        """Whether the constructor failed in a validator: each value that is refused is a fault of its own."""
        sample, before = new_instance(plan.mapper), len(self.faults)
        for name, value in given.items():
            if name not in plan.relationships:
                self._set_one(node, sample, name, value)
        found = any(fault.message == str(error) for fault in self.faults[before:])
        if not found:
            del self.faults[before:]
        return found

    def _given(self, node: Node, target: Target) -> dict[str, Any]:
        """What the constructor takes, of what is known of the new object."""
        own = {**node.natural, **node.values}
        own.update((name, _composite(target.plan, None, name, parts)) for name, parts in node.composites.items())
        known: dict[str, Any] = {}
        for rel, child in node.references.items():
            known[rel.key] = None if child is None else self.objs.get(self.targets[child])
        if node.above is not None and node.rel is not None and node.in_collection:
            above = self.targets[node.above]
            if node.rel.inverse is not None:
                known.setdefault(node.rel.inverse, self.objs.get(above))
            known.update(dict.fromkeys(node.rel.remote_key))
            if above.found is not None:
                known.update(zip(node.rel.remote_key, holder_of(above.found, node.rel), strict=False))
        required = _parameters(target.plan.class_)
        needed = {name: value for name, value in known.items() if required.get(name)}
        return {**needed, **{name: value for name, value in own.items() if name in required or "" in required}}

    # --- attributes ---

    def _set(self, node: Node) -> None:
        target = self.targets[node]
        obj = self.objs.get(target)
        if obj is None:
            return
        passed = self._passed.get(target, set())
        if target.is_new:
            for name, value in node.natural.items():
                if name not in passed and name not in node.values:
                    self._set_one(node, obj, name, value)
        for name in node.given:
            if name in passed:
                continue
            if name in node.values:
                self._set_one(node, obj, name, node.values[name])
            elif name in node.composites:
                with self._at(node.at(name)):
                    setattr(obj, name, _composite(target.plan, obj, name, node.composites[name]))
        for rel, child in node.references.items():
            other = None if child is None else self.objs.get(self.targets[child])
            if child is None or other is not None:
                self._set_one(node, obj, rel.key, other)

    def _set_one(self, node: Node, obj: Any, name: str, value: Any) -> None:
        with self._at(node.at(name)):
            setattr(obj, name, value)

    @contextmanager
    def _at(self, path: str) -> Iterator[None]:
        """What the caller's code raises is a fault at this path. An error of the database is none of the payload's."""
        try:
            yield
        except SQLAlchemyError:
            raise
        except Exception as error:  # noqa: BLE001 - a validator is the caller's and raises what it likes
            self._first = self._first or error
            self.faults.append(PayloadFault(path, str(error) or type(error).__name__))

    # --- collections ---

    def _relate(self, membership: Membership) -> None:
        rel, obj = membership.rel, self.objs.get(membership.parent)
        if obj is None:
            return
        removed = self._objects(membership.removed)
        if not rel.many:
            self._put_one(membership, obj, removed)
        else:
            collection = getattr(obj, rel.key)
            for one in removed:
                with self._at(membership.path):
                    _take_out(collection, one)
            there = set(map(id, members(collection)))
            for node in membership.added:
                child = self.objs.get(self.targets[node])
                # Its constructor, or a listener, may have put it in.
                if child is not None and id(child) not in there:
                    with self._at(node.path):
                        _put_in(collection, node, child)
                        there.add(id(child))
        if rel.direction == "to many":
            added = [self.targets[node] for node in membership.added]
            self.moved += [*removed, *(self.objs[one] for one in added if one in self.objs and not one.is_new)]
        if membership.delete:
            self.deleted += removed

    def _put_one(self, membership: Membership, obj: Any, removed: list[Any]) -> None:
        for node in membership.added:
            child = self.objs.get(self.targets[node])
            if child is not None:
                with self._at(node.path):
                    setattr(obj, membership.rel.key, child)
        if removed and not membership.added:
            with self._at(membership.path):
                setattr(obj, membership.rel.key, None)

    def _delete(self) -> None:
        """Delete who is to be deleted, after what hangs on them was loaded in bulk: it goes with them."""
        level = [instance_state(one) for one in self.deleted]
        seen = set(level)
        while level:
            names = {class_: _going_with(blueprint(class_)) for class_ in by_class(level)}
            self.filling.fill_relationships([one for one in level if one.key is not None], names)
            below = []
            for state in level:
                for name in names[state.class_]:
                    value = state.dict.get(name)
                    many = blueprint(state.mapper).relationships[name].many
                    below += [
                        instance_state(one) for one in ([] if value is None else members(value) if many else [value])
                    ]
            level = [one for one in dict.fromkeys(below) if one not in seen]
            seen.update(level)
        self.undo.remember(seen)
        for one in self.deleted:
            if instance_state(one).key is not None:
                self.session.delete(one)
            elif one in self.session:
                self.session.expunge(one)


def _in_order(nodes: list[Node]) -> Iterator[Node]:
    """What a node refers to comes before it, so that a constructor can be given it."""
    done: set[Node] = set()
    for node in nodes:
        stack = [node]
        while stack:
            top = stack[-1]
            before = [one for one in top.references.values() if one is not None and one not in done]
            if before and top not in done:
                stack += before
                continue
            stack.pop()
            if top not in done:
                done.add(top)
                yield top


def _parameters(class_: type) -> dict[str, bool]:
    """The names that a constructor takes, and whether it needs them; "" where it takes any."""
    found: dict[str, bool] = {}
    for parameter in inspect.signature(class_).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found[""] = True
        elif parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}:
            found[parameter.name] = parameter.default is parameter.empty
    return found


def _composite(plan: Blueprint, obj: Any, name: str, parts: dict[str, Any] | None) -> Any:
    """The whole value: what the payload gives of it, and the rest as it is."""
    if parts is None:
        return None
    if "" in parts:
        return parts[""]
    keys = plan.composites[name]
    make: Callable[..., Any] = plan.mapper.composites[name].composite_class
    return make(*[parts[key] if key in parts else getattr(obj, key, None) for key in keys])


def _take_out(collection: Any, member: Any) -> None:
    """Remove a member by what it is, not by its own idea of equality."""
    if isinstance(collection, list):
        del collection[next(at for at, one in enumerate(collection) if one is member)]
    elif isinstance(collection, dict):
        del collection[next(key for key, one in collection.items() if one is member)]
    else:
        collection_adapter(collection).remove_with_event(member)


def _put_in(collection: Any, node: Node, member: Any) -> None:
    if isinstance(collection, KeyFuncDict):
        key = collection.keyfunc(member)
        if key in collection:
            raise ValueError(f"another member has the key {key!r}")
        if node.name is not None and plain_key(key) != node.name:
            raise ValueError(f"its key in the collection is {key!r}, not {node.name!r}")
    collection_adapter(collection).append_with_event(member)


def _going_with(plan: Blueprint) -> list[str]:
    """The relationships that SQLAlchemy asks for when an object is deleted."""
    return [
        rel.key
        for rel in plan.relationships.values()
        if rel.writable
        and rel.loadable
        and (rel.deletes or rel.direction != "to one")
        and not rel.property.passive_deletes
    ]
