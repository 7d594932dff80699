"""What comes home through bytes writes what would have come home without them: the same random graph is attached as it
is and as the copy that `loads` made of it, while others change rows in between, and the tables end up the same.

Both attach in a transaction of the same database that is rolled back, so each starts from the same rows. Keys that the
database makes depend on the order of the INSERTs, so rows that are new are told by what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import event as note
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, String, Table, inspect, select, update
from sqlalchemy.exc import CircularDependencyError, SQLAlchemyError
from sqlalchemy.orm import Session

from sojourn.errors import SojournError
from sojourn.mapping.blueprint import Relationship, blueprint
from sojourn.mapping.identity import make_identity
from sojourn.session.attach import attach
from sojourn.session.keys import pointed
from sojourn.snapshot import dumps, loads
from sojourn.sqlalchemy_internals import is_orphan
from tests.snapshot.laws import ENCODINGS, everything, name_of
from tests.snapshot.worlds import METADATAS, MODELS, Dice, draw_graph, world

TABLES: list[Table] = [table for metadata in METADATAS for table in metadata.sorted_tables]


EXAMPLES = 50 if settings().max_examples == 100 else settings().max_examples  # few in the suite
PHASES = [Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink]  # what explains a failure takes minutes here


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = world()
    yield engine
    engine.dispose()


# --- what the tables hold --------------------------------------------------------------------------------------------


def contents(connection: Connection) -> dict[str, dict[Any, Any]]:
    """Every row of every table, by its primary key."""
    return {
        table.name: {tuple(row[column] for column in table.primary_key): dict(row) for row in rows}
        for table in TABLES
        for rows in [connection.execute(select(table)).mappings().all()]
    }


def told(tables: dict[str, dict[Any, Any]], base: dict[str, dict[Any, Any]]) -> dict[str, list[str]]:
    """The rows as text without generated keys: what is new is named by what it holds, and by what it refers to."""
    return {
        table.name: sorted(
            f"{_name(tables, base, table, key)}: {_cells(tables, base, table, row, ())}"
            for key, row in tables[table.name].items()
        )
        for table in TABLES
    }


def _name(tables: Any, base: Any, table: Table, key: tuple[Any, ...], seen: tuple[Any, ...] = ()) -> str:
    row = tables[table.name].get(key)
    if key in base[table.name] or row is None or (table.name, key) in seen:
        return f"{table.name}{key}"
    return f"new {table.name}({_cells(tables, base, table, row, (*seen, (table.name, key)))})"


def _cells(tables: Any, base: Any, table: Table, row: dict[str, Any], seen: tuple[Any, ...]) -> str:
    cells = []
    for column in table.columns:
        value = row[column.name]
        for foreign in column.foreign_keys if len(column.foreign_keys) == 1 and value is not None else ():
            target = foreign.column.table
            if len(target.primary_key) == 1:
                value = _name(tables, base, target, (value,), seen)
        if column.foreign_keys or not column.primary_key or value in [key[0] for key in base[table.name]]:
            cells.append(f"{column.name}={value!r}")
    return ", ".join(cells)


# --- both ways home --------------------------------------------------------------------------------------------------


def others_work(dice: Dice, connection: Connection, objs: list[Any]) -> None:
    """Somebody else changes a column, or removes what hangs on nothing, of some of the rows of the graph."""
    for obj in dice.some_of([obj for obj in objs if inspect(obj).key], 2) if objs else ():
        table: Any = blueprint(obj).mapper.local_table
        texts = [one for one in table.columns if not one.foreign_keys and isinstance(one.type, String)]
        identity = zip(table.primary_key, inspect(obj).key[1], strict=True)
        where = [column == value for column, value in identity]
        if texts:
            column = dice.one_of(texts)
            if not column.primary_key and column.name != "kind":
                text = f"theirs {dice.number(0, 9)} {inspect(obj).key[1]}"  # no two rows get the same: some are unique
                connection.execute(update(table).where(*where).values({column.name: text}))


def come_home(engine: Engine, objs: list[Any], others: Any, **how: Any) -> Any:
    """What the tables hold afterwards, and what the report says; or the error."""
    with Session(engine, autoflush=False) as session:
        connection = session.connection()
        base = contents(connection)
        others(connection)
        try:
            report = attach(session, objs, **how)
            session.flush()
        except (SojournError, SQLAlchemyError, AssertionError) as error:  # the last is SQLAlchemy's, too
            return type(error), conflicts_of(error)
        finally:
            after = contents(connection)
            session.rollback()
        counts = [len(some) for some in (report.inserted, report.updated, report.deleted)]
        return told(after, base), counts, conflicts_of(report)


def conflicts_of(found: Any) -> list[Any]:
    return sorted(str((one.identity, one.attribute, one.missing)) for one in getattr(found, "conflicts", ()))


def is_put_below_removed(objs: list[Any]) -> bool:
    """Whether something was put into what goes with a removed object, which that object itself does not know, as its
    collection is not loaded. SQLAlchemy, too, deletes it or not, as the order of its sets has it."""
    known = {inspect(obj).key: obj for obj in objs}

    def owners(obj: Any) -> Iterator[tuple[Any, Relationship]]:
        for rel in blueprint(obj).relationships.values():
            owning = blueprint(rel.target).relationships.get(rel.inverse or "") if not rel.many else None
            if owning is not None and owning.owns:
                key = pointed(tuple(obj.__dict__.get(name) for name in rel.local_key))
                owner = obj.__dict__.get(rel.key) or (
                    known.get(make_identity(blueprint(rel.target), key)) if key else None
                )
                if owner is not None:
                    yield owner, owning

    def is_below(obj: Any, seen: tuple[Any, ...] = ()) -> bool:
        return any(
            (is_orphan(inspect(owner)) and owning.key not in owner.__dict__) or is_below(owner, (*seen, obj))
            for owner, owning in owners(obj)
            if all(owner is not one for one in seen)
        )

    return any(is_below(owner) for obj in objs if inspect(obj).modified for owner, _ in owners(obj))


def writes_the_same(engine: Engine, dice: Dice) -> str:
    with Session(engine, autoflush=False) as session:
        roots = draw_graph(dice, session, flushable=True)
        data = dumps(roots, format=dice.one_of(ENCODINGS))
        session.expunge_all()
    copies = loads(data, MODELS)
    orphans = [{name_of(obj) for obj in everything(some) if is_orphan(inspect(obj))} for some in (roots, copies)]
    if orphans[0] != orphans[1]:
        return "an orphan that no owner lost"  # see tests/snapshot/laws.py
    if any(is_orphan(inspect(obj)) and inspect(obj).key is None for obj in everything(roots)):
        return "a new orphan"  # inserted, or left out without a word, as SQLAlchemy saw it come and go
    seed = [dice.number(0, 9) for _ in range(12)]

    def others(connection: Connection) -> None:
        numbers = iter([*seed, *[0] * 20])
        others_work(Dice(lambda least, most: least + next(numbers) % (most - least + 1)), connection, known)

    known = sorted((obj for obj in everything(copies) if inspect(obj).key), key=lambda obj: str(name_of(obj)))
    how = {
        "on_conflict": dice.one_of(["raise", "mine", "theirs"]),
        "verify": dice.one_of(["changed", "all", "none"]),
        "on_missing": dice.one_of(["raise", "recreate", "skip"]),
    }
    below_removed = is_put_below_removed(everything(roots))
    by_bytes = come_home(engine, copies, others, **how)
    directly = come_home(engine, roots, others, **how)
    if CircularDependencyError in (by_bytes[0], directly[0]):
        return "a cycle"  # SQLAlchemy only sees it where all of it is dirty, as what was set and set back is
    if AssertionError in (by_bytes[0], directly[0]):
        # An association object that left one owner and got another of the other kind: SQLAlchemy, also without sojourn,
        # deletes it or breaks off at its primary key, as the order of its sets has it.
        return "a key that cannot be blanked out"
    if below_removed and by_bytes != directly:
        return "put below what is removed"
    assert by_bytes == directly
    return "refused" if isinstance(directly[0], type) else "written"


@settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], phases=PHASES, max_examples=EXAMPLES
)
@given(st.data())
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
def test_attaching_a_copy_writes_the_rows_that_attaching_the_original_writes(
    engine: Engine, data: st.DataObject
) -> None:
    note(writes_the_same(engine, Dice(lambda least, most: data.draw(st.integers(least, most)))))
