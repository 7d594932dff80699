"""Workers: an executor that is asked once whether it can import the function, and made anew when a worker died.

The pool that is made here starts fresh processes (spawn), so no connection to the database is inherited over a fork.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import wait
from typing import Any

from sojourn.batch import travel
from sojourn.batch.call import By
from sojourn.errors import BadArgumentError, WorkersLostError

BROKEN = (BrokenExecutor, CancelledError)
_CHECKS = 3


class Pool:
    """An executor and what is sent to it. `executor` is one, or a function that makes one: then it is made anew when
    it breaks, and shut down at the end."""

    def __init__(
        self, executor: Executor | Callable[[], Executor], function: Callable[[Any], Any], by: By, models: Any
    ) -> None:
        self._make = None if isinstance(executor, Executor) else executor
        self._executor = executor if isinstance(executor, Executor) else executor()
        self._job = (models, function, by)

    def check(self) -> None:
        """Whether the workers can import the function and the models. Raises BadArgumentError.

        A worker that dies of it is asked again: somebody may have killed it.
        """
        for tried in range(1, _CHECKS + 1):
            try:
                self._ask()
            except Exception as error:
                if not isinstance(error, BROKEN) or self._make is None or tried == _CHECKS:
                    raise self._cannot_import(error) from error
                self.renew()
            else:
                return

    def _ask(self) -> None:
        models, function, _ = self._job
        for what in (function, partial(travel.unpack, models=models)):
            self._executor.submit(travel.arrived, what).result()

    def _cannot_import(self, error: Exception) -> BadArgumentError:
        _, function, _ = self._job
        name = getattr(function, "__qualname__", repr(type(function)))
        return BadArgumentError(
            f"The workers cannot import {name} or its models ({type(error).__name__}: {error}). A function for "
            "workers is defined at the top of a module that they can import, not in another function, in a notebook or "
            'by lambda; a script that starts workers has `if __name__ == "__main__":`.'
        )

    def submit(self, data: bytes) -> Future[travel.Answer]:
        """Send a chunk to whatever worker is free."""
        models, function, by = self._job
        try:
            return self._executor.submit(travel.work_on, data, models, function, by)
        except BROKEN:
            self.renew()
            return self._executor.submit(travel.work_on, data, models, function, by)

    def renew(self) -> None:
        """Another executor instead of one that broke. Raises WorkersLostError where nobody knows how to make one."""
        if self._make is None:
            raise WorkersLostError
        self.close()
        self._executor = self._make()

    def close(self, *, wait: bool = False) -> None:
        """Shut the executor down, if it is the pool's own."""
        if self._make is not None:
            self._executor.shutdown(wait=wait, cancel_futures=True)


def processes(workers: int) -> Executor:
    """A pool of processes that hold nothing of this one, and end with it."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_end_with_parent)


def why_not_importable(function: Callable[[Any], Any]) -> str | None:
    """Why a function cannot be sent to another process; None if it can. Pure."""
    try:
        pickle.dumps(function)
    except Exception as error:  # noqa: BLE001 - pickle raises whatever it likes
        return f"{type(error).__name__}: {error}"
    main = sys.modules.get("__main__")
    if getattr(function, "__module__", None) == "__main__" and not hasattr(main, "__file__"):
        return "it was defined in a notebook or at a prompt"
    return None


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever: it holds the other end of its own queue."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="sojourn waits for its parent's end", daemon=True).start()
