"""`process` on workers: what it does in one process, wherever the function is called, and whoever dies on the way."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import selectinload

from sojourn.batch import ledger
from sojourn.batch.progress import Progress
from sojourn.errors import BadArgumentError, WorkersLostError
from tests.batch import functions
from tests.batch.functions import BAD, KILLERS
from tests.batch.running import counts, job_of, rejected, run
from tests.databases import Database
from tests.models.jobs import Effect, Task

GOOD = [0 if n in BAD else 1 for n in range(1, 26)]


class LastFirst(Executor):
    """Calls what was submitted last first, when nobody can wait any longer."""

    def __init__(self) -> None:
        self.most = 0
        self._waiting: list[tuple[Future[Any], Any]] = []
        self._timer: threading.Timer | None = None

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: function(*args, **kwargs)))
        self.most = max(self.most, len(self._waiting))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(0.05, self._finish)
        self._timer.start()
        return future

    def _finish(self) -> None:
        while self._waiting:
            future, call = self._waiting.pop()
            future.set_result(call())


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def test_every_row_is_done_once_by_processes_of_our_own(tasks: Database) -> None:
    report = run(tasks, functions.leave_a_trace, select(Task).options(selectinload(Task.effects)), workers=2, chunk=3)
    assert (report.rows, report.rejected, report.status) == (25, 0, "done")
    assert counts(tasks) == [1] * 25
    with tasks.session() as session:
        assert session.scalars(select(Effect.task_id).order_by(Effect.task_id)).all() == list(range(1, 26))


@pytest.mark.parametrize(
    ("function", "options"),
    [(functions.bump, {}), (functions.bump_later, {}), (functions.bump_all, {"by": "chunk"})],
    ids=["row", "async", "chunk"],
)
def test_any_executor_does(tasks: Database, threads: Executor, function: Any, options: dict[str, Any]) -> None:
    assert run(tasks, function, executor=threads, **options).rows == 25
    assert counts(tasks) == [1] * 25


def test_chunks_may_come_back_in_any_order_and_never_more_than_the_window(tasks: Database) -> None:
    executor = LastFirst()
    seen: list[Progress] = []
    with_order = select(Task).order_by(Task.number.desc())
    run(tasks, functions.bump, with_order, executor=executor, in_flight=3, chunk=4, progress=seen.append)
    assert executor.most == 3
    assert counts(tasks) == [1] * 25
    assert [one.rows for one in seen][-1] == 25
    with tasks.engine.connect() as connection:
        (only,) = ledger.ranges_of(connection, job_of(tasks).id)
    assert only.rows == 25


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (functions.refuse_some, {}, "ValueError: not"),
        (functions.refuse_some_of_all, {"by": "chunk"}, "ValueError: not"),
        (functions.break_the_rule, {}, "IntegrityError"),
    ],
    ids=["row", "chunk", "database"],
)
def test_bad_rows_are_found_wherever_they_fail(
    tasks: Database, threads: Executor, function: Any, options: dict[str, Any], message: str
) -> None:
    if tasks.name == "mariadb" and function is functions.break_the_rule:
        message = "OperationalError"
    report = run(tasks, function, executor=threads, **options)
    assert (report.rows, report.rejected) == (25, 4)
    found = rejected(tasks)
    assert set(found) == {f"[{n}]" for n in BAD}
    assert all(message in text for text in found.values())
    assert counts(tasks) == GOOD


def test_what_the_statement_did_not_load_is_named(tasks: Database, threads: Executor) -> None:
    run(tasks, functions.read_what_is_not_loaded, select(Task).where(Task.id == 1), executor=threads)
    assert "selectinload(Task.effects)" in rejected(tasks)["[1]"]


def test_what_others_wrote_meanwhile_is_kept_and_the_chunk_done_again(tasks: Database) -> None:
    met: list[int] = []

    class Meddler(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(function, *args, **kwargs)
            if len(args) > 1:
                met.append(1)
                if len(met) == 1:
                    with tasks.engine.begin() as connection:
                        connection.execute(update(Task).where(Task.id == 2).values(count=40))
                        connection.execute(update(Task).where(Task.id == 3).values(label="theirs"))
            return future

    with Meddler(1) as executor:
        run(tasks, functions.bump, executor=executor, in_flight=1)
    assert counts(tasks) == [1, 41, *[1] * 23]
    assert len(met) == 5
    with tasks.session() as session:
        assert session.get_one(Task, 3).label == "theirs"


def test_rows_that_others_deleted_meanwhile_are_left_out(tasks: Database) -> None:
    met: list[int] = []

    class Meddler(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if len(args) > 1 and not met:
                met.append(1)
                with tasks.session() as session:
                    session.delete(session.get_one(Task, 2))
                    session.commit()
            return super().submit(function, *args, **kwargs)

    with Meddler(1) as executor:
        assert run(tasks, functions.bump, executor=executor, in_flight=1).rejected == 0
    assert counts(tasks) == [1] * 24


def test_a_row_that_kills_its_worker_is_found_and_rejected(tasks: Database) -> None:
    report = run(tasks, functions.kill_the_worker, workers=2, chunk=9, max_crashes=2)
    assert (report.rows, report.rejected, report.status) == (25, 2, "done")
    found = rejected(tasks)
    assert set(found) == {f"[{n}]" for n in KILLERS}
    assert all("ended 2 times" in text for text in found.values())
    assert counts(tasks) == [0 if n in KILLERS else 1 for n in range(1, 26)]


def test_an_executor_that_cannot_be_made_anew_stops_the_job_when_it_breaks(sqlite: Database) -> None:
    from tests.models import jobs

    sqlite.create(jobs.Base.metadata)
    with sqlite.session() as session:
        jobs.fill(session, 25)
        session.commit()
    with ProcessPoolExecutor(1, get_context("spawn")) as executor, pytest.raises(WorkersLostError):
        run(sqlite, functions.kill_the_worker, executor=executor)
    assert job_of(sqlite).owner is None
    assert run(sqlite, functions.bump, workers=1).status == "done"
    assert counts(sqlite) == [1] * 25


def test_rejected_rows_are_tried_again_by_the_workers(tasks: Database, threads: Executor) -> None:
    run(tasks, functions.refuse_some, executor=threads)
    with tasks.engine.begin() as connection:
        ledger.mark_for_retry(connection, job_of(tasks).id)
    assert run(tasks, functions.bump, executor=threads).rejected == 0
    assert counts(tasks) == [1] * 25


def test_a_function_that_no_other_process_can_import_is_refused(sqlite: Database) -> None:
    with pytest.raises(BadArgumentError, match="at the top of a module"):
        run(sqlite, lambda task: None, workers=1)
    assert not sqlite_has_ledger(sqlite)


def sqlite_has_ledger(database: Database) -> bool:
    with database.engine.connect() as connection:
        return ledger.has_tables(connection)


@pytest.mark.parametrize("options", [{"workers": 0}, {"in_flight": 0}])
def test_no_workers_at_all_are_refused(sqlite: Database, options: dict[str, Any]) -> None:
    with pytest.raises(BadArgumentError, match=next(iter(options))):
        run(sqlite, functions.bump, **options)
