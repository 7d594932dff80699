"""One history: fill the rows, let the processes loose on them, and check what they were told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy.orm import Session

from tests.histories.checker import check
from tests.histories.models import Base, fill
from tests.histories.writer import Job, Setting, records_in, rows_of, work

WRITERS = 3


@dataclass
class History:
    """What came of it."""

    setting: Setting
    counts: Counter[str]
    complaints: list[str] = field(default_factory=list)
    seconds: float = 0


def settings(directory: Path, servers: dict[str, str]) -> list[Setting]:
    """Every database and isolation level, SQLite with each journal and way to begin; `servers` by their name."""
    found = [
        Setting("SQLite, WAL, BEGIN", f"sqlite:///{directory / 'wal.sqlite'}", begin=True, journal="WAL"),
        Setting("SQLite, WAL, legacy mode", f"sqlite:///{directory / 'legacy.sqlite'}", journal="WAL"),
        Setting("SQLite, rollback journal, BEGIN", f"sqlite:///{directory / 'j.sqlite'}", begin=True, journal="DELETE"),
        Setting("SQLite, rollback journal, legacy mode", f"sqlite:///{directory / 'jl.sqlite'}", journal="DELETE"),
    ]
    levels = {
        "postgresql": ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"],
        "mariadb": ["READ COMMITTED", "REPEATABLE READ"],
    }
    for name, url in servers.items():
        shown = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}[name]
        found += [Setting(f"{shown}, {level.lower()}", url, isolation=level) for level in levels[name]]
    return found


@contextmanager
def processes() -> Iterator[Executor]:
    """Processes for the writers, to be used for many histories."""
    with ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn")) as pool:
        yield pool


def history(pool: Executor, setting: Setting, attaches: int, directory: Path, *, broken: bool = False) -> History:
    """Let the writers make so many attaches together, on new rows, and check them."""
    engine = setting.engine()
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session)
        session.commit()
    start = rows_of(engine)
    began = time.monotonic()
    share = -(-attaches // WRITERS)
    jobs = [Job(setting, writer, share, directory / f"writer{writer}.log", broken) for writer in range(WRITERS)]
    counts: Counter[str] = Counter()
    for one in pool.map(work, jobs):
        counts += one
    seconds = time.monotonic() - began
    records = [record for job in jobs for record in records_in(job.log)]
    complaints = check(start, records, rows_of(engine))
    Base.metadata.drop_all(engine)
    engine.dispose()
    return History(setting, counts, complaints, seconds)
