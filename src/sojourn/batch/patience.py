"""Patience with a database that is in trouble: once more, after a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from sojourn.batch.waiting import Waiting
from sojourn.errors import BadArgumentError
from sojourn.session.outage import is_outage, lost_connection

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try again what the database broke off, and how long to wait in between.

    Parameters:
        tries: how often in all; the last error is raised as itself.
        first: seconds to wait before the second try; then twice as long each time.
        longest: seconds, at most.

    Each wait is a random part of it, at least half, so that two who met do not meet again.
    """

    tries: int = 8
    first: float = 0.1
    longest: float = 30.0

    def __post_init__(self) -> None:
        if self.tries < 1 or self.first < 0 or self.longest < 0:
            raise BadArgumentError(f"{self}: tries is at least 1, the seconds are not negative")

    def pause(self, tried: int) -> float:
        """Seconds to wait after so many tries."""
        return min(self.first * 2.0 ** min(tried - 1, 60), self.longest) * (0.5 + random.random() / 2)


@dataclass(frozen=True, slots=True)
class Patience:
    """Does things again that an outage of the database broke off."""

    retry: Retry
    waiting: Waiting

    def __call__(self, action: Callable[[], R], settle: Callable[[], R | None] = lambda: None) -> R:
        """What an action gives that is one transaction.

        `settle` is asked when the connection was lost: what the action gives if it was done after all, else None.
        Raises what is no outage, and the outage that lasts.
        """
        for tried in count(1):
            try:
                return action()
            except Exception as error:
                done = settle() if lost_connection(error) else None
                if done is not None:
                    return done
                if not is_outage(error) or tried >= self.retry.tries:
                    raise
            self.waiting.sleep(self.retry.pause(tried))
        raise AssertionError("count() has no end")
