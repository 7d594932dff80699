"""state() and changes(): what they say, and that they load nothing and call nothing of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session, joinedload, load_only, make_transient_to_detached, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from sojourn.errors import UNKNOWN, NotMappedError
from sojourn.mapping.base import remember
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.state import Change, Changes, CollectionChange, changes, state
from sojourn.sqlalchemy_internals import set_base
from tests.databases import Database
from tests.models import columns, odd, relations, styles
from tests.models.columns import Document, Point, Settings, Shape
from tests.models.loading import Player, Team
from tests.models.odd import Ball, Box, Corner, Cube, Pin
from tests.models.relations import Article, Note
from tests.models.shop import Customer, Line, Order
from tests.models.styles import Invoice, Item


@pytest.fixture
def customer(session: Session) -> Customer:
    return session.get_one(Customer, 1, options=[selectinload(Customer.orders)])


# --- state() ---------------------------------------------------------------------------------------------------------


def test_every_state_of_an_objects_life_has_its_name(session: Session) -> None:
    new = Customer(name="n", email="e", balance=Decimal(1))
    assert (state(new).name, state(new).identity) == ("transient", None)
    session.add(new)
    assert (state(new).name, state(new).identity) == ("pending", None)
    session.flush()
    assert (state(new).name, state(new).identity) == ("persistent", (Customer, (3,), None))
    session.delete(new)
    session.flush()
    assert state(new).name == "deleted"
    session.commit()
    assert state(new).name == "detached"


def test_loaded_unloaded_and_expired_attributes_are_told_apart(customer: Customer, session: Session) -> None:
    seen = state(customer)
    assert seen.loaded == {"id", "name", "email", "city", "balance", "orders"}
    assert seen.unloaded == seen.expired == frozenset()
    session.expire(customer, ["name", "orders"])
    seen = state(customer)
    assert seen.loaded == {"id", "email", "city", "balance"}
    assert seen.unloaded == {"name", "orders"}
    assert seen.expired == {"name"}
    session.expire(customer)
    customer.name = "set while expired"
    assert state(customer).loaded == {"name"}
    assert state(customer).expired == {"id", "email", "city", "balance", "orders"}


def test_a_composite_is_loaded_with_all_of_its_columns(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Shape(id=1, name="s", start=Point(1, 2), end=None))
        session.commit()
        shape = session.scalars(
            select(Shape).options(load_only(Shape.name, inspect(Shape).attrs["x1"].class_attribute))
        ).one()
        assert {"x1", "name"} <= state(shape).loaded
        assert {"start", "y1", "end"} <= state(shape).unloaded
        assert not state(shape).changes
        shape = session.get_one(Shape, 1, populate_existing=True)
        assert {"start", "end", "x1", "y1"} <= state(shape).loaded


def test_reading_loads_nothing_and_changes_nothing(customer: Customer, session: Session, sqlite: Database) -> None:
    customer.orders[0].customer_id = 7
    session.expire(customer)
    customer.name = "edited"
    before = dict(inspect(customer).dict), dict(inspect(customer).committed_state)
    with sqlite.statements() as log:
        str(state(customer)), repr(changes(customer)), state(customer.__dict__.get("orders", customer))
    assert len(log) == 0
    assert (dict(inspect(customer).dict), dict(inspect(customer).committed_state)) == before


def test_a_class_that_cannot_be_compared_hashed_or_printed_can_be_looked_at(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        session.add(Box(id=1, corner=Corner(1, 2), labels={"a": "b"}, pins=[Pin(id=1), Pin(id=2)]))
        session.commit()
        box = session.get_one(Box, 1, options=[selectinload(Box.pins)])
        pin = box.pins.pop()
        box.pins.append(Pin())
        assert repr(changes(box)["pins"]) == "CollectionChange(added=[Pin(new)], removed=[Pin(2)])"
        assert "  pins: [Pin(1), Pin(new)]  added Pin(new)  removed Pin(2)\n" in state(box).long + "\n"
        assert repr(state(pin)).startswith("Pin(2) persistent")


def test_what_is_not_mapped_is_refused() -> None:
    with pytest.raises(NotMappedError):
        state("text")
    with pytest.raises(NotMappedError):
        changes(Customer)


def test_the_text_tells_every_attribute(customer: Customer, session: Session) -> None:
    customer.name = "b"
    customer.orders.append(Order(number="new"))
    customer.orders.remove(customer.orders[0])
    session.expire(customer, ["balance"])
    seen = state(customer)
    assert repr(seen) == "Customer(1) persistent, modified"
    assert str(seen) == seen.long
    assert seen.long.splitlines() == [
        "Customer(1) persistent, modified",
        "  id: 1  key",
        "  name: 'b'  was 'Customer 1'",
        "  email: 'customer1@example.org'",
        "  city: 'Bergen'",
        "  balance: expired",
        "  orders: [Order(2), Order(new)]  added Order(new)  removed Order(1)",
    ]
    assert state(session.get_one(Order, 2)).long.splitlines()[1:] == [
        "  id: 2  key",
        "  customer_id: 1",
        "  number: 'N-000002'",
        "  status: 'sent'",
        "  placed_at: datetime.datetime(2026, 1, 1, 9, 44)",
        "  customer: not loaded",
        "  lines: not loaded",
    ]


def test_the_text_of_a_new_object_says_what_was_set(session: Session) -> None:
    order = Order(number="1", customer=session.get_one(Customer, 1))
    assert state(order).long.splitlines() == [
        "Order(new) transient, modified",
        "  id: not set  key",
        "  customer_id: not set",
        "  number: '1'",
        "  status: not set",
        "  placed_at: not set",
        "  customer: Customer(1)",
        "  lines: not set",
    ]


def test_the_text_of_references_composites_and_special_collections(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata, columns.Base.metadata)
    with sqlite.session() as session:
        session.add_all([Box(id=1, corner=Corner(1, 2)), Box(id=2, corner=Corner(1, 2)), Ball(id=1, box_id=1)])
        session.add(Shape(id=1, name="s", start=Point(1, 2), end=None))
        session.commit()
        ball = session.get_one(Ball, 1, options=[joinedload(Ball.box)])
        shape, two = session.get_one(Shape, 1), session.get_one(Box, 2)
        ball.box, shape.start, shape.end = two, Point(3, 4), Point(5, 6)
        del shape.name
        assert "  box: Box(2)  was Box(1)" in state(ball).long
        assert "  balls: not held in memory  added Ball(1)" in state(two).long
        assert state(shape).long.splitlines()[1:] == [
            "  id: 1  key",
            "  name: None  was 's'",
            "  start: Point(3, 4)  was Point(1, 2)",
            "  end: Point(5, 6)  was None",
        ]
        session.expire(shape)
        assert {"start", "end", "name"} <= state(shape).expired
        assert "  start: expired" in state(shape).long


def test_the_text_of_a_keyed_and_of_a_long_collection_is_short() -> None:
    article = Article(notes={"a": Note(keyword="a"), "b": Note(keyword="b")})
    assert "  notes: {'a': Note(new), 'b': Note(new)}  added" in state(article).long
    order = Order(lines=[Line() for _ in range(25)])
    assert order.lines
    listed = ", ".join(["Line(new)"] * 10)
    assert f"  lines: [{listed}, … 15 more]  added {listed}, … 15 more" in state(order).long


def test_a_state_is_what_was_seen_and_does_not_look_again(customer: Customer) -> None:
    customer.name = "b"
    seen = state(customer)
    customer.name = "c"
    assert seen.changes["name"] == Change("Customer 1", "b")
    assert "'b'" in seen.long
    assert seen != state(customer)


# --- changes() -------------------------------------------------------------------------------------------------------


def test_changes_is_a_mapping_that_is_falsy_when_there_are_none(customer: Customer) -> None:
    found = changes(customer)
    assert isinstance(found, Mapping)
    assert not found
    assert len(found) == 0
    assert repr(found) == "<Changes of Customer(1): none>"
    customer.city, customer.name = None, "b"
    found = changes(customer)
    assert found
    assert list(found) == ["name", "city"]
    assert found == {"name": Change("Customer 1", "b"), "city": Change("Bergen", None)}
    assert (
        repr(found)
        == "<Changes of Customer(1): name: Change(old='Customer 1', new='b'), city: Change(old='Bergen', new=None)>"
    )
    with pytest.raises(KeyError):
        found["email"]


def test_a_value_set_back_to_its_base_is_no_change(customer: Customer) -> None:
    customer.name = "b"
    customer.name = "Customer 1"
    customer.balance = Decimal("1.370")
    assert not changes(customer)
    assert repr(state(customer)) == "Customer(1) persistent"


def test_a_deleted_value_is_a_change_to_none(customer: Customer) -> None:
    del customer.name
    assert changes(customer) == {"name": Change("Customer 1", None)}


def test_an_expression_is_a_change(customer: Customer) -> None:
    customer.balance = Customer.balance + 1
    found = changes(customer)["balance"]
    assert isinstance(found, Change)
    assert found.new is customer.balance
    assert "Change(old=Decimal('1.37'), new=<BinaryExpression>)" in repr(changes(customer))


def test_a_value_that_was_set_unseen_has_an_unknown_base(
    customer: Customer, session: Session, sqlite: Database
) -> None:
    session.expire(customer)
    customer.name = "b"
    assert changes(customer) == {"name": Change(UNKNOWN, "b")}
    assert "  name: 'b'  was unknown" in state(customer).long
    stub = Customer(id=7)
    make_transient_to_detached(stub)
    stub.name = "b"
    assert changes(stub) == {"name": Change(UNKNOWN, "b")}


def test_collections_change_by_identity_and_not_by_order(customer: Customer) -> None:
    first, second = customer.orders
    customer.orders.remove(first)
    assert changes(customer) == {"orders": CollectionChange(added=[], removed=[first])}
    customer.orders.append(first)
    assert customer.orders == [second, first]
    assert not changes(customer)
    new = Order()
    customer.orders = [new, second]
    assert changes(customer) == {"orders": CollectionChange(added=[new], removed=[first])}
    del customer.orders
    assert changes(customer) == {"orders": CollectionChange(added=[], removed=[first, second])}


def test_a_collection_changed_through_its_backref_counts_before_it_is_loaded(
    session: Session, sqlite: Database
) -> None:
    one, two = session.get_one(Customer, 1), session.get_one(Customer, 2)
    order, new = session.get_one(Order, 1), Order()
    order.customer = new.customer = two
    with sqlite.statements() as log:
        assert changes(one) == {"orders": CollectionChange(added=[], removed=[order])}
        assert changes(two) == {"orders": CollectionChange(added=[order, new], removed=[])}
        assert "  orders: not loaded  removed Order(1)" in state(one).long
    assert len(log) == 0
    order.customer = one
    assert not changes(one)


def test_dynamic_and_write_only_collections_tell_what_was_added_and_removed(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        session.add_all([Box(id=1, corner=Corner(1, 2)), Cube(id=1, box_id=1)])
        session.commit()
        box, cube, ball = session.get_one(Box, 1), session.get_one(Cube, 1), Ball()
        assert not changes(box)
        box.balls.append(ball)
        box.cubes.remove(cube)
        assert changes(box)["balls"] == CollectionChange([ball], [])
        assert changes(box)["cubes"] == CollectionChange([], [cube])
        assert {"balls", "cubes"} <= state(box).unloaded


def test_a_reference_changes_from_object_to_object(session: Session) -> None:
    order, other = session.get_one(Order, 1, options=[joinedload(Order.customer)]), session.get_one(Customer, 2)
    old = order.customer
    order.customer = other
    assert changes(order) == {"customer": Change(old, other)}
    assert repr(changes(order)["customer"]) == "Change(old=Customer(1), new=Customer(2))"
    order.customer = old
    assert not changes(order)
    order.customer = None  # type: ignore[assignment]  # a user may try
    assert changes(order) == {"customer": Change(old, None)}
    assert "  customer: None  was Customer(1)" in state(order).long


def test_the_foreign_key_tells_of_a_reference_that_was_not_loaded(session: Session, sqlite: Database) -> None:
    order, other = session.get_one(Order, 1), session.get_one(Customer, 2)
    session.expunge_all()
    order.customer = other
    assert changes(order) == {"customer": Change(UNKNOWN, other)}
    same = Customer(id=1)
    make_transient_to_detached(same)
    order.customer = same
    assert not changes(order)  # the very row that the foreign key names
    session.expunge_all()
    sqlite.create(relations.Base.metadata)
    with sqlite.session() as another:
        another.add(Article(id=1, title="t"))
        another.commit()
        article = another.get_one(Article, 1)
    person = relations.Person()
    article.author = person
    assert changes(article) == {"author": Change(None, person)}


def test_a_composite_is_one_value_under_its_own_name(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Shape(id=1, name="s", start=Point(1, 2), end=None))
        session.commit()
        shape = session.get_one(Shape, 1)
        shape.start, shape.end = Point(1, 3), Point(4, 5)
        assert changes(shape) == {"start": Change(Point(1, 2), Point(1, 3)), "end": Change(None, Point(4, 5))}
        shape.start, shape.end = Point(1, 2), None
        assert not changes(shape)
        session.expire(shape)
        shape.start = Point(1, 3)
        assert changes(shape) == {"start": Change(UNKNOWN, Point(1, 3))}


def test_a_composite_of_which_a_part_is_not_known_is_not_made_up(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Shape(id=1, name="s", start=Point(1, 2), end=None))
        session.commit()
        x = inspect(Shape).attrs["x1"].class_attribute
        shape = session.scalars(select(Shape).options(load_only(x))).one()
        setattr(shape, "x1", 9)  # noqa: B010 - the attribute exists for the mapper only
        assert changes(shape) == {"start": Change(UNKNOWN, UNKNOWN)}


def test_a_collection_whose_base_nobody_knows_is_all_additions(customer: Customer) -> None:
    set_base(inspect(customer), "orders", UNKNOWN)
    assert changes(customer) == {"orders": CollectionChange(list(customer.orders), [])}


def test_a_mutable_composite_that_changed_in_place_is_a_change(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        session.add(Box(id=1, corner=Corner(1, 2)))
        session.commit()
        box = session.get_one(Box, 1)
        box.corner.x = 9
        found = changes(box)["corner"]
        assert isinstance(found, Change)
        assert (found.old.x, found.old.y, found.new.x, found.new.y) == (1, 2, 9, 2)


def test_changes_in_place_are_seen_while_away_and_tracked_ones_at_home(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Settings(id=1, name="n", plain={"a": [1]}, tracked={"b": 1}))
        session.commit()
        one = session.get_one(Settings, 1)
        assert one.plain is not None
        assert one.tracked is not None
        one.plain["a"].append(2)
        assert not changes(one)
        one.tracked["b"] = 2
        assert changes(one) == {"tracked": Change(UNKNOWN, {"b": 2})}
        session.rollback()
        assert one.name == "n"
        session.expunge(one)
        remember(inspect(one), blueprint(Settings))
        assert not changes(one)
        one.plain["a"].append(2)
        one.tracked["b"] = 2
        assert changes(one) == {
            "plain": Change({"a": [1]}, {"a": [1, 2]}),
            "tracked": Change({"b": 1}, {"b": 2}),
        }
        one.plain["a"].pop()
        assert list(changes(one)) == ["tracked"]


def test_everything_that_was_set_on_a_new_object_is_a_change(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    line = Line()
    order = Order(number="1", status=None, lines=[line], customer=customer)
    assert changes(order) == {
        "number": Change(UNKNOWN, "1"),
        "status": Change(UNKNOWN, None),
        "customer": Change(UNKNOWN, customer),
        "lines": CollectionChange([line], []),
    }
    session.add(order)
    assert list(changes(order)) == ["number", "status", "customer", "lines"]
    assert list(changes(Shape(start=Point(1, 2)))) == ["start"]
    assert not changes(Order())
    assert not changes(Order(lines=[]))


def test_objects_without_identity_in_memory_and_dataclasses_are_told(sqlite: Database) -> None:
    sqlite.create(styles.Base.metadata)
    item = Item(text="a")
    invoice = Invoice(number="1", items=[item])
    assert changes(invoice)["items"] == CollectionChange([item], [])
    assert repr(state(item)) == "Item(new) transient, modified"


def test_what_is_never_written_is_no_change() -> None:
    team = Team(name="t", loud="T")
    set_committed_value(team, "guarded", [])
    team.guarded.append(Player(number=1))
    assert list(changes(team)) == ["name"]


def test_a_changed_document_version_counts_like_any_column(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Document(id=1, title="t", body="b"))
        session.commit()
        document = session.get_one(Document, 1)
        document.body = "unseen"
        assert changes(document) == {"body": Change(UNKNOWN, "unseen")}
        assert session.scalar(select(func.count()).select_from(Document)) == 1
        assert not changes(document)
    assert isinstance(changes(document), Changes)
