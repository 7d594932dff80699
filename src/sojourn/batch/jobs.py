"""What `sojourn jobs` shows and does: the ledger as lines of text, and orders to whoever runs a job."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from sqlalchemy import Connection, create_engine

from sojourn.batch import ledger
from sojourn.batch.ledger import Job, Rejected
from sojourn.batch.owner import is_gone, owner_of
from sojourn.batch.ranges import Range
from sojourn.errors import UnknownJobError

_CSV = ("identity", "position", "error", "message", "crashes", "at", "retry", "traceback")
_DOING = {ledger.RUN: "", ledger.PAUSE: ", shall pause", ledger.CANCEL: ", shall be cancelled"}
_WIDEST = 60  # characters of a message in a table


@contextmanager
def ledger_at(url: str) -> Iterator[Connection]:
    """A connection to the database of this URL, in a transaction that is committed at the end.

    Raises SQLAlchemy's errors: ArgumentError for what is no URL, OperationalError where no database answers.
    """
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def all_jobs(connection: Connection) -> list[Job]:
    """The jobs of a database, none where no job has ever run. Database: always loads."""
    return ledger.jobs(connection) if ledger.has_tables(connection) else []


def one_job(connection: Connection, name: str) -> Job:
    """One job. Raises UnknownJobError, also where no job has ever run. Database: always loads."""
    if not ledger.has_tables(connection):
        raise UnknownJobError(name)
    return ledger.job_named(connection, name)


def order(connection: Connection, name: str, wanted: str) -> str:
    """Tell whoever runs a job to pause, to go on or to cancel, and say what will happen. A job that is done stays so.

    Raises UnknownJobError. Database: always writes, unless the job is done.
    """
    found = one_job(connection, name)
    if found.status == ledger.DONE:
        return f"{name} is done."
    ledger.set_wanted(connection, name, wanted)
    if not _is_run(found):
        return {
            ledger.RUN: f"{name} goes on as soon as it is started again: nobody runs it now.",
            ledger.PAUSE: f"{name} will wait when it is started again: nobody runs it now.",
            ledger.CANCEL: f"{name} is cancelled: nobody runs it now.",
        }[wanted]
    return {
        ledger.RUN: f"{name} goes on.",
        ledger.PAUSE: f"{name} pauses after the chunk under way.",
        ledger.CANCEL: f"{name} ends after the chunk under way. What is done stays done.",
    }[wanted]


def retry(connection: Connection, name: str) -> str:
    """Have the rejected rows of a job tried again, and say how many.

    Raises UnknownJobError. Database: always writes.
    """
    marked = ledger.mark_for_retry(connection, one_job(connection, name).id)
    if marked == 0:
        return f"{name} has no rejected rows."
    return f"{marked} rejected row{'s' if marked != 1 else ''} of {name} will be tried again when it is started again."


def rejected_rows(connection: Connection, name: str) -> list[Rejected]:
    """The rejected rows of a job. Raises UnknownJobError. Database: always loads."""
    return ledger.rejected_of(connection, one_job(connection, name).id)


def ranges(connection: Connection, found: Job) -> list[Range]:
    """The completed ranges of a job. Database: always loads."""
    return ledger.ranges_of(connection, found.id)


def jobs_table(jobs: Sequence[Job], now: float) -> list[str]:
    """The jobs as lines of text, one a job, and what this machine knows of their owners. `now`: seconds since 1970.

    Database: none.
    """
    if not jobs:
        return ["No job has run on this database."]
    rows = [
        (job.name, _status(job, now), _progress(job), str(job.rejected), _moment(job.started), _moment(job.finished))
        for job in jobs
    ]
    return _table(("NAME", "STATUS", "ROWS", "REJECTED", "STARTED", "FINISHED"), rows)


def job_lines(job: Job, done: Sequence[Range], now: float) -> list[str]:
    """Everything about one job as lines of text, as in `jobs_table`. Database: none."""
    rate = f", {job.rows / job.seconds:,.0f} a second" if job.rows and job.seconds else ""
    facts = {
        "name": job.name,
        "status": _status(job, now),
        "rows": f"{_progress(job)}{rate}",
        "rejected": str(job.rejected),
        "owner": f"{owner_of(job.owner)}, run {job.epoch}" if job.owner else "nobody",
        "sign of life": f"{_ago(now - job.heartbeat / 1000)} ago" if job.heartbeat else "none yet",
        "lease": f"{job.lease:g} s",
        "started": _moment(job.started),
        "finished": _moment(job.finished),
        "done": "; ".join(f"{one.after or 'beginning'} to {one.upto}" for one in done) or "nothing",
        "up to": job.upper or "not known yet",
        "statement": " ".join(job.statement.split()),
    }
    width = max(map(len, facts))
    return [f"{name:<{width}}  {fact}" for name, fact in facts.items()]


def rejected_table(rejected: Sequence[Rejected]) -> list[str]:
    """Rejected rows as lines of text, one a row."""
    if not rejected:
        return ["No row was rejected."]
    rows = [
        (
            one.identity,
            one.error,
            _short(one.message),
            str(one.crashes or ""),
            _moment(one.at),
            "yes" if one.retry else "",
        )
        for one in rejected
    ]
    return _table(("IDENTITY", "ERROR", "MESSAGE", "CRASHES", "AT", "RETRY"), rows)


def write_csv(rejected: Sequence[Rejected], file: TextIO) -> None:
    """Rejected rows as CSV with a header. A text that a spreadsheet would take for a formula gets an apostrophe."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    for one in rejected:
        texts = (one.identity, one.position, one.error, one.message)
        rest = (one.crashes, _moment(one.at), "yes" if one.retry else "no", _harmless(one.traceback))
        writer.writerow([*map(_harmless, texts), *rest])


def _is_run(job: Job) -> bool:
    return job.owner is not None and not is_gone(owner_of(job.owner))


def _status(job: Job, now: float) -> str:
    if job.status in (ledger.DONE, ledger.FAILED, ledger.CANCELLED):
        return job.status
    if job.owner is None:
        return "cancelled" if job.wanted == ledger.CANCEL else f"nobody runs it{_DOING[job.wanted]}"
    if is_gone(owner_of(job.owner)):
        return "killed" + _DOING[job.wanted]
    silent = now - job.heartbeat / 1000
    if silent > job.lease:
        return f"no sign of life for {_ago(silent)}{_DOING[job.wanted]}"
    return job.status if job.status == ledger.PAUSED and job.wanted == ledger.PAUSE else job.status + _DOING[job.wanted]


def _progress(job: Job) -> str:
    if not job.total:
        return f"{job.rows:,}"
    return f"{job.rows:,} of {job.total:,} ({job.rows / job.total:.0%})"


def _moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _ago(seconds: float) -> str:
    """`14 s`, `3 min`, `5 h`: a clock of another machine may be ahead, which is no time at all."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def _harmless(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
