"""A part of a job's rows, tried until it is done: trouble of the database again and again, bad rows found and entered.

Bad rows are found by bisection, in fresh transactions: savepoints would miss what only the COMMIT finds. A part that
fails is cut in the middle until a single row is left, which is rejected with its error; k bad rows among n cost about
k · log2(n) more transactions, not n.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from sojourn.batch import ledger
from sojourn.batch.call import fault_of
from sojourn.batch.chunk import Done, FaultyRows, Part, Work, do, read, reject
from sojourn.batch.ledger import Connect
from sojourn.batch.ranges import Chain, Position
from sojourn.errors import LeaseLostError
from sojourn.session.outage import is_outage, lost_connection


@dataclass(frozen=True, slots=True)
class Retry:
    """How often to try again what the database broke off, and how long to wait in between.

    Parameters:
        tries: how often in all; the last error is raised as itself.
        first: seconds to wait before the second try; then twice as long each time.
        longest: seconds, at most.

    Each wait is a random part of it, so that two who met do not meet again.
    """

    tries: int = 8
    first: float = 0.1
    longest: float = 30.0

    def pause(self, tried: int) -> float:
        """Seconds to wait after so many tries."""
        return min(self.first * 2.0 ** (tried - 1), self.longest) * (0.5 + random.random() / 2)


def attempt(work: Work, connect: Connect, retry: Retry, chain: Chain, part: Part) -> Done | list[Part]:
    """Do a part, or say into which two it is to be cut, because a row of it is bad.

    Raises LeaseLostError, an outage that outlasts `retry`, and what fails although all bad rows are left out. Database:
    always loads and writes, in transactions of its own.
    """
    known: dict[Position, ledger.Rejected] = {}
    begun: list[Done] = []
    tried = 0
    while True:
        begun.clear()
        try:
            return do(work, chain, part, known, begun.append)
        except FaultyRows as found:
            known.update(found.faults)
        except LeaseLostError:
            raise
        except Exception as error:
            if begun and lost_connection(error):
                done = _settled(work, connect, retry, begun[0])
                if done is not None:
                    return done
            if is_outage(error):
                tried += 1
                if tried >= retry.tries:
                    raise
                work.waiting.sleep(retry.pause(tried))
                continue
            places = _rows_of(work, part, error)
            if len(places) > 1:
                middle = (len(places) + 1) // 2
                cut, end = places[middle - 1].position, places[-1].position
                return [Part(part.after, cut), Part(cut, part.upto if part.limit is None else end)]
            if not places or places[0].position in known:
                raise  # it is not the row
            known[places[0].position] = places[0]


def _rows_of(work: Work, part: Part, error: BaseException) -> list[ledger.Rejected]:
    """The entries that the rows of a part would have, for an error that is of one of them."""
    with work.transaction() as (session, connection):
        rows = read(work, session, connection, part)
        return [reject(work.keyset, row, fault_of(index, error)) for index, row in enumerate(rows)]


def _settled(work: Work, connect: Connect, retry: Retry, begun: Done) -> Done | None:
    """Whether a COMMIT was done of which no answer came: the ledger knows."""
    for tried in range(1, retry.tries + 1):
        try:
            with connect() as connection:
                return begun if ledger.was_written(connection, work.lease.job_id, begun.token) else None
        except Exception as error:
            if not is_outage(error) or tried == retry.tries:
                raise
            work.waiting.sleep(retry.pause(tried))
    return None
