"""refresh(): many objects are brought up to the database at once; edits stay edits, of what is there now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, inspect, select, text, update
from sqlalchemy.orm import Session, selectinload, undefer, with_expression

from sojourn.errors import (
    Conflict,
    ConflictError,
    MissingRowError,
    SojournError,
    WrongAttributeError,
    WrongSessionError,
)
from sojourn.session.refresh import refresh
from tests.databases import Database
from tests.models import columns, inheritance, keys, loading, odd, relations, shop, styles
from tests.models.columns import Audited, Document, Point, Settings
from tests.models.columns import Shape as Drawing
from tests.models.inheritance import Animal, Car, Cat, Dog, Lorry, Owner, Puppy, Vehicle
from tests.models.keys import Node
from tests.models.loading import Grid, Ground, Hound, Pet, Player, Sheet, Team
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag, article_tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import WHOLE_SHOP, columns_set, fingerprint, open_shop, others
from tests.session.test_prefetch import library, no_sql, park, stock


@contextmanager
def home(database: Database, entity: Any, *options: Any) -> Iterator[tuple[Session, list[Any]]]:
    """A session with all objects of a class, loaded as far as the options say, at the start of a new transaction."""
    with database.session(expire_on_commit=False, autoflush=False) as session:
        statement = select(entity).options(*options).order_by(*inspect(entity).primary_key)
        objs = list(session.scalars(statement).unique())
        session.commit()
        yield session, objs


def shop_of(customers: list[Customer]) -> list[Any]:
    """Customers, their orders, and the orders' lines."""
    orders = [order for one in customers for order in one.orders]
    return [*customers, *orders, *(line for order in orders for line in order.lines)]


def history(obj: Any, name: str) -> tuple[list[Any], list[Any]]:
    """(added, deleted) of an attribute, without loading."""
    found = inspect(obj).attrs[name].history
    return list(found.added or ()), list(found.deleted or ())


# --- what the others did ---------------------------------------------------------------------------------------------


def test_columns_that_others_changed_are_brought_up_to_date(database: Database) -> None:
    open_shop(database, 3, 1, 1)
    with home(database, Customer, WHOLE_SHOP) as (session, customers):
        with others(database) as other:
            other.execute(update(Customer).where(Customer.id < 3).values(city="Elsewhere"))
            other.execute(update(Line).where(Line.id == 2).values(qty=77))
        with database.statements() as log:
            report = refresh(session, shop_of(customers))
        assert len(log) == report.statements == 3
        with no_sql(database):
            assert [one.city for one in customers] == ["Elsewhere", "Elsewhere", "Delft"]
            assert customers[1].orders[0].lines[0].qty == 77
        assert report.changed == [customers[0], customers[1], customers[1].orders[0].lines[0]]
        assert report.instances == shop_of(customers)
        assert (report.merged, report.conflicts) == ([], [])
        assert not session.dirty


def test_nothing_new_changes_nothing(database: Database) -> None:
    open_shop(database)
    with home(database, Customer, WHOLE_SHOP) as (session, customers):
        before = fingerprint(session, customers)
        report = refresh(session, shop_of(customers))
        assert report.changed == []
        assert fingerprint(session, customers) == before


def test_rows_that_others_added_and_removed_appear_and_disappear_in_collections(database: Database) -> None:
    open_shop(database, 2, 2, 1)
    with home(database, Customer, WHOLE_SHOP) as (session, customers):
        with others(database) as other:
            other.delete(other.get_one(Order, 1))
            values = {"customer_id": 1, "number": "theirs", "status": "open", "placed_at": shop.FIRST_DAY}
            other.execute(insert(Order).values(id=50, **values))
            other.get_one(Order, 4).customer_id = 1
        gone = customers[0].orders[0]
        report = refresh(session, customers)
        with no_sql(database):
            assert [order.id for order in customers[0].orders] == [2, 4, 50]
            assert [order.id for order in customers[1].orders] == [3]
            assert customers[0].orders[-1].number == "theirs"
        assert gone in session
        assert set(report.changed) == set(customers)
        assert not session.dirty


def test_sets_dicts_and_third_tables_are_brought_up_to_date(database: Database) -> None:
    stock(database, relations, *library())
    options = [selectinload(Article.tags), selectinload(Article.notes), selectinload(Article.links)]
    with home(database, Article, *options) as (session, articles):
        with others(database) as other:
            theirs = other.get_one(Article, 1)
            theirs.tags = [other.get_one(Tag, 2), other.get_one(Tag, 3)]
            del theirs.notes["a"]
            theirs.notes["c"] = Note(id=9, keyword="c", text="new")
            theirs.links = {Link(id=9, url="w")}
        report = refresh(session, articles)
        with no_sql(database):
            assert {tag.id for tag in articles[0].tags} == {2, 3}
            assert {key: note.text for key, note in articles[0].notes.items()} == {"b": "x", "c": "new"}
            assert {link.url for link in articles[0].links} == {"w"}
            assert [tag.id for tag in articles[1].tags] == [3]
        assert report.changed == [articles[0]]
        assert not session.dirty


def test_a_member_whose_key_in_a_dict_changed_is_found_under_the_new_one(database: Database) -> None:
    stock(database, relations, *library())
    with home(database, Article, selectinload(Article.notes)) as (session, articles):
        with others(database) as other:
            other.get_one(Note, 1).keyword, other.get_one(Note, 2).keyword = "z", "b"  # they were "b" and "a"
        notes = list(articles[0].notes.values())
        report = refresh(session, [*articles, *notes])
        assert {key: note.id for key, note in articles[0].notes.items()} == {"z": 1, "b": 2}
        assert set(report.changed) == {articles[0], *notes}
        assert not session.dirty


def test_a_one_to_one_appears_and_disappears(database: Database) -> None:
    stock(database, relations, *library())
    with home(database, Person, selectinload(Person.passport)) as (session, people):
        with others(database) as other:
            other.delete(other.get_one(Passport, 1))
            other.add(Passport(id=9, person_id=2, number="P2"))
        refresh(session, people)
        with no_sql(database):
            assert people[0].passport is None
            assert people[1].passport.number == "P2"
        assert not session.dirty


def test_references_are_pointed_to_where_the_row_points_now(database: Database) -> None:
    open_shop(database, 3, 2, 0)
    with home(database, Order) as (session, orders):
        held = session.get_one(Customer, 2)
        first = orders[0].customer
        assert orders[1].customer is orders[0].customer
        session.commit()
        with others(database) as other:
            other.execute(update(Order).where(Order.id == 1).values(customer_id=2))
            other.execute(update(Order).where(Order.id == 2).values(customer_id=3))
        refresh(session, orders)
        with no_sql(database):
            assert orders[0].customer is held
        assert "customer" not in orders[1].__dict__
        assert orders[1].customer.name == "Customer 3"
        assert first not in session.dirty
        assert not session.dirty


def test_a_reference_that_was_emptied_or_filled_is_pointed_anew(database: Database) -> None:
    stock(database, relations, *library())
    with home(database, Article, selectinload(Article.author)) as (session, articles):
        bob = session.get_one(Person, 2)
        session.commit()
        with others(database) as other:
            other.execute(update(Article).where(Article.id == 1).values(author_id=None))
            other.execute(update(Article).where(Article.id == 2).values(author_id=2))
        report = refresh(session, articles)
        with no_sql(database):
            assert [one.author for one in articles] == [None, bob]
        assert report.changed == articles


def test_a_reference_to_a_unique_column_and_an_own_join_condition_are_pointed_anew(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with home(database, Player, selectinload(Player.ground)) as (session, players):
        teams = [players[0].team, players[3].team]
        assert [team.captain.id for team in teams] == [1, 4]
        session.commit()
        with others(database) as other:
            other.execute(update(Player).where(Player.id == 1).values(ground_code="N", role="field"))
            other.execute(update(Player).where(Player.id == 2).values(ground_code=None, role="captain"))
        refresh(session, [*players, *teams])
        assert [one.ground and one.ground.name for one in players[:3]] == ["North", None, "South"]
        assert [team.captain.id for team in teams] == [2, 4]
        assert not session.dirty


def test_an_update_in_the_own_transaction_is_seen(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    with home(database, Customer) as (session, customers):
        session.execute(text("UPDATE customer SET city = 'Here'"))
        assert len(refresh(session, customers).changed) == 2
        assert [one.city for one in customers] == ["Here", "Here"]


def test_values_that_the_database_makes_are_brought_up_to_date(database: Database) -> None:
    stock(database, columns, Audited(name="first"))
    stock(database, loading, *loading.grounds_teams_players())
    with home(database, Audited) as (session, rows):
        teams = list(session.scalars(select(Team).order_by(Team.id)))
        session.commit()
        with others(database) as other:
            other.get_one(Audited, 1).name = "second"
            other.execute(delete(Player).where(Player.id == 6))
        refresh(session, [*rows, *teams])
        with no_sql(database):
            assert (rows[0].name, rows[0].revision, rows[0].edited_by) == ("second", 2, "python")
            sizes: list[Any] = [team.size for team in teams]  # type: ignore[attr-defined] # set after the class
            assert sizes == [3, 2]


# --- my edits --------------------------------------------------------------------------------------------------------


def test_an_edit_stays_and_is_an_edit_of_what_is_there_now(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    with home(database, Customer) as (session, customers):
        with others(database) as other:
            other.execute(update(Customer).where(Customer.id == 1).values(city="theirs", email="theirs@x"))
        customers[0].name = "mine"
        customers[1].name = "mine too"
        report = refresh(session, customers)
        assert (customers[0].name, customers[0].city) == ("mine", "theirs")
        assert history(customers[0], "name") == (["mine"], ["Customer 1"])
        assert history(customers[0], "city") == ([], [])
        assert (report.changed, report.conflicts) == ([customers[0]], [])
        with database.statements() as log:
            session.flush()
        assert columns_set(log) == [("customer", ["name"])]
        session.commit()
        with database.session() as fresh:
            assert [(one.name, one.city) for one in fresh.scalars(select(Customer).order_by(Customer.id))] == [
                ("mine", "theirs"),
                ("mine too", "Cork"),
            ]


def test_an_edit_that_others_made_too_is_no_edit_any_more(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with home(database, Customer) as (session, (customer,)):
        with others(database) as other:
            other.execute(update(Customer).values(name="same"))
        customer.name = "same"
        report = refresh(session, customer)
        assert report.conflicts == []
        assert not session.dirty
        with no_sql(database):
            session.flush()


def test_an_edit_that_was_taken_back_follows_the_row(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with home(database, Customer) as (session, (customer,)):
        with others(database) as other:
            other.execute(update(Customer).values(name="theirs"))
        customer.name = "mine"
        customer.name = "Customer 1"
        refresh(session, customer)
        assert customer.name == "theirs"
        assert not session.is_modified(customer)


def conflicting(database: Database, session: Session, customers: list[Customer]) -> None:
    with others(database) as other:
        other.execute(update(Customer).where(Customer.id < 3).values(name="theirs", city="theirs"))
    for one in customers:
        one.name = f"mine {one.id}"
    customers[0].city = "mine"


def test_all_conflicts_are_told_and_nothing_is_changed(database: Database) -> None:
    open_shop(database, 3, 1, 1)
    with home(database, Customer, WHOLE_SHOP) as (session, customers):
        conflicting(database, session, customers)
        before = fingerprint(session, customers)
        with pytest.raises(ConflictError) as caught:
            refresh(session, shop_of(customers))
        assert fingerprint(session, customers) == before
        assert caught.value.conflicts == [
            Conflict(inspect(customers[0]).key, "name", "Customer 1", "mine 1", "theirs"),
            Conflict(inspect(customers[0]).key, "city", "Bergen", "mine", "theirs"),
            Conflict(inspect(customers[1]).key, "name", "Customer 2", "mine 2", "theirs"),
        ]
        assert not isinstance(caught.value, MissingRowError)


def both(conflict: Conflict) -> Any:
    return f"{conflict.mine} and {conflict.theirs}"


@pytest.mark.parametrize(
    ("policy", "names", "written"),
    [
        ("mine", ["mine 1", "mine 2", "mine 3"], [["city", "name"], ["name"], ["name"]]),
        ("theirs", ["theirs", "theirs", "mine 3"], [["name"]]),
        (both, ["mine 1 and theirs", "mine 2 and theirs", "mine 3"], [["city", "name"], ["name"], ["name"]]),
    ],
    ids=["mine", "theirs", "a function"],
)
def test_a_policy_decides_conflicts(
    database: Database, policy: Any, names: list[str], written: list[list[str]]
) -> None:
    open_shop(database, 3, 0, 0)
    with home(database, Customer) as (session, customers):
        conflicting(database, session, customers)
        report = refresh(session, customers, on_conflict=policy)
        assert [one.name for one in customers] == names
        assert len(report.conflicts) == 3
        assert customers[0] in session.dirty or policy == "theirs"
        if policy != "theirs":
            assert history(customers[0], "name") == ([names[0]], ["theirs"])
        with database.statements() as log:
            session.flush()
        rows_written = sum(len(one.parameters) if one.executemany else 1 for one in log.updates)
        assert rows_written == len(written)
        assert {tuple(found) for _, found in columns_set(log)} == {tuple(one) for one in written}
        session.commit()


def test_my_additions_and_removals_are_applied_to_the_members_that_are_there_now(database: Database) -> None:
    open_shop(database, 1, 3, 0)
    with home(database, Customer, selectinload(Customer.orders)) as (session, (customer,)):
        with others(database) as other:
            other.delete(other.get_one(Order, 1))
            other.add(Order(id=60, customer_id=1, number="theirs", status="open", placed_at=shop.FIRST_DAY))
        new = Order(number="mine", status="open", placed_at=shop.FIRST_DAY)
        customer.orders.append(new)
        removed = customer.orders.pop(1)
        report = refresh(session, customer)
        assert [order.number for order in customer.orders] == ["N-000003", "theirs", "mine"]
        assert history(customer, "orders") == ([new], [removed])
        assert report.changed == [customer]
        session.commit()
        with database.session() as fresh:
            assert {one.number for one in fresh.get_one(Customer, 1).orders} == {"N-000003", "theirs", "mine"}


def test_edits_of_a_third_table_merge(database: Database) -> None:
    stock(database, relations, *library())
    with home(database, Article, selectinload(Article.tags)) as (session, articles):
        with others(database) as other:
            other.execute(delete(article_tag).where(article_tag.c.article_id == 1, article_tag.c.tag_id == 3))
        articles[0].tags.append(session.get_one(Tag, 2))
        refresh(session, articles)
        assert {tag.id for tag in articles[0].tags} == {1, 2}
        session.commit()
        with database.session() as fresh:
            assert {tag.id for tag in fresh.get_one(Article, 1).tags} == {1, 2}


@pytest.mark.parametrize("loaded", [False, True], ids=["other side unloaded", "other side loaded"])
@pytest.mark.parametrize("edit", ["add", "remove"])
def test_an_edit_of_a_third_table_that_others_made_too_is_told_by_neither_side(
    database: Database, edit: str, loaded: bool
) -> None:
    stock(database, relations, *library())
    with home(database, Article, selectinload(Article.tags)) as (session, articles):
        tags = list(session.scalars(select(Tag).order_by(Tag.id)))
        if loaded:
            assert [len(tag.articles) for tag in tags] == [1, 0, 2]
        session.commit()
        with others(database) as other:
            article = other.get_one(Article, 1)  # must be held: a collection whose owner is collected takes no edits
            if edit == "add":
                article.tags.append(other.get_one(Tag, 2))
            else:
                article.tags.remove(other.get_one(Tag, 3))
        if edit == "add":
            articles[0].tags.append(tags[1])
        else:
            articles[0].tags.remove(tags[2])
        refresh(session, articles)  # and not the tags
        assert not session.dirty
        with no_sql(database):
            session.flush()
        assert [len(tag.articles) for tag in tags] == ([1, 1, 2] if edit == "add" else [1, 0, 1])


def test_a_reference_that_both_changed_is_a_conflict(database: Database) -> None:
    open_shop(database, 3, 1, 0)
    with home(database, Order, selectinload(Order.customer)) as (session, orders):
        two = orders[1].customer
        with others(database) as other:
            other.execute(update(Order).where(Order.id == 1).values(customer_id=3))
        orders[0].customer = two
        with pytest.raises(ConflictError) as caught:
            refresh(session, orders)
        (conflict,) = caught.value.conflicts
        assert conflict.attribute == "customer"
        assert [side and side[1] for side in (conflict.base, conflict.mine, conflict.theirs)] == [(1,), (2,), (3,)]
        refresh(session, orders, on_conflict="theirs")
        assert orders[0].customer is orders[2].customer
        assert not session.is_modified(orders[0])


def test_a_reference_that_i_changed_is_flushed_against_the_new_row(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with home(database, Order, selectinload(Order.customer)) as (session, orders):
        with others(database) as other:
            other.execute(update(Order).where(Order.id == 1).values(status="theirs"))
        orders[0].customer = orders[1].customer
        refresh(session, orders)
        assert (orders[0].customer.id, orders[0].status) == (2, "theirs")
        with database.statements() as log:
            session.flush()
        assert columns_set(log) == [("customer_order", ["customer_id"])]


def test_composites_are_one_value(database: Database) -> None:
    stock(database, columns, *(Drawing(name=f"{n}", start=Point(1, 2), end=Point(3, 4)) for n in range(2)))
    with home(database, Drawing) as (session, drawings):
        with others(database) as other:
            other.get_one(Drawing, 1).start = Point(1, 9)
            other.get_one(Drawing, 2).end = Point(7, 7)
        drawings[0].start = Point(5, 2)
        drawings[1].start = Point(5, 2)
        with pytest.raises(ConflictError) as caught:
            refresh(session, drawings)
        (conflict,) = caught.value.conflicts
        assert (conflict.attribute, conflict.base, conflict.mine, conflict.theirs) == (
            "start",
            Point(1, 2),
            Point(5, 2),
            Point(1, 9),
        )
        refresh(session, drawings, on_conflict="mine")
        assert (drawings[0].start, drawings[1].start, drawings[1].end) == (Point(5, 2), Point(5, 2), Point(7, 7))
        session.commit()
        with database.session() as fresh:
            assert [one.start for one in fresh.scalars(select(Drawing))] == [Point(5, 2), Point(5, 2)]


def test_a_version_counter_moves_on_and_the_flush_succeeds(database: Database) -> None:
    stock(database, columns, Document(title="t", summary="s", body="b"))
    with home(database, Document) as (session, (document,)):
        with others(database) as other:
            other.get_one(Document, 1).summary = "theirs"
        document.title = "mine"
        report = refresh(session, document)
        assert (document.title, document.summary, document.version) == ("mine", "theirs", 2)
        assert report.conflicts == []
        session.commit()
        assert document.version == 3


def test_json_is_refreshed_and_tracked_again(database: Database) -> None:
    stock(database, columns, *(Settings(name=f"{n}", plain={"a": 1}, tracked={"a": 1}) for n in range(3)))
    with home(database, Settings) as (session, settings):
        with others(database) as other:
            for theirs in other.scalars(select(Settings).where(Settings.id < 3)):
                theirs.plain, theirs.tracked = {"b": 2}, {"b": 2}
        report = refresh(session, settings)
        assert report.changed == settings[:2]
        assert [(one.plain, one.tracked) for one in settings] == [({"b": 2}, {"b": 2})] * 2 + [({"a": 1}, {"a": 1})]
        settings[0].tracked["c"] = 3
        assert session.is_modified(settings[0])
        assert not session.is_modified(settings[1])
        session.commit()
        with database.session() as fresh:
            assert fresh.get_one(Settings, 1).tracked == {"b": 2, "c": 3}


def test_a_tracked_value_that_i_changed_in_place_stays_and_is_written(database: Database) -> None:
    stock(database, columns, Settings(name="s", plain={}, tracked={"a": 1}))
    with home(database, Settings) as (session, (settings,)):
        with others(database) as other:
            other.get_one(Settings, 1).name = "theirs"
        settings.tracked["b"] = 2
        refresh(session, settings)
        assert (settings.name, settings.tracked) == ("theirs", {"a": 1, "b": 2})
        settings.tracked["c"] = 3
        session.commit()
        with database.session() as fresh:
            assert fresh.get_one(Settings, 1).tracked == {"a": 1, "b": 2, "c": 3}


def test_values_that_cannot_be_compared_by_their_operator_are_compared_by_their_type(database: Database) -> None:
    stock(
        database, loading, Sheet(name="one", grid=Grid(1, 2)), Sheet(name="two", grid=Grid(3, 4)), Sheet(name="three")
    )
    with home(database, Sheet) as (session, sheets):
        with others(database) as other:
            other.get_one(Sheet, 2).grid = Grid(5, 6)
        report = refresh(session, sheets)
        assert report.changed == [sheets[1]]
        assert [one.grid.cells for one in sheets if one.grid is not None] == [(1, 2), (5, 6)]
        assert not session.dirty


# --- what is loaded, and what is not ---------------------------------------------------------------------------------


def test_expired_objects_are_filled_and_their_edits_stay(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with database.session() as session:
        customers = list(session.scalars(select(Customer).order_by(Customer.id)))
        session.commit()
        customers[0].name = "mine"
        report = refresh(session, customers)
        with no_sql(database):
            assert [(one.name, one.city) for one in customers] == [("mine", "Bergen"), ("Customer 2", "Cork")]
        assert report.conflicts == []
        with database.statements() as log:
            session.commit()
        assert columns_set(log) == [("customer", ["name"])]


def test_a_relationship_that_was_never_loaded_stays_unloaded(database: Database) -> None:
    open_shop(database)
    with home(database, Customer) as (session, customers):
        with database.statements() as log:
            refresh(session, customers)
        assert len(log) == 1
        assert all("orders" not in one.__dict__ for one in customers)


def test_a_deferred_column_is_read_again_where_it_was_loaded(database: Database) -> None:
    stock(database, columns, Document(title="t", body="first"))
    with home(database, Document) as (session, (document,)):
        refresh(session, document)
        assert "body" not in document.__dict__
    with home(database, Document, undefer(Document.body)) as (session, (document,)):
        with others(database) as other:
            other.get_one(Document, 1).body = "second"
        refresh(session, document)
        with no_sql(database):
            assert document.body == "second"


def test_a_query_expression_keeps_its_value(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with home(database, Team, with_expression(Team.loud, Team.name + "!")) as (session, teams):
        refresh(session, teams)
        assert [one.loud for one in teams] == ["Reds!", "Blues!"]


# --- attributes= -----------------------------------------------------------------------------------------------------


def test_only_the_named_attributes_are_read(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with home(database, Customer, selectinload(Customer.orders)) as (session, customers):
        with others(database) as other:
            other.execute(update(Customer).values(name="theirs", city="theirs"))
            other.delete(other.get_one(Order, 1))
        customers[1].email = "mine"
        refresh(session, customers, attributes=["name"])
        assert [(one.name, one.city) for one in customers] == [("theirs", "Bergen"), ("theirs", "Cork")]
        assert len(customers[0].orders) == 1
        refresh(session, customers, attributes=[Customer.orders])
        assert [len(one.orders) for one in customers] == [0, 1]
        assert customers[0].city == "Bergen"
        assert history(customers[1], "email")[0] == ["mine"]


def test_a_conflict_in_an_attribute_that_is_not_named_is_not_looked_at(database: Database) -> None:
    open_shop(database, 1, 0, 0)
    with home(database, Customer) as (session, (customer,)):
        with others(database) as other:
            other.execute(update(Customer).values(name="theirs", city="theirs"))
        customer.name = "mine"
        refresh(session, customer, attributes=["city"])
        assert (customer.name, customer.city) == ("mine", "theirs")
        assert history(customer, "name") == (["mine"], ["Customer 1"])
        with pytest.raises(ConflictError):
            refresh(session, customer, attributes=[Customer.name])


def test_a_named_relationship_is_loaded_where_it_was_not(database: Database) -> None:
    open_shop(database, 2, 2, 0)
    with home(database, Customer) as (session, customers):
        with database.statements() as log:
            report = refresh(session, customers, attributes=[Customer.orders])
        assert len(log) == report.statements
        with no_sql(database):
            assert [len(one.orders) for one in customers] == [2, 2]


def test_a_named_reference_is_pointed_anew(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with home(database, Order, selectinload(Order.customer)) as (session, orders):
        with others(database) as other:
            other.execute(update(Order).values(customer_id=2, status="theirs"))
        refresh(session, orders, attributes=["customer"])
        assert orders[0].customer is orders[1].customer
        assert orders[0].status != "theirs"
    with home(database, Order) as (session, orders):
        refresh(session, orders, attributes=["customer"])
        with no_sql(database):
            assert [one.customer.id for one in orders] == [2, 2]


def test_a_composite_is_named_as_one_and_a_deferred_column_by_itself(database: Database) -> None:
    stock(database, columns, Drawing(name="d", start=Point(1, 2)), Document(title="t", body="b"))
    with home(database, Drawing) as (session, (drawing,)):
        with others(database) as other:
            other.execute(update(Drawing).values({"x1": 8, "y1": 9, "name": "theirs"}))
        refresh(session, drawing, attributes=[Drawing.start])
        assert (drawing.start, drawing.name) == (Point(8, 9), "d")
    with home(database, Document) as (session, (document,)):
        refresh(session, document, attributes=[Document.body])
        with no_sql(database):
            assert document.body == "b"


def test_a_name_counts_for_the_classes_that_have_it(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with home(database, Customer, WHOLE_SHOP) as (session, customers):
        with others(database) as other:
            other.execute(update(Customer).values(name="theirs", city="theirs"))
            other.execute(update(Order).values(status="theirs", number="theirs"))
            other.execute(update(Line).values(qty=99))
        refresh(session, shop_of(customers), attributes=[Customer.name, "status"])
        (order,) = customers[0].orders
        assert (customers[0].name, customers[0].city) == ("theirs", "Bergen")
        assert (order.status, order.number, order.lines[0].qty) == ("theirs", "N-000001", 2)


def test_a_name_that_no_class_has_is_refused_before_a_statement(sqlite: Database) -> None:
    open_shop(sqlite)
    with home(sqlite, Customer) as (session, customers), no_sql(sqlite):
        for wrong in (["nme"], [Order.status], ["name", "metadata"]):
            with pytest.raises(WrongAttributeError):
                refresh(session, customers, attributes=wrong)


# --- kinds of mapping ------------------------------------------------------------------------------------------------


def test_subclasses_are_refreshed_with_their_own_columns(database: Database) -> None:
    stock(database, inheritance, *park())
    load = [selectinload(Owner.animals), selectinload(Owner.vehicles)]
    with home(database, Owner, *load) as (session, owners):
        animals = [one for owner in owners for one in owner.animals]
        vehicles = [one for owner in owners for one in owner.vehicles]
        with others(database) as other:
            other.get_one(Dog, 1).tricks = 5
            other.get_one(Puppy, 4).weeks = 10
            other.get_one(Car, 1).doors = 3
            other.get_one(Lorry, 2).axles, other.get_one(Lorry, 2).plate = 4, "theirs"
            other.add(Cat(id=9, name="New", lives=7, owner_id=2))
            other.get_one(Car, 4).owner_id = 1
        with database.statements() as log:
            refresh(session, [*owners, *animals, *vehicles])
        assert len(log) <= 8  # owners; animals; vehicles, cars, lorries; and what came in
        by_key = {(type(one), one.id): one for one in [*animals, *vehicles]}
        assert by_key[Dog, 1].tricks == 5
        assert by_key[Puppy, 4].weeks == 10
        assert by_key[Car, 1].doors == 3
        assert (by_key[Lorry, 2].axles, by_key[Lorry, 2].plate) == (4, "theirs")
        assert [[one.id for one in owner.vehicles] for owner in owners] == [[1, 2, 4], [3]]
        assert [type(one) for one in owners[1].animals] == [Puppy, Cat]
        assert owners[1].animals[1].lives == 7
        assert not session.dirty


def test_a_collection_of_one_subclass_takes_in_no_other(database: Database) -> None:
    stock(database, loading, *loading.grounds_teams_players())
    with home(database, Team, selectinload(Team.hounds)) as (session, teams):
        with others(database) as other:
            other.add_all([Hound(id=20, team_id=1), Pet(id=21, team_id=1)])
        report = refresh(session, teams)
        assert [[one.id for one in team.hounds] for team in teams] == [[2, 20], [3]]
        assert report.changed == [teams[0]]


def test_a_tree_whose_nodes_were_moved_is_put_right(database: Database) -> None:
    root = Node(
        id=1, name="root", children=[Node(id=2, name="a", children=[Node(id=3, name="leaf")]), Node(id=4, name="b")]
    )
    stock(database, keys, root)
    with home(database, Node, selectinload(Node.children), selectinload(Node.parent)) as (session, nodes):
        with others(database) as other:
            other.execute(update(Node).where(Node.id == 3).values(parent_id=4))
        refresh(session, nodes)
        _, a, leaf, b = nodes
        with no_sql(database):
            assert (a.children, b.children, leaf.parent) == ([], [leaf], b)
        assert not session.dirty


def test_association_objects_with_composite_keys_are_refreshed(database: Database) -> None:
    stock(database, relations, *library())
    with home(database, Person, selectinload(Person.memberships)) as (session, people):
        memberships = list(people[0].memberships)
        with others(database) as other:
            other.get_one(Membership, (1, 1)).role = "member"
            other.add(Membership(person_id=1, club=Club(id=2, name="Go"), role="guest"))
        refresh(session, [*people, *memberships])
        assert [one.role for one in people[0].memberships] == ["member", "guest"]


def test_imperative_and_dataclass_mappings_are_refreshed(database: Database) -> None:
    invoice = styles.Invoice(number="1", items=[styles.Item(text="a")])
    planet = styles.Planet("Mars")
    planet.moons = [styles.Moon("Phobos")]
    stock(database, styles, invoice, planet)
    with home(database, styles.Invoice, selectinload(styles.Invoice.items)) as (session, invoices):
        planets = list(session.scalars(select(styles.Planet)))
        assert len(planets[0].moons) == 1
        session.commit()
        with others(database) as other:
            other.execute(update(styles.Invoice).values(paid=True))
            other.execute(insert(styles.moon_table).values(name="Deimos", planet_id=1))
        refresh(session, [*invoices, *planets])
        assert invoices[0].paid is True
        assert [moon.name for moon in planets[0].moons] == ["Phobos", "Deimos"]


def test_dynamic_and_write_only_collections_and_classes_that_forbid_comparison_are_no_obstacle(
    database: Database,
) -> None:
    box = odd.Box(id=1, labels={"a": "b"}, corner=odd.Corner(1, 2))
    stock(database, odd, box, odd.Ball(id=1, box_id=1))
    with home(database, odd.Box) as (session, boxes):
        with others(database) as other:
            other.get_one(odd.Box, 1).labels = {"c": "d"}
            other.get_one(odd.Box, 1).corner = odd.Corner(8, 9)
        refresh(session, boxes)
        assert (boxes[0].labels, boxes[0].corner.x) == ({"c": "d"}, 8)
        boxes[0].corner.x = 5
        session.commit()
        with database.session() as fresh:
            assert fresh.get_one(odd.Box, 1).corner.x == 5


# --- what is refused -------------------------------------------------------------------------------------------------


def test_rows_that_are_gone_are_all_told_and_nothing_is_changed(database: Database) -> None:
    open_shop(database, 4, 1, 1)
    with home(database, Customer) as (session, customers):
        with others(database) as other:
            other.delete(other.get_one(Customer, 1))
            other.delete(other.get_one(Customer, 3))
            other.execute(update(Customer).values(city="theirs"))
        customers[2].name = "mine"
        before = fingerprint(session, customers)
        with pytest.raises(MissingRowError, match="Leave these objects out") as caught:
            refresh(session, customers)
        assert fingerprint(session, customers) == before
        assert {one.identity for one in caught.value.conflicts} == {inspect(customers[at]).key for at in (0, 2)}
        assert all(one.missing and one.attribute is None for one in caught.value.conflicts)


def test_conflicts_and_missing_rows_are_told_together(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    with home(database, Customer) as (session, customers):
        with others(database) as other:
            other.delete(other.get_one(Customer, 1))
            other.execute(update(Customer).values(name="theirs"))
        customers[1].name = "mine"
        with pytest.raises(ConflictError) as caught:
            refresh(session, customers)
        assert sorted(one.missing for one in caught.value.conflicts) == [False, True]
        assert not isinstance(caught.value, MissingRowError)


def make_stranger(session: Session, other: Session) -> dict[str, Callable[[], Any]]:
    def pending() -> Any:
        new = Customer(name="new", email="e", balance=1)
        session.add(new)
        return new

    def detached() -> Any:
        one = session.get_one(Customer, 2)
        session.expunge(one)
        return one

    return {
        "transient": Customer,
        "pending": pending,
        "detached": detached,
        "of another session": lambda: other.get_one(Customer, 2),
    }


@pytest.mark.parametrize("kind", ["transient", "pending", "detached", "of another session"])
def test_objects_that_are_not_persistent_here_are_refused(sqlite: Database, kind: str) -> None:
    open_shop(sqlite, 2, 0, 0)
    with sqlite.session() as session, sqlite.session() as other:
        one = session.get_one(Customer, 1)
        stranger = make_stranger(session, other)[kind]()
        with no_sql(sqlite), pytest.raises(WrongSessionError) as caught:
            refresh(session, [one, stranger])
        assert caught.value.objects == [stranger]


def test_a_row_that_was_deleted_here_is_missing(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    with sqlite.session() as session:
        one = session.get_one(Customer, 1)
        session.delete(one)
        session.flush()
        with pytest.raises(MissingRowError):
            refresh(session, one)


def test_a_policy_that_does_not_exist_is_refused(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    with home(sqlite, Customer) as (session, customers), no_sql(sqlite), pytest.raises(SojournError):
        refresh(session, customers, on_conflict="ours")  # type: ignore[arg-type] # that is the mistake


def test_nothing_is_flushed_and_new_objects_stay_pending(database: Database) -> None:
    open_shop(database, 1, 1, 0)
    with database.session(expire_on_commit=False) as session:
        (customer,) = session.scalars(select(Customer).options(selectinload(Customer.orders)))
        session.commit()
        new = Order(number="new", status="open", placed_at=shop.FIRST_DAY)
        customer.orders.append(new)
        customer.name = "mine"
        with database.statements() as log:
            refresh(session, customer)
        assert len(log) == len(log.selects)
        assert (new in session.new, customer in session.dirty, new in customer.orders) == (True, True, True)


def test_no_objects_take_no_statement_and_one_may_be_given_twice(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    with home(sqlite, Customer) as (session, (customer,)):
        with no_sql(sqlite):
            assert refresh(session, []).instances == []
        report = refresh(session, (one for one in (customer, customer)))
        assert (report.instances, report.statements) == ([customer, customer], 1)


def test_refresh_events_say_what_changed(sqlite: Database) -> None:
    open_shop(sqlite, 2, 0, 0)
    heard: list[Any] = []

    def listen(target: Any, context: object, names: Any) -> None:
        heard.append((target.id, sorted(names)))

    with home(sqlite, Customer) as (session, customers):
        with others(sqlite) as other:
            other.execute(update(Customer).where(Customer.id == 2).values(city="theirs"))
        event.listen(Customer, "refresh", listen)
        try:
            refresh(session, customers)
        finally:
            event.remove(Customer, "refresh", listen)
    assert heard == [(2, ["city"])]


def test_animals_that_changed_their_class_are_beyond_a_refresh(sqlite: Database) -> None:
    stock(sqlite, inheritance, *park())
    with home(sqlite, Animal) as (session, animals):
        with others(sqlite) as other:
            other.execute(text("UPDATE animal SET kind = 'cat' WHERE id = 1"))
        refresh(session, animals)
        assert (type(animals[0]), animals[0].kind) == (Dog, "cat")


def test_grounds_without_relationships_take_one_statement(database: Database) -> None:
    stock(database, loading, *(Ground(code=f"{number}", name="g") for number in range(5)))
    with home(database, Ground) as (session, grounds), database.statements() as log:
        refresh(session, grounds)
    assert len(log) == 1


def test_vehicles_take_one_statement_a_table(database: Database) -> None:
    stock(database, inheritance, *park())
    with home(database, Vehicle) as (session, vehicles):
        with database.statements() as log:
            refresh(session, vehicles)
        assert len(log) == 3
