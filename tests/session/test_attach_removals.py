"""What I removed goes with everything that it owns; what others did to any of that is a conflict first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from sojourn.errors import Conflict, ConflictError
from sojourn.session.attach import attach
from sojourn.snapshot import dumps, loads
from tests.databases import Database
from tests.models import depot
from tests.models.depot import Box, Depot, Shelf, Tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, line_of, open_shop, others, row, rows, shop_away


def edit_a_line(session: Session) -> None:
    session.get_one(Line, 1).qty = 50


def add_a_line(session: Session) -> None:
    order = session.get_one(Order, 1)
    line_of(order, "theirs")


def move_a_line_in(session: Session) -> None:
    session.get_one(Line, 4).order_id = 1


def move_a_line_out(session: Session) -> None:
    session.get_one(Line, 1).order_id = 2


# What they do, how many of mine go then with policy "mine", and which lines are left.
CHANGES: list[tuple[Callable[[Session], None], int, set[int]]] = [
    (edit_a_line, 3, {3, 4}),
    (add_a_line, 3, {3, 4}),
    (move_a_line_in, 4, {3}),
    (move_a_line_out, 2, {1, 3, 4}),  # it stays with its new order
]


def without_order_1(database: Database) -> tuple[Customer, Order]:
    open_shop(database, 1, 2, 2)
    [customer] = shop_away(database)
    return customer, customer.orders.pop(0)


@pytest.mark.parametrize("change", [change for change, _, _ in CHANGES])
@pytest.mark.parametrize("at_home", [False, True])
def test_what_they_did_below_a_removed_object_is_a_conflict(
    database: Database, change: Callable[[Session], None], at_home: bool
) -> None:
    customer, gone = without_order_1(database)
    with others(database) as session:
        change(session)
    with database.session() as session:
        home = session.get_one(Customer, 1) if at_home else customer
        if at_home:
            assert [len(order.lines) for order in home.orders] != []
        with pytest.raises(ConflictError) as caught:
            attach(session, customer)
        key = inspect(gone).key
        assert caught.value.conflicts == [Conflict(inspect(customer).key, "orders", key, None, key)]
        attach(session, customer, on_conflict="theirs")
        session.commit()
        assert [order.id for order in home.orders] == [1, 2]
    assert len(rows(database, Line)) == (5 if change is add_a_line else 4)


@pytest.mark.parametrize(("change", "deleted", "left"), CHANGES)
@pytest.mark.parametrize("at_home", [False, True])
def test_with_my_policy_it_is_deleted_with_what_they_put_there(
    database: Database, change: Callable[[Session], None], deleted: int, left: set[int], at_home: bool
) -> None:
    customer, gone = without_order_1(database)
    with others(database) as session:
        change(session)
    with database.session() as session:
        home = session.get_one(Order, 1) if at_home else gone
        report = attach(session, customer, on_conflict="mine")
        assert home in report.deleted
        assert len(report.deleted) == deleted
        session.commit()
    assert [order.id for order in rows(database, Order)] == [2]
    assert {line.id for line in rows(database, Line)} == left


@pytest.mark.parametrize("policy", ["mine", "theirs"])
@pytest.mark.parametrize("taken", ["box", "shelf"])
def test_a_tag_that_they_put_on_what_i_removed_is_a_conflict(database: Database, policy: Any, taken: str) -> None:
    database.create(depot.Base.metadata)
    with others(database) as session:
        box = Box(label="box", a=0, b=0, tags=[Tag(label="red")])
        shelf = Shelf(label="shelf", a=0, b=0, children=[box])
        session.add_all([Depot(label="depot", a=0, b=0, children=[shelf]), Tag(label="blue")])
    [mine] = away(database, Depot, selectinload(Depot.children).selectinload(Shelf.children).selectinload(Box.tags))
    owner: Any = mine if taken == "shelf" else mine.children[0]
    key = inspect(owner.children.pop()).key
    with others(database) as session:
        theirs = session.get_one(Box, 1)
        theirs.tags.append(session.get_one(Tag, 2))
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        assert caught.value.conflicts == [Conflict(inspect(owner).key, "children", key, None, key)]
        attach(session, mine, on_conflict=policy)
        session.commit()
    left = rows(database, Box, selectinload(Box.tags))
    assert [[tag.label for tag in box.tags] for box in left] == ([["red", "blue"]] if policy == "theirs" else [])


@pytest.mark.parametrize("policy", ["mine", "theirs"])
@pytest.mark.parametrize("committed", [False, True])
def test_what_they_moved_out_of_what_both_removed_is_a_conflict_and_stays(
    database: Database, policy: Any, committed: bool
) -> None:
    customer, gone = without_order_1(database)
    with database.session() as session:
        home = session.get_one(Customer, 1)
        first, second = home.orders
        second.lines.append(first.lines[0])
        first.lines[-1].qty = 50  # which goes with its order, so nobody need decide on it
        if committed:
            session.flush()
        home.orders.remove(first)
        if committed:
            session.commit()
        key = inspect(gone).key
        report = attach(session, customer, on_conflict=policy)
        assert report.conflicts == [Conflict(inspect(customer).key, "orders", key, None, key)]
        session.commit()
    assert [order.id for order in rows(database, Order)] == [2]
    assert {line.id: line.order_id for line in rows(database, Line)} == {1: 2, 3: 2, 4: 2}


def test_what_both_the_session_and_i_removed_with_its_edits_is_no_conflict(database: Database) -> None:
    customer, _ = without_order_1(database)
    with database.session() as session:
        home = session.get_one(Customer, 1)
        home.orders[0].lines[0].qty = 50
        home.orders.pop(0)
        assert attach(session, customer).conflicts == []
        session.commit()
    assert [line.id for line in rows(database, Line)] == [3, 4]


@pytest.mark.parametrize("through_bytes", [False, True])
@pytest.mark.parametrize("taken", ["box", "shelf"])
def test_a_new_object_that_was_tagged_and_taken_out_again_stays_out(
    database: Database, through_bytes: bool, taken: str
) -> None:
    database.create(depot.Base.metadata)
    with others(database) as session:
        session.add_all([Depot(label="depot", a=0, b=0, children=[Shelf(label="shelf", a=0, b=0)]), Tag(label="red")])
    [mine] = away(database, Depot, selectinload(Depot.children).selectinload(Shelf.children).selectinload(Box.tags))
    [red] = away(database, Tag)
    box = Box(label="box", a=0, b=0, tags=[red])
    if taken == "box":
        mine.children[0].children.append(box)
        mine.children[0].children.remove(box)
    else:
        mine.children.append(Shelf(label="new", a=0, b=0, children=[box]))
        mine.children.pop()
    given = loads(dumps([mine, red]), depot.Base) if through_bytes else [mine, red]
    with database.session() as session:
        report = attach(session, given)
        assert report.inserted == []
        session.commit()
    assert rows(database, Box) == []


@pytest.mark.parametrize("deleted", ["number", "lines.sku"])
def test_what_they_did_to_a_column_that_i_deleted_before_the_removal_is_a_conflict(
    database: Database, deleted: str
) -> None:
    customer, gone = without_order_1(database)
    if deleted == "number":
        del gone.number
    else:
        del gone.lines[0].sku
    with others(database) as session:
        order = session.get_one(Order, 1)
        if deleted == "number":
            order.number = "theirs"
        else:
            order.lines[0].sku = "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, customer)
        key = inspect(gone).key
        assert caught.value.conflicts == [Conflict(inspect(customer).key, "orders", key, None, key)]


def test_what_the_session_itself_did_below_is_a_conflict_too(database: Database) -> None:
    customer, _ = without_order_1(database)
    with database.session() as session:
        home = session.get_one(Order, 1)
        new = line_of(home, "home")
        with pytest.raises(ConflictError):
            attach(session, customer)
        attach(session, customer, on_conflict="mine")
        assert new not in session
        session.commit()
    assert [order.id for order in rows(database, Order)] == [2]


def test_nothing_new_is_inserted_below_a_removed_object(database: Database) -> None:
    customer, gone = without_order_1(database)
    new = line_of(gone, "never")
    with database.session() as session:
        report = attach(session, customer)
        assert report.of(new) is None
        assert report.inserted == []
        assert sorted(type(one).__name__ for one in report.deleted) == ["Line", "Line", "Order"]
        session.commit()
    assert [line.id for line in rows(database, Line)] == [3, 4]


def test_edits_below_a_removed_object_go_with_it(database: Database) -> None:
    customer, gone = without_order_1(database)
    gone.lines[0].qty = 50
    gone.lines.pop(1)
    with database.session() as session, database.statements() as log:
        attach(session, customer)
        session.commit()
        assert log.updates == []
    assert [line.id for line in rows(database, Line)] == [3, 4]


def test_what_i_moved_out_before_is_not_removed(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    [customer] = shop_away(database)
    first, second = customer.orders
    line = first.lines[0]
    second.lines.append(line)
    customer.orders.remove(first)
    with database.session() as session:
        report = attach(session, customer)
        assert report.updated == [line]
        session.commit()
        assert line.order is second
    assert [one.id for one in rows(database, Line)] == [1, 3, 4]


def test_what_the_session_moved_elsewhere_stays_when_i_take_out_its_neighbour(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    [customer] = shop_away(database)
    customer.orders[0].lines.pop(0)
    with database.session() as session:
        home = session.get_one(Customer, 1)
        first, second = home.orders
        assert [len(order.lines) for order in (first, second)] == [2, 2]
        second.lines.append(first.lines[1])
        attach(session, customer)
        session.commit()
        assert [[line.id for line in order.lines] for order in (first, second)] == [[], [2, 3, 4]]


def test_a_removed_object_whose_rows_are_gone_already_is_no_conflict(database: Database) -> None:
    customer, gone = without_order_1(database)
    gone.lines[0].qty = 50
    with others(database) as session:
        session.delete(session.get_one(Order, 1))
    with database.session() as session, database.statements() as log:
        report = attach(session, customer)
        assert (report.conflicts, report.deleted) == ([], [])
        session.commit()
        assert log.deletes == []


def test_a_row_that_is_gone_below_a_removed_object_is_not_deleted_again(database: Database) -> None:
    customer, gone = without_order_1(database)
    with others(database) as session:
        session.delete(session.get_one(Line, 1))
    with database.session() as session:
        report = attach(session, customer)
        assert gone.lines[0].id == 2
        assert len(report.deleted) == 2
        session.commit()  # SQLAlchemy would warn of a DELETE that matched nothing
    assert [line.id for line in rows(database, Line)] == [3, 4]


def test_a_removal_by_reference_takes_along_what_it_owns(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    order = away(database, Order, selectinload(Order.customer), selectinload(Order.lines))[0]
    order.customer = None  # type: ignore[assignment]  # an order without a customer is an orphan, to be deleted
    with database.session() as session:
        report = attach(session, order)
        assert len(report.deleted) == 3
        session.commit()
    assert [line.id for line in rows(database, Line)] == [3, 4]


@pytest.mark.parametrize("way", ["collection", "reference"])
def test_a_removal_is_carried_out_on_what_the_session_holds(database: Database, way: str) -> None:
    open_shop(database, 1, 2, 2)
    [customer] = shop_away(database)
    given: Any = customer
    if way == "collection":
        customer.orders.pop(0)
    else:
        given = away(database, Order, selectinload(Order.customer))[0]
        given.customer = None
    with database.session() as session:
        home = session.get_one(Order, 1)
        attach(session, given)
        session.commit()
        assert inspect(home).detached
    assert [line.id for line in rows(database, Line)] == [3, 4]


# --- version counters ------------------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class Crate(Base):
    __tablename__ = "crate"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    label: Mapped[str] = mapped_column(String(20))
    parts: Mapped[list[Part]] = relationship(cascade="all, delete-orphan", order_by="Part.id", back_populates="crate")

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


class Part(Base):
    __tablename__ = "part"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    crate_id: Mapped[int] = mapped_column(ForeignKey("crate.id"))
    name: Mapped[str] = mapped_column(String(20))
    crate: Mapped[Crate] = relationship(back_populates="parts")

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own form


def test_a_removed_row_is_deleted_under_the_counter_that_it_has_now(database: Database) -> None:
    database.create(Base.metadata)
    with others(database) as session:
        session.add(Crate(label="crate", parts=[Part(name="a"), Part(name="b")]))
    [crate] = away(database, Crate, selectinload(Crate.parts))
    crate.parts.pop(0)
    crate.parts.append(Part(name="mine"))
    with others(database) as session:
        session.get_one(Part, 1).name = "theirs"
        session.get_one(Crate, 1).label = "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError):
            attach(session, crate)
        attach(session, crate, on_conflict="mine")
        session.commit()
        assert [part.name for part in crate.parts] == ["b", "mine"]
    found = row(database, Crate, 1)
    assert (found.label, found.version) == ("theirs", 2)


def test_a_recreated_row_starts_its_counter_anew(database: Database) -> None:
    database.create(Base.metadata)
    with others(database) as session:
        session.add(Crate(label="crate", parts=[Part(name="a")]))
    with others(database) as session:
        session.get_one(Crate, 1).label = "second"
    [crate] = away(database, Crate, selectinload(Crate.parts))
    crate.label = "mine"
    with others(database) as session:
        session.delete(session.get_one(Crate, 1))
    with database.session() as session:
        report = attach(session, crate, on_missing="recreate")
        assert len(report.inserted) == 2
        session.commit()
        assert (crate.label, crate.version, crate.parts[0].version) == ("mine", 1, 1)
