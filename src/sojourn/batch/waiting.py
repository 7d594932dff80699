"""How one waits: in a thread, or as part of an event loop. The same code does both.

`sojourn.asyncio` runs that code in a greenlet of the loop's thread, where a session of asyncio's drivers waits without
blocking; `CURRENT` tells it to wait in the same way for everything else, too.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Awaitable, Collection
from contextvars import ContextVar
from typing import Any, Protocol

from sojourn.sqlalchemy_internals import await_only


class Waiting(Protocol):
    """How one waits here."""

    def sleep(self, seconds: float) -> None: ...

    def result(self, awaitable: Awaitable[Any]) -> Any: ...

    def first_of(self, futures: Collection[concurrent.futures.Future[Any]], seconds: float | None) -> None:
        """Wait until one of them is done, or so long."""

    def close(self) -> None: ...


class Blocking:
    """Waiting in a thread without an event loop; what is async runs in one that is made for it and kept."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def result(self, awaitable: Awaitable[Any]) -> Any:
        async def run() -> Any:
            return await awaitable

        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(run())

    def first_of(self, futures: Collection[concurrent.futures.Future[Any]], seconds: float | None) -> None:
        concurrent.futures.wait(futures, seconds, concurrent.futures.FIRST_COMPLETED)

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()


class InLoop:
    """Waiting in a greenlet that an event loop runs."""

    def sleep(self, seconds: float) -> None:
        await_only(asyncio.sleep(seconds))

    def result(self, awaitable: Awaitable[Any]) -> Any:
        return await_only(awaitable)

    def first_of(self, futures: Collection[concurrent.futures.Future[Any]], seconds: float | None) -> None:
        # A wrapped future that is dropped would cancel what it wraps; a shielding event does not.
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        for future in futures:
            future.add_done_callback(lambda _: loop.call_soon_threadsafe(done.set))

        async def first() -> None:
            try:
                await asyncio.wait_for(done.wait(), seconds)
            except TimeoutError:
                return

        await_only(first())

    def close(self) -> None:
        pass


CURRENT: ContextVar[type[Blocking] | type[InLoop]] = ContextVar("CURRENT", default=Blocking)
"""How one waits in what runs now."""
