"""One chunk in this process: a short transaction that reads, calls, writes, and enters it all into the ledger.

The entry commits with the data, so a chunk is there with its entry or not at all, wherever the process is killed. What
the function could not do is entered, too: the chunk is done again without the bad ones, and their entries commit with
the good ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Select
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.call import By, Fault, call
from sojourn.batch.keyset import Keyset
from sojourn.batch.lease import Lease
from sojourn.batch.patience import Patience
from sojourn.batch.ranges import Chain, Position
from sojourn.batch.write import write
from sojourn.collector import collector_paused


@dataclass(frozen=True, eq=False)
class Work:
    """What every chunk of a job needs."""

    factory: Callable[[], Session]
    keyset: Keyset
    function: Callable[[Any], Any]
    by: By
    lease: Lease
    patience: Patience

    @contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[tuple[Session, Connection]]:
        """A session of the user's, with the connection of the data. What it did not commit is rolled back at the end.

        SQLite has one lock for all writers. It is taken before anything is read: who wants it later, when another one
        has written, is told that the database is locked however long he waits.
        """
        session = self.factory()
        try:
            session.expire_on_commit = False  # it is closed anyway
            connection = session.connection(bind_arguments={"mapper": self.keyset.mapper})
            if writes and connection.dialect.name == "sqlite":
                self.lease.fence(connection)
            yield session, connection
        finally:
            session.close()

    def call(self, session: Session, objs: Sequence[Any]) -> list[Fault]:
        """Call the function. An error of the database may be that of a row that was flushed before: it is raised."""

        def may_be_anothers(error: Exception) -> bool:
            return isinstance(error, DBAPIError | PendingRollbackError) or not session.is_active

        return call(self.function, objs, self.by, self.patience.waiting, may_be_anothers)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are done together: those behind `after`, up to `upto`; the first `limit` of them if that is given."""

    after: Position | None
    upto: Position
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A part that is done: where it ended, and how many rows it had; the chain has it as done."""

    part: Part
    chain: Chain
    rows: int
    rejected: int
    token: str


class FaultyRows(Exception):  # noqa: N818 - it tells what was found; nothing went wrong here
    """The function raised on some rows; nothing was written. `faults` are by their positions."""

    def __init__(self, faults: Mapping[Position, ledger.Rejected]) -> None:
        self.faults = faults
        super().__init__(len(faults))


def do(
    work: Work,
    chain: Chain,
    part: Part,
    known: Mapping[Position, ledger.Rejected],
    committing: Callable[[Done], None],
) -> Done:
    """Do a part, but for the rows that are known to be bad: those are entered as rejected.

    Parameters:
        chain: of the job, before this part; an open link of it begins at `part.after`.
        known: what rows are rejected for, by their positions.
        committing: told what will be done, right before the COMMIT whose answer may never come.

    Raises FaultyRows, LeaseLostError, or what the database and a function with `by="chunk"` raise; then nothing is
    written. Database: always loads and writes, in a transaction of its own.
    """
    began = time.monotonic()
    with collector_paused(), work.transaction() as (session, connection):
        part = bounded(work, connection, part)
        rows = session.execute(locking(work, work.keyset.read(after=part.after, upto=part.upto, limit=part.limit)))
        found = rows.unique().all()
        # A row that a join brought several times counted for the LIMIT: too few rows do not say that there are no more.
        end = part.upto if part.limit is None or not found else work.keyset.position(found[-1])
        good, rejects = _sorted_out(work.keyset, found, known)
        faults = work.call(session, [row[0] for row in good])
        if faults:
            bad = [reject(work.keyset, work.keyset.position(good[one.index]), one) for one in faults]
            raise FaultyRows({one.position: one for one in bad})
        write(session)
        done = enter(work, connection, chain, Part(part.after, end), len(good), rejects, time.monotonic() - began)
        committing(done)
        session.commit()
    return done


def give_up(work: Work, chain: Chain, part: Part, entry: ledger.Rejected, committing: Callable[[Done], None]) -> Done:
    """Enter the one row of a part as rejected, without a look at it. Database: writes, in its own transaction."""
    with work.transaction() as (session, connection):
        done = enter(work, connection, chain, part, 0, [entry])
        committing(done)
        session.commit()
    return done


def places(work: Work, part: Part) -> list[Position]:
    """The positions of a part's rows. Rows of which no object can be made are among them. Database: loads."""
    with work.transaction(writes=False) as (_, connection):
        statement = work.keyset.places(after=part.after, upto=part.upto, limit=part.limit)
        return list(dict.fromkeys(map(work.keyset.position, connection.execute(statement))))


def bounded(work: Work, connection: Connection, part: Part) -> Part:
    """The same part with its end instead of a limit, where the last row that comes may not be the end.

    PostgreSQL waits for a row that another one is changing and then gives the new one, in the old one's place. If that
    changed the order, the row's position says nothing of the rows around it: so the end is read without locks, before.
    The primary key needs no such care, it does not change.
    """
    if part.limit is None or connection.dialect.name != "postgresql" or work.keyset.is_primary_key:
        return part
    statement = work.keyset.places(after=part.after, upto=part.upto).offset(part.limit - 1).limit(1)
    last = connection.execute(statement).first()
    return Part(part.after, part.upto if last is None else work.keyset.position(last))


def locking(work: Work, statement: Select[Any]) -> Select[Any]:
    """The same SELECT, that locks the rows of its class where the database locks rows. Pure."""
    if work.keyset.dialect.name == "sqlite":
        return statement
    return statement.with_for_update(of=[*work.keyset.mapper.tables], key_share=True)


def enter(
    work: Work,
    connection: Connection,
    chain: Chain,
    part: Part,
    rows: int,
    rejects: Sequence[ledger.Rejected],
    seconds: float = 0.0,
) -> Done:
    """Enter a part into the ledger: its range, its counts and what was rejected. Database: writes."""
    token = str(uuid4())
    counted = rows + len(rejects)
    now = chain.cut(part.after, part.upto).completed(part.after, part.upto, counted)
    ledger.add_rejected(connection, work.lease.job_id, rejects)
    ledger.write_ranges(connection, work.lease.job_id, chain.done, now.done, token)
    work.lease.fence(connection, rows=counted, rejected=len(rejects), seconds=seconds)
    return Done(part, now, rows, len(rejects), token)


def reject(keyset: Keyset, position: Position, fault: Fault, *, crashes: int = 0) -> ledger.Rejected:
    """The entry for a bad row. Pure."""
    return ledger.Rejected(
        identity=keyset.identity(position),
        position=position,
        error=fault.error,
        message=fault.message,
        traceback=fault.traceback,
        crashes=crashes,
    )


def _sorted_out(
    keyset: Keyset, rows: Sequence[Any], known: Mapping[Position, ledger.Rejected]
) -> tuple[Sequence[Any], list[ledger.Rejected]]:
    if not known:
        return rows, []
    found = [keyset.position(row) for row in rows]
    good = [row for row, place in zip(rows, found, strict=True) if place not in known]
    return good, [known[place] for place in found if place in known]
