"""How patch finds whom a payload means: by primary key, by natural key, by place; and who is new."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from sojourn.session.patch import patch
from tests.databases import Database
from tests.models import inheritance, keys, relations
from tests.models.inheritance import Animal, Car, Dog, Lorry, Owner, Puppy, Vehicle
from tests.models.keys import Book, Country, Node, Shelf, Ticket
from tests.models.relations import Article, Club, Membership, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import open_shop, others, rows, skus
from tests.session.patching import SHOP, faults, first_looks, shop_faults

BY_SKU = {Line: [Line.sku]}


def test_a_natural_key_finds_members_of_the_parent_and_inserts_others(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    with others(database) as other:
        for line in other.scalars(select(Line)):
            line.sku = "ab"[line.id % 2]
    payload = {"id": 2, "lines": [{"sku": "a", "qty": 70}, {"sku": "c", "qty": 71, "price": 1}]}
    with database.session() as session:
        allow = [Order.lines, Line.qty, Line.price]
        report = patch(session, Order, payload, allow=allow, match=BY_SKU)
        assert [len(report.inserted), len(report.updated), report.statements] == [1, 1, 2 + first_looks(database)]
        session.commit()
    assert [(one.order_id, one.sku, one.qty) for one in rows(database, Line)][2:] == [
        (2, "b", 4), (2, "a", 70), (2, "c", 71),
    ]  # fmt: skip


def test_the_same_payload_twice_inserts_nothing_twice(session: Session) -> None:
    payload = {"id": 1, "lines": [{"sku": "new", "qty": 1, "price": 1}]}
    [new] = patch(session, Order, payload, allow=SHOP, match=BY_SKU).inserted
    payload["lines"] = [{"sku": "new", "qty": 5}]
    report = patch(session, Order, payload, allow=SHOP, match=BY_SKU)
    assert (report.inserted, new.qty) == ([new], 5)
    session.commit()
    assert patch(session, Order, payload, allow=SHOP, match=BY_SKU).inserted == []


def test_a_root_is_found_by_its_natural_key_and_its_collections_after_it(database: Database) -> None:
    open_shop(database)
    second = "customer2@example.org"
    payload: Any = [
        {"number": "N-000003", "status": "x", "lines": [{"sku": "SKU-035", "qty": 70}]},
        {"number": "new", "status": "y", "placed_at": "2026-01-01T00:00:00", "customer": {"email": second}},
    ]  # fmt: skip
    match: Any = {Order: [Order.number], Customer: [Customer.email], **BY_SKU}
    with database.session() as session:
        with database.statements() as log:
            report = patch(session, Order, payload, allow=SHOP, match=match)
        assert len(log) == report.statements == 3 + first_looks(database)
        assert [type(one) for one in report.inserted] == [Order]
        session.commit()
    assert [(one.number, one.status, one.customer_id) for one in rows(database, Order)][2:] == [
        ("N-000003", "x", 2), ("N-000004", "paid", 2), ("new", "y", 2),
    ]  # fmt: skip
    assert [one.qty for one in rows(database, Line) if one.order_id == 3] == [70, 7]


def test_a_pending_object_is_found_by_its_natural_key(session: Session) -> None:
    match = {Customer: [Customer.email]}
    new = Customer(email="b", name="Bo", balance=0)
    session.add(new)
    report = patch(session, Customer, {"email": "b", "name": "Bob"}, allow=[Customer.name], match=match)
    assert report.instances == report.inserted == [new]
    assert new.name == "Bob"
    order = {"id": 1, "customer": {"email": "c", "name": "Cy", "balance": 0}}
    payload = [order, {"id": 2, "customer": {"email": "c"}}]
    report = patch(session, Order, payload, allow=SHOP, match=match)
    assert [type(one) for one in report.inserted] == [Customer]
    assert report.instances[0].customer is report.instances[1].customer


def test_a_natural_key_that_is_not_complete_or_null_is_none(session: Session) -> None:
    match: Any = {Line: [Line.sku, Line.qty], Customer: [Customer.city]}
    payload = {"id": 1, "lines": [{"sku": "SKU-007", "price": 1}]}
    assert len(patch(session, Order, payload, allow=SHOP, match=match).inserted) == 1
    report = patch(session, Customer, {"city": None, "name": "x", "email": "y"}, allow=SHOP, match=match)
    assert report.inserted[0].city is None


def test_a_natural_key_that_several_rows_have_is_a_fault(session: Session) -> None:
    session.scalars(select(Customer)).all()[0].city = "Cork"
    session.flush()
    found = shop_faults(session, Customer, {"city": "Cork", "name": "x"}, match={Customer: [Customer.city]})
    assert found == ["$: 2 rows of Customer have this city"]


def test_a_primary_key_outweighs_a_natural_one_which_is_an_edit_then(session: Session) -> None:
    payload = {"id": 1, "lines": [{"id": 1, "sku": "other"}]}
    patch(session, Order, payload, allow=SHOP, match=BY_SKU)
    assert session.get_one(Line, 1).sku == "other"
    with pytest.raises(Exception, match=r"Line\.sku"):
        patch(session, Order, payload, allow=[Order.lines], match=BY_SKU)


def test_the_same_natural_key_twice_in_a_collection_is_a_fault(session: Session) -> None:
    lines = [{"sku": "n", "qty": 1}, {"sku": "n"}, {"sku": "SKU-007"}, {"sku": "SKU-007"}]
    assert shop_faults(session, Order, {"id": 1, "lines": lines}, match=BY_SKU) == [
        "$.lines[1]: a new Line is named at $.lines[0] already",
        "$.lines[3]: Line(1) is named at $.lines[2] already",
    ]


def test_a_client_makes_the_key_where_match_names_it(database: Database) -> None:
    database.create(keys.Base.metadata)
    key = UUID(int=7)
    allow = [Ticket.subject, Ticket.country, Country.name]
    match: Any = {Ticket: [Ticket.id], Country: [Country.code]}
    payload = {"id": str(key), "subject": "a", "country": {"code": "IE", "name": "Ireland"}}
    for subject, inserted in (("a", 2), ("b", 0)):
        with database.session() as session:
            report = patch(session, Ticket, {**payload, "subject": subject}, allow=allow, match=match)
            assert len(report.inserted) == inserted
            session.commit()
    [ticket] = rows(database, Ticket)
    assert (ticket.id, ticket.subject, ticket.country_code) == (key, "b", "IE")
    with database.session() as session:
        assert patch(session, Ticket, {"subject": "generated"}, allow=allow, match=match).inserted


def test_composite_keys(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as other:
        other.add_all(
            [Shelf(room="a", number=1, books=[Book(title="x")]), Shelf(room="a", number=2), Book(title="lost")]
        )
    allow = [Shelf.label, Shelf.books, Book.title, Book.shelf]
    with database.session() as session:
        payload = {
            "room": "a",
            "number": 1,
            "label": "L",
            "books": [{"id": 1, "title": "y"}, {"id": 2}, {"title": "z"}],
        }
        report = patch(session, Shelf, payload, allow=allow)
        assert (report.statements, len(report.inserted), len(report.updated)) == (2 + first_looks(database), 1, 3)
        session.commit()
        patch(session, Book, {"id": 1, "shelf": {"room": "a", "number": 2}}, allow=allow)
        session.commit()
        assert faults(session, Shelf, {"room": "a"}, allow=allow) == ["$: the key is not complete: number is missing"]
    assert [(one.title, one.shelf_room, one.shelf_number) for one in rows(database, Book)] == [
        ("y", "a", 2), ("lost", "a", 1), ("z", "a", 1),
    ]  # fmt: skip


def test_an_association_object_is_found_by_its_place(database: Database) -> None:
    database.create(relations.Base.metadata)
    with others(database) as other:
        clubs = [Club(name=name) for name in "abc"]
        other.add_all([*clubs, Person(name="p", memberships=[Membership(club=clubs[0], role="x")])])
    allow = [Person.memberships, Membership.role, Membership.club, Membership.person]
    payload: Any = {"id": 1, "memberships": [{"club": {"id": 1}, "role": "y"}, {"club": {"id": 2}, "role": "new"}]}
    with database.session() as session:
        report = patch(session, Person, payload, allow=allow)
        assert ([len(report.inserted), len(report.updated)], report.statements) == ([1, 1], 3 + first_looks(database))
        session.commit()
        # By its own key: that of the parent need not be said.
        patch(session, Person, {"id": 1, "memberships": [{"club_id": 1, "role": "z"}]}, allow=allow)
        patch(session, Membership, {"person": {"id": 1}, "club": {"id": 2}, "role": "r"}, allow=allow)
        report = patch(session, Membership, {"person": {"id": 1}, "club": {"id": 3}, "role": "n"}, allow=allow)
        assert len(report.inserted) == 1
        session.commit()
        missing = {"id": 1, "memberships": [{"club_id": 9, "role": "z"}, {"club_id": 1, "club": {"id": 2}}]}
        assert faults(session, Person, missing, allow=allow) == [
            "$.memberships[0]: Membership(None, 9) does not exist",
            "$.memberships[1].club: is not what club_id says",
        ]
        other_parent = {"id": 1, "memberships": [{"person_id": 2, "club_id": 1, "role": "z"}]}
        assert "does not exist" in faults(session, Person, other_parent, allow=allow)[0]
        new = {"name": "q", "memberships": [{"club_id": 1, "role": "z"}]}
        assert "does not exist" in faults(session, Person, new, allow=[*allow, Person.name])[0]
        given = {"memberships": [{"person_id": 1}]}
        assert faults(session, Person, given, allow=allow) == [
            "$.memberships[0]: the key is not complete: club_id is missing"
        ]
    assert [(one.club_id, one.role) for one in rows(database, Membership)] == [(1, "z"), (2, "r"), (3, "n")]


def test_a_natural_key_may_hold_a_reference(database: Database) -> None:
    database.create(relations.Base.metadata)
    with others(database) as other:
        other.add_all([Club(name="a"), Person(name="p")])
    allow = [Person.memberships, Membership.role]
    match: Any = {Membership: [Membership.club], Club: [Club.name]}
    payload: Any = {"id": 1, "memberships": [{"club": {"name": "a"}, "role": "x"}]}
    for role in "xy":
        payload["memberships"][0]["role"] = role
        with database.session() as session:
            patch(session, Person, payload, allow=allow, match=match)
            session.commit()
    assert [(one.club_id, one.role) for one in rows(database, Membership)] == [(1, "y")]


def test_a_tree_that_refers_to_itself_takes_one_select(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as other:
        root = Node(name="1", children=[Node(name="2", children=[Node(name="3")])])
        other.add(root)
        other.flush()
        ids = [root.id, root.children[0].id, root.children[0].children[0].id]
    allow = [Node.name, Node.children, Node.parent]
    one, two, three = ids
    payload = {
        "id": one,
        "children": [{"id": two, "children": [{"id": three, "name": "x", "children": [{"name": "4"}]}]}],
    }
    with database.session() as session:
        with database.statements() as log:
            report = patch(session, Node, payload, allow=allow)
        assert len(log) == report.statements == 1 + first_looks(database)
        session.commit()
    assert [(node.name, node.parent_id) for node in rows(database, Node)] == [
        ("1", None), ("2", one), ("x", two), ("4", three),
    ]  # fmt: skip


def test_a_tree_by_natural_keys_is_read_level_by_level(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as other:
        other.add(Node(name="1", children=[Node(name="2", children=[Node(name="3")])]))
    payload = {"name": "1", "children": [{"name": "2", "children": [{"name": "3", "children": [{"name": "4"}]}]}]}
    with database.session() as session:
        report = patch(session, Node, payload, allow=[Node.children], match={Node: [Node.name]})
        assert [one.name for one in report.inserted] == ["4"]
        session.commit()
    assert [node.name for node in rows(database, Node)] == ["1", "2", "3", "4"]


def test_many_objects_take_one_select_a_table(database: Database) -> None:
    open_shop(database, 30, 3, 3)
    payload = [
        {"id": c, "name": "x", "orders": [
            {"id": o, "status": "x", "lines": [{"id": k, "qty": 99} for k in range(o * 3 - 2, o * 3 + 1)]}
            for o in range(c * 3 - 2, c * 3 + 1)
        ]} for c in range(1, 31)
    ]  # fmt: skip
    with database.session() as session:
        with database.statements() as log:
            report = patch(session, Customer, payload, allow=SHOP, on_absent="delete")
        assert len(log) == len(log.selects) == report.statements == 3 + first_looks(database)
        assert len(report.updated) == 30 + 90 + 270
        with database.statements() as log:
            session.commit()
        assert len(log.updates) == 3
        assert len(log.selects) == 0
    by_sku = [{"number": f"N-{o:06d}", "lines": [{"sku": f"SKU-{o * 21 % 1000:03d}", "qty": 98}]} for o in range(1, 91)]
    with database.session() as session:
        with database.statements() as log:
            report = patch(
                session, Order, by_sku, allow=SHOP, match={Order: [Order.number], **BY_SKU}, on_absent="delete"
            )
        assert len(log) == report.statements == 2 + first_looks(database)
        assert (len(report.deleted), report.inserted) == (180, [])
        with database.statements() as log:
            session.commit()
        assert len(log.selects) == 0
    assert len(skus(database, 5)) == 1


def test_rows_are_locked_where_they_are_written(database: Database) -> None:
    open_shop(database)
    with database.session() as session, database.statements() as log:
        patch(
            session, Order, {"id": 1, "status": "x", "lines": [{"id": 1, "qty": 1}], "customer": {"id": 2}}, allow=SHOP
        )
    locked = {sql.split(" FROM ")[1].split()[0] for sql in map(str, log) if "FOR UPDATE" in sql}
    assert locked == (set() if database.name == "sqlite" else {"customer_order", "order_line"})


def test_the_class_of_a_new_object_is_the_relationships_or_the_discriminators(database: Database) -> None:
    database.create(inheritance.Base.metadata)
    allow: Any = [
        *(Owner.name, Owner.animals, Owner.vehicles, Animal.name, Animal.kind, Dog.tricks, Puppy.weeks),
        *(Vehicle.kind, Vehicle.plate, Car.doors, Lorry.tons, Lorry.axles),
    ]
    new = {
        "name": "o",
        "animals": [{"name": "a"}, {"kind": "puppy", "name": "p", "tricks": 1, "weeks": 2}],
        "vehicles": [{"kind": "car", "plate": "c", "doors": 3}, {"kind": "lorry", "plate": "l", "tons": 4, "axles": 5}],
    }
    with database.session() as session:
        patch(session, Owner, new, allow=allow)
        session.commit()
    assert [type(one).__name__ for one in rows(database, Animal)] == ["Animal", "Puppy"]
    assert [type(one).__name__ for one in rows(database, Vehicle)] == ["Car", "Lorry"]
    edits = {
        "id": 1,
        "animals": [{"id": 2, "weeks": 9}, {"id": 1, "kind": "animal", "name": "b"}],
        "vehicles": [{"id": 1, "doors": 5}, {"id": 2, "axles": 7, "plate": "m"}],
    }
    with database.session() as session:
        report = patch(session, Owner, edits, allow=allow)
        assert (len(report.updated), report.statements) == (4, 1 + 1 + 1 + 2 + first_looks(database))
        session.commit()
        assert [(one.plate, one.tons, one.axles) for one in session.scalars(select(Lorry))] == [("m", 4, 7)]
        assert [(one.weeks, one.tricks) for one in session.scalars(select(Puppy))] == [(9, 1)]
        assert [(one.plate, one.doors) for one in session.scalars(select(Car))] == [("c", 5)]
        wrong = [{"id": 1, "kind": "dog"}, {"id": 1, "tricks": 4}, {"kind": "cow"}, {"kind": None, "tricks": 1}]
        assert faults(session, Animal, wrong[:2] + wrong[3:], allow=allow) == [
            "$[0].kind: Animal(1) is of the class Animal, which cannot be changed",
            "$[1].tricks: Animal has no such attribute",
            "$[2].tricks: Animal has no such attribute",
        ]
        assert faults(session, Animal, wrong[2], allow=allow) == ["$.kind: names no Animal"]
        assert faults(session, Animal, {"kind": 3}, allow=allow) == ["$.kind: Expected str, got int"]
        with pytest.raises(Exception, match=r"Animal\.kind"):
            patch(session, Animal, wrong[0], allow=[Animal.name])  # type: ignore[arg-type]
        # A row of another class in the same table is none of this class.
        with pytest.raises(Exception, match=r"Animal\(1\)"):
            patch(session, Dog, {"id": 1, "name": "x"}, allow=allow)
        patch(session, Vehicle, {"kind": "lorry", "id": 2, "tons": 8}, allow=allow)
        session.commit()
        assert [one.tons for one in session.scalars(select(Lorry))] == [8]
        patch(session, Car, {"id": 1, "doors": 2}, allow=allow)


def test_tags_of_a_many_to_many_collection_are_linked_by_name_or_made(database: Database) -> None:
    database.create(relations.Base.metadata)
    with others(database) as other:
        other.add_all([Article(title="a", tags=[Tag(name="x")]), Article(title="b"), Tag(name="y")])
    allow = [Article.title, Article.tags]
    payload: Any = [{"id": 1, "tags": [{"name": "y"}, {"name": "z"}]}, {"id": 2, "tags": [{"name": "z"}, {"id": 1}]}]
    with database.session() as session:
        with database.statements() as log:
            report = patch(session, Article, payload, allow=allow, match={Tag: [Tag.name]})
        assert (len(log), len(report.inserted), report.updated) == (3 + first_looks(database), 1, [])
        session.commit()
        names = [sorted(tag.name for tag in one.tags) for one in session.scalars(select(Article).order_by(Article.id))]
        assert names == [["x", "y", "z"], ["x", "z"]]
        payload = [{"id": 1, "tags": [{"name": "x"}, {"id": 1}]}, {"id": 2, "tags": [{"id": 77}]}]
        assert faults(session, Article, payload, allow=allow, match={Tag: [Tag.name]}) == [
            "$[0].tags[1]: Tag(1) is named at $[0].tags[0] already",
            "$[1].tags[0]: Tag(77) does not exist",
        ]
