"""One run of a job, between its chunks: where it stands, and whether it is to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sojourn.batch import ledger
from sojourn.batch.chunk import Done, Work
from sojourn.batch.desk import Desk
from sojourn.batch.progress import Progress, Watcher
from sojourn.batch.ranges import Chain
from sojourn.errors import LeaseLostError, TooManyRejectedError

Throttle = float | Callable[[], float]
_LOOK = 1.0  # seconds between two looks at what others want of the job


@dataclass(eq=False)
class Run:
    """Where one run stands. `chain` is what is done and what is left."""

    desk: Desk
    work: Work
    job: ledger.Job
    chain: Chain
    max_rejected: float | None
    throttle: Throttle | None
    watcher: Watcher
    lost: Callable[[], bool]
    rows: int = 0  # of this run, rejected ones included
    rejected: int = 0  # of this run
    retried: int = 0  # earlier rejected ones that are done now
    _began: float = field(default_factory=time.monotonic)
    _looked: float = float("-inf")

    def goes_on(self) -> bool:
        """Whether the next chunk may be begun; comes back late where others want a pause, or the throttle does.

        False: it is cancelled. Raises LeaseLostError when the job was taken over. Database: may load.
        """
        if self.lost():
            raise LeaseLostError(self.job.name)
        if time.monotonic() - self._looked >= _LOOK:
            if self.desk.wanted(self.work) == ledger.CANCEL:
                return False
            self._looked = time.monotonic()
        seconds = self._to_wait()
        if seconds > 0:
            self.work.patience.waiting.sleep(min(seconds, _LOOK))
            return self.goes_on()
        return True

    def note(self, done: Done, *, whole: bool) -> None:
        """A part is in the ledger. Raises TooManyRejectedError.

        Parameters:
            whole: whether it was the last part of its chunk. A share of rejected rows says nothing before: the parts
                are those that have a bad row.
        """
        self.chain = done.chain
        self.rows += done.rows + done.rejected
        self.rejected += done.rejected
        self.tell()
        most = self.max_rejected
        if most is None:
            return
        is_share = 0 < most < 1
        if self.rejected > (most * self.rows if is_share else most) and (whole or not is_share):
            raise TooManyRejectedError(self.job.name, self.rejected, self.rows, most)

    def tell(self, *, finished: bool = False) -> None:
        """Tell who watches."""
        seconds = time.monotonic() - self._began
        rows, rejected = self.job.rows + self.rows, self.job.rejected + self.rejected - self.retried
        rate = self.rows / seconds if seconds else 0.0
        self.watcher(Progress(self.job.name, rows, rejected, self.job.total, rate, finished))

    def _to_wait(self) -> float:
        if self.throttle is None:
            return 0.0
        if callable(self.throttle):
            return self.throttle()
        return self._began + self.rows / self.throttle - time.monotonic()
