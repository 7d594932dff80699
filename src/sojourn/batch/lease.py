"""Who may write for a job: one owner at a time, by a lease with a heartbeat and a fencing epoch.

The owner shows that it lives by its heartbeat, with each chunk and between chunks from a thread. Who finds a job owned
watches: when epoch and heartbeat have not moved for the owner's `lease` seconds on the watcher's own clock, or at once
when the owner ran on this machine and is gone, it takes the job over and raises the epoch. No two machines' clocks are
compared.

An owner that was only slow does not know that it lost the job. So every transaction that writes for the job also
updates the job's row under the owner's epoch (`Lease.fence`): it finds no row when the epoch has moved on, and nothing
is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, StaticPool, delete, false, update
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sojourn.batch.ledger import CANCEL, DONE, RUNNING, Connect, Job, job_named
from sojourn.batch.owner import Owner, is_gone, owner_of, this_process
from sojourn.batch.tables import job
from sojourn.errors import LeaseLostError, NoTransactionError
from sojourn.sqlalchemy_internals import commits_each_statement

POLL = 0.5  # seconds between two looks at a job that somebody else owns, at most

# Lock not available, serialization failure, deadlock of PostgreSQL; lock wait timeout, deadlock, "record has changed
# since last read" of MariaDB.
_IN_USE = {"55P03", "40001", "40P01", 1205, 1213, 1020}
_LINES = """\
    engine = create_engine(url)  # without isolation_level="AUTOCOMMIT"; on SQLite, see "begin" events in its manual
    sessionmaker(engine)"""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write for a job, as long as nobody took it over."""

    job_id: str
    name: str
    epoch: int
    seconds: float
    owner: Owner

    def fence(self, connection: Connection, *, rows: int = 0, rejected: int = 0, seconds: float = 0.0) -> None:
        """Count up what a chunk did and show a sign of life, in the chunk's own transaction.

        The job's row stays locked until this transaction ends, so nobody takes the job over in between.

        Parameters:
            connection: of the chunk's transaction. On SQLite call this before anything is read: it takes the write
                lock.
            rows, rejected, seconds: what is added to the job's counts.

        Raises LeaseLostError; then roll back. Database: always writes (one UPDATE).
        """
        c = job.c
        values: dict[str, Any] = {"heartbeat": _now()}
        if rows:
            values["rows"] = c.rows + rows
        if rejected:
            values["rejected"] = c.rejected + rejected
        if seconds:
            values["seconds"] = c.seconds + seconds
        self._update(connection, values)

    def release(self, connection: Connection, status: str) -> None:
        """Give the job back with this status, DONE for example. Raises LeaseLostError. Database: always writes."""
        self._update(connection, {"owner": None, "status": status, "heartbeat": _now(), "finished": time.time()})

    def note(self, connection: Connection, status: str) -> None:
        """Say in which status the job is while it is owned: RUNNING or PAUSED. Raises LeaseLostError."""
        self._update(connection, {"status": status, "heartbeat": _now()})

    def _update(self, connection: Connection, values: dict[str, Any]) -> None:
        mine = update(job).where(job.c.id == self.job_id, job.c.epoch == self.epoch)
        if connection.execute(mine.values(values)).rowcount != 1:
            raise LeaseLostError(self.name)


def take(
    connect: Connect,
    name: str,
    *,
    lease: float,
    waiting: Callable[[Job], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Lease | None:
    """The lease of a job, as soon as nobody else has it; None when the job is done or shall be cancelled.

    Parameters:
        connect: gives a connection in a transaction of its own. Between two looks none is open.
        name: the job's name. It is in the ledger already (`open_job`).
        lease: how many seconds others wait without a sign of life before they take the job over from this process.
        waiting: called with the job at each look that found somebody else's lease.
        sleep: what to wait with.

    Raises:
        UnknownJobError: there is no such job.
        NoTransactionError: the connection commits each statement by itself, so no lease could protect a chunk.

    Database: always loads; writes when the job is free.
    """
    owner = this_process()
    watch = _Watch()
    while True:
        with connect() as connection:
            found = job_named(connection, name)
        if found.status == DONE or found.wanted == CANCEL:
            return None
        if watch.is_free(found):
            epoch = _claim(connect, found, owner, lease)
            if epoch is not None:
                return Lease(found.id, name, epoch, lease, owner)
        elif waiting is not None:
            waiting(found)
        sleep(min(POLL, found.lease / 4))


@contextmanager
def beating(connect: Connect, lease: Lease) -> Iterator[threading.Event]:
    """Show signs of life from a thread, on connections of its own, until the end of the block.

    The event that it gives is set when the job was taken over: then stop, nothing can be written any more. An error of
    the database is no news of the lease (SQLite: the chunk under way holds the lock; no connection is free), and the
    chunk meets it itself; the next beat tries again.

    Where there is one connection for all (StaticPool, a database in memory) there are no beats: they would be part of
    the chunk's transaction, and nobody else can see this database.

    Database: writes every third of the lease.
    """
    lost, end = threading.Event(), threading.Event()
    with connect() as connection:
        if isinstance(connection.engine.pool, StaticPool):
            end.set()

    def beat() -> None:
        while not end.wait(lease.seconds / 3):
            try:
                with connect() as connection:
                    lease.fence(connection)
            except LeaseLostError:
                lost.set()
                return
            except (DBAPIError, PoolTimeoutError):
                continue

    thread = threading.Thread(target=beat, name=f"sojourn heartbeat of {lease.name}", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        end.set()
        thread.join()


class _Watch:
    """What one watcher saw of a job that somebody else owns, by its own clock."""

    def __init__(self) -> None:
        self._seen: tuple[int, int] | None = None  # epoch and heartbeat, when they last moved
        self._since = 0.0

    def is_free(self, found: Job) -> bool:
        """Whether nobody owns the job, or nobody who lives."""
        if found.owner is None:
            return True
        sign = (found.epoch, found.heartbeat)
        if sign != self._seen:
            self._seen, self._since = sign, time.monotonic()
        return is_gone(owner_of(found.owner)) or time.monotonic() - self._since >= found.lease


def _claim(connect: Connect, found: Job, owner: Owner, lease: float) -> int | None:
    """The epoch that is this owner's now; None if somebody else was faster, or the owner lives after all."""
    c = job.c
    same = (c.id == found.id) & (c.epoch == found.epoch) & (c.heartbeat == found.heartbeat)
    epoch = found.epoch + 1
    values = {
        "epoch": epoch,
        "owner": owner.text,
        "heartbeat": _now(),
        "lease": lease,
        "status": RUNNING,
        "started": found.started or time.time(),
        "finished": None,
    }
    try:
        with connect() as connection:
            _refuse_without_transactions(connection)
            return epoch if connection.execute(update(job).where(same).values(values)).rowcount == 1 else None
    except OperationalError as error:
        if not _is_in_use(error):
            raise
        return None  # whoever holds the lock on the job's row (or on all of SQLite) lives


def _is_in_use(error: OperationalError) -> bool:
    """Whether somebody else holds the row and does not give it up in time, or has just changed it."""
    original: Any = error.orig
    codes = {getattr(original, "sqlstate", None), getattr(original, "pgcode", None), *original.args[:1]}
    return "is locked" in str(original) or not _IN_USE.isdisjoint(codes)


def _refuse_without_transactions(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # Its driver begins before a statement that may write, unless it is told to let each commit by itself.
        connection.execute(delete(job).where(false()))
        driver: Any = connection.connection.driver_connection
        autocommit = getattr(driver, "in_transaction", True) is False
    else:
        autocommit = commits_each_statement(connection)
    if autocommit:
        raise NoTransactionError(connection.dialect.name, _LINES)


def _now() -> int:
    return time.time_ns() // 1_000_000
