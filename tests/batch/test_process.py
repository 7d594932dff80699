"""`process` in one process: every row once, whatever the order, the chunks, the function and its edits are."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import defer, joinedload, object_session, selectinload

from sojourn.batch import ledger
from sojourn.batch.progress import Progress
from sojourn.errors import BadArgumentError, JobChangedError
from tests.batch.running import bump, counts, job_of, run
from tests.databases import Database
from tests.models.jobs import Effect, Task


@pytest.mark.parametrize("chunk", [1, 7, 25, 1000])
def test_every_row_is_done_once_and_a_done_job_does_nothing(tasks: Database, chunk: int) -> None:
    report = run(tasks, bump, chunk=chunk)
    assert (report.rows, report.rejected, report.total, report.status, report.resumed) == (25, 0, 25, "done", False)
    assert counts(tasks) == [1] * 25
    again = run(tasks, bump, chunk=chunk)
    assert (again.rows, again.status, again.resumed) == (25, "done", True)
    assert counts(tasks) == [1] * 25


@pytest.mark.parametrize(
    "order",
    [[], [Task.id.desc()], [Task.number], [Task.number.desc().nulls_last()], [Task.number, Task.label.desc()]],
    ids=["key", "descending", "nulls", "nulls last", "composite"],
)
def test_rows_are_done_in_the_order_of_the_statement(database: Database, tasks: Database, order: list[Any]) -> None:
    if database.name == "mariadb" and "NULLS" in str(order[:1] and order[0]):
        order = [Task.number.is_(None), Task.number.desc()]
    seen: list[int] = []
    run(tasks, lambda task: seen.append(task.id), select(Task).order_by(*order))
    with tasks.session() as session:
        last = Task.id.desc() if order and "DESC" in str(order[-1]) else Task.id
        assert seen == list(session.scalars(select(Task.id).order_by(*order, last)))


def test_rows_that_the_function_moves_out_of_the_where_are_not_skipped(tasks: Database) -> None:
    def take(task: Task) -> None:
        task.number = 99

    run(tasks, take, select(Task).where(Task.number < 50))
    with tasks.session() as session:
        assert session.scalars(select(Task.id).where(Task.number == 99).order_by(Task.id)).all() == [
            n for n in range(1, 26) if n % 5
        ]


def test_rows_that_the_function_moves_ahead_in_the_order_skip_none(tasks: Database) -> None:
    def ahead(task: Task) -> None:
        bump(task)
        task.number = (task.number or 0) + 3

    run(tasks, ahead, select(Task).where(Task.number.is_not(None)).order_by(Task.number), chunk=3)
    assert [n for n, count in enumerate(counts(tasks), 1) if count] == [n for n in range(1, 26) if n % 5]


def test_a_row_that_others_move_while_a_chunk_waits_for_it_has_no_rows_skipped(tasks: Database) -> None:
    if tasks.name == "sqlite":
        pytest.skip("nobody waits for a row")
    statement = select(Task).where(Task.number.is_not(None)).order_by(Task.number)
    with tasks.session() as session:
        last_of_first_chunk = session.scalars(statement.order_by(Task.id).offset(6).limit(1)).one()
        last_of_first_chunk.number = 10  # the greatest there is
        session.flush()
        runner = threading.Thread(target=lambda: run(tasks, bump, statement))
        runner.start()
        time.sleep(1.0)  # until it waits for the row; too early tests less, and fails nothing
        session.commit()
        runner.join()
    assert [n for n, count in enumerate(counts(tasks), 1) if count] == [n for n in range(1, 26) if n % 5]


def test_a_chunk_at_once(tasks: Database) -> None:
    sizes = []

    def all_at_once(found: list[Task]) -> None:
        sizes.append(len(found))
        for one in found:
            bump(one)

    run(tasks, all_at_once, by="chunk")
    assert (sizes, counts(tasks)) == ([7, 7, 7, 4], [1] * 25)


def test_an_async_function_is_awaited(tasks: Database) -> None:
    loops = set()

    async def later(task: Task) -> None:
        await asyncio.sleep(0)
        loops.add(id(asyncio.get_running_loop()))
        bump(task)

    run(tasks, later)
    assert (counts(tasks), len(loops)) == ([1] * 25, 1)


@pytest.mark.parametrize("load", [selectinload, joinedload])
def test_the_options_of_the_statement_are_honoured(tasks: Database, load: Any) -> None:
    with tasks.session() as session:
        session.add_all([Effect(task_id=id_) for id_ in (1, 1, 2, 9, 9, 9)])
        session.commit()
    seen = {}

    def look(task: Task) -> None:
        assert inspect(task).unloaded == {"label"}
        seen[task.id] = len(task.effects)
        bump(task)

    run(tasks, look, select(Task).options(load(Task.effects), defer(Task.label)), chunk=2)
    assert len(seen) == 25
    assert {id_: n for id_, n in seen.items() if n} == {1: 2, 2: 1, 9: 3}
    assert counts(tasks) == [1] * 25


def test_what_the_function_adds_moves_and_deletes_is_written(tasks: Database) -> None:
    def change(task: Task) -> None:
        session = object_session(task)
        assert session is not None
        if task.id % 2:
            task.effects.append(Effect())
        elif task.id % 4 == 0:
            session.delete(task)
        else:
            bump(task)

    run(tasks, change)
    with tasks.session() as session:
        assert session.scalars(select(Task.id).order_by(Task.id)).all() == [n for n in range(1, 26) if n % 4]
        assert session.scalars(select(Effect.task_id).order_by(Effect.task_id)).all() == list(range(1, 26, 2))


def test_a_join_that_brings_an_object_several_times_does_it_once(tasks: Database) -> None:
    with tasks.session() as session:
        session.add_all([Effect(task_id=id_) for id_ in (1, 1, 1, 2, 9, 9, 9, 9, 25)])
        session.commit()
    report = run(tasks, bump, select(Task).join(Task.effects), chunk=2)
    assert [id_ for id_, count in enumerate(counts(tasks), 1) if count] == [1, 2, 9, 25]
    assert set(counts(tasks)) == {0, 1}
    assert (report.rows, report.total) == (4, 4)


def test_no_rows_are_a_job_that_is_done(tasks: Database) -> None:
    report = run(tasks, bump, select(Task).where(Task.id > 100))
    assert (report.rows, report.total, report.status) == (0, 0, "done")


def test_rows_that_come_in_behind_the_last_one_are_not_done(tasks: Database) -> None:
    def add(task: Task) -> None:
        session = object_session(task)
        assert session is not None
        session.add(Task(id=task.id + 1000, label="new", count=0))

    assert run(tasks, add).rows == 25


def test_the_ledger_has_one_range_at_the_end_and_few_statements_in_each_chunk(
    tasks: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.batch.run._LOOK", 1e9)  # however slow this machine is
    with tasks.statements() as few:
        run(tasks, bump, chunk=25, name="one chunk", lease=1000)
    with tasks.statements() as many:
        run(tasks, bump, chunk=5, name="five chunks", lease=1000)
    # SELECT, UPDATE, the range, the fence; on SQLite the fence first, too.
    assert len(many) - len(few) == 4 * (5 if tasks.name == "sqlite" else 4), str(many)
    with tasks.engine.connect() as connection:
        (only,) = ledger.ranges_of(connection, job_of(tasks, "five chunks").id)
        assert (only.after, only.rows) == (None, 25)


def test_a_function_that_changes_nothing_writes_nothing_but_the_ledger(tasks: Database) -> None:
    with tasks.statements() as log:
        run(tasks, lambda _: None)
    assert not [one for one in log.updates if "job_task" in one.sql]


def test_a_changed_statement_is_refused_unless_forced(tasks: Database) -> None:
    run(tasks, bump)
    with pytest.raises(JobChangedError, match="force=True"):
        run(tasks, bump, select(Task).where(Task.id < 5))
    assert run(tasks, bump, select(Task).where(Task.id < 5), force=True).status == "done"
    assert counts(tasks) == [1] * 25


def test_a_job_is_named_after_its_function(tasks: Database) -> None:
    assert run(tasks, bump, name=None).name == "tests.batch.running.bump"


def test_an_error_of_the_program_gives_the_job_back_and_it_goes_on(tasks: Database) -> None:
    def stop(task: Task) -> None:
        if task.id == 17:
            raise KeyboardInterrupt
        bump(task)

    with pytest.raises(KeyboardInterrupt):
        run(tasks, stop)
    job = job_of(tasks)
    assert (job.status, job.owner, job.rows) == ("failed", None, 14)
    assert run(tasks, bump).resumed
    assert counts(tasks) == [1] * 25


@pytest.mark.parametrize(
    "options",
    [{"chunk": 0}, {"by": "rows"}, {"max_rejected": -1}, {"throttle": 0}, {"lease": 0}],
    ids=lambda options: next(iter(options)),
)
def test_a_parameter_that_means_nothing_is_refused(sqlite: Database, options: dict[str, Any]) -> None:
    with pytest.raises(BadArgumentError, match=next(iter(options))):
        run(sqlite, bump, **options)


def test_progress_is_told_after_each_chunk_and_at_the_end(tasks: Database) -> None:
    seen: list[Progress] = []
    run(tasks, bump, progress=seen.append)
    assert [one.rows for one in seen] == [7, 14, 21, 25, 25]
    assert [one.finished for one in seen] == [False] * 4 + [True]
    assert {one.total for one in seen} == {25}


@pytest.mark.parametrize(("wanted", "status"), [(ledger.CANCEL, "cancelled"), (ledger.PAUSE, "done")])
def test_others_cancel_and_pause_a_job_that_runs(
    tasks: Database, wanted: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sojourn.batch.run._LOOK", 0.0)
    paused = []

    def tell(progress: Progress) -> None:
        if progress.rows == 14:
            with tasks.engine.begin() as connection:
                ledger.set_wanted(connection, "job", wanted)

    def resume(_: float) -> None:
        paused.append(job_of(tasks).status)
        with tasks.engine.begin() as connection:
            ledger.set_wanted(connection, "job", ledger.RUN)

    monkeypatch.setattr("sojourn.batch.waiting.Blocking.sleep", lambda _, seconds: resume(seconds))
    report = run(tasks, bump, progress=tell)
    assert (report.status, report.rows) == (status, 14 if wanted == ledger.CANCEL else 25)
    assert paused == ([] if wanted == ledger.CANCEL else ["paused"])
    assert sum(counts(tasks)) == report.rows


def test_the_throttle_is_asked_before_each_chunk(tasks: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("sojourn.batch.waiting.Blocking.sleep", lambda _, seconds: slept.append(seconds))
    answers = iter([0.0, 0.5, 0.25, 0.0, 0.0, 0.0])
    run(tasks, bump, throttle=lambda: next(answers))
    assert slept == [0.5, 0.25]
    assert next(answers, None) is None
