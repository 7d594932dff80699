"""What clone() is going to do, decided for a whole graph before anything is made.

A draft says of one object which columns its copy takes over, which objects it refers to and holds, and whether somebody
has to make a key for it. Everything that is needed and not loaded is gathered in `missing`, not the first of it alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm.attributes import instance_state

from sojourn.mapping.base import edited_columns
from sojourn.mapping.blueprint import Blueprint, Relationship
from sojourn.session.clone_rules import RuleBook, Rules
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, members


@dataclass(eq=False, slots=True)
class Draft:
    """What is decided about the copy of one object."""

    original: Any
    state: State
    rules: Rules
    columns: list[str] = field(default_factory=list)  # their values are taken over
    # The originals that the copy refers to or holds, and whether those that are copied are replaced by their copies.
    held: dict[str, tuple[list[Any], bool]] = field(default_factory=dict)
    recorded: set[str] = field(default_factory=set)  # references from which the flush fills the foreign key
    key_needed: list[str] = field(default_factory=list)  # parts of the primary key that nobody makes
    # Where the value of a foreign key comes from: the new key of a copy, the key of a shared object, the original's own
    # value, or nowhere.
    from_copy: set[str] = field(default_factory=set)
    from_shared: set[str] = field(default_factory=set)
    taken_over: set[str] = field(default_factory=set)
    from_nowhere: set[str] = field(default_factory=set)

    @property
    def plan(self) -> Blueprint:
        return self.rules.plan


class Drafts:
    """The drafts of a graph: of these objects and of all that is copied with them. Database: none."""

    def __init__(self, roots: Iterable[Any], rules: RuleBook) -> None:
        self.missing: set[tuple[str, str]] = set()
        self._drafts: dict[int, Draft] = {}
        self._found_by: dict[tuple[Any, tuple[str, ...]], dict[tuple[Any, ...], Any]] = {}
        self._collect(roots, rules)
        for draft in self:
            self._decide_members(draft)
        for draft in self:
            for rel in draft.plan.relationships.values():
                if rel.direction == "to one" and rel.writable:
                    self._decide_reference(draft, rel)
            self._decide_columns(draft)
            self._decide_key(draft)

    def __iter__(self) -> Iterator[Draft]:
        return iter(self._drafts.values())

    def _miss(self, draft: Draft, key: str) -> None:
        if draft.state.key is not None:  # what a new object does not have, nobody can load
            self.missing.add((draft.plan.entity, key))

    def _collect(self, roots: Iterable[Any], rules: RuleBook) -> None:
        queue = list(roots)
        for obj in queue:  # the queue grows while it is read
            if id(obj) in self._drafts:
                continue
            state: State = instance_state(obj)
            draft = self._drafts[id(obj)] = Draft(obj, state, rules.of(state.mapper))
            for key, mode in draft.rules.modes.items():
                if mode == "deep":
                    rel = draft.plan.relationships[key]
                    objects = _held(state, rel)
                    if objects is not None:
                        queue.extend(objects)
                    elif rel.direction != "to one":  # a reference may be found by its foreign key
                        self._miss(draft, key)

    # --- collections, and the other side of a one-to-one --------------------------------------------------------------

    def _decide_members(self, draft: Draft) -> None:
        for rel in draft.plan.relationships.values():
            mode = draft.rules.modes[rel.key]
            if rel.direction == "to one" or mode == "skip":
                continue
            objects = _held(draft.state, rel)
            if objects is None:
                if mode in ("share", "keep"):
                    self._miss(draft, rel.key)
                continue
            if mode == "link":
                objects = [obj for obj in objects if self._links_back(rel, self._drafts.get(id(obj)))]
            if rel.direction == "to many":
                for obj in objects:
                    self._hang(draft, rel, self._drafts[id(obj)])
            elif _would_load(draft.state.dict[rel.key], objects):
                self._miss(draft, rel.key)
            draft.held[rel.key] = objects, mode != "keep"

    @staticmethod
    def _links_back(rel: Relationship, child: Draft | None) -> bool:
        return child is not None and child.rules.modes.get(rel.inverse or "") not in ("skip", "keep")

    def _hang(self, parent: Draft, rel: Relationship, child: Draft) -> None:
        """The copy of the child hangs in the copy of the parent: the flush fills its foreign key."""
        child.from_copy.update(rel.remote_key)
        if rel.inverse is not None and self._links_back(rel, child):
            child.held[rel.inverse] = [parent.original], True
            child.recorded.add(rel.inverse)

    # --- references ---------------------------------------------------------------------------------------------------

    def _decide_reference(self, draft: Draft, rel: Relationship) -> None:
        mode, state, keys = draft.rules.modes[rel.key], draft.state, rel.foreign_keys
        if mode == "skip":
            draft.from_nowhere.update(keys)
            return
        if rel.key in draft.held:  # it hangs in its parent
            draft.from_copy.update(keys)
            return
        edited = rel.key in edited_keys(state) and base_of(state, rel.key) is not state.dict.get(rel.key)
        # As in a flush: an edited reference wins over its foreign key, an edited foreign key over the loaded reference.
        if not edited and not set(keys).isdisjoint(edited_columns(state, draft.plan)):
            objects = None
        else:
            objects = _held(state, rel)
        if objects is None:
            objects = self._find(draft, rel)
        if objects is None:
            draft.taken_over.update(keys)
            if mode == "deep" and all(state.dict.get(key) is not None for key in keys):
                self._miss(draft, rel.key)
            return
        replace = mode != "keep"
        draft.held[rel.key] = objects, replace
        if not objects and edited:
            draft.from_nowhere.update(keys)
        elif objects and replace and id(objects[0]) in self._drafts:
            draft.recorded.add(rel.key)
            draft.from_copy.update(keys)
        elif objects and (edited or not all(key in state.dict for key in keys)):
            draft.recorded.add(rel.key)
            draft.from_shared.update(keys)
        else:
            draft.taken_over.update(keys)

    def _find(self, draft: Draft, rel: Relationship) -> list[Any] | None:
        """The target of a reference that is not loaded, if it is among the copied objects."""
        if rel.pairs is None or not all(key in draft.state.dict for key in rel.local_key):
            return None
        target = rel.target.base_mapper
        index = self._found_by.get((target, rel.remote_key))
        if index is None:
            index = self._found_by[target, rel.remote_key] = {
                tuple(one.state.dict.get(key) for key in rel.remote_key): one.original
                for one in self
                if one.state.mapper.isa(target)
            }
        found = index.get(tuple(draft.state.dict[key] for key in rel.local_key))
        return None if found is None else [found]

    # --- columns ------------------------------------------------------------------------------------------------------

    def _decide_columns(self, draft: Draft) -> None:
        left = (draft.from_copy | draft.from_shared | draft.from_nowhere) - draft.taken_over
        for key in draft.rules.data:
            if key in left:
                continue
            if key in draft.state.dict:
                draft.columns.append(key)
            elif key not in edited_keys(draft.state):  # one that was deleted stays NULL
                self._miss(draft, key)

    def _decide_key(self, draft: Draft) -> None:
        """A key is the copy's own as soon as one part of it is new: the line number of an order's line may stay."""
        plan, loaded = draft.plan, draft.state.dict
        shared = draft.taken_over | draft.from_shared
        blank = draft.rules.skipped | (draft.from_nowhere - shared)
        new = {
            part
            for part in plan.primary_key
            if part in draft.from_copy or (plan.columns[part].generated and part not in shared)
        }
        if new:
            draft.key_needed = [part for part in plan.primary_key if part in blank and part not in new]
        elif draft.state.key is not None or all(loaded.get(part) is not None for part in plan.primary_key):
            own = [part for part in plan.primary_key if part not in shared]
            draft.key_needed = own or list(plan.primary_key)
            blank |= set(own)
        draft.columns.extend(
            part
            for part in plan.primary_key
            if part in loaded and part not in new and part not in blank and part not in draft.from_shared
        )


def _held(state: State, rel: Relationship) -> list[Any] | None:
    """What a relationship holds in memory; None where it is not loaded."""
    if rel.key not in state.dict or not rel.loadable:
        return None
    value = state.dict[rel.key]
    if rel.many:
        return list(members(value))
    return [] if value is None else [value]


def _would_load(collection: Any, objects: list[Any]) -> bool:
    # Members of a dict are asked for their key again, and an expired one would ask the database.
    return isinstance(collection, dict) and any(instance_state(obj).expired_attributes for obj in objects)
