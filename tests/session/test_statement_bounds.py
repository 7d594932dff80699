"""Law 3 on a graph of 400 customers with 3 orders of 3 lines, so 5,200 objects in three tables: more than a chunk, and
less than the graph of the design, whose statements the benchmarks count.

SQLite and PostgreSQL take any number of keys as one parameter, so a verb takes one SELECT a table. MariaDB takes them
in chunks of 1,000, and one SELECT more for a locked table in which members are looked for, in a new transaction. A
flush of edits takes one executemany UPDATE a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, load_only, selectinload

from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.merge import merge
from sojourn.session.prefetch import prefetch
from sojourn.session.refresh import refresh
from tests.databases import NAMES, Database, sqlite_database
from tests.models import shop
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import WHOLE_SHOP, columns_set
from tests.statements import StatementLog

CUSTOMERS, ORDERS, LINES = 400, 1200, 3600
ALL = CUSTOMERS + ORDERS + LINES


@pytest.fixture(scope="module", params=NAMES)
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_of: Callable[[str], Engine]
) -> Iterator[Database]:
    """The shop of 5,200 rows, filled once; every test leaves it as it was."""

    def fill(database: Database) -> Database:
        database.create(shop.Base.metadata)
        with database.session() as session:
            shop.fill(session, CUSTOMERS, 3, 3)
            session.commit()
        return database

    if request.param == "sqlite":
        with sqlite_database(tmp_path_factory.mktemp("filled")) as database:
            yield fill(database)
        return
    database = Database(request.param, engine_of(request.param))
    yield fill(database)
    database.clean()


@pytest.fixture
def database(filled: Database, request: pytest.FixtureRequest) -> Database:
    request.node.user_properties.append(("database", filled.name))
    return filled


def everything(customers: list[Customer]) -> list[Any]:
    orders = [order for customer in customers for order in customer.orders]
    return [*customers, *orders, *(line for order in orders for line in order.lines)]


@contextmanager
def home(database: Database) -> Iterator[tuple[Session, list[Customer]]]:
    """A session that holds all 5,200 objects; nothing is committed."""
    with database.session(autoflush=False) as session:
        customers = list(session.scalars(select(Customer).options(WHOLE_SHOP).order_by(Customer.id)))
        yield session, customers


@pytest.fixture
def away(database: Database) -> list[Customer]:
    """All 5,200 objects, detached."""
    with home(database) as (session, customers):
        return detach(session, customers)


def edit(customers: list[Customer]) -> None:
    """Edit one object in a hundred, of each class."""
    objs = everything(customers)
    for obj in [*objs[:CUSTOMERS:100], *objs[CUSTOMERS : CUSTOMERS + ORDERS : 100], *objs[CUSTOMERS + ORDERS :: 100]]:
        if isinstance(obj, Customer):
            obj.city = "mine"
        elif isinstance(obj, Order):
            obj.status = "mine"
        else:
            obj.qty = 777


def edited_rows(session: Session) -> list[int]:
    queries = [
        select(Customer.id).where(Customer.city == "mine"),
        select(Order.id).where(Order.status == "mine"),
        select(Line.id).where(Line.qty == 777),
    ]
    return [len(session.scalars(query).all()) for query in queries]


def selects(log: StatementLog) -> int:
    """How many statements there were, after a look that they all read."""
    assert len(log) == len(log.selects), str(log)
    return len(log)


def in_chunks(database: Database, *sizes: int) -> int:
    """A statement for each of these sets of keys; on MariaDB one for each 1,000 of them."""
    return sum(-(-size // 1000) if database.name == "mariadb" else 1 for size in sizes)


def test_prefetch_takes_one_select_a_table(database: Database) -> None:
    with database.session() as session:
        customers = list(session.scalars(select(Customer).options(load_only(Customer.id))))
        with database.statements() as log:
            prefetch(session, customers, WHOLE_SHOP)
        # The keys are those of the parents: 400 customers for themselves and for the orders, 1,200 orders.
        assert selects(log) == in_chunks(database, CUSTOMERS, CUSTOMERS, ORDERS)
        with database.statements() as log:
            assert len(everything(customers)) == ALL
            assert all(customer.name for customer in customers)
        assert len(log) == 0


def test_prefetch_of_references_takes_one_select_a_table_and_none_for_what_is_held(database: Database) -> None:
    with database.session() as session:
        lines = list(session.scalars(select(Line)))
        up = selectinload(Line.order).selectinload(Order.customer)
        with database.statements() as log:
            prefetch(session, lines, up)
        assert selects(log) == in_chunks(database, ORDERS, CUSTOMERS)
        orders = [line.order for line in lines]
        assert len({order.customer for order in orders}) == CUSTOMERS
        for line in lines:
            session.expire(line, ["order"])
        with database.statements() as log:
            prefetch(session, lines, up)
            assert all(line.order.customer for line in lines)
        assert len(log) == 0


def test_refresh_takes_one_select_a_table(database: Database) -> None:
    with home(database) as (session, customers):
        with database.statements() as log:
            report = refresh(session, everything(customers))
        assert selects(log) == report.statements == in_chunks(database, CUSTOMERS, ORDERS, LINES)
        assert report.changed == []


def test_detach_takes_one_select_a_table_where_nothing_is_loaded_and_none_where_all_is(database: Database) -> None:
    with home(database) as (session, customers):
        session.expire_all()
        with database.statements() as log:
            detach(session, customers, WHOLE_SHOP)
        assert selects(log) == in_chunks(database, CUSTOMERS, CUSTOMERS, ORDERS)
    with home(database) as (session, customers):
        with database.statements() as log:
            detach(session, customers, WHOLE_SHOP)
        assert len(log) == 0
        with database.statements() as log:
            assert sum(line.qty for line in everything(customers)[CUSTOMERS + ORDERS :]) > 0
        assert len(log) == 0


def test_a_copy_takes_no_more_than_a_move(database: Database) -> None:
    with database.session() as session:
        customers = list(session.scalars(select(Customer)))
        with database.statements() as log:
            twins = detach(session, customers, WHOLE_SHOP, copy=True)
        assert selects(log) == in_chunks(database, CUSTOMERS, ORDERS)
        assert len(everything(twins)) == ALL


@pytest.mark.parametrize(
    ("verify", "held"),
    [("changed", False), ("all", False), ("all", True)],
    ids=["changed", "all", "all, in a session that holds them"],
)
def test_attach_takes_one_select_a_table_and_the_flush_one_update(
    database: Database, away: list[Customer], verify: Any, held: bool
) -> None:
    edit(away)
    with database.session(autoflush=False) as session:
        kept = list(session.scalars(select(Customer).options(WHOLE_SHOP))) if held else []
        with database.statements() as log:
            report = attach(session, away, verify=verify)
        rows = (4, 12, 36) if verify == "changed" else (CUSTOMERS, ORDERS, LINES)
        more = 1 if database.name == "mariadb" and verify == "all" and not held else 0
        assert selects(log) == report.statements == in_chunks(database, *rows) + more
        assert len(report.updated) == 52
        assert report.instances == (kept or away)
        with database.statements() as log:
            session.flush()
        assert len(log) == len(log.updates) == 3
        assert all(update.executemany for update in log)
        assert columns_set(log) == [("customer", ["city"]), ("customer_order", ["status"]), ("order_line", ["qty"])]
        assert edited_rows(session) == [4, 12, 36]
        session.rollback()


def test_merge_takes_one_select_a_table_and_the_flush_one_update(database: Database, away: list[Customer]) -> None:
    edit(away)
    with database.session(autoflush=False) as session:
        with database.statements() as log:
            merged = merge(session, away)
        # The keys are those of the customers for themselves and for their orders, and those of the orders.
        assert selects(log) == in_chunks(database, CUSTOMERS, CUSTOMERS, ORDERS)
        assert len(everything(merged)) == 5_200
        with database.statements() as log:
            session.flush()
        assert len(log) == len(log.updates) == 3
        assert columns_set(log) == [("customer", ["city"]), ("customer_order", ["status"]), ("order_line", ["qty"])]
        assert edited_rows(session) == [4, 12, 36]
        session.rollback()


def test_attach_of_what_was_not_edited_takes_no_statement(database: Database, away: list[Customer]) -> None:
    with database.session() as session:
        with database.statements() as log:
            report = attach(session, away)
            session.flush()
        assert (len(log), report.statements, len(report.unchanged)) == (0, 0, ALL)


def test_attach_of_changed_collections_takes_one_select_a_table(database: Database, away: list[Customer]) -> None:
    for customer in away[::100]:
        del customer.orders[0].lines[0]
        customer.orders[1].lines.append(Line(sku="new", qty=1, price=1))
    with database.session(autoflush=False) as session:
        with database.statements() as log:
            report = attach(session, away)
        more = 1 if database.name == "mariadb" else 0
        assert selects(log) == report.statements == 2 + more  # orders and lines; customers have nothing to do with it
        with database.statements() as log:
            session.flush()
        assert len(log.deletes) == 1
        assert len(log.updates) == 0
        session.rollback()
