"""Functions that workers import and call."""

from __future__ import annotations

import asyncio
import os
import signal

from tests.models.jobs import Effect, Task

BAD = (3, 8, 9, 25)
KILLERS = (4, 20)


def bump(task: Task) -> None:
    task.count += 1


async def bump_later(task: Task) -> None:
    await asyncio.sleep(0)
    task.count += 1


def bump_all(tasks: list[Task]) -> None:
    for task in tasks:
        task.count += 1


def leave_a_trace(task: Task) -> None:
    """One more, and one row in the table of effects: what is done twice shows."""
    task.count += 1
    task.effects.append(Effect())


def refuse_some(task: Task) -> None:
    task.count += 1
    if task.id in BAD:
        raise ValueError(f"not {task.id}")


def refuse_some_of_all(tasks: list[Task]) -> None:
    for task in tasks:
        refuse_some(task)


def break_the_rule(task: Task) -> None:
    task.count = 100 if task.id in BAD else task.count + 1


def read_what_is_not_loaded(task: Task) -> None:
    len(task.effects)


def kill_the_worker(task: Task) -> None:
    if task.id in KILLERS:
        os.kill(os.getpid(), signal.SIGKILL)
    task.count += 1
