"""A job's rows on workers: chunks travel, never more than so many at once, and come back in whatever order.

The parent alone talks to the database: it reads a chunk, sends its objects away detached, attaches the changes that
come back, and enters them into the ledger, all in short transactions between which nothing is held. Attaching merges
three ways, so what others wrote meanwhile is not lost: a conflict has the chunk done again from what is there now.

A row that kills its worker takes all chunks under way with it. So these are tried again alone, one after the other, and
the one that does it again is cut in the middle until a single row is left, which is rejected after `max_crashes`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from sojourn.batch import ledger
from sojourn.batch.again import again
from sojourn.batch.attempt import entered
from sojourn.batch.call import Fault, fault_of
from sojourn.batch.chunk import Done, Part, enter, give_up, reject
from sojourn.batch.pool import BROKEN, Pool
from sojourn.batch.ranges import Position
from sojourn.batch.run import Run
from sojourn.batch.travel import Answer, pack, unpack
from sojourn.batch.write import write
from sojourn.collector import collector_paused
from sojourn.errors import ConflictError, LeaseLostError
from sojourn.session.attach import attach
from sojourn.session.outage import is_outage

_LOOK = 1.0  # seconds to wait for workers before another look at what others want of the job


@dataclass(frozen=True, slots=True)
class _Task:
    """A part that is to be done, and what became of it so far."""

    part: Part
    split: bool = False  # whether it is a piece of a chunk that failed
    crashes: int = 0
    conflicts: int = 0


@dataclass(frozen=True, slots=True)
class _Trip:
    """A part under way: `places` are the positions of its rows."""

    task: _Task
    places: list[Position]


class Window:
    """Chunks under way.

    Parameters:
        size: rows of a chunk.
        in_flight: chunks under way, at most.
        max_crashes: how often a row may end its worker before it is rejected.
        models: what may be built of a worker's answer.
    """

    def __init__(self, run: Run, pool: Pool, models: Any, size: int, in_flight: int, max_crashes: int) -> None:
        self._run = run
        self._pool = pool
        self._models = models
        self._size = size
        self._in_flight = in_flight
        self._max_crashes = max_crashes
        self._todo: deque[_Task] = deque()
        self._suspects: deque[_Task] = deque()  # each goes alone
        self._flying: dict[Future[Answer], _Trip] = {}

    def status(self) -> str:
        """Do what is left; gives the status that the job has then. Database: loads and writes."""
        self._pool.check()
        if not again(self._run, self._called_alone):
            return ledger.CANCELLED
        self._todo.extend(_Task(Part(gap.after, gap.upto, self._size)) for gap in self._run.chain.gaps)
        while self._todo or self._suspects or self._flying:
            if not self._run.goes_on():
                return ledger.CANCELLED
            self._depart()
            self._run.work.patience.waiting.first_of(self._flying, _LOOK)
            for future in [one for one in self._flying if one.done()]:
                if future in self._flying:  # not taken down with another one
                    self._arrive(future)
        return ledger.DONE

    def _depart(self) -> None:
        if self._suspects:
            if not self._flying:
                self._send(self._suspects.popleft())
            return
        while self._todo and len(self._flying) < self._in_flight:
            self._send(self._todo.popleft())

    def _send(self, task: _Task) -> None:
        """Read the rows of a part and send them away; of one with a limit, the rest is to be done next."""
        run, work = self._run, self._run.work
        part = task.part

        def read() -> tuple[list[Position], bytes]:
            with collector_paused(), work.transaction(writes=False) as (session, _):
                rows = session.execute(work.keyset.read(after=part.after, upto=part.upto, limit=part.limit))
                found = rows.unique().all()
                return [work.keyset.position(row) for row in found], pack([row[0] for row in found]) if found else b""

        places, data = work.patience(read)
        end = part.upto if part.limit is None or not places else places[-1]
        run.chain = run.chain.cut(part.after, end)
        if end != part.upto:
            self._todo.appendleft(replace(task, part=Part(end, part.upto, part.limit)))
        trip = _Trip(replace(task, part=Part(part.after, end)), places)
        if places:
            self._flying[self._pool.submit(data)] = trip
        else:
            self._land(trip, Answer())

    def _arrive(self, future: Future[Answer]) -> None:
        try:
            answer = future.result()
        except BROKEN:
            self._crashed()
            return
        except Exception as error:  # noqa: BLE001 - of the executor: an answer that cannot travel, a worker given up
            answer = Answer(whole=fault_of(0, error))
        trip = self._flying.pop(future)
        if answer.whole is not None:
            self._narrow(trip, answer.whole)
        else:
            self._land(trip, answer)

    def _land(self, trip: _Trip, answer: Answer) -> None:
        """Attach what came back, with the ledger's entry, in one transaction."""
        work, part = self._run.work, trip.task.part
        rejects = [reject(work.keyset, trip.places[one.index], one) for one in answer.faults]

        def once(committing: Any) -> Done:
            with collector_paused(), work.transaction() as (session, connection):
                self._bring_home(session, answer)
                done = enter(work, connection, self._run.chain, part, len(trip.places) - len(rejects), rejects)
                committing(done)
                session.commit()
            return done

        try:
            done = entered(work, self._run.desk.connect, once)
        except LeaseLostError:
            raise
        except ConflictError:
            conflicts = trip.task.conflicts + 1
            if conflicts >= work.patience.retry.tries:
                raise
            self._todo.appendleft(replace(trip.task, conflicts=conflicts))
        except Exception as error:
            if is_outage(error):
                raise
            self._narrow(trip, fault_of(0, error))
        else:
            self._note(done)

    def _bring_home(self, session: Session, answer: Answer) -> None:
        if answer.data:
            attach(session, unpack(answer.data, self._models))
            write(session)

    def _narrow(self, trip: _Trip, fault: Fault, *, crashes: int = 0) -> None:
        """A part failed, and nobody knows by which row: two halves of it, or the row itself is rejected."""
        task, places = trip.task, trip.places
        if len(places) > 1:
            middle = places[(len(places) - 1) // 2]
            halves = (Part(middle, task.part.upto), Part(task.part.after, middle))
            queue = self._suspects if crashes else self._todo
            queue.extendleft(replace(task, part=half, split=True) for half in halves)
            return
        work = self._run.work
        entry = reject(work.keyset, places[0], fault, crashes=crashes)
        connect = self._run.desk.connect
        done = entered(work, connect, lambda committing: give_up(work, self._run.chain, task.part, entry, committing))
        self._note(done)

    def _crashed(self) -> None:
        """The executor broke: who was under way alone did it, of several each may have."""
        finished = [future for future in self._flying if future.done() and not _is_broken(future)]
        for future in finished:
            self._arrive(future)
        lost = list(self._flying.values())
        self._flying.clear()
        self._pool.renew()
        if len(lost) > 1:
            self._suspects.extend(trip.task for trip in lost)
            return
        for trip in lost:
            crashes = trip.task.crashes + 1
            if len(trip.places) == 1 and crashes < self._max_crashes:
                self._suspects.appendleft(replace(trip.task, crashes=crashes))
            else:
                self._narrow(trip, _worker_died(crashes), crashes=crashes)

    def _note(self, done: Done) -> None:
        pieces = (*self._todo, *self._suspects, *(trip.task for trip in self._flying.values()))
        self._run.note(done, whole=not any(task.split for task in pieces))

    def _called_alone(self, session: Session, objs: Sequence[Any]) -> list[Fault]:
        """What `Work.call` does, by a worker: for a rejected row that is tried again."""
        if not objs:
            return []
        try:
            future = self._pool.submit(pack(objs))
            self._run.work.patience.waiting.first_of([future], None)
            answer = future.result()
        except BROKEN:
            self._pool.renew()
            return [_worker_died(1)]
        if answer.whole is not None:
            return [answer.whole]
        self._bring_home(session, answer)
        return list(answer.faults)


def _is_broken(future: Future[Answer]) -> bool:
    return future.cancelled() or isinstance(future.exception(), BROKEN)


def _worker_died(crashes: int) -> Fault:
    times = "once" if crashes == 1 else f"{crashes} times"
    return Fault(0, "WorkerDied", f"the worker process that had this row alone ended {times}", "")
