"""What a job has done so far, and how fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a job has done, all its runs together, from the ledger.

    Attributes:
        name: of the job.
        status: "done"; "cancelled", if somebody said so.
        rows: done, rejected ones included.
        rejected: of these, how many are in the ledger as rejected.
        total: how many rows there were when the job began; None if they were not counted.
        seconds: that this run took.
        resumed: whether an earlier run had begun it.
    """

    name: str
    status: str
    rows: int
    rejected: int
    total: int | None
    seconds: float
    resumed: bool

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.status}, {self.rows:,} rows, {self.rejected:,} rejected, {self.seconds:.1f} s"
            f"{', resumed' if self.resumed else ''}"
        )
