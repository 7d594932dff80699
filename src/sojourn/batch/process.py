"""A function over every row of a SELECT, each row's effect exactly once, wherever the process is killed.

The rows are cut into chunks by their keys (`keyset`). A chunk is read, given to the function, written and entered into
the ledger in one short transaction (`chunk`); what fails is tried again or narrowed down to its bad rows (`attempt`).
Who runs a job owns it (`lease`); who runs it again goes on where the ledger ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Any, Literal

from sqlalchemy import Select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.call import By
from sojourn.batch.chunk import Work
from sojourn.batch.crew import Crew, crew_of, on_workers
from sojourn.batch.desk import Desk
from sojourn.batch.heart import beating_in_loop
from sojourn.batch.lease import beating, take
from sojourn.batch.patience import Patience, Retry
from sojourn.batch.progress import Watcher, watcher_of
from sojourn.batch.report import BatchReport
from sojourn.batch.run import Run, Throttle
from sojourn.batch.sequence import in_sequence
from sojourn.batch.waiting import CURRENT, Blocking, InLoop
from sojourn.errors import BadArgumentError, LeaseLostError

_PATIENT = Retry()


def process(
    session_factory: Callable[[], Session],
    statement: Select[Any],
    function: Callable[[Any], Any],
    *,
    name: str | None = None,
    by: By = "row",
    chunk: int = 1000,
    workers: int | None = None,
    executor: Executor | Callable[[], Executor] | None = None,
    in_flight: int | None = None,
    models: Any = None,
    max_rejected: float | None = 100,
    max_crashes: int = 3,
    retry: Retry = _PATIENT,
    throttle: Throttle | None = None,
    progress: Watcher | Literal[False] | None = None,
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
        workers: so many processes call the function, and this one does the rest. Objects travel to them detached, with
            what the statement loads of them, and only their changes come back and are attached: with rows that others
            changed meanwhile the chunk is done again. Everything must be importable there.
        executor: instead of processes of our own an Executor of concurrent.futures, or a function that makes one and
            is called again when it breaks; of a Dask client `client.get_executor(pure=False)`.
        in_flight: how many chunks may be under way; default: twice as many as there are workers.
        models: mapped classes that a worker may build, where the registry of the statement's class has not all.
        max_rejected: how many rows may be rejected: a number, or below 1 a share of the rows done so far. More stop the
            job. None: any number. Each run counts its own.
        max_crashes: how often a row may end the worker process that has it alone before it is rejected.
        retry: what to do about deadlocks, lost connections and the like.
        throttle: at most so many rows a second; or a function that says before each chunk how many seconds to wait,
            and is asked again afterwards.
        progress: None: a line on standard error that says how far it is, or one every few seconds where that is no
            terminal; a function of a `Progress`, called after each chunk; False: nothing.
        lease: seconds without a sign of life after which another runner may take the job over.
        force: go on with a job although its statement or its mapping has changed.

    Returns a BatchReport, of all the job's runs together.

    Raises:
        UnsuitableStatementError: the rows cannot be read in chunks of their keys.
        JobChangedError: the ledger has another statement or mapping under this name.
        WorkersLostError: the executor broke, and is none that can be made anew.
        TooManyRejectedError: the job stops; what it has done stays done.
        BadArgumentError: a parameter has a value that means nothing.
        LeaseLostError: another runner has taken the job over.
        What the database raises when it does not recover.

    Database: always loads and writes, in transactions of its own.
    """
    title = name if name is not None else f"{function.__module__}.{function.__qualname__}"
    _check(chunk, by, max_rejected, throttle, lease)
    crew = crew_of(function, workers, executor, in_flight)
    if crew is None and CURRENT.get() is Blocking and iscoroutinefunction(function) and _loop_runs():
        raise BadArgumentError("The function is async and an event loop runs here: await sojourn.asyncio.process(...)")
    started = time.monotonic()
    with closing(CURRENT.get()()) as waiting:
        patience = Patience(retry, waiting)
        desk = Desk(session_factory, statement)
        job = patience(lambda: desk.open(title, force=force))
        owned = take(desk.connect, title, lease=lease, sleep=waiting.sleep)
        if owned is not None:
            work = Work(session_factory, desk.keyset, function, by, owned, patience)
            how = _How(chunk, max_rejected, throttle, watcher_of(progress), crew, models, max_crashes)
            _run(desk, work, how)
        return patience(lambda: desk.report(title, time.monotonic() - started, resumed=job.started is not None))


@dataclass(frozen=True, slots=True)
class _How:
    """What `process` was told of the way in which to run."""

    size: int
    max_rejected: float | None
    throttle: Throttle | None
    watcher: Watcher
    crew: Crew | None
    models: Any
    max_crashes: int


def _run(desk: Desk, work: Work, how: _How) -> None:
    """Run a job that is owned, and give it back, whatever happens."""
    beats = beating_in_loop if isinstance(work.patience.waiting, InLoop) else beating
    with beats(desk.connect, work.lease) as lost:
        status = ledger.FAILED
        try:
            job, chain = work.patience(lambda: desk.begin(work.lease))
            run = Run(desk, work, job, chain, how.max_rejected, how.throttle, how.watcher, lost.is_set)
            try:
                status = (
                    in_sequence(run, how.size)
                    if how.crew is None
                    else on_workers(run, how.crew, how.models, how.size, how.max_crashes)
                )
            finally:
                run.tell(finished=True)
        except LeaseLostError:
            raise  # it is another's
        except BaseException:
            # The error is what counts. Who cannot say that the job is free is taken over when its lease is over.
            with suppress(SQLAlchemyError, LeaseLostError):
                _give_back(desk, work, status)
            raise
    work.patience(lambda: _give_back(desk, work, status))


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _give_back(desk: Desk, work: Work, status: str) -> None:
    with desk.connect() as connection:
        work.lease.release(connection, status)


def _check(chunk: int, by: str, max_rejected: float | None, throttle: Throttle | None, lease: float) -> None:
    if chunk < 1:
        raise BadArgumentError(f"chunk={chunk}: a chunk has at least one row")
    if by not in ("row", "chunk"):
        raise BadArgumentError(f"by={by!r}: it is 'row' or 'chunk'")
    if max_rejected is not None and max_rejected < 0:
        raise BadArgumentError(f"max_rejected={max_rejected}: a number of rows, a share below 1, or None")
    if throttle is not None and not callable(throttle) and throttle <= 0:
        raise BadArgumentError(f"throttle={throttle}: rows a second, a function, or None")
    if lease <= 0:
        raise BadArgumentError(f"lease={lease}: it is a number of seconds")
