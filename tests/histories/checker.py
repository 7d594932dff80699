"""Is what everybody was told what became of the rows? Pure functions over plain records.

A record is one attempt to bring edits home: who, which edits, and what that writer was told ("done", or anything else,
which means that nothing of it may be in the rows). The edits:

- `Added(account, by)`: a number was added to `total`. No two writers ever add the same, so that no two results are
  equal by chance, which a three-way merge would take for one and the same edit.
- `Set(row, before, after)`: a text was set. Each text is used once, so done edits of one row form a chain from its
  first value to its last. Two of them that replaced the same value: the first was lost.
- `Owned(account, column, value)`: a writer set a column that is its own. The last one done is what stands.
- `Inserted(label)` and `Removed(label, saw)`: entries by their label, which is used once. What was removed stays away,
  and somebody removed it as it was last set.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

DONE = "done"


@dataclass(frozen=True)
class Added:
    account: int
    by: int


@dataclass(frozen=True)
class Owned:
    account: int
    column: str
    value: int


@dataclass(frozen=True)
class Set:
    row: str
    before: str
    after: str


@dataclass(frozen=True)
class Inserted:
    label: str
    text: str


@dataclass(frozen=True)
class Removed:
    label: str
    saw: str


Edit: TypeAlias = Added | Owned | Set | Inserted | Removed


@dataclass(frozen=True)
class Record:
    """One attempt; the records of one writer are in the order in which it made them."""

    writer: int
    edits: tuple[Edit, ...]
    told: str


@dataclass
class Rows:
    """What is in the database."""

    totals: dict[int, int] = field(default_factory=dict)
    owned: dict[tuple[int, str], int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # of accounts (by "account 1") and of entries (by their label)
    labels: set[str] = field(default_factory=set)


def check(start: Rows, records: Sequence[Record], end: Rows) -> list[str]:
    """What is wrong with a history; nothing, if all is well."""
    done = [edit for record in records if record.told == DONE for edit in record.edits]
    return [
        *_totals(start, done, end),
        *_owned(start, done, end),
        *_entries(start, done, end),
        *_texts(start, done, end),
    ]


def _totals(start: Rows, done: Iterable[Edit], end: Rows) -> Iterable[str]:
    expected = dict(start.totals)
    for edit in done:
        if isinstance(edit, Added):
            expected[edit.account] += edit.by
    for account, total in expected.items():
        if end.totals.get(account) != total:
            yield f"account {account}: what was added makes {total}, the row says {end.totals.get(account)}"


def _owned(start: Rows, done: Iterable[Edit], end: Rows) -> Iterable[str]:
    expected = dict(start.owned)
    for edit in done:
        if isinstance(edit, Owned):  # one writer a column, so these are in order
            expected[edit.account, edit.column] = edit.value
    for place, value in expected.items():
        if end.owned.get(place) != value:
            yield f"{place}: its writer last set {value}, the row says {end.owned.get(place)}"


def _entries(start: Rows, done: Sequence[Edit], end: Rows) -> Iterable[str]:
    inserted = {edit.label for edit in done if isinstance(edit, Inserted)}
    removed = [edit.label for edit in done if isinstance(edit, Removed)]
    for label in sorted((start.labels | inserted) - set(removed) - end.labels):
        yield f"entry {label}: lost, nobody removed it"
    for label in sorted(end.labels & set(removed)):
        yield f"entry {label}: removed, and came back"
    for label in sorted(end.labels - start.labels - inserted):
        yield f"entry {label}: a phantom, nobody was told that it is there"


def _texts(start: Rows, done: Sequence[Edit], end: Rows) -> Iterable[str]:
    first = dict(start.texts) | {edit.label: edit.text for edit in done if isinstance(edit, Inserted)}
    chains: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for edit in done:
        if isinstance(edit, Set):
            if edit.before in chains[edit.row]:
                yield f"{edit.row}: {chains[edit.row][edit.before]!r} and {edit.after!r} both replaced {edit.before!r}"
            chains[edit.row][edit.before] = edit.after
    saw: defaultdict[str, set[str]] = defaultdict(set)
    for edit in done:
        if isinstance(edit, Removed):  # two may have: who came second found nothing, and agreed
            saw[edit.label].add(edit.saw)
    for row, value in first.items():
        chain, last = chains.pop(row, {}), value
        while last in chain:
            last = chain.pop(last)
        for before, after in chain.items():
            yield f"{row}: {after!r} replaced {before!r}, which was never there"
        if row in saw and last not in saw[row]:
            yield f"{row}: {last!r} was lost, it was removed as {' and '.join(sorted(saw[row]))}"
        if row not in saw and end.texts.get(row) != last:
            yield f"{row}: was last set to {last!r}, the row says {end.texts.get(row)!r}"
    for row in chains:
        yield f"{row}: was set, and was never there"
