"""prefetch(): what is not loaded is filled in bulk, at any depth; what is loaded or edited stays as it is."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, inspect, select, update
from sqlalchemy.orm import (
    Session,
    defer,
    joinedload,
    load_only,
    raiseload,
    selectinload,
    undefer,
    undefer_group,
    with_expression,
    with_loader_criteria,
)
from sqlalchemy.orm.exc import ObjectDeletedError

from sojourn.errors import NotMappedError, WrongAttributeError, WrongSessionError
from sojourn.session.prefetch import prefetch
from tests.databases import Database
from tests.models import columns, corners, inheritance, keys, loading, odd, relations, shop, styles
from tests.models.columns import Audited, Document, Settings
from tests.models.columns import Shape as Drawing
from tests.models.corners import Depot, Tool
from tests.models.inheritance import Animal, Car, Cat, Dog, Lorry, Owner, Puppy, Vehicle
from tests.models.keys import Book, Legacy, Node, Shelf
from tests.models.loading import Ground, Hound, Pet, Player, Team, Toy, Twig, friendship
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag, article_tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import open_shop, others
from tests.statements import Statement

WHOLE = selectinload(Customer.orders).selectinload(Order.lines)


@contextmanager
def no_sql(database: Database) -> Iterator[None]:
    """In this block every statement is a mistake."""
    with database.statements() as log:
        yield
    assert str(log) == "(no statements)"


def keys_sent(statement: Statement) -> list[int]:
    """The keys in the parameters of a statement, whatever form the database wants them in."""
    given = statement.parameters
    found = [
        json.loads(one) if isinstance(one, str) else one
        for one in (given.values() if isinstance(given, dict) else given)
    ]
    return found[0] if isinstance(found[0], list) else found


def stock(database: Database, module: Any, *objs: Any) -> None:
    database.create(module.Base.metadata)
    with database.session() as session:
        session.add_all(objs)
        session.commit()


def everything(session: Session, entity: Any) -> list[Any]:
    return list(session.scalars(select(entity).order_by(*inspect(entity).primary_key)).unique())


def bare(session: Session, entity: Any) -> list[Any]:
    """All objects of a class, with nothing loaded but their keys."""
    only = load_only(
        *(inspect(entity).get_property_by_column(one).class_attribute for one in inspect(entity).primary_key)
    )
    return list(session.scalars(select(entity).options(only, raiseload("*"))).unique())


# --- what is filled --------------------------------------------------------------------------------------------------


def test_each_level_takes_one_select_for_all_objects(database: Database) -> None:
    open_shop(database, 3, 2, 2)
    with database.session() as session:
        customers = everything(session, Customer)
        with database.statements() as log:
            prefetch(session, customers, WHOLE)
        assert len(log) == len(log.selects) == 2
        with no_sql(database):
            assert [len(order.lines) for one in customers for order in one.orders] == [2] * 6
            assert [line.id for one in customers for order in one.orders for line in order.lines] == [*range(1, 13)]


def test_the_inverse_of_a_collection_is_known_without_sql(database: Database) -> None:
    open_shop(database)
    with database.session() as session:
        customers = everything(session, Customer)
        prefetch(session, customers, WHOLE)
        with no_sql(database):
            assert all(order.customer is one for one in customers for order in one.orders)
            assert all(line.order is order for one in customers for order in one.orders for line in order.lines)


def test_what_is_loaded_is_not_read_again(database: Database) -> None:
    open_shop(database)
    with database.session() as session:
        customers = everything(session, Customer)
        prefetch(session, customers, WHOLE)
        with no_sql(database):
            prefetch(session, customers, WHOLE)
            prefetch(session, customers)


def test_a_loaded_value_stays_where_another_is_filled(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    with database.session() as session:
        one, two = everything(session, Customer)
        session.expire(one, ["city"])
        with others(database) as other:
            other.execute(update(Customer).values(name="theirs", city="Elsewhere"))
        session.commit()  # else SQLite and MariaDB would go on reading what was there before
        session.expire_all()
        one.name, two.name  # noqa: B018 - both are loaded now
        session.expire(one, ["city"])
        with others(database) as other:
            other.execute(update(Customer).values(name="newer"))
        session.connection().commit()
        prefetch(session, [one, two])
        assert (one.name, one.city, two.name) == ("theirs", "Elsewhere", "theirs")


def test_only_the_objects_that_lack_something_are_selected(database: Database) -> None:
    open_shop(database, 3, 1, 1)
    with database.session() as session:
        customers = everything(session, Customer)
        assert len(customers[0].orders) == 1
        with database.statements() as log:
            prefetch(session, customers, selectinload(Customer.orders))
        (statement,) = log
        assert keys_sent(statement) == [2, 3]
        assert [len(one.orders) for one in customers] == [1, 1, 1]


def test_expired_objects_of_a_table_are_filled_by_one_select(database: Database) -> None:
    open_shop(database, 3, 1, 1)
    with database.session() as session:
        customers = everything(session, Customer)
        session.commit()
        with database.statements() as log:
            prefetch(session, customers)
        assert len(log) == 1
        with no_sql(database):
            assert [one.email for one in customers] == [f"customer{number}@example.org" for number in (1, 2, 3)]
        assert not any(inspect(one).expired for one in customers)


def test_one_object_a_generator_and_an_object_given_twice_are_taken(database: Database) -> None:
    open_shop(database, 2, 1, 1)
    with database.session() as session:
        one, two = everything(session, Customer)
        prefetch(session, one, selectinload(Customer.orders))
        prefetch(session, (each for each in (two, two)), selectinload(Customer.orders))
        with no_sql(database):
            assert len(one.orders) == len(two.orders) == 1


def test_nothing_given_takes_no_statement(sqlite: Database) -> None:
    open_shop(sqlite)
    with sqlite.session() as session, no_sql(sqlite):
        prefetch(session, [], selectinload(Customer.orders))


def test_objects_of_several_classes_are_filled_together(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session() as session:
        customer, line = session.get_one(Customer, 1), session.get_one(Line, 1)
        prefetch(session, [customer, line], selectinload(Customer.orders), selectinload(Line.order))
        with no_sql(database):
            assert line.order is customer.orders[0]


# --- edits -----------------------------------------------------------------------------------------------------------


def test_edits_stay_and_nothing_is_flushed(database: Database) -> None:
    open_shop(database)
    with database.session(autoflush=False) as session:
        one, two = everything(session, Customer)
        one.name = "mine"
        gone = one.orders.pop(0)
        session.add(Order(customer=two, number="new", status="open", placed_at=shop.FIRST_DAY))
        del two.email
        with database.statements() as log:
            prefetch(session, [one, two], WHOLE)
        assert len(log) == len(log.selects)
        assert inspect(one).attrs["name"].history.deleted == ["Customer 1"]
        assert inspect(one).attrs["orders"].history.deleted == [gone]
        assert [order.number for order in two.orders] == ["N-000003", "N-000004", "new"]
        assert inspect(two).attrs["email"].history.deleted == ["customer2@example.org"]
        assert one in session.dirty
        assert len(session.new) == 1


def test_an_edit_of_an_expired_object_stays_while_the_rest_is_filled(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with database.session() as session:
        customer = everything(session, Customer)[0]
        session.commit()
        customer.name = "mine"
        prefetch(session, customer)
        with no_sql(database):
            assert (customer.name, customer.city) == ("mine", "Bergen")
        session.commit()
        assert customer.name == "mine"


def test_children_that_were_added_or_moved_in_memory_are_filled_too(database: Database) -> None:
    root, other = Node(id=1, name="root"), Node(id=2, name="other")
    moved = Node(id=3, name="moved", children=[Node(id=4, name="leaf")])
    other.children.append(moved)
    stock(database, keys, root, other)
    with database.session() as session:
        root, other, moved = (session.get_one(Node, key) for key in (1, 2, 3))
        new = Node(id=9, name="new")
        root.children.append(new)
        new.children.append(moved)
        prefetch(session, root, selectinload(Node.children, recursion_depth=-1))
        with no_sql(database):
            assert [node.id for node in root.children[0].children[0].children] == [4]
        prefetch(session, other, selectinload(Node.children))
        with no_sql(database):
            assert other.children == []  # as SQLAlchemy's own load says: it was moved away
        session.commit()
        assert session.get_one(Node, 3).parent is new


def test_a_child_moved_before_either_collection_was_loaded_is_in_the_new_one_only(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    with database.session() as session:
        first, second = everything(session, Order)
        line = session.get_one(Line, 1)
        assert line.order is first
        line.order = second
        prefetch(session, [first, second], selectinload(Order.lines))
        with no_sql(database):
            assert [one.id for one in first.lines] == [2]
            assert [one.id for one in second.lines] == [3, 4, 1]
        assert inspect(second).attrs["lines"].history.added == [line]
        session.commit()
        assert session.get_one(Line, 1).order_id == 2


def test_a_foreign_key_that_was_set_by_hand_leads_where_it_says(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with database.session() as session:
        one, two = everything(session, Customer)
        order = session.get_one(Order, 1)
        order.customer_id = 2
        prefetch(session, one, selectinload(Customer.orders))
        assert "customer" not in order.__dict__
        prefetch(session, order, selectinload(Order.customer))
        with no_sql(database):
            assert order.customer is two
            assert one.orders == [order]  # the row is still there, and no flush has happened
        session.commit()
        assert (one.orders, session.get_one(Order, 1).customer_id) == ([], 2)


def test_a_reference_that_was_set_is_not_overwritten(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with database.session() as session:
        one, two = everything(session, Customer)
        first, second = everything(session, Order)
        first.customer = two
        del second.customer
        prefetch(session, [first, second], selectinload(Order.customer))
        assert first.customer is two
        assert "customer" not in second.__dict__
        assert one not in session.dirty or not one.orders


# --- kinds of relationship -------------------------------------------------------------------------------------------


def test_a_reference_to_what_the_session_holds_takes_no_select(database: Database) -> None:
    open_shop(database, 2, 2, 1)
    with database.session() as session:
        customers, orders = everything(session, Customer), everything(session, Order)
        with no_sql(database):
            prefetch(session, orders, selectinload(Order.customer))
            assert [order.customer for order in orders] == [customers[0], customers[0], customers[1], customers[1]]


def test_only_the_missing_targets_of_references_are_selected(database: Database) -> None:
    open_shop(database, 3, 1, 1)
    with database.session() as session:
        held = session.get_one(Customer, 2)
        orders = everything(session, Order)
        with database.statements() as log:
            prefetch(session, orders, selectinload(Order.customer))
        assert len(log) == 1
        assert keys_sent(log.all[0]) == [1, 3]
        assert orders[1].customer is held


def test_a_reference_is_found_when_its_foreign_key_was_not_loaded(database: Database) -> None:
    open_shop(database, 2, 1, 1)
    with database.session() as session:
        orders = bare(session, Order)
        prefetch(session, orders, load_only(Order.number), selectinload(Order.customer))
        with no_sql(database):
            assert sorted(order.customer.name for order in orders) == ["Customer 1", "Customer 2"]
        assert all("status" not in order.__dict__ for order in orders)


def test_an_empty_reference_is_none_and_a_deferred_foreign_key_is_read(database: Database) -> None:
    stock(database, relations, Article(id=1, title="no author"))
    with database.session() as session:
        (article,) = session.scalars(select(Article).options(defer(Article.author_id)))
        prefetch(session, article, selectinload(Article.author), selectinload(Article.tags))
        with no_sql(database):
            assert (article.author, article.tags) == (None, [])


def library() -> list[Any]:
    person, other = Person(id=1, name="Ann"), Person(id=2, name="Bob")
    tags = [Tag(id=number, name=f"t{number}") for number in (1, 2, 3)]
    first = Article(id=1, title="one", author=person, tags=[tags[2], tags[0]])
    second = Article(id=2, title="two", tags=[tags[2]])
    first.notes = {"b": Note(id=1, keyword="b", text="x"), "a": Note(id=2, keyword="a", text="y")}
    first.links = {Link(id=1, url="u"), Link(id=2, url="v")}
    person.passport = Passport(id=1, number="P1")
    club = Club(id=1, name="Chess", memberships=[Membership(person=person, role="head")])
    return [person, other, first, second, club, *tags]


def test_many_to_many_takes_one_select_with_its_third_table(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        articles = everything(session, Article)
        with database.statements() as log:
            prefetch(session, articles, selectinload(Article.tags).selectinload(Tag.articles))
        assert len(log) == 2
        with no_sql(database):
            assert [[tag.id for tag in one.tags] for one in articles] == [[1, 3], [3]]
            assert [[one.id for one in tag.articles] for tag in articles[0].tags] == [[1], [1, 2]]


def test_dicts_and_sets_are_filled(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        articles = everything(session, Article)
        prefetch(session, articles, selectinload(Article.notes), selectinload(Article.links))
        with no_sql(database):
            assert {key: note.text for key, note in articles[0].notes.items()} == {"a": "y", "b": "x"}
            assert {link.url for link in articles[0].links} == {"u", "v"}
            assert (articles[1].notes, articles[1].links) == ({}, set())
            assert articles[0].notes["a"].article is articles[0]


def test_one_to_one_is_filled_from_both_sides_and_where_there_is_none(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        people = everything(session, Person)
        with database.statements() as log:
            prefetch(session, people, selectinload(Person.passport))
        assert len(log) == 1
        with no_sql(database):
            assert (people[0].passport.number, people[1].passport) == ("P1", None)
            assert people[0].passport.person is people[0]
    with database.session() as session:
        passport = session.get_one(Passport, 1)
        prefetch(session, passport, joinedload(Passport.person))
        with no_sql(database):
            assert passport.person.name == "Ann"


def test_an_association_object_is_filled_with_both_its_ends(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        people = everything(session, Person)
        prefetch(session, people, selectinload(Person.memberships).selectinload(Membership.club))
        with no_sql(database):
            assert [(one.role, one.club.name) for one in people[0].memberships] == [("head", "Chess")]


def test_composite_keys_are_followed_both_ways(database: Database) -> None:
    shelves = [Shelf(room=room, number=number) for room in ("A", "B") for number in (1, 2)]
    stock(
        database,
        keys,
        *shelves,
        *(Book(title=f"{one.room}{one.number}", shelf=one) for one in shelves),
        Book(title="x"),
    )
    with database.session() as session:
        books = everything(session, Book)
        prefetch(session, books, selectinload(Book.shelf).selectinload(Shelf.books))
        with no_sql(database):
            assert [one.shelf and f"{one.shelf.room}{one.shelf.number}" for one in books[:-1]] == [
                one.title for one in books[:-1]
            ]
            assert books[-1].shelf is None
            assert all(one in one.shelf.books for one in books[:-1])


def test_a_reference_with_half_a_key_points_nowhere(database: Database) -> None:
    stock(database, keys, Book(title="lost", shelf_room="A"))
    with database.session() as session:
        (book,) = everything(session, Book)
        with no_sql(database):
            prefetch(session, book, selectinload(Book.shelf))
            assert book.shelf is None


def test_a_tree_is_filled_to_its_leaves_and_through_cycles(database: Database) -> None:
    stock(database, keys)
    with database.session() as session:
        session.add_all([Node(id=number, name="n", parent_id=number - 1 or None) for number in range(1, 30)])
        session.commit()
        root = session.get_one(Node, 1)
        with database.statements() as log:
            prefetch(session, root, selectinload(Node.children, recursion_depth=-1))
        assert len(log) == 29
        with no_sql(database):
            node, depth = root, 1
            while node.children:
                node, depth = node.children[0], depth + 1
            assert depth == 29
    with database.session() as session:
        a, b = session.get_one(Node, 1), session.get_one(Node, 2)
        a.parent = b  # in memory, a ring
        prefetch(session, a, selectinload(Node.parent, recursion_depth=-1))
        assert (a.parent, b.parent) == (b, a)


def test_names_that_differ_from_their_columns_are_followed(database: Database) -> None:
    stock(database, keys, Legacy(id=1, name="top"), Legacy(id=2, name="below", parent_id=1))
    with database.session() as session:
        legacies = bare(session, Legacy)
        prefetch(session, legacies, selectinload(Legacy.parent))
        with no_sql(database):
            assert {one.name: one.parent and one.parent.name for one in legacies} == {"top": None, "below": "top"}


def test_join_conditions_of_their_own_are_followed(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players(), *(Twig(id=number) for number in (1, 2, 4)))
    with database.session() as session:
        teams, twigs = bare(session, Team), bare(session, Twig)
        with database.statements() as log:
            prefetch(session, teams, load_only(Team.name), raiseload("*"), selectinload(Team.captain))
        assert len(log) == 3  # the names, who belongs to whom, and the captains
        prefetch(session, twigs, raiseload("*"), selectinload(Twig.elder))
        with no_sql(database):
            assert {team.name: team.captain.id for team in teams} == {"Reds": 1, "Blues": 4}
            assert {twig.id: twig.elder and twig.elder.id for twig in twigs} == {1: None, 2: 1, 4: None}


def test_a_reference_to_a_unique_column_is_followed(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players(), Player(id=99, number=9))
    with database.session() as session:
        players = bare(session, Player)
        with database.statements() as log:
            prefetch(session, players, load_only(Player.number), raiseload("*"), selectinload(Player.ground))
        assert len(log) == 2
        with no_sql(database):
            found = {one.id: one.ground and one.ground.name for one in players}
        assert found == {**{number: ("North", "South")[number % 2] for number in range(1, 7)}, 99: None}


def test_a_third_table_may_set_the_order_and_take_part_in_criteria(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        places = [(1, 2, 5), (1, 3, 1), (1, 4, 3), (2, 1, 1)]
        rows = [{"player_id": a, "friend_id": b, "place": place} for a, b, place in places]
        session.execute(friendship.insert(), rows)
        session.commit()
        players = everything(session, Player)
        with database.statements() as log:
            prefetch(session, players, selectinload(Player.friends))
        assert len(log) == 1
        with no_sql(database):
            assert [[one.id for one in player.friends] for player in players[:3]] == [[3, 4, 2], [1], []]
    with database.session() as session:
        players = everything(session, Player)
        prefetch(session, players, selectinload(Player.friends.and_(friendship.c.place > 1, Player.number > 2)))
        with no_sql(database):
            assert [[one.id for one in player.friends] for player in players[:3]] == [[4], [], []]


def test_criteria_limit_a_collection_a_reference_and_a_third_table(database: Database) -> None:
    open_shop(database, 2, 3, 1)
    stock(database, relations, *library())
    with database.session() as session:
        customers = everything(session, Customer)
        prefetch(session, customers, selectinload(Customer.orders.and_(Order.status == "paid")))
        with no_sql(database):
            assert [[order.status for order in one.orders] for one in customers] == [["paid"], ["paid"]]
    with database.session() as session:
        everything(session, Customer)  # what the session holds is no short cut past the criteria
        orders = everything(session, Order)
        prefetch(session, orders, selectinload(Order.customer.and_(Customer.city == "Cork")))
        with no_sql(database):
            assert [order.customer and order.customer.id for order in orders] == [None, None, None, 2, 2, 2]
    with database.session() as session:
        articles = everything(session, Article)
        prefetch(session, articles, selectinload(Article.tags.and_(Tag.id > 1, article_tag.c.article_id < 2)))
        with no_sql(database):
            assert [[tag.id for tag in one.tags] for one in articles] == [[3], []]


def test_criteria_for_a_class_limit_what_is_loaded_and_not_what_was_given(database: Database) -> None:
    open_shop(database, 2, 3, 1)
    with database.session() as session:
        customers = everything(session, Customer)
        session.expire_all()
        criteria = [
            with_loader_criteria(Order, Order.status == "paid"),
            with_loader_criteria(Customer, Customer.id > 1),
        ]
        prefetch(session, customers, WHOLE, *criteria)
        with no_sql(database):
            assert [one.name for one in customers] == ["Customer 1", "Customer 2"]
            assert [[order.status for order in one.orders] for one in customers] == [["paid"], ["paid"]]
    with database.session() as session:
        everything(session, Customer)
        orders = everything(session, Order)
        prefetch(session, orders, selectinload(Order.customer), with_loader_criteria(Customer, Customer.id > 1))
        with no_sql(database):
            assert [order.customer and order.customer.id for order in orders] == [None, None, None, 2, 2, 2]


def test_the_order_of_a_collection_is_its_mapped_order(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        teams = bare(session, Team)
        prefetch(session, teams, selectinload(Team.players))
        with no_sql(database):
            assert {team.id: [one.number for one in team.players] for team in teams} == {1: [3, 2, 1], 2: [6, 5, 4]}


# --- kinds of mapping ------------------------------------------------------------------------------------------------


def park() -> list[Any]:
    ann, bob = Owner(id=1, name="Ann"), Owner(id=2, name="Bob")
    ann.animals = [Dog(id=1, name="Rex", tricks=2), Cat(id=2, name="Tom", lives=9), Animal(id=3, name="It")]
    bob.animals = [Puppy(id=4, name="Bit", tricks=0, weeks=9)]
    ann.vehicles = [Car(id=1, plate="A", doors=4), Lorry(id=2, plate="B", tons=7, axles=3)]
    bob.vehicles = [Vehicle(id=3, plate="C"), Car(id=4, plate="D", doors=2)]
    return [ann, bob]


def test_members_of_a_single_table_come_with_the_columns_of_their_subclasses(database: Database) -> None:
    stock(database, inheritance, *park())
    with database.session() as session:
        owners = everything(session, Owner)
        with database.statements() as log:
            prefetch(session, owners, selectinload(Owner.animals))
        assert len(log) == 2  # the collection, and the columns of all subclasses at once
        with no_sql(database):
            rex, tom, _ = owners[0].animals
            (bit,) = owners[1].animals
            assert (rex.tricks, tom.lives, bit.tricks, bit.weeks) == (2, 9, 0, 9)


def test_members_of_joined_tables_take_one_select_more_for_each_table(database: Database) -> None:
    stock(database, inheritance, *park())
    with database.session() as session:
        owners = everything(session, Owner)
        with database.statements() as log:
            prefetch(session, owners, selectinload(Owner.vehicles))
        assert len(log) == 3  # vehicles, cars, lorries
        with no_sql(database):
            car, lorry = owners[0].vehicles
            assert (car.doors, lorry.tons, lorry.axles, owners[1].vehicles[1].doors) == (4, 7, 3, 2)


def test_options_for_a_subclass_are_followed_and_hide_no_member(database: Database) -> None:
    stock(database, inheritance, *park())
    with database.session() as session:
        owners = everything(session, Owner)
        prefetch(session, owners, selectinload(Owner.animals.of_type(Dog)).defer(Dog.tricks))
        with no_sql(database):
            assert [type(one) for one in owners[0].animals] == [Dog, Cat, Animal]
        assert "tricks" not in owners[0].animals[0].__dict__
        assert "lives" in owners[0].animals[1].__dict__


def test_criteria_on_a_subclass_leave_its_members(database: Database) -> None:
    stock(database, inheritance, *park())
    with database.session() as session:
        owners = everything(session, Owner)
        prefetch(
            session,
            owners,
            selectinload(Owner.vehicles.of_type(Car).and_(Car.doors > 2)),
            selectinload(Owner.animals.of_type(Dog).and_(Dog.tricks < 2)),
        )
        with no_sql(database):
            assert [[one.plate for one in owner.vehicles] for owner in owners] == [["A"], []]
            assert [[one.name for one in owner.animals] for owner in owners] == [[], ["Bit"]]


def test_an_inherited_relationship_takes_one_select_for_all_subclasses(database: Database) -> None:
    stock(database, inheritance, *park())
    with database.session() as session:
        animals, vehicles = everything(session, Animal), everything(session, Vehicle)
        session.expunge_all()
        session.add_all([*animals, *vehicles])
        with database.statements() as log:
            prefetch(session, animals, load_only(Animal.name), selectinload(Animal.owner))
        assert len(log) == 1
        with no_sql(database):
            assert [one.owner.name for one in animals] == ["Ann", "Ann", "Ann", "Bob"]
            prefetch(session, vehicles, load_only(Vehicle.plate), selectinload(Vehicle.owner))
            assert [one.owner.name for one in vehicles] == ["Ann", "Ann", "Bob", "Bob"]


def test_a_collection_of_one_subclass_holds_no_other(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        teams = everything(session, Team)
        prefetch(session, teams, selectinload(Team.hounds), selectinload(Team.pets))
        with no_sql(database):
            assert [[one.id for one in team.hounds] for team in teams] == [[2], [3]]
            assert [[one.id for one in team.pets] for team in teams] == [[1, 2], [3, 4]]


def test_an_eager_relationship_of_a_subclass_alone_is_filled(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        pets = everything(session, Pet)
        with database.statements() as log:
            prefetch(session, pets)
        assert len(log) == 2  # bark, and the toys
        with no_sql(database):
            assert [one.bark for one in pets if isinstance(one, Hound)] == ["wau", "waf"]
            assert [[toy.id for toy in one.toys] for one in pets if isinstance(one, Hound)] == [[1, 2], []]


def test_relationships_mapped_as_eager_are_filled_in_bulk(database: Database) -> None:
    stock(database, loading, *(Team(id=n, name="t", players=[Player(number=1)]) for n in range(1, 600)))
    with database.session() as session:
        teams = bare(session, Team)
        with database.statements() as log:
            prefetch(session, teams)
        assert len(log) == 2  # SQLAlchemy's selectin takes one for 500 parents, and the players' team is in memory
        with no_sql(database):
            assert all(team.players[0].team is team and team.size == 1 for team in teams)


def test_imperative_and_dataclass_mappings_are_filled(database: Database) -> None:
    invoice = styles.Invoice(number="1", items=[styles.Item(text="a"), styles.Item(text="b")])
    planet = styles.Planet("Mars")
    planet.moons = [styles.Moon("Phobos"), styles.Moon("Deimos")]
    stock(database, styles, invoice, planet)
    with database.session() as session:
        invoices, moons = everything(session, styles.Invoice), everything(session, styles.Moon)
        prefetch(session, invoices, selectinload(styles.Invoice.items))
        prefetch(session, moons, selectinload(styles.Moon.planet))  # type: ignore[arg-type] # imperative: a plain attribute
        with no_sql(database):
            assert [item.text for item in invoices[0].items] == ["a", "b"]
            assert [moon.planet.name for moon in moons] == ["Mars", "Mars"]


# --- columns ---------------------------------------------------------------------------------------------------------


def test_deferred_columns_are_filled_where_an_option_says_so(database: Database) -> None:
    stock(database, columns, *(Document(title=f"{number}", body=f"body {number}") for number in range(3)))
    with database.session() as session:
        documents = everything(session, Document)
        with no_sql(database):
            prefetch(session, documents)
        with database.statements() as log:
            prefetch(session, documents, undefer(Document.body))
        assert len(log) == 1
        with no_sql(database):
            assert [one.body for one in documents] == ["body 0", "body 1", "body 2"]


def test_a_deferred_column_of_new_members_comes_in_the_select_that_brings_them(database: Database) -> None:
    depot = Depot(id=1, code="a")
    depot.tools.append(Tool(name="saw", owner=corners.Owner(id=5, name="owner")))
    stock(database, corners, depot)
    with database.session() as session:
        depots = everything(session, Depot)
        with database.statements() as log:
            prefetch(session, depots, selectinload(Depot.tools).undefer(Tool.owner_id))
        assert len(log) == 1
        with no_sql(database):
            assert [tool.owner_id for one in depots for tool in one.tools] == [5]


def test_groups_columns_that_raise_and_expressions_are_filled(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        teams = bare(session, Team)
        prefetch(session, teams, undefer_group("texts"), undefer(Team.secret))
        with no_sql(database):
            assert {one.motto: (one.history, one.secret, one.size) for one in teams} == {
                "go": ("long", "x", 3),
                "on": ("short", "y", 3),
            }


def test_a_query_expression_keeps_what_its_query_gave_it(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        (team,) = session.scalars(select(Team).where(Team.id == 1).options(with_expression(Team.loud, Team.name + "!")))
        prefetch(session, team, undefer("*"))
        assert team.loud == "Reds!"


def test_columns_that_an_option_leaves_out_are_not_loaded_on_new_members(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session() as session:
        customers = everything(session, Customer)
        prefetch(session, customers, selectinload(Customer.orders).load_only(Order.number))
        (order,) = customers[0].orders
        assert {"id", "number", "customer_id"} == set(order.__dict__) - {"_sa_instance_state", "customer"}
        assert order.status == "paid"


def test_composites_mutables_and_decorated_types_work_after_they_were_filled(database: Database) -> None:
    stock(
        database, columns, Drawing(name="d", start=columns.Point(1, 2)), Settings(name="s", plain={}, tracked={"a": 1})
    )
    stock(database, odd, odd.Box(id=1, labels={"a": "b"}, corner=odd.Corner(3, 4)))
    with database.session() as session:
        drawing, settings, box = (everything(session, one)[0] for one in (Drawing, Settings, odd.Box))
        session.commit()
        prefetch(session, [drawing, settings, box])
        with no_sql(database):
            assert (drawing.start, box.labels, box.corner.y) == (columns.Point(1, 2), {"a": "b"}, 4)
            settings.tracked["a"] = 2
            box.corner.x = 7
        assert session.is_modified(settings)
        session.commit()
        assert (settings.tracked, box.corner.x) == ({"a": 2}, 7)


def test_values_made_by_the_database_are_filled_after_a_commit(database: Database) -> None:
    stock(database, columns)
    with database.session() as session:
        rows = [Audited(name=f"{number}") for number in range(3)]
        session.add_all(rows)
        session.commit()
        with database.statements() as log:
            prefetch(session, rows)
        assert len(log) == 1
        with no_sql(database):
            assert [(one.status, one.revision, one.edited_by) for one in rows] == [("new", 1, None)] * 3


def test_refresh_events_say_what_was_filled(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    heard: list[Any] = []

    def listen(target: Any, context: object, names: Any) -> None:
        heard.append((target.id, sorted(names)))

    event.listen(Customer, "refresh", listen)
    try:
        with sqlite.session() as session:
            customer = everything(session, Customer)[0]
            session.expire(customer, ["name", "city"])
            prefetch(session, customer)
    finally:
        event.remove(Customer, "refresh", listen)
    assert heard == [(1, ["city", "name"])]


# --- options and what they leave behind ------------------------------------------------------------------------------


def test_a_wildcard_fills_every_relationship(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        articles = everything(session, Article)
        prefetch(session, articles, selectinload("*"))
        with no_sql(database):
            assert articles[0].author.name == "Ann"
            assert articles[0].author.memberships[0].club.name == "Chess"
            assert len(articles[0].tags) + len(articles[0].notes) + len(articles[0].links) == 6


def test_raiseload_of_the_query_is_overridden(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        customers = list(
            session.scalars(select(Customer).options(raiseload("*"), defer(Customer.city, raiseload=True)))
        )
        prefetch(session, customers, WHOLE)
        with no_sql(database):
            assert (customers[0].city, len(customers[0].orders[0].lines)) == ("Bergen", 1)
        teams = everything(session, Team)
        prefetch(session, teams, selectinload(Team.guarded))
        with no_sql(database):
            assert [[one.id for one in team.guarded] for team in teams] == [[1, 2, 3], [4, 5, 6]]


def test_its_own_options_do_not_stick_to_what_it_loads(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with database.session() as session:
        grounds = everything(session, Ground)
        players = everything(session, Player)
        session.expunge_all()
        session.add_all([*grounds])
        pets = everything(session, Pet)
        criteria = with_loader_criteria(Toy, Toy.id > 1)
        prefetch(session, pets, selectinload(Pet.team).selectinload(Team.players), criteria)
        team = pets[0].team
        assert [inspect(one).load_options for one in (team, team.players[0])] == [(), ()]
        pickle.dumps([pets[1].toys, team])  # SQLAlchemy cannot pickle criteria
        session.refresh(team)
        with no_sql(database):
            assert len(team.players) == 3  # mapped as eager, and again so
    assert len(players) == 6


def test_the_options_of_the_users_own_query_stick(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session() as session:
        orders = list(session.scalars(select(Order).options(raiseload(Order.lines))))
        customers = everything(session, Customer)
        prefetch(session, customers, selectinload(Customer.orders))
        assert customers[0].orders == orders
        assert len(inspect(orders[0]).load_options) == 1


# --- what is refused, and what is left alone -------------------------------------------------------------------------


def test_an_object_whose_row_is_gone_stays_as_it_is(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with database.session() as session:
        customers = everything(session, Customer)
        orders = everything(session, Order)
        session.commit()
        with others(database) as other:
            other.delete(other.get_one(Customer, 1))
        prefetch(session, [*customers, *orders], selectinload(Customer.orders), selectinload(Order.customer))
        assert "customer" not in orders[0].__dict__  # unloaded is not None
        with pytest.raises(ObjectDeletedError):
            _ = orders[0].number
        with pytest.raises(ObjectDeletedError):
            _ = customers[0].name
        with no_sql(database):
            assert (customers[1].name, orders[1].customer) == ("Customer 2", customers[1])


def test_a_member_that_was_expunged_is_left_alone(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session() as session:
        customer = everything(session, Customer)[0]
        (order,) = customer.orders
        session.expunge(order)
        with no_sql(database):
            prefetch(session, customer, WHOLE)
        assert "lines" not in order.__dict__


def test_a_new_object_is_taken_and_asks_nothing(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with database.session() as session:
        customer = everything(session, Customer)[0]
        new = Order(number="new", customer_id=1)
        session.add(new)
        with no_sql(database):
            prefetch(session, new, selectinload(Order.customer), selectinload(Order.lines))
        assert "customer" not in new.__dict__
        assert customer not in session.dirty


@pytest.mark.parametrize("kind", ["transient", "detached", "of another session"])
def test_objects_of_no_or_of_another_session_are_refused(sqlite: Database, kind: str) -> None:
    open_shop(sqlite)
    with sqlite.session() as session, sqlite.session() as other:
        own = everything(session, Customer)
        session.expire_all()
        stranger = {"transient": Customer(), "of another session": other.get_one(Customer, 1)}.get(kind)
        if stranger is None:
            stranger = own.pop()
            session.expunge(stranger)
        with no_sql(sqlite), pytest.raises(WrongSessionError) as caught:
            prefetch(session, [*own, stranger], WHOLE)
        assert caught.value.objects == [stranger]


def test_what_is_no_option_or_no_mapped_object_is_refused_before_a_statement(sqlite: Database) -> None:
    open_shop(sqlite)
    with sqlite.session() as session:
        customers = everything(session, Customer)
        session.expire_all()
        with no_sql(sqlite):
            with pytest.raises(WrongAttributeError, match="no loader option"):
                prefetch(session, customers, "orders")  # type: ignore[arg-type] # that is the mistake
            with pytest.raises(WrongAttributeError, match="leads nowhere"):
                prefetch(session, customers, selectinload(Line.order))
            with pytest.raises(NotMappedError):
                prefetch(session, [*customers, "text"])
            with pytest.raises(NotMappedError):
                prefetch(session, Customer)
