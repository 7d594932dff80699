"""Who is in the collections that a payload names: the rows that were read, and what the session has done to the
collection and not flushed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import KeyFuncDict

from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.identity import make_identity
from sojourn.session.arrival import changed_members
from sojourn.session.keys import Key
from sojourn.session.patch_rows import Found, PatchRows
from sojourn.snapshot.payload import Node
from sojourn.snapshot.plain import plain_key
from sojourn.sqlalchemy_internals import State, edited_keys, held_by, new_instance, pending_mutations

Member: TypeAlias = Found | State
"""A row, or an object of the session whose row was not read: mostly one that waits for its INSERT."""


@dataclass(eq=False, slots=True)
class Target:
    """The object that one or more nodes stand for. `missing`: a key was given, and there is no row."""

    plan: Blueprint
    nodes: list[Node]
    found: Found | None = None
    held: State | None = None  # where there is no row
    missing: bool = False

    @property
    def is_new(self) -> bool:
        """Whether it is still to be made."""
        return self.found is None and self.held is None


class Members:
    """Who is where, as the session sees it. Database: none."""

    def __init__(self, session: Session, rows: PatchRows) -> None:
        self.session = session
        self.rows = rows
        self.deleted: set[State] = {instance_state(obj) for obj in session.deleted}
        self._known: dict[tuple[Target, Relationship], list[Member]] = {}
        self._index: dict[tuple[Target, Relationship, Blueprint, tuple[str, ...]], dict[Key, Member]] = {}

    def of(self, parent: Target, rel: Relationship) -> list[Member] | None:
        """Who is in a collection now; None where nobody has read it yet."""
        here = self._known.get((parent, rel))
        if here is None:
            if parent.found is not None and self.rows.members(rel, holder_of(parent.found, rel)) is None:
                return None
            here = self._known[parent, rel] = self._now(parent, rel)
        return here

    def stored(self, parent: Target, rel: Relationship) -> list[Found]:
        """Who is in a collection according to the rows, which have been read."""
        keys = None if parent.found is None else self.rows.members(rel, holder_of(parent.found, rel))
        plan = blueprint(rel.target)
        return [one for key in keys or () if (one := self.rows.found(plan, key)) is not None]

    def _now(self, parent: Target, rel: Relationship) -> list[Member]:
        state = self.state_of(parent)
        added, removed = ([], []) if state is None else _edits(state, rel)
        gone = {one.key for one in (*removed, *self.deleted)}
        return [
            *(one for one in self.stored(parent, rel) if make_identity(one.plan, one.key) not in gone),
            *(one for one in added if one not in self.deleted),
        ]

    def state_of(self, one: Target | Member) -> State | None:
        """The session's own state for it, if it holds one."""
        if isinstance(one, Target):
            return one.held if one.found is None else self.state_of(one.found)
        return held_by(self.session, make_identity(one.plan, one.key)) if isinstance(one, Found) else one

    def having(self, node: Node, parent: Target, values: dict[str, Any]) -> Member | None:
        """The member of the node's collection that has these values."""
        assert node.rel is not None
        names = tuple(values)
        index = self._index.get((parent, node.rel, node.plan, names))
        if index is None:
            index = self._index[parent, node.rel, node.plan, names] = {}
            for member in self.of(parent, node.rel) or ():
                index.setdefault(tuple([self._value(member, node.plan, name) for name in names]), member)
        return index.get(tuple(values.values()))

    def named(self, node: Node, parent: Target) -> Member | None:
        """The member that has the node's name in a collection that is a dict."""
        assert node.rel is not None
        collection = make_collection(node.rel)
        if isinstance(collection, KeyFuncDict):
            for member in self.of(parent, node.rel) or ():
                if plain_key(collection.keyfunc(self._sample(member))) == node.name:
                    return member
        return None

    def _value(self, member: Member, plan: Blueprint, name: str) -> Any:
        """The value of a member's attribute: the session's own edit of it, else what is stored."""
        state = self.state_of(member)
        if not isinstance(member, Found):
            return member.dict.get(name)
        if state is not None and name in edited_keys(state):
            return state.dict.get(name)
        column = plan.columns[name].column
        return member.row[member.read.columns[column]] if column in member.read.columns else None

    def _sample(self, member: Member) -> Any:
        """An object from which the key in a dict can be made."""
        if not isinstance(member, Found):
            return member.obj()
        sample, state = new_instance(member.plan.mapper), self.state_of(member)
        loaded = instance_state(sample).dict
        for name, column in member.plan.columns.items():
            if column.column in member.read.columns:
                loaded[name] = member.row[member.read.columns[column.column]]
        if state is not None:
            loaded.update((name, state.dict.get(name)) for name in edited_keys(state) if name in member.plan.columns)
        return sample


def make_collection(rel: Relationship) -> Any:
    """An empty collection as the relationship has them."""
    made = rel.property.collection_class
    return [] if made is None else made()


def holder_of(found: Found, rel: Relationship) -> Key:
    """What the members of a row's collection are found by."""
    if rel.from_primary_key or not rel.local_key:
        return found.key
    return found.values(found.plan, rel.local_key)


def _edits(state: State, rel: Relationship) -> tuple[list[State], list[State]]:
    """(added, removed) of a collection that the session has edited and not flushed."""
    added, removed = (
        changed_members(state, rel)
        if rel.key in state.dict and (state.key is None or rel.key in edited_keys(state))
        else pending_mutations(state, rel.key)
    )
    return [instance_state(one) for one in added], [instance_state(one) for one in removed]
