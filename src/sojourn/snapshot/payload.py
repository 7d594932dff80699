"""A payload as typed nodes: which object each mapping stands for, what it writes, what hangs on it, and where it is.

Nothing is known of rows yet, so everything that a payload alone can have wrong is found here, all of it: names that do
not exist or are not allowed, values that are not of their column's type, nesting that is too deep. The tree is read
level by level, so its depth is no matter for the stack.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.orm import CompositeProperty

from sojourn.errors import UNKNOWN, NotAllowedError, PayloadError, PayloadFault
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.snapshot.from_plain import Read, reader_of
from sojourn.snapshot.outline import part_names
from sojourn.snapshot.permits import Absent, Permits, discriminator, nullable

DEPTH = 100
"""How deep objects may be nested in each other."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 40  # characters of a stranger's name that a message repeats


@dataclass(eq=False, slots=True)
class Node:
    """One mapping of a payload: an object that is there, or a new one."""

    path: str
    declared: Blueprint  # the class that may stand here
    given: Mapping[str, Any]
    above: Node | None = None
    rel: Relationship | None = None  # the relationship of `above` in which it stands
    name: str | None = None  # its name in a collection that is a dict
    depth: int = 0
    told: Blueprint | None = None  # the class that the payload names
    key: dict[str, Any] = field(default_factory=dict)  # parts of the primary key
    natural: dict[str, Any] = field(default_factory=dict)  # columns of the natural key
    version: Any = UNKNOWN
    values: dict[str, Any] = field(default_factory=dict)  # column attributes to write
    composites: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    references: dict[Relationship, Node | None] = field(default_factory=dict)
    collections: dict[Relationship, list[Node]] = field(default_factory=dict)  # with one-to-one
    fates: dict[Relationship, Absent] = field(default_factory=dict)
    owners: dict[str, Blueprint] = field(default_factory=dict)  # attributes that a subclass of `plan` has

    @property
    def plan(self) -> Blueprint:
        """The class that it is of, as far as the payload tells."""
        return self.told or self.declared

    @property
    def edits(self) -> bool:
        """Whether it wants to write something, other than to be pointed at."""
        return bool(self.values or self.composites or self.references or self.collections)

    @property
    def in_collection(self) -> bool:
        """Whether it stands in a collection or one-to-one, and not in a reference or at the root."""
        return self.rel is not None and self.rel.direction != "to one"

    def at(self, name: str) -> str:
        """The path of one of its attributes."""
        return joined(self.path, name)


@dataclass(eq=False, slots=True)
class Payload:
    """What was read: `nodes` are all, parents before what hangs on them; `roots` as they were given."""

    roots: list[Node]
    nodes: list[Node]


def joined(path: str, name: str) -> str:
    """The path of a member of an object; a name that is no identifier stands in brackets."""
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}…"
    return f"{path}.{name}" if _NAME.fullmatch(name) else f"{path}[{json.dumps(name)}]"


def read_payload(model: Any, payload: Any, permits: Permits, dialect: Dialect) -> Payload:
    """The nodes of a payload. Raises NotAllowedError with all that is refused, else PayloadError with all faults.

    Database: none.
    """
    reading = _Reading(permits, dialect)
    plan = blueprint(model)
    if isinstance(payload, Mapping):
        roots = [Node("$", plan, payload)]
    else:
        if isinstance(payload, (str, bytes)) or not isinstance(payload, Iterable):
            raise PayloadError([PayloadFault("$", f"expected object or array, got {_json_name(payload)}")])
        found = [reading.node(f"$[{at}]", plan, one) for at, one in enumerate(payload)]
        roots = [root for root in found if root is not None]
    nodes = reading.read(roots)
    if reading.refused:
        raise NotAllowedError(reading.refused)
    if reading.faults:
        raise PayloadError(reading.faults)
    return Payload(roots, nodes)


class _Reading:
    """One payload while it is read."""

    def __init__(self, permits: Permits, dialect: Dialect) -> None:
        self.permits = permits
        self.dialect = dialect
        self.faults: list[PayloadFault] = []
        self.refused: list[tuple[str, str]] = []
        self.waiting: deque[Node] = deque()
        self.readers: dict[tuple[Blueprint, str], Read] = {}

    def node(self, path: str, plan: Blueprint, given: Any, above: Node | None = None, **where: Any) -> Node | None:
        """A node that is to be read later; None, and a fault, where there is no object."""
        if not isinstance(given, Mapping):
            self.fault(path, f"expected object, got {_json_name(given)}")
            return None
        depth = 0 if above is None else above.depth + 1
        if depth > DEPTH:
            self.fault(path, f"is nested deeper than {DEPTH} objects")
            return None
        one = above
        while one is not None:
            if one.given is given:
                self.fault(path, "contains itself")
                return None
            one = one.above
        return Node(path, plan, given, above, depth=depth, **where)

    def fault(self, path: str, message: str) -> None:
        self.faults.append(PayloadFault(path, message))

    def read(self, roots: list[Node]) -> list[Node]:
        """Everything, level by level."""
        self.waiting.extend(roots)
        nodes = []
        while self.waiting:
            node = self.waiting.popleft()
            nodes.append(node)
            self._read_node(node)
        return nodes

    def _read_node(self, node: Node) -> None:
        self._find_class(node)
        plan = node.plan
        natural = self.permits.natural(plan)
        keyed = any(node.given.get(key) is not None for key in plan.primary_key)
        by_natural = not keyed or not set(plan.primary_key).isdisjoint(natural)
        for name, value in node.given.items():
            if not isinstance(name, str):
                self.fault(node.path, f"has a name of the type {type(name).__name__}, and names are text")
            elif name in plan.primary_key:
                self._read_key(node, name, value, natural)
            elif name == plan.version:
                node.version = UNKNOWN if value is None else self._value(plan, name, value, node.at(name))
            elif by_natural and name in natural and name in plan.columns and value is not None:
                self._read_key(node, name, value, natural)
            elif name == discriminator(plan):
                self._permit(plan, name)
            else:
                self._read_attribute(node, name, value, exempt=by_natural and name in natural and value is not None)
        self._look_at_natural(node, natural)

    def _find_class(self, node: Node) -> None:
        """The payload may say which class it means, where it is allowed to."""
        plan = node.plan
        name = discriminator(plan)
        if name is None or node.given.get(name) is None or not self.permits.allows(plan, name):
            return
        value = self._value(plan, name, node.given[name], node.at(name))
        found = plan.mapper.polymorphic_map.get(value) if isinstance(value, Hashable) else None
        if found is not None and issubclass(found.class_, plan.class_):
            node.told = blueprint(found)
        elif value is not UNKNOWN:
            self.fault(node.at(name), f"names no {plan.entity}")

    def _read_key(self, node: Node, name: str, value: Any, natural: tuple[str, ...]) -> None:
        if value is None:
            return  # what has no key yet, as a form sends it
        made = self._value(node.plan, name, value, node.at(name))
        if not isinstance(made, Hashable):
            self.fault(node.at(name), "cannot be a key")
        elif made is not UNKNOWN:
            (node.natural if name in natural else node.key)[name] = made

    def _look_at_natural(self, node: Node, natural: tuple[str, ...]) -> None:
        """Parts of a natural key say who is meant when they are all there. Else they are attributes like others."""
        known = {*node.natural, *(rel.key for rel, child in node.references.items() if child is not None)}
        if node.rel is not None and node.rel.direction == "to many":
            known.update(node.rel.remote_key)  # the parent tells
        if known.issuperset(natural):
            return
        for name in list(node.natural):
            value = node.natural.pop(name)
            if name in node.plan.primary_key:
                node.key[name] = value
            elif self._permit(node.plan, name):
                node.values[name] = value

    def _permit(self, plan: Blueprint, name: str) -> bool:
        if self.permits.allows(plan, name):
            return True
        self.refused.append((plan.entity, name))
        return False

    def _read_attribute(self, node: Node, name: str, value: Any, *, exempt: bool) -> None:
        """`exempt`: it is the key by which the object is found, which need not be allowed."""
        plan = _owner(node.plan, name)
        if plan is None:
            self.fault(node.at(name), f"{node.plan.entity} has no such attribute")
            return
        if plan is not node.plan:
            node.owners[name] = plan
        if not exempt and not self._permit(plan, name):
            return
        if name in plan.composites:
            self._read_composite(node, plan, name, value)
        elif name in plan.relationships:
            self._read_relationship(node, plan.relationships[name], value)
        elif not plan.columns[name].stored or plan.units[name] != name:
            self.fault(node.at(name), "is computed, or a part of another attribute, and cannot be written")
        else:
            made = self._value(plan, name, value, node.at(name))
            if made is not UNKNOWN:
                node.values[name] = made

    def _read_composite(self, node: Node, plan: Blueprint, name: str, value: Any) -> None:
        path = node.at(name)
        if value is None:
            node.composites[name] = None
            return
        keys = {part: key for key, part in part_names(plan, name).items()}
        if not isinstance(value, Mapping):
            prop = plan.mapper.attrs[name]
            class_ = prop.composite_class if isinstance(prop, CompositeProperty) else None
            if isinstance(class_, type) and isinstance(value, class_):
                node.composites[name] = {"": value}
            else:
                self.fault(path, f"expected object, got {_json_name(value)}")
            return
        parts = node.composites[name] = {}
        for part, one in value.items():
            if part not in keys:
                self.fault(joined(path, str(part)), f"{plan.entity}.{name} has no such part")
            else:
                parts[keys[part]] = self._value(plan, keys[part], one, joined(path, part))

    def _read_relationship(self, node: Node, rel: Relationship, value: Any) -> None:
        path = node.at(rel.key)
        if not rel.writable or not rel.loadable:
            self.fault(path, "is view-only, dynamic or write-only, and cannot be written from a payload")
            return
        target = blueprint(rel.target)
        if rel.direction == "to one":
            child = None if value is None else self.node(path, target, value, node, rel=rel)
            if child is not None or value is None:
                node.references[rel] = child
                self.waiting.extend([child] if child is not None else [])
            return
        given: list[tuple[str, Any, str | None]]
        if not rel.many:
            given = [] if value is None else [(path, value, None)]
        elif isinstance(value, Mapping) and _is_keyed(rel):
            given = [(joined(path, str(name)), one, str(name)) for name, one in value.items()]
        elif isinstance(value, (list, tuple)):
            given = [(f"{path}[{at}]", one, None) for at, one in enumerate(value)]
        else:
            self.fault(path, f"expected {'object' if _is_keyed(rel) else 'array'}, got {_json_name(value)}")
            return
        children = [self.node(where, target, one, node, rel=rel, name=name) for where, one, name in given]
        node.collections[rel] = [child for child in children if child is not None]
        node.fates[rel] = self.permits.fate(node.plan, rel)
        self.waiting.extend(node.collections[rel])

    def _value(self, plan: Blueprint, key: str, value: Any, path: str) -> Any:
        """A value of a column; UNKNOWN, and a fault, where it is none."""
        if value is None:
            if nullable(plan, key):
                return None
            self.fault(path, "may not be null")
            return UNKNOWN
        reader = self.readers.get((plan, key))
        if reader is None:
            reader = self.readers[plan, key] = reader_of(plan.columns[key].type, self.dialect)
        try:
            return reader(value)
        except ValueError as error:
            self.fault(path, str(error))
            return UNKNOWN


def _owner(plan: Blueprint, name: str) -> Blueprint | None:
    """The class that has an attribute of this name: this one, else one of its subclasses, since a row may be of it."""
    for mapper in plan.mapper.self_and_descendants:
        one = blueprint(mapper)
        if any(name in names for names in (one.columns, one.relationships, one.composites)):
            return one
    return None


def _is_keyed(rel: Relationship) -> bool:
    given = rel.property.collection_class
    if given is None:
        return False
    return issubclass(given if isinstance(given, type) else type(given()), dict)


def _json_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, (list, tuple)):
        return "array"
    return "object" if isinstance(value, Mapping) else type(value).__name__
