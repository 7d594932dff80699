"""Writing what was decided: each attribute is set as the caller would set it, so validators and events run.

They are the caller's code and may raise. So everything that can change is remembered before (`Undo`), all faults are
collected, and after any of them everything is put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import KeyFuncDict, collection_adapter

from sojourn.errors import PayloadFault
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.graph import by_class
from sojourn.session.patch_bring import Bringing
from sojourn.session.patch_make import arguments, composite_value, in_order
from sojourn.session.patch_members import Target
from sojourn.session.patch_plan import Membership, Plan
from sojourn.snapshot.payload import Node
from sojourn.snapshot.plain import plain_key
from sojourn.sqlalchemy_internals import Undo, members, new_instance


class Writing:
    """One patch while it is written. `objs` are the objects of the targets."""

    def __init__(self, session: Session, plan: Plan, nodes: list[Node]) -> None:
        self.session = session
        self.plan = plan
        self.targets = plan.targets
        self.nodes = nodes
        self.undo = Undo(session)
        self.bringing = Bringing(session, plan, nodes, self.undo)
        self.filling = self.bringing.filling
        self.objs = self.bringing.objs
        self.faults: list[PayloadFault] = []
        self.moved: list[Any] = []  # members that came to a parent, or left one
        self.deleted: list[Any] = []
        self._passed: dict[Target, set[str]] = {}  # what the constructor was given
        self._first: Exception | None = None

    def run(self) -> None:
        """Write, or leave everything as it was. Database: may load."""
        try:
            self.bringing.run()
            for node in in_order(self.nodes):
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

    # --- new objects ---

    def _make(self, node: Node) -> None:
        target = self.targets[node]
        if target in self.objs or not target.is_new:
            return
        with self._at(node.path):
            given = arguments(node, target, self.targets, self.objs)
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
                    setattr(obj, name, composite_value(target.plan, obj, name, node.composites[name]))
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
        removed = self.bringing.objects(membership.removed)
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
