"""What attach reports: what the next flush does with each row, what was merged, and the same as a dry run."""

from __future__ import annotations

from typing import Any

from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import keys
from tests.models.keys import Country
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import (
    away,
    columns_set,
    fingerprint,
    line_of,
    open_shop,
    others,
    rows,
    shop_away,
)

# --- the report ------------------------------------------------------------------------------------------------------


def test_the_report_says_what_the_next_flush_does_with_each_row(database: Database) -> None:
    open_shop(database, 2, 2, 2)
    customers = shop_away(database)
    first, second = customers
    first.city = "edited"  # update
    gone = first.orders[0].lines.pop(0)  # delete
    new = line_of(first.orders[0], "new")  # insert
    moved = first.orders[1]
    moved.customer = second  # update
    with database.session() as session, database.statements() as log:
        report = attach(session, customers)
        assert (report.updated, report.deleted, report.inserted) == ([first, moved], [gone], [new])
        assert len(report.unchanged) == 14 - 3
        assert report.statements == len(log.selects)
        session.flush()
        assert columns_set(log) == [("customer", ["city"]), ("customer_order", ["customer_id"])]
        assert (len(log.inserts), len(log.deletes)) == (1, 1)
    assert repr(report) == (
        "<AttachReport 1 to insert, 2 to update, 1 to delete, 11 unchanged, 0 merged, 0 conflicts, "
        f"{4 if database.name == 'mariadb' else 3} statements>"
    )


def test_merged_lists_what_others_changed_on_the_rows_that_were_read(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = shop_away(database)
    mine.name = "mine"
    line_of(mine.orders[0], "mine")
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
        line_of(session.get_one(Order, 1), "theirs")
    with database.session() as session:
        report = attach(session, mine)
        merged = {(type_of(merge.identity), merge.attribute) for merge in report.merged}
        assert merged == {("Customer", "city"), ("Order", "lines")}
        [city] = [merge for merge in report.merged if merge.attribute == "city"]
        assert (city.base, city.mine, city.theirs, city.result) == ("Bergen", "Bergen", "theirs", "theirs")
        assert "Customer(1).city: base 'Bergen'" in str(city)
        assert mine.city == "theirs"


def type_of(identity: tuple[Any, ...] | None) -> str:
    assert identity is not None
    name: str = identity[0].__name__
    return name


def test_a_dry_run_reports_the_same_and_changes_nothing(database: Database) -> None:
    open_shop(database, 2, 2, 2)
    customers = shop_away(database)
    first, second = customers
    first.city = "mine"
    first.orders[0].lines.pop(0)
    line_of(first.orders[0], "new")
    first.orders[1].customer = second
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
        session.get_one(Line, 3).qty = 50
    with database.session() as session:
        held = session.get_one(Order, 2)
        before = fingerprint(session, [*customers, held])
        dry = attach(session, customers, dry_run=True)
        assert fingerprint(session, [*customers, held]) == before
        assert [conflict.attribute for conflict in dry.conflicts] == ["city"]
        ruled = attach(session, customers, on_conflict="mine", dry_run=True)
        assert fingerprint(session, [*customers, held]) == before
        real = attach(session, customers, on_conflict="mine")
        for name in ("instances", "inserted", "updated", "deleted", "unchanged", "merged", "conflicts", "statements"):
            assert getattr(ruled, name) == getattr(real, name), name
        assert repr(dry) == repr(ruled) == repr(real)


def test_the_same_attach_twice_is_one(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    [mine] = shop_away(database)
    mine.city = "mine"
    line_of(mine.orders[0], "new")
    with database.session() as session:
        attach(session, mine)
        report = attach(session, mine)
        assert report.instances == [mine]
        session.commit()
        attach(session, mine)
        session.commit()
    assert [line.sku for line in rows(database, Line)] == ["SKU-007", "new"]


def test_attach_flushes_nothing(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    [mine] = away(database, Country)
    mine.name = "edited"
    with database.session() as session, database.statements() as log:
        session.add(Country(code="nl", name="Netherlands"))
        attach(session, mine)
        assert log.inserts == log.updates == []
