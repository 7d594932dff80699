"""What was decided about one arrival: plain values, between those who decide and those who act."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Literal

from sojourn.mapping.base import same
from sojourn.mapping.blueprint import Relationship
from sojourn.session.arrival import Arrival
from sojourn.session.columns import Writes
from sojourn.session.keys import Key
from sojourn.sqlalchemy_internals import State

OnMissing = Literal["raise", "recreate", "skip"]
Fate = Literal["insert", "update", "delete", "recreate", "skip", "as is"]


@dataclass(frozen=True, slots=True)
class ReferenceVerdict:
    """Where a reference shall point: to the object of a state, to the row with a key, or nowhere."""

    target: State | Key | None
    stored: Any  # the foreign key in the database; UNKNOWN where it was not read
    writes: bool  # whether the two differ


@dataclass(eq=False, slots=True)
class Verdict:
    """What shall become of one arrival."""

    arrival: Arrival
    fate: Fate
    writes: Writes = field(default_factory=dict)
    references: dict[Relationship, ReferenceVerdict] = field(default_factory=dict)
    # (who is stored in the collection, who shall be in it)
    collections: dict[Relationship, tuple[list[Hashable], list[Hashable]]] = field(default_factory=dict)
    moved: bool = False  # its foreign key changes because it was put into, or taken out of, a collection

    @property
    def home(self) -> State:
        """The state on which the verdict is carried out."""
        return self.arrival.home or self.arrival.state

    def writes_row(self) -> bool:
        """Whether the next flush updates the arrival's own row."""
        arrival = self.arrival
        if self.fate == "as is":
            return bool(arrival.columns or arrival.references or arrival.added_to or arrival.removed_from)
        if self.moved or any(ruling.writes for ruling in self.references.values()):
            return True
        return any(not same(arrival.plan, key, stored, final) for key, (stored, final) in self.writes.items())
