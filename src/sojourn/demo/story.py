"""The story: a plane leaves its session, is edited elsewhere, and comes home to rows that others have changed.

Each act says in plain words what it does, does it with the public verbs, and checks what must hold. The last two acts,
the homecoming and the same with `Session.merge`, are in `homecoming`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import Engine, func, inspect, select
from sqlalchemy.orm import Session, selectinload

from sojourn.demo import dataset
from sojourn.demo.edits import apply, plans
from sojourn.demo.homecoming import come_home, compare, merge_instead
from sojourn.demo.models import Base, Flight, Plane
from sojourn.demo.terminal import Terminal, counted
from sojourn.demo.trip import Trip, read_rows
from sojourn.session.detach import detach
from sojourn.snapshot import dumps


def tell(files: Path, terminal: Terminal, *, workdir: Path | None = None, keep: bool = False) -> bool:
    """Tell the whole story on the CSV files in `files`; True if every expectation held.

    `workdir` is where the databases and the JSON go; the database made of the CSV files stays there for the next run.
    Without it a temporary directory serves. This run's own files are removed at the end, unless `keep` is set.
    """
    scratch = Path(tempfile.mkdtemp(prefix="sojourn-demo-")) if workdir is None else workdir
    scratch.mkdir(parents=True, exist_ok=True)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
    try:
        base = set_up(files, scratch, terminal)
        started = time.perf_counter()
        trip = prepare(base, run, terminal)
        leave(trip)
        work_elsewhere(trip)
        work_at_home(trip)
        shutil.copy(trip.home, run / "merge.sqlite")
        outcomes = {"attach": come_home(trip), "Session.merge": merge_instead(trip, run / "merge.sqlite")}
        compare(terminal, outcomes)
        finish(terminal, run if keep else None, time.perf_counter() - started)
    finally:
        if not keep:
            shutil.rmtree(scratch if workdir is None else run)
    return not terminal.failed


def set_up(files: Path, scratch: Path, terminal: Terminal) -> Path:
    """Build the database, or take the one of an earlier run, and say what is in it."""
    base = scratch / dataset.base_name(files)
    terminal.line("sojourn demo: a plane leaves its session, travels as JSON, and comes home")
    terminal.line()
    if base.exists():
        terminal.say(f"Set-up: the database of an earlier run is there, {base}.")
    else:
        terminal.say("Set-up: making a SQLite database of the flights that left New York in 2013 …")
        started = time.perf_counter()
        dataset.build(files, base)
        terminal.say(f"{base.stat().st_size / 1e6:.1f} MB, made in {time.perf_counter() - started:.1f} s.")
    engine = dataset.connect(base)
    found = dataset.counts(engine)
    engine.dispose()
    terminal.item(", ".join(f"{found[table.name]:,} {table.name}" for table in Base.metadata.sorted_tables))
    terminal.item(
        f"{found['unknown plane']:,} flights were flown by planes that planes.csv does not list, "
        f"{found['no tail number']:,} have no tail number, and {found['unknown destination']:,} went to airports that "
        "airports.csv does not list. These flights are kept: the reference is NULL, and what the file says stays in "
        "flights.tailnum and flights.dest."
    )
    return base


def prepare(base: Path, run: Path, terminal: Terminal) -> Trip:
    """A copy of the database for this run, the plane of the story, and what each side will change."""
    home = run / "home.sqlite"
    shutil.copy(base, home)
    engine = dataset.connect(home)
    rows = read_rows(engine, choose_plane(engine))
    engine.dispose()
    worker, desk = plans(rows)
    return Trip(terminal, base, home, run / "away.json", run / "back.json", rows, worker, desk)


def choose_plane(engine: Engine) -> str:
    """The plane with about a hundred flights, some of them cancelled; always the same one. Database: one SELECT."""
    query = (
        select(Plane.tailnum)
        .join(Plane.flights)
        .group_by(Plane.tailnum)
        .having(func.count(Flight.dep_time) < func.count())
        .order_by(func.abs(func.count() - 100), Plane.tailnum)
    )
    with engine.connect() as connection:
        return connection.scalars(query.limit(1)).one()


def leave(trip: Trip) -> None:
    """Act a: detach the plane and all that belongs to its picture, and write it down."""
    terminal, engine = trip.terminal, dataset.connect(trip.home)
    terminal.act("a. The plane leaves its session")
    terminal.say(
        f"Plane {trip.tailnum} ({trip.rows.plane['manufacturer']} {trip.rows.plane['model']}) leaves with its flights, "
        "their airports and their airline:"
    )
    terminal.item("[plane] = detach(session, session.get_one(Plane, tailnum), shape)")
    terminal.item("away.write_bytes(dumps([plane]))")
    shape = selectinload(Plane.flights).options(
        selectinload(Flight.airline), selectinload(Flight.origin), selectinload(Flight.destination)
    )
    with Session(engine) as session, counted(engine) as statements:
        plane: Plane
        [plane] = detach(session, session.get_one(Plane, trip.tailnum), shape)
        left_over = list(session)
    with counted(engine) as reading:
        places = {place.faa for flight in plane.flights for place in (flight.origin, flight.destination) if place}
        airlines = {flight.airline.name for flight in plane.flights}
    engine.dispose()
    data = dumps([plane])
    trip.away.write_bytes(data)
    terminal.say(
        f"{len(data):,} bytes of JSON: 1 plane, {len(plane.flights)} flights, {len(places)} airports, "
        f"{len(airlines)} airline{'s' if len(airlines) > 1 else ''}. It took {len(statements)} statements:"
    )
    for line in statements.summary():
        terminal.item(line)
    terminal.expect("the session holds none of them any more", not left_over and inspect(plane).detached)
    terminal.expect("every flight of the plane has left with it", len(plane.flights) == len(trip.rows.flights))
    terminal.expect("flights, airports and airline are read without a session and without SQL", not reading.sent)


def work_elsewhere(trip: Trip) -> None:
    """Act b: another process edits the objects, and has nothing but the JSON."""
    terminal = trip.terminal
    terminal.act("b. Elsewhere: a separate process edits it, without a database")
    terminal.item(f"python -m sojourn.demo.worker {trip.away.name} {trip.back.name}")
    command = [sys.executable, "-m", "sojourn.demo.worker", str(trip.away), str(trip.back)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    reported = done.stdout.splitlines()
    terminal.say("The worker loads the JSON, edits ordinary objects, and writes JSON again. It reports:")
    for line in reported:
        terminal.item(line)
    terminal.expect("the worker did all of its plan", reported == [str(edit) for edit in trip.worker])
    terminal.expect(f"{trip.back.stat().st_size:,} bytes come back", trip.back.stat().st_size > 0)


def work_at_home(trip: Trip) -> None:
    """Act c: another session changes the same plane and flights, and commits."""
    terminal, engine = trip.terminal, dataset.connect(trip.home)
    terminal.act("c. Meanwhile at home: the desk changes the same rows in another session")
    with Session(engine) as session:
        apply(session.get_one(Plane, trip.tailnum), trip.desk)
        session.commit()
    for edit in trip.desk:
        terminal.item(edit)
    verdict = trip.verdict(engine, done=trip.desk)
    engine.dispose()
    terminal.expect("all of it is committed", verdict.kept == trip.desk and not verdict.strays)


def finish(terminal: Terminal, kept: Path | None, seconds: float) -> None:
    """The last words: how long it took, whether all went well, and where to go from here."""
    terminal.line()
    terminal.say(f"The story took {seconds:.1f} s after the set-up.")
    for what in terminal.failed:
        terminal.item(f"NOT AS EXPECTED: {what}", 2)
    terminal.act("What to try next")
    if kept:
        terminal.item(f"{kept}: away.json and back.json, what travelled; home.sqlite and merge.sqlite, what came of it")
    else:
        terminal.item("sojourn demo --workdir .demo --keep   keeps the database, and the JSON for you to read")
    terminal.item("README.md                             the verbs, and the lines to begin with on your own models")
    terminal.item("docs/explanation/laws.md              what you may rely on")
    terminal.item("src/sojourn/demo/                     the code of this story")
