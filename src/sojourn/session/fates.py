"""What becomes of each arrival's row: inserted, updated, deleted, made again, or left out.

A row that does not exist any more, or that the session is about to delete, is ruled on. So is a row that I removed and
they edited, in itself or in what hangs on it. What an object owns shares its fate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property

from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import UNKNOWN, Conflict
from sojourn.mapping.base import same
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.identity import Identity, assumed_identity
from sojourn.session.arrival import Arrival, base_side, members_before, members_now, shared
from sojourn.session.incoming import Incoming, owned, owned_below
from sojourn.session.report import Rulings
from sojourn.session.sides import Sides, identity_of
from sojourn.session.verdict import Fate, OnMissing, Verdict
from sojourn.sqlalchemy_internals import State, edited_keys


class Fates:
    """The fates of one verb's arrivals, as `verdicts` that hold nothing else yet."""

    def __init__(
        self, incoming: Incoming, sides: Sides, rulings: Rulings, on_missing: OnMissing, *, checked: bool
    ) -> None:
        self.incoming = incoming
        self.sides = sides
        self.rulings = rulings
        self.on_missing = on_missing
        self.checked = checked  # False: verify="none"
        self.verdicts: dict[State, Verdict] = {}
        self.kept: set[tuple[State, Hashable]] = set()  # (parent, member) removals that were ruled out
        self.gone: set[State] = set()  # clean objects that stay outside: their row, or their owner's, was deleted
        self._identities_out: set[Identity | None] = set()
        self._going: set[State] = set()  # what I removed, and what goes with it
        self._swept: set[State] = set()  # removed, and their row is gone: what I had put into them goes, too
        self._saved: set[State] = set()  # the session was about to delete them, and they shall be kept

    def run(self) -> None:
        """Give each arrival its fate. Database: none."""
        removed = [one.state for one in self.incoming.arrivals.values() if self._is_removal(one)]
        self._going.update(removed, owned_below(self.incoming, removed))
        for arrival in self.incoming.arrivals.values():
            self.verdicts[arrival.state] = Verdict(arrival, self._fate(arrival))
        self._spread()

    def look_at_the_clean(self, roots: Iterable[object]) -> None:
        """verify="all": objects without edits whose row is gone. A root is ruled on; another one just stays away."""
        given = {id(obj) for obj in roots}
        unruled: list[State] = []
        for class_, states in self.incoming.by_class.items():
            read = self.sides.reader.table(blueprint(class_))
            absent = read.keys.keys() - read.rows.keys()
            if absent:
                unruled += [state for state in states if state.key is not None and state.key[1] in absent]
        for state in unruled:
            if id(state.obj()) in given and state not in self.verdicts and state not in self.gone:
                self._judge(state)
        self._spread()  # what hangs on a root shares its fate before it is taken for gone
        self.gone.update(state for state in unruled if state not in self.verdicts)
        self._note_who_is_out()

    def is_out(self, one: Hashable) -> bool:
        """Whether a member, or the target of a reference, stays outside the session."""
        if not isinstance(one, InstanceState):
            return one in self._identities_out
        state = self.incoming.speaker(one)
        return state in self.gone or self._has_fate(state, "skip")

    def missing(self, state: State, identity: Identity | None) -> Fate:
        """Rule on a row that does not exist any more, or that the session is about to delete."""
        conflict = Conflict(identity, None, UNKNOWN, UNKNOWN, None, missing=True)
        self.rulings.conflicts.append(conflict)
        if self.on_missing == "raise":
            self.rulings.undecided.append(conflict)
            return "skip"
        return self.on_missing

    # --- one row ---

    def _fate(self, arrival: Arrival) -> Fate:
        home, exists = arrival.home, self.sides.row(arrival) is not None
        if arrival.is_new and not exists and (home is None or home.key is None):
            return "insert" if home is None else "update"
        removed = self._is_removal(arrival)
        if self.checked or arrival.is_new:
            if not exists:
                if removed and not self._keeps_removed(arrival):
                    self._swept.add(arrival.state)
                agreed = arrival.state in self._going or _is_let_go(arrival)
                return "skip" if agreed else self.missing(arrival.state, arrival.identity)
        elif home is None and not self.incoming.copies:  # which have to be brought together
            return "delete" if removed else "as is"
        doom = self.sides.doom(arrival)
        if doom:
            if removed:
                self._keeps_removed(arrival)  # both removed it, but something below may have been moved out of it
            return "delete" if removed else self._doomed(arrival, doom)
        return "delete" if removed and not self._keeps_removed(arrival) else "update"

    def _doomed(self, arrival: Arrival, doom: Iterable[State]) -> Fate:
        """The session is about to delete the row, but it is there: it need not be made again, only kept."""
        fate = self.missing(arrival.state, identity_of(arrival))
        if fate == "recreate":
            self.sides.revived.update(dict.fromkeys(doom))
            self._saved.add(arrival.state)
            return "update"
        return fate

    def _is_removal(self, arrival: Arrival) -> bool:
        """Whether the object was taken out of its owner, and not given to another one of the same kind."""
        return any(
            rel.owns
            and not any(rel.property is other.property for _, other in arrival.added_to)
            and arrival.source(rel.inverse or "").dict.get(rel.inverse or "") is None
            for _, rel in arrival.removed_from
        )

    def _keeps_removed(self, arrival: Arrival) -> bool:
        """I removed it; did they edit it, or what goes with it? Then somebody has to say who is right."""
        below = [self._arrival(state) for state in owned_below(self.incoming, [arrival.state])]
        if not any(self._is_edited_there(one) for one in (arrival, *below)):
            return False
        parent, rel = arrival.removed_from[0]
        member = arrival.identity
        conflict = Conflict(assumed_identity(parent), rel.key, member, None, member)
        kept = self.rulings.rule(conflict) is not None
        if kept:
            self.kept.update((holder, self.incoming.who(arrival.state)) for holder, _ in arrival.removed_from)
        return kept

    def _is_edited_there(self, arrival: Arrival) -> bool:
        """Whether they changed a column, put something into a collection, or moved the object."""
        unknown = self.sides.row(arrival) is None and (self.checked or arrival.home is None)
        if arrival.is_new or unknown or self.sides.doom(arrival):
            return False
        theirs, plan = self.sides.theirs(arrival), arrival.plan
        known = {*arrival.state.dict, *edited_keys(arrival.state)}  # also what was deleted with `del`
        known -= {plan.version, self.incoming.positions.given.get(arrival.state)}  # which is nobody's edit
        if any(key in known and not same(plan, key, base_side(arrival, key), theirs(key)) for key in plan.stored):
            return True
        for rel in plan.relationships.values():
            if rel.loadable and rel.writable and rel.direction != "to one" and rel.key in arrival.state.dict:
                base, mine, members, _ = self.sides.members(arrival, rel)
                if not set(members) <= {*base, *mine}:
                    return True
        if arrival.home is None:
            return False
        # The session's own references are not in its columns before they are flushed.
        references = [rel for rel in plan.relationships.values() if rel.direction == "to one" and rel.writable]
        fours = [self.sides.reference(arrival, rel) for rel in references]
        return any(four.theirs != four.stored for four in fours)

    # --- what hangs on it ---

    def _spread(self) -> None:
        """What an object owns is left out, deleted or made again with it; what it refers to is made again for it."""
        queue: list[tuple[State, Fate]] = [
            (state, "recreate" if state in self._saved else verdict.fate) for state, verdict in self.verdicts.items()
        ]
        queue += [(state, "delete") for state in self._swept]
        for state, fate in queue:  # the queue grows while it is read
            if fate in ("skip", "delete", "recreate"):
                hanging = [*owned_below(self.incoming, [state], deep=False)]
                if fate == "recreate":
                    hanging += self._targets(state)
                    self.gone.update(self._lost_partners(state))
                elif fate == "delete":
                    hanging = self._still_there(state)
                queue += [(other, fate) for other in hanging if self._share(other, fate)]
        if self._saved:
            self._name_the_saved()
        self._note_who_is_out()

    def _note_who_is_out(self) -> None:
        skipped = (state for state, verdict in self.verdicts.items() if verdict.fate == "skip")
        self._identities_out = {assumed_identity(state) for state in (*self.gone, *skipped)}

    def _share(self, child: State, fate: Fate) -> bool:
        """Give an owned object its owner's fate, as far as it is one for it. Says whether it was given anything."""
        verdict = self.verdicts.get(child)
        if verdict is not None:
            if fate == "recreate" or verdict.fate == "skip" or not self._has_lost_its_owners(verdict.arrival):
                return False
            if verdict.fate == "insert":
                verdict.fate = "skip"
            elif fate == "delete" and verdict.fate in ("update", "as is"):
                verdict.fate = "delete"
            else:
                return False
            return True
        if child.key is None or child in self.gone:
            return False
        absent = self._is_absent(child)
        if fate == "recreate" and (absent or self.sides.doom(self._arrival(child))):
            self._judge(child)
        elif fate == "delete" and not absent:
            self.verdicts[child] = Verdict(self._arrival(child), "delete")
        elif fate != "recreate" and child not in self.incoming.homes:
            self.gone.add(child)
        else:
            return False
        return True

    def _name_the_saved(self) -> None:
        """What the session alone holds of that which it keeps after all: it is in the report, too."""
        known = {conflict.identity for conflict in self.rulings.conflicts if conflict.missing}
        known.update(identity_of(verdict.arrival) for verdict in self.verdicts.values() if verdict.fate == "delete")
        for state in self.sides.kept_after_all():
            if state.key not in known:
                self.missing(state, state.key)

    def _still_there(self, state: State) -> list[State]:
        """Who goes with an object: not those whom they have moved elsewhere, but those whom anybody has put there."""
        names: dict[Hashable, None] = {}
        for rel in owned(blueprint(state.mapper)):
            base, mine, theirs, _ = self.sides.members(self._arrival(state), rel)
            names.update(dict.fromkeys([*theirs, *(one for one in mine if one not in base)]))
        here = {self.incoming.who(child): child for child in owned_below(self.incoming, [state], deep=False)}
        elsewhere = {} if names.keys() <= here.keys() else self._by_name
        return [child for name in names if (child := here.get(name) or elsewhere.get(name)) is not None]

    @cached_property
    def _by_name(self) -> dict[Hashable, State]:
        return {self.incoming.who(state): state for state in self.incoming.states}

    def _targets(self, state: State) -> Iterator[State]:
        for rel in blueprint(state.mapper).relationships.values():
            target = state.dict.get(rel.key) if rel.direction == "to one" and rel.writable else None
            if target is not None:
                speaking = self.incoming.speaker(instance_state(target))
                if speaking in self.incoming.states:
                    yield speaking

    def _lost_partners(self, state: State) -> Iterator[State]:
        """What is made again leaves out those whom it had through a third table, and whose rows are gone as well."""
        for rel in shared(self._arrival(state)):
            for obj in members_now(state, rel):
                partner = self.incoming.speaker(instance_state(obj))
                if partner not in self.verdicts and partner.key is not None and self._is_absent(partner):
                    yield partner

    def elsewhere(self, arrival: Arrival, rel: Relationship) -> set[Hashable]:
        """Who was in a collection of what is made again, and has another place since then, which they gave it."""
        children = [self.incoming.speaker(instance_state(obj)) for obj in members_before(arrival.source(rel.key), rel)]
        found: set[Hashable] = set()
        for child in children:
            one = self._arrival(child)
            inverse = one.plan.relationships.get(rel.inverse or "")
            if child not in self.incoming.states or child.key is None or self.sides.row(one) is None:
                continue
            if inverse is not None:
                base, _, theirs, _ = self.sides.reference(one, inverse)
                if theirs is not None and theirs != base and UNKNOWN not in (base, theirs):
                    found.add(self.incoming.who(child))
        return found

    def _judge(self, state: State) -> None:
        arrival = self._arrival(state)
        self.verdicts[state] = Verdict(arrival, self._fate(arrival))

    def _arrival(self, state: State) -> Arrival:
        found = self.incoming.arrivals.get(state)
        home = self.incoming.homes.get(state)
        return found or Arrival(state, blueprint(state.mapper), assumed_identity(state), home)

    def _has_lost_its_owners(self, arrival: Arrival) -> bool:
        owners = [self.incoming.speaker(holder) for holder, rel in arrival.added_to if rel.owns or rel.deletes]
        return all(self.is_out(owner) or self._has_fate(owner, "delete") for owner in owners)

    def _has_fate(self, state: State, fate: Fate) -> bool:
        return state in self.verdicts and self.verdicts[state].fate == fate

    def _is_absent(self, state: State) -> bool:
        read = self.sides.reader.tables.get(blueprint(state.mapper).table)
        key = (state.key or (None, None))[1]
        absent = read is not None and key in read.keys and key not in read.rows
        return absent or self.sides.is_doomed(self.incoming.homes.get(state))


def _is_let_go(arrival: Arrival) -> bool:
    """Whether all that was done to the object was to take it out of collections."""
    inverses = {rel.inverse for _, rel in arrival.removed_from}
    references = [rel for rel in arrival.references if rel.key not in inverses]
    return bool(inverses) and not (arrival.columns or arrival.collections or references or arrival.added_to)
