"""Law 4, all or nothing: after any error of attach the session and every object are exactly as they were, and the same
objects can be attached with a policy afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from sojourn.errors import (
    ConflictError,
    MissingRowError,
    NotAllowedError,
    NotMappedError,
    SojournError,
    WrongSessionError,
)
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import columns
from tests.models.columns import Point, Settings, Shape
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, fingerprint, line_of, open_shop, others, rows, shop_away


class HookError(Exception):
    """What a caller's own function raises."""


@dataclass
class Case:
    """A way for attach to fail: what others do meanwhile, what else is given, how attach is called, what it raises."""

    error: type[Exception]
    others: Callable[[Session], None] = lambda session: None
    given: Callable[[list[Customer]], list[Any]] = list
    arguments: dict[str, Any] = field(default_factory=dict)
    remedy: dict[str, Any] | None = field(default_factory=lambda: {"on_conflict": "mine", "on_missing": "skip"})


def change_city(session: Session) -> None:
    session.get_one(Customer, 1).city = "theirs"


def delete_line(session: Session) -> None:
    session.delete(session.get_one(Line, 1))


def both(session: Session) -> None:
    change_city(session)
    delete_line(session)


def change_what_i_removed(session: Session) -> None:
    session.get_one(Line, 2).qty += 50


def move(session: Session) -> None:
    session.get_one(Order, 2).customer_id = 2
    session.get_one(Line, 5).order_id = 4


def fail(_conflict: object) -> Any:
    raise HookError


def with_unknown_base(customers: list[Customer]) -> list[Any]:
    return [*customers, Customer(id=3, name="mine")]


def with_something_else(customers: list[Customer]) -> list[Any]:
    return [*customers, object()]


CASES = {
    "conflict": Case(ConflictError, change_city),
    "missing row": Case(MissingRowError, delete_line),
    "conflict and missing row": Case(ConflictError, both),
    "removed here, edited there": Case(ConflictError, change_what_i_removed),
    "moved here and there": Case(ConflictError, move),
    "unknown base": Case(ConflictError, given=with_unknown_base),
    "disallowed attribute": Case(NotAllowedError, arguments={"allow": [Order.status]}, remedy={}),
    "unmapped object": Case(NotMappedError, given=with_something_else, remedy=None),
    "a function that raises": Case(HookError, change_city, arguments={"on_conflict": fail}),
    "a function that raises late": Case(
        HookError,
        both,
        given=with_unknown_base,
        arguments={"on_missing": "skip", "on_conflict": "mine", "on_unknown_base": fail},
        remedy={"on_missing": "skip", "on_unknown_base": "mine"},
    ),
    "no such policy": Case(SojournError, arguments={"on_conflict": "ours"}, remedy={}),
    "no such verify": Case(SojournError, arguments={"verify": "some"}, remedy={}),
}


def edited_shop(database: Database) -> tuple[list[Customer], list[Line]]:
    """The shop with edits of each kind: columns, new, removed and moved members, references. Also what was removed."""
    open_shop(database, 3, 2, 2)
    customers = shop_away(database)
    first, second, _ = customers
    first.city = "mine"
    first.orders[0].lines[0].qty = 50
    removed = first.orders[0].lines.pop(1)
    line_of(first.orders[0], "new")
    second.orders[0].lines.append(first.orders[1].lines.pop(0))
    first.orders[1].customer = customers[2]
    second.orders[1].lines[0].order = second.orders[0]
    return customers, [removed]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("home", ["empty", "busy"])
@pytest.mark.parametrize("verify", ["changed", "all"])
def test_after_an_error_everything_is_as_it_was(database: Database, name: str, home: str, verify: str) -> None:
    case = CASES[name]
    customers, removed = edited_shop(database)
    with others(database) as session:
        case.others(session)
    given = case.given(customers)
    arguments = {"verify": verify, **case.arguments}
    with database.session() as session:
        kept = make_busy(session) if home == "busy" else []
        mapped = [obj for obj in given if inspect(obj, raiseerr=False) is not None]
        watched = [*mapped, *removed, *kept]
        before = fingerprint(session, watched)
        with pytest.raises(case.error) as caught:
            attach(session, given, **arguments)
        assert type(caught.value) is case.error or case.error is SojournError
        assert fingerprint(session, watched) == before

        if case.remedy is not None:
            arguments.pop("allow", None)
            attach(session, given, **{**arguments, "verify": "changed", "on_conflict": "mine", **case.remedy})
            session.commit()
    if case.remedy is not None:
        assert "new" in [line.sku for line in rows(database, Line)]


def make_busy(session: Session) -> list[Any]:
    """The session holds some of the objects, with edits of its own of each kind."""
    customer = session.get_one(Customer, 2)
    orders = [session.get_one(Order, number) for number in (1, 2)]
    lines = list(orders[0].lines)
    customer.name = "home"
    line_of(orders[0], "home")
    session.add(Customer(name="home", email="home", balance=1))
    session.delete(session.get_one(Line, 12))
    return [customer, *orders, *lines]


@pytest.mark.parametrize("home", ["empty", "busy"])
def test_objects_of_another_session_change_neither_session(database: Database, home: str) -> None:
    customers, removed = edited_shop(database)
    with database.session() as elsewhere, database.session() as session:
        stranger = elsewhere.get_one(Customer, 3)
        kept = make_busy(session) if home == "busy" else []
        watched = [*customers, *removed, *kept, stranger]
        before = fingerprint(session, watched), fingerprint(elsewhere, watched)
        with pytest.raises(WrongSessionError) as caught:
            attach(session, [*customers, stranger])
        assert caught.value.objects == [stranger]
        assert (fingerprint(session, watched), fingerprint(elsewhere, watched)) == before


def test_deleted_objects_change_nothing(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    with database.session() as session:
        deleted = session.get_one(Customer, 1)
        session.delete(deleted)
        session.flush()
        session.expunge(deleted)
    [first, second] = away(database, Customer)
    second.city = "mine"
    with database.session() as session:
        session.delete(session.get_one(Customer, 1))
        session.flush()
        gone = session.get(Customer, 1)
        assert gone is None
        before = fingerprint(session, [first, second])
        first.city = "mine"
        edited = fingerprint(session, [first, second])
        assert edited != before  # the fingerprint sees an edit
        with pytest.raises(MissingRowError):
            attach(session, [first, second])
        assert fingerprint(session, [first, second]) == edited


def test_two_different_copies_change_nothing(database: Database) -> None:
    customers, _ = edited_shop(database)
    others_copy = shop_away(database)
    others_copy[0].city = "another edit"
    given = [*customers, *others_copy]
    with database.session() as session:
        before = fingerprint(session, given)
        with pytest.raises(ConflictError):
            attach(session, given)
        assert fingerprint(session, given) == before
        attach(session, given, on_conflict="mine")
        session.commit()


def test_values_that_change_in_place_are_untouched(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", plain={"a": [1]}, tracked={"a": 1}))
        session.add(Shape(id=1, name="shape", start=Point(0, 0)))
    [settings], [shape] = away(database, Settings), away(database, Shape)
    assert settings.plain is not None
    assert settings.tracked is not None
    settings.plain["a"].append(2)
    settings.tracked["b"] = 2
    settings.name = "mine"
    shape.start = Point(1, 1)
    with others(database) as session:
        theirs = session.get_one(Settings, 1)
        theirs.plain, theirs.tracked = {"theirs": 1}, {"theirs": 1}
        session.get_one(Shape, 1).start = Point(2, 2)
    with database.session() as session:
        before = fingerprint(session, [settings, shape])
        with pytest.raises(ConflictError) as caught:
            attach(session, [settings, shape])
        assert len(caught.value.conflicts) == 3
        assert fingerprint(session, [settings, shape]) == before
        attach(session, [settings, shape], on_conflict="mine")
        session.commit()
        assert settings.plain == {"a": [1, 2]}
        assert shape.start == Point(1, 1)


@pytest.mark.parametrize("answer", [object(), 7, "text"])
def test_an_answer_that_a_composite_or_reference_cannot_be_changes_nothing(database: Database, answer: Any) -> None:
    customers, removed = edited_shop(database)
    with others(database) as session:
        move(session)
    with database.session() as session:
        before = fingerprint(session, [*customers, *removed])
        with pytest.raises(SojournError, match="on_conflict"):
            attach(session, customers, on_conflict=lambda conflict: answer)
        assert fingerprint(session, [*customers, *removed]) == before


def test_the_fingerprint_sees_each_kind_of_change(sqlite: Database) -> None:
    open_shop(sqlite, 1, 1, 1)

    def changed(change: Callable[[Session, Customer], object]) -> bool:
        with sqlite.session() as session:
            [customer] = shop_away(sqlite)
            before = fingerprint(session, [customer])
            change(session, customer)
            return fingerprint(session, [customer]) != before

    assert not changed(lambda session, customer: None)
    assert changed(lambda session, customer: session.add(customer))
    assert changed(lambda session, customer: setattr(customer, "city", "x"))
    assert changed(lambda session, customer: setattr(customer, "city", customer.city))
    assert changed(lambda session, customer: customer.orders.pop())
    assert changed(lambda session, customer: customer.orders[0].lines[0].__dict__.pop("sku"))
    assert changed(lambda session, customer: inspect(customer).info.update(note=1))
    assert changed(lambda session, customer: session.info.update(note=1))
    assert changed(lambda session, customer: session.add(Customer(name="n")))
