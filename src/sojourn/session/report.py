"""What a verb did: plain values, no session in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sojourn.errors import UNKNOWN, BadArgumentError, Conflict, Policy, identity_text


@dataclass(frozen=True, slots=True)
class Merge:
    """One attribute that both sides have a say in: they changed it, or I did while they changed the row."""

    identity: tuple[Any, ...] | None
    attribute: str
    base: Any
    mine: Any
    theirs: Any
    result: Any

    def __str__(self) -> str:
        where = identity_text(self.identity)
        sides = f"base {self.base!r}, mine {self.mine!r}, theirs {self.theirs!r}"
        return f"{where}.{self.attribute}: {sides} -> {self.result!r}"


@dataclass(eq=False)
class AttachReport:
    """What `attach` did, or would do with `dry_run=True`.

    `instances` are the given objects' attached instances, in the order given; an object that was skipped is None there.
    `inserted`, `updated`, `deleted` and `unchanged` are attached instances by what the next flush does with their own
    row.
    `merged` lists each attribute in which the other side's change was kept, `conflicts` each conflict, decided or not.
    `statements` counts the SQL statements that attach executed (the flush comes later and is not among them).
    """

    instances: list[Any] = field(default_factory=list)
    inserted: list[Any] = field(default_factory=list)
    updated: list[Any] = field(default_factory=list)
    deleted: list[Any] = field(default_factory=list)
    unchanged: list[Any] = field(default_factory=list)
    merged: list[Merge] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    statements: int = 0
    find: Callable[[Any], Any] = field(default=lambda obj: obj, repr=False)

    def of(self, obj: Any) -> Any:
        """The instance in the session that stands for a given instance, at any depth of the graph; None if skipped."""
        return self.find(obj)

    def __repr__(self) -> str:
        return (
            f"<AttachReport {len(self.inserted)} to insert, {len(self.updated)} to update, "
            f"{len(self.deleted)} to delete, {len(self.unchanged)} unchanged, "
            f"{len(self.merged)} merged, {len(self.conflicts)} conflicts, "
            f"{self.statements} statements>"
        )


@dataclass(eq=False)
class RefreshReport:
    """What `refresh` did: `instances` as given, `changed` those to which it brought something new; the rest as in
    attach."""

    instances: list[Any] = field(default_factory=list)
    changed: list[Any] = field(default_factory=list)
    merged: list[Merge] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    statements: int = 0

    def __repr__(self) -> str:
        return (
            f"<RefreshReport {len(self.instances)} objects, {len(self.changed)} changed, {len(self.merged)} merged, "
            f"{len(self.conflicts)} conflicts, {self.statements} statements>"
        )


class Rulings:
    """Decides conflicts by the caller's policy, and remembers each one. With "raise" they stay undecided."""

    def __init__(self, on_conflict: Policy, on_unknown_base: Policy | None = None) -> None:
        for name, policy in (("on_conflict", on_conflict), ("on_unknown_base", on_unknown_base)):
            if not (policy is None or callable(policy) or policy in ("raise", "mine", "theirs")):
                raise BadArgumentError(f'{name} is {policy!r}. It is "raise", "mine", "theirs" or a function.')
        self.on_conflict = on_conflict
        self.on_unknown_base = on_conflict if on_unknown_base is None else on_unknown_base
        self.conflicts: list[Conflict] = []
        self.undecided: list[Conflict] = []
        self.merged: list[Merge] = []

    def rule(self, conflict: Conflict, *, mine: Any = UNKNOWN, theirs: Any = UNKNOWN) -> Any:
        """The value that stands. `mine` and `theirs` are what is given back for the sides, where a conflict shows
        others."""
        policy = self.on_unknown_base if conflict.base is UNKNOWN else self.on_conflict
        self.conflicts.append(conflict)
        my_value = conflict.mine if mine is UNKNOWN else mine
        their_value = conflict.theirs if theirs is UNKNOWN else theirs
        if policy == "raise":
            self.undecided.append(conflict)
            return my_value
        if policy == "mine":
            return my_value
        if policy == "theirs":
            return their_value
        value = policy(conflict)
        # Compared by identity first: a function that gives one side back means that side, whatever its type compares.
        return my_value if value is conflict.mine else their_value if value is conflict.theirs else value

    def note(self, identity: tuple[Any, ...] | None, attribute: str, values: Iterable[Any]) -> None:
        """Remember a merge; `values` are base, mine, theirs and the result."""
        self.merged.append(Merge(identity, attribute, *values))
