"""What `attach` does, told on plain dicts: the reference that tests/session/test_attach_stateful.py holds it against.

A world is a dict of rows. A row has two numbers, the row above it (`parent`, which owns it) and a set of tags, and is
known by its kind and a label that nobody changes. `Stay` is what one writer does while away, `predict` what becomes of
it: the rows afterwards, and every conflict. Nothing here knows SQLAlchemy or sojourn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

KINDS = ("Depot", "Shelf", "Box")  # each owns rows of the next

Key = tuple[str, str]  # kind, label
Row = dict[str, Any]
Rows = dict[Key, Row]


class Clash(NamedTuple):
    """A conflict. Without an attribute the row is missing."""

    key: Key
    attribute: str | None
    base: Any = None
    mine: Any = None
    theirs: Any = None


Decide = Callable[[Clash], Any]  # gives the value that stands


def copied(rows: Rows) -> Rows:
    return {key: dict(row) for key, row in rows.items()}


def members(rows: Rows, owner: Key) -> set[Key]:
    return {key for key, row in rows.items() if row["parent"] == owner}


def family(rows: Rows, key: Key) -> list[Key]:
    """A row and all that hangs on it."""
    found = [key]
    for one in found:  # the list grows while it is read
        found += sorted(members(rows, one))
    return found


def top_down(keys: Iterable[Key]) -> list[Key]:
    return sorted(keys, key=lambda key: (KINDS.index(key[0]), key[1]))


@dataclass
class Stay:
    """A writer's stay away from home: what was there at the departure, and what is in the writer's hands now."""

    base: Rows
    hand: Rows  # with what was removed: it may come back, with what was done to it before
    removed: dict[Key, Key | None] = field(default_factory=dict)  # what was taken out, and out of whom it had come

    def present(self) -> Rows:
        """What the writer's graph says."""
        gone = {one for key in self.removed for one in family(self._held(), key)}
        return {key: row for key, row in self.hand.items() if key not in gone}

    def _held(self) -> Rows:
        """Everything in hand, but who was taken out hangs on nobody."""
        return {key: {**row, "parent": None} if key in self.removed else row for key, row in self.hand.items()}

    def remove(self, key: Key) -> None:
        if key not in self.base:
            for one in family(self._held(), key):
                del self.hand[one]
        else:
            owner = self.base[key]["parent"]
            self.hand[key]["parent"] = owner
            self.removed[key] = owner

    def family(self, key: Key) -> list[Key]:
        return family(self._held(), key)

    def members(self, owner: Key) -> set[Key]:
        return members(self._held(), owner)

    def has_moved(self, key: Key) -> bool:
        return key in self.base and self.hand[key]["parent"] != self.base[key]["parent"]

    def has_touched(self, key: Key) -> bool:
        """Whether the writer changed a row, or who hangs on it."""
        return self.hand[key] != self.base[key] or self.members(key) != members(self.base, key)


@dataclass
class Outcome:
    """What attach leaves behind."""

    rows: Rows
    clashes: list[Clash]


def predict(stay: Stay, theirs: Rows, decide: Decide, *, recreate: bool, clean_roots: bool) -> Outcome:
    """Bring a stay home to the rows that are there now. With `clean_roots` those are looked for, too (verify="all")."""
    clashes: list[Clash] = []

    def rule(clash: Clash) -> Any:
        clashes.append(clash)
        return decide(clash)

    taken, dropped = _removals(stay, theirs, rule)
    rows = copied(theirs)
    deleted = _deletions(stay, theirs, taken, recreate=recreate)
    for key in deleted:
        del rows[key]
    mine = {key: row for key, row in stay.hand.items() if key not in deleted and key not in dropped}
    missing = _missing(stay, mine, theirs, recreate=recreate, clean_roots=clean_roots)
    clashes += [Clash(key, None) for key in missing]
    for key in top_down(mine):
        if key in theirs:
            rows[key] = _merged(key, stay, rows, theirs[key], rule)
        elif key in stay.base:
            if key in missing and recreate:
                rows[key] = dict(mine[key])
        elif mine[key]["parent"] is None or mine[key]["parent"] in rows:
            rows[key] = dict(mine[key])
    return Outcome(rows, clashes)


def _removals(stay: Stay, theirs: Rows, rule: Decide) -> tuple[set[Key], set[Key]]:
    """(what I take out and do away with, what is not there to come home)."""
    taken: set[Key] = set()
    dropped: set[Key] = set()
    for key, owner in stay.removed.items():
        assert owner is not None  # no root is taken away
        hanging = stay.family(key)
        worked_on = any(_is_worked_on(stay, theirs, one) for one in hanging)
        if worked_on and rule(Clash(owner, "children", key, None, key)) is not None:
            dropped.update(one for one in hanging if one in stay.base and one not in theirs)  # both removed it
        else:
            taken.add(key)
            dropped.update(one for one in hanging if one not in theirs)
    return taken, dropped


def _is_worked_on(stay: Stay, theirs: Rows, key: Key) -> bool:
    """Whether they changed a row, moved it, or put something into it that I have not seen there."""
    if key not in theirs or key not in stay.base:
        return False
    base, mine, now = stay.base[key], stay.hand[key], theirs[key]
    seen = members(stay.base, key) | stay.members(key)
    changed = any(now[name] != base[name] for name in ("a", "b", "parent"))
    return changed or not members(theirs, key) <= seen or not now["tags"] <= base["tags"] | mine["tags"]


def _deletions(stay: Stay, theirs: Rows, taken: set[Key], *, recreate: bool) -> set[Key]:
    """What goes: what I took out, what hangs on it now, and what I had put into it; not what one of us has moved out of
    it, unless where I put it is no more."""
    gone = set(taken)
    nowhere = {key for key in stay.base if key not in theirs and key not in gone and not recreate}
    for key in top_down({*theirs, *stay.hand}):
        put_by_me = key in stay.hand and key not in stay.removed and stay.hand[key]["parent"]
        if key not in stay.base and put_by_me in nowhere:
            nowhere.add(key)
        if put_by_me and stay.has_moved(key) and put_by_me not in nowhere:
            holder = put_by_me
        else:
            holder = theirs[key]["parent"] if key in theirs else None
        if holder in gone:
            gone.add(key)
    return gone & theirs.keys()


def _missing(stay: Stay, mine: Rows, theirs: Rows, *, recreate: bool, clean_roots: bool) -> list[Key]:
    """The rows that I touched and that are there no more; to make one again takes those above it and those below."""
    absent = {key for key in mine if key in stay.base and key not in theirs}
    found = [key for key in top_down(absent) if stay.has_touched(key) or (clean_roots and key[0] == KINDS[0])]
    for key in found if recreate else ():  # the list grows while it is read
        around = {mine[key]["parent"], *stay.members(key)}
        found += [one for one in top_down(around & absent) if one not in found]
    return found


def _merged(key: Key, stay: Stay, rows: Rows, theirs: Row, rule: Decide) -> Row:
    """Three-way: each cell by itself; `rows` are right already for all that is above."""
    if key not in stay.base:
        return dict(theirs)
    base, mine, final = stay.base[key], stay.hand[key], dict(theirs)
    for name in ("a", "b", "parent"):
        if mine[name] in (base[name], theirs[name]) or (name == "parent" and mine[name] not in rows):
            continue
        clash = Clash(key, name, base[name], mine[name], theirs[name])
        final[name] = mine[name] if theirs[name] == base[name] else rule(clash)
    final["tags"] = (theirs["tags"] | mine["tags"] - base["tags"]) - (base["tags"] - mine["tags"])
    return final
