"""What attach meets seldom: keys that are no primary keys, join conditions that are no foreign keys, places that are
gone, and what only the session itself knows."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import selectinload, undefer

from sojourn.errors import BadArgumentError, ConflictError, WrongSessionError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.refresh import refresh
from sojourn.snapshot import dumps, loads
from tests.databases import Database
from tests.models import columns, corners, keys, odd, peculiar, relations
from tests.models.columns import Point, Shape
from tests.models.corners import Crate, Depot, Owner, Papers, Sign, Spot, Tool, Truck
from tests.models.keys import Book, Shelf
from tests.models.odd import Box, Corner
from tests.models.peculiar import Crate as Chest
from tests.models.peculiar import Pack
from tests.models.relations import Article, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import (
    away,
    fingerprint,
    line_of,
    open_shop,
    others,
    partly_away,
    row,
    rows,
    shop_away,
)

DEPOT = (selectinload(Depot.trucks).selectinload(Truck.papers), selectinload(Depot.crates))


def depots(database: Database) -> list[Depot]:
    """The depots "a" with a truck, its papers, a tool and a crate, "b" with none, and "c"; detached."""
    database.create(corners.Base.metadata)
    with others(database) as session:
        first = Depot(id=1, code="a")
        first.trucks.append(Truck(id=1, plate="one", papers=Papers(id=1, number="one")))
        first.tools.append(Tool(id=1, name="saw"))
        first.crates["nails"] = Crate(id=1, label="nails", content="steel")
        session.add_all([first, Depot(id=2, code="b"), Depot(id=3, code="c")])
    return away(database, Depot, *DEPOT, selectinload(Depot.tools))


# --- keys that are no primary keys, and join conditions that are no foreign keys --------------------------------------


@pytest.mark.parametrize("policy", ["raise", "mine", "theirs"])
@pytest.mark.parametrize("held", [False, True])
def test_a_reference_through_a_unique_column_merges(sqlite: Database, policy: Any, held: bool) -> None:
    first, second, _ = depots(sqlite)
    truck = first.trucks[0]
    truck.depot = second
    with others(sqlite) as session:
        session.get_one(Truck, 1).depot_code = "c"
    with sqlite.session() as session:
        at_home = [*session.query(Depot), *session.query(Truck)] if held else []
        if policy == "raise":
            with pytest.raises(ConflictError) as caught:
                attach(session, [first, second])
            assert [conflict.attribute for conflict in caught.value.conflicts] == ["depot"]
            return
        attach(session, [first, second], on_conflict=policy)
        session.commit()
        assert at_home == [] or session.get_one(Truck, 1) in at_home
    assert row(sqlite, Truck, 1).depot_code == {"mine": "b", "theirs": "c"}[policy]


def test_a_row_whose_owner_is_known_by_a_unique_column_alone_is_merged_beside_the_owners_removal(
    sqlite: Database,
) -> None:
    depots(sqlite)
    [truck] = partly_away(sqlite, Truck)
    truck.plate = "mine"
    with sqlite.session() as session:
        depot = session.get_one(Depot, 2)
        session.delete(depot)  # it has no trucks
        attach(session, truck)
        session.commit()
    assert row(sqlite, Truck, 1).plate == "mine"


@pytest.mark.parametrize("held", [False, True])
def test_a_reference_whose_join_says_more_than_its_foreign_key_is_written_as_mine(sqlite: Database, held: bool) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add_all([Spot(id=1, state="open"), Spot(id=2, state="open")])
        session.get_one(Truck, 1).spot_id = 1
    [truck] = away(sqlite, Truck, selectinload(Truck.spot))
    truck.spot = away(sqlite, Spot)[1]
    with sqlite.session() as session:
        home = session.get_one(Truck, 1) if held else truck
        assert attach(session, truck).updated == [home]
        session.commit()
    assert row(sqlite, Truck, 1).spot_id == 2


def test_such_a_reference_that_was_emptied_is_empty_on_a_row_made_again(sqlite: Database) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add(Spot(id=1, state="open"))
        session.get_one(Truck, 1).spot_id = 1
    [truck] = away(sqlite, Truck, selectinload(Truck.spot))
    truck.spot = None
    with others(sqlite) as session:
        session.delete(session.get_one(Truck, 1))
    with sqlite.session() as session:
        assert attach(session, truck, on_missing="recreate").inserted == [truck]
        assert truck.spot is None
        session.commit()


@pytest.mark.parametrize("policy", ["raise", "mine", "theirs"])
def test_a_move_between_collections_without_a_way_back_merges(sqlite: Database, policy: Any) -> None:
    first, second, _ = depots(sqlite)
    tool = first.tools.pop()
    second.tools.append(tool)
    with others(sqlite) as session:
        session.get_one(Tool, 1).depot_id = 3
    with sqlite.session() as session:
        if policy == "raise":
            with pytest.raises(ConflictError) as caught:
                attach(session, [first, second])
            [conflict] = caught.value.conflicts
            assert (conflict.attribute, conflict.base, conflict.mine, conflict.theirs) == (
                "tools",
                *((Depot, (key,), None) for key in (1, 2, 3)),
            )
            return
        report = attach(session, [first, second], on_conflict=policy)
        assert report.updated == ([tool] if policy == "mine" else [])
        session.commit()
    assert row(sqlite, Tool, 1).depot_id == {"mine": 2, "theirs": 3}[policy]


@pytest.mark.parametrize(("policy", "result"), [("raise", None), ("mine", 2), ("theirs", 3), ("untouched", 2)])
def test_a_reference_whose_foreign_key_is_not_loaded_merges(sqlite: Database, policy: Any, result: int | None) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add_all([Owner(id=number, name=str(number)) for number in (1, 2, 3)])
        session.get_one(Tool, 1).owner_id = 1
    [tool] = partly_away(sqlite, Tool, selectinload(Tool.owner))
    assert "owner_id" in inspect(tool).unloaded
    tool.owner = away(sqlite, Owner)[1]
    if policy == "untouched":
        policy = "raise"
    else:
        with others(sqlite) as session:
            session.get_one(Tool, 1).owner_id = 3
    with sqlite.session() as session:
        if result is None:
            with pytest.raises(ConflictError) as caught:
                attach(session, tool)
            [conflict] = caught.value.conflicts
            assert [side[1] for side in (conflict.base, conflict.mine, conflict.theirs)] == [(1,), (2,), (3,)]
            return
        attach(session, tool, on_conflict=policy)
        assert tool.owner is not None
        assert tool.owner.id == result
        session.commit()
    assert rows(sqlite, Tool, undefer(Tool.owner_id))[0].owner_id == result


@pytest.mark.parametrize("held", [False, True])
def test_a_reference_that_others_moved_to_somebody_unseen_is_loaded_on_demand(sqlite: Database, held: bool) -> None:
    open_shop(sqlite, 3, 1, 0)
    first, second, _ = away(sqlite, Order, selectinload(Order.customer))
    first.customer = second.customer
    with others(sqlite) as session:
        session.get_one(Order, 1).customer_id = 3
    with sqlite.session() as session, sqlite.statements() as log:
        home = session.get_one(Order, 1) if held else first
        assert attach(session, first, on_conflict="theirs").updated == []
        assert home.customer.id == 3
        session.commit()
        assert log.updates == []


# --- places that are gone ---------------------------------------------------------------------------------------------


def test_what_i_put_into_a_place_that_is_gone_stays_where_it_was(sqlite: Database) -> None:
    open_shop(sqlite, 1, 2, 1)
    [mine] = shop_away(sqlite)
    first, second = mine.orders
    line = first.lines.pop()
    second.lines.append(line)
    with others(sqlite) as session:
        session.delete(session.get_one(Order, 2))
    with sqlite.session() as session:
        report = attach(session, mine, on_missing="skip")
        assert first.lines == [line]
        assert report.deleted == report.updated == []
        session.commit()
    assert row(sqlite, Line, 1).order_id == 1


def test_what_i_removed_is_deleted_where_its_owner_is_gone(sqlite: Database) -> None:
    open_shop(sqlite, 1, 2, 1)
    [mine] = shop_away(sqlite)
    line = mine.orders[0].lines.pop()
    with others(sqlite) as session:
        session.get_one(Line, 1).order_id = 2
        session.flush()
        session.delete(session.get_one(Order, 1))
    with sqlite.session() as session:
        report = attach(session, mine, on_missing="skip", on_conflict="mine")
        assert report.deleted == [line]
        session.commit()
    assert [one.id for one in rows(sqlite, Line)] == [2]


def test_a_reference_leaves_a_place_that_is_gone(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    with others(sqlite) as session:
        session.add_all([Shelf(room="a", number=1, books=[Book(title="book")]), Shelf(room="b", number=2)])
    gone, other = away(sqlite, Shelf, selectinload(Shelf.books))
    book = gone.books[0]
    gone.label = "mine"
    book.shelf = other
    with others(sqlite) as session:
        session.delete(session.get_one(Shelf, ("a", 1)))
    with sqlite.session() as session:
        report = attach(session, [gone, other], on_missing="skip", on_conflict="mine")
        assert report.instances == [None, other]
        assert other.books == [book]
        session.commit()
    assert rows(sqlite, Book)[0].shelf_room == "b"


def test_a_row_made_again_fills_its_place_at_home(sqlite: Database) -> None:
    depots(sqlite)
    [papers] = away(sqlite, Papers, selectinload(Papers.truck))
    papers.number = "mine"
    with others(sqlite) as session:
        session.delete(session.get_one(Papers, 1))
    with sqlite.session() as session:
        home = session.get_one(Truck, 1)
        assert home.papers is None
        attach(session, papers, on_missing="recreate")
        assert home.papers is papers
        session.commit()
    assert row(sqlite, Papers, 1).truck_id == 1


def test_a_branch_that_the_session_still_holds_is_made_again(sqlite: Database) -> None:
    open_shop(sqlite, 1, 1, 1)
    [mine] = shop_away(sqlite)
    mine.orders[0].status = "mine"
    mine.orders[0].lines[0].qty = 50
    with sqlite.session() as session:
        order, line = session.get_one(Order, 1), session.get_one(Line, 1)
        session.commit()
        with others(sqlite) as other:
            other.delete(other.get_one(Order, 1))
        report = attach(session, mine, on_missing="recreate")
        assert report.inserted == [order, line]
        assert line.order is order
        session.commit()
    assert (row(sqlite, Order, 1).status, row(sqlite, Line, 1).qty) == ("mine", 50)


def test_a_row_made_again_may_refer_to_what_the_session_holds(sqlite: Database) -> None:
    open_shop(sqlite, 1, 2, 1)
    [line, _] = partly_away(sqlite, Line)
    with others(sqlite) as session:
        session.delete(session.get_one(Line, 1))
    with sqlite.session() as session:
        order = session.get_one(Order, 2)
        line.order = order
        report = attach(session, line, on_missing="recreate")
        assert report.inserted == [line]
        session.commit()
    assert row(sqlite, Line, 1).order_id == 2


def test_a_plainly_expunged_branch_is_made_again_with_its_references(sqlite: Database) -> None:
    open_shop(sqlite, 1, 1, 1)
    with sqlite.session() as session:
        order = session.get_one(Order, 1, options=[selectinload(Order.lines)])
        session.expunge_all()
    [line] = order.lines
    assert "order" in inspect(line).unloaded  # which SQLAlchemy does not fill from the collection
    line_of(order, "new")
    with others(sqlite) as session:
        session.delete(session.get_one(Order, 1))
    with sqlite.session() as session:
        attach(session, order, on_missing="recreate")
        assert line.order is order
        session.commit()
    assert [(one.sku, one.order_id) for one in rows(sqlite, Line)] == [("SKU-007", 1), ("new", 1)]


# --- one-to-one -------------------------------------------------------------------------------------------------------


def people(database: Database, *passports: str | None) -> None:
    """A person for each passport; None: one without."""
    database.create(relations.Base.metadata)
    with others(database) as session:
        for number in passports:
            session.add(Person(name="", passport=Passport(number=number) if number else None))
            session.flush()


def test_a_passport_that_moves_leaves_its_person_at_home(sqlite: Database) -> None:
    people(sqlite, "one", None)
    [passport] = away(sqlite, Passport)
    passport.person = partly_away(sqlite, Person)[1]
    with sqlite.session() as session:
        first, second = session.get_one(Person, 1), session.get_one(Person, 2)
        assert first.passport is not None
        assert second.passport is None
        home = first.passport
        attach(session, passport)
        assert [first.passport, second.passport] == [None, home]
        session.commit()
    assert row(sqlite, Passport, 1).person_id == 2


def test_a_passport_that_moves_leaves_alone_what_its_person_got_instead(sqlite: Database) -> None:
    people(sqlite, "one", None)
    [passport] = away(sqlite, Passport)
    passport.person = partly_away(sqlite, Person)[1]
    with sqlite.session(autoflush=False) as session:
        first = session.get_one(Person, 1)
        home = session.get_one(Passport, 1)
        first.passport = None
        home.person = first
        first.__dict__["passport"] = other = Passport(number="other", person_id=1)
        attach(session, passport, on_conflict="mine")
        assert first.passport is other


def test_a_passport_that_lost_its_person_is_taken_from_it_at_home(sqlite: Database) -> None:
    people(sqlite, "one")
    [passport] = away(sqlite, Passport, selectinload(Passport.person))
    passport.person = None  # type: ignore[assignment]  # an orphan, to be deleted
    with sqlite.session() as session:
        home = session.get_one(Person, 1)
        assert home.passport is not None
        report = attach(session, passport)
        assert len(report.deleted) == 1
        assert home.passport is None
        session.commit()
    assert rows(sqlite, Passport) == []


# --- what only the session knows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("expunged", [False, True])
def test_what_the_session_put_under_a_removed_row_is_not_inserted(sqlite: Database, expunged: bool) -> None:
    first = depots(sqlite)[0]
    first.trucks.clear()
    with sqlite.session(autoflush=False) as session:
        home = session.get_one(Truck, 1)
        home.papers = Papers(number="home")
        if expunged:
            session.expunge(home.papers)
        attach(session, first, on_conflict="mine")
        session.commit()
    assert rows(sqlite, Truck) == []
    assert rows(sqlite, Papers) == []


def test_a_move_leaves_the_sessions_own_additions_where_they_are(sqlite: Database) -> None:
    open_shop(sqlite, 1, 2, 1)
    line = away(sqlite, Line)[0]
    line.order = partly_away(sqlite, Order)[1]
    with sqlite.session(autoflush=False) as session:
        first = session.get_one(Order, 1)
        new = line_of(first, "home")
        attach(session, line)
        assert first.lines == [new]
        session.commit()
    assert [(one.sku, one.order_id) for one in rows(sqlite, Line)][::2] == [("SKU-007", 2), ("home", 1)]


def test_what_the_session_itself_referred_to_may_have_left_it(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    with others(sqlite) as session:
        session.add_all([Shelf(room="a", number=1, books=[Book(id=1, title="book")]), Shelf(room="b", number=2)])
    [mine] = away(sqlite, Book, selectinload(Book.shelf))
    mine.shelf = away(sqlite, Shelf)[1]
    with sqlite.session(autoflush=False) as session:
        home, left = session.get_one(Book, 1), Shelf(room="c", number=3)
        home.shelf = left
        session.expunge(left)
        attach(session, mine, on_conflict="mine")
        assert left not in session
        session.commit()
        assert home.shelf is not None
        assert home.shelf.room == "b"
    assert len(rows(sqlite, Shelf)) == 2


def test_a_collection_that_only_the_session_has_loaded_stays_as_it_is(sqlite: Database) -> None:
    open_shop(sqlite, 1, 2, 1)
    [whole, _], [_, bare] = away(sqlite, Order, selectinload(Order.lines)), partly_away(sqlite, Order)
    bare.status = "mine"
    with sqlite.session() as session:
        homes = session.get_one(Order, 1), session.get_one(Order, 2)
        lines = [list(home.lines) for home in homes]
        attach(session, [whole, bare], verify="all")
        assert [home.lines for home in homes] == lines
        assert homes[1].status == "mine"


@pytest.mark.parametrize("new", [True, False])
def test_what_the_session_itself_put_there_loses_its_place_to_mine(sqlite: Database, new: bool) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add_all([Article(id=1, title=""), Article(id=2, title="")])
        session.flush()
        session.add(Note(id=1, article_id=2, keyword="same", text="moved"))
    [mine, _] = away(sqlite, Article, selectinload(Article.notes))
    mine.notes["same"] = Note(keyword="same", text="mine")
    with sqlite.session(autoflush=False) as session:
        home, other = session.get_one(Article, 1), session.get_one(Article, 2)
        home.notes["same"] = Note(keyword="same", text="home") if new else other.notes.pop("same")
        attach(session, mine, on_conflict="mine")
        assert home.notes["same"].text == "mine"
        session.commit()
        assert home.notes["same"].text == "mine"
    # What loses its place has no other: a new object is not inserted, a row is deleted.
    assert sorted(note.text for note in rows(sqlite, Note)) == (["mine", "moved"] if new else ["mine"])


def test_what_the_session_itself_put_there_stays_without_a_place_where_it_needs_none(sqlite: Database) -> None:
    sqlite.create(peculiar.Base.metadata)
    with others(sqlite) as session:
        session.add(Chest(id=1))
    [mine] = away(sqlite, Chest, selectinload(Chest.boxes))
    mine.boxes[4] = Pack(name="mine")
    with sqlite.session(autoflush=False) as session:
        home = session.get_one(Chest, 1)
        home.boxes[4] = Pack(name="home")
        attach(session, mine, on_conflict="mine")
        session.commit()
    assert sorted((pack.name, pack.crate_id) for pack in rows(sqlite, Pack)) == [("home", None), ("mine", 1)]


def test_what_the_session_itself_shared_under_a_key_loses_its_place_to_mine(sqlite: Database) -> None:
    depots(sqlite)
    with others(sqlite) as session:
        session.add_all([Sign(id=1, text="stop"), Sign(id=2, text="stop")])
    mine = away(sqlite, Depot, selectinload(Depot.signs))[0]
    mine.signs["stop"] = away(sqlite, Sign)[1]
    with sqlite.session(autoflush=False) as session:
        home, first = session.get_one(Depot, 1), session.get_one(Sign, 1)
        assert first.depots == []
        home.signs["stop"] = first
        attach(session, mine, on_conflict="mine")
        assert first.depots == []
        session.commit()
        assert home.signs["stop"].id == 2
        assert first.depots == []


def test_what_has_no_way_back_loses_its_place_to_mine_too(sqlite: Database) -> None:
    mine = depots(sqlite)[0]
    mine.crates["screws"] = Crate(label="screws", content="mine")
    with sqlite.session(autoflush=False) as session:
        home = session.get_one(Depot, 1)
        home.crates["screws"] = Crate(label="screws", content="home")
        attach(session, mine, on_conflict="mine")
        session.commit()
    assert [crate.content for crate in rows(sqlite, Crate, undefer(Crate.content))] == ["steel", "mine"]


def test_a_clean_copy_an_edited_copy_and_the_sessions_instance_are_one(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    [clean], [edited] = away(sqlite, Customer), away(sqlite, Customer)
    edited.city = "mine"
    with sqlite.session() as session:
        home = session.get_one(Customer, 1)
        report = attach(session, [clean, edited])
        assert report.instances == [home, home]
        assert report.of(clean) is home
        assert home.city == "mine"


def test_what_is_in_the_session_already_may_be_put_into_what_comes_home(sqlite: Database) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add_all([Article(id=1, title=""), Tag(id=1, name="tag")])
    [mine] = away(sqlite, Article, selectinload(Article.tags))
    with sqlite.session() as session:
        tag = session.get_one(Tag, 1)
        mine.tags.append(tag)
        attach(session, mine)
        assert mine.tags == [tag]
        session.commit()
        assert tag.articles == [mine]


def test_objects_that_the_database_has_deleted_are_refused(sqlite: Database) -> None:
    open_shop(sqlite, 1, 0, 0)
    with sqlite.session() as session:
        deleted = session.get_one(Customer, 1)
        session.delete(deleted)
        session.flush()
        session.expunge(deleted)
        before = fingerprint(session, [deleted])
        with pytest.raises(WrongSessionError) as caught:
            attach(session, deleted)
        assert caught.value.objects == [deleted]
        assert "were deleted" in str(caught.value)
        assert fingerprint(session, [deleted]) == before


# --- answers, and copies ----------------------------------------------------------------------------------------------


def test_a_function_may_empty_a_composite(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with others(sqlite) as session:
        session.add(Shape(id=1, name="", start=Point(0, 0), end=Point(0, 0)))
    [mine] = away(sqlite, Shape)
    mine.end = Point(1, 1)
    with others(sqlite) as session:
        session.get_one(Shape, 1).end = Point(2, 2)
    with sqlite.session() as session:
        attach(session, mine, on_conflict=lambda conflict: None)
        session.commit()
        assert mine.end == Point(None, None)  # type: ignore[arg-type]  # as SQLAlchemy loads two NULLs


@pytest.mark.parametrize("answer", [Corner(3, 3), 3])
def test_a_function_answers_with_the_composite_itself(sqlite: Database, answer: Any) -> None:
    sqlite.create(odd.Base.metadata)
    with others(sqlite) as session:
        session.add(Box(id=1, corner=Corner(0, 0)))
    [mine] = away(sqlite, Box)
    mine.corner.x = 1
    with others(sqlite) as session:
        box = session.get_one(Box, 1)
        box.corner.x = 2
    with sqlite.session() as session:
        if not isinstance(answer, Corner):
            with pytest.raises(BadArgumentError, match=r"int for the composite Box\.corner"):
                attach(session, mine, on_conflict=lambda conflict: answer)
            return
        attach(session, mine, on_conflict=lambda conflict: answer)
        session.commit()
        assert (mine.corner.x, mine.corner.y) == (3, 3)


def test_who_has_a_place_is_answered_with_one_of_the_two(sqlite: Database) -> None:
    people(sqlite, None)
    [mine] = away(sqlite, Person, selectinload(Person.passport))
    mine.passport = Passport(number="mine")
    with others(sqlite) as session:
        session.get_one(Person, 1).passport = Passport(number="theirs")
    with sqlite.session() as session:
        with pytest.raises(BadArgumentError, match=r"str\. Here it takes conflict\.mine or \.theirs"):
            attach(session, mine, on_conflict=lambda conflict: "neither")
        assert attach(session, mine, on_conflict=lambda conflict: conflict.mine).inserted == [mine.passport]


def test_the_key_of_a_member_of_theirs_is_known_without_its_deferred_columns(sqlite: Database) -> None:
    mine = depots(sqlite)[0]
    mine.crates["screws"] = Crate(label="screws")
    with others(sqlite) as session:
        theirs = session.get_one(Depot, 1)
        theirs.crates["screws"] = Crate(label="screws", content="brass")
    with sqlite.session() as session, pytest.raises(ConflictError) as caught:
        attach(session, mine)
    assert [conflict.attribute for conflict in caught.value.conflicts] == ["crates"]


def test_a_key_that_i_freed_is_free_without_verification_too(sqlite: Database) -> None:
    one, two = depots(sqlite)[0], away(sqlite, Depot, selectinload(Depot.tools))[0]
    one.crates["nails"] = Crate(label="nails", content="mine")
    two.tools.append(Tool(name="axe"))
    with sqlite.session() as session:
        report = attach(session, [one, two], verify="none")
        assert report.conflicts == []
        session.commit()
    assert [crate.content for crate in rows(sqlite, Crate, undefer(Crate.content))] == ["mine"]


@pytest.mark.parametrize(("policy", "result"), [("raise", None), ("mine", 2), ("theirs", 3)])
def test_two_copies_that_refer_to_different_objects_are_decided_by_policy(
    sqlite: Database, policy: Any, result: int | None
) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add_all([*(Person(id=number, name="") for number in (1, 2, 3)), Article(id=1, title="", author_id=1)])
    [one], [two] = (away(sqlite, Article, selectinload(Article.author)) for _ in range(2))
    _, one.author, two.author = away(sqlite, Person)
    with sqlite.session() as session:
        if result is None:
            with pytest.raises(ConflictError) as caught:
                attach(session, [one, two])
            [conflict] = caught.value.conflicts
            assert (conflict.attribute, conflict.mine[1], conflict.theirs[1]) == ("author", (2,), (3,))
            return
        attach(session, [one, two], on_conflict=policy)
        session.commit()
    assert row(sqlite, Article, 1).author_id == result


def test_a_new_member_from_bytes_refers_to_the_sessions_instance(sqlite: Database) -> None:
    open_shop(sqlite, 1, 1, 1)
    [mine] = away(sqlite, Order, selectinload(Order.lines))
    line_of(mine, "mine")
    [came] = loads(dumps(mine), [Customer, Order, Line])
    with sqlite.session() as session:
        home = session.get_one(Order, 1)
        [new] = attach(session, came).inserted
        assert new.order is home
        session.commit()
    assert [line.sku for line in rows(sqlite, Line)] == ["SKU-007", "mine"]


# --- the same rooms, used by others -----------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_refresh_tells_the_other_side_of_a_membership_that_it_is_no_edit_any_more(sqlite: Database, own: bool) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add_all([Article(id=1, title=""), Article(id=2, title=""), Tag(id=1, name="tag")])
    with sqlite.session(autoflush=False) as session:
        article, other, tag = session.get_one(Article, 1), session.get_one(Article, 2), session.get_one(Tag, 1)
        article.tags.append(tag)
        session.expire(tag, ["articles"])
        assert tag.articles == []  # read before others commit, and without what I have not flushed
        if own:
            tag.articles.append(other)
        session.connection().commit()
        with others(sqlite) as elsewhere:
            theirs = elsewhere.get_one(Article, 1)
            theirs.tags.append(elsewhere.get_one(Tag, 1))
        report = refresh(session, article)
        assert repr(report) == "<RefreshReport 1 objects, 0 changed, 0 merged, 0 conflicts, 2 statements>"
        assert tag.articles == ([other, article] if own else [article])
        with sqlite.statements() as log:
            session.flush()
        assert len(log.inserts) == own


def test_refresh_tells_the_other_side_of_a_membership_that_it_is_gone(sqlite: Database) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add(Article(id=1, title="", tags=[Tag(id=1, name="tag")]))
    with sqlite.session(autoflush=False) as session:
        article, tag = session.get_one(Article, 1), session.get_one(Tag, 1)
        article.tags.clear()
        session.expire(tag, ["articles"])
        assert tag.articles == [article]
        session.connection().commit()
        with others(sqlite) as elsewhere:
            theirs = elsewhere.get_one(Article, 1)
            theirs.tags.clear()
        refresh(session, article)
        assert tag.articles == []
        with sqlite.statements() as log:
            session.flush()
        assert log.deletes == []


def test_a_new_object_that_stays_is_no_tie_to_what_leaves(sqlite: Database) -> None:
    open_shop(sqlite, 1, 1, 0)
    with sqlite.session() as session:
        new = Customer(name="new", email="", balance=0)
        session.add(new)
        with session.no_autoflush:
            [order] = detach(session, session.get_one(Order, 1))
        assert new in session
        assert order not in session
