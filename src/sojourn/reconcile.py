"""The three-way merge: base, mine and theirs in, a decision out.

`base` is what both sides started from, `mine` is the value on the object that comes home, `theirs` is what the database
holds now. This room is pure: it knows no SQLAlchemy and does no I/O, so that its laws can be tested by themselves:

- If I did not edit, theirs stands. If they did not, mine stands. If both made the same edit, it stands.
- If both edited and differ, it is a conflict, and nobody's value is lost without being named.
- If the base is not known, equal values agree and different ones conflict.
- Collections merge member by member: what I added and removed is applied to what is there now.
- Where the order of members is data, it merges, too: whom I moved goes where I put it, the others stand as theirs do.

The rules are those of diff3 (Khanna, Kunal, Pierce: "A Formal Investigation of Diff3", 2007), with single values and
keyed members in place of lines, so that there is no alignment to guess.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sojourn.errors import UNKNOWN

M = TypeVar("M", bound=Hashable)
Equal = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The decision for one value. `value` is what should stand; on a conflict it is not decided, and `value` is mine.

    `write` says whether `value` differs from theirs; `merged` whether theirs differs from the base.
    """

    value: Any
    conflict: bool
    write: bool
    merged: bool


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other)


def merge_value(base: Any, mine: Any, theirs: Any, equal: Equal = _equal) -> Outcome:
    """Merge one scalar, or one reference given as an identity."""
    known = base is not UNKNOWN
    merged = known and not equal(base, theirs)
    if equal(mine, theirs):
        return Outcome(theirs, conflict=False, write=False, merged=merged)
    if known and equal(base, mine):
        return Outcome(theirs, conflict=False, write=False, merged=merged)
    if known and equal(base, theirs):
        return Outcome(mine, conflict=False, write=True, merged=False)
    return Outcome(mine, conflict=True, write=True, merged=merged)


@dataclass(frozen=True, slots=True)
class Members(Generic[M]):
    """The decision for one collection: `final` is what should stand, in their order with my additions behind."""

    final: list[M]
    added: list[M]  # mine, not there yet
    removed: list[M]  # mine, still there
    arrived: list[M]  # theirs, not in the base
    left: list[M]  # theirs, in the base and gone


def merge_members(base: Iterable[M], mine: Iterable[M], theirs: Iterable[M]) -> Members[M]:
    """Merge a collection as a set of members that keeps its order. It has no conflicts of its own: two sides that add
    and remove the same member agree."""
    base_order, mine_order, theirs_order = dict.fromkeys(base), dict.fromkeys(mine), dict.fromkeys(theirs)
    my_additions = [member for member in mine_order if member not in base_order]
    my_removals = {member for member in base_order if member not in mine_order}
    added = [member for member in my_additions if member not in theirs_order]
    removed = [member for member in theirs_order if member in my_removals]
    return Members(
        final=[member for member in theirs_order if member not in my_removals] + added,
        added=added,
        removed=removed,
        arrived=[member for member in theirs_order if member not in base_order and member not in mine_order],
        left=[member for member in base_order if member not in theirs_order and member not in my_removals],
    )


def merge_order(base: Sequence[M], mine: Sequence[M], theirs: Sequence[M], merged: Collection[M]) -> list[M]:
    """The order of the members `merged` (those of `merge_members`), where both sides may have changed it.

    Whom I moved or added stands behind the member that is before it on my side, and behind what they put there; what I
    put at the end stands at the end. All others stand as on their side. So where one side moved nobody, the other's
    order stands, and where both moved the same member, mine does. Whom a side moved is told by a longest sequence of
    members that it left in order (Hunt and Szymanski, "A fast algorithm for computing longest common subsequences",
    1977): O(n log n).
    """
    here, known, standing = set(mine), set(base), set(merged)
    left_alone = left_in_order([one for one in mine if one in known], base)
    fixed = [one for one in theirs if one in standing and (one in left_alone or one not in here)]
    anchors, anchor = set(fixed), None
    behind: dict[M | None, list[M]] = {None: []}  # member that stays -> those whom I put behind it
    for one in mine:
        if one in anchors:
            anchor = one
            behind[anchor] = []
        elif one in standing:
            behind[anchor].append(one)
    at_the_end = behind.pop(anchor)
    waiting = behind.get(None, [])
    final: list[M] = []
    for one in fixed:
        if one in here:
            final += [*waiting, one]
            waiting = behind.get(one, [])
        else:
            final.append(one)
    return [*final, *waiting, *at_the_end]


def left_in_order(some: Sequence[M], base: Sequence[M]) -> set[M]:
    """The members of a longest subsequence of `some`, all of whom are in `base`, that is in the order there: patience
    sorting."""
    place = {one: at for at, one in enumerate(base)}
    tops: list[int] = []  # of piles: the lowest place in which a sequence of this length can end
    ends: list[M] = []  # who stands there
    before: dict[M, M | None] = {}  # for each member the one before it in its sequence
    for one in some:
        pile = bisect_left(tops, place[one])
        before[one] = ends[pile - 1] if pile else None
        tops[pile : pile + 1] = [place[one]]
        ends[pile : pile + 1] = [one]
    found: set[M] = set()
    last = ends[-1] if ends else None
    while last is not None:
        found.add(last)
        last = before[last]
    return found


def key_clashes(mine: Mapping[M, Hashable], theirs: Mapping[M, Hashable], merged: Sequence[M]) -> list[tuple[M, M]]:
    """Pairs (mine, theirs) of different members that claim one key of a keyed collection after a merge.

    `mine` and `theirs` map each member to its key there.
    """
    standing = set(merged)
    owner = {key: member for member, key in theirs.items() if member in standing}
    return [
        (member, owner[key])
        for member, key in mine.items()
        if key in owner and member in standing and member not in theirs
    ]
