"""savepoint(): after an error the database is as before, and so are the objects."""

from __future__ import annotations

import gc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, inspect, select, text, update
from sqlalchemy.exc import IntegrityError, InvalidRequestError, PendingRollbackError
from sqlalchemy.orm import Session, make_transient, selectinload
from sqlalchemy.orm.attributes import flag_modified

from sojourn import attach, changes, detach, discard, merge, patch, prefetch, refresh, savepoint, state
from tests.databases import Database
from tests.models import columns, inheritance, keys, odd, relations, shop
from tests.models.shop import Customer, Line, Order
from tests.session.observing import differences, look, raised


class WorkError(Exception):
    """What goes wrong in a block."""


def ada(**values: Any) -> Customer:
    return Customer(**{"name": "Ada", "email": "ada@example.org", "balance": Decimal(5)} | values)


def fails(session: Session, work: Callable[[], object], *others: Any) -> None:
    """Do the work in a block that fails, and look whether everything is as before, also what a flush then writes."""
    before = look(session, others)
    with raised(WorkError), savepoint(session):
        work()
        raise WorkError
    assert differences(before, look(session, others)) == []


# --- what is as before -----------------------------------------------------------------------------------------------


def test_an_edit_from_before_the_block_waits_for_its_flush_again(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=1, orders=0, lines=0)
        session.commit()
        customer = session.get_one(Customer, 1)
        customer.name = "before"

        def work() -> None:
            customer.city = "inside"
            session.flush()
            customer.email = "inside, too"

        fails(session, work)
        assert dict(changes(customer)).keys() == {"name"}
        session.commit()
        assert session.execute(text("SELECT name, city FROM customer")).one() == ("before", "Bergen")


def test_a_pending_object_is_pending_again_without_the_key_and_defaults_of_its_lost_row(database: Database) -> None:
    database.create(columns.Base.metadata)
    with database.session() as session:
        one = columns.Audited(name="one")
        session.add(one)

        def work() -> None:
            session.flush()
            assert one.id is not None
            assert one.status == "new"

        fails(session, work)
        assert vars(one).keys() == {"_sa_instance_state", "name"}
        session.commit()
        assert session.execute(text("SELECT count(*) FROM audited")).scalar_one() == 1


def test_an_object_that_was_added_inside_is_transient_as_it_was_when_it_came_in(session: Session) -> None:
    customer = ada()

    def work() -> None:
        session.add(customer)
        customer.city = "inside"
        session.flush()

    fails(session, work, customer)
    session.add(customer)
    session.commit()
    assert (customer.id, customer.city) == (3, None)


def test_a_detached_object_that_was_added_inside_is_detached_again_with_its_edits(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    session.expunge(customer)
    customer.name = "away"

    def work() -> None:
        session.add(customer)
        customer.city = "inside"
        session.flush()

    fails(session, work, customer)
    assert state(customer).name == "detached"


def test_a_child_that_is_moved_is_with_its_first_parent_again(session: Session) -> None:
    first, second = session.scalars(select(Customer).options(selectinload(Customer.orders))).all()
    order = first.orders[0]

    def work() -> None:
        second.orders.append(order)
        session.flush()
        session.refresh(first)
        assert order not in first.orders

    fails(session, work)
    assert order.customer is first
    first.orders.remove(order)  # what comes after is noticed as ever
    assert changes(first)["orders"].removed == [order]  # type: ignore[union-attr]  # a collection's change


def test_an_object_that_was_deleted_inside_is_persistent_again_with_what_goes_with_it(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=2, orders=2, lines=2)
        session.commit()
        customers = session.scalars(select(Customer).options(selectinload(Customer.orders))).all()
        customers[0].orders[0].status = "edited"

        def work() -> None:
            session.delete(customers[0])
            session.flush()
            assert state(customers[0]).name == "deleted"

        fails(session, work)
        assert session.get(Customer, 1) is customers[0]


def test_an_object_that_waited_for_its_delete_waits_again(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    session.delete(customer)
    fails(session, session.flush)
    assert customer in session.deleted
    session.commit()
    assert session.get(Customer, 1) is None


def test_an_object_that_was_deleted_before_the_block_stays_deleted(session: Session) -> None:
    line = session.get_one(Line, 1)
    session.delete(line)
    session.flush()

    def work() -> None:
        make_transient(line)
        session.add(line)
        session.flush()

    fails(session, work, line)
    assert state(line).name == "deleted"
    session.rollback()
    assert state(line).name == "persistent"


@pytest.mark.parametrize("forget", ["expire", "expire_all", "refresh", "expunge", "expunge_all", "populate"])
def test_nothing_is_expired_or_gone_that_was_not(session: Session, forget: str) -> None:
    customer, other = session.scalars(select(Customer).options(selectinload(Customer.orders))).all()
    customer.name = "before"
    customer.orders.append(Order(number="N", status="s", placed_at=shop.FIRST_DAY))
    session.expire(other, ["city"])

    def work() -> None:
        if forget == "populate":
            session.scalars(select(Customer).execution_options(populate_existing=True)).all()
        elif forget.endswith("all"):
            getattr(session, forget)()
        else:
            getattr(session, forget)(customer)
        session.scalars(select(Customer)).all()

    fails(session, work, customer, other)


def test_an_object_that_went_into_another_session_comes_back(session: Session, sqlite: Database) -> None:
    customer = session.get_one(Customer, 1)
    with sqlite.session() as other:

        def work() -> None:
            session.expunge(customer)
            other.add(customer)

        fails(session, work, customer)
        assert customer not in other


def test_an_object_of_no_session_that_went_into_another_one_is_left_there(session: Session, sqlite: Database) -> None:
    customer = session.get_one(Customer, 1, options=[selectinload(Customer.orders)])
    order = Order(number="N", status="new", placed_at=shop.FIRST_DAY)
    with sqlite.session() as other:
        with raised(WorkError), savepoint(session):
            session.add(order)
            session.expunge(order)
            order.status = "other"
            other.add(order)
            raise WorkError
        assert order in other
        assert order.status == "other"
        assert order not in customer.orders
        other.expunge_all()


def test_an_object_that_nobody_refers_to_is_there_until_the_block_ends(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    with savepoint(session) as block:
        del customer
        gc.collect()
        assert [type(one) for one in session] == [Customer]
    gc.collect()
    assert list(session) == []
    block.rollback()  # it is over


def test_what_was_loaded_inside_stays_and_is_read_again(session: Session) -> None:
    with raised(WorkError), savepoint(session):
        session.execute(update(Customer).where(Customer.id == 1).values(name="never"))
        customer = session.get_one(Customer, 1)
        assert customer.name == "never"
        raise WorkError
    assert state(customer).loaded == frozenset()
    assert customer.name == "Customer 1"


def test_an_object_that_came_home_inside_is_away_again_with_its_edits_and_can_come_home_again(session: Session) -> None:
    [customer] = detach(session, session.get_one(Customer, 1), selectinload(Customer.orders))
    customer.name = "away"
    customer.orders.append(Order(number="N", status="s", placed_at=shop.FIRST_DAY))

    def work() -> None:
        attach(session, customer)
        session.flush()

    fails(session, work, customer, *customer.orders)
    assert changes(customer).keys() == {"name", "orders"}
    attach(session, customer)
    session.commit()
    assert (customer.name, len(customer.orders)) == ("away", 3)


def test_the_verbs_of_sojourn_go_back_too(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "before"

    def work() -> None:
        prefetch(session, customer, selectinload(Customer.orders))
        discard(customer)
        merge(session, Customer(id=1, name="merged"))
        session.flush()
        refresh(session, customer)
        patch(session, Customer, {"id": 1, "orders": [{"id": 1}]}, allow=[Customer.orders], on_absent="delete")

    fails(session, work)


def test_a_transient_object_that_the_session_refers_to_is_as_before(session: Session) -> None:
    customer = session.get_one(Customer, 1, options=[selectinload(Customer.orders)])
    order = Order(number="N", status="new", customer=customer)  # a backref brings nobody into the session
    assert order not in session

    def work() -> None:
        order.status = "inside"
        customer.orders.remove(order)

    fails(session, work, order)
    assert customer.orders[-1] is order


# --- kinds of values -------------------------------------------------------------------------------------------------


def test_json_that_was_changed_in_place_is_the_same_value_with_what_it_held(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        one = columns.Settings(name="a", plain={"deep": [1, {"x": 2}]}, tracked={"a": 1})
        session.add(one)
        session.commit()
        assert one.plain is not None
        assert one.tracked is not None
        plain, deep = one.plain, one.plain["deep"]
        one.tracked["b"] = 2

        def work() -> None:
            deep[1]["x"] = 3
            deep.append(4)
            one.tracked["c"] = 3  # type: ignore[index]  # it is there
            flag_modified(one, "plain")
            session.flush()
            one.plain = None

        fails(session, work)
        assert one.plain is plain
        assert one.plain["deep"] is deep
        assert deep == [1, {"x": 2}]
        session.flush()
        one.tracked["d"] = 4
        session.commit()
        assert one.tracked == {"a": 1, "b": 2, "d": 4}


def test_a_mutable_value_that_was_set_inside_does_not_edit_the_object_any_more(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        one = columns.Settings(name="a", tracked={"a": 1})
        session.add(one)
        session.commit()
        assert one.tracked is not None
        inside: list[Any] = []

        def work() -> None:
            one.tracked = {"inside": 1}
            inside.append(one.tracked)

        fails(session, work)
        inside[0]["more"] = 2
        assert one not in session.dirty


def test_composites_are_as_before(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        box = odd.Box(labels={"a": "b"}, corner=odd.Corner(1, 2))
        session.add(box)
        session.commit()
        corner = box.corner
        assert box.labels == {"a": "b"}

        def work() -> None:
            corner.x = 5
            box.labels["c"] = "d"  # type: ignore[index]  # it is there
            session.flush()

        fails(session, work)
        assert box.corner is corner
        corner.y = 7
        session.commit()
        assert (box.corner.x, box.corner.y) == (1, 7)


def test_a_version_counter_goes_back(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        document = columns.Document(title="a", body="b")
        session.add(document)
        session.commit()
        document.title = "before"
        fails(session, session.flush)
        session.commit()
        assert (document.version, document.title) == (2, "before")


def test_what_onupdate_and_the_server_wrote_is_forgotten(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        one = columns.Audited(name="a")
        session.add(one)
        session.commit()
        assert one.revision == 1
        one.name = "before"

        def work() -> None:
            session.flush()
            assert one.revision == 2

        fails(session, work)
        assert one.revision == 1


def test_a_natural_key_that_was_changed_and_flushed_is_the_old_one(database: Database) -> None:
    database.create(keys.Base.metadata)
    with database.session() as session:
        session.add_all([keys.Country(code="be", name="Belgium"), keys.Country(code="no", name="Norway")])
        session.commit()
        country = session.get_one(keys.Country, "be")

        def work() -> None:
            country.code = "xx"
            session.flush()
            session.add(keys.Country(code="be", name="another"))
            session.flush()
            session.expunge_all()
            session.get_one(keys.Country, "be")

        fails(session, work, country)
        assert session.get(keys.Country, "be") is country
        country.code = "yy"
        session.commit()
        assert session.scalars(select(keys.Country.code).order_by(keys.Country.code)).all() == ["no", "yy"]


# --- kinds of collections --------------------------------------------------------------------------------------------


def test_lists_sets_and_dicts_hold_what_they_held(database: Database) -> None:
    database.create(relations.Base.metadata)
    with database.session() as session:
        article = relations.Article(
            title="a",
            tags=[relations.Tag(name="x"), relations.Tag(name="y")],
            notes={"k": relations.Note(keyword="k", text="t")},
            links={relations.Link(url="u")},
        )
        session.add(article)
        session.commit()
        held = article.tags, article.notes, article.links
        article.tags.append(relations.Tag(name="before"))
        note = article.notes["k"]

        def work() -> None:
            article.tags.pop(0)
            del article.notes["k"]
            article.links.clear()
            article.links.add(relations.Link(url="inside"))
            session.flush()
            article.notes = {"new": relations.Note(keyword="new", text="t")}
            article.tags = []
            session.flush()

        fails(session, work, article, note)
        assert (article.tags, article.notes, article.links) == held
        assert article.notes["k"] is note
        article.links.add(relations.Link(url="after"))
        session.commit()
        assert [tag.name for tag in article.tags] == ["x", "y", "before"]
        assert {link.url for link in article.links} == {"u", "after"}


def test_ordering_lists_and_collections_of_other_classes_hold_what_they_held(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        box = odd.Box(corner=odd.Corner(0, 0), pins=[odd.Pin(), odd.Pin(), odd.Pin()])
        desk = odd.Desk()
        papers = [odd.Paper(), odd.Paper()]
        for paper in papers:
            desk.papers.push(paper)
        session.add_all([box, desk])
        session.commit()
        assert ([pin.position for pin in box.pins], len(desk.papers)) == ([0, 1, 2], 2)

        def work() -> None:
            box.pins.insert(0, box.pins.pop())
            del box.pins[1]
            desk.papers.drop(papers[0])
            session.flush()

        fails(session, work)
        box.pins.append(odd.Pin())
        assert [pin.position for pin in box.pins] == [0, 1, 2, 3]


def test_what_waits_in_collections_that_are_not_loaded_waits_again(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata, shop.Base.metadata)
    with sqlite.session() as session:
        session.add(odd.Box(corner=odd.Corner(0, 0)))
        session.add(ada())
        session.commit()
        box = session.get_one(odd.Box, 1)
        customer = session.get_one(Customer, 1)
        ball, cube = odd.Ball(), odd.Cube()
        box.balls.append(ball)
        box.cubes.add(cube)
        order = Order(number="N", status="s", placed_at=shop.FIRST_DAY, customer=customer)  # orders is not loaded
        session.add(order)

        def work() -> None:
            box.balls.append(odd.Ball())
            box.cubes.add(odd.Cube())
            session.flush()
            box.balls.remove(ball)
            assert customer.orders == [order]
            session.delete(cube)
            session.flush()

        fails(session, work, ball, cube, order)
        session.commit()
        assert (len(box.balls.all()), session.scalars(box.cubes.select()).all()) == (1, [cube])
        assert customer.orders == [order]


def test_what_came_to_wait_inside_waits_no_more(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    assert len(customer.orders) == 2
    session.expire(customer, ["orders"])

    def work() -> None:
        Order(number="N", status="s", placed_at=shop.FIRST_DAY, customer=customer)  # orders is not loaded

    fails(session, work)
    assert len(customer.orders) == 2


def test_an_empty_collection_that_was_only_looked_at_is_empty_and_takes_members(session: Session) -> None:
    customer = ada()
    session.add(customer)
    orders = customer.orders

    def work() -> None:
        customer.orders.append(Order(number="N", status="s", placed_at=shop.FIRST_DAY))
        session.flush()

    fails(session, work, customer)
    assert customer.orders is orders
    orders.append(Order(number="N", status="s", placed_at=shop.FIRST_DAY))
    session.commit()
    assert len(customer.orders) == 1


def test_joined_inheritance_and_polymorphic_members_are_as_before(sqlite: Database) -> None:
    sqlite.create(inheritance.Base.metadata)
    with sqlite.session() as session:
        owner = inheritance.Owner(name="o", vehicles=[inheritance.Car(plate="c", doors=2)])
        session.add(owner)
        session.commit()
        owner.vehicles.append(inheritance.Lorry(plate="l", tons=1, axles=2))

        def work() -> None:
            session.flush()
            session.delete(owner.vehicles[0])
            session.flush()

        fails(session, work, *owner.vehicles)
        session.commit()
        assert [vehicle.plate for vehicle in owner.vehicles] == ["c", "l"]


def test_an_orphan_of_before_the_block_is_an_orphan_again(session: Session) -> None:
    order = session.get_one(Order, 1, options=[selectinload(Order.lines)])
    line = order.lines.pop()

    def work() -> None:
        order.lines.append(line)
        session.flush()

    fails(session, work, line)
    session.commit()
    assert inspect(line).was_deleted


# --- how a block ends ------------------------------------------------------------------------------------------------


def test_a_block_without_an_error_flushes_and_keeps_its_work(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        with savepoint(session):
            session.add(ada())
        assert not session.new
        session.commit()
    with database.session() as session:
        assert session.scalars(select(Customer.name)).all() == ["Ada"]


def test_nothing_is_flushed_before_the_savepoint(session: Session, sqlite: Database) -> None:
    session.get_one(Customer, 1).name = "before"
    with sqlite.statements() as log, pytest.raises(WorkError), savepoint(session):
        raise WorkError
    assert [statement.kind for statement in log] == ["SAVEPOINT", "ROLLBACK"]


def test_a_flush_that_fails_inside_leaves_everything_as_before(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=1, orders=1, lines=1)
        session.commit()
        customer = session.get_one(Customer, 1)
        customer.name = "before"
        added = ada()
        session.add(added)
        before = look(session, [])
        with raised(IntegrityError), savepoint(session):
            customer.city = "inside"
            session.flush()
            session.add(Line(order_id=99, sku="s", qty=1, price=1))
            session.flush()
        assert differences(before, look(session, [])) == []
        session.commit()
        assert session.scalars(select(Customer.name).order_by(Customer.id)).all() == ["before", "Ada"]


def test_a_flush_that_fails_on_leaving_leaves_everything_as_before(session: Session) -> None:
    before = look(session, [])
    with raised(IntegrityError), savepoint(session):
        session.add(Customer(name="without an address"))
    assert differences(before, look(session, [])) == []


def test_a_failed_flush_that_was_not_told_on_is_told_when_the_block_is_left(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "before"
    before = look(session, [])
    with raised(PendingRollbackError, match="NOT NULL"), savepoint(session):
        session.add(Customer(name="without an address"))
        with pytest.raises(IntegrityError):
            session.flush()
    assert differences(before, look(session, [])) == []
    session.commit()


def test_a_block_that_is_rolled_back_by_name_is_left_without_an_error(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "before"
    before = look(session, [])
    with savepoint(session) as block:
        customer.city = "inside"
        session.flush()
        block.rollback()
        assert differences(before, look(session, [])) == []
        block.rollback()  # once is enough
        with pytest.raises(InvalidRequestError, match="complete the context manager"):
            session.flush()
    assert differences(before, look(session, [])) == []
    session.commit()
    assert (customer.name, customer.city) == ("before", "Bergen")


def test_blocks_nest_and_each_goes_back_to_its_own_beginning(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=1, orders=0, lines=0)
        session.commit()
        customer = session.get_one(Customer, 1)
        before = look(session, [])
        with raised(WorkError), savepoint(session):
            customer.name = "outer"
            session.add(ada())
            inner = look(session, [])
            with raised(WorkError), savepoint(session):
                customer.name = "inner"
                session.flush()
                raise WorkError
            assert differences(inner, look(session, [])) == []
            with savepoint(session):
                customer.city = "kept"
            with session.begin_nested():
                session.add(ada(name="nested"))
            session.begin_nested()  # left open
            session.add(ada(name="open"))
            session.flush()
            raise WorkError
        assert differences(before, look(session, [])) == []
        session.commit()
        assert session.execute(text("SELECT name, city FROM customer")).all() == [("Customer 1", "Bergen")]


def test_an_outer_rollback_takes_back_what_a_block_kept(session: Session) -> None:
    customer = ada()
    with raised(WorkError), session.begin_nested():
        with savepoint(session):
            session.add(customer)
        raise WorkError
    assert state(customer).name == "transient"


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_the_end_of_the_whole_transaction_inside_is_the_end_of_the_block(session: Session, end: str) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "before"
    with raised(WorkError), savepoint(session):
        customer.city = "inside"
        getattr(session, end)()
        with pytest.raises(InvalidRequestError, match="complete the context manager"):
            session.add(ada())
        session.expunge_all()
        raise WorkError
    kept = session.execute(text("SELECT name, city FROM customer WHERE id = 1")).one()
    assert kept == (("before", "inside") if end == "commit" else ("Customer 1", "Bergen"))


def test_a_session_that_must_be_begun_must_be_begun(sqlite: Database) -> None:
    with sqlite.session(autobegin=False) as session:
        with pytest.raises(InvalidRequestError, match="Autobegin is disabled"):
            savepoint(session).__enter__()
        assert not session.dispatch.before_attach
        with session.begin(), savepoint(session):
            assert session.in_nested_transaction()


def test_nothing_can_be_begun_on_a_transaction_that_waits_for_its_rollback(session: Session) -> None:
    session.add(Customer(name="without an address"))
    with pytest.raises(IntegrityError):
        session.flush()
    with raised(PendingRollbackError), savepoint(session):
        pass


# --- what the database does ------------------------------------------------------------------------------------------


def test_session_events_tell_the_way_back(session: Session) -> None:
    told: list[tuple[str, Any]] = []
    for name in ("transient_to_pending", "pending_to_transient", "persistent_to_transient", "deleted_to_persistent"):
        event.listen(session, name, lambda _, obj, name=name: told.append((name, obj)))
    event.listen(session, "after_soft_rollback", lambda _, transaction: told.append(("soft", transaction.nested)))
    line, pending = session.get_one(Line, 1), ada()
    session.add(pending)

    def work() -> None:
        session.flush()
        session.delete(line)
        session.flush()
        told.clear()

    fails(session, work)
    assert told == [
        ("persistent_to_transient", pending),
        ("deleted_to_persistent", line),
        ("soft", True),
        ("transient_to_pending", pending),
    ]
