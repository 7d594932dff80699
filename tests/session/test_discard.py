"""discard(): edits go back to the base, without SQL, on both sides of every relationship."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, inspect, select
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Session, lazyload, make_transient_to_detached, selectinload

from sojourn.errors import NotMappedError, WrongAttributeError
from sojourn.mapping.base import remember
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.state import CollectionChange, changes
from sojourn.session.discard import discard
from tests.databases import Database
from tests.models import columns, keys, odd, relations, shop
from tests.models.columns import Document, Point, Settings, Shape
from tests.models.keys import Node
from tests.models.odd import Ball, Box, Corner, Cube, Desk, Paper, Pin
from tests.models.relations import Article, Link, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order


@pytest.fixture
def orders(session: Session) -> list[Order]:
    """The orders 1 and 2, with lines [1, 2] and [3, 4]."""
    return list(session.scalars(select(Order).where(Order.id < 3).options(selectinload(Order.lines))))


@pytest.fixture
def related(sqlite: Database) -> Iterator[Session]:
    sqlite.create(relations.Base.metadata)
    with sqlite.session() as session:
        ann, bob = Person(id=1, name="Ann"), Person(id=2, name="Bob")
        ann.passport = Passport(id=1, number="A")
        red, blue = Tag(id=1, name="red"), Tag(id=2, name="blue")
        session.add_all(
            [bob, Article(id=1, title="One", author=ann, tags=[red, blue]), Article(id=2, title="Two", tags=[red])]
        )
        one = session.get_one(Article, 1)
        one.notes = {word: Note(keyword=word, text=word.upper()) for word in ("a", "b")}
        one.links = {Link(url="x"), Link(url="y")}
        session.commit()
    with sqlite.session() as session:
        yield session


def is_clean(*objects: object) -> bool:
    """Nothing left edited, for sojourn and for SQLAlchemy."""
    return all(
        not changes(obj) and not (state := inspect(obj, raiseerr=True)).modified and not state.committed_state
        for obj in objects
    )


def test_scalars_go_back_without_sql(session: Session, sqlite: Database) -> None:
    customer = session.get_one(Customer, 1)
    customer.name, customer.city = "Someone else", "Elsewhere"
    del customer.email
    with sqlite.statements() as log:
        discard(customer)
        assert (customer.name, customer.city, customer.email) == ("Customer 1", "Bergen", "customer1@example.org")
        assert not session.dirty
        session.flush()
    assert len(log) == 0


def test_only_the_named_attributes_go_back(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name, customer.city = "Someone else", "Elsewhere"
    discard(customer, Customer.name)
    assert list(changes(customer)) == ["city"]
    discard([customer], ["city"])
    assert is_clean(customer)


def test_only_the_given_objects_go_back(session: Session) -> None:
    one, two = session.get_one(Customer, 1), session.get_one(Customer, 2)
    one.name = two.name = "Edited"
    discard([one])
    assert list(session.dirty) == [two]


def test_a_name_counts_for_the_classes_that_have_it(orders: list[Order]) -> None:
    order, line = orders[0], orders[0].lines[0]
    order.status, line.qty = "lost", 99
    discard([order, line], "qty")
    assert list(changes(order)) == ["status"]
    assert is_clean(line)


@pytest.mark.parametrize("name", ["nmae", Line.qty, object()])
def test_an_attribute_that_no_given_object_has_is_an_error_before_anything_changes(session: Session, name: Any) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "Edited"
    with pytest.raises(WrongAttributeError):
        discard(customer, [Customer.name, name])
    assert customer.name == "Edited"


def test_what_is_not_mapped_is_an_error_before_anything_changes(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    customer.name = "Edited"
    with pytest.raises(NotMappedError):
        discard([customer, "text"])
    assert customer.name == "Edited"


def test_a_list_gets_its_members_and_their_order_back_and_stays_the_same_list(orders: list[Order]) -> None:
    order = orders[0]
    lines, before = order.lines, list(order.lines)
    new = Line(sku="new", qty=1, price=1)
    lines.append(new)
    lines.reverse()
    del lines[1]
    discard(order)
    assert order.lines is lines
    assert lines == before
    assert new.order is None
    assert is_clean(order, *before)


def test_a_replaced_or_deleted_collection_goes_back(session: Session, orders: list[Order]) -> None:
    one, two = orders
    ones, twos = list(one.lines), list(two.lines)
    one.lines = [Line(sku="new", qty=1, price=1)]
    del two.lines
    discard(orders)
    assert (one.lines, two.lines) == (ones, twos)
    assert [line.order for line in ones + twos] == [one, one, two, two]
    assert is_clean(*orders, *ones, *twos)
    assert not session.new
    assert not session.dirty


@pytest.mark.parametrize("which", ["giver", "taker", "child"])
def test_a_moved_child_goes_home_whichever_side_is_discarded(
    session: Session, sqlite: Database, orders: list[Order], which: str
) -> None:
    one, two = orders
    line = one.lines[0]
    two.lines.append(line)
    line.qty = 99
    with sqlite.statements() as log:
        discard({"giver": one, "taker": two, "child": line}[which])
        assert line.order is one
        assert [line.id for line in one.lines] == [1, 2]
        assert [line.id for line in two.lines] == [3, 4]
        assert not session.is_modified(one)
        assert is_clean(one, two)
        assert list(changes(line)) == ([] if which == "child" else ["qty"])
    assert len(log) == 0
    session.commit()
    assert line.order_id == 1


def test_a_child_moved_twice_goes_home(orders: list[Order], session: Session) -> None:
    one, two = orders
    three = session.get_one(Order, 3)
    line = one.lines[0]
    two.lines.append(line)
    line.order = three
    discard(three)
    assert line in one.lines
    assert is_clean(one, three, line)
    assert not changes(two)


def test_a_partly_discarded_collection_keeps_its_other_edits(orders: list[Order]) -> None:
    one, two = orders
    back, away = one.lines
    two.lines.extend([back, away])
    discard(back)
    assert one.lines == [back]
    assert back.order is one
    assert two.lines[2:] == [away]
    assert changes(one)["lines"] == CollectionChange(added=[], removed=[away])
    assert changes(two)["lines"] == CollectionChange(added=[away], removed=[])


def test_an_orphan_to_be_is_no_orphan_any_more(session: Session, orders: list[Order]) -> None:
    line = orders[0].lines.pop()
    discard(orders[0])
    line.qty = 99
    session.commit()
    assert session.get_one(Line, line.id).qty == 99


def test_an_object_that_was_tied_to_a_parent_by_the_edit_is_not_deleted_as_an_orphan(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    with sqlite.session() as session:
        session.add_all([Node(id=1, name="root"), Node(id=2, name="loose")])
        session.commit()
        root, loose = session.get_one(Node, 1), session.get_one(Node, 2)
        root.children.append(loose)
        discard(root)
        assert loose.parent is None
        loose.name = "still here"
        session.commit()
        assert session.scalars(select(Node.name).order_by(Node.id)).all() == ["root", "still here"]


def test_a_new_child_is_cut_off_and_leaves_the_session_as_sqlalchemy_would_do(
    session: Session, orders: list[Order]
) -> None:
    new = Line(sku="new", qty=1, price=1)
    orders[0].lines.append(new)
    assert new in session
    discard(orders[0])
    assert new not in session
    assert new.order is None
    assert is_clean(orders[0])
    assert new.sku == "new"


def test_the_attributes_of_a_new_object_stay(session: Session) -> None:
    pending, transient = Customer(name="pending"), Customer(name="transient")
    session.add(pending)
    discard([pending, transient])
    assert (pending.name, transient.name) == ("pending", "transient")
    assert pending in session


def test_a_reference_goes_back_and_with_it_both_collections(session: Session) -> None:
    one, two = session.scalars(select(Customer).options(selectinload(Customer.orders))).all()
    order = one.orders[0]
    order.customer = two
    discard(order)
    assert order.customer is one
    assert [order.id for order in one.orders] == [1, 2]
    assert [order.id for order in two.orders] == [3, 4]
    assert is_clean(one, two, order)


def test_a_reference_that_was_not_loaded_becomes_unloaded(session: Session, sqlite: Database) -> None:
    order, other = session.get_one(Order, 1), session.get_one(Customer, 2)
    session.expunge_all()
    order.customer = other
    session.add(order)
    discard(order)
    assert "customer" in inspect(order).unloaded
    assert "customer" not in changes(order)
    with sqlite.statements() as log:
        assert order.customer.id == 1
    assert len(log.selects) == 1


def test_an_unloaded_collection_changed_through_its_backref_goes_back(session: Session, sqlite: Database) -> None:
    one, two = session.get_one(Customer, 1), session.get_one(Customer, 2)
    order = session.get_one(Order, 1)
    order.customer = two
    assert changes(two)["orders"] == CollectionChange(added=[order], removed=[])
    with sqlite.statements() as log:
        discard(order)
        assert is_clean(one, two, order)
        assert not session.dirty
    assert len(log) == 0
    order.customer = two
    discard(two)
    assert order.customer is one
    assert is_clean(one, two, order)


def test_many_to_many_goes_back_on_both_sides(related: Session) -> None:
    one, two = related.get_one(Article, 1), related.get_one(Article, 2)
    red, blue = related.get_one(Tag, 1), related.get_one(Tag, 2)
    loaded: list[list[Any]] = [one.tags, two.tags, red.articles, blue.articles]
    before = [list(collection) for collection in loaded]
    one.tags.remove(red)
    blue.articles.append(two)
    new = Tag(name="new")
    two.tags.append(new)
    discard([one, two])
    assert loaded == before
    assert new.articles == []
    assert is_clean(one, two, red, blue)
    assert new in related  # nobody owns a tag, so SQLAlchemy would leave it there, too


def test_a_new_member_that_nothing_but_the_edit_holds_is_cut_off(related: Session) -> None:
    article = related.get_one(Article, 1, options=[selectinload(Article.tags)])
    related.expunge_all()
    before = list(article.tags)
    article.tags.append(Tag(name="new"))
    discard(article)
    assert article.tags == before
    assert not changes(article)


def test_a_keyed_dict_goes_back(related: Session) -> None:
    article = related.get_one(Article, 1)
    notes = article.notes
    before = dict(notes)
    del notes["a"]
    notes["b"] = Note(keyword="b", text="another")
    notes["c"] = Note(keyword="c", text="new")
    discard(article)
    assert article.notes is notes
    assert notes == before
    assert is_clean(article, *before.values())
    assert not related.new


def test_a_keyed_dict_is_keyed_by_the_restored_column(related: Session) -> None:
    article = related.get_one(Article, 1)
    note = article.notes.pop("a")
    note.keyword = "z"
    discard([article, note])
    assert article.notes["a"] is note
    assert note.keyword == "a"


def test_a_keyed_dict_whose_member_lost_its_key_becomes_unloaded(related: Session, sqlite: Database) -> None:
    article = related.get_one(Article, 1)
    note = article.notes.pop("a")
    related.expire(note)
    with sqlite.statements() as log:
        discard(article)
    assert len(log) == 0
    assert "notes" in inspect(article).unloaded
    assert article.notes["a"] is note


def test_a_set_goes_back(related: Session) -> None:
    article = related.get_one(Article, 1)
    links = article.links
    before = set(links)
    links.pop()
    links.add(Link(url="new"))
    discard(article)
    assert article.links is links
    assert links == before
    assert is_clean(article, *before)


def test_a_collection_of_a_class_of_its_own_goes_back(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        one, two = Desk(id=1), Desk(id=2)
        session.add_all([one, two, Paper(id=1, desk=one), Paper(id=2, desk=one)])
        session.commit()
        papers, (first, second) = one.papers, one.papers
        two.papers.push(first)
        papers.push(Paper())
        discard(one)
        assert one.papers is papers
        assert papers.held == [first, second]
        assert list(two.papers) == []
        assert is_clean(one, two, first, second)


def test_one_to_one_goes_back_on_both_sides(related: Session) -> None:
    ann, bob = related.get_one(Person, 1), related.get_one(Person, 2)
    passport = ann.passport
    assert passport is not None
    assert bob.passport is None
    for which in (bob, passport):  # SQLAlchemy leaves ann.passport as it is, so ann is not edited
        bob.passport = passport
        assert passport.person is bob
        discard(which)
        assert bob.passport is None
        assert ann.passport is passport
        assert passport.person is ann
        assert is_clean(ann, bob, passport)
    passport.number = "still here"
    related.commit()
    assert related.get_one(Passport, 1).number == "still here"


def test_a_composite_goes_back_as_a_whole(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Shape(id=1, name="s", start=Point(1, 2), end=None))
        session.commit()
        shape = session.get_one(Shape, 1)
        for named in (None, "start", Shape.start):
            shape.start = Point(3, 4)
            shape.end = Point(5, 6)
            discard(shape, named)
            assert shape.start == Point(1, 2)
            assert list(changes(shape)) == ([] if named is None else ["end"])
        discard(shape)
        assert is_clean(shape)


def test_a_deferred_column_that_was_set_unseen_becomes_unloaded(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Document(id=1, title="t", body="long"))
        session.commit()
    with sqlite.session() as session:
        document = session.get_one(Document, 1)
        document.body = "edited"
        discard(document)
        assert is_clean(document)
        assert "body" in inspect(document).unloaded
        assert document.body == "long"


@pytest.fixture
def kept(sqlite: Database) -> Iterator[tuple[Session, Settings]]:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Settings(id=1, name="n", plain={"a": [1]}, tracked={"b": 1}))
        session.commit()
        yield session, session.get_one(Settings, 1)


def test_a_mutable_value_that_was_replaced_goes_back_and_tracks_again(kept: tuple[Session, Settings]) -> None:
    session, one = kept
    tracked, other = one.tracked, MutableDict({"c": 2})
    one.tracked = other
    discard(one)
    assert one.tracked is tracked
    other["c"] = 3
    assert is_clean(one)
    assert tracked is not None
    tracked["b"] = 2
    assert one in session.dirty


def test_a_mutable_value_that_was_changed_in_place_at_home_becomes_unloaded(kept: tuple[Session, Settings]) -> None:
    session, one = kept
    assert one.tracked is not None
    one.tracked["b"] = 2
    discard(one)
    assert not session.dirty
    assert "tracked" in inspect(one).unloaded
    assert one.tracked == {"b": 1}


def test_values_changed_in_place_while_away_go_back_time_and_again(kept: tuple[Session, Settings]) -> None:
    session, one = kept
    session.expunge(one)
    remember(inspect(one), blueprint(Settings))
    for _ in range(2):
        assert one.plain is not None
        assert one.tracked is not None
        one.plain["a"].append(2)
        one.tracked["b"] = 2
        assert set(changes(one)) == {"plain", "tracked"}
        discard(one)
        assert (one.plain, one.tracked) == ({"a": [1]}, {"b": 1})
        assert is_clean(one)


def test_a_detached_graph_goes_back_without_a_session(session: Session, orders: list[Order]) -> None:
    session.close()
    one, two = orders
    line = one.lines[0]
    two.lines.append(line)
    one.status = "lost"
    discard([one, two])
    assert one.status == "paid"
    assert [line.id for line in one.lines] == [1, 2]
    assert is_clean(one, two, line)
    session.add_all(orders)
    assert not session.dirty


def test_a_reference_that_lost_an_unloaded_parent_while_away_becomes_unloaded_again(
    session: Session, orders: list[Order]
) -> None:
    session.close()
    for line in orders[0].lines:
        inspect(line).dict.pop("order", None)  # a plain selectinload leaves the other side unloaded, or not
    first = orders[0].lines.pop(0)
    assert first.order is None
    discard(orders[0])
    assert first in orders[0].lines
    assert "order" in inspect(first).unloaded
    assert is_clean(first, orders[0])


def test_a_flush_after_discard_writes_what_is_still_edited_and_nothing_else(
    session: Session, sqlite: Database, orders: list[Order]
) -> None:
    one, two = orders
    two.lines.append(one.lines[0])
    one.status, two.status = "lost", "found"
    discard(one)
    with sqlite.statements() as log:
        session.commit()
    assert len(log) == len(log.updates) == 1
    assert session.scalars(select(Order.status).where(Order.id == 2)).one() == "found"


def test_no_event_of_the_users_is_called(orders: list[Order]) -> None:
    one, two = orders
    two.lines.append(one.lines[0])
    one.status = "lost"

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("an event was fired")

    listened = [(Order.status, "set"), (Order.lines, "append"), (Order.lines, "remove"), (Line.order, "set")]
    instance_events = ["expire", "refresh", "load"]
    for target, name in listened:
        event.listen(target, name, fail)
    for name in instance_events:
        event.listen(Order, name, fail)
    try:
        discard([one, two])
    finally:
        for target, name in listened:
            event.remove(target, name, fail)
        for name in instance_events:
            event.remove(Order, name, fail)
    assert is_clean(one, two)


@pytest.fixture
def boxes(sqlite: Database) -> Iterator[tuple[Session, Box, Box]]:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        session.add_all([Box(id=1, corner=Corner(1, 2), pins=[Pin(id=1), Pin(id=2)]), Box(id=2, corner=Corner(3, 4))])
        session.add_all([Ball(id=1, box_id=1), Cube(id=1, box_id=1)])
        session.commit()
        one, two = session.scalars(select(Box).options(selectinload(Box.pins))).all()
        yield session, one, two


@pytest.mark.parametrize("which", ["box", "child"])
def test_dynamic_and_write_only_collections_go_back(boxes: tuple[Session, Box, Box], which: str) -> None:
    session, one, two = boxes
    ball, cube = session.get_one(Ball, 1), session.get_one(Cube, 1)
    assert ball.box is cube.box is one
    two.balls.append(ball)
    two.cubes.add(cube)
    new = Cube()
    two.cubes.add(new)
    assert set(changes(two)) == {"balls", "cubes"}
    discard([two] if which == "box" else [ball, cube])
    assert ball.box is cube.box is one
    assert is_clean(one, ball, cube)
    assert (new in session) is (which == "child")
    discard(two)
    assert is_clean(two)
    session.flush()
    assert (ball.box_id, cube.box_id) == (1, 1)


def test_a_collection_without_a_way_back_goes_back_by_identity(boxes: tuple[Session, Box, Box]) -> None:
    session, one, two = boxes
    first, second = one.pins
    two.pins.append(one.pins.pop(0))  # Pin cannot be compared or hashed
    assert (first.position, second.position) == (0, 0)
    discard([one, two])
    assert ([pin.id for pin in one.pins], [pin.id for pin in two.pins]) == ([1, 2], [])
    assert is_clean(one, two)
    discard(one.pins)
    assert (first.position, second.position) == (0, 1)
    session.flush()
    assert first.box_id == second.box_id == 1


def test_a_mutable_composite_goes_back_and_tracks_again(boxes: tuple[Session, Box, Box]) -> None:
    session, one, _ = boxes
    old = one.corner
    one.corner.x = 9
    discard(one)
    assert (one.corner.x, one.corner.y) == (1, 2)
    old.x = 10
    assert is_clean(one)
    one.corner.y = 9
    assert one in session.dirty


def test_an_instance_with_a_made_up_identity_loses_what_it_had_no_base_for(sqlite: Database) -> None:
    sqlite.create(shop.Base.metadata)
    stub = Customer(id=1)
    make_transient_to_detached(stub)
    stub.name = "set on a stub"
    discard(stub)
    assert is_clean(stub)
    assert "name" in inspect(stub).unloaded


# --- any edits at all ------------------------------------------------------------------------------------------------

MOVES = st.tuples(st.sampled_from(["append", "insert", "set"]), st.integers(0, 7), st.integers(0, 3))
REMOVALS = st.tuples(st.sampled_from(["remove", "unset", "delete", "rename"]), st.integers(0, 7), st.just(0))
ADDITIONS = st.tuples(st.sampled_from(["new", "new by reference", "clear", "replace"]), st.just(0), st.integers(0, 3))
EDITS = st.lists(st.one_of(MOVES, REMOVALS, ADDITIONS), max_size=12)


def edit(verb: str, line: Line, order: Order) -> None:
    """One step that a user could take."""
    new = Line(sku="new", qty=1, price=1)
    match verb:
        case "append" if line not in order.lines:  # twice in one list, SQLAlchemy itself loses track
            order.lines.append(line)
        case "insert" if line not in order.lines:
            order.lines.insert(0, line)
        case "set":
            line.order = order
        case "remove" if line.order is not None:
            line.order.lines.remove(line)
        case "unset":
            line.order = None  # type: ignore[assignment]  # which is how one says "remove" from this side
        case "delete":
            del line.order
        case "rename":
            line.sku += "!"
        case "new":
            order.lines.append(new)
        case "new by reference":
            new.order = order
        case "clear":
            order.lines.clear()
        case "replace":
            order.lines = [*order.lines[1:], new]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=EDITS, chosen=st.sets(st.integers(0, 11)), loaded=st.booleans())
def test_whatever_was_edited_goes_back_and_both_sides_agree(
    session: Session, sqlite: Database, edits: list[tuple[str, int, int]], chosen: set[int], loaded: bool
) -> None:
    session.rollback()
    session.expunge_all()
    lines = session.scalars(select(Line).order_by(Line.id)).all()
    options = selectinload(Order.lines) if loaded else lazyload(Order.lines)
    orders = session.scalars(select(Order).options(options).order_by(Order.id)).all()
    references = [line.order for line in lines]
    with session.no_autoflush, sqlite.statements() as log:
        for verb, line_place, order_place in edits:
            if loaded or verb in ("set", "unset", "rename", "new by reference"):
                edit(verb, lines[line_place], orders[order_place])
        discard([obj for place, obj in enumerate([*lines, *orders]) if place in chosen])
        for line in lines if loaded else []:
            reference: Order | None = line.order
            assert [order for order in orders if line in order.lines] == ([reference] if reference is not None else [])
        discard([*lines, *orders])
        assert is_clean(*lines, *orders)
        assert not session.dirty
        assert not session.new
        session.flush()
    assert len(log) == 0
    assert [line.order for line in lines] == references
    assert [[line.id for line in order.lines] for order in orders] == [[1, 2], [3, 4], [5, 6], [7, 8]]
