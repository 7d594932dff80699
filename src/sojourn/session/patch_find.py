"""Which row, or which new object, each node of a payload stands for.

An object is found by its primary key, by its natural key, or by its place: the one place of a one-to-one, the name in a
collection that is a dict, or a primary key that the parent that it hangs on and what it refers to tell, as with an
association object. A natural key counts among the members of the collection
that the object stands in, where that is one-to-many, else in the whole table. What is found by nothing is new.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy.orm import Session

from sojourn.errors import PayloadFault
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.session.keys import Key
from sojourn.session.patch_members import Member, Members, Target, holder_of
from sojourn.session.patch_rows import Found, PatchRows
from sojourn.snapshot.payload import Node
from sojourn.snapshot.permits import Permits
from sojourn.sqlalchemy_internals import State, pending_states


class Search:
    """Finds who is meant, for one patch. `targets` are they."""

    def __init__(self, session: Session, permits: Permits, nodes: list[Node], rows: PatchRows) -> None:
        self.session = session
        self.permits = permits
        self.nodes = nodes
        self.rows = rows
        self.members = Members(session, rows)
        self.targets: dict[Node, Target] = {}
        self.faults: list[PayloadFault] = []
        self._known: dict[Hashable, Target] = {}

    def run(self) -> None:
        """Find all. Database: loads."""
        unknown = self.nodes
        while True:
            before = -1
            while len(unknown) != before:
                before = len(unknown)
                for node in unknown:
                    self._resolve(node)
                unknown = [node for node in unknown if node not in self.targets]
            for node in self.nodes:
                self._want(node)
            if not self.rows.wanted:
                break
            waiting = [rel for node in unknown for rel in node.collections if self._holder(node, rel) is None]
            self.rows.run({blueprint(rel.target).table for rel in waiting})
        self._complete_rows()

    def _complete_rows(self) -> None:
        """Where the class of a row has a table of its own, the columns there are needed, too."""
        stored = {target: target.found for target in self._known.values() if target.found is not None}
        whole = self.rows.complete([(found, any(node.edits for node in one.nodes)) for one, found in stored.items()])
        for target, found in stored.items():
            target.found = whole.get((found.plan, found.key), found)

    # --- what has to be read ---

    def _want(self, node: Node) -> None:
        # The parent's table comes before its children's, so that all patches lock them in this order.
        if node not in self.targets and not self._waits(node):
            self._want_row(node)
        for rel in node.collections:
            holder = self._holder(node, rel)
            if holder is not None:
                self.rows.want(blueprint(rel.target), rel, holder, write=True)

    def _want_row(self, node: Node) -> None:
        natural, plan = self._natural(node), node.declared
        if natural and not by_members(node):
            self.rows.want(node.plan, tuple(natural), tuple(natural.values()), write=node.edits)
        key = _complete(plan, self._parts(node))
        if key is not None and not natural and (node.key or not by_members(node)):
            self.rows.want(plan, plan.primary_key, key, write=node.edits or by_members(node))

    def _holder(self, node: Node, rel: Relationship) -> Key | None:
        """What the members of a node's collection are found by; None: not known yet, or there is nobody."""
        target = self.targets.get(node)
        if target is not None:
            return None if target.found is None else holder_of(target.found, rel)
        known = rel.from_primary_key or not rel.local_key
        return _complete(node.plan, node.key) if known else None

    # --- who is meant ---

    def _resolve(self, node: Node) -> None:
        """Note who a node stands for, if that is known now."""
        parent = self._parent(node)
        if node.in_collection and parent is None:
            return
        if self._waits(node):
            return
        natural = self._natural(node)
        if natural:
            self._by_natural(node, parent, natural)
        elif node.key:
            self._by_key(node, parent)
        else:
            self._by_place(node, parent)

    def _parent(self, node: Node) -> Target | None:
        """Who a node hangs on, as soon as it is known who else does."""
        if node.above is None or node.rel is None or not node.in_collection:
            return None
        parent = self.targets.get(node.above)
        return None if parent is None or self.members.of(parent, node.rel) is None else parent

    def _by_natural(self, node: Node, parent: Target | None, natural: dict[str, Any]) -> None:
        names, values = tuple(natural), tuple(natural.values())
        if parent is not None and by_members(node):
            one = self.members.having(node, parent, natural)
            self._is(node, one, alias=(parent, node.rel, names, values))
        elif self.rows.is_read(node.plan, names, values):
            rows = [one for one in self.rows.by_values(node.plan, names, values) if self._is_alive(one)]
            if len(rows) > 1:
                self._fault(node, f"{len(rows)} rows of {node.plan.entity} have this {', '.join(names)}")
            one = rows[0] if rows else self._pending(node.plan, natural)
            self._is(node, one, alias=(node.plan.base_class, names, values))

    def _by_key(self, node: Node, parent: Target | None) -> None:
        plan, parts = node.declared, self._parts(node)
        key = _complete(plan, parts)
        if key is None:
            lacking = [name for name in plan.primary_key if name not in parts]
            if not (by_members(node) and node.rel is not None and set(lacking) <= set(node.rel.remote_key)):
                self._fault(node, f"the key is not complete: {', '.join(lacking)} is missing")
            self._is(node, None, missing=True)
            return
        one = self.members.having(node, parent, parts) if parent is not None and by_members(node) else None
        if one is None and not self.rows.is_read(plan, plan.primary_key, key):
            return
        one = one or self._row(plan, key)
        self._is(node, one, missing=one is None)

    def _by_place(self, node: Node, parent: Target | None) -> None:
        parts = self._parts(node)
        key = _complete(node.declared, parts)
        if parent is not None and by_members(node):
            one = self.members.having(node, parent, parts) if key is not None else None
            if one is None and node.rel is not None and not node.rel.many:
                one = next(iter(self.members.of(parent, node.rel) or ()), None)
            if one is None and node.name is not None:
                one = self.members.named(node, parent)
            self._is(node, one, alias=(parent, node.rel, key) if key is not None else None)
        elif key is None:
            self._is(node, None)
        elif self.rows.is_read(node.declared, node.declared.primary_key, key):
            self._is(node, self._row(node.declared, key), alias=(node.declared.base_class, "new", key))

    def _is(self, node: Node, one: Member | None, *, alias: Hashable = None, missing: bool = False) -> None:
        """Note who a node stands for. What is new is the same under the same alias."""
        if isinstance(one, Found):
            name: Hashable = (one.plan.base_class, one.key)
        else:
            name = node if one is None and alias is None else alias if one is None else one.key or one
        target = self._known.get(name)
        if target is None:
            plan = one.plan if isinstance(one, Found) else node.plan if one is None else blueprint(one.mapper)
            found, held = (one, None) if isinstance(one, Found) else (None, one)
            target = self._known[name] = Target(plan, [], found, held, missing)
        target.nodes.append(node)
        self.targets[node] = target

    def _row(self, plan: Blueprint, key: Key) -> Found | None:
        found = self.rows.found(plan, key)
        return found if found is not None and self._is_alive(found) else None

    def _is_alive(self, one: Found) -> bool:
        return self.members.state_of(one) not in self.members.deleted

    def _pending(self, plan: Blueprint, values: dict[str, Any]) -> State | None:
        for state in pending_states(self.session):
            if issubclass(state.class_, plan.class_) and all(state.dict.get(key) == one for key, one in values.items()):
                return state
        return None

    def _fault(self, node: Node, message: str) -> None:
        self.faults.append(PayloadFault(node.path, message))

    # --- keys ---

    def _waits(self, node: Node) -> bool:
        """Whether a reference that is a part of its key leads to somebody who is not known yet."""
        natural, primary = self.permits.natural(node.plan), node.plan.primary_key
        return any(
            self._pointed(node, rel) is None
            for rel in node.references
            if rel.by_primary_key and (rel.key in natural or not set(rel.local_key).isdisjoint(primary))
        )

    def _natural(self, node: Node) -> dict[str, Any]:
        """The columns of a node's natural key with their values; empty: it has none, or not all of it."""
        found, wanted = dict(node.natural), set[str]()
        for name in self.permits.natural(node.plan):
            rel = node.plan.relationships.get(name)
            if rel is not None:
                found.update(self._pointed(node, rel) or {})
            wanted.update((name,) if rel is None else rel.local_key)
        if node.rel is not None and by_members(node):
            wanted.difference_update(set(node.rel.remote_key) - found.keys())  # the parent tells
        return found if found.keys() == wanted and not node.key else {}

    def _parts(self, node: Node) -> dict[str, Any]:
        """The parts of a node's primary key that are given, or that its place tells."""
        plan, rel = node.plan, node.rel
        found: dict[str, Any] = {}
        for reference in node.references:
            if reference.by_primary_key:
                found.update(self._pointed(node, reference) or {})
        target = self.targets.get(node.above) if node.above is not None and by_members(node) else None
        if rel is not None and target is not None and target.found is not None:
            found.update(zip(rel.remote_key, holder_of(target.found, rel), strict=False))
        found.update(node.natural)
        found.update(node.key)
        return {name: value for name, value in found.items() if name in plan.primary_key}

    def _pointed(self, node: Node, rel: Relationship) -> dict[str, Any] | None:
        """The foreign key that leads to what a node refers to; empty: nowhere, or to something new. None: unknown."""
        child = node.references.get(rel)
        if child is None:
            return {}
        key = _complete(child.declared, child.key)
        if key is None:
            target = self.targets.get(child)
            if target is None:
                return None
            key = () if target.found is None else target.found.key
        return dict(zip(rel.local_key, key, strict=False))


def by_members(node: Node) -> bool:
    """Whether it is among the members of a one-to-many collection, or one-to-one, that an object is looked for."""
    return node.rel is not None and node.rel.direction == "to many"


def _complete(plan: Blueprint, parts: dict[str, Any]) -> Key | None:
    """A primary key of its parts; None where one is missing."""
    if not all(name in parts for name in plan.primary_key):
        return None
    return tuple([parts[name] for name in plan.primary_key])
