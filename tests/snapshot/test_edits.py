"""Edits leave with their base and are edits again: SQLAlchemy's own history says the same before and after."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Session, defer, joinedload, load_only, make_transient, selectinload
from sqlalchemy.orm.attributes import flag_modified, set_committed_value

from sojourn.errors import UNKNOWN
from sojourn.session.discard import discard
from sojourn.snapshot import loads
from sojourn.sqlalchemy_internals import is_orphan, pending_mutations
from tests.databases import Database
from tests.models import columns, keys, relations, shop
from tests.models.columns import Document, Point, Settings, Shape
from tests.models.keys import Country, Node
from tests.models.relations import Article, Link, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order, fill
from tests.snapshot.documents import document_of, dumped, edits, history


@pytest.fixture
def session(sqlite: Database) -> Session:
    sqlite.create(*(module.Base.metadata for module in (columns, keys, relations, shop)))
    session = sqlite.session()
    fill(session, customers=2, orders=2, lines=2)
    session.add_all(
        [
            Person(id=1, name="Ann", passport=Passport(id=1, number="P")),
            Person(id=2, name="Bob"),
            Article(
                id=1,
                title="t",
                author_id=1,
                tags=[Tag(id=1, name="one"), Tag(id=2, name="two")],
                notes={"a": Note(id=1, keyword="a", text="x"), "b": Note(id=2, keyword="b", text="y")},
                links={Link(id=1, url="u"), Link(id=2, url="v")},
            ),
            Country(code="BE", name="Belgium"),
            Settings(id=1, name="s", plain={"a": [1]}, tracked={"a": 1}),
            Shape(id=1, name="line", start=Point(1, 2), end=Point(3, 4)),
            Document(id=1, title="t", body="long"),
        ]
    )
    session.commit()
    return session


def customers(session: Session) -> list[Customer]:
    options = selectinload(Customer.orders).selectinload(Order.lines)
    return session.query(Customer).options(options).order_by(Customer.id).all()


def article(session: Session) -> Article:
    options = (
        selectinload(Article.tags).selectinload(Tag.articles),
        selectinload(Article.notes),
        selectinload(Article.links),
        joinedload(Article.author),
    )
    return session.query(Article).options(*options).one()


def in_words(value: Any) -> Any:
    """A value of a history, with members by class and key."""
    if value is None:
        return []
    return [
        f"{type(each).__name__} {inspect(each).identity}" if hasattr(each, "__mapper__") else each for each in value
    ]


def same_history(one: Any, other: Any, key: str) -> bool:
    return [in_words(part) for part in history(one, key)] == [in_words(part) for part in history(other, key)]


def test_an_edited_column_has_its_base_in_the_history_and_in_the_document(session: Session) -> None:
    original = customers(session)[0]
    original.name = "first"
    original.name = "second"
    original.city = None
    (copy,) = loads(dumped(original), shop.Base)
    assert edits(copy) == {"name": "Customer 1", "city": "Bergen"}
    assert inspect(copy).modified
    for key in ("name", "city", "email"):
        assert same_history(original, copy, key)
    assert document_of(original)["tables"][0]["edits"] == [{"row": 0, "base": {"name": "Customer 1", "city": "Bergen"}}]


def test_an_edit_of_an_unloaded_column_has_an_unknown_base(session: Session) -> None:
    original = session.query(Customer).options(load_only(Customer.name)).filter_by(id=1).one()
    original.city = "Delft"
    session.expunge(original)
    (copy,) = loads(dumped(original), shop.Base)
    assert edits(copy) == {"city": UNKNOWN}
    assert copy.city == "Delft"
    assert history(copy, "city") == (["Delft"], (), ())
    assert document_of(original)["tables"][0]["edits"] == [{"row": 0, "unknown": ["city"]}]


def test_a_value_that_was_set_back_is_no_edit(session: Session) -> None:
    original = customers(session)[0]
    original.name = "other"
    original.name = "Customer 1"
    original.orders[0].customer = original.orders[0].customer
    original.orders.append(original.orders.pop(0))
    original.orders.insert(0, original.orders.pop())
    assert not any("edits" in table for table in document_of(original)["tables"])
    (copy,) = loads(dumped(original), shop.Base)
    assert not inspect(copy).modified


def test_a_deleted_value_travels_as_none(session: Session) -> None:
    original = customers(session)[0]
    del original.city
    (copy,) = loads(dumped(original), shop.Base)
    assert copy.city is None
    assert edits(copy) == {"city": "Bergen"}


def test_an_edited_primary_key_leaves_the_identity_as_it_was(session: Session) -> None:
    original = session.get_one(Country, "BE")
    original.code = "XX"
    (copy,) = loads(dumped(original), keys.Base)
    assert inspect(copy).identity == ("BE",)
    assert copy.code == "XX"
    assert same_history(original, copy, "code")
    assert document_of(original)["tables"][0]["edits"] == [{"row": 0, "base": {"code": "BE"}}]


def test_an_edited_reference_knows_whom_it_pointed_to(session: Session) -> None:
    original = article(session)
    original.author = session.get_one(Person, 2)
    (copy,) = loads(dumped(original), relations.Base)
    assert copy.author.name == "Bob"
    assert same_history(original, copy, "author")
    original.author = None
    (copy,) = loads(dumped(original), relations.Base)
    assert copy.author is None
    assert same_history(original, copy, "author")


def test_a_reference_that_was_not_loaded_before_it_was_set_has_an_unknown_base(session: Session) -> None:
    original = session.query(Article).one()
    session.expunge(original)
    original.author = Person(name="new")
    (copy,) = loads(dumped(original), relations.Base)
    assert copy.author.name == "new"
    assert history(copy, "author") == ([copy.author], (), ())
    assert document_of(original)["tables"][0]["edits"] == [{"row": 0, "unknown": ["author"]}]


@pytest.mark.parametrize("key", ["tags", "notes", "links"])
def test_an_edited_collection_knows_its_former_members(session: Session, key: str) -> None:
    original = article(session)
    collection = getattr(original, key)
    if key == "tags":
        collection.append(Tag(name="new"))
        collection.remove(collection[0])
    elif key == "notes":
        collection["c"] = Note(keyword="c", text="new")
        del collection["a"]
    else:
        collection.add(Link(url="new"))
        collection.remove(next(link for link in collection if link.url == "u"))
    (copy,) = loads(dumped(original), relations.Base)
    before, after = history(original, key), history(copy, key)
    for part_before, part_after in zip(before, after, strict=True):
        assert sorted(in_words(part_before)) == sorted(in_words(part_after))
    assert len(after.added) == len(after.deleted) == 1
    assert after.added[0] in (getattr(copy, key).values() if key == "notes" else getattr(copy, key))


def test_both_sides_of_a_moved_member_are_edits(session: Session) -> None:
    one, two = customers(session)
    moved = one.orders[0]
    two.orders.append(moved)
    copies = loads(dumped([one, two]), shop.Base)
    assert [[order.id for order in copy.orders] for copy in copies] == [[2], [3, 4, 1]]
    for original, copy in zip([one, two], copies, strict=True):
        assert same_history(original, copy, "orders")
    assert same_history(moved, copies[1].orders[2], "customer")


def test_a_moved_child_is_no_orphan_and_a_removed_one_is(session: Session, sqlite: Database) -> None:
    one, two = customers(session)
    two.orders.append(one.orders[0])
    one.orders.remove(one.orders[0])
    session.expunge_all()
    with sqlite.session() as other:
        other.add_all(loads(dumped([one, two]), shop.Base))
        other.commit()
    with sqlite.session() as third:
        assert [[order.id for order in customer.orders] for customer in customers(third)] == [[], [1, 3, 4]]
        assert third.get(Order, 2) is None


def test_orphans_are_orphans_and_members_that_moved_are_none(session: Session) -> None:
    one, two = customers(session)
    moved, removed = one.orders
    for order in (moved, removed):
        one.orders.remove(order)
    two.orders.append(moved)
    two.orders.append(new := Order(number="new"))
    orders = [moved, removed, new]
    copies = loads(dumped([*orders, one, two]), shop.Base)[:3]
    assert [is_orphan(inspect(order)) for order in orders] == [False, True, False]
    assert [is_orphan(inspect(order)) for order in copies] == [False, True, False]


def test_members_of_a_collection_that_is_not_loaded_are_marked_alike(session: Session) -> None:
    one = session.get_one(Customer, 1)
    removed = session.query(Order).options(joinedload(Order.customer)).filter_by(id=1).one()
    session.expunge_all()
    removed.customer = None  # type: ignore[assignment]  # the test takes it out
    added = Order(number="new", customer=one)
    copies = loads(dumped([one, removed, added]), shop.Base)[1:]
    assert [is_orphan(inspect(order)) for order in (removed, added)] == [True, False]
    assert [is_orphan(inspect(order)) for order in copies] == [True, False]


def test_a_new_member_is_no_orphan_though_nobody_recorded_that_it_came(session: Session) -> None:
    original = Customer(name="n")
    set_committed_value(original, "orders", [Order(number="new")])
    (copy,) = loads(dumped(original), shop.Base)
    assert not is_orphan(inspect(copy.orders[0]))


def test_an_edit_is_found_in_the_midst_of_objects_that_hold_the_same(session: Session) -> None:
    one, two = session.query(Customer).options(defer(Customer.city)).order_by(Customer.id).all()
    assert two.city == "Cork"
    del two.city
    assert one.__dict__.keys() == two.__dict__.keys()
    copies = loads(dumped([one, two]), shop.Base)
    assert [edits(copy) for copy in copies] == [{}, {"city": "Cork"}]


def test_a_flush_of_the_copy_writes_what_a_flush_of_the_original_writes(session: Session, sqlite: Database) -> None:
    def edit(customer: Customer) -> None:
        customer.city = "Delft"
        customer.orders[0].status = "lost"
        customer.orders[1].lines.remove(customer.orders[1].lines[0])
        customer.orders.append(
            Order(number="new", status="open", placed_at=shop.FIRST_DAY, lines=[Line(sku="S", qty=1, price=0)])
        )

    original, _ = customers(session)
    edit(original)
    session.expunge_all()
    (copy,) = loads(dumped(original), shop.Base)
    logs = []
    for obj in (original, copy):
        with sqlite.session() as other:
            other.add(obj)
            with sqlite.statements() as log:
                other.flush()
            logs.append([(statement.sql, statement.parameters) for statement in log])
            other.rollback()
            other.expunge_all()
    assert logs[0] == logs[1]
    assert {sql.split()[0] for sql, _ in logs[0]} == {"UPDATE", "INSERT", "DELETE"}


def test_members_that_came_and_went_while_the_collection_was_not_loaded_travel_as_such(session: Session) -> None:
    original = session.get_one(Customer, 1)
    leaving = session.query(Order).options(joinedload(Order.customer)).filter_by(id=1).one()
    session.expunge_all()
    leaving.customer = None  # type: ignore[assignment]  # the test takes it out
    arriving = Order(number="new", customer=original)
    assert leaving.customer is None
    (copy, _) = loads(dumped([original, leaving]), shop.Base)
    assert "orders" not in copy.__dict__
    ((added,), (removed,)) = pending_mutations(inspect(copy), "orders")
    assert removed.id == leaving.id
    assert added.number == arriving.number
    assert added.customer is copy
    (table,) = (table for table in document_of([original, leaving])["tables"] if table["entity"] == "Customer")
    assert table["edits"][0]["added"].keys() == {"orders"}
    assert table["edits"][0]["removed"].keys() == {"orders"}
    assert dumped(loads(dumped(original), shop.Base)) == dumped(original)


def test_a_change_through_a_mutable_type_has_a_base_and_goes_on_being_tracked(session: Session) -> None:
    original = session.query(Settings).one()
    (untouched,) = loads(dumped(original), columns.Base)
    assert not inspect(untouched).modified
    assert type(untouched.tracked) is type(original.tracked)
    assert untouched.tracked is not None
    untouched.tracked["b"] = 2
    assert edits(untouched) == {"tracked": {"a": 1}}
    (again,) = loads(dumped(untouched), columns.Base)
    assert again.tracked == {"a": 1, "b": 2}
    assert edits(again) == {"tracked": {"a": 1}}
    again.tracked["c"] = 3
    assert edits(again) == {"tracked": {"a": 1}}
    del again.tracked["c"], again.tracked["b"]
    assert edits(again) == {}


def test_plain_json_that_is_changed_in_place_while_away_is_an_edit(session: Session) -> None:
    away: Settings
    (away,) = loads(dumped(session.query(Settings).one()), columns.Base)
    assert away.plain is not None
    away.plain["a"].append(2)
    (copy,) = loads(dumped(away), columns.Base)
    assert copy.plain == {"a": [1, 2]}
    assert edits(copy) == {"plain": {"a": [1]}}
    assert history(copy, "plain") == ([{"a": [1, 2]}], (), [{"a": [1]}])


def test_a_flagged_value_of_an_unknown_base_stays_unknown(session: Session) -> None:
    original = session.query(Settings).one()
    session.expunge(original)
    flag_modified(original, "plain")
    (copy,) = loads(dumped(original), columns.Base)
    assert edits(copy) == {"plain": UNKNOWN}


def test_an_edited_composite_is_an_edit_of_its_columns(session: Session) -> None:
    original = session.query(Shape).one()
    original.start = Point(8, 2)
    (copy,) = loads(dumped(original), columns.Base)
    assert copy.start == Point(8, 2)
    assert edits(copy) == {"x1": 1}
    assert inspect(copy).attrs.start.history == inspect(original).attrs.start.history


def test_the_version_counter_is_a_plain_column(session: Session) -> None:
    original = session.query(Document).one()
    original.title = "edited"
    (copy,) = loads(dumped(original), columns.Base)
    assert copy.version == 1
    assert edits(copy) == {"title": "t"}


# --- new objects -----------------------------------------------------------------------------------------------------


def test_new_objects_are_transient_and_are_inserted_with_their_graph(session: Session, sqlite: Database) -> None:
    original = Customer(name="n", email="e", balance=1)
    original.orders.append(
        Order(number="x", status="open", placed_at=shop.FIRST_DAY, lines=[Line(sku="S", qty=1, price=2)])
    )
    (copy,) = loads(dumped(original), shop.Base)
    assert inspect(copy).transient
    assert inspect(copy).modified
    assert same_history(original, copy, "name")
    assert history(copy, "orders").added == copy.orders
    with sqlite.session() as other:
        other.add(copy)
        other.commit()
        assert (copy.id, copy.orders[0].customer_id, copy.orders[0].lines[0].order_id) == (3, 3, 5)


def test_a_new_member_of_a_stored_owner_is_no_orphan(session: Session, sqlite: Database) -> None:
    person = session.query(Person).options(selectinload(Person.passport)).filter_by(id=2).one()
    person.passport = Passport(number="new")
    session.expunge_all()
    (copy,) = loads(dumped(person), relations.Base)
    with sqlite.session() as other:
        other.add(copy)
        other.commit()
        assert copy.passport.person_id == 2


def test_a_new_object_keeps_its_token_from_dump_to_dump_and_back(session: Session) -> None:
    original = Customer(name="n")
    (table,) = document_of(original)["tables"]
    (token,) = table["new"]
    assert inspect(original).info["sojourn.token"] == token
    assert document_of(original)["tables"][0]["new"] == [token]
    (copy,) = loads(dumped(original), Customer)
    assert inspect(copy).info["sojourn.token"] == token
    assert document_of(copy)["tables"][0]["new"] == [token]
    assert document_of(Customer(name="n"))["tables"][0]["new"] != [token]


def test_a_pending_object_is_new_and_stays_in_its_session(session: Session) -> None:
    session.add(original := Customer(name="n"))
    (copy,) = loads(dumped(original), Customer)
    assert inspect(copy).transient
    assert inspect(original).pending


def test_what_was_not_set_on_a_new_object_is_left_to_the_database(session: Session) -> None:
    (copy,) = loads(dumped(columns.Audited(name="n")), columns.Base)
    assert copy.__dict__.keys() & {"status", "made_by", "revision"} == set()
    assert copy.status is None


def test_a_reference_that_a_new_object_did_not_edit_is_not_edited_afterwards(session: Session) -> None:
    order = session.query(Order).options(joinedload(Order.customer)).filter_by(id=1).one()
    make_transient(order)
    order.id = None  # type: ignore[assignment]  # a copy to be
    assert history(order, "customer").added == ()
    (copy,) = loads(dumped(order), shop.Base)
    assert history(copy, "customer") == ((), [copy.customer], ())


def test_a_tree_of_new_and_stored_nodes_keeps_its_shape(session: Session) -> None:
    session.add(Node(id=1, name="root", children=[Node(id=2, name="a"), Node(id=3, name="b")]))
    session.commit()
    root = session.query(Node).options(selectinload(Node.children, recursion_depth=3)).filter_by(id=1).one()
    a, b = root.children
    a.children.append(Node(name="new", children=[b]))
    (copy,) = loads(dumped(root), keys.Base)
    (a_copy,) = copy.children
    (new,) = a_copy.children
    (b_copy,) = new.children
    assert [each.name for each in (a_copy, new, b_copy)] == ["a", "new", "b"]
    assert inspect(new).transient
    assert history(copy, "children").deleted == [b_copy]
    assert same_history(b, b_copy, "parent")


def test_a_reference_that_was_set_unseen_and_then_deleted_is_an_edit_to_none(session: Session) -> None:
    original = session.query(Article).one()
    session.expunge(original)
    original.author = Person(name="new")
    del original.author
    (copy,) = loads(dumped(original), relations.Base)
    assert copy.__dict__["author"] is None
    assert document_of(original)["tables"][0]["edits"] == [{"row": 0, "unknown": ["author"]}]


def test_the_former_value_of_a_mutable_column_is_tracked_again_when_it_is_put_back(session: Session) -> None:
    settings = session.get_one(Settings, 1)
    settings.tracked = {"a": 2}
    (copy,) = loads(dumped(settings), Settings)
    assert (copy.tracked, edits(copy)) == ({"a": 2}, {"tracked": {"a": 1}})
    discard(copy)
    assert type(copy.tracked) is MutableDict
    assert not inspect(copy).modified
    copy.tracked["b"] = 3
    assert inspect(copy).modified
    assert edits(copy).keys() == {"tracked"}
