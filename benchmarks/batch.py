"""`python -m benchmarks.batch`: one column of many rows is updated through ORM objects, side by side.

- `process`: this library, with its ledger, its lease and its locks;
- `yield_per, then a commit`: one SELECT, streamed; one flush and commit at the end. It cannot be resumed;
- `keyset, flush, commit`: a good loop as one writes it by hand: a chunk a transaction, flushed. No ledger;
- `keyset, one UPDATE a chunk`: the same with the changes collected and written through Core;
- `floor`: tuples and Core's executemany, no objects at all.

The sides run by turns, each round beginning with another one; the medians count. Wall clock.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from sqlalchemy import Engine, String, bindparam, func, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sojourn.batch import ledger
from sojourn.batch.process import process
from tests.databases import server_engine, sqlite_database

CHUNK = 1000


class Base(DeclarativeBase):
    pass


class Parcel(Base):
    """A row of six columns, as jobs meet them."""

    __tablename__ = "bench_parcel"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    weight: Mapped[int]
    price: Mapped[float]
    note: Mapped[str | None] = mapped_column(String(50))
    size: Mapped[str | None] = mapped_column(String(10))


TABLE = Parcel.__table__
WRITE = update(Parcel.__table__).where(TABLE.c.id == bindparam("the_id")).values(size=bindparam("the_size"))  # type: ignore[arg-type]


def size_of(weight: int) -> str:
    return "heavy" if weight > 50 else "light"


def classify(parcel: Parcel) -> None:
    """The function of the job."""
    parcel.size = size_of(parcel.weight)


def by_process(engine: Engine) -> None:
    process(sessionmaker(engine), select(Parcel), classify, name="bench", chunk=CHUNK, progress=False)


def by_yield_per(engine: Engine) -> None:
    with Session(engine) as session:
        for parcel in session.scalars(select(Parcel).execution_options(yield_per=CHUNK)):
            classify(parcel)
        session.commit()


def keyset(write: Callable[[Session, list[Parcel]], None]) -> Callable[[Engine], None]:
    def run(engine: Engine) -> None:
        last = 0
        while True:
            with Session(engine) as session:
                statement = select(Parcel).where(Parcel.id > last).order_by(Parcel.id).limit(CHUNK)
                parcels = list(session.scalars(statement))
                if not parcels:
                    return
                last = parcels[-1].id
                for parcel in parcels:
                    classify(parcel)
                write(session, parcels)
                session.commit()

    return run


def flush(session: Session, _parcels: list[Parcel]) -> None:
    session.flush()


def one_update(session: Session, parcels: list[Parcel]) -> None:
    rows = [{"the_id": one.id, "the_size": one.size} for one in parcels]
    session.expunge_all()
    session.connection().execute(WRITE, rows)


def floor(engine: Engine) -> None:
    last = 0
    with engine.connect() as connection:
        while True:
            statement = select(TABLE.c.id, TABLE.c.weight).where(TABLE.c.id > last).order_by(TABLE.c.id).limit(CHUNK)
            rows = connection.execute(statement).all()
            if not rows:
                return
            last = rows[-1][0]
            connection.execute(WRITE, [{"the_id": id_, "the_size": size_of(weight)} for id_, weight in rows])
            connection.commit()


SIDES: dict[str, Callable[[Engine], None]] = {
    "process": by_process,
    "yield_per, then a commit": by_yield_per,
    "keyset, flush, commit": keyset(flush),
    "keyset, one UPDATE a chunk": keyset(one_update),
    "floor": floor,
}


def fresh(engine: Engine, rows: int) -> None:
    """Every row as at the beginning, and an empty ledger."""
    Base.metadata.drop_all(engine)
    ledger.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    values: list[dict[str, Any]] = [
        {"id": n, "name": f"parcel {n}", "weight": n % 97, "price": n / 7, "note": None, "size": None}
        for n in range(1, rows + 1)
    ]
    with engine.begin() as connection:
        connection.execute(insert(Parcel), values)


def check(engine: Engine, rows: int) -> None:
    """Each side has to have done the work."""
    with engine.connect() as connection:
        per_size = select(TABLE.c.size, func.count()).group_by(TABLE.c.size)
        found = {row[0]: row[1] for row in connection.execute(per_size)}
    heavy = sum(n % 97 > 50 for n in range(1, rows + 1))
    assert found == {"heavy": heavy, "light": rows - heavy}, found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        engines = [stack.enter_context(sqlite_database(directory)).engine]
        engines.append(stack.enter_context(server_engine("postgresql")))
        for engine in engines:
            seconds: dict[str, list[float]] = {name: [] for name in SIDES}
            names = list(SIDES)
            for turn in range(options.rounds):
                for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
                    fresh(engine, options.rows)
                    started = perf_counter()
                    SIDES[name](engine)
                    seconds[name].append(perf_counter() - started)
                    check(engine, options.rows)
            own = median(seconds["process"])
            print(f"{engine.dialect.name}, {options.rows:,} rows, {options.rounds} rounds:")
            for name, found in seconds.items():
                shown = " ".join(f"{one:.2f}" for one in sorted(found))
                print(f"  {name:28} {median(found):7.2f} s  {median(found) / own:5.2f} x process   ({shown})")


if __name__ == "__main__":
    main()
