"""The sides of a merge, for one arrival: what each of them says about a column, a reference, a collection.

- `base`: what it was when the object left;
- `mine`: what the object that comes home says;
- `theirs`: what the other side says: the session's own unflushed edit, where it has one, else what is stored;
- `stored`: what is in the database now, as far as it was read. An edit is recorded against this.

A reference is given by what it points to: the target's key, or the state of a target that has no key yet.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import base_value
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.identity import assumed_identity, make_identity
from sojourn.session.arrival import Arrival, base_side, changed_members, members_before, members_now
from sojourn.session.incoming import Incoming, owned
from sojourn.session.keys import Key, pointed
from sojourn.session.rows import Reader
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, held_by, is_orphan

Side = Callable[[str], Any]  # from a column attribute to its value


class Four(NamedTuple):
    """One relationship as the four sides see it."""

    base: Any
    mine: Any
    theirs: Any
    stored: Any


class Sides:
    """Answers for the arrivals of one verb; the rows have been read. Database: none."""

    def __init__(self, incoming: Incoming, reader: Reader) -> None:
        self.incoming = incoming
        self.reader = reader
        self._deleted: set[State] = {instance_state(obj) for obj in reader.session.deleted}
        self.revived: dict[State, None] = {}  # the session's instances that it shall not delete after all

    def row(self, arrival: Arrival) -> Any:
        """The current row of an arrival; None where there is none, or it was not read."""
        identity = identity_of(arrival)
        read = self.reader.tables.get(arrival.plan.table)
        return None if identity is None or read is None else read.rows.get(identity[1])

    def is_doomed(self, state: State | None) -> bool:
        """Whether the next flush of the session deletes this object of its own."""
        return state is not None and state.key is not None and (state in self._deleted or is_orphan(state))

    def doom(self, arrival: Arrival) -> list[State]:
        """By whose removal the next flush of the session deletes a row: its own instance's, or that of what owns it."""
        queue = self._owners(arrival.plan, self.theirs(arrival), {}) if arrival.home is None else [arrival.home]
        seen = set(queue)
        for state in queue:  # the queue grows while it is read
            above = self._owners(blueprint(state.mapper), state.dict.get, state.dict)
            queue += [owner for owner in above if owner not in seen]
            seen.update(above)
        return [state for state in queue if self.is_doomed(state)]

    def kept_after_all(self) -> list[State]:
        """The session's instances that it shall not delete after all, with what they own there."""
        queue = list(self.revived)
        seen = set(queue)
        for state in queue:  # the queue grows while it is read
            below = [instance_state(one) for rel in owned(blueprint(state.mapper)) for one in members_now(state, rel)]
            kept = [one for one in below if one.key is not None and one not in seen and not self.is_doomed(one)]
            queue += kept
            seen.update(kept)
        return queue

    def _owners(self, plan: Blueprint, column: Side, references: Mapping[str, Any]) -> list[State]:
        """What the session holds of the objects that own one, as its references say, or its foreign keys."""
        found: list[State] = []
        for rel in plan.relationships.values():
            owning = blueprint(rel.target).relationships.get(rel.inverse or "") if rel.direction == "to one" else None
            if owning is None or not (owning.owns or owning.deletes):
                continue
            if rel.key in references:
                owner = references[rel.key]
                found += [] if owner is None else [instance_state(owner)]
            elif rel.by_primary_key:
                key = pointed(tuple(column(name) for name in rel.local_key))
                held = None if key is None else held_by(self.reader.session, make_identity(blueprint(rel.target), key))
                found += [] if held is None else [held]
        return found

    # --- columns ---

    def stored(self, arrival: Arrival) -> Side:
        """What is in the database: the row; unread, what the session's own instance, or the given one, had for base."""
        row, home = self.row(arrival), arrival.home
        columns = self.reader.tables[arrival.plan.table].columns if row is not None else {}

        def value(key: str) -> Any:
            position = columns.get(arrival.plan.columns[key].column)
            if position is not None:
                return row[position]
            if home is not None and key in home.dict:
                return UNKNOWN if home.key is None else base_value(home, key)
            return base_side(arrival, key)

        return value

    def theirs(self, arrival: Arrival) -> Side:
        """What the other side says."""
        home, stored = arrival.home, self.stored(arrival)
        if home is None or not (home.modified or home.key is None):
            return stored
        own = edited_keys(home) if home.key is not None else home.dict
        return lambda key: home.dict[key] if key in own and key in home.dict else stored(key)

    # --- references ---

    def reference(self, arrival: Arrival, rel: Relationship) -> Four:
        """The sides of a reference. Without a plain foreign key behind it, only mine is known."""
        source, home = arrival.source(rel.key), arrival.home
        mine = pointee(rel, source.dict.get(rel.key))
        if rel.pairs is None:
            return Four(UNKNOWN, mine, UNKNOWN, UNKNOWN)
        base = _foreign_key(rel, lambda key: base_side(arrival, key))
        if base is UNKNOWN and not arrival.is_new:
            former = base_of(source, rel.key)
            base = UNKNOWN if former is UNKNOWN else pointee(rel, former)
        theirs, stored = (_foreign_key(rel, side) for side in (self.theirs(arrival), self.stored(arrival)))
        if home is not None and rel.key in edited_keys(home) and rel.key in home.dict:
            own = pointee(rel, home.dict[rel.key])
            # That the session let go of it was ruled out together with its removal.
            theirs = stored if own is None and home in self.revived else own
        return Four(base, mine, theirs, stored)

    # --- collections ---

    def members(self, arrival: Arrival, rel: Relationship) -> Four:
        """The sides of a collection or one-to-one: who is in it, in the order that is known."""
        home, copies = arrival.home, arrival.copies(rel.key) if rel.many else [arrival.source(rel.key)]
        before = list(dict.fromkeys(one for copy in copies for one in self._names(members_before(copy, rel))))
        mine = self._names(members_now(copies[0], rel))
        for copy in copies[1:]:
            added, removed = (self._names(some) for some in changed_members(copy, rel))
            mine = [one for one in mine if one not in removed]
            mine += [one for one in added if one not in mine]
        stored = self._read_members(arrival, rel, before)
        if stored is None:
            stored = before
            if home is not None and rel.key in home.dict:
                at_home = members_before(home, rel) if rel.key in edited_keys(home) else members_now(home, rel)
                stored = self._names(at_home)
        theirs = stored
        if home is not None and rel.key in edited_keys(home) and rel.key in home.dict:
            came, went = changed_members(home, rel)
            gone = set(self._names(one for one in went if instance_state(one) not in self.revived))
            theirs = [one for one in stored if one not in gone]
            theirs += [one for one in self._names(came) if one not in theirs]
        return Four(before, mine, theirs, stored)

    def _names(self, objs: Iterable[Any]) -> list[Hashable]:
        return [self.incoming.who(instance_state(obj)) for obj in objs]

    def _read_members(self, arrival: Arrival, rel: Relationship, before: list[Hashable]) -> list[Hashable] | None:
        read = self.reader.members.get(rel, {}).get(holder_key(arrival, rel))
        if read is None:
            return None
        plan = blueprint(rel.target)
        there: dict[Hashable, None] = {make_identity(plan, key): None for key in read}
        known = dict.fromkeys(one for one in before if one in there)
        return list(known | there)  # who is known in the order that is known, then the others


def identity_of(arrival: Arrival) -> Any:
    """The identity under which an arrival's row is found."""
    home = arrival.home
    return home.key if home is not None and home.key is not None else arrival.identity


def holder_key(arrival: Arrival, rel: Relationship) -> Key:
    """What the members of an arrival's collection are found by."""
    identity = identity_of(arrival)
    if identity is not None and (rel.from_primary_key or not rel.local_key):
        return tuple(identity[1])  # as it is in the database, also where a primary key was edited
    loaded = arrival.state.dict
    return tuple(None if arrival.is_new else base_value(arrival.state, key) for key in rel.local_key if key in loaded)


def pointee(rel: Relationship, obj: Any) -> Any:
    """What a reference to this object points to: its key, its state where it has none, None for nobody."""
    if obj is None:
        return None
    state: State = instance_state(obj)
    if rel.by_primary_key:
        identity = assumed_identity(state)
        return state if identity is None else identity[1]
    key = tuple(state.dict.get(name) for name in rel.remote_key)
    return state if None in key or not key else key


def _foreign_key(rel: Relationship, side: Side) -> Any:
    values = tuple(side(key) for key in rel.local_key)
    return UNKNOWN if UNKNOWN in values else pointed(values)
