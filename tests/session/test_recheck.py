"""attach(lock=False): nobody waits, and who was overtaken before the flush gets a conflict."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, event

from sojourn.errors import ConflictError, MissingRowError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import columns
from tests.models.columns import Document, Settings
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, one_order, open_shop, others, row, rows, shop_away


@pytest.fixture(autouse=True)
def _no_begin(database: Database) -> None:
    """On SQLite as most people have it: what is read before the first write is in no transaction, so all can write."""
    if database.name == "sqlite":
        engine = create_engine(database.engine.url, connect_args={"timeout": 0.1})
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
        database.engine.dispose()
        database.engine = engine


def test_an_edit_that_was_overtaken_is_a_conflict_at_the_flush(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    base, mine.city = mine.city, "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        with others(database) as other:
            other.get_one(Customer, 1).city = "theirs"
        for _ in range(2):  # who flushes again after the error is told again
            with pytest.raises(ConflictError, match="lock=False") as caught:
                session.flush()
            [conflict] = caught.value.conflicts
            assert (conflict.attribute, conflict.base, conflict.mine, conflict.theirs) == (
                "city",
                base,
                "mine",
                "theirs",
            )
        session.rollback()
    assert row(database, Customer, 1).city == "theirs"


def test_commit_raises_it_too_and_the_session_goes_on_after_a_rollback(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine], [again] = away(database, Customer), away(database, Customer)
    mine.city = again.city = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        with others(database) as other:
            other.get_one(Customer, 1).city = "theirs"
        with pytest.raises(ConflictError):
            session.commit()
        session.rollback()
        session.expunge_all()
        attach(session, again, lock=False, on_conflict="mine")
        session.commit()
    assert row(database, Customer, 1).city == "mine"


def test_edits_of_other_attributes_are_no_conflict(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        with others(database) as other:
            other.get_one(Customer, 1).name = "theirs"
        session.commit()
    customer = row(database, Customer, 1)
    assert (customer.city, customer.name) == ("mine", "theirs")


def test_a_row_that_was_deleted_meanwhile_is_missing(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        with others(database) as other:
            other.delete(other.get_one(Customer, 1))
        with pytest.raises(MissingRowError):
            session.flush()
        session.rollback()
    assert rows(database, Customer) == []


def test_what_i_removed_and_they_edited_meanwhile_is_a_conflict(database: Database) -> None:
    _, order = one_order(database)
    order.lines.pop()
    with database.session() as session:
        attach(session, order, lock=False)
        with others(database) as other:
            other.get_one(Line, 3).qty = 99
        with pytest.raises(ConflictError):
            session.flush()
        session.rollback()
    assert row(database, Line, 3).qty == 99


def test_what_we_both_pointed_elsewhere_is_a_conflict(database: Database) -> None:
    open_shop(database, 3, 1, 0)
    customers = shop_away(database)
    customers[1].orders.append(customers[0].orders.pop())
    with database.session() as session:
        attach(session, customers, lock=False)
        with others(database) as other:
            other.get_one(Order, 1).customer_id = 3
        with pytest.raises(ConflictError):
            session.flush()
        session.rollback()
    assert row(database, Order, 1).customer_id == 3


@pytest.mark.parametrize(("theirs", "fails"), [([1], False), ([2], True)])
def test_json_which_no_where_clause_could_compare_is_guarded(
    database: Database, theirs: list[int], fails: bool
) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", plain={"a": [1]}, tracked={"a": 1}))
    [mine] = away(database, Settings)
    mine.plain = {"mine": 1}
    with database.session() as session:
        attach(session, mine, lock=False)
        with others(database) as other:
            other.get_one(Settings, 1).plain = {"a": theirs}
        if fails:
            with pytest.raises(ConflictError):
                session.flush()
            session.rollback()
        session.commit()
    assert row(database, Settings, 1).plain == ({"a": [2]} if fails else {"mine": 1})


def test_after_a_rollback_nothing_is_looked_at_again(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    mine, _ = away(database, Customer)
    mine.city = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        session.rollback()
        with others(database) as other:
            other.get_one(Customer, 1).city = "theirs"
        session.get_one(Customer, 2).city = "anything"
        with database.statements() as log:
            session.commit()
        assert len(log.selects) == 0
    assert row(database, Customer, 1).city == "theirs"


def test_an_edit_that_was_given_up_is_not_guarded(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    mine, _ = away(database, Customer)
    mine.city = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        session.refresh(mine)
        with others(database) as other:
            other.get_one(Customer, 1).city = "theirs"
        session.get_one(Customer, 2).city = "anything"
        session.commit()


def test_from_the_flush_on_the_row_is_held(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    [mine] = away(database, Customer)
    mine.city = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        with database.statements() as log:
            session.flush()
        [again] = log.selects
        assert ("FOR" in again.sql) is (database.name != "sqlite")
        with database.statements() as log:
            mine.name = "mine"
            session.flush()
        assert len(log.selects) == 0
        session.commit()


def test_a_version_counter_that_moved_on_is_a_conflict_of_ours(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Document(id=1, title="t", body="b"))
    [mine] = away(database, Document)
    mine.title = "mine"
    with database.session() as session:
        attach(session, mine, lock=False)
        with others(database) as other:
            other.get_one(Document, 1).summary = "theirs"
        with pytest.raises(ConflictError) as caught:
            session.flush()
        assert [conflict.attribute for conflict in caught.value.conflicts] == ["version"]
        session.rollback()
