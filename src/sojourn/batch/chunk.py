"""One chunk in this process: a short transaction that reads, calls, writes, and enters it all into the ledger.

The entry commits with the data, so a chunk is there with its entry or not at all, wherever the process is killed. What
the function could not do is entered, too: the chunk is done again without the bad ones, and their entries commit with
the good ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.call import By, Fault, Waiting, call
from sojourn.batch.keyset import Keyset
from sojourn.batch.lease import Lease
from sojourn.batch.ranges import Chain, Position
from sojourn.batch.write import write
from sojourn.collector import collector_paused
from sojourn.session.outage import is_outage


@dataclass(frozen=True, eq=False)
class Work:
    """What every chunk of a job needs."""

    factory: Callable[[], Session]
    keyset: Keyset
    function: Callable[[Any], Any]
    by: By
    lease: Lease
    waiting: Waiting

    @contextmanager
    def transaction(self) -> Iterator[tuple[Session, Connection]]:
        """A session of the user's with the connection of the data; it is closed at the end, and rolled back."""
        session = self.factory()
        try:
            session.expire_on_commit = False  # it is closed anyway
            yield session, session.connection(bind_arguments={"mapper": self.keyset.mapper})
        finally:
            session.close()


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
    with work.transaction() as (session, connection), collector_paused():
        early = connection.dialect.name == "sqlite"  # its one lock is taken before anything is read
        if early:
            work.lease.fence(connection)
        rows = read(work, session, connection, part)
        # A row that a join brought several times counted for the LIMIT: too few rows do not say that there are no more.
        end = part.upto if part.limit is None or not rows else work.keyset.position(rows[-1])
        good, rejects = _sorted_out(work.keyset, rows, known)
        faults = call(work.function, [row[0] for row in good], work.by, work.waiting, is_outage)
        if faults:
            bad = [reject(work.keyset, good[one.index], one) for one in faults]
            raise FaultyRows({one.position: one for one in bad})
        write(session)
        done = enter(work, connection, chain, Part(part.after, end), len(good), rejects)
        committing(done)
        session.commit()
    return done


def read(work: Work, session: Session, connection: Connection, part: Part) -> Sequence[Any]:
    """The rows of a part: each object, and its keys. They are locked where the database locks rows."""
    statement = work.keyset.read(after=part.after, upto=part.upto, limit=part.limit)
    if connection.dialect.name != "sqlite":
        statement = statement.with_for_update(of=[*work.keyset.mapper.tables], key_share=True)
    return session.execute(statement).unique().all()


def enter(
    work: Work, connection: Connection, chain: Chain, part: Part, rows: int, rejects: Sequence[ledger.Rejected]
) -> Done:
    """Enter a part into the ledger: its range, its counts and what was rejected. Database: writes."""
    token = str(uuid4())
    now = chain.cut(part.after, part.upto).completed(part.after, part.upto, rows + len(rejects))
    ledger.add_rejected(connection, work.lease.job_id, rejects)
    ledger.write_ranges(connection, work.lease.job_id, chain.done, now.done, token)
    work.lease.fence(connection, rows=rows + len(rejects), rejected=len(rejects))
    return Done(part, now, rows, len(rejects), token)


def reject(keyset: Keyset, row: Sequence[Any], fault: Fault, *, crashes: int = 0) -> ledger.Rejected:
    """The entry for a bad row. Pure."""
    return ledger.Rejected(
        identity=keyset.identity(row[0]),
        position=keyset.position(row),
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
    places = [keyset.position(row) for row in rows]
    good = [row for row, place in zip(rows, places, strict=True) if place not in known]
    return good, [known[place] for place in places if place in known]
