"""`write` leaves in the database what a flush leaves: the same edits by both, the same rows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete, event, select
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.orm.exc import StaleDataError

from sojourn.batch.write import write
from tests.databases import Database
from tests.models import all_types, columns, inheritance, jobs, keys

Edit = Callable[[Session], None]


def all_rows(session: Session, base: type[DeclarativeBase]) -> dict[str, list[Any]]:
    """Every row of every table, as the driver gives them."""
    found = {}
    for table in base.metadata.sorted_tables:
        assert isinstance(table, Table)
        rows = session.connection().execute(select(table).order_by(*table.primary_key.columns))
        found[table.name] = [tuple(row) for row in rows]
    return found


def compare(database: Database, base: type[DeclarativeBase], edit: Edit) -> int:
    """Both ways of writing an edit, each rolled back, and their rows compared; gives the statements of `write`."""
    with database.session(autoflush=False) as session:
        edit(session)
        session.flush()
        expected = all_rows(session, base)
    with database.session(autoflush=False) as session:
        edit(session)
        written = write(session)
        assert all_rows(session, base) == expected
        assert not session.dirty
        session.flush()
        assert all_rows(session, base) == expected
    return written


NAMES = list(all_types.SAMPLE)
VALUES = {name: [None, all_types.SAMPLE[name], all_types.EDGES[name]] for name in NAMES}


@pytest.fixture
def types(database: Database) -> Database:
    database.create(all_types.Base.metadata)
    with database.session() as session:
        session.add_all([all_types.AllTypes(id=1), all_types.AllTypes(id=2, **all_types.SAMPLE)])
        session.add(all_types.AllTypes(id=3, **all_types.EDGES))
        session.commit()
    return database


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_each_type_takes_every_value(types: Database, name: str) -> None:
    for turn in (1, 2):

        def edit(session: Session, turn: int = turn) -> None:
            for place, row in enumerate(session.scalars(select(all_types.AllTypes).order_by(all_types.AllTypes.id))):
                setattr(row, name, VALUES[name][(place + turn) % 3])

        assert compare(types, all_types.Base, edit) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 4)
@given(
    edits=st.dictionaries(
        st.tuples(st.sampled_from([1, 2, 3]), st.sampled_from(NAMES)), st.integers(0, 2), min_size=1, max_size=12
    )
)
def test_any_mixture_of_columns_is_written_alike(types: Database, edits: dict[tuple[int, str], int]) -> None:
    def edit(session: Session) -> None:
        for (id_, name), choice in edits.items():
            setattr(session.get_one(all_types.AllTypes, id_), name, VALUES[name][choice])

    compare(types, all_types.Base, edit)


def test_a_text_that_is_too_long_is_refused_and_not_cut_off(database: Database) -> None:
    if database.name == "sqlite":
        pytest.skip("SQLite has no lengths")
    database.create(jobs.Base.metadata)
    with database.session() as session:
        jobs.fill(session, 3)
        session.commit()
    with database.session() as session:
        for task in session.scalars(select(jobs.Task)):
            task.label = "x" * 41
        with pytest.raises(Exception, match=r"too long|Data too long"):
            write(session)


@pytest.fixture
def odd(database: Database) -> Database:
    database.create(columns.Base.metadata)
    with database.session() as session:
        for id_ in (1, 2, 3):
            session.add(columns.Audited(id=id_, name=f"n{id_}"))
            session.add(columns.Settings(id=id_, name="s", plain={"a": 1}, tracked={"a": [1]}))
            session.add(columns.Shape(id=id_, name="s", start=columns.Point(1, 2), end=None))
            session.add(columns.Document(id=id_, title="t", body="b"))
        session.commit()
    return database


def each(model: Any, change: Callable[[Any], None]) -> Edit:
    def edit(session: Session) -> None:
        for row in session.scalars(select(model).order_by(*model.__table__.primary_key.columns)):
            change(row)

    return edit


def rename(row: Any) -> None:
    row.name = f"{row.name}!"


def set_and_set_back(row: Any) -> None:
    before = row.name
    rename(row)
    row.name = before


CASES: dict[str, tuple[Any, Callable[[Any], None], bool]] = {
    "onupdate, in Python and as SQL": (columns.Audited, rename, True),
    "JSON": (columns.Settings, lambda row: setattr(row, "plain", None), True),
    "Mutable, in place": (columns.Settings, lambda row: row.tracked.update(b=2), True),
    "Mutable, another": (columns.Settings, lambda row: setattr(row, "tracked", {"c": 3}), True),
    "composite": (columns.Shape, lambda row: setattr(row, "start", columns.Point(3, 4)), False),
    "version": (columns.Document, lambda row: setattr(row, "title", "other"), False),
    "SQL": (columns.Audited, lambda row: setattr(row, "name", columns.Audited.name + "!"), False),
    "primary key": (columns.Audited, lambda row: setattr(row, "id", row.id + 100), False),
    "set and set back": (columns.Audited, set_and_set_back, True),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_column_is_written_as_a_flush_writes_it(odd: Database, case: str) -> None:
    model, change, fast = CASES[case]
    statements = compare(odd, columns.Base, each(model, change))
    assert statements == (1 if fast and case != "set and set back" else 0)


def test_composite_keys_and_names_of_their_own(database: Database) -> None:
    database.create(keys.Base.metadata)
    with database.session() as session:
        session.add_all([keys.Shelf(room=room, number=n, label="x") for room in "ba" for n in (2, 1)])
        session.add_all([keys.Country(code=code, name=code) for code in ("no", "dk")])
        session.add_all([keys.Ticket(subject=str(n)) for n in range(3)])
        session.commit()

    def edit(session: Session) -> None:
        for shelf in session.scalars(select(keys.Shelf)):
            shelf.label = f"{shelf.room}{shelf.number}"
        for country in session.scalars(select(keys.Country)):
            rename(country)
        for ticket in session.scalars(select(keys.Ticket)):
            ticket.subject += "!"

    assert compare(database, keys.Base, edit) == 3


def test_one_table_for_several_classes_is_written_and_joined_ones_are_flushed(database: Database) -> None:
    database.create(inheritance.Base.metadata)
    with database.session() as session:
        session.add_all([inheritance.Dog(name="d", tricks=1), inheritance.Cat(name="c"), inheritance.Animal(name="a")])
        session.add(inheritance.Car(plate="p", doors=2))
        session.commit()

    def animals(session: Session) -> None:
        for animal in session.scalars(select(inheritance.Animal)):
            rename(animal)
            if isinstance(animal, inheritance.Dog):
                animal.tricks = None

    def all_of_them(session: Session) -> None:
        animals(session)
        session.scalars(select(inheritance.Car)).one().doors = 4

    assert compare(database, inheritance.Base, animals) == 3
    assert compare(database, inheritance.Base, all_of_them) == 0


@pytest.mark.parametrize("name", ["before_flush", "after_flush", "after_flush_postexec"])
def test_who_asked_to_be_told_of_flushes_is_told(odd: Database, name: str) -> None:
    told = []
    with odd.session() as session:
        event.listen(session, name, lambda *_: told.append(name))
        each(columns.Audited, rename)(session)
        assert write(session) == 0
    assert told


@pytest.mark.parametrize("name", ["before_update", "after_update"])
def test_who_asked_to_be_told_of_updates_is_told(odd: Database, name: str) -> None:
    told = []

    def listen(_mapper: Any, _connection: Any, target: Any) -> None:
        told.append(target.id)

    event.listen(columns.Audited, name, listen)
    try:
        with odd.session() as session:
            each(columns.Audited, rename)(session)
            assert write(session) == 0
    finally:
        event.remove(columns.Audited, name, listen)
    assert sorted(told) == [1, 2, 3]


def test_a_row_that_is_gone_is_the_error_that_a_flush_raises(database: Database) -> None:
    database.create(jobs.Base.metadata)
    with database.session() as session:
        jobs.fill(session, 3)
        session.commit()
    with database.session() as session:
        for task in session.scalars(select(jobs.Task)):
            task.count = 7
        session.connection().execute(delete(jobs.Task).where(jobs.Task.id == 2))
        with pytest.raises(StaleDataError, match="expected to update 3 row"):
            write(session)


def test_decimals_and_times_go_row_by_row_and_stay_exact(types: Database) -> None:
    def edit(session: Session) -> None:
        for row in session.scalars(select(all_types.AllTypes)):
            row.a_decimal = Decimal("99999999.9999")

    if types.name != "sqlite":
        assert compare(types, all_types.Base, edit) == 1
