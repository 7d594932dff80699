"""Which parts of a job's rows are done: completed ranges between positions, and the gaps between them.

Chunks are cut in order and may be completed in any: so not one high-water mark, but ranges. Positions are opaque, only
the database can compare them; here the order comes from the cutting. A `Chain` is all there is from the beginning to
the frozen upper bound, link behind link; it is cut where a link is open, and links that are done and meet become one.
The ledger keeps the done ones in their order, from which the chain is made again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

Position: TypeAlias = str
"""The keys of one row, as `Keyset.position` writes them: `[17]`, `["Miller", null, {"Decimal": "1.50"}, 17]`."""


@dataclass(frozen=True, slots=True)
class Range:
    """The rows behind `after` (None: from the beginning), `upto` included; `rows` is how many of them were done."""

    after: Position | None
    upto: Position
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A part of the chain: done, or open."""

    after: Position | None
    upto: Position
    rows: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """All rows of a job, from the beginning to its upper bound, as links that follow each other. A value: no method
    changes it."""

    links: tuple[Link, ...] = ()

    @staticmethod
    def of(done: Iterable[Range], upper: Position | None) -> Chain:
        """The chain of the ranges that are done, in their order. `upper` is None where there are no rows at all."""
        links: list[Link] = []
        end: Position | None = None
        for one in done:
            if one.after != end:
                if one.after is None:
                    raise ValueError("a range from the beginning stands behind another one")
                links.append(Link(end, one.after))
            links.append(Link(one.after, one.upto, one.rows, done=True))
            end = one.upto
        if upper is not None and end != upper:
            links.append(Link(end, upper))
        return Chain(_coalesced(links))

    @property
    def done(self) -> tuple[Range, ...]:
        """The completed ranges, in order: as few as there can be."""
        return tuple(Range(link.after, link.upto, link.rows) for link in _joined(self.links) if link.done)

    @property
    def gaps(self) -> tuple[Range, ...]:
        """What is left to do, in order: as few ranges as there can be."""
        return tuple(Range(link.after, link.upto) for link in _joined(self.links) if not link.done)

    @property
    def rows(self) -> int:
        """How many rows are done."""
        return sum(link.rows for link in self.links)

    def cut(self, after: Position | None, upto: Position) -> Chain:
        """The chain with a link of its own for a chunk that is begun: `after` is where an open link begins, `upto` the
        chunk's last position, which is inside this link or its end. Raises ValueError where no open link begins."""
        place = self._open(after)
        link = self.links[place]
        if upto == link.upto:
            return self
        return self._with(place, Link(after, upto), Link(upto, link.upto))

    def completed(self, after: Position | None, upto: Position, rows: int) -> Chain:
        """The chain with a chunk done that was cut before. Raises ValueError for a chunk that was not, or that is done
        already: then another one did these rows."""
        place = self._open(after)
        if self.links[place].upto != upto:
            raise ValueError("this chunk was not cut")
        return self._with(place, Link(after, upto, rows, done=True))

    def _open(self, after: Position | None) -> int:
        for place, link in enumerate(self.links):
            if link.after == after and not link.done:
                return place
        raise ValueError("no open range begins here")

    def _with(self, place: int, *instead: Link) -> Chain:
        return Chain(_coalesced([*self.links[:place], *instead, *self.links[place + 1 :]]))


def _coalesced(links: Iterable[Link]) -> tuple[Link, ...]:
    """Neighbours that are done become one; open ones stay as they were cut."""
    return _merged(links, open_ones=False)


def _joined(links: Iterable[Link]) -> tuple[Link, ...]:
    return _merged(links, open_ones=True)


def _merged(links: Iterable[Link], *, open_ones: bool) -> tuple[Link, ...]:
    found: list[Link] = []
    for link in links:
        before = found[-1] if found else None
        if before is not None and before.done == link.done and (link.done or open_ones):
            found[-1] = Link(before.after, link.upto, before.rows + link.rows, link.done)
        else:
            found.append(link)
    return tuple(found)
