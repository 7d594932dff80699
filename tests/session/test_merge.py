"""merge: what it takes from SQLAlchemy and what it does otherwise. tests/session/test_merge_oracle.py compares the
results on random graphs, and `make conformance` runs SQLAlchemy's own tests."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, inspect, select
from sqlalchemy.exc import InvalidRequestError, SAWarning
from sqlalchemy.orm import Session, make_transient_to_detached, selectinload
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from sojourn import NotMappedError, detach, dumps, loads, merge
from tests.databases import Database
from tests.models import keys, shop
from tests.models import merging as library
from tests.models.keys import Legacy
from tests.models.merging import Author, Book, Ghost, Note, OwnProperty, Stamp, Tag
from tests.models.shop import Customer, Line, Order
from tests.session.merging import fill

SHAPE = selectinload(Customer.orders).selectinload(Order.lines)


@pytest.fixture
def open_shop(database: Database) -> Database:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, 20, 2, 2)
        session.commit()
    return database


@pytest.fixture
def books(sqlite: Database) -> Database:
    sqlite.create(library.Base.metadata)
    with sqlite.session() as session:
        fill(session)
    return sqlite


def away(database: Database, *options: Any) -> list[Customer]:
    with database.session() as session:
        customers = list(session.scalars(select(Customer).order_by(Customer.id).options(*options)))
        session.expunge_all()
    return customers


def test_a_graph_takes_one_select_a_class_and_the_flush_writes_what_differs(open_shop: Database) -> None:
    customers = away(open_shop, SHAPE)
    customers[3].name = "edited"
    customers[5].orders[1].lines[0].qty = 77
    with open_shop.session() as session, open_shop.statements() as log:
        merged = merge(session, customers)
        assert (len(log.selects), len(log)) == (3, 3)
        assert [one.id for one in merged] == [one.id for one in customers]
        assert all(one in session for one in merged)
        assert not any(one in session for one in customers)
        session.flush()
        assert (len(log.updates), len(log)) == (2, 5)
        assert merged[3].name == "edited"
        assert merged[5].orders[1].lines[0].qty == 77


def test_one_instance_gives_one_and_an_iterable_a_list(open_shop: Database) -> None:
    customers = away(open_shop)
    with open_shop.session() as session:
        assert merge(session, customers[0]) is session.get(Customer, 1)
        assert merge(session, iter(customers[:2])) == [session.get(Customer, 1), session.get(Customer, 2)]
        assert merge(session, []) == []
        with pytest.raises(NotMappedError):
            merge(session, object())


def test_new_objects_with_keys_are_looked_for_in_one_select_and_inserted_where_there_is_no_row(
    open_shop: Database,
) -> None:
    new = [Customer(id=number, name=f"n{number}", email="e", balance=1) for number in (1, 2, 901, 902)]
    with open_shop.session() as session, open_shop.statements() as log:
        merged = merge(session, new)
        assert len(log) == len(log.selects) == 1
        assert [inspect(one).pending for one in merged] == [False, False, True, True]
        session.flush()
        assert session.get_one(Customer, 901).name == "n901"
        assert session.get_one(Customer, 1).name == "n1"
        assert len(session.get_one(Customer, 1).orders) == 2  # was not loaded in the source, so is left alone


def test_members_that_are_not_in_the_source_leave_and_new_ones_come(open_shop: Database) -> None:
    [customer] = away(open_shop, SHAPE)[:1]
    customer.orders[0].lines = [Line(sku="new", qty=1, price=2), customer.orders[0].lines[1]]
    with open_shop.session() as session:
        merged = merge(session, customer)
        assert [line.sku for line in merged.orders[0].lines] == ["new", "SKU-014"]  # in the order of the source
        session.commit()
        lines = session.scalars(select(Line).where(Line.order_id == 1).order_by(Line.id)).all()
        assert [line.sku for line in lines] == ["SKU-014", "new"]


def test_a_member_that_others_added_meanwhile_gets_what_the_options_say(open_shop: Database) -> None:
    customers = away(open_shop, SHAPE)
    with open_shop.session() as session:
        order = Order(number="theirs", status="open", placed_at=shop.FIRST_DAY, lines=[Line(sku="x", qty=1, price=1)])
        customer = session.get_one(Customer, 1)
        customer.orders.append(order)
        session.commit()
        new = order.id
    with open_shop.session() as session, open_shop.statements() as log:
        merge(session, customers)
        assert len(log) <= 5
        theirs = next(one for one in session.identity_map.values() if isinstance(one, Order) and one.id == new)
        assert "lines" in theirs.__dict__  # selectinload, as in a lazy load of Customer.orders
        assert inspect(theirs).attrs.customer.history.deleted
        session.flush()
        assert session.get(Order, new) is None


def test_what_the_session_holds_expired_is_read_in_one_select(open_shop: Database) -> None:
    customers = away(open_shop)
    customers[2].city = "edited"
    with open_shop.session() as session:
        held = session.scalars(select(Customer)).all()
        session.commit()
        with open_shop.statements() as log:
            merged = merge(session, customers)
            assert merged == list(held)
            assert len(log) == 1
            session.flush()
        assert len(log.updates) == 1


def test_a_row_that_is_gone_is_an_error_for_an_expired_object(open_shop: Database) -> None:
    [customer] = away(open_shop)[:1]
    with open_shop.session() as session:
        held = session.get_one(Customer, 1)
        session.commit()
        with open_shop.session() as other:
            other.delete(other.get_one(Customer, 1))
            other.commit()
        with pytest.raises(ObjectDeletedError):
            merge(session, customer)
        assert held.__class__ is Customer


def test_options_shape_what_is_read_by_key(open_shop: Database) -> None:
    customers = away(open_shop)
    with open_shop.session() as session, open_shop.statements() as log:
        merged = merge(session, customers, options=[SHAPE])
        assert len(log) == 3
        assert len(merged[0].orders[0].lines) == 2
        assert len(log) == 3


def test_load_false_takes_no_statement_and_leaves_nothing_dirty(open_shop: Database) -> None:
    customers = away(open_shop, SHAPE)
    with open_shop.session() as session, open_shop.statements() as log:
        merged = merge(session, customers, load=False)
        assert merged[0].orders[1].lines[0].sku == customers[0].orders[1].lines[0].sku
        assert not session.dirty
        assert len(log) == 0
        with pytest.raises(InvalidRequestError, match="transient"):
            merge(session, Customer(id=77), load=False)
        edited = Order(id=700, number="x")
        make_transient_to_detached(edited)
        edited.number = "y"
        with pytest.raises(InvalidRequestError, match="dirty"):
            merge(session, edited, load=False)


def test_another_version_is_a_stale_data_error(books: Database) -> None:
    with books.session() as session, pytest.raises(StaleDataError, match=r"Version id '9'.*existing version '1'"):
        merge(session, [Author(id=2, name="fine"), Author(id=1, version=9)])


def test_an_object_that_is_pending_here_is_warned_of(open_shop: Database) -> None:
    with open_shop.session(autoflush=False) as session:
        customer = Customer(name="n", email="e", balance=1)
        session.add(customer)
        with pytest.warns(SAWarning, match="already pending in this Session"):
            assert merge(session, customer) is not customer


def test_the_session_is_flushed_first_as_by_session_merge(open_shop: Database) -> None:
    with open_shop.session() as session, open_shop.statements() as log:
        session.add(Customer(id=500, name="n", email="e", balance=1))
        merge(session, Customer(id=500, name="m", email="e", balance=1))
        assert len(log.inserts) == 1
        assert session.get_one(Customer, 500).name == "m"


def test_validators_and_listeners_are_called(books: Database) -> None:
    heard: list[Any] = []

    def changed(_target: Any, value: Any, old: Any, _initiator: Any) -> None:
        heard.append((value, old))

    tag = Tag(name="x", color="red")
    event.listen(Tag.color, "set", changed)
    try:
        with books.session() as session:
            author = Author(id=1, name="  spaced ")
            assert merge(session, [author, tag])[0] is session.get(Author, 1)
            assert session.get_one(Author, 1).name == "spaced"
            assert heard == [("red", "red")]
    finally:
        event.remove(Tag.color, "set", changed)


def test_a_value_that_changes_in_place_is_tracked_on_the_target(books: Database) -> None:
    with books.session() as session:
        merged = merge(session, Book(id=1, extra={"n": 1}))
        session.flush()
        assert merged.extra is not None
        merged.extra["n"] = 2
        assert merged in session.dirty


def test_two_classes_of_one_identity_are_what_they_are_to_sqlalchemy(books: Database) -> None:
    # Author 2 is no ghost: there is no such row, and another object is made, before it is found as what it is.
    with books.session() as session:
        ghost, author = merge(session, [Ghost(id=2, name="g"), Author(id=2, name="a")])
        assert type(ghost) is Ghost
        assert inspect(ghost).pending
        assert type(author) is Author
        assert inspect(author).persistent


def test_keys_that_are_not_of_their_columns_type_are_left_to_sqlalchemy(books: Database) -> None:
    with books.session() as session, books.statements() as log:
        key: Any = "1"
        merged = merge(session, Book(id=key, title="found"))
        assert merged is session.get(Book, 1)
        assert len(log.selects) == 1


def test_dicts_and_sets_of_members_are_replaced(books: Database) -> None:
    with books.session() as session:
        author = session.get_one(Author, 1, options=[selectinload(Author.notes)])
        book = session.get_one(Book, 3, options=[selectinload(Book.tags)])
        session.expunge_all()
    author.notes = {"three": Note(title="three", text="n"), "one": author.notes["one"]}
    book.tags = {Tag(name="z"), Tag(name="brand new")}
    with books.session() as session:
        merge(session, [author, book])
        session.commit()
        session.expire_all()
        assert set(session.get_one(Author, 1).notes) == {"one", "three"}
        assert {tag.name for tag in session.get_one(Book, 3).tags} == {"z", "brand new"}


def test_what_sojourn_detached_or_loaded_from_bytes_is_merged(open_shop: Database) -> None:
    with open_shop.session() as session:
        customers = detach(session, session.scalars(select(Customer).order_by(Customer.id)), SHAPE)
    for given in (customers, loads(dumps(customers), shop.Base)):
        given[0].orders[0].status = "merged"
        with open_shop.session() as session, open_shop.statements() as log:
            merged = merge(session, given)
            assert len(log) == 3
            session.flush()
            assert merged[0].orders[0].status == "merged"
            session.expire(merged[0])
            assert merged[0].name == "Customer 1"


def test_only_the_session_s_own_objects_are_the_result(open_shop: Database) -> None:
    with open_shop.session() as session:
        held = session.get_one(Customer, 1)
        held.name = "edited at home"
        assert merge(session, held) is held
        assert held.name == "edited at home"


def test_what_was_read_and_not_merged_with_is_not_left_in_the_session(books: Database) -> None:
    # The first root raises; SQLAlchemy would not have come to the second.
    with books.session() as session:
        with pytest.raises(StaleDataError):
            merge(session, [Author(id=1, version=9), Tag(name="x")])
        assert not any(isinstance(one, Tag) for one in session.identity_map.values())


def test_a_property_that_merges_in_a_way_of_its_own_is_asked(books: Database) -> None:
    OwnProperty.merged.clear()
    with books.session() as session:
        merge(session, [Stamp(id=1, text="own"), Stamp(id=2, text="own")])
        session.flush()
        assert session.get_one(Stamp, 2).__dict__["text"] == "own"
    assert OwnProperty.merged == ["text", "text"]


def test_a_tree_takes_one_select_for_its_rows_and_one_for_its_members(books: Database) -> None:
    with books.session() as session:
        chain = list(session.scalars(select(Book).order_by(Book.id).options(selectinload(Book.before))))
        session.expunge_all()
    with books.session() as session, books.statements() as log:
        merged = merge(session, chain[0])
        assert len(log) == 2
        depth, book = 1, merged
        while book.before:
            depth, book = depth + 1, book.before[0]
        assert depth == len(chain)


def test_the_order_of_new_objects_is_that_of_sqlalchemy(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    with sqlite.session() as session:
        last = Legacy(id=1, name="1")
        for number in range(2, 6):
            last = Legacy(id=number, name=str(number), parent=last)
        merge(session, last)
        assert [one.id for one in session.new] == [5, 4, 3, 2, 1]


def sharded(session: Session) -> None:
    """A session that looks objects up in a way of its own."""
    class_ = type(session)

    class Looking(class_):  # type: ignore[misc,valid-type]  # a class that is only known at run time
        def _identity_lookup(self, *args: Any, **options: Any) -> Any:
            return super()._identity_lookup(*args, **options)

    session.__class__ = Looking


def test_a_session_that_looks_up_in_a_way_of_its_own_reads_object_by_object(open_shop: Database) -> None:
    customers = away(open_shop)
    customers[1].name = "edited"
    with open_shop.session() as session, open_shop.statements() as log:
        sharded(session)
        merge(session, customers)
        assert len(log) == len(customers)
        session.flush()
        assert session.get_one(Customer, 2).name == "edited"
