"""The heartbeat as a task of the event loop, where there are no connections for a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sojourn.batch.lease import Lease
from sojourn.batch.ledger import Connect
from sojourn.errors import LeaseLostError
from sojourn.sqlalchemy_internals import await_only, greenlet_spawn


@contextmanager
def beating_in_loop(connect: Connect, lease: Lease) -> Iterator[threading.Event]:
    """What `sojourn.batch.lease.beating` does, while the loop runs. Database: writes every third of the lease."""
    lost = threading.Event()

    def beat() -> None:
        with connect() as connection:
            lease.fence(connection)

    async def live() -> None:
        while True:
            await asyncio.sleep(lease.seconds / 3)
            try:
                await greenlet_spawn(beat)
            except LeaseLostError:
                lost.set()
                return
            except (DBAPIError, PoolTimeoutError):
                continue

    async def end() -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    task = asyncio.get_running_loop().create_task(live())
    try:
        yield lost
    finally:
        await_only(end())
