"""Chunks by key: read one behind the other they are the statement's own result, whatever it is ordered by."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    Engine,
    Integer,
    Interval,
    String,
    case,
    cast,
    delete,
    desc,
    func,
    insert,
    inspect,
    select,
    text,
    true,
    type_coerce,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.orm import aliased, defer, joinedload, selectinload, with_loader_criteria

from sojourn.batch.keyset import Keyset, keyset_of
from sojourn.errors import UnsuitableStatementError
from tests.databases import Database
from tests.models import inheritance, keyed, shop
from tests.models.inheritance import Lorry, Vehicle
from tests.models.keyed import Entry, Mark, Mood

SQLITE: Any = sqlite_dialect.dialect()
POSTGRESQL: Any = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types
MARIADB: Any = mysql.dialect()
NOON = datetime.datetime(2026, 3, 29, 12, tzinfo=datetime.UTC)
# Few values of each, so that there are ties; of the kinds that go wrong when they are rounded, folded or padded.
POOLS: dict[str, list[Any]] = {
    "level": [0, -1, 7],
    "title": ["", "a", "A", "a ", "ä", "b'\\%_"],
    "number": [None, 0, 3, -(2**31)],
    "amount": [None, Decimal("0.1429"), Decimal("0.1428"), Decimal("-5")],
    "rounded": [None, *map(Decimal, ("0.1", "1234567890.1234567891", "1234567890.123456789"))],
    "single": [None, 0.1, 0.10000001, 1 / 3, -2.5e20],
    "double": [None, 0.1, 0.30000000000000004, 0.3, 1e300],
    "name": [None, "x", "X", "Straße", "x\x01y", "😀"],
    "loud": [None, "ab", "AB", "b"],
    "instant": [None, NOON, NOON - datetime.timedelta(hours=11), NOON + datetime.timedelta(microseconds=1)],
    "day": [None, datetime.date(2026, 1, 1), datetime.date(1999, 12, 31)],
    "hour": [None, datetime.time(0), datetime.time(23, 59, 59)],
    "token": [None, UUID(int=1), UUID(int=2**127), UUID("10000000-0000-0000-0000-000000000000")],
    "data": [None, b"", b"\x00\xff", b"\x00"],
    "flag": [None, False, True],
    "mood": [None, *Mood],
}
# A column that the mapping writes otherwise than it is stored is filled past the mapping.
ROWS = st.lists(st.fixed_dictionaries({name: st.sampled_from(pool) for name, pool in POOLS.items()}), max_size=9)
ORDERINGS = st.lists(
    st.tuples(st.sampled_from([*POOLS, "shelf", "code"]), st.booleans(), st.sampled_from([None, "first", "last"])),
    max_size=3,
)


def fill(database: Database, rows: list[dict[str, Any]]) -> None:
    with database.engine.begin() as connection:
        connection.execute(delete(Entry))
        if rows:
            entries = [{"shelf": i % 2, "code": f"c{(i * 7) % 10}", **row} for i, row in enumerate(rows)]
            connection.execute(insert(Entry.__table__), entries)  # type: ignore[arg-type]  # a Table


def in_order(name: str, descending: bool, nulls: str | None) -> Any:
    one = getattr(Entry, name)
    one = one.desc() if descending else one
    return one if nulls is None else one.nulls_first() if nulls == "first" else one.nulls_last()


def in_chunks(session: Any, keyset: Keyset, size: int) -> list[Any]:
    """The objects of all chunks of a size, up to a frozen bound."""
    last = session.execute(keyset.last()).first()
    if last is None:
        return []
    upper, position = keyset.position(last), None
    found: list[Any] = []
    while rows := session.execute(keyset.read(after=position, upto=upper, limit=size)).unique().all():
        assert len(found) <= 1000, "the chunks do not move on"
        found += [row[0] for row in rows]
        position = keyset.position(rows[-1])
    assert position == upper
    return found


@settings(
    max_examples=settings().max_examples // 2,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rows=ROWS, orderings=ORDERINGS)
def test_random_rows_come_once_and_in_the_statements_order_in_chunks_of_any_size(
    database: Database, rows: list[Any], orderings: list[Any]
) -> None:
    if database.name == "mariadb":  # it has no NULLS FIRST, and orders an ENUM otherwise than it compares it
        orderings = [(name, descending, None) for name, descending, _ in orderings if name != "mood"]
    if not inspect(database.engine).has_table("ordered_entry"):
        database.create(keyed.Base.metadata)
    fill(database, rows)
    order = [in_order(*one) for one in orderings]
    end = [Entry.shelf.desc(), Entry.code.desc()] if orderings and orderings[-1][1] else [Entry.shelf, Entry.code]
    with database.session() as session:
        whole = list(session.scalars(select(Entry).order_by(*order, *end)))
        keyset = keyset_of(select(Entry).order_by(*order), database.engine.dialect)
        for size in (1, 2, 3, 100):
            assert in_chunks(session, keyset, size) == whole
        assert session.scalar(keyset.count()) == len(rows)


@pytest.mark.parametrize("name", POOLS)
def test_values_that_are_nearly_the_same_are_told_apart_whichever_has_the_smaller_key(
    database: Database, name: str
) -> None:
    if database.name == "mariadb" and name == "mood":
        pytest.skip("MariaDB orders an ENUM otherwise than it compares it")
    database.create(keyed.Base.metadata)
    first = {other: pool[0] for other, pool in POOLS.items()}
    for pool in (POOLS[name], POOLS[name][::-1]):
        fill(database, [{**first, name: value} for value in pool])
        with database.session() as session:
            for order, end in (
                (getattr(Entry, name), (Entry.shelf, Entry.code)),
                (getattr(Entry, name).desc(), (Entry.shelf.desc(), Entry.code.desc())),
            ):
                keyset = keyset_of(select(Entry).order_by(order), database.engine.dialect)
                assert in_chunks(session, keyset, 1) == list(session.scalars(select(Entry).order_by(order, *end)))


def test_a_position_goes_through_text_exactly() -> None:
    keyset = keyset_of(select(Entry).order_by(Entry.number), SQLITE)
    values: list[Any] = [
        *(None, True, 0, -(2**63), 2**63 - 1, 0.1, -0.0, 5e-324, 1.7976931348623157e308, float("inf")),
        *("", "NaN", '{"float": "NaN"}', "ä😀\0", b"", b"\xff\0", UUID(int=7), Decimal("1.50"), Decimal("1E+3"), NOON),
        *(
            NOON.replace(tzinfo=None, microsecond=7),
            NOON.astimezone(datetime.timezone(datetime.timedelta(seconds=4711))),
        ),
        *(datetime.date(1, 1, 1), datetime.time(1, 2, 3, 4), datetime.timedelta(-1, 5, 7)),
    ]
    for value in values:
        text_ = keyset.position((Entry(), value, 1, "c"))
        (back, *_) = keyset.values(text_)
        assert (type(back), repr(back)) == (type(value), repr(value))
        assert keyset.position((Entry(), back, 1, "c")) == text_
    (back, *_) = keyset.values(keyset.position((float("nan"), 1, "c")))
    assert back != back  # noqa: PLR0124 - NaN differs from itself


@pytest.mark.parametrize("nulls_first", [True, False])
@pytest.mark.parametrize("descending", [True, False])
def test_nulls_come_where_the_statement_says_also_where_the_language_has_no_word_for_it(
    database: Database, nulls_first: bool, descending: bool
) -> None:
    database.create(keyed.Base.metadata)
    row = {name: pool[0] for name, pool in POOLS.items()}
    fill(database, [{**row, "number": number} for number in (2, None, 1, None, 3)])
    order = in_order("number", descending, "first" if nulls_first else "last")
    with database.session() as session:
        keyset = keyset_of(select(Entry).order_by(order), database.engine.dialect)
        found = [entry.number for entry in in_chunks(session, keyset, 2)]
    numbers = [3, 2, 1] if descending else [1, 2, 3]
    assert found == ([None, None, *numbers] if nulls_first else [*numbers, None, None])


def test_an_object_that_a_join_brings_several_times_comes_once_and_its_options_are_honoured(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=5, orders=3, lines=1)
        session.commit()
    statement = select(shop.Customer).join(shop.Customer.orders).order_by(shop.Customer.name.desc())
    for option in (joinedload, selectinload):
        keyset = keyset_of(statement.options(option(shop.Customer.orders)), database.engine.dialect)
        for size in (1, 4, 100):
            with database.session() as session:
                found = in_chunks(session, keyset, size)
                assert [one.name for one in found] == sorted((one.name for one in found), reverse=True)
                assert len(found) == len(set(found)) == session.scalar(keyset.count()) == 5
                session.expunge_all()
                assert [len(one.orders) for one in found] == [3] * 5


def test_a_key_need_not_be_loaded(database: Database) -> None:
    database.create(keyed.Base.metadata)
    row = {name: pool[0] for name, pool in POOLS.items()}
    fill(database, [{**row, "level": level} for level in (2, 1, 2, 3)])
    with database.session() as session:
        keyset = keyset_of(select(Entry).options(defer(Entry.level)).order_by(Entry.level), database.engine.dialect)
        found = in_chunks(session, keyset, 1)
        assert all("level" in inspect(one).unloaded for one in found)
        assert [one.level for one in found] == [1, 2, 2, 3]


@pytest.mark.parametrize(
    "expression",
    [
        func.lower(Entry.name).desc(),
        func.coalesce(Entry.number, 5).label("chosen"),
        (Entry.level * 2 + 1).desc(),
        case((Entry.level > 0, "b"), else_="a"),
        Entry.flag.is_(None),
        cast(Entry.mood, String(20)),
        type_coerce(func.abs(Entry.level), Integer),
        select(func.count(Mark.id)).where(Mark.shelf == Entry.shelf, Mark.code == Entry.code).scalar_subquery(),
    ],
    ids=["function", "label", "arithmetic", "case", "condition", "cast", "coerced", "subquery"],
)
def test_an_expression_of_the_classs_columns_is_an_order(database: Database, expression: Any) -> None:
    database.create(keyed.Base.metadata)
    rows = [{name: pool[i % len(pool)] for name, pool in POOLS.items()} for i in range(7)]
    fill(database, rows)
    with database.session() as session:
        session.add_all([Mark(shelf=0, code="c0", colour="red"), Mark(shelf=0, code="c0", colour="blue")])
        session.add(Mark(shelf=1, code="c7", colour="red"))
        session.commit()
        keyset = keyset_of(select(Entry).order_by(expression), database.engine.dialect)
        end = [Entry.shelf.desc(), Entry.code.desc()] if keyset.keys[0].descending else [Entry.shelf, Entry.code]
        whole = list(session.scalars(select(Entry).order_by(expression, *end)))
        assert [in_chunks(session, keyset, size) for size in (1, 3)] == [whole, whole]


def test_a_subclass_in_a_table_of_its_own_is_read_by_the_key_of_its_base(database: Database) -> None:
    database.create(inheritance.Base.metadata)
    with database.session() as session:
        session.add_all([Lorry(plate=f"n{i % 2}", tons=i % 3, axles=3) for i in range(5)])
        session.add(inheritance.Truck(plate="n0", tons=1))
        session.commit()
        for order, keys in (
            ([], 1),
            ([Lorry.lorry_id], 2),
            ([Lorry.id, Lorry.plate], 1),
            ([Lorry.tons, Lorry.plate], 3),
        ):
            keyset = keyset_of(select(Lorry).order_by(*order), database.engine.dialect)
            assert len(keyset.keys) == keys
            assert in_chunks(session, keyset, 2) == list(session.scalars(select(Lorry).order_by(*order, Lorry.id)))
            assert session.scalar(keyset.count()) == 5
        keyset = keyset_of(select(Vehicle).order_by(Vehicle.plate), database.engine.dialect)
        assert len(in_chunks(session, keyset, 4)) == 6


def test_a_mapping_that_is_narrower_than_its_column_loses_no_row_on_postgresql(
    engine_of: Callable[[str], Engine],
) -> None:
    database = Database("postgresql", engine_of("postgresql"))  # on the others, what the driver gives is compared
    columns = "id bigint, whole bigint, part numeric, letters text, filled char(9), moment timestamptz, real real"
    values = """(1, 5000000000, 1.23456789, 'abcdef1', 'a', '2026-10-25 02:30+02', 0.1),
        (2, 5000000000, 1.23456788, 'abcdef2', 'a  ', '2026-10-25 02:30+01', 0.1),
        (3, 5000000001, 1.234567, 'abcdef', 'ab', '2026-10-25 02:10+01', 0.10000001)"""
    with database.engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE ordered_narrow ({columns})"))
        connection.execute(text(f"INSERT INTO ordered_narrow VALUES {values}"))
    try:
        with database.session() as session:
            session.execute(text("SET TIME ZONE 'Europe/Berlin'"))
            for name in ("id", "whole", "part", "letters", "filled", "moment", "real"):
                statement = select(keyed.Narrow).order_by(getattr(keyed.Narrow, name))
                keyset = keyset_of(statement, database.engine.dialect)
                whole = list(session.scalars(statement.order_by(keyed.Narrow.id)))
                assert in_chunks(session, keyset, 1) == whole, name
    finally:
        with database.engine.begin() as connection:
            connection.execute(text("DROP TABLE ordered_narrow"))


def condition(statement: Any, dialect: Any, position: str) -> str:
    """The WHERE of a second chunk."""
    return str(keyset_of(statement, dialect).after(position).compile(dialect=dialect))


def test_the_condition_is_one_that_an_index_can_answer() -> None:
    line = "order_line."
    assert condition(select(shop.Line), SQLITE, "[5]") == f"{line}id > ?"
    assert condition(select(shop.Line).order_by(shop.Line.id.desc()), SQLITE, "[5]") == f"{line}id < ?"
    by_sku = select(shop.Line).order_by(shop.Line.sku.desc())
    assert condition(by_sku, SQLITE, '["a", 5]') == f"({line}sku, {line}id) < (?, ?)"
    assert condition(by_sku, MARIADB, '["a", 5]') == (
        f"{line}sku <= %s AND ({line}sku < %s OR {line}sku = %s AND {line}id < %s)"
    )
    mixed = select(shop.Line).order_by(shop.Line.qty.desc(), shop.Line.id.asc())
    assert condition(mixed, SQLITE, "[1, 5]") == f"{line}qty <= ? AND ({line}qty < ? OR {line}qty = ? AND {line}id > ?)"


ALIAS = aliased(shop.Order)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (select(shop.Order).limit(5), "leave it out, or choose the rows with where"),
        (select(shop.Order).offset(5), "leave it out, or choose the rows with where"),
        (select(shop.Order).fetch(5), "leave it out, or choose the rows with where"),
        (select(shop.Order).distinct(), "each object comes once anyway"),
        (select(shop.Order).group_by(shop.Order.id), "exists()"),
        (select(shop.Order).having(true()), "exists()"),
        (select(shop.Order).with_for_update(), "are locked"),
        (select(shop.Order).union(select(shop.Order)), "instead of a UNION"),
        (text("SELECT 1"), "select(Model)"),
        (select(shop.Order, shop.Customer), "the class itself"),
        (select(shop.Order, shop.Order.id), "the class itself"),
        (select(shop.Order.id), "the class itself"),
        (select(shop.Order.__table__), "the class itself"),
        (select(ALIAS), "no alias"),
        (select(shop.Order).order_by(text("id")), "order_by(Order.attribute)"),
        (select(shop.Order).order_by("number"), "order_by(Order.attribute)"),
        (select(shop.Order).order_by(desc("number")), "order_by(Order.attribute)"),
        (select(shop.Order).join(shop.Order.lines).order_by(shop.Line.qty), "scalar subquery"),
        (select(shop.Order).order_by(ALIAS.number), "scalar subquery"),
        (select(shop.Order).order_by(func.random()), "the primary key"),
        (select(shop.Order).order_by(func.row_number().over()), "Order by columns"),
    ],
)
def test_a_statement_that_has_no_chunks_is_refused_with_the_remedy(statement: Any, says: str) -> None:
    with pytest.raises(UnsuitableStatementError) as caught:
        keyset_of(statement, SQLITE)
    assert says in caught.value.remedy


def test_distinct_on_is_refused() -> None:
    distinct_on = getattr(postgresql, "distinct_on", None)  # SQLAlchemy 2.1
    statement: Any = select(shop.Order)
    statement = (
        statement.distinct(shop.Order.status) if distinct_on is None else statement.ext(distinct_on(shop.Order.status))
    )
    with pytest.raises(UnsuitableStatementError, match="each object comes once anyway"):
        keyset_of(statement, POSTGRESQL)


@pytest.mark.parametrize(
    ("order", "dialect"),
    [
        (Entry.mood, MARIADB),
        (func.secret(Entry.number), POSTGRESQL),
        (cast(Entry.instant, postgresql.INTERVAL), POSTGRESQL),
        (type_coerce(Entry.name, Interval), POSTGRESQL),
        (type_coerce(Entry.name, JSON), MARIADB),
        (type_coerce(Entry.name, mysql.SET("a", "b")), MARIADB),
    ],
)
def test_a_type_that_is_not_compared_as_it_is_ordered_is_refused(order: Any, dialect: Any) -> None:
    with pytest.raises(UnsuitableStatementError, match="cannot be compared exactly") as caught:
        keyset_of(select(Entry).order_by(order), dialect)
    assert "order_by(cast(Entry.attribute, String))" in caught.value.remedy


def test_the_fingerprint_knows_the_statement_its_values_and_its_order() -> None:
    dialect = SQLITE
    statement = select(shop.Line).where(shop.Line.qty > 1)
    prints = [
        keyset_of(one, dialect).fingerprint
        for one in (
            statement,
            statement.where(shop.Line.price > 1),
            select(shop.Line).where(shop.Line.qty > 2),
            statement.order_by(shop.Line.sku),
            statement.order_by(shop.Line.sku.desc()),
            select(shop.Order),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert keyset_of(select(shop.Line).where(shop.Line.qty > 1), dialect).fingerprint == prints[0]


def test_bounds_and_counts_are_of_the_class_alone_in_a_table_that_it_shares(database: Database) -> None:
    database.create(inheritance.Base.metadata)
    with database.session() as session:
        session.add_all([inheritance.Dog(name="a"), inheritance.Cat(name="b"), inheritance.Puppy(name="c")])
        session.flush()
        session.add(inheritance.Cat(name="z"))
        session.commit()
        for order in ([], [inheritance.Dog.name]):
            keyset = keyset_of(select(inheritance.Dog).order_by(*order), database.engine.dialect)
            assert [one.name for one in in_chunks(session, keyset, 1)] == ["a", "c"]
            assert session.scalar(keyset.count()) == 2
        for left_out in "az":
            criteria = with_loader_criteria(inheritance.Animal, inheritance.Animal.name != left_out)
            keyset = keyset_of(select(inheritance.Animal).options(criteria), database.engine.dialect)
            assert [one.name for one in in_chunks(session, keyset, 2)] == [one for one in "abcz" if one != left_out]
            assert session.scalar(keyset.count()) == 3


def test_a_plain_primary_key_is_not_read_twice_and_a_position_is_where_the_row_was_read(database: Database) -> None:
    database.create(keyed.Base.metadata)
    fill(database, [{name: pool[0] for name, pool in POOLS.items()}] * 3)
    with database.session() as session:
        for order in ([Entry.code, Entry.shelf], [Entry.code.desc()], [Entry.level]):
            keyset = keyset_of(select(Entry).order_by(*order), database.engine.dialect)
            row = session.execute(keyset.read(limit=1)).unique().one()
            assert len(row) == (4 if order == [Entry.level] else 1)
            before = keyset.position(row)
            row[0].code, row[0].shelf, row[0].level = "zzz", 99, 99
            assert keyset.position(row) == before
            session.rollback()
