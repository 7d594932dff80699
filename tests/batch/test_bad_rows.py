"""Bad rows: found wherever they fail, rejected with their error in the transaction of the good ones, tried again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import object_session

from sojourn.batch import ledger
from sojourn.batch.process import process
from sojourn.errors import TooManyRejectedError
from tests.batch.running import bump, counts, job_of, rejected, run
from tests.databases import Database
from tests.models.jobs import Effect, Task

BAD = (3, 8, 9, 25)


def good_ones(bad: tuple[int, ...] = BAD) -> list[int]:
    """The counts of all tasks when all but the bad ones were counted up."""
    return [0 if n in bad else 1 for n in range(1, 26)]


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_rows_on_which_the_function_raises_are_rejected_with_its_error(tasks: Database, chunk: int) -> None:
    def refuse(task: Task) -> None:
        bump(task)
        if task.id in BAD:
            raise ValueError(f"not {task.id}")

    report = run(tasks, refuse, chunk=chunk)
    assert (report.rows, report.rejected, report.status) == (25, 4, "done")
    assert rejected(tasks) == {f"[{n}]": f"ValueError: not {n}" for n in BAD}
    assert counts(tasks) == good_ones()


def test_an_entry_has_the_traceback_to_the_line(tasks: Database) -> None:
    def refuse(task: Task) -> None:
        raise RuntimeError("this line")

    run(tasks, refuse, select(Task).where(Task.id == 1))
    with tasks.engine.connect() as connection:
        (entry,) = ledger.rejected_of(connection, job_of(tasks).id)
    assert 'raise RuntimeError("this line")' in entry.traceback
    assert (entry.identity, entry.position, entry.crashes, entry.retry) == ("[1]", "[1]", 0, False)


def test_whose_error_it_is_is_found_when_the_function_takes_them_all(tasks: Database) -> None:
    calls = []

    def refuse(found: list[Task]) -> None:
        calls.append(len(found))
        for one in found:
            bump(one)
            if one.id in BAD:
                raise ValueError("one of these")

    run(tasks, refuse, by="chunk", chunk=25)
    assert rejected(tasks) == {f"[{n}]": "ValueError: one of these" for n in BAD}
    assert counts(tasks) == good_ones()
    assert len(calls) <= 1 + 2 * len(BAD) * 5  # 2·k·log2(n)


@pytest.mark.parametrize("autoflush", [False, True])
def test_rows_that_the_database_refuses_are_rejected_whoever_is_called_when_it_says_so(
    tasks: Database, autoflush: bool
) -> None:
    def break_rule(task: Task) -> None:
        task.count = 100 if task.id in BAD else task.count + 1
        session = object_session(task)
        assert session is not None
        if autoflush:
            session.scalar(select(Task.id).limit(1))  # writes what the calls before this one changed

    run(tasks, break_rule)
    assert set(rejected(tasks)) == {f"[{n}]" for n in BAD}
    assert all("count_is_small" in message for message in rejected(tasks).values())
    assert counts(tasks) == good_ones()


def test_a_rule_that_is_checked_at_commit_rejects_its_row(tasks: Database) -> None:
    if tasks.name != "postgresql":
        pytest.skip("only PostgreSQL checks foreign keys as late as this")
    with tasks.engine.begin() as connection:
        name = connection.scalar(
            text("SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = 'job_effect'::regclass")
        )
        connection.execute(text(f"ALTER TABLE job_effect ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED"))

    def point(task: Task) -> None:
        session = object_session(task)
        assert session is not None
        session.add(Effect(task_id=999 if task.id in BAD else task.id))
        bump(task)

    run(tasks, point)
    assert set(rejected(tasks)) == {f"[{n}]" for n in BAD}
    assert all("job_effect" in message for message in rejected(tasks).values())
    assert counts(tasks) == good_ones()


def test_a_row_that_a_trigger_refuses_is_rejected(tasks: Database) -> None:
    refuse = {
        "sqlite": [
            "CREATE TRIGGER refuse BEFORE UPDATE ON job_task WHEN NEW.id = 8 BEGIN SELECT RAISE(ABORT, 'no'); END"
        ],
        "postgresql": [
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no'; END $$",
            "CREATE TRIGGER refuse BEFORE UPDATE ON job_task FOR EACH ROW WHEN (NEW.id = 8) EXECUTE FUNCTION refuse()",
        ],
        "mariadb": [
            "CREATE TRIGGER refuse BEFORE UPDATE ON job_task FOR EACH ROW "
            "IF NEW.id = 8 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"
        ],
    }
    with tasks.engine.begin() as connection:
        for statement in refuse[tasks.name]:
            connection.exec_driver_sql(statement)
    run(tasks, bump)
    assert list(rejected(tasks)) == ["[8]"]
    assert counts(tasks) == good_ones((8,))


def test_a_row_that_cannot_be_read_is_rejected(tasks: Database) -> None:
    def unreadable(task: Task, _context: Any) -> None:
        if task.id in BAD:
            raise ValueError("this is no task")

    event.listen(Task, "load", unreadable)
    try:
        run(tasks, bump)
    finally:
        event.remove(Task, "load", unreadable)
    assert rejected(tasks) == {f"[{n}]": "ValueError: this is no task" for n in BAD}
    assert counts(tasks) == good_ones()


def test_an_error_that_is_no_rows_stops_the_job(tasks: Database) -> None:
    class BrokenError(Exception):
        pass

    class Factory:
        calls = 0

        def __call__(self) -> Any:
            self.calls += 1
            if self.calls > 12:
                raise BrokenError
            return tasks.session()

    with pytest.raises(BrokenError):
        process(Factory(), select(Task), bump, name="job", chunk=1, progress=False, lease=1000)
    assert rejected(tasks) == {}


@pytest.mark.parametrize(("most", "chunk", "rows"), [(3, 5, 25), (0, 5, 5), (0.25, 5, 10), (0.1, 10, 10)])
def test_more_rejected_rows_than_allowed_stop_the_job(tasks: Database, most: float, chunk: int, rows: int) -> None:
    def refuse(task: Task) -> None:
        bump(task)
        if task.id in BAD:
            raise ValueError

    with pytest.raises(TooManyRejectedError) as caught:
        run(tasks, refuse, max_rejected=most, chunk=chunk)
    job = job_of(tasks)
    assert (caught.value.limit, caught.value.rows, job.rows, job.status) == (most, rows, rows, "failed")
    assert run(tasks, bump, chunk=chunk).status == "done"  # it goes on behind them
    assert counts(tasks) == good_ones(tuple(n for n in BAD if n <= rows))


def test_rejected_rows_are_tried_again_when_they_are_marked(tasks: Database) -> None:
    def refuse(task: Task) -> None:
        bump(task)
        if task.id in BAD:
            raise ValueError("the first time")

    def refuse_less(task: Task) -> None:
        bump(task)
        if task.id == 8:
            raise ValueError("the second time")
        if task.id == 9:
            task.count = 100

    run(tasks, refuse)
    assert run(tasks, bump).rejected == 4  # nobody has asked for it
    with tasks.engine.begin() as connection:
        assert ledger.mark_for_retry(connection, job_of(tasks).id) == 4
        connection.execute(text("DELETE FROM job_task WHERE id = 25"))
    report = run(tasks, refuse_less)
    assert (report.rows, report.rejected, report.status) == (25, 2, "done")
    found = rejected(tasks)
    assert list(found) == ["[8]", "[9]"]
    assert found["[8]"] == "ValueError: the second time"
    assert "count_is_small" in found["[9]"]
    assert counts(tasks) == good_ones((8, 9))[:24]
    assert run(tasks, bump).rejected == 2
