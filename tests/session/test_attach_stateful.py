"""Two to four writers take random graphs away, work on them, carry them as bytes and bring them home in any order; a
model of plain dicts (attach_model.py) says what the tables then hold and which conflicts there are.

Each rule is one step, and after each homecoming every row and every conflict is compared. The suite takes a few
thousand steps; `make fuzz` takes more than 50,000, and how many it took is in the summary at the end of the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, delete, inspect, select
from sqlalchemy.orm import Session, selectinload

from sojourn.errors import Conflict, ConflictError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.snapshot import dumps, loads
from tests.databases import Database, memory_database, sqlite_database
from tests.models import depot
from tests.models.depot import Box, Depot, Shelf, Tag
from tests.session.attach_model import KINDS, Clash, Key, Row, Rows, Stay, copied, predict

WHOLE = selectinload(Depot.children).selectinload(Shelf.children).selectinload(Box.tags)
TAGS = ("red", "green", "blue")

WHO = st.integers(0, 3)
PLACES = st.integers(0, 5)  # what an edit is about, by its place in the graph
EDITS = st.one_of(
    st.tuples(st.just("set"), PLACES, st.sampled_from("ab"), st.integers(0, 3)),
    st.tuples(st.just("add"), PLACES),
    st.tuples(st.just("remove"), PLACES),
    st.tuples(st.just("move"), PLACES, PLACES, st.booleans()),
    st.tuples(st.just("tag"), PLACES, st.sampled_from(TAGS)),
)
STEPS = 40  # of one example
IN_SUITE = settings().max_examples == 100
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]  # what explains a failure takes minutes here


# --- the real thing, seen as rows -----------------------------------------------------------------------------------


def key_of(obj: Any) -> Key:
    return type(obj).__name__, obj.label


def row_of(obj: Any, parent: Any) -> Row:
    tags = frozenset(tag.label for tag in obj.tags) if isinstance(obj, Box) else frozenset()
    return {"a": obj.a, "b": obj.b, "parent": None if parent is None else key_of(parent), "tags": tags}


def walk(depots: Iterable[Depot]) -> Iterator[tuple[Any, Any]]:
    """(object, what holds it), from above."""
    for one in depots:
        yield one, None
        for shelf in one.children:
            yield shelf, one
            for box in shelf.children:
                yield box, shelf


def graph_rows(depots: Iterable[Depot]) -> Rows:
    return {key_of(obj): row_of(obj, parent) for obj, parent in walk(depots)}


@dataclass
class Away:
    """A graph that is away, and what the model knows of it."""

    depots: list[Depot]
    tags: list[Tag]
    stay: Stay

    @property
    def given(self) -> list[Any]:
        return [*self.depots, *self.tags]


@dataclass
class Writer:
    """One of those who work, with a session of their own."""

    session: Session
    away: Away | None = None
    kept: list[Any] = field(default_factory=list)  # what the session goes on holding, as it was then


class Writers(RuleBasedStateMachine):
    """The steps. Who and what each is about is drawn as a number, and found by its place among what there is."""

    engine: Engine
    counts: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.rows: Rows = {}  # what the tables hold, by the model
        self.keys: dict[Any, Key] = {}  # identity -> key
        self.writers: list[Writer] = []
        self.serial = 0

    @initialize(
        shape=st.lists(st.lists(st.integers(0, 2), max_size=2), min_size=1, max_size=2),
        writers=st.integers(2, 4),
        expire=st.booleans(),
    )
    def open(self, shape: list[list[int]], writers: int, expire: bool) -> None:
        """Depots of so many shelves of so many boxes."""
        self.counts["worlds"] += 1
        with Session(self.engine) as session:
            for table in reversed(depot.Base.metadata.sorted_tables):
                session.execute(delete(table))
            session.add_all(Tag(label=label) for label in TAGS)
            for shelves in shape:
                top = self.make(Depot)
                session.add(top)
                for boxes in shelves:
                    shelf = self.make(Shelf)
                    top.children.append(shelf)
                    shelf.children += [self.make(Box) for _ in range(boxes)]
            session.commit()
        self.rows = self.stored()
        self.writers = [Writer(Session(self.engine, expire_on_commit=expire)) for _ in range(writers)]

    def teardown(self) -> None:
        for writer in self.writers:
            writer.session.close()

    def make(self, class_: type[Any]) -> Any:
        self.serial += 1
        return class_(label=str(self.serial), a=0, b=0)

    def stored(self) -> Rows:
        """What the tables hold in truth."""
        with Session(self.engine) as session:
            depots = session.scalars(select(Depot).options(WHOLE).order_by(Depot.id)).all()
            self.keys.update((inspect(obj).key, key_of(obj)) for obj, _ in walk(depots))
            return graph_rows(depots)

    # --- going away ---

    @precondition(lambda self: any(writer.away is None for writer in self.writers))
    @rule(which=st.integers(0, 3), copy=st.booleans())
    def leave(self, which: int, copy: bool) -> None:
        """Whoever is at home leaves, with some of the depots; which ones stay, the bits of a number say."""
        self.counts["steps"] += 1
        for writer in self.writers:
            if writer.away is None:
                self.send(writer, which, copy)

    def send(self, writer: Writer, which: int, copy: bool) -> Away:
        session = writer.session
        session.expire_all()
        found = session.scalars(select(Depot).order_by(Depot.id)).all()
        chosen = [one for place, one in enumerate(found) if not which >> place & 1] or found
        roots: list[Any] = [*chosen, *session.scalars(select(Tag).order_by(Tag.id))]
        left = detach(session, roots, *([WHOLE] if chosen else []), copy=copy)
        session.commit()
        writer.kept = [one for one in found if one in session]
        depots, tags = sorted_out(left)
        base = graph_rows(depots)
        assert base == {key: self.rows[key] for key in base}
        writer.away = Away(depots, tags, Stay(base, copied(base)))
        return writer.away

    def one_away(self, who: int) -> tuple[Writer, Away]:
        writer = self.writers[who % len(self.writers)]
        return writer, writer.away or self.send(writer, 0, copy=False)

    @rule(who=WHO, encoding=st.sampled_from(["json", "msgpack"]))
    def travel(self, who: int, encoding: Any) -> None:
        self.counts["steps"] += 1
        self.counts["through bytes"] += 1
        _, away = self.one_away(who)
        away.depots, away.tags = sorted_out(loads(dumps(away.given, format=encoding), depot.Base))

    # --- work ---

    @rule(who=WHO, todo=st.lists(EDITS, min_size=1, max_size=4))
    def work(self, who: int, todo: list[tuple[Any, ...]]) -> None:
        self.counts["steps"] += 1
        _, away = self.one_away(who)
        for edit in todo:
            Desk(away.stay, away.depots, away.tags, self.make).do(*edit)
            assert graph_rows(away.depots) == away.stay.present()

    @rule(todo=st.lists(st.one_of(EDITS, st.tuples(st.just("close"), PLACES)), min_size=1, max_size=3))
    def work_at_home(self, todo: list[tuple[Any, ...]]) -> None:
        """Somebody who never left commits one edit after the other, without attach."""
        self.counts["steps"] += 1
        for edit in todo:
            with Session(self.engine) as session:
                depots = session.scalars(select(Depot).options(WHOLE).order_by(Depot.id)).all()
                tags = session.scalars(select(Tag)).all()
                desk = Desk(Stay(self.rows, copied(self.rows)), list(depots), tags, self.make)
                desk.do(*edit)
                session.add_all(desk.depots)
                for closed in set(depots) - set(desk.depots):
                    session.delete(closed)
                session.commit()
            self.rows = desk.stay.present()
        assert self.stored() == self.rows

    # --- coming home ---

    @rule(
        who=WHO,
        on_conflict=st.sampled_from(["raise", "mine", "theirs", "function"]),
        on_missing=st.sampled_from(["raise", "recreate", "skip"]),
        verify=st.sampled_from(["changed", "all"]),
        lock=st.booleans(),
        look_first=st.booleans(),
    )
    def come_home(self, who: int, on_conflict: str, on_missing: Any, verify: Any, lock: bool, look_first: bool) -> None:
        self.counts["steps"] += 1
        writer, away = self.one_away(who)
        session = writer.session
        expected = predict(
            away.stay,
            self.rows,
            DECIDE.get(on_conflict, lambda clash: clash.mine),
            recreate=on_missing == "recreate",
            clean_roots=verify == "all",
        )
        raising = [one for one in expected.clashes if (on_missing if one.attribute is None else on_conflict) == "raise"]
        policy: Any = self.ask if on_conflict == "function" else on_conflict
        bring = partial(
            attach, session, away.given, on_conflict=policy, on_missing=on_missing, verify=verify, lock=lock
        )
        if look_first:
            assert self.told(bring(dry_run=True).conflicts) == in_order(expected.clashes)
            session.rollback()
        if raising:
            with pytest.raises(ConflictError) as refused:
                bring()
            session.rollback()
            assert self.told(refused.value.conflicts) == in_order(raising)
            assert graph_rows(away.depots) == away.stay.present()
            self.counts["refused"] += 1
        else:
            report = bring()
            assert self.told(report.conflicts) == in_order(expected.clashes)
            session.commit()
            self.rows = expected.rows
            writer.kept += report.instances
            writer.away = None
            self.counts["attached"] += 1
            self.counts["conflicts decided"] += len(expected.clashes)
        assert self.stored() == self.rows

    def ask(self, conflict: Conflict) -> Any:
        """The function that decides."""
        return by_label(self.keys[conflict.identity], conflict.attribute, conflict.mine, conflict.theirs)

    def told(self, conflicts: Iterable[Conflict]) -> list[Clash]:
        """Conflicts in the model's words."""
        return in_order(
            Clash(self.keys[one.identity], None)
            if one.missing
            else Clash(
                self.keys[one.identity], one.attribute, *(self.named(side) for side in (one.base, one.mine, one.theirs))
            )
            for one in conflicts
        )

    def named(self, side: Any) -> Any:
        if isinstance(side, tuple):
            return self.keys[side]
        return key_of(side) if isinstance(side, depot.Base) else side


def sorted_out(roots: Iterable[Any]) -> tuple[list[Depot], list[Tag]]:
    together = list(roots)
    return [one for one in together if isinstance(one, Depot)], [one for one in together if isinstance(one, Tag)]


def by_label(key: Key, attribute: str | None, mine: Any, theirs: Any) -> Any:
    """What the function decides: numbers are added up; else every other row is mine."""
    if attribute in ("a", "b"):
        return mine + theirs
    return mine if int(key[1]) % 2 else theirs


DECIDE: dict[str, Callable[[Clash], Any]] = {
    "theirs": lambda clash: clash.theirs,
    "function": lambda clash: by_label(clash.key, clash.attribute, clash.mine, clash.theirs),
}


def in_order(clashes: Iterable[Clash]) -> list[Clash]:
    return sorted(clashes, key=repr)


class Desk:
    """Where somebody works: each edit is made on the objects and in the model."""

    def __init__(self, stay: Stay, depots: list[Depot], tags: Iterable[Tag], make: Callable[[type[Any]], Any]) -> None:
        self.stay = stay
        self.depots = depots
        self.objects = {key_of(obj): obj for obj, _ in walk(depots)}
        self.tags = {tag.label: tag for tag in tags}
        self.make = make

    def do(self, what: str, *how: Any) -> None:
        getattr(self, what)(*how)

    def pick(self, number: int, *kinds: str) -> Key | None:
        keys = [key for key in self.objects if key[0] in kinds]
        return keys[number % len(keys)] if keys else None

    def set(self, place: int, column: str, value: int) -> None:
        if (key := self.pick(place, *KINDS)) is not None:
            setattr(self.objects[key], column, value)
            self.stay.hand[key][column] = value

    def add(self, place: int) -> None:
        owner = self.pick(place, "Depot", "Shelf") if place else None
        new = self.make(Depot if owner is None else Shelf if owner[0] == "Depot" else Box)
        if owner is None:
            self.depots.append(new)
        else:
            self.objects[owner].children.append(new)
        self.stay.hand[key_of(new)] = {"a": 0, "b": 0, "parent": owner, "tags": frozenset()}

    def remove(self, place: int) -> None:
        key = self.pick(place, "Shelf", "Box")
        if key is None or (key not in self.stay.base and any(one in self.stay.base for one in self.stay.family(key))):
            return  # SQLAlchemy cannot flush what was put into a new object that is then taken out again
        self.objects[key].parent.children.remove(self.objects[key])
        self.stay.remove(key)

    def close(self, place: int) -> None:
        """A whole depot goes: nobody has it in a collection, so this is done at home."""
        if (key := self.pick(place, "Depot")) is not None:
            self.depots.remove(self.objects[key])
            self.stay.remove(key)

    def move(self, place: int, where: int, by_reference: bool) -> None:
        key = self.pick(place, "Shelf", "Box")
        target = None if key is None else self.pick(where, KINDS[KINDS.index(key[0]) - 1])
        if key is None or target is None or target == self.stay.hand[key]["parent"]:
            return
        obj, owner = self.objects[key], self.objects[target]
        if by_reference:
            obj.parent = owner
        else:
            owner.children.append(obj)
        self.stay.hand[key]["parent"] = target

    def tag(self, place: int, label: str) -> None:
        if (key := self.pick(place, "Box")) is not None:
            box, tag = self.objects[key], self.tags[label]
            if tag in box.tags:
                box.tags.remove(tag)
            else:
                box.tags.append(tag)
            self.stay.hand[key]["tags"] ^= {label}


# --- on each database ------------------------------------------------------------------------------------------------


@contextmanager
def place(name: str, directory: Path, engine_of: Callable[[str], Engine]) -> Iterator[Database]:
    if name == "memory":
        with memory_database() as database:
            yield database
    elif name == "file":
        with sqlite_database(directory) as database:
            yield database
    else:
        database = Database(name, engine_of(name))
        try:
            yield database
        finally:
            database.clean()


@pytest.mark.parametrize("name", ["memory", "file", "postgresql"])
def test_what_writers_bring_home_is_what_the_model_predicts(
    name: str,
    tmp_path: Path,
    engine_of: Callable[[str], Engine],
    record_property: Callable[[str, object], None],
) -> None:
    in_suite, share = {"memory": (30, 20), "file": (25, 20), "postgresql": (6, 200)}[name]
    examples = in_suite if IN_SUITE else max(1, settings().max_examples // share)
    record_property("database", "postgresql" if name == "postgresql" else "sqlite")
    counts: Counter[str] = Counter()
    with place(name, tmp_path, engine_of) as database:
        database.create(depot.Base.metadata)
        machine = type("Writers", (Writers,), {"engine": database.engine, "counts": counts})
        try:
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=STEPS,
                    phases=PHASES,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            told = ", ".join(f"{number:,} {what}" for what, number in counts.items())
            record_property("told", f"attach against the model, {name}: {told}")
