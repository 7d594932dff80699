"""What a round trip through bytes keeps: what is loaded and what is not, references, collections, identities."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session, defer, joinedload, load_only, selectinload

from sojourn.errors import NotLoadedError, SnapshotError
from sojourn.snapshot import loads
from tests.databases import Database
from tests.models import columns, inheritance, keys, relations, shop, styles
from tests.models.columns import Document, Point, Shape
from tests.models.inheritance import Car, Cat, Dog, Lorry, Owner, Puppy
from tests.models.keys import Book, Legacy, Shelf
from tests.models.relations import Article, Link, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order, fill
from tests.models.styles import Moon, Planet
from tests.snapshot.documents import document_of, dumped, loaded


@pytest.fixture
def session(sqlite: Database) -> Session:
    """A session on a database with every table."""
    sqlite.create(
        *(module.Base.metadata for module in (columns, inheritance, keys, relations, shop, styles)),
    )
    return sqlite.session()


def test_a_graph_comes_back_with_its_values_identities_and_both_sides_of_each_relationship(session: Session) -> None:
    fill(session, customers=3, orders=2, lines=2)
    session.commit()
    options = selectinload(Customer.orders).selectinload(Order.lines)
    originals = session.query(Customer).options(options).order_by(Customer.id).all()
    copies = loads(dumped(originals), shop.Base)
    assert [inspect(copy).key for copy in copies] == [inspect(original).key for original in originals]
    for original, copy in zip(originals, copies, strict=True):
        assert copy is not original
        assert inspect(copy).detached
        assert not inspect(copy).modified
        assert (copy.name, copy.email, copy.city, copy.balance) == (
            original.name,
            original.email,
            original.city,
            original.balance,
        )
        assert [order.number for order in copy.orders] == [order.number for order in original.orders]
        for order in copy.orders:
            assert order.customer is copy
            assert [line.order for line in order.lines] == [order, order]


def test_what_is_not_loaded_stays_unloaded_and_says_what_would_have_loaded_it(session: Session) -> None:
    fill(session, customers=1, orders=1, lines=1)
    session.commit()
    original = session.query(Customer).options(load_only(Customer.name)).one()
    (copy,) = loads(dumped(original), Customer)
    assert loaded(copy) == {"id": 1, "name": "Customer 1"}
    with pytest.raises(NotLoadedError, match=r"Customer\.email .*undefer\(Customer\.email\)"):
        copy.email  # noqa: B018 - the reading is the test
    with pytest.raises(NotLoadedError, match=r"Customer\.orders .*selectinload\(Customer\.orders\)"):
        copy.orders  # noqa: B018 - the same


def test_a_deferred_column_is_unloaded_and_not_none(session: Session) -> None:
    session.add(Document(id=1, title="t", body="long"))
    session.commit()
    session.expire_all()
    original = session.query(Document).one()
    (copy,) = loads(dumped(original), Document)
    assert "body" not in copy.__dict__
    with pytest.raises(NotLoadedError, match=r"Document\.body"):
        copy.body  # noqa: B018 - the reading is the test
    assert copy.summary is None


def test_none_and_unloaded_are_different_in_the_document(session: Session) -> None:
    session.add_all([Person(id=1, name="a"), Article(id=1, title="t")])
    session.commit()
    article = session.query(Article).options(joinedload(Article.author), defer(Article.title)).one()
    (table,) = document_of(article)["tables"]
    assert table["columns"] == ["id", "author_id"]
    assert table["rows"] == [[1, None]]
    assert table["references"] == {"author": [None]}
    (copy,) = loads(dumped(article), Article)
    assert copy.author is None
    assert "title" not in copy.__dict__


def test_an_expired_object_keeps_its_identity_and_nothing_else(session: Session, sqlite: Database) -> None:
    fill(session, customers=1, orders=0, lines=0)
    session.commit()
    original = session.query(Customer).one()
    session.expire(original)
    with sqlite.statements() as log:
        data = dumped(original)
    assert len(log) == 0
    (copy,) = loads(data, Customer)
    assert inspect(copy).identity == (1,)
    assert loaded(copy) == {"id": 1}
    with pytest.raises(NotLoadedError, match=r"Customer\.name"):
        copy.name  # noqa: B018 - the reading is the test


def test_dumps_neither_loads_nor_changes_anything(session: Session, sqlite: Database) -> None:
    fill(session, customers=2, orders=2, lines=0)
    session.commit()
    first = session.query(Customer).options(selectinload(Customer.orders)).order_by(Customer.id).first()
    assert first is not None
    first.name = "edited"
    session.add(new := Customer(name="new"))
    before = {id(state): dict(state.dict) for state in map(inspect, session)}
    with sqlite.statements() as log:
        dumped([first, new])
    assert len(log) == 0
    assert {id(state): dict(state.dict) for state in map(inspect, session)} == before
    assert list(session.dirty) == [first]
    assert list(session.new) == [new]


def test_objects_that_were_loaded_differently_share_a_graph(session: Session) -> None:
    fill(session, customers=2, orders=1, lines=0)
    session.commit()
    full = session.get_one(Customer, 1)
    partial = session.query(Customer).options(load_only(Customer.city)).filter_by(id=2).one()
    one, two = loads(dumped([full, partial]), Customer)
    assert loaded(one).keys() == {"id", "name", "email", "city", "balance"}
    assert loaded(two) == {"id": 2, "city": "Cork"}


def test_roots_keep_their_order_and_may_repeat(session: Session) -> None:
    fill(session, customers=2, orders=0, lines=0)
    session.commit()
    one, two = session.query(Customer).order_by(Customer.id)
    copies = loads(dumped([two, one, two]), Customer)
    assert [copy.id for copy in copies] == [2, 1, 2]
    assert copies[0] is copies[2]


def test_nothing_is_a_document_too() -> None:
    assert dumped([]) == b'{"sojourn":1,"roots":[],"tables":[]}'
    assert loads(dumped([]), shop.Base) == []


def test_a_shared_object_is_one_object_and_a_cycle_closes(session: Session) -> None:
    ann = Person(id=1, name="Ann", passport=Passport(id=1, number="P"))
    session.add_all([ann, Article(id=1, title="a", author=ann), Article(id=2, title="b", author=ann)])
    session.commit()
    options = joinedload(Article.author).joinedload(Person.passport).joinedload(Passport.person)
    articles = session.query(Article).options(options).order_by(Article.id).all()
    one, two = loads(dumped(articles), relations.Base)
    assert one.author is two.author
    assert one.author.passport.person is one.author


def test_the_reference_back_to_the_owner_is_filled_from_both_kinds_of_ownership(session: Session) -> None:
    session.add(Person(id=1, name="Ann", passport=Passport(id=1, number="P")))
    fill(session, customers=1, orders=1, lines=0)
    session.commit()
    session.expunge_all()
    person = session.query(Person).options(selectinload(Person.passport)).one()
    customer = session.query(Customer).options(selectinload(Customer.orders)).one()
    for target in (person.passport, customer.orders[0]):
        session.expire(target, ["person" if isinstance(target, Passport) else "customer"])
    person_copy, customer_copy = loads(dumped([person, customer]), [relations.Base, shop.Base])
    assert person_copy.passport.person is person_copy
    assert customer_copy.orders[0].customer is customer_copy


def test_lists_sets_dicts_and_many_to_many_keep_their_members(session: Session) -> None:
    article = Article(id=1, title="t")
    article.tags = [Tag(id=2, name="two"), Tag(id=1, name="one")]
    article.notes = {
        each.keyword: each for each in (Note(id=1, keyword="b", text="x"), Note(id=2, keyword="a", text=""))
    }
    article.links = {Link(id=1, url="u"), Link(id=2, url="v")}
    session.add(article)
    session.commit()
    options = (selectinload(Article.tags), selectinload(Article.notes), selectinload(Article.links))
    original = session.query(Article).options(*options).populate_existing().one()
    (copy,) = loads(dumped(original), relations.Base)
    assert [tag.id for tag in copy.tags] == [1, 2]
    assert {key: note.id for key, note in copy.notes.items()} == {"a": 2, "b": 1}
    assert list(copy.notes) == list(original.notes)
    assert {link.url for link in copy.links} == {"u", "v"}
    for key in ("tags", "notes", "links"):
        assert type(getattr(copy, key)) is type(getattr(original, key))
    copy.notes["c"] = Note(keyword="c", text="new")
    assert copy.notes["c"].article is copy


def test_a_dict_whose_members_lack_their_key_is_refused_with_the_place(session: Session) -> None:
    session.add(Article(id=1, title="t", notes={"a": Note(id=1, keyword="a", text="x")}))
    session.commit()
    original = session.query(Article).options(selectinload(Article.notes)).one()
    session.expire(original.notes["a"], ["keyword"])
    document = dumped(original)
    with pytest.raises(SnapshotError, match=r"Article\.notes .*Note\.keyword") as caught:
        loads(document, relations.Base)
    assert caught.value.where == "$.tables[0].collections.notes[0]"


def test_subclasses_in_one_table_and_in_joined_tables_come_back_as_their_classes(session: Session) -> None:
    owner = Owner(id=1, name="Ann")
    owner.animals = [Puppy(id=1, name="Rex", tricks=1, weeks=9), Cat(id=2, name="Tom", lives=9), Dog(id=3, name="Old")]
    owner.vehicles = [Car(id=1, plate="A", doors=4), Lorry(id=2, plate="B", tons=7, axles=3)]
    session.add(owner)
    session.commit()
    session.expire_all()
    options = (selectinload(Owner.animals), selectinload(Owner.vehicles))
    original = session.query(Owner).options(*options).one()
    for each in (*original.animals, *original.vehicles):
        session.refresh(each)
    (copy,) = loads(dumped(original), inheritance.Base)
    assert [type(each) for each in copy.animals] == [Puppy, Cat, Dog]
    assert [type(each) for each in copy.vehicles] == [Car, Lorry]
    assert [inspect(each).key for each in copy.vehicles] == [inspect(each).key for each in original.vehicles]
    rex, tom, _ = copy.animals
    assert (rex.tricks, rex.weeks, tom.lives) == (1, 9, 9)
    car, lorry = copy.vehicles
    assert (car.plate, car.doors, lorry.truck_id, lorry.lorry_id, lorry.tons, lorry.axles) == ("A", 4, 2, 2, 7, 3)


def test_composite_keys_and_attributes_that_are_named_other_than_their_columns(session: Session) -> None:
    shelf = Shelf(room="R", number=7, label=None, books=[Book(id=1, title="B")])
    session.add_all([shelf, Legacy(id=1, name="top"), Legacy(id=2, name="below", parent_id=1)])
    session.commit()
    shelf = session.query(Shelf).options(selectinload(Shelf.books)).populate_existing().one()
    legacy = session.query(Legacy).options(joinedload(Legacy.parent)).filter_by(id=2).populate_existing().one()
    shelf_copy, legacy_copy = loads(dumped([shelf, legacy]), keys.Base)
    assert inspect(shelf_copy).identity == ("R", 7)
    assert shelf_copy.books[0].shelf is shelf_copy
    assert (legacy_copy.name, legacy_copy.parent.name, inspect(legacy_copy).identity) == ("below", "top", (2,))


def test_imperatively_mapped_classes_travel_without_their_init(session: Session) -> None:
    planet = Planet("Mars")
    planet.moons = [Moon("Phobos"), Moon("Deimos")]
    session.add(planet)
    session.commit()
    moons: Any = Planet.moons
    original = session.query(Planet).options(selectinload(moons)).populate_existing().one()
    (copy,) = loads(dumped(original), styles.imperative)
    assert (copy.name, [moon.name for moon in copy.moons]) == ("Mars", ["Phobos", "Deimos"])


def test_a_composite_travels_as_its_columns_and_is_a_value_again(session: Session) -> None:
    session.add(Shape(id=1, name="line", start=Point(1, 2), end=Point(3, 4)))
    session.commit()
    original = session.query(Shape).populate_existing().one()
    (table,) = document_of(original)["tables"]
    assert not {"start", "end"} & set(table["columns"])
    (copy,) = loads(dumped(original), Shape)
    assert "start" in copy.__dict__
    assert (copy.start, copy.end) == (Point(1, 2), Point(3, 4))
    copy.start = Point(9, 9)
    assert inspect(copy).attrs.x1.history.deleted == [1]


def test_a_dump_of_what_was_loaded_is_the_same_document(session: Session) -> None:
    fill(session, customers=2, orders=2, lines=2)
    session.commit()
    options = selectinload(Customer.orders).options(
        joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.order)
    )
    originals = session.query(Customer).options(options).all()
    data = dumped(originals)
    assert dumped(loads(data, shop.Base)) == data


def test_a_chain_of_new_objects_is_not_too_deep() -> None:
    end = None
    for number in range(5_000):
        end = Legacy(id=number, parent=end)
    (copy,) = loads(dumped(end), Legacy)
    for number in reversed(range(5_000)):
        assert copy.id == number
        copy = copy.parent
    assert copy is None
