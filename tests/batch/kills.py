"""Jobs whose processes are killed at random instants, run again until they are done: `python -m tests.batch.kills`.

Each run has a fresh database with tasks. A program runs `process` on them (`--program`), in itself or on two workers;
after a random time a SIGKILL hits the program, one of its workers, or both, and the program is started again, until
the job is done. Then each task must have been counted up exactly once and have exactly one effect, the bad ones must
be in the ledger and nothing else, and the ledger must say so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.orm import Session, selectinload, sessionmaker

from sojourn.batch import ledger
from sojourn.batch.process import process
from tests.batch.functions import BAD, leave_a_trace
from tests.databases import server_engine, sqlite_database
from tests.models.jobs import Base, Effect, Task, fill

ROWS = 120
MANY = 200  # starts of a program: whoever needs more does not get on


def slow(task: Task) -> None:
    """The work on one task: a trace, a little time, and an error for the bad ones."""
    time.sleep(0.002)
    leave_a_trace(task)
    if task.id in BAD:
        raise ValueError(f"not {task.id}")


def program(url: str, workers: int) -> None:
    """Run the job until it is done or somebody kills it."""
    engine = create_engine(url)
    statement = select(Task).options(selectinload(Task.effects)).order_by(Task.number.desc())
    process(
        sessionmaker(engine),
        statement,
        slow,
        name="killed",
        chunk=10,
        workers=workers or None,
        lease=2.0,
        progress=False,
    )


def one_run(engine: Engine, seed: int, *, workers: int) -> int:
    """One job, killed until it is done; gives the number of kills. Raises AssertionError for whatever is wrong."""
    dice = random.Random(seed)
    Base.metadata.drop_all(engine)
    ledger.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session, ROWS)
        session.commit()
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.batch.kills", "--program", url, "--workers", str(workers)]
    kills = 0
    for _ in range(MANY):
        started = subprocess.Popen(command, start_new_session=True)
        patience = dice.uniform(0.3, 2.0 + 2.0 * bool(workers)) if kills < 8 else 120.0
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(patience)
        if started.poll() is None:
            kills += _kill(started.pid, dice)
            started.wait(120)  # a worker's end is survived; its parent's is there at once
        if started.returncode == 0:
            break
    else:
        raise AssertionError(f"seed {seed}: not done after {MANY} starts")
    _check(engine, seed)
    return kills


def _kill(parent: int, dice: random.Random) -> int:
    """Kill the program, a worker of it, or both."""
    children = [*_children(parent)]
    victims = (
        [parent] if not children else dice.choice([[parent], [dice.choice(children)], [dice.choice(children), parent]])
    )
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    return 1


def _children(parent: int) -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"spawn_main" in (status.parent / "cmdline").read_bytes():
                yield int(status.parent.name)


def _check(engine: Engine, seed: int) -> None:
    with Session(engine) as session:
        counts = {row[0]: row[1] for row in session.execute(select(Task.id, Task.count))}
        per_task = select(Effect.task_id, func.count()).group_by(Effect.task_id)
        effects = {row[0]: row[1] for row in session.execute(per_task)}
    expected = {id_: 0 if id_ in BAD else 1 for id_ in range(1, ROWS + 1)}
    assert counts == expected, f"seed {seed}: counts {counts}"
    assert effects == {id_: 1 for id_, count in expected.items() if count}, f"seed {seed}: effects {effects}"
    with engine.connect() as connection:
        job = ledger.job_named(connection, "killed")
        entries = ledger.rejected_of(connection, job.id)
        (done,) = ledger.ranges_of(connection, job.id)
    assert sorted(one.identity for one in entries) == sorted(f"[{id_}]" for id_ in BAD), f"seed {seed}: {entries}"
    assert (job.status, job.owner, job.rows, job.rejected) == ("done", None, ROWS, len(BAD)), f"seed {seed}: {job}"
    assert (done.after, done.upto, done.rows) == (None, job.upper, ROWS), f"seed {seed}: {done}"


def main() -> None:
    """The harness, or (with --program) what it kills."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--program", metavar="URL")
    options = parser.parse_args()
    if options.program:
        program(options.program, options.workers)
        return
    kills = 0
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        sqlite = stack.enter_context(sqlite_database(Path(directory)))
        engines = [sqlite.engine, stack.enter_context(server_engine("postgresql"))]
        for run in range(options.runs):
            engine, workers = engines[run % 2], 2 * (run // 2 % 2)
            found = one_run(engine, options.seed + run, workers=workers)
            kills += found
            print(f"run {run + 1}: {engine.dialect.name}, {workers} workers, {found} kills: exactly once", flush=True)
    print(f"{options.runs} runs, {kills} kills: every effect exactly once, rejects exact, ledger consistent")


if __name__ == "__main__":
    main()
