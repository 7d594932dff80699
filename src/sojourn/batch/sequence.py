"""A job's rows in this process: rows that are tried again first, then chunk after chunk."""

from __future__ import annotations

from sojourn.batch import ledger
from sojourn.batch.again import again
from sojourn.batch.attempt import attempt
from sojourn.batch.chunk import Part
from sojourn.batch.run import Run


def in_sequence(run: Run, size: int) -> str:
    """Do what is left, one chunk at a time; gives the status that the job has then. Database: loads and writes."""
    if not again(run, run.work.call):
        return ledger.CANCELLED
    waiting: list[Part] = []  # parts of a chunk with a bad row, the first one last
    while waiting or run.chain.gaps:
        if not run.goes_on():
            return ledger.CANCELLED
        done = attempt(run.work, run.desk.connect, run.chain, waiting.pop() if waiting else _next(run, size))
        if isinstance(done, list):
            waiting.extend(reversed(done))
        else:
            run.note(done, whole=not waiting)
    return ledger.DONE


def _next(run: Run, size: int) -> Part:
    gap = run.chain.gaps[0]
    return Part(gap.after, gap.upto, size)
