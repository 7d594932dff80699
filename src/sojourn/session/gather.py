"""Merging one collection, or one-to-one: who is in it after what I, they and the session itself did to it.

`sojourn.reconcile` merges members as a set. What a set cannot tell is settled here: a place that only one member can
have, a key of a keyed collection or the one place of a one-to-one, is a conflict where both sides filled it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import KeyFuncDict

from sojourn.errors import BadArgumentError, Conflict
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.reconcile import key_clashes, merge_members
from sojourn.session.arrival import Arrival, members_now
from sojourn.session.report import Rulings
from sojourn.session.sides import Sides
from sojourn.sqlalchemy_internals import State, new_instance

Members = list[Hashable]
Marked = set[tuple[State, Hashable]]  # (parent, member)


class Gathering:
    """Merges the collections of one verb. `losers` are my new objects that a ruling left without a place."""

    def __init__(
        self, sides: Sides, rulings: Rulings, is_out: Callable[[Hashable], bool], kept: Marked, refused: Marked
    ) -> None:
        self.sides = sides
        self.rulings = rulings
        self.is_out = is_out
        self.kept = kept  # removals that were ruled out
        self.refused = refused  # additions that were ruled out
        self.losers: list[State] = []

    def merge(self, arrival: Arrival, rel: Relationship, *, fresh: bool) -> tuple[Members, Members]:
        """(who is stored in the collection, who shall be in it). `fresh`: its parent has no row yet."""
        base, mine, theirs, stored = self.sides.members(arrival, rel)
        if fresh:
            theirs, stored = [], []
        merged = merge_members([] if fresh else base, mine, theirs)
        final = [one for one in merged.final if not self.is_out(one) and (arrival.state, one) not in self.refused]
        final += [one for one in theirs if (arrival.state, one) in self.kept and one not in final]
        if rel.many:
            final = self._settle_keys(arrival, rel, theirs, final)
        elif len(final) > 1:
            final = self._settle_one(arrival, rel, base, final)
        if merged.arrived or merged.left:
            shown = ([_shown(one) for one in some] for some in (base, mine, theirs, final))
            self.rulings.note(arrival.identity, rel.key, shown)
        return stored, final

    def _settle_one(self, arrival: Arrival, rel: Relationship, base: Members, final: Members) -> Members:
        theirs, mine = final[0], final[-1]  # mine come last
        loser = self._ruled(
            Conflict(arrival.identity, rel.key, _shown(base[0]) if base else None, _shown(mine), _shown(theirs)),
            mine,
            theirs,
        )
        return [one for one in final if one != loser]

    def _settle_keys(self, arrival: Arrival, rel: Relationship, theirs: Members, final: Members) -> Members:
        collection = arrival.source(rel.key).dict.get(rel.key)
        if not isinstance(collection, KeyFuncDict):
            return final
        mine = {self.sides.incoming.who(instance_state(one)): collection.keyfunc(one) for one in collection.values()}
        keys = {one: self._key_there(arrival, rel, one, mine, collection.keyfunc) for one in theirs}
        for my_member, their_member in key_clashes(mine, keys, final):
            conflict = Conflict(arrival.identity, rel.key, None, _shown(my_member), _shown(their_member))
            loser = self._ruled(conflict, my_member, their_member)
            final = [one for one in final if one != loser]
        return final

    def _ruled(self, conflict: Conflict, mine: Hashable, theirs: Hashable) -> Hashable:
        """Who loses the place."""
        ruled = self.rulings.rule(conflict)
        if ruled is not conflict.mine and ruled is not conflict.theirs:
            raise BadArgumentError(f"on_conflict gave {type(ruled).__name__}. Here it takes conflict.mine or .theirs.")
        loser = theirs if ruled is conflict.mine else mine
        if isinstance(loser, InstanceState):
            self.losers.append(loser)
        return loser

    def _key_there(
        self,
        arrival: Arrival,
        rel: Relationship,
        member: Hashable,
        known: dict[Hashable, Any],
        keyfunc: Callable[[Any], Any],
    ) -> Any:
        """The key of a member of theirs: of the session's own instance, or of one made from the row that was read."""
        if member in known:
            return known[member]
        at_home: Sequence[Any] = members_now(arrival.home, rel) if arrival.home is not None else ()
        for obj in at_home:
            if self.sides.incoming.who(instance_state(obj)) == member:
                return keyfunc(obj)
        plan = blueprint(rel.target)
        read = self.sides.reader.tables.get(plan.table)
        row = read.rows.get(member[1]) if read is not None and isinstance(member, tuple) else None
        if read is None or row is None:
            return member
        sample = new_instance(plan.mapper)
        for name, column in plan.columns.items():
            if column.column in read.columns:
                instance_state(sample).dict[name] = row[read.columns[column.column]]
        return keyfunc(sample)


def _shown(member: Hashable) -> Any:
    return member.obj() if isinstance(member, InstanceState) else member
