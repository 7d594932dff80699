"""The ledger: what a job has done, in the user's own database and in the same transaction as the data.

Each function takes a Connection and does one thing; who commits is the caller's business. Rows come back as frozen
values. Only the owner of a job writes its ranges and counts (`sojourn.batch.lease` sees to it), so the owner's own
`Chain` is the truth and the table follows it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, delete, insert, inspect, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.schema import CreateTable

from sojourn.batch.ranges import Position, Range
from sojourn.batch.tables import NAME_LENGTH, completed, job, metadata, rejected
from sojourn.errors import BadArgumentError, UnknownJobError

__all__ = [
    "Connect",
    "Job",
    "Rejected",
    "add_rejected",
    "create_tables",
    "drop_rejected",
    "has_tables",
    "job_named",
    "jobs",
    "mark_for_retry",
    "metadata",
    "open_job",
    "ranges_of",
    "rejected_of",
    "set_upper",
    "set_wanted",
    "was_written",
    "write_ranges",
]

Connect: TypeAlias = Callable[[], AbstractContextManager[Connection]]
"""Gives a connection in a new transaction, which is committed at the end of the block: `engine.begin`, for example."""

RUNNING, PAUSED, CANCELLED, DONE, FAILED = "running", "paused", "cancelled", "done", "failed"
RUN, PAUSE, CANCEL = "run", "pause", "cancel"


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `sojourn_job`."""

    id: str
    name: str
    fingerprint: str
    statement: str
    status: str
    wanted: str
    upper: Position | None
    total: int | None
    rows: int
    rejected: int
    seconds: float
    owner: str | None
    epoch: int
    heartbeat: int
    lease: float
    started: float | None
    finished: float | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row of `sojourn_rejected`: an object that the job could not do. `id` is made here, unless it was read."""

    identity: str
    position: Position
    error: str
    message: str
    traceback: str
    crashes: int = 0
    at: float = 0.0
    retry: bool = False
    id: str = ""


def create_tables(connect: Connect) -> None:
    """Create the tables that are missing. Two runners may do so at once. Database: always."""
    for table in metadata.sorted_tables:
        try:
            with connect() as connection:
                if not inspect(connection).has_table(table.name):
                    connection.execute(CreateTable(table, if_not_exists=True))
        except DBAPIError:
            # IF NOT EXISTS does not wait for another's CREATE everywhere (PostgreSQL: a duplicate key in its catalog).
            with connect() as connection:
                if not inspect(connection).has_table(table.name):
                    raise


def has_tables(connection: Connection) -> bool:
    """Whether any job has ever run on this database. Database: always loads."""
    return inspect(connection).has_table(job.name)


def open_job(connect: Connect, name: str, *, fingerprint: str, statement: str) -> Job:
    """The job of this name, made if there is none; nobody owns a new one. The statement and fingerprint of one that is
    there stay what they were. Raises BadArgumentError for a name that is too long. Database: always."""
    if not 0 < len(name) <= NAME_LENGTH:
        raise BadArgumentError(f"A job's name has 1 to {NAME_LENGTH} characters, this one has {len(name)}: pass name=…")
    with connect() as connection:
        found = _job_named(connection, name)
    if found is not None:
        return found
    row: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "name": name,
        "fingerprint": fingerprint,
        "statement": statement,
        "status": RUNNING,
        "wanted": RUN,
        "upper": None,
        "total": None,
        "rows": 0,
        "rejected": 0,
        "seconds": 0.0,
        "owner": None,
        "epoch": 0,
        "heartbeat": 0,
        "lease": 0.0,
        "started": None,
        "finished": None,
    }
    try:
        with connect() as connection:
            connection.execute(insert(job).values(row))
    except IntegrityError:  # another runner was faster
        with connect() as connection:
            return job_named(connection, name)
    return Job(**row)


def job_named(connection: Connection, name: str) -> Job:
    """The job of this name. Raises UnknownJobError. Database: always loads."""
    found = _job_named(connection, name)
    if found is None:
        raise UnknownJobError(name)
    return found


def jobs(connection: Connection) -> list[Job]:
    """All jobs, by their start, those that never started last. Database: always loads."""
    found = [Job(*row) for row in connection.execute(select(job).order_by(job.c.name))]
    return sorted(found, key=lambda one: (one.started is None, one.started or 0.0))


def set_wanted(connection: Connection, name: str, wanted: str) -> None:
    """Say what the owner of a job shall do from its next chunk on: RUN, PAUSE or CANCEL. Raises UnknownJobError."""
    if connection.execute(update(job).where(job.c.name == name).values(wanted=wanted)).rowcount == 0:
        raise UnknownJobError(name)


def set_upper(connection: Connection, job_id: str, upper: Position | None, total: int | None) -> None:
    """Freeze the upper bound of a job, and note how many rows there are up to it. Database: always writes."""
    connection.execute(update(job).where(job.c.id == job_id).values(upper=upper, total=total))


def ranges_of(connection: Connection, job_id: str) -> list[Range]:
    """The completed ranges of a job, in order: `Chain.of` takes them. Database: always loads."""
    c = completed.c
    found = select(c.after, c.upto, c.rows).where(c.job_id == job_id).order_by(c.place)
    return [Range(*row) for row in connection.execute(found)]


def write_ranges(
    connection: Connection, job_id: str, before: Sequence[Range], now: Sequence[Range], token: str
) -> None:
    """Bring the ranges of a job from what they were to what they are: `chain.done` before and after a chunk.

    One statement where the chunk continues a range. `token` is noted with what was written: `was_written` settles with
    it whether a COMMIT of which no answer came was done. Database: writes what differs.
    """
    c = completed.c
    for place, range_ in enumerate(now):
        values = {"after": range_.after, "upto": range_.upto, "rows": range_.rows, "token": token}
        if place >= len(before):
            connection.execute(insert(completed).values(job_id=job_id, place=place, **values))
        elif range_ != before[place]:
            connection.execute(update(completed).where(c.job_id == job_id, c.place == place).values(values))
    if len(before) > len(now):
        connection.execute(delete(completed).where(c.job_id == job_id, c.place >= len(now)))


def was_written(connection: Connection, job_id: str, token: str) -> bool:
    """Whether the transaction of this token was committed. Ask before the next chunk is written: it may continue the
    same range. Database: always loads."""
    c = completed.c
    return connection.execute(select(c.place).where(c.job_id == job_id, c.token == token).limit(1)).first() is not None


def add_rejected(connection: Connection, job_id: str, found: Iterable[Rejected]) -> None:
    """Note rows that could not be done. Database: always writes, unless there are none."""
    rows = [
        {
            "job_id": job_id,
            "id": one.id or str(uuid.uuid4()),
            "identity": one.identity,
            "position": one.position,
            "error": _storable(one.error)[-190:],
            "message": _storable(one.message),
            "traceback": _storable(one.traceback),
            "crashes": one.crashes,
            "at": one.at or time.time(),
            "retry": one.retry,
        }
        for one in found
    ]
    if rows:
        connection.execute(insert(rejected), rows)


def rejected_of(connection: Connection, job_id: str, *, to_retry: bool = False) -> list[Rejected]:
    """The rejected rows of a job in the order in which they came, or only those that shall be tried again. Database:
    always loads."""
    c = rejected.c
    columns = (c.identity, c.position, c.error, c.message, c.traceback, c.crashes, c.at, c.retry, c.id)
    statement = select(*columns).where(c.job_id == job_id).order_by(c.at, c.id)
    if to_retry:
        statement = statement.where(c.retry)
    return [Rejected(*row) for row in connection.execute(statement)]


def mark_for_retry(connection: Connection, job_id: str) -> int:
    """Have all rejected rows of a job tried again when it runs next; returns how many. One that was done is not done
    any more. Database: always writes."""
    marked = connection.execute(update(rejected).where(rejected.c.job_id == job_id).values(retry=True)).rowcount
    if marked:
        connection.execute(update(job).where(job.c.id == job_id, job.c.status == DONE).values(status=RUNNING))
    return marked


def drop_rejected(connection: Connection, job_id: str, ids: Sequence[str]) -> None:
    """Forget rejected rows that were tried again. Database: always writes, unless there are none."""
    if ids:
        connection.execute(delete(rejected).where(rejected.c.job_id == job_id, rejected.c.id.in_(ids)))


def _job_named(connection: Connection, name: str) -> Job | None:
    row = connection.execute(select(job).where(job.c.name == name)).first()
    return None if row is None else Job(*row)


def _storable(text: str) -> str:
    """A text as every database takes it: no NUL (PostgreSQL), no half of a surrogate pair."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
