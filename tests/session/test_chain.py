"""A chain of 100,000 linked objects: every step of a sojourn takes it, without recursion and in one statement a table.

pickle fails at a depth of 250 and `Session.merge` at 1,000. The steps share one database and one detached chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import pytest
from sqlalchemy import func, literal, select
from sqlalchemy.orm import selectinload

from sojourn.session.attach import attach
from sojourn.session.clone import clone
from sojourn.session.detach import detach
from sojourn.session.merge import merge
from sojourn.snapshot import dumps, loads
from tests.databases import Database, sqlite_database
from tests.models import keys
from tests.models.keys import Legacy

LONG = 100_000


class Chain(NamedTuple):
    """Where the rows are, the last object of the chain, which leads to all others, and what its departure took."""

    database: Database
    last: Legacy
    statements: int


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with sqlite_database(tmp_path_factory.mktemp("chain")) as database:
        database.create(keys.Base.metadata)
        with database.session() as session:
            number = select(literal(1).label("id")).cte(recursive=True)
            number = number.union_all(select(number.c.id + 1).where(number.c.id < LONG))
            rows = select(number.c.id, literal("n"), func.nullif(number.c.id - 1, 0))
            table: Any = Legacy.__table__
            session.execute(table.insert().from_select(list(table.columns), rows))
            session.commit()
            objs = session.scalars(select(Legacy).order_by(Legacy.id)).all()
            with database.statements() as log:
                last = detach(session, objs, selectinload(Legacy.parent))[-1]
        yield Chain(database, last, len(log))


def depth(obj: Legacy | None, ends_with: str) -> int:
    """The number of objects of a chain, of which the first has this name."""
    count, first = 0, obj
    while obj is not None:
        obj, first, count = obj.parent, obj, count + 1
    assert first is not None
    assert first.name == ends_with
    return count


def test_it_leaves_in_one_statement_at_most(chain: Chain) -> None:
    assert depth(chain.last, "n") == LONG
    assert chain.statements <= 1


@pytest.mark.parametrize("format_", ["json", "msgpack"])
def test_it_travels_as_bytes_and_comes_home_in_one_statement(chain: Chain, format_: Literal["json", "msgpack"]) -> None:
    (copy,) = loads(dumps(chain.last, format=format_), Legacy)
    copy.name = format_
    with chain.database.session() as session, chain.database.statements() as log:
        report = attach(session, copy)
        assert (len(report.updated), len(report.unchanged)) == (1, LONG - 1)
        assert len(log) == report.statements == 1
        session.flush()
        assert (len(log.updates), len(log)) == (1, 2)
        assert depth(copy, "n") == LONG
        session.rollback()


def test_it_is_merged_in_one_statement(chain: Chain) -> None:
    with chain.database.session() as session, chain.database.statements() as log:
        merged = merge(session, chain.last)
        assert len(log) == 1
        assert merged is not chain.last
        assert depth(merged, "n") == LONG
        assert len(log) == 1
        session.rollback()


def test_a_clone_of_it_is_as_long(chain: Chain) -> None:
    assert depth(clone(chain.last, deep=[Legacy.parent]), "n") == LONG
