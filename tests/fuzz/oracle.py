"""What must hold for every input: `loads` gives objects or a SnapshotError, soon, and in little memory.

What it gives can be written, and reads as the same again.
"""

from __future__ import annotations

import hashlib
import resource
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sojourn.errors import SnapshotError
from sojourn.snapshot import document, dumps, loads
from sojourn.snapshot.allowed import Allowed
from tests.fuzz.corpus import FORMATS, MODELS
from tests.models.shop import Customer, Order

SECONDS_PER_MB = 1.0
SECONDS_AT_LEAST = 0.25  # for small inputs: a busy machine and the garbage collector have their say
LARGE = 10_000  # bytes, from which on seconds per MB mean something
MEGABYTES = 200
SAME_AGAIN = 5  # of so many accepted inputs one is written and read again, which takes longer than all the rest
WAYS: Sequence[dict[str, Any]] = [
    {},
    {"on_unknown": "ignore"},
    {"renames": {Customer: {"x": "name", "number": "city"}, "Tag": Order}},
]
"""How `loads` is asked, in turn."""

_MB = 1e6


class BrokenError(AssertionError):
    """What an input showed to be wrong."""


@dataclass
class Oracle:
    """Holds inputs against the rules, and counts. What is wrong is kept, one input for each kind of it."""

    keep: Path | None = None
    inputs: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, 0)  # seconds, bytes
    seconds_per_mb: float = 0.0  # the worst among large inputs
    where: str = ""  # of the last refusal

    def check(self, data: bytes) -> None:
        """One input. What is wrong is noted, with the input."""
        self.inputs += 1
        try:
            self._check(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is noted, and the run goes on
            self._note(data, error)

    def _check(self, data: bytes) -> None:
        seconds, objs = self._read(data)
        if objs is None:
            self.refused[self.where.partition("[")[0]] += 1
        if seconds > (SECONDS_PER_MB * len(data) / _MB if len(data) > LARGE else SECONDS_AT_LEAST):
            # Python's collector looks at the whole process now and then. An input that is slow by itself is slow again.
            seconds = min(seconds, self._read(data)[0])
        self._time(seconds, data)
        if objs is not None:
            self.accepted += 1
            if self.accepted % SAME_AGAIN == 0:
                same_again(objs, FORMATS[self.inputs % len(FORMATS)])

    def _read(self, data: bytes) -> tuple[float, list[Any] | None]:
        """The processor's seconds, and the objects; None where the bytes were refused, with `where`."""
        began = time.process_time()
        try:
            objs = loads(data, MODELS, **WAYS[self.inputs % len(WAYS)])
        except SnapshotError as error:
            if not error.where:
                raise BrokenError("a SnapshotError that does not say where") from error
            self.where = error.where
            objs = None
        return time.process_time() - began, objs

    def _time(self, seconds: float, data: bytes) -> None:
        size = len(data)
        if seconds > self.slowest[0]:
            self.slowest = seconds, size
            self._save("slowest", data)
        if size > LARGE and seconds / (size / _MB) > self.seconds_per_mb:
            self.seconds_per_mb = seconds / (size / _MB)
            self._save("slowest per MB", data)
        if seconds > max(SECONDS_AT_LEAST, SECONDS_PER_MB * size / _MB):
            raise BrokenError(f"too slow: {seconds:.2f} s")

    def _note(self, data: bytes, error: Exception) -> None:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/tests/fuzz/" not in frame.filename]
        at = next((frame for frame in reversed(frames) if "/sojourn/" in frame.filename), None)
        name = f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}" if at else f"{error}"[:100]
        self.wrong[name] += 1
        if self.wrong[name] == 1:
            digest = hashlib.sha256(data).hexdigest()[:12]
            self._save(digest, data)
            self._save(f"{digest}.txt", "".join(traceback.format_exception(error)).encode(errors="backslashreplace"))

    def _save(self, name: str, data: bytes) -> None:
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / name).write_bytes(data)

    @property
    def passed(self) -> bool:
        return not self.wrong and peak_megabytes() <= MEGABYTES

    def report(self) -> str:
        """Numbers, one to a line."""
        seconds, size = self.slowest
        lines = [
            f"inputs: {self.inputs:,} ({self.accepted:,} accepted, {sum(self.refused.values()):,} refused)",
            f"slowest input: {seconds * 1000:.0f} ms, {size:,} bytes",
            f"worst rate above 10 kB: {self.seconds_per_mb:.2f} s per MB",
            f"peak memory of the process: {peak_megabytes():.0f} MB",
            f"other than SnapshotError, or wrong: {sum(self.wrong.values()):,}",
            *(f"  {count:,} × {name}" for name, count in self.wrong.most_common()),
        ]
        return "\n".join(lines)


def peak_megabytes() -> float:
    """The most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def look_up_classes_once() -> None:
    """Looking up a hundred classes takes longer than a small input. It is the same each time, and tested elsewhere."""
    allowed = Allowed(MODELS)
    document.Allowed = lambda _models: allowed  # type: ignore[attr-defined, assignment]  # this process only


def same_again(objs: list[Any], format_: Literal["json", "msgpack"]) -> None:
    """What was accepted can be written, and what was written reads as the same."""
    try:
        first = dumps(objs)
        second = dumps(loads(dumps(objs, format=format_), MODELS))
    except SnapshotError as error:
        raise BrokenError(f"accepted, but not again: {error.args[0][-80:]}") from error
    if first != second and _without_numbers(first) != _without_numbers(second):
        raise BrokenError("accepted, and not the same again")


def _without_numbers(document: bytes) -> list[int]:
    """A set's members are numbered as it happens. All else must be equal, so these are when they are in order."""
    return sorted(document.translate(None, b"0123456789"))
