"""What `to_dict` gives: the shape that the options name, values that JSON knows, and never a load."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import JSON, func, insert, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.orm import (
    Session,
    contains_eager,
    defaultload,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    raiseload,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    undefer,
    undefer_group,
)
from sqlalchemy.orm.attributes import instance_dict, set_committed_value

import sojourn
from sojourn.errors import NotLoadedError, NotMappedError, SnapshotError, WrongAttributeError
from sojourn.session.detach import detach
from sojourn.session.prefetch import prefetch
from sojourn.snapshot.to_dict import to_dict
from tests.databases import Database
from tests.models import all_types, columns, inheritance, keys, loading, odd, relations, shop
from tests.models.all_types import SAMPLE, AllTypes, Colour
from tests.models.columns import Document, Point, Settings, Shape
from tests.models.custom_types import Money, Rights
from tests.models.inheritance import Animal, Car, Cat, Dog, Lorry, Owner, Puppy, Vehicle
from tests.models.keys import Node
from tests.models.loading import Grid, Player, Sheet, Team, grounds_teams_players
from tests.models.odd import Album, Box, Corner, Cover, Desk, Paper, Pin, Sticker
from tests.models.published import Folder
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order, fill

ORDERS = selectinload(Customer.orders)
WHOLE = ORDERS.selectinload(Order.lines)


@pytest.fixture
def session(sqlite: Database) -> Session:
    """A session on a database with every table."""
    modules = (all_types, columns, inheritance, keys, loading, odd, relations, shop)
    sqlite.create(*(module.Base.metadata for module in modules))
    return sqlite.session()


def stored(session: Session, *objs: Any) -> list[Any]:
    """Rows of these objects, and the session without them."""
    session.add_all(objs)
    session.commit()
    session.expunge_all()
    return list(objs)


def customers(session: Session, *options: Any) -> list[Customer]:
    fill(session, customers=2, orders=1, lines=2)
    session.commit()
    return list(session.scalars(select(Customer).options(*options).order_by(Customer.id)))


# --- the shape --------------------------------------------------------------------------------------------------------


def test_without_options_it_is_what_a_plain_select_loads_of_the_columns(session: Session) -> None:
    first, _ = customers(session)
    assert to_dict(first) == {
        "id": 1,
        "name": "Customer 1",
        "email": "customer1@example.org",
        "city": "Bergen",
        "balance": "1.37",
    }
    assert list(to_dict(first)) == ["id", "name", "email", "city", "balance"]


def test_one_instance_gives_a_dict_and_an_iterable_gives_a_list(session: Session) -> None:
    both = customers(session)
    assert to_dict(both) == [to_dict(both[0]), to_dict(both[1])]
    assert to_dict(obj for obj in reversed(both)) == [to_dict(both[1]), to_dict(both[0])]
    assert to_dict([both[0]]) == [to_dict(both[0])]
    assert to_dict([]) == []


def test_it_is_a_public_name() -> None:
    assert sojourn.to_dict is to_dict


@pytest.mark.parametrize("load", [selectinload, joinedload, subqueryload, immediateload])
def test_options_that_load_a_relationship_put_it_in(session: Session, load: Callable[..., Any]) -> None:
    options = load(Customer.orders).options(load(Order.lines))
    first, second = customers(session) and session.scalars(select(Customer).options(options)).unique().all()
    lines = [
        {"id": 3, "order_id": 2, "sku": "SKU-021", "qty": 4, "price": "2.67"},
        {"id": 4, "order_id": 2, "sku": "SKU-028", "qty": 5, "price": "3.56"},
    ]
    assert to_dict([first, second], options)[1]["orders"] == [
        {
            "id": 2,
            "customer_id": 2,
            "number": "N-000002",
            "status": "sent",
            "placed_at": "2026-01-01T09:44:00",
            "lines": lines,
        }
    ]


def test_contains_eager_names_a_relationship_like_any_other(session: Session) -> None:
    customers(session)
    statement = select(Order).join(Order.customer).options(contains_eager(Order.customer))
    order = session.scalars(statement.where(Customer.id == 2)).one()
    assert to_dict(order, contains_eager(Order.customer))["customer"]["name"] == "Customer 2"


def test_what_is_loaded_beyond_the_options_is_not_in(session: Session) -> None:
    first, _ = customers(session, WHOLE)
    assert "orders" not in to_dict(first)
    assert "lines" not in to_dict(first, ORDERS)["orders"][0]


def test_a_relationship_that_is_mapped_as_eager_is_in_only_if_an_option_names_it(session: Session) -> None:
    stored(session, *grounds_teams_players())
    player = session.get_one(Player, 2)
    assert player.team is not None
    assert "team" not in to_dict(player)
    assert to_dict(player, joinedload(Player.team))["team"]["name"] == "Reds"
    assert "team" not in to_dict(player, defaultload(Player.team))


def test_a_wildcard_names_all_relationships_and_leads_back_to_no_class(session: Session) -> None:
    first, _ = customers(session)
    everything = selectinload("*")
    prefetch(session, first, everything)
    found = to_dict(first, everything)
    assert list(found["orders"][0]) == ["id", "customer_id", "number", "status", "placed_at", "lines"]
    assert "order" not in found["orders"][0]["lines"][0]
    assert "orders" not in to_dict(first, everything, raiseload(Customer.orders))
    assert "lines" not in to_dict(first, everything, ORDERS.lazyload(Order.lines))["orders"][0]
    assert "orders" not in to_dict(first, lazyload("*"))


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (load_only(Customer.name), ["id", "name"]),
        (defer(Customer.email), ["id", "name", "city", "balance"]),
        (defer("*"), ["id"]),
    ],
)
def test_columns_are_chosen_as_a_select_chooses_them(session: Session, option: Any, expected: list[str]) -> None:
    first, _ = customers(session, option)
    assert list(to_dict(first, option)) == expected


def test_load_only_leaves_foreign_keys_and_the_version_out_as_a_select_does(session: Session) -> None:
    customers(session)
    option = load_only(Order.number)
    order = session.get_one(Order, 1, options=[option])
    assert "customer_id" not in order.__dict__
    assert to_dict(order, option) == {"id": 1, "number": "N-000001"}
    stored(session, Document(id=1, title="t", body="b"))
    document = session.scalars(select(Document).options(load_only(Document.title))).one()
    assert to_dict(document, load_only(Document.title)) == {"id": 1, "title": "t"}


def test_a_key_that_is_deferred_by_name_is_left_out(session: Session) -> None:
    first, _ = customers(session)
    assert list(to_dict(first, load_only(Customer.name), defer(Customer.id))) == ["name"]


def test_deferred_columns_are_in_when_an_option_undefers_them(session: Session) -> None:
    stored(session, *grounds_teams_players())
    team = session.scalars(select(Team).options(undefer("*"), lazyload("*")).limit(1)).one()
    assert team.__dict__.keys() >= {"motto", "history", "size"}
    assert list(to_dict(team)) == ["id", "name", "size"]
    assert list(to_dict(team, undefer(Team.motto))) == ["id", "name", "motto", "size"]
    assert list(to_dict(team, undefer_group("texts"))) == ["id", "name", "motto", "history", "size"]


def test_an_sql_expression_that_is_mapped_as_a_column_is_in(session: Session) -> None:
    stored(session, *grounds_teams_players())
    assert to_dict(session.get_one(Team, 1))["size"] == 3


def test_dynamic_and_write_only_collections_are_not_in(session: Session) -> None:
    stored(session, Box(id=1, labels={"a": "b"}, corner=Corner(1, 2)))
    box = session.get_one(Box, 1)
    prefetch(session, box, selectinload("*"))
    assert to_dict(box, selectinload("*")) == {
        "id": 1,
        "labels": {"a": "b"},
        "corner": {"x": 1, "y": 2},
        "pins": [],
    }
    with pytest.raises(WrongAttributeError, match=r"Box\.balls holds no members in memory"):
        to_dict(box, selectinload(Box.balls))


def test_edits_that_are_not_flushed_are_in(session: Session) -> None:
    first, _ = customers(session, ORDERS)
    first.name = "Ann"
    first.orders.clear()
    found = to_dict(first, ORDERS)
    assert (found["name"], found["orders"]) == ("Ann", [])


def test_each_object_has_the_columns_of_its_own_class(session: Session) -> None:
    stored(
        session,
        Owner(
            id=1,
            name="Ann",
            animals=[Animal(id=1, name="A"), Puppy(id=2, name="P", tricks=1, weeks=9), Cat(id=3, name="C")],
            vehicles=[Lorry(id=4, plate="L", tons=7, axles=3), Car(id=5, plate="C", doors=4)],
        ),
    )
    shape = (selectinload(Owner.animals), selectinload(Owner.vehicles))
    owner = session.get_one(Owner, 1)
    prefetch(session, owner, *shape)
    found = to_dict(owner, *shape)
    animal = {"id": 1, "kind": "animal", "name": "A", "owner_id": 1}
    puppy = {"id": 2, "kind": "puppy", "name": "P", "owner_id": 1, "tricks": 1, "weeks": 9}
    assert found["animals"] == [animal, puppy, {"id": 3, "kind": "cat", "name": "C", "owner_id": 1, "lives": None}]
    lorry, car = found["vehicles"]
    assert {key: lorry[key] for key in ("kind", "plate", "tons", "axles")} == {
        "kind": "lorry",
        "plate": "L",
        "tons": 7,
        "axles": 3,
    }
    assert (car["kind"], car["doors"]) == ("car", 4)


def test_objects_of_several_classes_stay_in_their_order(session: Session) -> None:
    stored(session, *(Car(id=n, plate=str(n), doors=4) if n % 2 else Vehicle(id=n, plate=str(n)) for n in range(1, 6)))
    fill(session, customers=1, orders=0, lines=0)
    session.commit()
    vehicles = session.scalars(select(Vehicle).options(selectin_polymorphic(Vehicle, [Car])).order_by(Vehicle.id)).all()
    found = to_dict([*vehicles, session.get_one(Customer, 1)])
    assert [each["id"] for each in found] == [1, 2, 3, 4, 5, 1]
    assert [each.get("doors") for each in found] == [4, None, 4, None, 4, None]
    assert found[-1]["name"] == "Customer 1"


# --- collections and composites ---------------------------------------------------------------------------------------


def test_each_kind_of_collection_has_its_form(session: Session) -> None:
    author = Person(id=1, name="Ann", passport=Passport(id=1, number="X"))
    author.memberships = [Membership(club=Club(id=1, name="Chess"), role="chair")]
    article = Article(id=1, title="T", author=author, tags=[Tag(id=1, name="a"), Tag(id=2, name="b")])
    article.notes = {"one": Note(id=1, keyword="one", text="1"), "two": Note(id=2, keyword="two", text="2")}
    article.links = {Link(id=1, url="u"), Link(id=2, url="v")}
    stored(session, article)
    shape = (
        selectinload(Article.tags),
        selectinload(Article.notes),
        selectinload(Article.links),
        selectinload(Article.author).options(selectinload(Person.passport), selectinload(Person.memberships)),
    )
    article = session.get_one(Article, 1)
    prefetch(session, article, *shape)
    found = to_dict(article, *shape)
    assert found["tags"] == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert found["notes"] == {
        "one": {"id": 1, "article_id": 1, "keyword": "one", "text": "1"},
        "two": {"id": 2, "article_id": 1, "keyword": "two", "text": "2"},
    }
    assert sorted(link["url"] for link in found["links"]) == ["u", "v"]
    assert found["author"]["passport"] == {"id": 1, "person_id": 1, "number": "X"}
    assert found["author"]["memberships"] == [{"person_id": 1, "club_id": 1, "role": "chair"}]


def test_references_to_nobody_are_none_and_empty_collections_are_empty(session: Session) -> None:
    stored(session, Article(id=1, title="T"), Person(id=2, name="Ann"), Album(id=1, title="A"))
    article = session.get_one(Article, 1, options=[selectinload(Article.author), selectinload(Article.notes)])
    shape = (selectinload(Article.author), selectinload(Article.notes))
    assert to_dict(article, *shape) == {"id": 1, "title": "T", "author_id": None, "author": None, "notes": {}}
    person = session.get_one(Person, 2, options=[selectinload(Person.passport)])
    assert to_dict(person, selectinload(Person.passport))["passport"] is None


def test_a_collection_of_a_class_of_its_own_is_an_array(session: Session) -> None:
    desk = Desk(id=1)
    desk.papers.push(Paper(id=1))
    desk.papers.push(Paper(id=2))
    stored(session, desk)
    desk = session.get_one(Desk, 1, options=[selectinload(Desk.papers)])
    assert to_dict(desk, selectinload(Desk.papers))["papers"] == [{"id": 1, "desk_id": 1}, {"id": 2, "desk_id": 1}]


def album_of(*names: Any) -> Album:
    album = Album(id=1, title="A", cover_id=None, length=1)
    album.stickers.update({name: Sticker(id=number, name="s") for number, name in enumerate(names)})
    return album


def test_the_keys_of_a_dict_collection_become_text() -> None:
    found = to_dict(album_of("a", 7, Colour.RED), selectinload(Album.stickers))
    assert {name: sticker["id"] for name, sticker in found["stickers"].items()} == {"a": 0, "7": 1, "RED": 2}


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (("7", 7), "has two keys that are the same as text"),
        ((("a", 1),), "has a key of the type tuple"),
        ((None,), "has a key of the type NoneType"),
        ((True,), "has a key of the type bool"),
    ],
)
def test_keys_that_are_no_names_are_refused(names: tuple[Any, ...], what: str) -> None:
    with pytest.raises(SnapshotError, match=rf"^Album\.stickers: {what}.*selectinload\(Album\.stickers\)"):
        to_dict(album_of(*names), selectinload(Album.stickers))


def test_a_composite_is_an_object_of_its_parts_in_the_place_of_its_columns(session: Session) -> None:
    stored(session, Shape(id=1, name="s", start=Point(1, 2), end=None))
    shape = session.scalars(select(Shape)).one()
    expected = {"id": 1, "name": "s", "start": {"x": 1, "y": 2}, "end": {"x": None, "y": None}}
    assert to_dict(shape) == expected
    assert list(to_dict(shape)) == list(expected)
    shape.end = Point(3, 4)
    assert to_dict(shape)["end"] == {"x": 3, "y": 4}
    assert to_dict(shape, load_only(Shape.start)) == {"id": 1, "start": {"x": 1, "y": 2}}
    assert to_dict(shape, defer(Shape.start)) == {"id": 1, "name": "s", "end": {"x": 3, "y": 4}}


def test_a_composite_that_was_changed_in_place_is_as_it_is_now(session: Session) -> None:
    stored(session, Box(id=1, corner=Corner(1, 2)))
    box = session.get_one(Box, 1)
    box.corner.x = 5
    assert to_dict(box)["corner"] == {"x": 5, "y": 2}


# --- cycles, shared objects, depth ------------------------------------------------------------------------------------


def test_a_reference_back_to_the_parent_is_left_out(session: Session) -> None:
    shape = ORDERS.options(joinedload(Order.customer), selectinload(Order.lines).joinedload(Line.order))
    first, _ = customers(session, shape)
    order = to_dict(first, shape)["orders"][0]
    assert "customer" not in order
    assert all("order" not in line for line in order["lines"])


def test_an_object_does_not_stand_inside_itself_in_a_collection(session: Session) -> None:
    tags = [Tag(id=1, name="a"), Tag(id=2, name="b")]
    stored(session, Article(id=1, title="one", tags=tags), Article(id=2, title="two", tags=tags[:1]))
    shape = selectinload(Article.tags).selectinload(Tag.articles)
    article = session.get_one(Article, 1, options=[shape])
    assert [(tag["name"], tag["articles"]) for tag in to_dict(article, shape)["tags"]] == [
        ("a", [{"id": 2, "title": "two", "author_id": None}]),
        ("b", []),
    ]


def test_an_object_does_not_stand_inside_itself_in_a_dict_collection() -> None:
    one, two = (Folder(id=number, name=name, parent_id=None) for number, name in enumerate(("one", "two")))
    for folder in (one, two):
        set_committed_value(folder, "folders", [one, two])
    found = to_dict(one, selectinload(Folder.folders, recursion_depth=-1))
    assert found["folders"] == {"two": {"id": 1, "name": "two", "parent_id": None, "folders": {}}}


def test_data_in_a_circle_ends_where_it_begins() -> None:
    nodes = [Node(id=number, parent_id=None, name=str(number)) for number in range(3)]
    for node, parent in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        set_committed_value(node, "parent", parent)
    found = to_dict(nodes[0], selectinload(Node.parent, recursion_depth=-1))
    assert found["parent"]["parent"]["id"] == 2
    assert "parent" not in found["parent"]["parent"]
    set_committed_value(nodes[0], "parent", nodes[0])
    assert "parent" not in to_dict(nodes[0], joinedload(Node.parent))


def test_a_shared_object_stands_at_each_place_as_a_dict_of_its_own(session: Session) -> None:
    customers(session)
    lines = session.scalars(select(Line).options(joinedload(Line.order)).where(Line.order_id == 1)).all()
    one, other = to_dict(lines, joinedload(Line.order))
    assert one["order"] == other["order"]
    assert one["order"] is not other["order"]


def test_a_recursive_option_goes_as_deep_as_it_says(session: Session) -> None:
    root = Node(id=1, name="1", children=[Node(id=2, name="2", children=[Node(id=3, name="3")])])
    stored(session, root)
    shape = selectinload(Node.children, recursion_depth=1)
    found = to_dict(session.get_one(Node, 1, options=[selectinload(Node.children, recursion_depth=3)]), shape)
    grandchild = found["children"][0]["children"][0]
    assert grandchild == {"id": 3, "parent_id": 2, "name": "3"}


def test_a_chain_of_10_000_objects_is_not_too_deep() -> None:
    node: Node | None = None
    for number in range(10_000):
        below = Node()
        instance_dict(below).update(id=number, parent_id=None, name="n", parent=node)
        node = below
    plain: Any = to_dict(node, selectinload(Node.parent, recursion_depth=-1))
    depth = 0
    while plain["parent"] is not None:
        plain = plain["parent"]
        depth += 1
    assert (depth, plain["id"]) == (9_999, 0)


# --- nothing is loaded ------------------------------------------------------------------------------------------------


def test_nothing_is_loaded_flushed_or_marked(database: Database) -> None:
    database.create(shop.Base.metadata)
    with database.session() as session:
        first, _ = customers(session, WHOLE)
        first.name = "Ann"
        loaded = set(first.__dict__)
        with database.statements() as log:
            to_dict(first, WHOLE)
        assert len(log) == 0
        assert set(first.__dict__) == loaded
        assert list(session.dirty) == [first]


def test_a_relationship_that_is_not_loaded_is_an_error_and_not_empty(session: Session) -> None:
    first, _ = customers(session)
    with pytest.raises(NotLoadedError, match=r"^Customer\.orders is not loaded, and to_dict never loads\.") as caught:
        to_dict(first, WHOLE)
    assert (caught.value.class_name, caught.value.attribute) == ("Customer", "orders")
    assert "selectinload(Customer.orders)" in caught.value.remedy
    prefetch(session, first, WHOLE)
    assert len(to_dict(first, WHOLE)["orders"][0]["lines"]) == 2


def test_the_error_names_what_is_lacking_deep_inside(session: Session) -> None:
    first, _ = customers(session, ORDERS)
    with pytest.raises(NotLoadedError, match=r"^Order\.lines is not loaded"):
        to_dict(first, WHOLE)


def test_an_expired_column_is_an_error_and_prefetch_helps(session: Session) -> None:
    both = customers(session)
    session.expire(both[1], ["city"])
    with pytest.raises(NotLoadedError, match=r"^Customer\.city is not loaded.* leave it out: defer\(Customer\.city\)"):
        to_dict(both)
    assert "city" not in to_dict(both, defer(Customer.city))[1]
    prefetch(session, both)
    assert to_dict(both)[1]["city"] == "Cork"


def test_an_undeferred_column_that_is_not_loaded_is_an_error(session: Session) -> None:
    stored(session, Document(id=1, title="t", body="b"))
    document = session.get_one(Document, 1)
    assert "body" not in to_dict(document)
    with pytest.raises(NotLoadedError, match=r"^Document\.body is not loaded"):
        to_dict(document, undefer(Document.body))


def test_columns_of_a_subclass_that_are_not_loaded_are_an_error(session: Session) -> None:
    stored(session, Car(id=1, plate="C", doors=4))
    (vehicle,) = session.scalars(select(Vehicle)).all()
    with pytest.raises(NotLoadedError, match=r"^Car\.doors is not loaded"):
        to_dict(vehicle)
    assert "doors" not in to_dict(vehicle, load_only(Vehicle.plate))


def test_a_new_object_is_told_from_one_that_is_not_loaded() -> None:
    with pytest.raises(NotLoadedError, match=r"^Customer\.id is not loaded, because the object is new.* Flush"):
        to_dict(Customer(name="Ann"))
    values = {"id": 1, "name": "Ann", "email": "e", "city": None, "balance": Decimal(0)}
    assert to_dict(Customer(**values)) == {**values, "balance": "0"}


def test_detached_objects_need_no_session(session: Session) -> None:
    first, _ = customers(session)
    (away,) = detach(session, first, WHOLE)
    session.close()
    assert [len(order["lines"]) for order in to_dict(away, WHOLE)["orders"]] == [2]


def test_what_is_no_mapped_instance_is_refused() -> None:
    for wrong in (object(), Customer, [1], "text", None):
        with pytest.raises(NotMappedError):
            to_dict(wrong)


def test_options_that_lead_nowhere_are_refused(session: Session) -> None:
    first, _ = customers(session)
    with pytest.raises(WrongAttributeError, match=r"Order\.lines leads nowhere from Customer"):
        to_dict(first, selectinload(Order.lines))
    with pytest.raises(WrongAttributeError, match="is no loader option"):
        to_dict(first, Customer.orders)  # type: ignore[call-overload]  # that is what is tested


# --- values -----------------------------------------------------------------------------------------------------------

DAY = datetime.date(2026, 2, 28)
ZONE = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
OLD = datetime.timezone(datetime.timedelta(minutes=19, seconds=32))


class Text(str):
    """A user's string that must not be asked."""

    __slots__ = ()

    def __str__(self) -> str:
        raise AssertionError("a user's method was called")

    __repr__ = __str__


class Number(enum.IntEnum):
    ONE = 1


class Many(dict[str, Any]):
    def items(self) -> Any:
        raise AssertionError("a user's method was called")

    __iter__ = keys = items


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (2**80, 2**80),
        (-0.5, -0.5),
        ("ü", "ü"),
        (Text("own"), "own"),
        (b"\x00\xff", "AP8="),
        (bytearray(b"a"), "YQ=="),
        (memoryview(b"a"), "YQ=="),
        (Decimal("1.50"), "1.50"),
        (Decimal("-0E-9"), "-0E-9"),
        (Decimal("1E+30"), "1E+30"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (DAY, "2026-02-28"),
        (datetime.datetime(2026, 2, 28, 13, 5), "2026-02-28T13:05:00"),
        (datetime.datetime(2026, 2, 28, 13, 5, 1, 20, datetime.UTC), "2026-02-28T13:05:01.000020+00:00"),
        (datetime.datetime(2026, 2, 28, 13, 5, tzinfo=ZONE), "2026-02-28T13:05:00+05:30"),
        (datetime.datetime(1900, 1, 1, 12, tzinfo=OLD), "1900-01-01T11:40:28+00:00"),
        (datetime.time(13, 5, 1), "13:05:01"),
        (datetime.timedelta(0), "PT0S"),
        (datetime.timedelta(days=2), "P2D"),
        (datetime.timedelta(days=1, hours=2, seconds=3), "P1DT2H0M3S"),
        (datetime.timedelta(minutes=5), "PT5M"),
        (datetime.timedelta(hours=30), "P1DT6H"),
        (datetime.timedelta(microseconds=1_500_000), "PT1.5S"),
        (datetime.timedelta(microseconds=-1), "-PT0.000001S"),
        (datetime.timedelta(hours=1, microseconds=10), "PT1H0M0.00001S"),
        (Colour.GREEN, "GREEN"),
        (Number.ONE, "ONE"),
        (Rights.READ | Rights.RUN, ["READ", "RUN"]),
        (Rights(0), []),
        ([1, (2, Decimal(3)), None], [1, [2, "3"], None]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({3}), [3]),
        ({"a": {"b": [DAY]}, 5: Colour.RED}, {"a": {"b": ["2026-02-28"]}, "5": "RED"}),
        (Many(a=1), {"a": 1}),
        (Range(1, 5), {"lower": 1, "upper": 5, "bounds": "[)", "empty": False}),
        (Range(None, DAY, bounds="(]"), {"lower": None, "upper": "2026-02-28", "bounds": "(]", "empty": False}),
        (Range(empty=True), {"lower": None, "upper": None, "bounds": "[)", "empty": True}),
        (ipaddress.ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
        (ipaddress.ip_network("::/64"), "::/64"),
        (Money(Decimal("1.50"), "EUR"), "1.50 EUR"),
        ([Money(Decimal("1.50"), "EUR")], ["1.50 EUR"]),
        (JSON.NULL, None),
    ],
)
def test_a_value_has_one_form_alone_among_others_and_inside_others(value: Any, plain: Any) -> None:
    def written(values: list[Any]) -> Any:
        return [one["some_json"] for one in to_dict([all_of(some_json=each) for each in values])]

    assert written([value]) == [plain]
    assert written([value, value]) == [plain, plain]
    assert written([value, None, "x"]) == [plain, None, "x"]
    assert written([{"in": [value]}]) == [{"in": [plain]}]
    for one in (written([value])[0], written([None, value])[1]):
        assert type(one) is type(plain)
        json.dumps(one, allow_nan=False)


def all_of(**values: Any) -> AllTypes:
    return AllTypes(**{**dict.fromkeys(SAMPLE), "id": 1, **values})


def test_what_comes_from_the_database_is_plain_json(database: Database) -> None:
    database.create(all_types.Base.metadata)
    with database.session() as session:
        session.add(AllTypes(id=1, **SAMPLE))
        session.commit()
        row = session.get_one(AllTypes, 1)
        session.refresh(row)
        found = to_dict(row)
        zone = row.an_instant is not None and row.an_instant.tzinfo is not None
    assert found.pop("an_instant") == "2026-02-28T13:37:01" + ("+00:00" if zone else "")
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "id": 1,
        "an_int": 42,
        "a_float": 0.1,
        "a_str": "plain",
        "a_text": "two\nlines",
        "a_bool": True,
        "some_bytes": "AAH+/w==",
        "a_decimal": "12.3450",
        "a_date": "2026-02-28",
        "a_time": "13:37:01",
        "a_datetime": "2026-02-28T13:37:01",
        "a_timedelta": "P1DT2H0M3S",
        "a_uuid": "12345678-1234-5678-1234-567812345678",
        "a_colour": "GREEN",
        "some_json": {"list": [1, 2.5, None, True], "nested": {"key": "value"}},
    }


def test_json_is_copied_so_that_an_answer_may_be_changed(session: Session) -> None:
    stored(session, Settings(id=1, name="s", plain={"a": [1]}, tracked={"b": {"c": 1}}))
    settings = session.scalars(select(Settings)).one()
    found = to_dict(settings)
    assert (found["plain"], found["tracked"]) == ({"a": [1]}, {"b": {"c": 1}})
    assert type(found["tracked"]) is dict
    found["plain"]["a"].append(2)
    found["tracked"]["b"].clear()
    found["tracked"]["new"] = 1
    assert (settings.plain, settings.tracked) == ({"a": [1]}, {"b": {"c": 1}})
    assert not session.dirty


def circle() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (float("nan"), "holds nan, which is no number in JSON"),
        (float("-inf"), "holds -inf, which is no number in JSON"),
        (Decimal("NaN"), "holds NaN, which is no number"),
        (Decimal("Infinity"), "holds Infinity, which is no number"),
        (Decimal("sNaN"), "holds sNaN, which is no number"),
        (Grid(1), "holds a value of the type Grid, which JSON has no form for"),
        (Point(1, 2), "holds a value of the type Point, which JSON has no form for"),
        (func.now(), "holds a value of the type now, which JSON has no form for"),
        ({(1, 2): 3}, "has a key of the type tuple"),
        (circle(), "holds a value that is nested too deeply, or that contains itself"),
    ],
)
def test_a_value_that_json_has_no_form_for_is_refused_with_its_attribute(value: Any, what: str) -> None:
    remedy = r".*Set another value, .*register_type, or leave it out: defer\(AllTypes\.some_json\)"
    for values in ([value], [1, value], [[value]]):
        with pytest.raises(SnapshotError, match=rf"^AllTypes\.some_json: {what}{remedy}") as caught:
            to_dict([all_of(some_json=each) for each in values])
        assert caught.value.where == "AllTypes.some_json"


def test_an_unknown_value_of_a_pickled_column_is_refused_and_can_be_left_out(session: Session) -> None:
    stored(session, Sheet(id=1, name="s", grid=Grid(1)))
    sheet = session.scalars(select(Sheet)).one()
    with pytest.raises(SnapshotError, match=r"^Sheet\.grid: holds a value of the type Grid"):
        to_dict(sheet)
    assert to_dict(sheet, defer(Sheet.grid)) == {"id": 1, "name": "s"}


def test_classes_that_must_not_be_compared_hashed_or_printed_are_not(session: Session) -> None:
    session.execute(insert(Box), [{"id": 1, "x": 1, "y": 2}])
    session.execute(insert(Pin), [{"id": number, "box_id": 1, "position": number} for number in (1, 2)])
    box = session.get_one(Box, 1)
    prefetch(session, box, selectinload(Box.pins))
    assert [pin["id"] for pin in to_dict(box, selectinload(Box.pins))["pins"]] == [1, 2]


def test_cover_and_dog_are_plain_too(session: Session) -> None:
    stored(session, Album(id=1, title="abc", cover=Cover(id=1, colour="red")), Dog(id=1, name="Rex", tricks=3))
    album = session.get_one(Album, 1, options=[joinedload(Album.cover)])
    assert to_dict(album, joinedload(Album.cover)) == {
        "id": 1,
        "title": "abc",
        "cover_id": 1,
        "length": 3,
        "cover": {"id": 1, "colour": "red"},
    }
