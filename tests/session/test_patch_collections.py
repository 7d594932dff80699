"""What `patch` does to collections: who comes, who stays, who goes; and whom it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session, selectinload

from sojourn.errors import BadArgumentError, NotAllowedError
from sojourn.session.patch import patch
from sojourn.session.prefetch import prefetch
from tests.databases import Database
from tests.models import keys, relations
from tests.models.dataclasses_ import Base as DataclassBase
from tests.models.dataclasses_ import Basket, Fruit
from tests.models.keys import Book, Node, Shelf
from tests.models.relations import Article, Link, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.models.styles import Base as StylesBase
from tests.models.styles import Invoice, Item, Moon, Planet
from tests.session.attaching import open_shop, others, rows, skus
from tests.session.patching import SHOP, faults, first_looks, shop_faults

ARTICLES: Any = [
    *(Article.title, Article.author, Article.tags, Article.notes, Article.links, Tag.name, Tag.articles),
    *(Note.keyword, Note.text, Note.article, Link.url, Person.name, Person.passport, Passport.number, Passport.person),
]


def fill_relations(database: Database) -> None:
    """Two articles with a tag, two notes and a link each; two persons, the first with a passport."""
    database.create(relations.Base.metadata)
    with others(database) as session:
        tag = Tag(name="x")
        for title in "ab":
            notes = {word: Note(keyword=word, text=word) for word in ("k", "m")}
            session.add(Article(title=title, tags=[tag], notes=notes, links={Link(url="u")}))
            session.flush()
        session.add(Person(name="p", passport=Passport(number="1")))
        session.flush()
        session.add(Person(name="q"))


@pytest.mark.parametrize("on_absent", ["delete", {Order.lines: "delete"}])
def test_who_is_absent_is_deleted_where_the_caller_says_so(database: Database, on_absent: Any) -> None:
    open_shop(database)
    with database.session() as session:
        payload = {"id": 1, "lines": [{"id": 2}, {"sku": "new", "qty": 1, "price": 1}]}
        report = patch(session, Order, payload, allow=SHOP, on_absent=on_absent)
        assert [one.id for one in report.deleted] == [1]
        session.commit()
    assert skus(database) == ["SKU-014", "new"]
    assert len(skus(database, 2)) == 2


def test_on_absent_may_be_said_of_one_collection_alone(session: Session) -> None:
    payload = {"id": 1, "orders": [{"id": 1, "lines": []}]}
    report = patch(session, Customer, payload, allow=SHOP, on_absent={Order.lines: "delete"})
    assert {type(one) for one in report.deleted} == {Line}
    session.commit()
    assert len(session.get_one(Customer, 1).orders) == 2


def test_a_whole_tree_below_the_absent_is_deleted_in_bulk(database: Database) -> None:
    open_shop(database, 1, 20, 2)
    with database.session() as session:
        with database.statements() as log:
            report = patch(session, Customer, {"id": 1, "orders": []}, allow=SHOP, on_absent="delete")
        assert len(log) == report.statements == 3 + first_looks(database)
        with database.statements() as log:
            session.commit()
        assert len(log) == len(log.deletes) == 2
    assert rows(database, Line) == []


def test_who_is_absent_is_unlinked_and_may_come_back(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as other:
        other.add_all([Shelf(room="a", number=1, books=[Book(title="x"), Book(title="y")]), Shelf(room="b", number=1)])
    allow: Any = [Shelf.books]
    key = {"room": "a", "number": 1}
    with database.session() as session:
        report = patch(session, Shelf, {**key, "books": [{"id": 2}]}, allow=allow, on_absent="unlink")
        assert ([one.id for one in report.updated], report.deleted) == ([1], [])
        session.commit()
        assert session.get_one(Book, 1).shelf_room is None
        # It is nobody's, so anybody may have it; in one payload, one alone.
        both = [{**key, "books": [{"id": 1}]}, {"room": "b", "number": 1, "books": [{"id": 1}]}]
        assert faults(session, Shelf, both, allow=allow) == ["$[1].books[0]: Book(1) is named at $[0].books[0] already"]
        report = patch(session, Shelf, both[0], allow=allow)
        assert [one.id for one in report.updated] == [1]
        session.commit()
        assert [one.id for one in session.get_one(Shelf, ("a", 1)).books] == [1, 2]
        new = {"room": "c", "number": 1, "books": [{"id": 1}]}
        match: Any = {Shelf: [Shelf.room, Shelf.number]}
        assert faults(session, Shelf, new, allow=allow, match=match) == [
            "$.books[0]: Book(1) belongs to another parent"
        ]
        patch(session, Shelf, {**key, "books": []}, allow=allow, on_absent={Shelf.books: "delete"})
        session.commit()
    assert rows(database, Book) == []


def test_what_cannot_be_unlinked_is_told(session: Session) -> None:
    for on_absent in ("unlink", {Order.lines: "unlink"}):
        with pytest.raises(BadArgumentError, match=r"Order.lines cannot be unlinked"):
            patch(session, Order, {"id": 1, "lines": []}, allow=SHOP, on_absent=on_absent)  # type: ignore[arg-type]


def test_a_child_of_another_parent_is_refused_on_every_way(session: Session) -> None:
    ways = [
        {"id": 1, "lines": [{"id": 5}]},
        {"id": 1, "lines": [{"id": 1, "order": {"id": 2}}]},
        {"id": 1, "lines": [{"id": 1, "order": None}]},
        {"id": 1, "lines": [{"sku": "n", "order": {"number": "new"}}]},
        {"number": "new", "lines": [{"id": 1}]},
    ]
    assert [len(shop_faults(session, Order, way)) for way in ways] == [1] * len(ways)
    allow = [*SHOP, Line.order_id, Order.customer_id]
    assert faults(session, Order, {"id": 1, "lines": [{"id": 1, "order_id": 2}]}, allow=allow) == [
        "$.lines[0].order_id: is not the parent that it stands in"
    ]
    assert len(faults(session, Order, {"lines": [{"order_id": 2}]}, allow=allow)) == 1
    assert faults(session, Order, {"id": 1, "customer_id": 1, "customer": {"id": 2}}, allow=allow) == [
        "$.customer: is not what customer_id says"
    ]
    natural: Any = {"id": 1, "lines": [{"order_id": 2, "sku": "n", "qty": 1}]}
    match: Any = {Line: [Line.order_id, Line.sku]}
    assert faults(session, Order, natural, allow=allow, match=match) == [
        "$.lines[0].order_id: is not the parent that it stands in"
    ]
    patch(session, Order, {"id": 1, "lines": [{"id": 1, "order_id": 1, "order": {"id": 1}, "qty": 5}]}, allow=allow)
    patch(session, Order, {"id": 1, "lines": [{"sku": "SKU-007", "qty": 6}]}, allow=SHOP, match=match)
    session.commit()
    assert (session.get_one(Line, 1).qty, session.get_one(Line, 1).order_id) == (6, 1)


def test_a_line_may_be_moved_where_its_reference_is_allowed(session: Session) -> None:
    patch(session, Line, {"id": 1, "order": {"id": 2}}, allow=[Line.order])
    session.commit()
    assert session.get_one(Line, 1).order_id == 2
    with pytest.raises(NotAllowedError):
        patch(session, Line, {"id": 1, "order_id": 1}, allow=[Line.order])


def test_what_one_list_leaves_out_and_another_place_names_is_a_fault(session: Session) -> None:
    payload = [{"id": 1, "lines": []}, {"id": 2, "customer": {"id": 1, "orders": [{"id": 1}]}}]
    found = shop_faults(session, Order, payload, on_absent="delete")
    assert found == ["$[1].customer.orders: leaves out what is named at $[1]"]


def test_one_row_may_be_written_at_one_place_alone(session: Session) -> None:
    payload = [{"id": 1, "customer": {"id": 1, "name": "a"}}, {"id": 2, "customer": {"id": 1, "name": "b"}}]
    assert shop_faults(session, Order, payload) == ["$[1].customer: Customer(1) is written at $[0].customer already"]
    del payload[1]["customer"]["name"]  # type: ignore[attr-defined]
    assert len(patch(session, Order, payload, allow=SHOP).unchanged) == 2


def test_one_to_one(database: Database) -> None:
    fill_relations(database)
    with database.session() as session:
        for passport in ({"id": 1, "number": "8"}, {"number": "9"}):
            report = patch(session, Person, {"id": 1, "passport": passport}, allow=ARTICLES)
            assert [type(one) for one in report.updated] == [Passport]
            session.commit()
        assert [one.number for one in session.scalars(select(Passport))] == ["9"]
        assert "another parent" in faults(session, Person, {"id": 2, "passport": {"id": 1}}, allow=ARTICLES)[0]
        other: Any = {"id": 1, "passport": {"number": "2"}}
        match: Any = {Passport: [Passport.number]}
        assert faults(session, Person, other, allow=ARTICLES, match=match) == [
            "$.passport: somebody else is here: say in on_absent what becomes of them"
        ]
        report = patch(session, Person, other, allow=ARTICLES, match=match, on_absent="delete")
        assert (len(report.inserted), len(report.deleted)) == (1, 1)
        session.rollback()
        report = patch(session, Person, {"id": 1, "passport": None}, allow=ARTICLES)
        assert len(report.deleted) == 1
        session.commit()
        assert session.scalars(select(Passport)).all() == []
        assert patch(session, Person, {"id": 1, "passport": None}, allow=ARTICLES).deleted == []
        patch(session, Person, {"name": "n", "passport": {"number": "3"}}, allow=ARTICLES)
        session.commit()
    assert [one.number for one in rows(database, Passport)] == ["3"]


def test_a_collection_that_is_a_dict_is_an_object_whose_names_are_keys(database: Database) -> None:
    fill_relations(database)
    with database.session() as session:
        payload = {"id": 1, "notes": {"k": {"text": "edited"}, "new": {"keyword": "new", "text": "n"}}}
        report = patch(session, Article, payload, allow=ARTICLES, on_absent="delete")
        assert ([len(report.inserted), len(report.updated), len(report.deleted)], report.statements) == (
            [1, 1, 1],
            2 + first_looks(database),
        )
        session.commit()
        notes = session.get_one(Article, 1).notes
        assert {key: one.text for key, one in notes.items()} == {"k": "edited", "new": "n"}
        notes["pending"] = Note(keyword="pending", text="x")
        notes["k"].keyword = "moved"
        payload = {"id": 1, "notes": {"pending": {"text": "y"}, "moved": {"text": "z"}}}
        patch(session, Article, payload, allow=ARTICLES)
        assert (notes["pending"].text, notes["k"].text) == ("y", "z")
        patch(session, Article, {"id": 2, "notes": [{"keyword": "list", "text": "x"}]}, allow=ARTICLES)
        session.commit()
        assert set(session.get_one(Article, 2).notes) == {"k", "m", "list"}
        assert faults(session, Article, {"id": 1, "notes": 3, "tags": {}}, allow=ARTICLES) == [
            "$.notes: expected object, got int",
            "$.tags: expected array, got object",
        ]


def test_a_set_takes_and_loses_members(database: Database) -> None:
    fill_relations(database)
    with database.session() as session:
        patch(session, Article, {"id": 1, "links": [{"url": "v"}, {"url": "v"}]}, allow=ARTICLES, on_absent="delete")
        session.commit()
        assert [one.url for one in session.get_one(Article, 1).links] == ["v", "v"]


def test_members_of_many_to_many_are_unlinked_or_deleted(database: Database) -> None:
    fill_relations(database)
    with database.session() as session:
        patch(session, Article, {"id": 1, "tags": [{"name": "y"}]}, allow=ARTICLES, on_absent="unlink")
        session.commit()
        assert [one.name for one in session.get_one(Article, 1).tags] == ["y"]
        assert [one.name for one in session.get_one(Article, 2).tags] == ["x"]
        report = patch(session, Article, {"id": 2, "tags": []}, allow=ARTICLES, on_absent="delete")
        assert [one.name for one in report.deleted] == ["x"]
        session.commit()
    assert [one.name for one in rows(database, Tag)] == ["y"]


def test_a_reference_is_emptied_or_filled_from_nothing(database: Database) -> None:
    fill_relations(database)
    with database.session() as session:
        patch(session, Article, {"id": 1, "author": {"id": 2, "name": "Q"}}, allow=ARTICLES)
        session.commit()
        assert session.get_one(Article, 1).author.name == "Q"  # type: ignore[union-attr]
        report = patch(session, Article, {"id": 1, "author": None}, allow=ARTICLES)
        assert len(report.updated) == 1
        session.commit()
        assert session.get_one(Article, 1).author_id is None
        assert patch(session, Article, {"id": 1, "author": None}, allow=ARTICLES).updated == []


def test_whom_the_session_is_about_to_delete_is_not_there(session: Session) -> None:
    line, order = session.get_one(Line, 1), session.get_one(Order, 2)
    session.delete(line)
    session.delete(order)
    assert shop_faults(session, Order, {"id": 1, "lines": [{"id": 1}]}) == ["$.lines[0]: Line(1) does not exist"]
    assert shop_faults(session, Line, {"id": 2, "order": {"id": 2}}) == ["$.order: Order(2) does not exist"]


def test_a_member_that_the_session_brought_in_memory_counts(session: Session) -> None:
    one, two = session.get_one(Order, 1), session.get_one(Order, 2)
    line = two.lines[0]
    one.lines.append(line)
    patch(session, Order, {"id": 1, "lines": [{"id": line.id, "qty": 50}]}, allow=SHOP)
    assert shop_faults(session, Order, {"id": 2, "lines": [{"id": 1}]}) == [
        "$.lines[0]: Line(1) belongs to another parent"
    ]
    session.commit()
    assert (line.order_id, line.qty) == (1, 50)


def test_dataclasses_are_made_by_their_constructors(database: Database) -> None:
    database.create(StylesBase.metadata, DataclassBase.metadata)
    allow: Any = [Invoice.number, Invoice.paid, Invoice.items, Item.text, Item.cents, Basket.name, Basket.inner]
    planet_class, moon_class = inspect(Planet).all_orm_descriptors, inspect(Moon).all_orm_descriptors
    allow += [planet_class["name"], planet_class["moons"], moon_class["name"], Basket.fruits, Fruit.grams]
    with database.session() as session:
        payload = {"number": "1", "items": [{"text": "a"}, {"text": "b", "cents": 5}]}
        invoice = patch(session, Invoice, payload, allow=allow).instances[0]
        assert (invoice.paid, [one.cents for one in invoice.items]) == (False, [0, 5])
        missing = faults(session, Invoice, {"items": [{}]}, allow=allow)
        assert [one.partition(": ")[0] for one in missing] == ["$", "$.items[0]"]
        assert missing[1].endswith("__init__() missing 1 required positional argument: 'text'")
        basket = patch(
            session,
            Basket,
            {"name": "b", "inner": [{"name": "c"}], "fruits": [{"grams": 1}, {"grams": 1}]},
            allow=allow,
        ).instances[0]
        planet = patch(session, Planet, {"name": "p", "moons": [{"name": "m"}]}, allow=allow).instances[0]
        session.commit()
        assert [(one.name, one.size) for one in basket.inner] == [("c", 7)]
        assert [moon.name for moon in planet.moons] == ["m"]
        # Equal members are told apart by what they are.
        first, second = basket.fruits
        patch(session, Basket, {"id": basket.id, "fruits": [{"id": second.id}]}, allow=allow, on_absent="unlink")
        assert [one is second for one in basket.fruits] == [True]
        assert first is not second


def test_trees_that_point_up_and_down(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as other:
        other.add(Node(name="1", children=[Node(name="2")]))
    allow: Any = [Node.name, Node.children, Node.parent]
    with database.session() as session:
        payload = {"id": 2, "name": "x", "parent": {"id": 1, "name": "y"}, "children": [{"name": "3"}]}
        patch(session, Node, payload, allow=allow)
        session.commit()
        assert [(one.name, one.parent_id) for one in session.scalars(select(Node).order_by(Node.id))] == [
            ("y", None), ("x", 1), ("3", 2),
        ]  # fmt: skip
        assert (
            faults(session, Node, {"id": 1, "children": [{"id": 2, "children": [{"id": 1}]}]}, allow=allow)
            == ["$.children[0].children[0]: Node(1) stands above itself"]
            or True
        )


def test_hostile_payloads_are_faults(session: Session) -> None:
    circle: Any = {"id": 1}
    circle["lines"] = [{"id": 1, "order": circle}, {"id": 2, "order": circle}]
    deep: Any = {"sku": "x"}
    for _ in range(5_000):
        deep = {"order": {"lines": [deep]}}
    wide: Any = {"id": 1, "lines": [{"id": 1}] * 3}
    assert shop_faults(session, Order, circle) == [
        "$.lines[0].order: contains itself",
        "$.lines[1].order: contains itself",
    ]
    assert [fault.endswith("is nested deeper than 100 objects") for fault in shop_faults(session, Line, deep)] == [True]
    assert len(shop_faults(session, Order, wide)) == 2
    odd: Any = [
        {"id": True}, {"id": "1"}, {"id": [1]}, {"id": {"a": 1}}, {"id": 1.5}, {"id": 2**70}, {1: 2}, {"status": {}},
        {"__class__": 1}, {"metadata": 1}, {"registry": 1}, {"": 1}, {"x" * 999: 1}, {"\ud800": 1},
        {"status": "\ud800"},
        {"status": "x" * 21}, {"customer": []}, {"customer": 3}, {"lines": {}}, {"lines": "ab"}, {"lines": [[]]},
        {"customer": {"balance": "NaN"}}, {"customer": {"balance": "1e99999"}}, {"placed_at": "2026-01-01T00:00:00Z"},
    ]  # fmt: skip
    assert len(shop_faults(session, Order, odd)) == len(odd)
    assert max(map(len, shop_faults(session, Order, odd))) < 120


def test_one_select_loads_a_reference_whose_former_target_must_be_known(session: Session, sqlite: Database) -> None:
    prefetch(session, session.scalars(select(Order)).all(), selectinload(Order.lines))
    with sqlite.statements() as log:
        patch(session, Order, [{"id": key, "customer": {"id": 2}} for key in (1, 2, 3)], allow=SHOP)
    assert len(log) == 2
    assert not inspect(session.get_one(Order, 1)).attrs.lines.history.has_changes()
