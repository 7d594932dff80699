"""What shall become of each arrival: decided against the rows that are there now, before anything is changed.

Rows in, verdicts out. The three-way merge itself is `sojourn.reconcile`; `sides` finds base, mine and theirs for it.
`fates` says what becomes of the row, this room merges columns and references, and `gather` the collections.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Any

from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN, BadArgumentError, Conflict
from sojourn.mapping.base import same
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.identity import make_identity
from sojourn.reconcile import merge_value
from sojourn.session.arrival import Arrival, base_side, shared
from sojourn.session.columns import merge_columns, note_theirs
from sojourn.session.fates import Fates
from sojourn.session.gather import Gathering
from sojourn.session.incoming import Incoming
from sojourn.session.ordering import Ordering
from sojourn.session.report import Rulings
from sojourn.session.rows import Reader
from sojourn.session.sides import Sides, pointee
from sojourn.session.verdict import OnMissing, ReferenceVerdict, Verdict
from sojourn.sqlalchemy_internals import State


class Decider:
    """Decides every arrival of one attach; the rows have been read."""

    def __init__(
        self, incoming: Incoming, reader: Reader, rulings: Rulings, on_missing: OnMissing, checked: bool
    ) -> None:
        self.incoming = incoming
        self.rulings = rulings
        self.sides = Sides(incoming, reader)
        self.fates = Fates(incoming, self.sides, rulings, on_missing, checked=checked)
        self.verdicts = self.fates.verdicts
        self.ordering = Ordering(self.sides)
        self.refused: set[tuple[State, Hashable]] = set()  # (parent, member) additions that were ruled out
        self.chosen: dict[tuple[State, str], Any] = {}  # my value, where two copies disagreed about it

    def run(self, clean_roots: Iterable[object] | None = None) -> None:
        """Fill `verdicts`, and the rulings' conflicts; with `clean_roots` also of objects without edits whose row is
        gone (verify="all"). Database: none."""
        for arrival in self.incoming.arrivals.values():
            self._rule_on_copies(arrival)
        self.fates.run()
        for verdict in self.verdicts.values():
            if verdict.fate == "update":
                self._merge(verdict)
        self._gather(list(self.verdicts.values()))
        if clean_roots is not None:
            ruled = set(self.verdicts)
            self.fates.look_at_the_clean(clean_roots)
            self._gather([verdict for state, verdict in self.verdicts.items() if state not in ruled])
        self._number()

    def _gather(self, verdicts: Iterable[Verdict]) -> None:
        """Merge the collections."""
        who = self.incoming.who
        again = {who(state) for state, verdict in self.verdicts.items() if verdict.fate == "recreate"}
        gathering = Gathering(self.sides, self.rulings, self.fates.is_out, self.fates.kept, self.refused)
        for verdict in verdicts:
            if verdict.fate not in ("skip", "as is"):
                fresh = verdict.fate in ("insert", "recreate")
                lost = shared(verdict.arrival) if verdict.fate == "recreate" else []
                for rel in dict.fromkeys([*verdict.arrival.collections, *lost]):
                    stored, final = gathering.merge(verdict.arrival, rel, fresh=fresh)
                    if verdict.fate == "recreate" and rel.direction == "to many":
                        final = [one for one in final if one not in self.fates.elsewhere(verdict.arrival, rel)]
                    if verdict.fate != "delete" and (verdict.arrival.state, rel) in self.incoming.positions.lists:
                        final = self.ordering.order(verdict.arrival, rel, final, again, fresh=fresh)
                    verdict.collections[rel] = stored, final
        for state in gathering.losers:
            if state in self.verdicts and self.verdicts[state].fate == "insert":
                self.verdicts[state].fate = "skip"

    def _number(self) -> None:
        """The members of a list whose position changes are updated, though nobody edited them."""
        for state, key in self.incoming.positions.given.items():
            number = self.ordering.numbers.get(self.incoming.who(state))
            if number is None or state not in self.incoming.states:
                continue
            if state not in self.verdicts:
                arrival = Arrival(state, blueprint(state.mapper), state.key, self.incoming.homes.get(state))
                self.verdicts[state] = Verdict(arrival, "update")
            verdict = self.verdicts[state]
            if verdict.fate == "update":
                verdict.writes[key] = number.stored, number.value

    # --- columns and references ---

    def _merge(self, verdict: Verdict) -> None:
        arrival, plan = verdict.arrival, verdict.arrival.plan
        served = {key for rel in arrival.references for key in rel.local_key}
        served |= {key for _, rel in arrival.added_to for key in rel.remote_key}
        served |= set(plan.primary_key if arrival.is_new else ())
        served |= {self.incoming.positions.given.get(arrival.state, "")}
        theirs, stored = self.sides.theirs(arrival), self.sides.stored(arrival)

        def base(key: str) -> Any:
            return base_side(arrival, key)

        def mine(key: str) -> Any:
            return self.chosen.get((arrival.state, key), arrival.source(key).dict.get(key))

        final = merge_columns(plan, arrival.identity, arrival.columns, (base, mine, theirs), self.rulings, served)
        verdict.writes = {key: (stored(key), value) for key, value in final.items()}
        if not arrival.is_new:
            there = [key for key in plan.stored if key in arrival.state.dict and key not in (*arrival.columns, *served)]
            note_theirs(plan, arrival.identity, there, (base, theirs), self.rulings)
        if arrival.added_to and all(self.fates.is_out(parent) for parent, _ in arrival.added_to):
            # Where I put it is gone, so it stays where I took it from.
            self.fates.kept.update((parent, self.incoming.who(arrival.state)) for parent, _ in arrival.removed_from)
        for rel in arrival.references:
            verdict.references[rel] = self._merge_reference(arrival, rel)
        for parent, rel in arrival.added_to:
            self._merge_move(verdict, parent, rel)
        verdict.moved = verdict.moved or self._is_let_loose(verdict)

    def _merge_reference(self, arrival: Arrival, rel: Relationship) -> ReferenceVerdict:
        four = self.sides.reference(arrival, rel)
        obj = arrival.source(rel.key).dict.get(rel.key)
        mine: State | None = None if obj is None else instance_state(obj)
        if rel.pairs is None:
            return ReferenceVerdict(mine, UNKNOWN, writes=True)
        kept = any(
            rel.key == owner.inverse and (one, self.incoming.who(arrival.state)) in self.fates.kept
            for one, owner in arrival.removed_from
        )
        final: Any = four.theirs
        if not kept and (mine is None or not self.fates.is_out(mine)):
            outcome = merge_value(four.base, four.mine, four.theirs)
            final = outcome.value
            shown = [_shown(rel, side) for side in (four.base, four.mine, four.theirs)]
            if outcome.conflict:
                conflict = Conflict(arrival.identity, rel.key, shown[0], shown[1], shown[2])
                final = self._ruled(rel, conflict, four.mine, four.theirs)
            elif outcome.merged:
                self.rulings.note(arrival.identity, rel.key, (*shown, _shown(rel, final)))
        same_as_mine = mine is not None and final == four.mine
        return ReferenceVerdict(mine if same_as_mine else final, four.stored, writes=final != four.stored)

    def _ruled(self, rel: Relationship, conflict: Conflict, mine: Any, theirs: Any) -> Any:
        """What a reference shall point to after a ruling, as `pointee` gives it."""
        ruled = self.rulings.rule(conflict)
        if ruled is conflict.mine or ruled is None:
            return mine if ruled is conflict.mine else None
        if ruled is conflict.theirs:
            return theirs
        if isinstance(ruled, rel.target.class_):
            return pointee(rel, ruled)
        if isinstance(ruled, tuple) and ruled[:1] == (blueprint(rel.target).base_class,):
            return ruled[1]
        raise BadArgumentError(
            f"on_conflict gave {type(ruled).__name__} for the reference {rel.property}. "
            f"It takes a {rel.target.class_.__name__}, an identity key, or None."
        )

    def _merge_move(self, verdict: Verdict, parent: State, rel: Relationship) -> None:
        """I put an existing object into a collection; did they put it elsewhere?"""
        arrival = verdict.arrival
        inverse = arrival.plan.relationships.get(rel.inverse or "")
        ruled = verdict.references.get(inverse) if inverse is not None else None
        if ruled is not None:
            if not isinstance(ruled.target, InstanceState) or self.incoming.speaker(ruled.target) is not parent:
                self.refused.add((parent, self.incoming.who(arrival.state)))
            return
        if rel.pairs is None or arrival.is_new:
            return
        sides = [tuple(side(key) for key in rel.remote_key) for side in self._columns(arrival)]
        base, theirs = (UNKNOWN if UNKNOWN in side else None if None in side else side for side in sides)
        mine = tuple(parent.dict.get(key) for key in rel.local_key)
        outcome = merge_value(base, parent if None in mine else mine, theirs)
        if outcome.conflict:
            owner = blueprint(parent.mapper)
            shown = [make_identity(owner, key) if isinstance(key, tuple) else key for key in (base, mine, theirs)]
            conflict = Conflict(arrival.identity, rel.inverse or rel.key, shown[0], shown[1], shown[2])
            if self.rulings.rule(conflict) is not conflict.mine:
                self.refused.add((parent, self.incoming.who(arrival.state)))
                return
        verdict.moved = verdict.moved or outcome.write

    def _columns(self, arrival: Arrival) -> tuple[Any, Any]:
        return (lambda key: base_side(arrival, key)), self.sides.theirs(arrival)

    def _is_let_loose(self, verdict: Verdict) -> bool:
        """Whether the object loses its foreign key, because it was taken out of a collection that does not own it."""
        arrival, name = verdict.arrival, self.incoming.who(verdict.arrival.state)
        inverses = {rel.key for rel in verdict.references}
        removed = [(parent, rel) for parent, rel in arrival.removed_from if rel.direction == "to many"]
        if arrival.added_to:
            return False
        return any(rel.inverse not in inverses and (parent, name) not in self.fates.kept for parent, rel in removed)

    # --- two copies of one identity ---

    def _rule_on_copies(self, arrival: Arrival) -> None:
        """Attributes that two copies have both edited: the same edit is one, different ones are a conflict."""
        plan, state = arrival.plan, arrival.state
        for other, columns, relationships in _rivals(arrival):

            def one(key: str) -> Any:
                return self.chosen.get((state, key), state.dict.get(key))

            def two(key: str, other: State = other) -> Any:
                return other.dict.get(key)

            def base(key: str) -> Any:
                return base_side(arrival, key)

            different = [key for key in columns if not same(plan, key, one(key), two(key))]
            final = merge_columns(plan, arrival.identity, different, (base, one, two), self.rulings)
            self.chosen.update(((state, key), value) for key, value in final.items())
            for rel in relationships:
                self._rule_on_relationship(arrival, rel, other)

    def _rule_on_relationship(self, arrival: Arrival, rel: Relationship, other: State) -> None:
        """One object can be in one place only; what copies did to a collection is done together."""
        if rel.many:
            return
        one, two = (pointee(rel, copy.dict.get(rel.key)) for copy in (arrival.source(rel.key), other))
        if one == two:
            return
        if one is None or two is None:  # one copy was taken out there, the other put in here: that is a move
            arrival.sources[rel.key] = other if one is None else arrival.source(rel.key)
            return
        conflict = Conflict(arrival.identity, rel.key, UNKNOWN, _shown(rel, one), _shown(rel, two))
        if self.rulings.rule(conflict) is conflict.theirs:
            arrival.sources[rel.key] = other


def _rivals(arrival: Arrival) -> Iterator[tuple[State, list[str], list[Relationship]]]:
    """Each other copy, with the columns and relationships that both have edited."""
    for other in dict.fromkeys(other for _, other in arrival.rivals):
        keys = [key for key, one in arrival.rivals if one is other]
        relationships = [rel for rel in arrival.plan.relationships.values() if rel.key in keys]
        yield other, [key for key in keys if key in arrival.plan.columns], relationships


def _shown(rel: Relationship, side: Any) -> Any:
    """A side of a reference, for people: an identity key, or the new object itself."""
    if isinstance(side, InstanceState):
        return side.obj()
    return make_identity(blueprint(rel.target), side) if isinstance(side, tuple) and rel.by_primary_key else side
