"""clone(): copies with what they own. Nothing is loaded, no original is touched, just the right rows are inserted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import func, insert, inspect, select
from sqlalchemy.orm import (
    DeclarativeBase,
    InstanceState,
    Session,
    defer,
    joinedload,
    selectin_polymorphic,
    selectinload,
    undefer,
    with_polymorphic,
)
from sqlalchemy.orm.attributes import has_parent, set_committed_value

from sojourn.errors import IncompleteError, KeyNeededError, NotMappedError, WrongAttributeError
from sojourn.session.clone import clone
from tests.databases import Database
from tests.models import columns, inheritance, keys, odd, relations, shop, styles
from tests.models.columns import Audited, Document, Point, Settings, Shape
from tests.models.inheritance import Animal, Dog, Lorry, Owner, Puppy, Truck
from tests.models.keys import Book, Country, Legacy, Node, Shelf, Ticket
from tests.models.odd import (
    Album,
    Box,
    Complaint,
    Corner,
    Cover,
    Cube,
    Desk,
    Guest,
    Paper,
    Pin,
    Room,
    Stay,
    Sticker,
    Watched,
)
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.models.styles import Invoice, Item, Moon, Planet

WHOLE = selectinload(Customer.orders).selectinload(Order.lines)


@pytest.fixture
def related(sqlite: Database) -> Iterator[Session]:
    sqlite.create(relations.Base.metadata)
    with sqlite.session() as session:
        ann, chess, go = Person(id=1, name="Ann"), Club(id=1, name="Chess"), Club(id=2, name="Go")
        ann.passport = Passport(number="A")
        ann.memberships = [Membership(club=chess, role="chair"), Membership(club=go, role="guest")]
        article = Article(id=1, title="One", author=ann, tags=[Tag(id=1, name="red"), Tag(id=2, name="blue")])
        article.notes = {word: Note(keyword=word, text=word.upper()) for word in ("a", "b")}
        article.links = {Link(url="x"), Link(url="y")}
        session.add_all([article, chess, go])
        session.commit()
    with sqlite.session() as session:
        yield session


def filled(sqlite: Database, base: type[DeclarativeBase], *objects: object) -> Session:
    """A session on a database with these rows."""
    sqlite.create(base.metadata)
    with sqlite.session() as session:
        session.add_all(objects)
        session.commit()
    return sqlite.session()


def condition(session: Session) -> list[Any]:
    """Everything about a session and its objects that a clone must not change."""
    states: list[InstanceState[Any]] = [inspect(obj, raiseerr=True) for obj in session]
    return [
        (
            id(state),
            state.session,
            {key: list(one) if isinstance(one, list) else one for key, one in state.dict.items()},
        )
        for state in states
    ] + [set(map(id, session.new)), set(map(id, session.dirty)), set(map(id, session.deleted))]


def seen(obj: Any, *names: str) -> tuple[Any, ...]:
    """Some attributes of an object."""
    return tuple(getattr(obj, name) for name in names)


def count(session: Session, model: type[Any]) -> int:
    return session.scalar(select(func.count()).select_from(model)) or 0


# --- what is copied --------------------------------------------------------------------------------------------------


def test_a_graph_is_copied_with_its_owned_children_and_inserted_as_such(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        shop.fill(session, customers=2, orders=2, lines=2)
        session.commit()
        original = session.scalars(select(Customer).where(Customer.id == 1).options(WHOLE)).one()
        before = condition(session)
        with database.statements() as log:
            copy = clone(original)
        assert len(log) == 0
        assert condition(session) == before
        assert inspect(copy).transient
        assert seen(copy, "id", "name", "city") == (None, "Customer 1", "Bergen")
        assert [order.number for order in copy.orders] == [order.number for order in original.orders]
        assert all(seen(order, "customer", "customer_id") == (copy, None) for order in copy.orders)
        assert all(line.order is order for order in copy.orders for line in order.lines)
        session.add(copy)
        with database.statements() as log:
            session.commit()
        assert (len(log.updates), len(log.deletes), len(log.selects)) == (0, 0, 0)
        assert [count(session, model) for model in (Customer, Order, Line)] == [3, 6, 12]
    with database.session() as session:
        one, _, three = session.scalars(select(Customer).order_by(Customer.id).options(WHOLE)).all()
        assert len(one.orders) == 2

        def values(customer: Customer) -> list[Any]:
            return [(order.number, [(line.sku, line.qty) for line in order.lines]) for order in customer.orders]

        assert values(three) == values(one)


def test_a_reference_is_shared_and_its_collection_is_left_alone(session: Session, sqlite: Database) -> None:
    original = session.scalars(select(Order).options(joinedload(Order.customer), selectinload(Order.lines))).first()
    assert original is not None
    customer = original.customer
    assert len(customer.orders) == 2
    before = condition(session)
    with sqlite.statements() as log:
        copy = clone(original)
        assert copy.customer is customer
        assert copy.customer_id == customer.id
    assert len(log) == 0
    assert condition(session) == before
    session.add(copy)
    session.commit()
    assert len(customer.orders) == 3
    assert [line.sku for line in copy.lines] == [line.sku for line in original.lines]


def test_a_reference_that_is_not_loaded_is_shared_by_its_foreign_key(session: Session, sqlite: Database) -> None:
    line = session.get_one(Line, 5)
    with sqlite.statements() as log:
        copy = clone(line)
    assert len(log) == 0
    assert copy.order_id == 3
    session.add(copy)
    session.commit()
    assert copy.order is session.get_one(Order, 3)


def test_the_result_has_the_shape_of_the_argument(session: Session) -> None:
    line, other = session.get_one(Line, 1), session.get_one(Line, 2)
    assert isinstance(clone(line), Line)
    first, second, again = clone([line, other, line])
    assert (first.sku, second.sku) == (line.sku, other.sku)
    assert again is first
    assert [copy.sku for copy in clone(one for one in (line, other))] == [line.sku, other.sku]
    assert clone(list[Line]()) == []


def test_what_is_not_mapped_is_refused() -> None:
    with pytest.raises(NotMappedError):
        clone([Line(), "text"])


def test_the_members_of_a_many_to_many_are_shared_with_association_rows_of_their_own(related: Session) -> None:
    article = related.get_one(Article, 1)
    assert article.notes
    assert article.links
    assert article.author
    tags, red = list(article.tags), article.tags[0]
    assert red.articles == [article]
    copy = clone(article)
    assert copy.tags == tags
    assert red.articles == [article]
    related.add(copy)
    related.commit()
    assert related.scalar(select(func.count()).select_from(relations.article_tag)) == 4
    assert count(related, Tag) == 2
    assert red.articles == [article, copy]
    assert copy.author is article.author


def test_dicts_and_sets_are_copied_as_such(related: Session) -> None:
    article = related.scalars(select(Article).options(selectinload("*"))).one()
    copy = clone(article)
    assert {key: note.text for key, note in copy.notes.items()} == {"a": "A", "b": "B"}
    assert {link.url for link in copy.links} == {"x", "y"}
    related.add(copy)
    related.commit()
    assert copy.notes.keys() == article.notes.keys() == {"a", "b"}
    assert copy.links.isdisjoint(article.links)
    assert (count(related, Note), count(related, Link)) == (4, 4)


def test_a_collection_of_a_class_of_its_own_is_copied(sqlite: Database) -> None:
    with filled(sqlite, odd.Base, Paper(id=1, desk=Desk(id=1))) as session:
        desk = session.get_one(Desk, 1)
        assert len(desk.papers) == 1
        copy = clone(desk)
        session.add(copy)
        session.commit()
        assert [(paper.id, paper.desk) for paper in copy.papers] == [(2, copy)]


def test_association_objects_are_copied_and_their_other_side_is_shared(related: Session) -> None:
    ann = related.get_one(Person, 1)
    clubs = [membership.club for membership in ann.memberships]
    assert ann.passport
    members = [len(club.memberships) for club in clubs]
    copy = clone(ann)
    assert [len(club.memberships) for club in clubs] == members == [1, 1]
    assert [(one.person, one.club, one.role) for one in copy.memberships] == [
        (copy, clubs[0], "chair"),
        (copy, clubs[1], "guest"),
    ]
    related.add(copy)
    related.commit()
    assert [(one.person_id, one.club_id) for one in copy.memberships] == [(2, 1), (2, 2)]
    assert count(related, Club) == 2


def test_a_one_to_one_is_copied_with_its_owner(related: Session) -> None:
    ann = related.scalars(select(Person).options(selectinload("*"))).one()
    copy = clone(ann)
    assert copy.passport is not None
    assert ann.passport is not None
    assert copy.passport is not ann.passport
    assert copy.passport.person is copy
    assert ann.passport.person is ann
    related.add(copy)
    related.commit()
    assert copy.passport.person_id == copy.id
    assert count(related, Passport) == 2


def test_children_that_are_not_owned_stay_behind(sqlite: Database) -> None:
    with filled(
        sqlite, inheritance.Base, Owner(id=1, name="Eve", animals=[Dog(id=1, name="Rex", tricks=3)])
    ) as session:
        eve = session.get_one(Owner, 1)
        assert len(eve.animals) == 1
        copy = clone(eve)
        assert copy.animals == []
        session.add(copy)
        session.commit()
        assert count(session, Animal) == 1
        assert len(eve.animals) == 1


def test_what_is_copied_together_is_tied_together(sqlite: Database) -> None:
    with filled(
        sqlite, inheritance.Base, Owner(id=1, name="Eve", animals=[Dog(id=1, name="Rex"), Dog(id=2, name="Max")])
    ) as session:
        eve, rex = session.get_one(Owner, 1), session.get_one(Dog, 1)
        owner: Any = None
        animal: Any = None
        for load in (lambda: None, lambda: rex.owner, lambda: eve.animals):
            load()
            owner, animal = clone([eve, rex])
            assert seen(animal, "owner", "owner_id") == (owner, None)
            animal, owner = clone([rex, eve])
            assert seen(animal, "owner", "owner_id") == (owner, None)
        assert owner.animals == [animal]
        session.add(animal)
        session.commit()
        assert animal.owner_id == owner.id == 2
        assert [len(one.animals) for one in session.scalars(select(Owner).order_by(Owner.id))] == [2, 1]


def test_a_tree_keeps_its_shape_and_hangs_where_the_original_hangs(sqlite: Database) -> None:
    root = Node(
        id=1, name="root", children=[Node(id=2, name="a", children=[Node(id=3, name="aa")]), Node(id=4, name="b")]
    )
    with filled(sqlite, keys.Base, root) as session:
        nodes = session.scalars(select(Node).options(selectinload(Node.children)).order_by(Node.id)).all()
        copy = clone(nodes[1])
        assert copy.parent_id == 1
        assert [child.name for child in copy.children] == ["aa"]
        session.add(copy)
        session.commit()
        found = select(Node.id, Node.name, Node.parent_id).where(Node.id > 4).order_by(Node.id)
        assert [tuple(row) for row in session.execute(found)] == [(5, "a", 1), (6, "aa", 5)]


def test_an_object_that_refers_to_itself_is_copied_as_such(sqlite: Database) -> None:
    with filled(sqlite, keys.Base) as session:
        session.execute(insert(Legacy), [{"id": 1, "name": "own", "parent_id": 1}])
        one = session.get_one(Legacy, 1)
        assert one.parent is one
        copy = clone(one)
        assert copy.parent is copy


def test_a_cycle_is_copied_as_a_cycle(sqlite: Database) -> None:
    with filled(sqlite, keys.Base) as session:
        session.execute(
            insert(Legacy), [{"id": 1, "name": "a", "parent_id": None}, {"id": 2, "name": "b", "parent_id": 1}]
        )
        one, two = session.get_one(Legacy, 1), session.get_one(Legacy, 2)
        one.parent = two
        assert two.parent is one
        copy = clone(one, deep=[Legacy.parent])
        assert copy.parent is not None
        assert copy.parent is not two
        assert copy.parent.parent is copy


def test_a_chain_of_collections_is_copied_without_recursion() -> None:
    chain = [Node(name=str(place)) for place in range(5_000)]  # test_chain.py copies one of 100,000 references
    for parent, child in pairwise(chain):
        set_committed_value(parent, "children", [child])
        set_committed_value(child, "parent", parent)
    node: Node | None = clone(chain[0])
    names = []
    while node is not None:
        names.append(node.name)
        node = node.children[0] if node.children else None
    assert names == [node.name for node in chain]


# --- values ----------------------------------------------------------------------------------------------------------


def test_version_counters_and_server_defaults_are_made_anew(sqlite: Database) -> None:
    document = Document(id=1, title="t", body="b")
    audited = Audited(id=1, name="n", status="closed", made_by="ann", edited_by="bob", revision=7)
    with filled(sqlite, columns.Base, document, audited) as session:
        document, audited = session.get_one(Document, 1, options=[undefer(Document.body)]), session.get_one(Audited, 1)
        document.title = "edited"
        session.commit()
        document = session.get_one(Document, 1, options=[undefer(Document.body)], populate_existing=True)
        assert (document.version, document.title, audited.name) == (2, "edited", "n")
        copies = clone([document, audited])
        assert seen(copies[0], "id", "version") == (None, None)
        assert seen(copies[1], "id", "status", "revision") == (None, None, None)
        session.add_all(copies)
        session.commit()
        one, two = copies
        assert isinstance(one, Document)
        assert isinstance(two, Audited)
        assert (one.version, one.title, one.body) == (1, "edited", "b")
        assert (two.status, two.made_by, two.edited_by, two.revision) == ("new", "ann", "bob", 1)


def test_mutable_values_are_copied_deeply_and_tracked(sqlite: Database) -> None:
    with filled(sqlite, columns.Base, Settings(id=1, name="n", plain={"a": [1]}, tracked={"b": 1})) as session:
        one = session.get_one(Settings, 1)
        copy = clone(one)
        assert (copy.plain, copy.tracked) == (one.plain, one.tracked)
        assert copy.plain is not None
        assert copy.tracked is not None
        copy.plain["a"].append(2)
        session.add(copy)
        session.flush()
        copy.tracked["b"] = 2
        assert list(session.dirty) == [copy]
        session.commit()
        assert (one.plain, one.tracked) == ({"a": [1]}, {"b": 1})
        assert (copy.plain, copy.tracked) == ({"a": [1, 2]}, {"b": 2})


def test_composites_are_copied(sqlite: Database) -> None:
    with filled(sqlite, columns.Base, Shape(id=1, name="s", start=Point(1, 2), end=None)) as session:
        copy = clone(session.get_one(Shape, 1))
        assert copy.start == Point(1, 2)
        session.add(copy)
        session.commit()
        assert (copy.id, copy.start) == (2, Point(1, 2))


def test_a_mutable_composite_belongs_to_its_own_object(sqlite: Database) -> None:
    with filled(sqlite, odd.Base, Box(id=1, labels={"a": "b"}, corner=Corner(1, 2))) as session:
        box = session.get_one(Box, 1, options=[selectinload(Box.pins)])
        copy = clone(box, skip=[Box.cubes])
        assert copy.corner is not box.corner
        copy.corner.x = 9
        assert copy.labels is not None
        copy.labels["a"] = "c"
        session.add(copy)
        session.commit()
        assert [(one.corner.x, one.labels) for one in (box, copy)] == [(1, {"a": "b"}), (9, {"a": "c"})]


def test_objects_that_cannot_be_compared_hashed_or_printed_are_copied(sqlite: Database) -> None:
    with filled(sqlite, odd.Base, Box(id=1, corner=Corner(1, 2), pins=[Pin(id=1), Pin(id=2)])) as session:
        box = session.get_one(Box, 1, options=[selectinload(Box.pins)])
        copy = clone(box, skip=[Box.cubes])
        assert [pin.box_id for pin in copy.pins] == [None, None]
        session.add(copy)
        session.commit()
        assert [(pin.id, pin.box_id, pin.position) for pin in copy.pins] == [(3, 2, 0), (4, 2, 1)]
        assert len(box.pins) == 2


def test_the_values_are_those_on_the_object_now(session: Session) -> None:
    order, other = session.get_one(Order, 1), session.get_one(Customer, 2)
    assert order.lines.pop().id == 2
    order.lines.append(Line(sku="new", qty=1, price=1))
    order.status, order.customer = "edited", other
    with session.no_autoflush:
        copy = clone(order)
    assert seen(copy, "status", "customer", "customer_id") == ("edited", other, None)
    assert [line.sku for line in copy.lines] == [line.sku for line in order.lines]
    session.add(copy)
    session.commit()
    assert copy.customer_id == order.customer_id == 2


def test_an_edited_foreign_key_wins_over_the_reference_it_was_loaded_with(session: Session) -> None:
    order = session.get_one(Order, 1, options=[joinedload(Order.customer), selectinload(Order.lines)])
    order.customer_id = 2
    copy = clone(order)
    assert seen(copy, "customer", "customer_id") == (None, 2)
    session.add(copy)
    session.commit()
    assert copy.customer_id == 2
    assert copy.customer.id == 2


def test_a_reference_that_was_emptied_stays_empty(sqlite: Database) -> None:
    with filled(sqlite, keys.Base, Node(id=1, name="root", children=[Node(id=2, name="a")])) as session:
        node = session.get_one(Node, 2, options=[joinedload(Node.parent), selectinload(Node.children)])
        node.parent = None
        with session.no_autoflush:
            copy = clone(node)
        assert (copy.parent, copy.parent_id) == (None, None)


def test_a_value_that_was_deleted_stays_away(session: Session) -> None:
    line = session.get_one(Line, 1)
    del line.sku
    assert seen(clone(line), "sku", "qty") == (None, line.qty)


def test_a_reference_whose_foreign_key_is_not_loaded_is_shared_by_the_flush(session: Session) -> None:
    line = session.scalars(select(Line).options(defer(Line.order_id), joinedload(Line.order))).first()
    assert line is not None
    assert "order_id" in inspect(line).unloaded
    copy = clone(line)
    assert seen(copy, "order", "order_id") == (line.order, None)
    session.add(copy)
    session.commit()
    assert copy.order_id == line.order_id


def test_what_is_loaded_on_the_original_is_loaded_on_the_copy(sqlite: Database) -> None:
    with filled(sqlite, keys.Base, Node(id=1, name="a")) as session:
        copy = clone(session.get_one(Node, 1, options=[selectinload(Node.children), joinedload(Node.parent)]))
        session.add(copy)
        session.flush()
        with sqlite.statements() as log:
            assert seen(copy, "children", "parent") == ([], None)
        assert len(log) == 0


def test_both_sides_are_recorded_as_if_they_had_been_set(related: Session) -> None:
    ann = clone(related.scalars(select(Person).options(selectinload("*"))).one())
    by_hand = Person(name="Ann", passport=Passport(number="A"))
    by_hand.memberships = [Membership(club=club, role="guest") for club in related.scalars(select(Club))]
    for person in (ann, by_hand):
        assert person.passport is not None
        history: list[Any] = [inspect(person.passport).attrs["person"].history]
        for membership in person.memberships:
            assert has_parent(Club, membership, "memberships")
            assert has_parent(Person, membership, "memberships")
            history.append(inspect(membership).attrs["person"].history)
        assert has_parent(Person, person.passport, "passport")
        assert [one.added for one in history] == [[person]] * 3
        assert len(inspect(person).attrs["memberships"].history.added) == 2
        assert inspect(person).attrs["passport"].history.added == [person.passport]


def test_an_expression_is_not_copied_and_a_dict_of_shared_members_keeps_its_keys(sqlite: Database) -> None:
    album = Album(id=1, title="one", cover=Cover(id=1, colour="red"), stickers={"a": Sticker(id=1, name="a")})
    with filled(sqlite, odd.Base, album) as session:
        album = session.get_one(Album, 1, options=[selectinload("*")])
        assert album.length == 3
        copy = clone(album)
        assert "length" not in inspect(copy).dict
        assert copy.stickers == album.stickers
        assert seen(copy, "cover_id") == (None,)
        assert has_parent(Album, copy.cover, "cover")
        session.add(copy)
        session.commit()
        assert (copy.length, copy.cover_id) == (3, 2)  # a reference that owns its target takes a copy of it
        album = session.get_one(Album, 1, options=[selectinload("*")])
        session.expire(album.stickers["a"])
        with sqlite.statements() as log, pytest.raises(IncompleteError, match=r"Album\.stickers"):
            clone(album)  # to key it would load the name
        assert len(log) == 0


def test_new_and_detached_objects_are_copied_too(session: Session) -> None:
    new = Customer(name="new", email="e", balance=1, orders=[Order(number="1", status="s", lines=[Line(sku="a")])])
    detached = session.get_one(Customer, 1, options=[WHOLE])
    session.close()
    copies = clone([new, detached])
    assert [len(copy.orders) for copy in copies] == [1, 2]
    assert copies[0].orders[0].lines[0].sku == "a"
    assert copies[0].city is None
    assert inspect(new).transient
    assert inspect(detached).detached
    assert not session.new


def test_a_copy_is_set_up_as_a_loaded_object_is() -> None:
    one = Watched("a")
    copy = clone(one, rekey=lambda _, copy: setattr(copy, "code", "b"))
    assert (one.made_by, copy.made_by, copy.code) == ("__init__", "reconstructor", "b")


def test_dataclasses_and_plain_classes_are_copied(sqlite: Database) -> None:
    planet = Planet("Mars")
    planet.moons = [Moon("Phobos")]
    with filled(sqlite, styles.Base, Invoice(number="1", items=[Item(text="a", cents=5)]), planet) as session:
        invoice = session.scalars(select(Invoice).options(selectinload(Invoice.items))).one()
        copy = clone(invoice)
        assert repr(copy).startswith("Invoice(id=None, number='1', paid=False, items=[Item(")
        assert (copy.paid, copy.items[0].cents, copy.items[0].invoice) == (False, 5, copy)
        mars = session.scalars(select(Planet)).one()
        assert len(mars.moons) == 1
        other = clone(mars, deep=[Planet.moons])  # type: ignore[list-item]  # a plain class's annotation says nothing
        session.add_all([copy, other])
        session.commit()
        assert (copy.id, copy.items[0].invoice_id) == (2, 2)
        assert (other.id, [moon.planet_id for moon in other.moons]) == (2, [2])


# --- deep, share, skip -----------------------------------------------------------------------------------------------


def test_deep_copies_what_would_be_shared_or_left(sqlite: Database) -> None:
    with filled(
        sqlite, inheritance.Base, Owner(id=1, name="Eve", animals=[Puppy(id=1, name="Rex", weeks=3)])
    ) as session:
        rex = session.get_one(Puppy, 1)
        eve = rex.owner
        assert eve is not None
        assert eve.animals
        for copy in (clone(eve, deep=[Owner.animals]), clone(rex, deep=[Animal.owner]).owner):
            assert copy is not None
            assert copy is not eve
            assert [(type(animal), animal.name, animal.owner) for animal in copy.animals] == [(Puppy, "Rex", copy)]
            session.add(copy)
        session.commit()
        assert (count(session, Owner), count(session, Puppy)) == (3, 3)


def test_share_keeps_the_originals_even_where_they_are_copied(sqlite: Database) -> None:
    with filled(sqlite, keys.Base, Node(id=1, name="root", children=[Node(id=2, name="a")])) as session:
        root = session.get_one(Node, 1, options=[selectinload(Node.children)])
        child = root.children[0]
        one, two = clone([root, child], skip=[Node.children], share=[Node.parent])
        assert one.children == []
        assert two.parent_id == 1
        session.add_all([one, two])
        session.commit()
        assert two.parent is root


def test_share_and_skip_keep_objects_apart_that_are_copied_together(sqlite: Database) -> None:
    with filled(sqlite, inheritance.Base, Owner(id=1, name="Eve", animals=[Dog(id=1, name="Rex")])) as session:
        eve, rex = session.get_one(Owner, 1), session.get_one(Dog, 1)
        assert eve.animals == [rex]
        owner: Any = None
        animal: Any = None
        owner, animal = clone([eve, rex], share=[Animal.owner])
        assert (owner.animals, animal.owner, animal.owner_id) == ([], eve, 1)
        owner, animal = clone([eve, rex], skip=[Animal.owner])
        assert (owner.animals, animal.owner, animal.owner_id) == ([], None, None)


def test_skip_leaves_out_collections_references_and_columns(session: Session) -> None:
    order = session.get_one(Order, 1, options=[joinedload(Order.customer)])
    copy = clone(order, skip=[Order.lines, Order.customer, Order.status])
    assert seen(copy, "lines", "customer", "customer_id", "status") == ([], None, None, None)
    assert copy.number == order.number
    copy = clone(order, skip=[Order.lines, Order.customer_id])
    assert seen(copy, "customer", "customer_id") == (None, None)


def test_skip_leaves_out_a_composite_with_its_columns(sqlite: Database) -> None:
    with filled(sqlite, columns.Base, Shape(id=1, name="s", start=Point(1, 2), end=Point(3, 4))) as session:
        copy = clone(session.get_one(Shape, 1), skip=[Shape.end])
        assert "x2" not in inspect(copy).dict
        assert copy.start == Point(1, 2)


def test_an_override_on_a_subclass_counts_for_that_class_only(sqlite: Database) -> None:
    eve = Owner(id=1, name="Eve", animals=[Dog(id=1, name="Rex"), Puppy(id=2, name="Pip")])
    with filled(sqlite, inheritance.Base, eve) as session:
        every = with_polymorphic(Dog, [Puppy])
        dogs = session.scalars(select(every).options(joinedload(every.owner)).order_by(every.id)).all()
        rex, pip = clone(dogs, skip=[Puppy.owner])
        assert (rex.owner_id, pip.owner_id) == (1, None)
        rex, pip = clone(dogs, skip=[Dog.owner], share=[Puppy.owner])
        assert (rex.owner_id, pip.owner_id) == (None, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"deep": [Order.status]}, "Order.status is no relationship"),
        ({"share": [Box.balls]}, "Box.balls is no relationship whose members"),
        ({"share": [Order.lines]}, "Order.lines cannot be shared"),
        ({"share": [Album.cover]}, "Album.cover cannot be shared"),
        ({"deep": [Order.lines], "skip": [Order.lines]}, "Order.lines is named twice"),
        ({"skip": ["status"]}, "status is no class-bound attribute"),
        ({"skip": [Order]}, "is no class-bound attribute"),
    ],
)
def test_an_argument_that_makes_no_sense_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(WrongAttributeError, match=said):
        clone(Order(), **arguments)


# --- what is not loaded ----------------------------------------------------------------------------------------------


def test_everything_that_is_needed_and_not_loaded_is_named(session: Session, sqlite: Database) -> None:
    customer = session.get_one(Customer, 1, options=[selectinload(Customer.orders)])
    session.expire(customer, ["name"])
    before = condition(session)
    with sqlite.statements() as log, pytest.raises(IncompleteError) as caught:
        clone(customer)
    assert len(log) == 0
    assert condition(session) == before
    assert caught.value.attributes == [("Customer", "name"), ("Order", "lines")]
    assert "Customer.name, Order.lines" in str(caught.value)
    assert "prefetch" in str(caught.value)
    copy = clone(customer, skip=[Customer.name, Order.lines])
    assert len(copy.orders) == 2


def test_deferred_columns_and_many_to_many_must_be_loaded(sqlite: Database, related: Session) -> None:
    article = related.get_one(Article, 1)
    with pytest.raises(IncompleteError) as caught:
        clone(article)
    assert {name for _, name in caught.value.attributes} == {"links", "notes", "tags"}
    with pytest.raises(IncompleteError, match=r"Article\.tags"):
        clone(article, share=[Article.tags])
    related.close()
    with filled(sqlite, columns.Base, Document(id=1, title="t", body="b")) as session:
        document = session.get_one(Document, 1)
    with pytest.raises(IncompleteError, match=r"Document\.body"):
        clone(document)


def test_an_owned_collection_that_is_never_in_memory_must_be_left_out_by_name(sqlite: Database) -> None:
    with filled(sqlite, odd.Base, Box(id=1, corner=Corner(1, 2), pins=[])) as session:
        box = session.get_one(Box, 1, options=[selectinload(Box.pins)])
        with pytest.raises(IncompleteError, match=r"Box\.cubes"):
            clone(box)
        session.add(Cube(box=clone(box, skip=[Box.cubes])))
        session.commit()
        assert session.scalars(select(Cube.box_id)).one() == 2


def test_an_owned_collection_that_was_changed_unseen_is_not_loaded(session: Session) -> None:
    order = session.get_one(Order, 1)
    session.get_one(Line, 3).order = order
    with pytest.raises(IncompleteError, match=r"Order\.lines"), session.no_autoflush:
        clone(order)


def test_a_deep_reference_must_be_loaded_unless_it_is_empty(sqlite: Database) -> None:
    with filled(
        sqlite, keys.Base, Ticket(subject="t", country=Country(code="NL", name="N")), Ticket(subject="u")
    ) as session:
        one, two = session.scalars(select(Ticket).order_by(Ticket.subject))
        with pytest.raises(IncompleteError, match=r"Ticket\.country"):
            clone(one, deep=[Ticket.country])
        assert clone(two, deep=[Ticket.country]).country is None


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_that_nobody_makes_must_come_from_rekey(sqlite: Database) -> None:
    with filled(sqlite, keys.Base, Country(code="NL", name="N")) as session:
        country = session.get_one(Country, "NL")
        with pytest.raises(KeyNeededError, match=r"Country\.code") as caught:
            clone(country)
        assert (caught.value.class_name, caught.value.attributes) == ("Country", ["code"])
        session.add(clone(country, rekey=lambda _, copy: setattr(copy, "code", "XX")))
        session.commit()
        assert session.scalars(select(Country.code).order_by(Country.code)).all() == ["NL", "XX"]


@pytest.mark.parametrize("rekey", [lambda _, copy: None, lambda original, copy: setattr(copy, "code", original.code)])
def test_a_rekey_that_makes_no_new_key_is_an_error(rekey: Callable[[Any, Any], object]) -> None:
    with pytest.raises(KeyNeededError, match=r"Country\.code"):
        clone(Country(code="NL", name="N"), rekey=rekey)


def test_rekey_is_asked_only_where_a_key_is_needed(sqlite: Database) -> None:
    with filled(sqlite, keys.Base, Ticket(subject="t", country=Country(code="NL", name="N"))) as session:
        ticket = session.scalars(select(Ticket).options(joinedload(Ticket.country))).one()
        asked = []

        def rekey(original: Any, copy: Any) -> None:
            asked.append(original)
            copy.code = "XX"

        copy = clone(ticket, deep=[Ticket.country], rekey=rekey)
        assert asked == [ticket.country]
        session.add(copy)
        session.commit()
        assert copy.id != ticket.id
        assert (copy.country_code, ticket.country_code) == ("XX", "NL")


def test_every_part_of_a_composite_key_is_asked_for(sqlite: Database) -> None:
    shelf = Shelf(room="A", number=1, label="l", books=[Book(id=1, title="b")])
    with filled(sqlite, keys.Base, shelf) as session:
        shelf = session.get_one(Shelf, ("A", 1))
        with pytest.raises(KeyNeededError) as caught:
            clone(shelf)
        assert caught.value.attributes == ["room", "number"]

        def next_number(original: Shelf, copy: Shelf) -> None:
            copy.room, copy.number = original.room, original.number + 1

        assert shelf.books
        copy = clone(shelf, deep=[Shelf.books], rekey=next_number)
        session.add(copy)
        session.commit()
        assert [(book.title, book.shelf_room, book.shelf_number) for book in copy.books] == [("b", "A", 2)]


def test_an_association_object_by_itself_needs_a_key(related: Session) -> None:
    club = Club(id=3, name="Draughts")
    related.add(club)
    related.commit()
    one = related.scalars(select(Membership).options(joinedload(Membership.club))).first()
    assert one is not None
    with pytest.raises(KeyNeededError) as caught:
        clone(one)
    assert caught.value.attributes == ["person_id", "club_id"]
    copy = clone(one, rekey=lambda _, copy: setattr(copy, "club_id", 3))
    assert seen(copy, "club", "person_id", "club_id") == (None, 1, 3)  # the club that was shared was another one
    related.add(copy)
    related.flush()
    assert copy.club is club
    related.delete(copy)
    related.flush()
    with related.no_autoflush:
        copy = clone(one, rekey=lambda _, copy: setattr(copy, "club", club), skip=[Membership.club])
    related.add(copy)
    related.flush()
    assert (copy.person_id, copy.club_id) == (1, 3)
    related.rollback()
    one = related.get_one(Membership, (1, 1), options=[joinedload(Membership.club)])
    with related.no_autoflush:
        copy = clone(one, rekey=lambda _, copy: setattr(copy, "club", club))
        assert copy.club is club
        one.club = club
        with pytest.raises(KeyNeededError):  # it would be the key of the original after the next flush
            clone(one, rekey=lambda _, copy: None)
        copy = clone(one, rekey=lambda _, copy: setattr(copy, "person_id", 2))
        assert seen(copy, "person_id", "club_id", "club") == (2, None, club)
    related.rollback()
    with pytest.raises(KeyNeededError) as caught:
        clone(related.get_one(Person, 1, options=[selectinload("*")]), skip=[Membership.club])
    assert caught.value.attributes == ["club_id"]


def test_an_association_object_gets_its_key_from_a_copy_and_a_shared_object(sqlite: Database) -> None:
    guest = Guest(hotel="H", number=1, stays=[Stay(room=Room(hotel="H", number=7), nights=2)])
    with filled(sqlite, odd.Base, guest) as session:
        guest = session.get_one(Guest, ("H", 1), options=[selectinload(Guest.stays)])
        new = Room(hotel="H", number=8)
        session.add(new)
        session.flush()
        for room in (guest.stays[0].room, new):

            def rekey(_: Guest, copy: Guest, room: Room = room) -> None:
                copy.hotel, copy.number = "H", 2 if room is not new else 3

            with session.no_autoflush:
                guest.stays[0].room = room
                copy = clone(guest, rekey=rekey)
            assert seen(copy.stays[0], "room", "guest_number") == (room, None)
            assert seen(copy.stays[0], "room_number") == (None if room is new else 7,)
            session.add(copy)
            session.flush()
            stay = copy.stays[0]
            assert (stay.hotel, stay.room_number, stay.guest_number) == ("H", room.number, copy.number)


def test_a_key_that_expired_is_needed_all_the_same(sqlite: Database) -> None:
    with filled(sqlite, odd.Base, Watched("a")) as session:
        one = session.scalars(select(Watched)).one()
        session.expire(one)
        with sqlite.statements() as log, pytest.raises(KeyNeededError):
            clone(one)
        assert len(log) == 0


def test_a_column_of_two_references_is_kept_for_the_one_that_is_shared(sqlite: Database) -> None:
    room, guest = Room(hotel="H", number=7), Guest(hotel="H", number=1)
    with filled(sqlite, odd.Base, Complaint(room=room, guest=guest)) as session:
        one = session.scalars(select(Complaint)).one()
        copy = clone(one, skip=[Complaint.guest])
        assert seen(copy, "hotel", "room_number", "guest_number") == ("H", 7, None)
        session.add(copy)
        session.commit()
        assert copy.room is one.room


def test_a_new_object_without_a_key_is_copied_without_one() -> None:
    assert seen(clone(Country(name="N")), "code", "name") == (None, "N")


def test_the_keys_of_joined_tables_are_made_anew(sqlite: Database) -> None:
    with filled(sqlite, inheritance.Base, Truck(plate="T", tons=7), Lorry(plate="L", tons=9, axles=4)) as session:
        copies = clone(session.scalars(select(Truck).options(selectin_polymorphic(Truck, [Lorry])).order_by(Truck.id)))
        assert [seen(copy, "id", "truck_id") for copy in copies] == [(None, None)] * 2
        session.add_all(copies)
        session.commit()
        assert [(type(copy), copy.id, copy.truck_id, copy.tons) for copy in copies] == [
            (Truck, 3, 3, 7),
            (Lorry, 4, 4, 9),
        ]
        assert isinstance(copies[1], Lorry)
        assert (copies[1].lorry_id, copies[1].axles, copies[1].kind) == (4, 4, "lorry")


def test_columns_named_other_than_their_attributes_are_copied(sqlite: Database) -> None:
    with filled(sqlite, keys.Base, Legacy(id=1, name="a")) as session:
        session.add(clone(session.get_one(Legacy, 1)))
        session.commit()
        assert [tuple(row) for row in session.execute(select(Legacy.id, Legacy.name))] == [(1, "a"), (2, "a")]
