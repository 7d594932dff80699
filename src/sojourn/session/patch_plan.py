"""What a patch does to the collections that its payload names, and all that is wrong with it. Pure: the rows have been
read, and nothing is changed here."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from sojourn.errors import UNKNOWN, Conflict, PayloadFault
from sojourn.mapping.base import same
from sojourn.mapping.blueprint import Relationship
from sojourn.mapping.identity import identity_text, make_identity
from sojourn.session.patch_find import Search, by_members
from sojourn.session.patch_members import Member, Target, holder_of
from sojourn.session.patch_rows import Found
from sojourn.snapshot.payload import Node
from sojourn.snapshot.permits import discriminator, unlinkable


@dataclass(eq=False, slots=True)
class Membership:
    """What becomes of one collection, or one-to-one."""

    parent: Target
    rel: Relationship
    path: str
    now: list[Member]
    added: list[Node] = field(default_factory=list)
    removed: list[Member] = field(default_factory=list)
    delete: bool = False  # those who are removed are deleted, too


class Plan:
    """What one patch does. `missing` are roots whose row is not there, `conflicts` versions that are stale."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.targets = search.targets
        self.memberships: list[Membership] = []
        self.faults: list[PayloadFault] = list(search.faults)
        self._faulty = {fault.path for fault in self.faults}
        self.conflicts: list[tuple[str, Conflict]] = []
        self._writers: dict[Target, Node] = {}
        self._adopted: dict[Target, Node] = {}
        self._named = {_name(target): target.nodes[0] for target in self.targets.values()}

    def make(self, nodes: list[Node]) -> None:
        """Look at everything, parents before what hangs on them."""
        for node in nodes:
            target = self.targets[node]
            if target.missing:
                self._look_at_missing(node)
                continue
            self._look_at_class(node, target)
            self._look_at_writers(node, target)
            self._look_at_version(node, target)
            self._look_at_references(node)
            for rel in node.collections:
                self._look_at_collection(node, target, rel)

    def _fault(self, path: str, message: str) -> None:
        if path not in self._faulty:  # what follows from a fault is none of its own
            self._faulty.add(path)
            self.faults.append(PayloadFault(path, message))

    def _look_at_missing(self, node: Node) -> None:
        key = tuple(node.key.get(name) for name in node.declared.primary_key)
        identity = make_identity(node.declared, key)
        if node.path in self._faulty:
            return
        if node.above is None:
            self.conflicts.append((node.path, Conflict(identity, None, UNKNOWN, UNKNOWN, None, missing=True)))
        else:
            self._fault(node.path, f"{identity_text(identity)} does not exist")

    def _look_at_class(self, node: Node, target: Target) -> None:
        plan = target.plan
        if node.told is not None and plan is not node.told:
            name = discriminator(node.declared) or ""
            self._fault(node.at(name), f"{_text(target)} is of the class {plan.entity}, which cannot be changed")
        elif target.is_new and plan.mapper.polymorphic_abstract:
            self._fault(node.path, f"{plan.entity} is abstract: say which class the new object is of")
        for name, owner in node.owners.items():
            if not issubclass(plan.class_, owner.class_):
                self._fault(node.at(name), f"{plan.entity} has no such attribute")

    def _look_at_writers(self, node: Node, target: Target) -> None:
        if not node.edits:
            return
        first = self._writers.setdefault(target, node)
        if first is not node:
            self._fault(node.path, f"{_text(target)} is written at {first.path} already")

    def _look_at_version(self, node: Node, target: Target) -> None:
        name = target.plan.version
        if name is None or node.version is UNKNOWN:
            return
        if target.found is not None:
            stored = target.found.value(target.plan, name)
            if not same(target.plan, name, stored, node.version):
                identity = make_identity(target.plan, target.found.key)
                self.conflicts.append((node.at(name), Conflict(identity, name, node.version, node.version, stored)))
        else:
            self._fault(node.at(name), "there is no row whose version this could be")

    def _look_at_references(self, node: Node) -> None:
        for rel, child in node.references.items():
            pointed = None if child is None else self.targets[child]
            found = None if pointed is None else pointed.found
            key = dict(zip(rel.local_key, found.key if found is not None and rel.by_primary_key else (), strict=False))
            for name in rel.local_key:
                said = node.values.get(name, node.key.get(name, UNKNOWN))
                if said is not UNKNOWN and said != key.get(name, UNKNOWN):
                    self._fault(node.at(rel.key), f"is not what {name} says")
            parent = self.targets[node.above] if node.above is not None and by_members(node) else None
            back = node.rel.inverse if node.rel is not None else None
            if parent is not None and rel.key == back and pointed is not parent:
                self._fault(node.at(rel.key), "is not the parent that it stands in")

    # --- collections ---

    def _look_at_collection(self, node: Node, parent: Target, rel: Relationship) -> None:
        now = self.search.members.of(parent, rel) or []
        plan = Membership(parent, rel, node.at(rel.key), now)
        here = {_name(member) for member in now}
        named: dict[Hashable, Node] = {}
        for child in node.collections[rel]:
            target = self.targets[child]
            if target.missing:
                continue
            name = _name(target)
            if name in named:
                self._fault(child.path, f"{_text(target)} is named at {named[name].path} already")
                continue
            named[name] = child
            self._look_at_key(child, parent, rel)
            if name not in here:
                plan.added.append(child)
                if by_members(child) and not target.is_new:
                    self._adopt(child, target, parent, rel)
        plan.removed = [member for member in now if _name(member) not in named]
        self._look_at_absent(node, plan)
        self.memberships.append(plan)

    def _look_at_absent(self, node: Node, plan: Membership) -> None:
        rel, fate = plan.rel, node.fates[plan.rel]
        if not rel.many and plan.removed and fate == "keep":
            if plan.added:
                self._fault(plan.path, "somebody else is here: say in on_absent what becomes of them")
            elif not (rel.owns or unlinkable(rel)):
                self._fault(plan.path, "may not be null")
        elif fate == "keep":
            plan.removed = []
        plan.delete = fate == "delete" or rel.owns
        for member in plan.removed:
            named = self._named.get(_name(member))
            if named is not None:
                self._fault(plan.path, f"leaves out what is named at {named.path}")

    def _look_at_key(self, child: Node, parent: Target, rel: Relationship) -> None:
        """A foreign key to the parent that is written out must be the parent's."""
        wanted = None if parent.found is None else dict(zip(rel.remote_key, holder_of(parent.found, rel), strict=False))
        for name in rel.remote_key:
            given = child.values.get(name, child.natural.get(name, UNKNOWN))
            if given is not UNKNOWN and (wanted is None or given != wanted.get(name)):
                self._fault(child.at(name), "is not the parent that it stands in")

    def _adopt(self, child: Node, target: Target, parent: Target, rel: Relationship) -> None:
        """A row that is nobody's member may become one; what belongs to another parent stays there."""
        found, own = target.found, None if parent.found is None else holder_of(parent.found, rel)
        owner = found.values(target.plan, rel.remote_key) if found is not None and rel.remote_key else (0,)
        if self._is_above(child, target):
            self._fault(child.path, f"{_text(target)} stands above itself")
        elif owner != own and any(part is not None for part in owner):
            self._fault(child.path, f"{_text(target)} belongs to another parent")
        elif self._adopted.setdefault(target, child) is not child:
            self._fault(child.path, f"{_text(target)} is named at {self._adopted[target].path} already")

    def _is_above(self, node: Node | None, target: Target) -> bool:
        while node is not None and (node := node.above) is not None:
            if self.targets[node] is target:
                return True
        return False


def _name(one: Target | Member) -> Hashable:
    """What tells two apart."""
    if isinstance(one, Target):
        return one if one.is_new else _name(one.found or one.held)  # type: ignore[arg-type]  # one of the two is there
    return (one.plan.base_class, one.key) if isinstance(one, Found) else (one.key[0], one.key[1]) if one.key else one


def _text(target: Target) -> str:
    if target.found is not None:
        return identity_text(make_identity(target.plan, target.found.key))
    return f"a new {target.plan.entity}"
