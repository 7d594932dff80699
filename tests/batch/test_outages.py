"""Outages: what the database broke off is done again, and of a COMMIT without an answer the ledger knows whether it was
done."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, object_session

from sojourn.batch import ledger
from sojourn.batch.patience import Retry
from sojourn.batch.process import process
from sojourn.errors import BadArgumentError
from tests.batch.running import bump, counts, rejected, run
from tests.databases import Database
from tests.models import jobs
from tests.models.jobs import Task

QUICK = Retry(tries=4, first=0.0)
KILL = {"postgresql": "SELECT pg_terminate_backend(:id)", "mariadb": "KILL :id"}
OWN = {"postgresql": "SELECT pg_backend_pid()", "mariadb": "SELECT CONNECTION_ID()"}


def cut_off(database: Database, session: Session) -> None:
    """End a session's connection from outside."""
    id_ = session.scalar(text(OWN[database.name]))
    with database.engine.begin() as connection:
        connection.execute(text(KILL[database.name]), {"id": id_})


def of(task: Task) -> Session:
    session = object_session(task)
    assert session is not None
    return session


def test_a_chunk_whose_connection_was_lost_is_done_again(tasks: Database) -> None:
    if tasks.name == "sqlite":
        pytest.skip("no connection to lose")
    lost: list[int] = []

    def lose(task: Task) -> None:
        bump(task)
        if task.id == 10 and not lost:
            lost.append(task.id)
            cut_off(tasks, of(task))

    assert run(tasks, lose, retry=QUICK).rejected == 0
    assert (counts(tasks), lost) == ([1] * 25, [10])


def test_an_outage_that_lasts_is_raised_as_itself_and_rejects_no_row(tasks: Database) -> None:
    if tasks.name == "sqlite":
        pytest.skip("no connection to lose")
    lost: list[int] = []

    def lose(task: Task) -> None:
        bump(task)
        if task.id == 10:
            lost.append(task.id)
            cut_off(tasks, of(task))

    with pytest.raises(DBAPIError):
        run(tasks, lose, retry=QUICK)
    assert (len(lost), rejected(tasks)) == (4, {})
    assert run(tasks, bump).resumed
    assert counts(tasks) == [1] * 25


def test_a_deadlock_is_no_rows_fault(tasks: Database) -> None:
    if tasks.name == "sqlite":
        pytest.skip("one writer at a time")
    met = threading.Barrier(2, timeout=20)
    other_error: list[BaseException] = []
    once: list[threading.Thread] = []

    def the_other() -> None:
        with tasks.session() as session:
            session.execute(text("UPDATE job_task SET label = 'other' WHERE id = 25"))
            met.wait()
            try:
                session.execute(text("UPDATE job_task SET label = 'other' WHERE id = 1"))
                session.commit()
            except OperationalError as error:
                other_error.append(error)

    def meet(task: Task) -> None:
        bump(task)
        if task.id == 1 and not once:
            once.append(threading.Thread(target=the_other))
            once[0].start()
            met.wait()
            of(task).execute(text("UPDATE job_task SET label = 'mine' WHERE id = 25"))

    run(tasks, meet, retry=QUICK)
    once[0].join()
    assert (counts(tasks), rejected(tasks)) == ([1] * 25, {})


def test_a_database_that_is_locked_is_waited_for(sqlite: Database) -> None:
    sqlite.create(jobs.Base.metadata, ledger.metadata)
    with sqlite.session() as session:
        jobs.fill(session, 25)
        session.commit()

    @event.listens_for(sqlite.engine, "connect")
    def impatient(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout = 0")

    sqlite.engine.dispose()
    sleeps: list[float] = []
    holder = sqlite.engine.connect()

    class Sleepy(Retry):
        def pause(self, tried: int) -> float:
            sleeps.append(tried)
            if len(sleeps) == 2:
                holder.rollback()
            return 0.0

    def hold(task: Task) -> None:
        bump(task)

    def lock(progress: Any) -> None:
        if progress.rows == 14:
            holder.execute(text("UPDATE job_task SET label = label WHERE id = 1"))

    run(sqlite, hold, retry=Sleepy(), progress=lock)
    holder.close()
    assert (counts(sqlite), sleeps) == ([1] * 25, [1, 2])


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_without_an_answer_is_settled_by_the_ledger(tasks: Database, committed: bool) -> None:
    lost: list[int] = []

    def factory() -> Session:
        session = tasks.session()
        commit = session.commit

        def without_answer() -> None:
            if not session.identity_map or lost:
                return commit()
            lost.append(1)
            (commit if committed else session.rollback)()
            raise OperationalError("COMMIT", None, Exception("gone"), connection_invalidated=True)

        session.commit = without_answer  # type: ignore[method-assign]  # the network, as it were
        return session

    calls = []

    def count(task: Task) -> None:
        calls.append(task.id)
        bump(task)

    report = process(factory, select(Task), count, name="job", chunk=7, progress=False, retry=QUICK)
    assert (report.rows, counts(tasks), lost) == (25, [1] * 25, [1])
    assert len(calls) == (25 if committed else 32)


def test_the_pauses_grow_up_to_the_longest() -> None:
    retry = Retry(tries=9, first=1.0, longest=10.0)
    for tried, most in ((1, 1.0), (2, 2.0), (4, 8.0), (5, 10.0), (5000, 10.0)):
        assert most / 2 <= retry.pause(tried) <= most
    with pytest.raises(BadArgumentError, match="tries"):
        Retry(tries=0)
