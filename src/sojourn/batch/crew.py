"""Who calls the function: this process, or workers, and which."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from sojourn.batch.pool import Pool, processes, why_not_importable
from sojourn.batch.run import Run
from sojourn.batch.window import Window
from sojourn.errors import BadArgumentError


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers, and how many chunks may be under way to them."""

    executor: Executor | Callable[[], Executor]
    in_flight: int


def crew_of(
    function: Callable[[Any], Any],
    workers: int | None,
    executor: Executor | Callable[[], Executor] | None,
    in_flight: int | None,
) -> Crew | None:
    """The workers that were asked for; None: this process itself. Raises BadArgumentError."""
    if in_flight is not None and in_flight < 1:
        raise BadArgumentError(f"in_flight={in_flight}: at least one chunk is under way")
    if workers is not None and workers < 1:
        raise BadArgumentError(f"workers={workers}: at least one; None: in this process")
    if executor is not None:
        return Crew(executor, in_flight or 2 * (workers or os.cpu_count() or 1))
    if workers is None:
        return None
    reason = why_not_importable(function)
    if reason is not None:
        raise BadArgumentError(
            f"workers={workers} needs a function that other processes can import ({reason}): define it at the top of a "
            "module, or pass executor=ThreadPoolExecutor(...)."
        )
    return Crew(partial(processes, workers), in_flight or 2 * workers)


def on_workers(run: Run, crew: Crew, models: Any, size: int, max_crashes: int) -> str:
    """Do what is left of a job on workers; gives the status that it has then. Database: loads and writes."""
    built = models if models is not None else run.work.keyset.mapper.class_
    pool = Pool(crew.executor, run.work.function, run.work.by, built)
    try:
        return Window(run, pool, built, size, crew.in_flight, max_crashes).status()
    finally:
        pool.close()
