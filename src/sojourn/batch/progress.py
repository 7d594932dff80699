"""How far a job is, for who watches: a line that renews itself on a terminal, lines elsewhere, a callback.

The figures are the ledger's, so they never drift: what is shown is what would be there after a kill.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TextIO, TypeAlias

_EVERY = 5.0  # seconds between two plain lines
_OFTEN = 0.1  # seconds between two changes of a terminal's line
_BAR = 24  # characters


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is.

    Attributes:
        name: of the job.
        rows: done by all its runs, rejected ones included.
        rejected: of these.
        total: how many there were when the job began.
        rate: rows a second, of this run.
        finished: whether this is the last that will be told of this run.
    """

    name: str
    rows: int
    rejected: int
    total: int | None
    rate: float
    finished: bool = False

    @property
    def share(self) -> float | None:
        """How much is done, from 0 to 1; None where the total is not known."""
        return None if self.total is None else min(self.rows / self.total, 1.0) if self.total else 1.0

    @property
    def eta(self) -> float | None:
        """Seconds that the rest will take at this rate; None where nobody can say."""
        if self.total is None or not self.rate:
            return None
        return max(self.total - self.rows, 0) / self.rate

    def __str__(self) -> str:
        share, eta = self.share, self.eta
        parts = [f"{self.rows:,} rows" if self.total is None else f"{self.rows:,} of {self.total:,} rows"]
        if share is not None:
            parts[0] += f" ({share:.0%})"
        parts.append(f"{self.rate:,.0f} rows/s")
        if self.rejected:
            parts.append(f"{self.rejected:,} rejected")
        if eta is not None and not self.finished:
            parts.append(f"{_clock(eta)} left")
        return f"{self.name}: {', '.join(parts)}"


Watcher: TypeAlias = Callable[[Progress], None]


def watcher_of(progress: Watcher | Literal[False] | None, stream: TextIO | None = None) -> Watcher:
    """Who is to be told: a callback as it is, nobody for False, and for None the terminal or log at `stream` (default:
    standard error)."""
    if progress is False:
        return lambda _: None
    if progress is not None:
        return progress
    out = stream if stream is not None else sys.stderr
    return _TerminalLine(out) if out.isatty() else _Lines(out)


class _Lines:
    """A plain line every few seconds: for logs."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.finished or now - self._told >= _EVERY:
            self._told = now
            print(progress, file=self._out, flush=True)


class _TerminalLine:
    """One line with a bar that is written anew over itself."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if not progress.finished and now - self._told < _OFTEN:
            return
        self._told = now
        full = round((progress.share or 0.0) * _BAR)
        bar = f"[{'█' * full}{'·' * (_BAR - full)}] "
        self._out.write(f"\r\x1b[K{bar}{progress}{chr(10) if progress.finished else ''}")
        self._out.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
