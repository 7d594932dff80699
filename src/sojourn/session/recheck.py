"""Attach without locks: what was decided is looked at again, and only then held, when it is written.

`lock=False` lets others work on the rows between attach and flush. So before the flush the rows that it will write are
locked and read once more. Where all that was decided on is still as it was, the flush writes, and nobody can come in
between any more. Where it is not, a conflict is raised and nothing is written.

Not a condition in the UPDATE itself: a row is compared as the merge compares it, also where the database knows no `=`
for a type (JSON), and the flush stays SQLAlchemy's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from sojourn.errors import UNKNOWN, Conflict, ConflictError, MissingRowError
from sojourn.mapping.base import same
from sojourn.mapping.blueprint import Blueprint
from sojourn.mapping.identity import Identity
from sojourn.session.keys import Key
from sojourn.session.locks import Hold, secure
from sojourn.session.rows import Reader
from sojourn.session.sides import Sides, identity_of
from sojourn.session.verdict import Verdict
from sojourn.sqlalchemy_internals import State, in_session

_ATTACHED = "sojourn.attached without locks"
_REMEDY = (
    "Others were faster, between attach(lock=False) and the flush. Roll back and attach again, from the bytes or from "
    "copies; with lock=True nobody comes in between."
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one row said when it was decided to write it."""

    state: State
    plan: Blueprint
    identity: Identity
    hold: Hold
    seen: dict[str, Any]  # attribute -> the value on which the decision rests


@dataclass
class _Attached:
    """What a session has attached without locks since its last flush."""

    decisions: list[Decision]
    held: list[tuple[Blueprint, Hold, list[Key]]]  # which rows attach would have locked


def remember(session: Session, verdicts: Iterable[Verdict], sides: Sides) -> None:
    """Look at these decisions again before the next flush of the session. Database: none."""
    if _ATTACHED not in session.info:
        event.listen(session, "before_flush", _look_again)
        event.listen(session, "after_soft_rollback", _forget)
    attached: _Attached = session.info.setdefault(_ATTACHED, _Attached([], []))
    attached.decisions += (one for verdict in verdicts if (one := _decision(verdict, sides)) is not None)
    reads = sides.reader.tables.values()
    attached.held += ((read.plan, read.hold, list(read.rows)) for read in reads if read.hold is not Hold.NOT)


def _decision(verdict: Verdict, sides: Sides) -> Decision | None:
    arrival, plan = verdict.arrival, verdict.arrival.plan
    row, identity = sides.row(arrival), identity_of(arrival)
    if row is None or identity is None or verdict.fate not in ("update", "delete"):
        return None
    keys = list(plan.stored) if verdict.fate == "delete" else list(_written(verdict))
    if not keys:
        return None
    read = sides.reader.tables[plan.table]
    if plan.version is not None:
        keys.append(plan.version)
    places = {key: read.columns.get(plan.columns[key].column) for key in keys}
    seen = {key: row[place] for key, place in places.items() if place is not None}
    hold = Hold.DELETED if verdict.fate == "delete" else Hold.EDITED
    return Decision(verdict.home, plan, identity, hold, seen)


def _written(verdict: Verdict) -> Iterator[str]:
    arrival = verdict.arrival
    for key, (stored, final) in verdict.writes.items():
        if not same(arrival.plan, key, stored, final):
            yield key
    for rel, ruling in verdict.references.items():
        if ruling.writes:
            yield from rel.local_key
    for _, rel in (*arrival.added_to, *arrival.removed_from):
        yield from (key for key in rel.remote_key if key in arrival.plan.columns)


def _look_again(session: Session, *_: object) -> None:
    attached: _Attached = session.info[_ATTACHED]
    if not attached.held and not attached.decisions:
        return
    conflicts = list(_overtaken(session, attached))
    if conflicts:  # they stay remembered: the next flush has to fail as well
        missing = all(conflict.missing for conflict in conflicts)
        raise (MissingRowError if missing else ConflictError)(conflicts, _REMEDY)
    _forget(session)  # the rows are locked now


def _forget(session: Session, *_: object) -> None:
    # After a rollback there is nothing to look at: it has undone the edits.
    session.info[_ATTACHED] = _Attached([], [])


def _overtaken(session: Session, attached: _Attached) -> Iterator[Conflict]:
    """The decisions that rest on what is not so any more. Database: always loads, and locks."""
    pending = [
        one
        for one in attached.decisions
        if in_session(one.state, session) and (one.hold is Hold.DELETED or one.state.modified)
    ]
    reader = Reader(session, lock=True)
    for plan, hold, keys in attached.held:
        read = reader.table(plan)
        read.keys.update(dict.fromkeys(keys))
        read.keep(hold)
    for one in pending:
        read = reader.table(one.plan)
        read.want(one.plan, one.seen)
        read.keys[one.identity[1]] = None
        read.keep(one.hold)
    secure(session, reader.to_be_written(), lock=True)
    reader.run()
    for one in pending:
        read = reader.tables[one.plan.table]
        row = read.rows.get(one.identity[1])
        if row is None:  # also where both removed it: the flush would warn that its DELETE found nothing
            yield Conflict(one.identity, None, UNKNOWN, UNKNOWN, None, missing=True)
            continue
        for key, value in one.seen.items():
            now = row[read.columns[one.plan.columns[key].column]]
            if not same(one.plan, key, value, now):
                mine = None if one.hold is Hold.DELETED else one.state.dict.get(key)
                yield Conflict(one.identity, one.plan.units[key], value, mine, now)
