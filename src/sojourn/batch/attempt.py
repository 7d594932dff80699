"""A part of a job's rows, tried until it is done: trouble of the database again and again, bad rows found and entered.

Bad rows are found by bisection, in fresh transactions: savepoints would miss what only the COMMIT finds. A part that
fails is cut in the middle until a single row is left, which is rejected with its error; k bad rows among n cost about
k · log2(n) more transactions, not n.
"""

from __future__ import annotations

from collections.abc import Callable

from sojourn.batch import ledger
from sojourn.batch.call import fault_of
from sojourn.batch.chunk import Done, FaultyRows, Part, Work, do, give_up, places, reject
from sojourn.batch.ledger import Connect
from sojourn.batch.ranges import Chain, Position
from sojourn.errors import LeaseLostError, UnsuitableStatementError
from sojourn.session.outage import is_outage


def attempt(work: Work, connect: Connect, chain: Chain, part: Part) -> Done | list[Part]:
    """Do a part, or say into which two it is to be cut, because a row of it is bad.

    Raises LeaseLostError, an outage that lasts, and what fails although no row is at fault. Database: always loads and
    writes, in transactions of its own.
    """
    known: dict[Position, ledger.Rejected] = {}
    while True:
        try:
            return entered(work, connect, lambda committing: do(work, chain, part, known, committing))
        except FaultyRows as found:
            known.update(found.faults)
        except (LeaseLostError, UnsuitableStatementError):
            raise
        except Exception as error:
            if is_outage(error):
                raise
            return _narrowed(work, connect, chain, part, error)


def entered(work: Work, connect: Connect, action: Callable[[Callable[[Done], None]], Done]) -> Done:
    """Do what enters a part into the ledger, patiently. Of a COMMIT whose answer was lost the ledger knows whether it
    was done."""
    begun: list[Done] = []

    def once() -> Done:
        begun.clear()
        return action(begun.append)

    def is_written(done: Done) -> bool:
        with connect() as connection:
            return ledger.was_written(connection, work.lease.job_id, done.token)

    def settle() -> Done | None:
        if not begun:
            return None
        written: bool = work.patience(lambda: is_written(begun[0]))
        return begun[0] if written else None

    return work.patience(once, settle)


def _narrowed(work: Work, connect: Connect, chain: Chain, part: Part, error: Exception) -> Done | list[Part]:
    """Two halves of a part that failed; the single row of which it is the error is rejected."""
    found = work.patience(lambda: places(work, part))
    if not found:
        raise error
    end = part.upto if part.limit is None else found[-1]
    if len(found) > 1:
        middle = found[(len(found) - 1) // 2]
        return [Part(part.after, middle), Part(middle, end)]
    entry = reject(work.keyset, found[0], fault_of(0, error))
    return entered(work, connect, lambda committing: give_up(work, chain, Part(part.after, end), entry, committing))
