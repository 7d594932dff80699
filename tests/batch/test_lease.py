"""One owner at a time: real processes wait, take over from the dead, and a zombie cannot write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, StaticPool, create_engine, select, text, update

from sojourn.batch import ledger
from sojourn.batch.lease import Lease, beating, take
from sojourn.batch.tables import job
from sojourn.errors import LeaseLostError, NoTransactionError, UnknownJobError
from tests.batch import runner
from tests.databases import Database

ROOT = Path(__file__).parent.parent.parent
LONG = 3600.0  # nobody waits for the end of such a lease


class StillTakenError(Exception):
    """A watcher looked often enough."""


def no_longer(looks: int = 0, *, really: bool = False) -> Callable[[float], None]:
    """A sleep for watchers that gives up after so many looks, and sleeps only if it really shall."""
    left = [looks]

    def sleep(seconds: float) -> None:
        if left[0] == 0:
            raise StillTakenError
        left[0] -= 1
        if really:
            time.sleep(seconds)

    return sleep


@pytest.fixture
def books(database: Database) -> Database:
    """A database with a ledger and the job `nightly`, which nobody owns."""
    database.create(ledger.metadata, runner.metadata)
    ledger.open_job(database.engine.begin, "nightly", fingerprint="f", statement="SELECT 1")
    return database


class Runner:
    """A runner in a process of its own."""

    def __init__(self, books: Database, lease: float) -> None:
        url = books.engine.url.render_as_string(hide_password=False)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.batch.runner", url, "nightly", str(lease)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def do(self, order: str) -> str:
        self.tell(order)
        return self.heard()


@contextmanager
def running(books: Database, lease: float) -> Iterator[Runner]:
    found = Runner(books, lease)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()


def effects(books: Database) -> list[int | None]:
    with books.engine.connect() as connection:
        return list(connection.scalars(select(runner.effect.c.epoch).order_by(runner.effect.c.id)))


def the_job(books: Database) -> ledger.Job:
    with books.engine.connect() as connection:
        return ledger.job_named(connection, "nightly")


def taken(books: Database, lease: float = LONG, **options: Any) -> Lease:
    found = take(books.engine.begin, "nightly", lease=lease, **options)
    assert found is not None
    return found


def test_a_second_runner_waits_until_the_first_gives_the_job_back(books: Database) -> None:
    with running(books, LONG) as first:
        assert first.heard() == "took epoch 1"
        with running(books, LONG) as second:
            assert [second.heard() for _ in range(2)] == ["waits for epoch 1"] * 2
            assert first.do("chunk") == "done"
            assert second.heard() == "waits for epoch 1"
            with books.engine.begin() as connection:
                c = job.c
                connection.execute(update(job).where(c.name == "nightly").values(owner=None, epoch=c.epoch + 1))
            while (heard := second.heard()).startswith("waits"):
                pass
            assert heard == "took epoch 3"
            assert first.do("chunk") == "lost"
            assert second.do("chunk") == "done"
    assert effects(books) == [1, 3]
    assert the_job(books).rows == 2


@pytest.mark.parametrize("order", ["chunk", "hold"])
def test_a_runner_that_was_killed_is_followed_at_once_and_what_it_did_not_commit_is_gone(
    books: Database, order: str
) -> None:
    with running(books, LONG) as first:
        assert first.heard() == "took epoch 1"
        assert first.do("chunk") == "done"
        assert first.do(order) == ("done" if order == "chunk" else "holds")
        first.process.send_signal(signal.SIGKILL)  # and nobody asks for its exit code: it stays as a defunct entry
        os.waitid(os.P_PID, first.process.pid, os.WEXITED | os.WNOWAIT)
        # The server needs a moment to see that the connection of a transaction is closed, and no lease.
        second = taken(books, sleep=no_longer() if order == "chunk" else time.sleep)
        assert second.epoch == 2
    assert effects(books) == ([1, 1] if order == "chunk" else [1])


def test_a_runner_that_stopped_is_followed_after_its_lease_and_cannot_write_when_it_wakes(books: Database) -> None:
    with running(books, 3.0) as first:
        assert first.heard() == "took epoch 1"
        assert first.do("chunk") == "done"
        with pytest.raises(StillTakenError):  # its heartbeat goes on between chunks: 8 looks are 4 seconds
            taken(books, sleep=no_longer(8, really=True))
        first.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, first.process.pid, os.WSTOPPED | os.WNOWAIT)
        began = time.monotonic()
        second = taken(books)
        assert time.monotonic() - began >= 3.0
        assert second.epoch == 2
        first.tell("chunk")
        first.process.send_signal(signal.SIGCONT)
        assert first.heard() == "lost"
    with books.engine.begin() as connection:
        second.fence(connection, rows=5)
    assert effects(books) == [1]
    assert the_job(books).rows == 6


def test_of_many_that_want_to_take_over_one_does(books: Database) -> None:
    found: list[Any] = []
    barrier = threading.Barrier(4)

    def run() -> None:
        barrier.wait()
        try:
            found.append(taken(books, sleep=no_longer(1)))
        except StillTakenError:
            found.append(None)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.epoch for one in found if one is not None] == [1]
    assert len(found) == 4


def test_a_take_over_that_somebody_locks_out_is_tried_again(books: Database) -> None:
    engine = create_engine(books.engine.url, connect_args={"timeout": 0.01} if books.name == "sqlite" else {})
    at_first = {"postgresql": "SET lock_timeout = '10ms'", "mariadb": "SET innodb_lock_wait_timeout = 1"}

    @contextmanager
    def connect() -> Iterator[Connection]:
        with engine.begin() as connection:
            if books.name in at_first:
                connection.execute(text(at_first[books.name]))
            yield connection

    looks = 0

    def sleep(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            holder.commit()

    with books.engine.connect() as holder:
        holder.execute(update(job).where(job.c.name == "nightly").values(owner=None))
        found = take(connect, "nightly", lease=LONG, sleep=sleep)
    assert looks >= 3
    assert found is not None
    assert found.epoch == 1
    engine.dispose()


def test_the_fence_counts_and_shows_life(books: Database) -> None:
    mine = taken(books)
    before = the_job(books)
    with books.engine.begin() as connection:
        mine.fence(connection, rows=3, rejected=1, seconds=0.5)
        mine.fence(connection, rows=2)
        mine.note(connection, ledger.PAUSED)
    now = the_job(books)
    assert (now.rows, now.rejected, now.seconds, now.status) == (5, 1, 0.5, "paused")
    assert (before.rows, before.status, now.epoch) == (0, "running", 1)
    assert now.heartbeat >= before.heartbeat > 1e12
    assert before.started is not None


def test_a_job_given_back_is_free_and_a_done_or_cancelled_one_is_not_taken(books: Database) -> None:
    with books.engine.begin() as connection:
        taken(books).release(connection, ledger.FAILED)
    failed = the_job(books)
    assert (failed.owner, failed.status, failed.finished is not None) == (None, "failed", True)
    with books.engine.begin() as connection:
        ledger.set_wanted(connection, "nightly", ledger.CANCEL)
    assert take(books.engine.begin, "nightly", lease=LONG) is None
    with books.engine.begin() as connection:
        ledger.set_wanted(connection, "nightly", ledger.RUN)
    second = taken(books, sleep=no_longer())
    again = the_job(books)
    assert (second.epoch, again.status, again.finished, again.started) == (2, "running", None, failed.started)
    with books.engine.begin() as connection:
        second.release(connection, ledger.DONE)
    assert take(books.engine.begin, "nightly", lease=LONG) is None
    with pytest.raises(UnknownJobError):
        take(books.engine.begin, "daily", lease=LONG)


def test_whoever_lost_the_job_neither_writes_nor_gives_it_back(books: Database) -> None:
    first = taken(books)
    with books.engine.begin() as connection:
        connection.execute(update(job).values(epoch=2))
    acts: list[Callable[[Connection], None]] = [
        lambda connection: first.fence(connection, rows=1),
        lambda connection: first.release(connection, ledger.DONE),
        lambda connection: first.note(connection, ledger.PAUSED),
    ]
    for act in acts:
        with pytest.raises(LeaseLostError, match="taken over") as caught, books.engine.begin() as connection:
            act(connection)
        assert caught.value.job == "nightly"
    now = the_job(books)
    assert (now.rows, now.status, now.owner is not None) == (0, "running", True)


def test_the_heartbeat_goes_on_and_says_when_the_job_is_lost(books: Database) -> None:
    mine = taken(books, 0.06)
    before = the_job(books).heartbeat
    with beating(books.engine.begin, mine) as lost:
        while the_job(books).heartbeat == before:
            time.sleep(0.01)
        assert not lost.is_set()
        with books.engine.begin() as connection:
            connection.execute(update(job).values(epoch=2))
        assert lost.wait(30)


def test_a_beat_that_finds_the_database_locked_is_made_up_for(sqlite: Database) -> None:
    sqlite.create(ledger.metadata)
    ledger.open_job(sqlite.engine.begin, "nightly", fingerprint="f", statement="")
    mine = taken(sqlite, 0.03)
    engine = create_engine(sqlite.engine.url, connect_args={"timeout": 0.001})
    tries: list[str] = []

    @contextmanager
    def connect() -> Iterator[Connection]:
        tries.append("begun")
        with engine.begin() as connection:
            yield connection
        tries.append("committed")

    before = the_job(sqlite).heartbeat
    with sqlite.engine.begin() as connection:
        connection.execute(update(job).values(lease=1.0))  # holds the write lock
        with beating(connect, mine) as lost:
            del tries[:]
            while tries.count("begun") < 3:
                time.sleep(0.01)
            assert "committed" not in tries
            connection.commit()
            while the_job(sqlite).heartbeat == before:
                time.sleep(0.01)
            assert not lost.is_set()
    engine.dispose()


def test_a_database_in_memory_has_no_beats_that_would_commit_its_chunk() -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    ledger.create_tables(engine.begin)
    ledger.open_job(engine.begin, "nightly", fingerprint="f", statement="")
    mine = take(engine.begin, "nightly", lease=0.001)
    assert mine is not None
    threads = threading.active_count()
    with beating(engine.begin, mine) as lost:
        assert threading.active_count() == threads
        assert not lost.is_set()
    engine.dispose()


def test_a_connection_without_transactions_is_refused(books: Database) -> None:
    if books.name == "sqlite":
        engine = create_engine(books.engine.url, connect_args={"isolation_level": None})
    else:
        engine = create_engine(books.engine.url, isolation_level="AUTOCOMMIT")
    with pytest.raises(NoTransactionError, match="AUTOCOMMIT"):
        take(engine.begin, "nightly", lease=LONG)
    assert the_job(books).epoch == 0
    engine.dispose()


def test_a_heartbeat_that_moves_is_life_and_one_that_does_not_is_followed_after_the_lease(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.create(ledger.metadata)
    ledger.open_job(sqlite.engine.begin, "nightly", fingerprint="f", statement="")
    taken(sqlite, 30.0)
    now = [100.0]
    monkeypatch.setattr("sojourn.batch.lease.time.monotonic", lambda: now[0])
    heartbeats = iter([*range(1, 6), *[6] * 100])

    def sleep(seconds: float) -> None:
        assert 0 < seconds <= 0.5
        now[0] += 29.0
        with sqlite.engine.begin() as connection:
            connection.execute(update(job).values(heartbeat=next(heartbeats)))

    assert taken(sqlite, sleep=sleep).epoch == 2
    assert now[0] == 100.0 + 29 * 8  # five signs of life and the last one, two looks that saw no other
