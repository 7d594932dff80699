"""The walk over a graph: who is there, and what each object holds.

It goes in waves: the objects that were given, then those that hang on them, and so on. The objects of a wave that have
the same class and the same attributes loaded are read together, by a function that was made for this shape. Everybody
gets a number when met.

Nothing is loaded, no attribute is read through its descriptor, and no user code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, Protocol, TypeAlias

from sqlalchemy.orm.collections import InstrumentedList

from sojourn.errors import UNKNOWN, SnapshotError
from sojourn.mapping.base import changed_in_place
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.made import made_once
from sojourn.snapshot.edits import former_members
from sojourn.sqlalchemy_internals import (
    Loaded,
    Reader,
    Reading,
    State,
    base_of,
    edited_keys,
    make_reader,
    members,
    state_in,
)

_loaded = attrgetter("__dict__")
_PLAIN = {InstrumentedList}

_WAVE = 500
"""So many objects at once: their dicts and states stay in the processor's cache until they have been read."""


class Sink(Protocol):
    """Takes the rows of a table while they are read: some rows, and the combinations of types in all up to these."""

    def write(self, rows: Sequence[tuple[Any, ...]], kinds: AbstractSet[tuple[type, ...]]) -> None: ...

    def written(self) -> Sequence[bytes]: ...


NewSink: TypeAlias = Callable[[Blueprint, Sequence[str]], Sink]


@dataclass(slots=True)
class Group:
    """The objects of one table to be."""

    plan: Blueprint
    columns: tuple[str, ...]
    references: dict[str, list[int | None]]
    collections: dict[str, list[list[int]]]
    new: bool
    identity_token: Any
    read: Reader
    sink: Sink | None
    nodes: list[Sequence[int]] = field(default_factory=list)  # as they were numbered when they were met, in runs
    rows: list[tuple[Any, ...]] = field(default_factory=list)  # with a sink those that it did not get yet
    kinds: set[tuple[type, ...]] = field(default_factory=set)
    special: dict[int, Loaded] = field(default_factory=dict)  # row -> what may differ from what the database holds
    shared: set[str] = field(default_factory=set)  # collections that hold somebody who was met elsewhere, too
    count: int = 0
    _keys: list[Any] = field(default_factory=list)  # the primary keys of the rows that the sink got

    def add(self, reading: Reading) -> None:
        """Take the rows of some objects more."""
        self.count += len(reading.rows)
        self.rows += reading.rows
        self.kinds |= reading.kinds
        if self.sink is not None and len(self.rows) >= _WAVE:
            self.pour(self.sink)

    def pour(self, sink: Sink) -> None:
        """Give the rows to the sink, and forget all of them but their keys."""
        self._keys += self._keys_of_rows()
        sink.write(self.rows, self.kinds)
        self.rows = []

    def special_states(self) -> Iterable[State]:
        return map(state_in, self.special.values())

    def keys(self) -> list[Any]:
        """What tells the rows apart: the values of the primary key that the database holds."""
        keys = [*self._keys, *self._keys_of_rows()]
        for row, loaded in self.special.items():
            known = _identity(state_in(loaded))
            keys[row] = known[0] if len(known) == 1 else known
        return keys

    def _keys_of_rows(self) -> Iterable[Any]:
        if self.new:
            return ()
        return map(itemgetter(*map(self.columns.index, self.plan.primary_key)), self.rows)


class Walk:
    """What has been met so far, and what it holds."""

    def __init__(self, new_sink: NewSink | None = None) -> None:
        self._new_sink = new_sink
        self.met: list[Any] = []
        self.groups: dict[Any, Group] = {}
        self.sessions: set[int] = set()
        self._seen: set[int] = set()  # the ids of everybody who was met
        self._nodes: dict[int, int] = {}  # id -> position in `met`, of those that somebody asked for and before them
        self._usual: dict[type, tuple[int, Group]] = {}  # by class: the size and the group of objects that came last
        self._shapes: dict[Any, Group] = {}

    @property
    def nodes(self) -> Mapping[int, int]:
        """The number of each object that was met, by its id."""
        return self._numbered()

    def _numbered(self) -> dict[int, int]:
        known = len(self._nodes)
        if known < len(self.met):
            self._nodes.update(zip(map(id, self.met[known:]), range(known, len(self.met)), strict=True))
        return self._nodes

    def meet(self, objs: Iterable[Any]) -> list[int]:
        """The nodes of these objects; who is new is going to be read."""
        if not self.met and isinstance(objs, Sequence) and self._all_new(objs):
            return list(range(len(objs)))
        nodes, met = self._numbered(), self.met
        found: list[int] = []
        for obj in objs:
            node = nodes.get(id(obj))
            if node is None:
                node = nodes[id(obj)] = len(met)
                met.append(obj)
                self._seen.add(id(obj))
            found.append(node)
        return found

    def _all_new(self, objs: Sequence[Any]) -> bool:
        """Whether nobody of these was met before, which is usual for what is owned. They have the next numbers then."""
        seen = self._seen
        seen.update(map(id, objs))
        if len(seen) == len(self.met) + len(objs):
            self.met += objs
            return True
        seen.clear()
        seen.update(map(id, self.met))
        return False

    def go(self) -> None:
        """Read what was met and follow what it holds, until nobody new is met."""
        start = 0
        while start < len(self.met):
            wave, first = self.met[start : start + _WAVE], start
            start += len(wave)
            if len(set(map(type, wave))) == 1:
                self._read(type(wave[0]), wave, range(first, start))
                continue
            positions: dict[type, list[int]] = {}
            for position, obj in enumerate(wave):
                positions.setdefault(type(obj), []).append(position)
            for class_, of_class in positions.items():
                self._read(class_, [wave[at] for at in of_class], [first + at for at in of_class])
        for group in self.groups.values():
            if group.sink is not None and group.rows:
                group.pour(group.sink)

    def _read(self, class_: type, wave: Sequence[Any], nodes: Sequence[int]) -> None:
        held: list[Loaded] = list(map(_loaded, wave))
        if class_ not in self._usual:
            self._find(class_, held[0])
        size, group = self._usual[class_]
        reading = _reading(group, held, size) if size else None
        if reading is not None:
            self._take(group, held, nodes, reading)
            return
        odd: dict[int, tuple[Group, list[Loaded], list[int]]] = {}
        for loaded, node in zip(held, nodes, strict=True):
            group, values = self._find(class_, loaded)
            _, all_values, all_nodes = odd.setdefault(id(group), (group, [], []))
            all_values.append(values)
            all_nodes.append(node)
        for group, all_values, all_nodes in odd.values():
            reading = group.read(all_values, 0, group.identity_token)
            assert reading is not None
            self._take(group, all_values, all_nodes, reading)

    def _find(self, class_: type, loaded: Loaded) -> tuple[Group, Loaded]:
        """The group of an object, and what it holds, with what has to be said besides."""
        state = state_in(loaded)
        new, token = state.key is None, None if state.key is None else state.key[2]
        same_keys = class_, tuple(loaded), new, token
        known = None if state.modified else self._shapes.get(same_keys)
        if known is not None:
            return known, loaded
        plan = blueprint(state.mapper)
        values = _completed(state, plan, loaded)
        columns = tuple(key for key in plan.columns if key in values)
        related = tuple(rel.key for rel in plan.relationships.values() if rel.loadable and rel.key in values)
        shape = plan.class_, columns, related, new, token
        group = self.groups.get(shape)
        if group is None:
            sink = None if self._new_sink is None else self._new_sink(plan, columns)
            group = self.groups[shape] = _new_group(plan, columns, related, new, token, sink)
        if values is loaded and not state.modified:
            self._shapes[same_keys] = group
        # Where nothing else is in memory beside what travels, a dict of the same size with the same keys is the same.
        usual = values is loaded and len(columns) + len(related) + 1 == len(loaded)
        self._usual[class_] = (len(loaded) if usual else 0), group
        return group, values

    def _take(self, group: Group, held: Sequence[Loaded], nodes: Sequence[int], reading: Reading) -> None:
        before = group.count
        group.nodes.append(nodes)
        group.add(reading)
        self.sessions |= reading.sessions
        for key, targets in group.references.items():
            self._follow_references(key, held, targets)
        for key in group.collections:
            self._follow_collections(key, held, group)
        for at in reading.special:
            group.special[before + at] = held[at]
            self.meet(former_members(state_in(held[at]), group.plan))
        if group.plan.mutable and not group.new:
            for at in changed_in_place(map(state_in, held), group.plan):
                group.special[before + at] = held[at]

    def _follow_references(self, key: str, held: Sequence[Loaded], targets: list[int | None]) -> None:
        nodes, met = self._numbered(), self.met
        for loaded in held:
            target = loaded[key]
            if target is None:
                targets.append(None)
                continue
            node = nodes.get(id(target))
            if node is None:
                node = nodes[id(target)] = len(met)
                met.append(target)
                self._seen.add(id(target))
            targets.append(node)

    def _follow_collections(self, key: str, held: Sequence[Loaded], group: Group) -> None:
        collections = [loaded[key] for loaded in held]
        if not set(map(type, collections)) <= _PLAIN:
            collections = [() if collection is None else members(collection) for collection in collections]
        first = len(self.met)
        if key in group.shared or not self._all_new(list(chain.from_iterable(collections))):
            group.shared.add(key)
            group.collections[key] += map(self.meet, collections)
            return
        for size in map(len, collections):
            group.collections[key].append(list(range(first, first + size)))
            first += size


def _identity(state: State) -> tuple[Any, ...]:
    assert state.key is not None
    return state.key[1]


def _reading(group: Group, held: Sequence[Loaded], size: int) -> Reading | None:
    """What objects hold that ought to be of one shape; None where they are not."""
    try:
        reading = group.read(held, size, group.identity_token)
    except KeyError:
        return None
    if reading is None or any(_is_incomplete(held[at]) for at in reading.special):
        return None
    return reading


def _is_incomplete(loaded: Loaded) -> bool:
    """Whether an edited attribute is not in memory: a deleted one, or a collection that was changed unloaded."""
    return any(key not in loaded for key in edited_keys(state_in(loaded)))


def _new_group(
    plan: Blueprint, columns: tuple[str, ...], related: tuple[str, ...], new: bool, token: Any, sink: Sink | None
) -> Group:
    if token is not None and type(token) not in (str, int):
        raise SnapshotError(
            f"the identity token is of the type {type(token).__name__}",
            where=plan.entity,
            remedy="Identity tokens travel if they are str or int.",
        )
    return Group(
        plan,
        columns,
        {key: [] for key in related if not plan.relationships[key].many},
        {key: [] for key in related if plan.relationships[key].many},
        new,
        token,
        _reader(plan, columns, related, new),
        sink,
    )


def _reader(plan: Blueprint, columns: tuple[str, ...], related: tuple[str, ...], new: bool) -> Reader:
    return made_once(
        plan,
        "readers",
        (columns, related, new),
        lambda: make_reader(columns, plan.primary_key, stored=not new, related=related),
    )


def _completed(state: State, plan: Blueprint, values: Loaded) -> Loaded:
    """What the object holds, with its primary key, and with None or nothing for what was deleted from it."""
    if state.key is None:
        return values
    missing: dict[str, Any] = dict(zip(plan.primary_key, state.key[1], strict=True))
    for key in edited_keys(state):
        relationship = plan.relationships.get(key)
        # A column whose base is not known is read from the database again, a reference is not.
        if relationship is not None and not relationship.many:
            missing[key] = None
        elif base_of(state, key) is not UNKNOWN:
            missing[key] = None if relationship is None else []
    return {**missing, **values} if missing.keys() - values.keys() else values
