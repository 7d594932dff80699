"""The last acts: the plane comes home by `attach`, and on a copy of the database by `Session.merge`.

Both get the same JSON and the same database, and both are held to the same rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from sojourn.demo import dataset
from sojourn.demo.edits import DESK, WORKER, Edit, Verdict
from sojourn.demo.models import Base, Flight, Plane
from sojourn.demo.terminal import Statements, Terminal, counted
from sojourn.demo.trip import Trip, other_rows_changed, settle
from sojourn.errors import Conflict, ConflictError, identity_text
from sojourn.session.attach import attach
from sojourn.session.report import Merge
from sojourn.snapshot import loads


@dataclass(frozen=True)
class Outcome:
    statements: Statements
    verdict: Verdict


def longer_delay(conflict: Conflict) -> object:
    """The policy as `attach` takes it: a function of one conflict that returns the value to write."""
    return settle(conflict.mine, conflict.theirs)


def come_home(trip: Trip) -> Outcome:
    """Act d: `attach`, first without a policy, then with one; commit; look at the rows."""
    terminal, engine = trip.terminal, dataset.connect(trip.home)
    terminal.act("d. The plane comes home: attach")
    planes: list[Plane] = loads(trip.back.read_bytes(), Base)
    terminal.say("First without a policy. Where both sides changed one thing, attach changes nothing and says so:")
    terminal.item("attach(session, loads(back.read_bytes(), Base))")
    conflicts: list[Conflict] = []
    with Session(engine) as session:
        try:
            attach(session, planes)
        except ConflictError as error:
            conflicts = error.conflicts
            for line in str(error).splitlines():
                terminal.item(line, 6)
        untouched = not list(session)
    terminal.expect("it names the one conflict there is, with the three values", as_planned(trip, conflicts))
    terminal.expect("the session is still empty", untouched)
    terminal.line()
    terminal.say("Then with a policy: of two reports of a delay the longer one is kept.")
    terminal.item("attach(session, planes, on_conflict=lambda conflict: max(conflict.mine, conflict.theirs))")
    terminal.item("session.commit()")
    with Session(engine) as session, counted(engine) as statements:
        report = attach(session, planes, on_conflict=longer_delay)
        same = all(report.of(plane) is plane and plane in session for plane in planes)
        session.commit()
    terminal.item(report)
    terminal.say("The desk's changes were merged where they met the worker's, and the conflict was settled:")
    for merged in report.merged:
        terminal.item(in_words(merged))
    for conflict in report.conflicts:
        terminal.item(f"{conflict}; kept {longer_delay(conflict)}")
    terminal.say(f"It took {len(statements)} statements:")
    for line in statements.summary():
        terminal.item(line)
    terminal.expect("the very same object is home, not a copy", same)
    verdict = trip.verdict(engine)
    engine.dispose()
    terminal.line()
    terminal.say("What a fresh connection finds in the database:")
    for edit in [*trip.worker, *trip.desk]:
        terminal.expect(finding(edit, verdict), edit not in verdict.lost)
    terminal.expect("no other value of the plane and its flights has changed", not verdict.strays)
    others = other_rows_changed(trip.base, trip.home, trip.tailnum)
    terminal.expect("no row of any other plane, flight, airport, airline or weather has changed", others == 0)
    return Outcome(statements, verdict)


def as_planned(trip: Trip, conflicts: list[Conflict]) -> bool:
    """Whether exactly the cells that both plans touch are reported, with what each side made of them. Pure."""
    found = [(c.identity, c.attribute, c.base, c.mine, c.theirs) for c in conflicts]
    planned = []
    for mine, theirs in trip.contested():
        identity: tuple[Any, ...] = identity_key(Plane, trip.tailnum)
        if mine.flight is not None:
            identity = identity_key(Flight, trip.rows.cell(mine.flight, "id"))
        planned.append((identity, mine.column, mine.old, mine.new, theirs.new))
    return found == planned


def finding(edit: Edit, verdict: Verdict) -> str:
    settled = " (the conflict: the policy kept the other side's)" if edit in verdict.overruled else ""
    return f"{edit.who}: {edit}{settled}"


def in_words(merged: Merge) -> str:
    """One line for a merge; of a collection only who came and who went, for it may have many members. Pure."""
    if not isinstance(merged.base, list):
        return str(merged)
    before = set(merged.base)
    sides = [
        f"{name} added {len(set(now) - before)} and removed {len(before - set(now))}"
        for name, now in ((WORKER, merged.mine), (DESK, merged.theirs))
    ]
    return f"{identity_text(merged.identity)}.{merged.attribute}: {', '.join(sides)}"


def merge_instead(trip: Trip, copy: Path) -> Outcome:
    """Act e: the same JSON on a copy of the same database with `Session.merge`."""
    terminal, engine = trip.terminal, dataset.connect(copy)
    terminal.act("e. The same with Session.merge, on a copy of the database")
    terminal.say("The worker's JSON becomes ordinary objects with keys and values, as programs do it today:")
    terminal.item("session.merge(plane)")
    terminal.item("session.commit()")
    plane: Plane
    [plane] = loads(trip.back.read_bytes(), Base)
    with Session(engine) as session, counted(engine) as statements:
        session.merge(as_plain(plane))
        session.commit()
    verdict = trip.verdict(engine)
    engine.dispose()
    terminal.say(
        f"It took {len(statements)} statements: {statements.kinds()}. It reported nothing. These updates are lost:"
    )
    for edit in verdict.lost:
        terminal.item(f"{edit.who}: {edit}")
    for key, column in verdict.strays:
        terminal.item(f"and changed besides: {key} {column}")
    terminal.expect("the worker's own edits are in the database", not [e for e in verdict.lost if e in trip.worker])
    terminal.expect("updates of the desk are lost, as this act is there to show", bool(verdict.lost))
    return Outcome(statements, verdict)


def as_plain(plane: Plane) -> Plane:
    """New objects with the same keys and values and nothing else: what a program builds from JSON. Database: none."""
    copies: dict[Base, Any] = {}

    def plain(obj: Base) -> Any:
        if obj not in copies:
            loaded = vars(obj)
            columns = [attribute.key for attribute in inspect(type(obj)).column_attrs]
            copies[obj] = type(obj)(**{name: loaded[name] for name in columns if name in loaded})
        return copies[obj]

    copy: Plane = plain(plane)
    for flight in plane.flights:
        flown: Flight = plain(flight)
        flown.airline, flown.origin = plain(flight.airline), plain(flight.origin)
        flown.destination = flight.destination and plain(flight.destination)
        copy.flights.append(flown)
    return copy


def compare(terminal: Terminal, outcomes: dict[str, Outcome]) -> None:
    """The last screen's table, counted in this run."""
    terminal.act("Both, side by side")
    rows: list[tuple[object, ...]] = [("", "statements", "lost updates")]
    rows += [(name, len(outcome.statements), len(outcome.verdict.lost)) for name, outcome in outcomes.items()]
    terminal.table(rows)
    terminal.line()
    ours, theirs = outcomes.values()
    terminal.expect("attach lost nothing", not ours.verdict.lost)
    terminal.expect("attach took fewer statements", len(ours.statements) < len(theirs.statements))
