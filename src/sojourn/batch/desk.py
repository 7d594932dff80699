"""A job's papers: what it is to do, whether that is still what the ledger says, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.chunk import Work
from sojourn.batch.keyset import Keyset, keyset_of
from sojourn.batch.lease import Lease
from sojourn.batch.ranges import Chain
from sojourn.batch.report import BatchReport
from sojourn.errors import JobChangedError

_LOOK_AGAIN = 0.5  # seconds between two looks at a job that is paused


class Desk:
    """The ledger, where the rows of one statement are."""

    def __init__(self, factory: Callable[[], Session], statement: Select[Any]) -> None:
        self._factory = factory
        self._statement = statement

    @cached_property
    def keyset(self) -> Keyset:
        with self._session() as session:
            bind = session.get_bind(clause=self._statement, **_mapper(self._statement))
            return keyset_of(self._statement, bind.dialect)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection in a transaction of its own, committed at the end: to the database of the statement's class."""
        with self._session() as session:
            yield session.connection(bind_arguments={"mapper": self.keyset.mapper})
            session.commit()

    def open(self, name: str, *, force: bool) -> ledger.Job:
        """The job of this name, new or begun. Raises JobChangedError, unless it is forced."""
        ledger.create_tables(self.connect)
        keyset = self.keyset
        job = ledger.open_job(self.connect, name, fingerprint=keyset.fingerprint, statement=keyset.sql)
        if job.fingerprint != keyset.fingerprint and not force:
            raise JobChangedError(name, job.statement, keyset.sql)
        return job

    def begin(self, lease: Lease) -> tuple[ledger.Job, Chain]:
        """Where the job stands; at its very beginning the upper bound of its rows is frozen."""
        with self.connect() as connection:
            lease.fence(connection)
            job = ledger.job_named(connection, lease.name)
            if job.upper is None:
                last = connection.execute(self.keyset.last()).first()
                upper = None if last is None else self.keyset.position(last)
                total = 0 if upper is None else connection.scalar(self.keyset.count(upto=upper))
                ledger.set_upper(connection, job.id, upper, total)
                job = replace(job, upper=upper, total=total)
            return job, Chain.of(ledger.ranges_of(connection, job.id), job.upper)

    def wanted(self, work: Work) -> str:
        """What others want of the job; comes back only when that is not to pause."""

        def look() -> str:
            with self.connect() as connection:
                job = ledger.job_named(connection, work.lease.name)
                status = ledger.PAUSED if job.wanted == ledger.PAUSE else ledger.RUNNING
                if job.status != status:
                    work.lease.note(connection, status)
                return job.wanted

        while (wanted := work.patience(look)) == ledger.PAUSE:
            work.patience.waiting.sleep(_LOOK_AGAIN)
        return wanted

    def report(self, name: str, seconds: float, *, resumed: bool) -> BatchReport:
        """What the ledger says of the job."""
        with self.connect() as connection:
            job = ledger.job_named(connection, name)
        return BatchReport(job.name, job.status, job.rows, job.rejected, job.total, seconds, resumed)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        session = self._factory()
        try:
            yield session
        finally:
            session.close()


def _mapper(statement: Any) -> dict[str, Any]:
    described = getattr(statement, "column_descriptions", None)
    return {"mapper": described[0]["entity"]} if described and described[0].get("entity") else {}
