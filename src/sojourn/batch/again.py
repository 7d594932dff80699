"""Rows that were rejected and are to be tried again: each in a transaction of its own, in which its entry goes, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.call import Fault, fault_of
from sojourn.batch.chunk import Work, locking, reject
from sojourn.batch.run import Run
from sojourn.batch.write import write
from sojourn.errors import LeaseLostError
from sojourn.session.outage import is_outage

Call: TypeAlias = Callable[[Session, Sequence[Any]], list[Fault]]
"""Calls the function on objects of a session, and says what is wrong with which."""


def again(run: Run, call: Call) -> bool:
    """Try the marked rows of a job again; False if it was cancelled meanwhile.

    A row that fails again stays rejected, with what was raised now. One that is gone, or that the statement does not
    want any more, is rejected no more. Database: loads; writes in a transaction for each row.
    """

    def marked() -> list[ledger.Rejected]:
        with run.desk.connect() as connection:
            return ledger.rejected_of(connection, run.job.id, to_retry=True)

    for entry in run.work.patience(marked):
        if not run.goes_on():
            return False
        faults = _tried(run, entry, call)
        for fault in faults:
            _keep(run, entry, fault)
        run.retried += 0 if faults else 1
        run.tell()
    return True


def _tried(run: Run, entry: ledger.Rejected, call: Call) -> list[Fault]:
    """What is wrong with a row now; nothing: it is done."""
    patience = run.work.patience

    def is_dropped() -> bool:
        with run.desk.connect() as connection:
            return all(one.id != entry.id for one in ledger.rejected_of(connection, run.job.id))

    try:
        return patience(lambda: _once(run.work, entry, call), lambda: [] if patience(is_dropped) else None)
    except LeaseLostError:
        raise
    except Exception as error:
        if is_outage(error):
            raise
        return [fault_of(0, error)]


def _once(work: Work, entry: ledger.Rejected, call: Call) -> list[Fault]:
    with work.transaction() as (session, connection):
        rows = session.execute(locking(work, work.keyset.only(entry.position))).unique().all()
        faults = call(session, [row[0] for row in rows])
        if not faults:
            write(session)
            ledger.drop_rejected(connection, work.lease.job_id, [entry.id])
            work.lease.fence(connection, rejected=-1)
            session.commit()
    return faults


def _keep(run: Run, entry: ledger.Rejected, fault: Fault) -> None:
    now = replace(reject(run.work.keyset, entry.position, fault, crashes=entry.crashes), id=entry.id)

    def once() -> None:
        with run.desk.connect() as connection:
            ledger.drop_rejected(connection, run.job.id, [entry.id])
            ledger.add_rejected(connection, run.job.id, [now])
            run.work.lease.fence(connection)

    run.work.patience(once)
