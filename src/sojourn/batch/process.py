"""A function over every row of a SELECT, each row's effect exactly once, wherever the process is killed.

The rows are cut into chunks by their keys (`keyset`). A chunk is read, given to the function, written and entered into
the ledger in one short transaction (`chunk`); what fails is tried again or narrowed down to its bad rows (`attempt`).
Who runs a job owns it (`lease`); who runs it again goes on where the ledger ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.attempt import Retry, attempt
from sojourn.batch.call import Blocking, By
from sojourn.batch.chunk import Part, Work
from sojourn.batch.desk import Desk
from sojourn.batch.lease import beating, take
from sojourn.batch.ranges import Chain
from sojourn.batch.report import BatchReport
from sojourn.errors import LeaseLostError, TooManyRejectedError

T = TypeVar("T")
_LOOK = 1.0  # seconds between two looks at what others want of the job
_PATIENT = Retry()


def process(
    session_factory: Callable[[], Session],
    statement: Select[tuple[T]],
    function: Callable[[T], Any] | Callable[[list[T]], Any],
    *,
    name: str | None = None,
    by: By = "row",
    chunk: int = 1000,
    max_rejected: float | None = 100,
    retry: Retry = _PATIENT,
    lease: float = 30.0,
    force: bool = False,
) -> BatchReport:
    """Call a function on every object that a SELECT gives, and write what it changed; every row exactly once.

    Parameters:
        session_factory: gives a new Session when called: a `sessionmaker`. Each chunk has a session of its own.
        statement: `select(Model)` with where(), order_by() and loader options: exactly one mapped class. Without an
            order the primary key is it. Rows that come in behind the last one there was at the beginning are not done.
        function: changes the object that it is given; with `by="chunk"` a list of them. It may be async. What it
            changes in its objects' session is committed with the chunk. It may be called again for the same row where
            a chunk is tried again, so effects outside of the database may happen twice.
        name: of the job, in the ledger. A name stands for one run over the rows: calling again goes on with what is
            left, and does nothing when nothing is. A nightly job has the date in its name. Default: the function's
            qualified name.
        chunk: how many rows to read, change and commit together.
        max_rejected: how many rows may be rejected: a number, or below 1 a share of the rows done so far. More stop the
            job. None: any number.
        retry: what to do about deadlocks, lost connections and the like.
        lease: seconds without a sign of life after which another runner may take the job over.
        force: go on with a job although its statement or its mapping has changed.

    Returns a BatchReport, of all the job's runs together.

    Raises:
        UnsuitableStatementError: the rows cannot be read in chunks of their keys.
        JobChangedError: the ledger has another statement or mapping under this name.
        TooManyRejectedError: the job stops; what it has done stays done.
        LeaseLostError: another runner has taken the job over.
        What the database raises when it does not recover.

    Database: always loads and writes, in transactions of its own.
    """
    started = time.monotonic()
    title = name if name is not None else f"{function.__module__}.{function.__qualname__}"
    desk = Desk(session_factory, statement)
    job = desk.open(title, force=force)
    owned = take(desk.connect, title, lease=lease)
    if owned is not None:
        work = Work(session_factory, desk.keyset, function, by, owned, Blocking())
        with beating(desk.connect, owned) as lost:
            status = _run(desk, work, retry, chunk, max_rejected, lost.is_set)
        with desk.connect() as connection:
            owned.release(connection, status)
    return desk.report(title, time.monotonic() - started, resumed=job.started is not None)


def _run(desk: Desk, work: Work, retry: Retry, size: int, max_rejected: float | None, lost: Callable[[], bool]) -> str:
    """Chunk after chunk, until nothing is left or somebody does not want it; gives the status that the job has then."""
    job, chain = desk.begin(work.lease)
    rows, rejected = job.rows, job.rejected
    waiting: list[Part] = []  # parts of a chunk with a bad row, the first one last
    looked = time.monotonic()
    while waiting or chain.gaps:
        if lost():
            raise LeaseLostError(job.name)
        if time.monotonic() - looked >= _LOOK:
            if desk.wanted(work) == ledger.CANCEL:
                return ledger.CANCELLED
            looked = time.monotonic()
        part = waiting.pop() if waiting else _next(chain, size)
        done = attempt(work, desk.connect, retry, chain, part)
        if isinstance(done, list):
            waiting.extend(reversed(done))
            continue
        chain, rows, rejected = done.chain, rows + done.rows + done.rejected, rejected + done.rejected
        _limit(desk, work, rows, rejected, max_rejected)
    return ledger.DONE


def _next(chain: Chain, size: int) -> Part:
    gap = chain.gaps[0]
    return Part(gap.after, gap.upto, size)


def _limit(desk: Desk, work: Work, rows: int, rejected: int, most: float | None) -> None:
    if most is None or rejected <= (most * rows if 0 < most < 1 else most):
        return
    with desk.connect() as connection:
        work.lease.release(connection, ledger.FAILED)
    raise TooManyRejectedError(work.lease.name, rejected, rows, most)
