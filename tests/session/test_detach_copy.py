"""detach(copy=True): a copy of exactly the shape leaves, with edits and base; the session keeps its own objects."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from sqlalchemy import delete, inspect, select
from sqlalchemy.orm import Session, load_only, selectinload, undefer
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import MissingRowError, NotLoadedError, UncommittedError, WrongSessionError
from sojourn.mapping.base import base_value
from sojourn.mapping.graph import walk
from sojourn.mapping.state import Change, changes
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.prefetch import prefetch
from tests.databases import Database
from tests.models import columns, inheritance, keys, loading, odd, relations, shop
from tests.models.columns import Document, Point, Settings
from tests.models.columns import Shape as Drawing
from tests.models.inheritance import Owner
from tests.models.keys import Node
from tests.models.loading import Team
from tests.models.relations import Article, Note, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import WHOLE_SHOP, fingerprint, open_shop, others, rows
from tests.session.test_detach import FLUSHES, MAPPINGS
from tests.session.test_prefetch import everything, library, no_sql, park, stock


def reached(*copies: Any) -> list[Any]:
    """Every object of a graph."""
    return [one.obj() for one in walk(copies)]


def loaded_keys(obj: Any) -> set[str]:
    return set(obj.__dict__) - {"_sa_instance_state"}


# --- exactly the shape -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", MAPPINGS.values(), ids=MAPPINGS.keys())
def test_everything_in_the_shape_can_be_read_on_the_copies(database: Database, mapping: Any) -> None:
    module, make, entity, options, read, expected = mapping
    stock(database, module, *make())
    with database.session() as session:
        objs = everything(session, entity)
        copies = detach(session, objs, *(options or [undefer("*")]), copy=True)
        assert all(one is not other and type(one) is type(other) for one, other in zip(copies, objs, strict=True))
        assert all(one in session for one in objs)
        assert not any(one in session for one in reached(*copies))
    database.engine.dispose()
    with no_sql(database):
        assert [read(one) for one in copies] == expected
    assert all(inspect(one).detached for one in copies)
    assert [inspect(one).key for one in copies] == [inspect(one).key for one in objs]


def test_what_is_loaded_and_not_in_the_shape_stays_with_the_session(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session() as session:
        (customer,) = session.scalars(select(Customer).options(WHOLE_SHOP))
        shape = [load_only(Customer.name), selectinload(Customer.orders).load_only(Order.number)]
        with no_sql(database):
            (twin,) = detach(session, customer, *shape, copy=True)
        assert loaded_keys(twin) == {"id", "name", "orders"}
        assert loaded_keys(twin.orders[0]) == {"id", "number", "customer_id", "customer"}
        assert twin.orders[0].customer is twin
        with pytest.raises(NotLoadedError, match=r"undefer\(Customer.city\)"):
            _ = twin.city
        with pytest.raises(NotLoadedError, match=r"selectinload\(Order.lines\)"):
            _ = twin.orders[0].lines
        assert customer.orders[0].lines[0].order is customer.orders[0]


def test_without_options_everything_that_is_loaded_is_copied(database: Database) -> None:
    open_shop(database, 2, 1, 1)
    with database.session() as session:
        one, two = session.scalars(select(Customer).order_by(Customer.id))
        assert len(one.orders) == 1
        twins = detach(session, [one, two], copy=True)
        assert [loaded_keys(twin) for twin in twins] == [loaded_keys(one), loaded_keys(two)]
        assert len(reached(*twins)) == 3


def test_an_expired_object_is_filled_in_the_session_and_copied(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with database.session() as session:
        customers = everything(session, Customer)
        session.commit()
        with database.statements() as log:
            twins = detach(session, customers, selectinload(Customer.orders), copy=True)
        assert len(log) == 2
        with no_sql(database):
            assert [(one.name, len(one.orders)) for one in (*customers, *twins)] == [
                ("Customer 1", 1),
                ("Customer 2", 1),
            ] * 2


def test_copies_refer_to_copies_alone_and_each_object_has_one(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        articles = everything(session, Article)
        twins = detach(
            session, [*articles, articles[0]], selectinload(Article.tags).selectinload(Tag.articles), copy=True
        )
        assert twins[2] is twins[0]
        assert len(reached(*twins)) == 4
        assert not any(one in session for one in reached(*twins))
        assert twins[0].tags[1] is twins[1].tags[0]
        assert twins[0].tags[1].articles == twins[:2]


def test_rings_and_trees_are_copied_as_they_are(database: Database) -> None:
    stock(database, keys, Node(id=1, name="a", children=[Node(id=2, name="b")]))
    with database.session(autoflush=False) as session:
        a, b = everything(session, Node)
        a.parent = b
        (twin,) = detach(session, a, selectinload(Node.parent, recursion_depth=-1), copy=True)
        assert twin.parent.parent is twin
        assert changes(twin)["parent"].new is twin.parent  # type: ignore[union-attr] # a reference's change
        session.rollback()
        (twin,) = detach(session, a, selectinload(Node.children, recursion_depth=-1), copy=True)
        assert [child.name for child in twin.children] == ["b"]
        assert twin.children[0].children == []


def test_a_chain_is_copied_without_recursion(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    with sqlite.session() as session:
        nodes = [Node(id=number, name="n", parent_id=number - 1 or None) for number in range(1, 3001)]
        session.add_all(nodes)
        session.commit()
        nodes = everything(session, Node)
        twins = detach(session, nodes, selectinload(Node.parent), copy=True)
    node, depth = twins[-1], 1
    while node.parent is not None:
        node, depth = node.parent, depth + 1
    assert depth == 3000


def test_an_object_on_two_paths_has_what_both_name(database: Database) -> None:
    stock(database, relations, *library())
    with database.session() as session:
        person, article = session.get_one(Person, 1), session.get_one(Article, 1)
        twins: list[Any] = detach(
            session,
            [person, article],
            load_only(Person.name),
            selectinload(Article.author).selectinload(Person.memberships),
            copy=True,
        )
        assert twins[1].author is twins[0]
        assert loaded_keys(twins[0]) == {"id", "name", "memberships"}


# --- edits -----------------------------------------------------------------------------------------------------------


def test_edits_and_bases_are_copied_and_the_sessions_own_stay(database: Database) -> None:
    open_shop(database)
    with database.session(autoflush=False) as session:
        one, two = session.scalars(select(Customer).order_by(Customer.id))
        prefetch(session, [one, two], WHOLE_SHOP)
        one.name = "mine"
        gone = one.orders.pop(0)
        new = Order(number="new", status="open", placed_at=shop.FIRST_DAY)
        two.orders.append(new)
        moved = one.orders[0].lines[0]
        moved.order = two.orders[0]
        two.city = None
        before = fingerprint(session, [one, two])
        with no_sql(database):
            first, second = detach(session, [one, two], WHOLE_SHOP, copy=True)
        assert fingerprint(session, [one, two]) == before
        assert not any(each in session for each in reached(first, second))
        assert changes(first)["name"] == Change("Customer 1", "mine")
        (removed,) = changes(first)["orders"].removed  # type: ignore[union-attr] # a collection's change
        assert (removed is not gone, inspect(removed).key) == (True, inspect(gone).key)
        (added,) = changes(second)["orders"].added  # type: ignore[union-attr] # the same
        assert (added is not new, inspect(added).transient, added.number) == (True, True, "new")
        assert changes(second)["city"] == Change("Cork", None)
        (line,) = [each for each in second.orders[0].lines if each.id == moved.id]
        assert changes(line)["order"] == Change(first.orders[0], second.orders[0])
        session.commit()
        assert session.get_one(Line, moved.id).order_id == 3
    assert len(rows(database, Order)) == 4


def test_a_base_that_nobody_knew_is_read_and_noted_on_the_copy_alone(database: Database) -> None:
    stock(database, columns, Document(title="t", body="old"), Settings(name="s", plain={"a": 1}, tracked={"a": 1}))
    with database.session(autoflush=False) as session:
        document, settings = everything(session, Document)[0], everything(session, Settings)[0]
        document.body = "mine"
        settings.tracked["b"] = 2
        settings.plain = {"b": 2}
        before = fingerprint(session, [document, settings])
        twins = detach(session, [document, settings], copy=True)
        assert fingerprint(session, [document, settings]) == before
        assert changes(twins[0]) == {"body": Change("old", "mine")}
        assert changes(twins[1]) == {"plain": Change({"a": 1}, {"b": 2}), "tracked": Change({"a": 1}, {"a": 1, "b": 2})}


def test_values_that_can_be_changed_in_place_are_copied_too(database: Database) -> None:
    stock(database, columns, Settings(name="s", plain={"a": [1]}, tracked={"a": 1}))
    stock(database, odd, odd.Box(id=1, labels={"a": "b"}, corner=odd.Corner(3, 4)))
    with database.session() as session:
        settings, box = everything(session, Settings)[0], everything(session, odd.Box)[0]
        twin, other = detach(session, [settings, box], copy=True)
        twin.plain["a"].append(2)
        twin.tracked["b"] = 2
        other.labels["c"] = "d"
        other.corner.x = 9
        assert (settings.plain, settings.tracked) == ({"a": [1]}, {"a": 1})
        assert (box.labels, box.corner.x) == ({"a": "b"}, 3)
        assert not session.dirty
        settings.tracked["home"] = 1
        assert changes(twin) == {
            "plain": Change({"a": [1]}, {"a": [1, 2]}),
            "tracked": Change({"a": 1}, {"a": 1, "b": 2}),
        }
        assert set(changes(other)) == {"labels", "corner"}


def test_an_edited_composite_is_copied_as_one(database: Database) -> None:
    stock(database, columns, Drawing(name="d", start=Point(1, 2)))
    with database.session(autoflush=False) as session:
        (drawing,) = everything(session, Drawing)
        drawing.start = Point(5, 6)
        (twin,) = detach(session, drawing, copy=True)
        assert twin.start == Point(5, 6)
        assert changes(twin) == {"start": Change(Point(1, 2), Point(5, 6))}


def test_an_edit_outside_the_shape_stays_with_the_session(database: Database) -> None:
    open_shop(database, 1, 1, 0)
    with database.session(autoflush=False) as session:
        (customer,) = session.scalars(select(Customer).options(selectinload(Customer.orders)))
        customer.name = "mine"
        customer.city = "mine"
        customer.orders.clear()
        (twin,) = detach(session, customer, load_only(Customer.name), copy=True)
        assert changes(twin) == {"name": Change("Customer 1", "mine")}
        session.commit()
        assert (customer.city, customer.orders) == ("mine", [])


def test_an_edited_reference_is_copied_with_what_it_was(database: Database) -> None:
    open_shop(database, 2, 1, 0)
    with database.session(autoflush=False) as session:
        orders = list(session.scalars(select(Order).options(selectinload(Order.customer)).order_by(Order.id)))
        one, two = (order.customer for order in orders)
        orders[0].customer = two
        (twin,) = detach(session, orders[0], selectinload(Order.customer), copy=True)
        change: Any = changes(twin)["customer"]
        assert [inspect(side).key for side in (change.old, change.new)] == [inspect(one).key, inspect(two).key]
        assert change.new is twin.customer is not two
        (bare,) = detach(session, orders[0], copy=True)
        assert inspect(bare.customer).key == inspect(two).key
        assert base_value(instance_state(bare), "customer_id") == 1


def test_dicts_keep_their_keys_and_lists_their_positions(database: Database) -> None:
    stock(database, relations, *library())
    stock(database, odd, odd.Box(id=1, corner=odd.Corner(1, 2), pins=[odd.Pin(id=7), odd.Pin(id=5)]))
    with database.session(autoflush=False) as session:
        article, box = session.get_one(Article, 1), session.get_one(odd.Box, 1)
        article.notes["z"] = Note(keyword="z", text="new")
        del article.notes["a"]
        load = [selectinload(Article.notes), selectinload(odd.Box.pins)]
        twins: list[Any] = detach(session, [article, box], *load, copy=True)
        twin, other = twins
        assert {key: note.text for key, note in twin.notes.items()} == {"b": "x", "z": "new"}
        assert [(pin.id, pin.position) for pin in other.pins] == [(7, 0), (5, 1)]
        assert type(other.pins) is type(box.pins)
        session.rollback()


def test_a_copy_comes_home_with_its_edits(database: Database) -> None:
    open_shop(database, 1, 2, 1)
    with database.session() as session:
        customers = everything(session, Customer)
        (twin,) = detach(session, customers, WHOLE_SHOP, copy=True)
        twin.name = "mine"
        del twin.orders[0]
        twin.orders[0].lines[0].qty = 99
        attach(session, twin)
        session.commit()
        assert (customers[0].name, [order.id for order in customers[0].orders]) == ("mine", [2])
    assert [line.qty for line in rows(database, Line)] == [99]


# --- the session, and what it keeps ----------------------------------------------------------------------------------


def test_the_session_is_as_before(database: Database) -> None:
    stock(database, inheritance, *park())
    with database.session(autoflush=False) as session:
        owners = list(session.scalars(select(Owner).options(selectinload(Owner.animals), selectinload(Owner.vehicles))))
        detach(session, owners, selectinload(Owner.animals), selectinload(Owner.vehicles), copy=True)  # fills
        owners[0].animals[0].name = "mine"
        session.add(Owner(name="new"))
        session.delete(owners[1].vehicles[0])
        before = fingerprint(session, owners)
        twins = detach(session, owners[0], selectinload(Owner.animals), selectinload(Owner.vehicles), copy=True)
        assert fingerprint(session, owners) == before
        assert [type(one) for one in twins[0].animals] == [type(one) for one in owners[0].animals]
        assert [type(one) for one in twins[0].vehicles] == [type(one) for one in owners[0].vehicles]


def test_no_constructor_runs_and_the_load_event_does(sqlite: Database) -> None:
    stock(sqlite, odd, odd.Watched("x"))
    with sqlite.session() as session:
        (watched,) = everything(session, odd.Watched)
        watched.made_by = "nobody"
        (twin,) = detach(session, watched, copy=True)
        assert (twin.made_by, watched.made_by) == ("reconstructor", "nobody")


def test_a_new_object_is_copied_as_new(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    with sqlite.session(autoflush=False) as session:
        customer = session.get_one(Customer, 1)
        new = Order(number="new", customer=customer)
        session.add(new)
        (twin,) = detach(session, new, copy=True)
        assert (inspect(twin).transient, new in session.new, twin.number) == (True, True, "new")
        assert twin.customer is not customer


@pytest.mark.parametrize("flush", FLUSHES, ids=lambda one: one.__name__.strip("_"))
def test_what_was_flushed_and_not_committed_is_copied_only_where_allowed(database: Database, flush: Any) -> None:
    open_shop(database, 1, 1, 0)
    with database.session() as session:
        (customer,) = session.scalars(select(Customer).options(selectinload(Customer.orders)))
        flush(session, customer)
        session.connection()
        before = fingerprint(session, [customer])
        with pytest.raises(UncommittedError):
            detach(session, customer, copy=True)
        assert fingerprint(session, [customer]) == before
        (twin,) = detach(session, customer, copy=True, uncommitted="allow")
        assert twin.name == customer.name
        session.rollback()


def test_deleted_objects_strangers_and_missing_rows_are_refused(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    with database.session() as session:
        one, two = everything(session, Customer)
        with pytest.raises(WrongSessionError):
            detach(session, [one, Customer()], copy=True)
        session.delete(two)
        with pytest.raises(UncommittedError):
            detach(session, [one, two], copy=True)
        session.rollback()
        with others(database) as other:
            other.execute(delete(Customer).where(Customer.id == 2))
        with pytest.raises(MissingRowError):
            detach(session, [one, two], copy=True)
        assert detach(session, one, copy=True)[0].name == "Customer 1"


def test_an_object_that_only_a_staying_one_refers_to_may_be_copied(database: Database) -> None:
    stock(database, relations, *library())
    with database.session(autoflush=False) as session:
        article, bob = session.get_one(Article, 2), session.get_one(Person, 2)
        article.author = bob
        (twin,) = detach(session, bob, copy=True)  # to move him would tear the edit apart
        assert (twin.name, article.author) == ("Bob", bob)
        assert article in session.dirty


def test_the_copies_can_be_copied_and_their_collections_are_their_own(sqlite: Database) -> None:
    stock(sqlite, loading, *loading.grounds_teams_players())
    with sqlite.session() as session:
        team = session.get_one(Team, 1)
        (twin,) = detach(session, team, selectinload(Team.players), copy=True)
        twin.players.pop()
        assert len(team.players) == 3
        other = copy.deepcopy(twin)
        assert [player.number for player in other.players] == [3, 2]
        assert isinstance(session, Session)
