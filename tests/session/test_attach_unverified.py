"""verify="none": nothing is looked for, but what the session holds is known, and nobody's edit of it is lost."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm.exc import StaleDataError

from sojourn.errors import ConflictError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, open_shop, others, row, rows, shop_away

MISSING = pytest.mark.parametrize("on_missing", ["raise", "recreate", "skip"])


@MISSING
def test_nothing_is_read_whatever_becomes_of_missing_rows(sqlite: Database, on_missing: Any) -> None:
    open_shop(sqlite, 1, 1, 2)
    [mine] = shop_away(sqlite)
    mine.city = "mine"
    mine.orders[0].lines.pop()
    with sqlite.session() as session, sqlite.statements() as log:
        attach(session, mine, verify="none", on_missing=on_missing)
        assert log.selects == []
        session.commit()
    assert (row(sqlite, Customer, 1).city, len(rows(sqlite, Line))) == ("mine", 1)


@MISSING
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an object that is looked for"])
def test_what_the_session_holds_is_theirs(sqlite: Database, on_missing: Any, beside: bool) -> None:
    open_shop(sqlite, 2, 1, 0)
    [mine, _] = away(sqlite, Order)
    mine.status = "mine"
    with others(sqlite) as session:
        session.get_one(Order, 1).status = "theirs"
    looked_for = [Customer(id=2, city="mine")] if beside else []
    policy: dict[str, Any] = {"verify": "none", "on_missing": on_missing, "on_unknown_base": "mine"}
    with sqlite.session() as session:
        home = session.get_one(Order, 1)
        with pytest.raises(ConflictError) as caught:
            attach(session, [mine, *looked_for], **policy)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine, conflict.theirs) == ("status", "mine", "theirs")
        attach(session, [mine, *looked_for], **policy, on_conflict="theirs")
        assert home.status == "theirs"


@MISSING
@pytest.mark.parametrize("whose", ["read", "unflushed"])
def test_a_removal_of_what_the_session_knows_to_be_edited_is_a_conflict(
    sqlite: Database, on_missing: Any, whose: str
) -> None:
    open_shop(sqlite, 1, 1, 2)
    [mine] = shop_away(sqlite)
    gone = mine.orders[0].lines.pop()
    if whose == "read":
        with others(sqlite) as session:
            session.get_one(Line, 2).qty = 50
    with sqlite.session() as session:
        home = session.get_one(Line, 2)
        if whose == "unflushed":
            home.qty = 50
        with pytest.raises(ConflictError) as caught:
            attach(session, [mine, gone], verify="none", on_missing=on_missing)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine) == ("lines", None)
        attach(session, [mine, gone], verify="none", on_missing=on_missing, on_conflict="theirs")
        session.commit()
    assert [line.qty for line in rows(sqlite, Line)][1:] == [50]


def test_that_a_row_is_missing_comes_out_at_the_flush(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    [mine] = away(sqlite, Customer)
    mine.city = "mine"
    with others(sqlite) as session:
        session.delete(session.get_one(Customer, 1))
    with sqlite.session() as session:
        assert attach(session, mine, verify="none").updated == [mine]
        with pytest.raises(StaleDataError):
            session.flush()
