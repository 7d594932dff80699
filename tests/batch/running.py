"""What the tests of jobs ask of a database afterwards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from sojourn.batch import ledger
from sojourn.batch.process import process
from sojourn.batch.report import BatchReport
from tests.databases import Database
from tests.models.jobs import Task


def run(database: Database, function: Any, statement: Any = None, **options: Any) -> BatchReport:
    """`process` on all tasks, seven at a time, in silence."""
    given: dict[str, Any] = {"name": "job", "chunk": 7, "progress": False} | options
    return process(database.sessionmaker, select(Task) if statement is None else statement, function, **given)


def bump(task: Task) -> None:
    """Count up."""
    task.count += 1


def counts(database: Database) -> list[int]:
    """The counts of all tasks, by their id."""
    with database.session() as session:
        return list(session.scalars(select(Task.count).order_by(Task.id)))


def rejected(database: Database, name: str = "job") -> dict[str, str]:
    """What each rejected row was rejected for: its identity and the message."""
    with database.engine.connect() as connection:
        job = ledger.job_named(connection, name)
        entries = ledger.rejected_of(connection, job.id)
        assert job.rejected == len(entries)
        return {one.identity: f"{one.error}: {one.message}" for one in entries}


def job_of(database: Database, name: str = "job") -> ledger.Job:
    with database.engine.connect() as connection:
        return ledger.job_named(connection, name)
