"""Every error that sojourn raises, and the value that stands for "not known".

Each error carries its data as attributes, and its message ends with the remedy. A caller who wants to catch "anything
of sojourn's" catches `SojournError`; nothing else escapes on purpose.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy.orm import QueryableAttribute
from sqlalchemy.orm.exc import DetachedInstanceError, UnmappedInstanceError


class Unknown(enum.Enum):
    """The type of `UNKNOWN`. An Enum, so that it is one object everywhere, also after pickle and deepcopy."""

    UNKNOWN = "UNKNOWN"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN
"""Stands for a value that nobody recorded. It is neither None nor "absent"."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One attribute that was changed here and elsewhere, in different ways.

    `identity` is SQLAlchemy's identity key, or None for an object without one; `attribute` is the mapped attribute's
    name, or None where the whole row is concerned. `base` is the value that both sides started from (`UNKNOWN` where
    nobody recorded it), `mine` the value on the object that comes home, `theirs` the value in the database now.
    References and members of collections are shown as identity keys; `missing` is True where the row does not exist any
    more.
    """

    identity: tuple[Any, ...] | None
    attribute: str | None
    base: Any
    mine: Any
    theirs: Any
    missing: bool = False

    def __str__(self) -> str:
        where = identity_text(self.identity)
        if self.missing:
            return f"{where}: the row does not exist any more"
        return f"{where}.{self.attribute}: base {self.base!r}, mine {self.mine!r}, theirs {self.theirs!r}"


Policy: TypeAlias = Literal["raise", "mine", "theirs"] | Callable[[Conflict], Any]
"""What to do with a conflict: raise it, take one side, or write the value that a function returns."""


def identity_text(identity: tuple[Any, ...] | None) -> str:
    """`Customer(1)` for an identity key, as people write it. Pure."""
    if identity is None:
        return "new object"
    return f"{identity[0].__name__}({', '.join(map(repr, identity[1]))})"


class SojournError(Exception):
    """Base of every error that sojourn raises. It can be pickled, with its data, to be raised in another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(class_: type[SojournError], args: tuple[Any, ...], data: dict[str, Any]) -> SojournError:
    # Not through __init__, which makes the message from other arguments.
    error = class_.__new__(class_, *args)
    error.__dict__.update(data)
    return error


class ConflictError(SojournError):
    """Both sides changed the same thing. `conflicts` holds every conflict that was found, not the first one alone."""

    def __init__(self, conflicts: Sequence[Conflict], remedy: str | None = None) -> None:
        self.conflicts = list(conflicts)
        lines = "\n".join(f"  {conflict}" for conflict in self.conflicts)
        summary = self._summary(len(self.conflicts))
        super().__init__(f"{summary}\n{lines}\nNothing was changed. {remedy or self._remedy}")

    _remedy = 'Choose a side with on_conflict="mine" or "theirs", or pass a function of one Conflict.'

    @staticmethod
    def _summary(count: int) -> str:
        return f"{count} conflict{'s' if count != 1 else ''}:"


class MissingRowError(ConflictError):
    """Rows that the objects stand for do not exist any more."""

    _remedy = 'Choose on_missing="recreate" to insert them again, or "skip" to leave these objects out.'


class UncommittedError(SojournError):
    """The objects hold values that were flushed but not committed, or are marked for deletion. `objects` are these."""

    def __init__(self, objects: Sequence[object], what: str, remedy: str) -> None:
        self.objects = list(objects)
        super().__init__(f"{_classes(self.objects)}: {what}. {remedy}")


class NotLoadedError(SojournError, DetachedInstanceError):
    """An attribute was read that is not loaded, where nothing may load it. `attribute` and `remedy` name it."""

    code = ""  # SQLAlchemy's would append a link to its page on detached objects; the remedy here is more exact

    def __init__(
        self, class_name: str, attribute: str, remedy: str, why: str = "and the object has no session to load it"
    ) -> None:
        self.class_name = class_name
        self.attribute = attribute
        self.remedy = remedy
        super().__init__(f"{class_name}.{attribute} is not loaded, {why}. {remedy}")


class NotMappedError(SojournError, UnmappedInstanceError):
    """Something was given that is no instance of a mapped class. `object` is what was given."""

    def __init__(self, obj: object) -> None:
        self.object = obj
        self._said = (
            f"{type(obj).__qualname__} is not a mapped class, or its mapping is not configured. "
            "Pass mapped instances, or one iterable of them."
        )
        SojournError.__init__(self, self._said)

    def __str__(self) -> str:
        return self._said


class WrongSessionError(SojournError):
    """Objects are in a session, or in a state, in which the verb cannot take them. `objects` are these."""

    def __init__(self, objects: Sequence[object], what: str, remedy: str) -> None:
        self.objects = list(objects)
        super().__init__(f"{_classes(self.objects)}: {what}. {remedy}")


class NoTransactionError(SojournError):
    """The engine commits each statement by itself, so no row can be held, and nothing be rolled back.

    `dialect` is the name of the database's dialect.
    """

    def __init__(
        self,
        dialect: str,
        lines: str,
        why: str = "between the SELECT of a row and its UPDATE somebody else may change it, and that change would be "
        "lost.",
    ) -> None:
        self.dialect = dialect
        super().__init__(
            f"The {dialect} connection commits each statement by itself: {why} Give this session a connection with "
            f"transactions:\n{lines}\nNothing was changed."
        )


class NotAllowedError(SojournError):
    """Edits of attributes that `allow` does not list. `attributes` are (class name, attribute) pairs."""

    def __init__(self, attributes: Iterable[tuple[str, str]]) -> None:
        self.attributes = sorted(set(attributes))
        names = ", ".join(f"{class_name}.{name}" for class_name, name in self.attributes)
        super().__init__(
            f"Edits of {names} are not allowed here. Nothing was changed. Add them to allow=[...] to accept."
        )


class KeyNeededError(SojournError):
    """A copy needs a primary key that neither the database nor the mapping generates. `attributes` are its parts."""

    def __init__(self, class_name: str, attributes: Sequence[str]) -> None:
        self.class_name = class_name
        self.attributes = list(attributes)
        names = ", ".join(f"{class_name}.{name}" for name in attributes)
        super().__init__(
            f"Nobody generates {names}: a copy needs a key of its own. "
            "Pass rekey=function(original, copy) that sets it."
        )


class WrongAttributeError(SojournError):
    """An argument names an attribute that is not there, or that it cannot take. `attribute` is what was given."""

    def __init__(self, attribute: object, what: str, remedy: str) -> None:
        self.attribute = attribute
        # A class-bound attribute prints as Class.attribute; of anything else the type is enough.
        shown = attribute if isinstance(attribute, (str, QueryableAttribute)) else type(attribute).__name__
        super().__init__(f"{shown} {what}. {remedy}")


class BadArgumentError(SojournError, ValueError):
    """A parameter has a value that the verb does not know. The message says which values it takes."""


class IncompleteError(SojournError):
    """A copy would lack what is not loaded. `attributes` are (class name, attribute) pairs, all that were found."""

    def __init__(self, attributes: Iterable[tuple[str, str]]) -> None:
        self.attributes = sorted(set(attributes))
        names = ", ".join(f"{class_name}.{name}" for class_name, name in self.attributes)
        super().__init__(
            f"Not loaded: {names}. A copy without them would be less than its original. Nothing was copied. "
            f"Load them first with prefetch(session, objs, ...), or leave them out with skip=[{names}]."
        )


class SnapshotError(SojournError):
    """Bytes that cannot be written or read as a snapshot. `where` says the place, as a path into the document."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(" ".join(part for part in (f"{where}: {what}." if where else f"{what}.", remedy) if part))


@dataclass(frozen=True, slots=True)
class PayloadFault:
    """One thing that is wrong with a payload: `path` says where (`$.lines[2].qty`), `message` what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class PayloadError(SojournError, ValueError):
    """A payload that cannot be written. `errors` holds every fault that was found, not the first one alone."""

    def __init__(self, errors: Sequence[PayloadFault]) -> None:
        self.errors = list(errors)
        lines = [f"  {fault}" for fault in self.errors[:_SHOWN]]
        if len(self.errors) > _SHOWN:
            lines.append(f"  and {len(self.errors) - _SHOWN} more")
        count = f"{len(self.errors)} fault{'s' if len(self.errors) != 1 else ''} in the payload:"
        super().__init__("\n".join([count, *lines, "Nothing was changed. Correct the payload and send it again."]))


class UnsuitableStatementError(SojournError, ValueError):
    """A statement whose rows cannot be read in chunks of their keys. `what` and `remedy` say why and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")


class LeaseLostError(SojournError):
    """Another runner has taken the job over. `job` is its name. What this runner did not commit is not written."""

    def __init__(self, job: str) -> None:
        self.job = job
        super().__init__(
            f"Job {job!r} was taken over by another runner, because this one did not show a sign of life for the time "
            "of its lease. Nothing of the chunk under way was written; the other runner does it. Pass a longer lease "
            "if this process was only slow."
        )


class JobChangedError(SojournError):
    """The ledger knows another job under this name. `job` is the name; `was` and `now` are the two statements."""

    def __init__(self, job: str, was: str, now: str) -> None:
        self.job = job
        self.was = was
        self.now = now
        super().__init__(
            f"Job {job!r} was begun with another statement or another mapping.\nIt began with:\n{was}\n"
            f"Now it is:\n{now}\n"
            "Its ranges would mean other rows. Pass another name= for another job, or force=True to go on all the same."
        )


class TooManyRejectedError(SojournError):
    """A job stopped, because too many of its rows were rejected. What it has done stays done.

    `job` is its name, `rejected` and `rows` how many of how many, `limit` what `max_rejected` allows.
    """

    def __init__(self, job: str, rejected: int, rows: int, limit: float) -> None:
        self.job = job
        self.rejected = rejected
        self.rows = rows
        self.limit = limit
        super().__init__(
            f"Job {job!r} stopped: {rejected:,} of {rows:,} rows were rejected, max_rejected={limit:g}. "
            f"`sojourn jobs URL rejected {job}` shows why. Correct the function or the data, and run it again: "
            "it goes on behind them, and `--retry` has it try them again."
        )


class WorkersLostError(SojournError):
    """A worker died, and with it the executor that `process` was given. What is done stays done."""

    def __init__(self) -> None:
        super().__init__(
            "A worker died and broke its executor, which process() cannot make anew. What is done stays done: run the "
            "job again to go on. Pass workers=…, or as executor= a function that makes an executor, and the row that "
            "does it is found and rejected."
        )


class UnknownJobError(SojournError, LookupError):
    """There is no job of this name in the ledger. `job` is the name."""

    def __init__(self, job: str) -> None:
        self.job = job
        super().__init__(f"There is no job {job!r} in the ledger of this database. `sojourn jobs URL` lists them.")


_SHOWN = 20  # faults in a message: a stranger's payload can have a million


def _classes(objects: Sequence[object]) -> str:
    # Class names and counts only: a user's __repr__ may load, fail or leak.
    counts: dict[str, int] = {}
    for obj in objects:
        counts[type(obj).__name__] = counts.get(type(obj).__name__, 0) + 1
    return ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())
