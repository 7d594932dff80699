"""on_missing: rows that others, or the session itself, have deleted."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.util import identity_key

from sojourn.errors import ConflictError, MissingRowError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import depot, keys, relations
from tests.models.depot import Box, Depot, Shelf
from tests.models.keys import Country
from tests.models.relations import Article, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import away, line_of, open_shop, others, row, rows, shop_away

# --- on_missing ------------------------------------------------------------------------------------------------------


def without_rows(database: Database, *doomed: tuple[type[Any], int], at_home: bool = False) -> Customer:
    """The whole shop of one customer with two orders of two lines; of these some rows are deleted by others."""
    open_shop(database, 1, 2, 2)
    [mine] = shop_away(database)
    return mine


def delete(database: Database, model: type[Any], key: int) -> None:
    with others(database) as session:
        session.delete(session.get_one(model, key))


def test_missing_rows_are_all_in_the_one_error(database: Database) -> None:
    mine = without_rows(database)
    for order in mine.orders:
        order.lines[0].qty = 50
    delete(database, Line, 1)
    delete(database, Line, 3)
    with database.session() as session, pytest.raises(MissingRowError) as caught:
        attach(session, mine)
    assert [conflict.identity for conflict in caught.value.conflicts] == [(Line, (1,), None), (Line, (3,), None)]
    assert "Line(1): the row does not exist any more" in str(caught.value)
    assert "on_missing" in str(caught.value)


def test_missing_rows_beside_other_conflicts_are_a_conflict_error_with_all(database: Database) -> None:
    mine = without_rows(database)
    mine.orders[0].lines[0].qty = 50
    mine.city = "mine"
    delete(database, Line, 1)
    with others(database) as session:
        session.get_one(Customer, 1).city = "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        assert not isinstance(caught.value, MissingRowError)
        assert sorted(conflict.missing for conflict in caught.value.conflicts) == [False, True]
        with pytest.raises(MissingRowError):
            attach(session, mine, on_conflict="mine")
        with pytest.raises(ConflictError):
            attach(session, mine, on_missing="skip")
        attach(session, mine, on_conflict="mine", on_missing="skip")


def test_a_missing_row_is_recreated_with_everything_that_is_known(database: Database) -> None:
    mine = without_rows(database)
    line = mine.orders[0].lines[0]
    line.qty = 50
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine, on_missing="recreate")
        assert report.inserted == [line]
        assert [conflict.missing for conflict in report.conflicts] == [True]
        session.commit()
        assert line in mine.orders[0].lines
    found = row(database, Line, 1)
    assert (found.qty, found.sku, found.order_id) == (50, "SKU-007", 1)


@pytest.mark.parametrize("at_home", [False, True])
def test_a_recreated_row_has_its_tags_again_as_far_as_they_are_there(database: Database, at_home: bool) -> None:
    database.create(relations.Base.metadata)
    with others(database) as session:
        session.add(Article(title="title", tags=[Tag(name="red"), Tag(name="blue")]))
    [mine] = away(database, Article, selectinload(Article.tags))
    mine.title = "mine"
    with database.session(expire_on_commit=False) as session:
        kept = session.scalars(select(Article).options(selectinload(Article.tags))).all() if at_home else []
        session.commit()
        delete(database, Article, mine.id)
        delete(database, Tag, 2)
        report = attach(session, mine, on_missing="recreate")
        session.commit()
        assert [tag.name for tag in report.of(mine).tags] == ["red"]
        assert report.of(mine) is (kept[0] if at_home else mine)
    [article] = rows(database, Article, selectinload(Article.tags))
    assert [tag.name for tag in article.tags] == ["red"]


def test_a_missing_branch_is_recreated_with_its_children(database: Database) -> None:
    mine = without_rows(database)
    mine.orders[0].status = "mine"
    delete(database, Order, 1)  # and its lines
    with database.session() as session:
        report = attach(session, mine, on_missing="recreate")
        assert sorted(type(one).__name__ for one in report.inserted) == ["Line", "Line", "Order"]
        session.commit()
    assert row(database, Order, 1).status == "mine"
    assert [line.order_id for line in rows(database, Line)] == [1, 1, 2, 2]


def test_children_that_are_still_there_are_not_recreated(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(keys.Shelf(room="a", number=1, books=[keys.Book(title="book")]))
    [shelf] = away(database, keys.Shelf, selectinload(keys.Shelf.books))
    shelf.label = "mine"
    with others(database) as session:
        session.delete(session.get_one(keys.Shelf, ("a", 1)))  # the book stays, on no shelf
    with database.session() as session:
        report = attach(session, shelf, on_missing="recreate")
        assert report.inserted == [shelf]
        session.commit()
    assert [(book.title, book.shelf_room) for book in rows(database, keys.Book)] == [("book", None)]


def test_a_missing_row_is_recreated_where_the_session_still_holds_the_object(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        session.add(Country(code="be", name="Belgium"))
    [mine] = away(database, Country)
    mine.name = "mine"
    with database.session() as session:
        held = session.get_one(Country, "be")
        session.commit()
        delete(database, Country, "be")  # type: ignore[arg-type]  # its key is text
        report = attach(session, mine, on_missing="recreate")
        assert report.instances == [held]
        session.commit()
        assert (held.code, held.name) == ("be", "mine")
    assert row(database, Country, "be").name == "mine"


def test_a_skipped_object_stays_outside_with_its_edits(database: Database) -> None:
    mine = without_rows(database)
    line, sibling = mine.orders[0].lines
    line.qty = 50
    sibling.qty = 60
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine, on_missing="skip")
        assert report.of(line) is None
        assert line not in session
        assert inspect(line).detached
        assert line.qty == 50
        assert mine.orders[0].lines == [sibling]
        session.commit()
        assert mine.orders[0].lines == [sibling]
    assert next(one.qty for one in rows(database, Line)) == 60


def test_a_skipped_root_is_none_in_the_report(database: Database) -> None:
    open_shop(database, 2, 0, 0)
    first, second = away(database, Customer)
    first.city = second.city = "mine"
    delete(database, Customer, 1)
    with database.session() as session:
        report = attach(session, [first, second], on_missing="skip")
        assert report.instances == [None, second]
        session.commit()


def test_the_children_of_a_skipped_object_are_skipped_too(database: Database) -> None:
    mine = without_rows(database)
    branch = mine.orders[0]
    branch.status = "mine"
    branch.lines[0].qty = 50
    new = line_of(branch, "new")
    delete(database, Order, 1)
    with database.session() as session:
        report = attach(session, mine, on_missing="skip")
        assert [report.of(one) for one in (branch, new, *branch.lines)] == [None] * 5
        assert set(session) == {mine, mine.orders[0], *mine.orders[0].lines}
        assert [order.id for order in mine.orders] == [2]
        session.commit()
    assert [order.id for order in rows(database, Order)] == [2]
    assert [line.id for line in rows(database, Line)] == [3, 4]


def test_a_missing_row_of_a_child_that_i_removed_is_no_conflict(database: Database) -> None:
    mine = without_rows(database)
    gone = mine.orders[0].lines.pop(0)
    gone.qty = 50
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine)
        assert report.conflicts == []
        session.commit()
    assert [line.id for line in rows(database, Line)] == [2, 3, 4]


def test_verify_all_finds_the_missing_rows_of_clean_objects(database: Database) -> None:
    mine = without_rows(database)
    line = mine.orders[0].lines[0]
    delete(database, Line, 1)
    with database.session() as session:
        report = attach(session, mine, verify="all")
        assert report.of(line) is None
        assert line not in mine.orders[0].lines
    [mine] = shop_away(database)
    delete(database, Customer, 1)
    with database.session() as session:
        with pytest.raises(MissingRowError):
            attach(session, mine, verify="all")
        report = attach(session, mine, verify="all", on_missing="skip")
        assert report.instances == [None]


@pytest.mark.parametrize("at_home", [False, True])
@pytest.mark.parametrize(("author", "found"), [("two", "two"), ("new", "new"), (None, None)])
def test_an_edited_reference_of_a_recreated_row_is_written(
    database: Database, at_home: bool, author: str | None, found: str | None
) -> None:
    database.create(relations.Base.metadata)
    with others(database) as session:
        one, two = Person(name="one"), Person(name="two")
        session.add_all([one, two, Article(title="title", author=one)])
    [mine] = away(database, Article, selectinload(Article.author))
    [two] = [person for person in away(database, Person) if person.name == "two"]
    mine.author = {"two": two, "new": Person(name="new"), None: None}[author]
    with database.session() as session:
        home = session.get_one(Article, mine.id) if at_home else mine
        session.commit()
        with others(database) as other:
            other.delete(other.get_one(Article, mine.id))
        report = attach(session, mine, on_missing="recreate")
        assert report.instances == [home]
        session.commit()
    [article] = rows(database, Article, selectinload(Article.author))
    assert (article.author and article.author.name) == found


def test_the_sessions_own_reference_of_a_recreated_row_is_written(sqlite: Database) -> None:
    sqlite.create(relations.Base.metadata)
    with others(sqlite) as session:
        session.add_all([Person(name="one"), Article(title="title")])
    [mine] = away(sqlite, Article)
    mine.title = "mine"
    with sqlite.session(expire_on_commit=False) as session:
        home, one = session.get_one(Article, 1), session.get_one(Person, 1)
        session.commit()
        delete(sqlite, Article, 1)
        home.author = one
        attach(session, mine, on_missing="recreate")
        session.commit()
    [article] = rows(sqlite, Article)
    assert (article.title, article.author_id) == ("mine", 1)


def test_verify_all_recreates_a_clean_root_with_its_children(database: Database) -> None:
    mine = without_rows(database)
    delete(database, Customer, 1)
    with database.session() as session:
        report = attach(session, mine, verify="all", on_missing="recreate")
        assert len(report.conflicts) == 7
        session.commit()
    assert [order.id for order in rows(database, Order)] == [1, 2]
    assert len(rows(database, Line)) == 4


def test_verify_all_recreates_what_hangs_on_a_clean_root_with_its_tags(database: Database) -> None:
    database.create(depot.Base.metadata)
    with others(database) as session:
        box = Box(label="box", a=0, b=0, tags=[depot.Tag(label="red")])
        session.add(Depot(label="depot", a=0, b=0, children=[Shelf(label="shelf", a=0, b=0, children=[box])]))
    [mine] = away(database, Depot, selectinload(Depot.children).selectinload(Shelf.children).selectinload(Box.tags))
    delete(database, Depot, 1)
    with database.session() as session:
        assert len(attach(session, mine, verify="all", on_missing="recreate").conflicts) == 3
        session.commit()
    assert [tag.label for tag in rows(database, Box, selectinload(Box.tags))[0].tags] == ["red"]


@pytest.mark.parametrize("verify", ["changed", "all"])
@pytest.mark.parametrize("at_home", [False, True])
def test_what_they_moved_elsewhere_stays_there_when_its_former_owner_is_recreated(
    database: Database, verify: Any, at_home: bool
) -> None:
    mine = without_rows(database)
    order = mine.orders[0]
    line_of(order, "mine")  # so I have edited the collection
    with others(database) as session:
        session.get_one(Line, 1).order_id = 2
        session.commit()
        session.delete(session.get_one(Order, 1))
    with database.session() as session:
        kept = session.get_one(Line, 1) if at_home else None
        attach(session, mine, on_missing="recreate", verify=verify)
        session.commit()
        assert kept is None or kept.order_id == 2
    assert {line.sku: line.order_id for line in rows(database, Line)} == {
        "SKU-007": 2, "SKU-014": 1, "SKU-021": 2, "SKU-028": 2, "mine": 1,
    }  # fmt: skip


# --- rows that go with what the session deletes ----------------------------------------------------------------------


@pytest.mark.parametrize("held", ["lines", "one line", "order"])
@pytest.mark.parametrize("way", ["delete", "remove"])
@pytest.mark.parametrize("given", ["all", "the line alone"])
def test_an_edit_below_what_the_session_is_about_to_delete_is_a_missing_row(
    database: Database, held: str, way: str, given: str
) -> None:
    mine = without_rows(database)
    line = mine.orders[0].lines[0]
    if given == "the line alone":
        line = away(database, Line)[0]
    line.qty = 50
    work: Any = mine if given == "all" else line
    with database.session() as session:
        customer, order = session.get_one(Customer, 1), session.get_one(Order, 1)
        kept = [session.get_one(Line, 1)] if held == "one line" else order.lines if held == "lines" else []
        if way == "delete":
            session.delete(order)
        else:
            customer.orders.remove(order)
        home = session.identity_map.get(identity_key(Line, 1))
        assert home is not None or not kept
        with pytest.raises(MissingRowError) as caught:
            attach(session, work)
        assert (Line, (1,), None) in [conflict.identity for conflict in caught.value.conflicts]
        report = attach(session, work, on_missing="recreate")
        assert report.of(line) is (home or line)
        named = [conflict.identity for conflict in report.conflicts]
        session.commit()
    assert row(database, Line, 1).qty == 50
    assert [(Order, (1,), None), (Line, (1,), None)] == sorted(set(named) - {(Line, (2,), None)}, key=str, reverse=True)
    assert len(named) == len(set(named))
    if given == "all" or held == "lines":  # else nobody has seen the order's other line, for which the order stands
        assert ((Line, (2,), None) in named) == (2 in [line.id for line in rows(database, Line)])


@pytest.mark.parametrize("way", ["reference", "collection"])
@pytest.mark.parametrize("policy", ["mine", "theirs"])
def test_a_move_of_what_the_session_removes_stands_where_the_row_shall_be_kept(
    database: Database, way: str, policy: Any
) -> None:
    mine = without_rows(database)
    line, target = mine.orders[0].lines[0], mine.orders[1]
    if way == "reference":
        line.order = target
    else:
        target.lines.append(line)
    with database.session() as session:
        first, second = session.get_one(Order, 1), session.get_one(Order, 2)
        home = first.lines.pop(0)
        attach(session, mine, on_conflict=policy, on_missing="recreate")
        assert home in second.lines
        session.commit()
    assert row(database, Line, 1).order_id == 2


def test_a_recreated_object_is_in_step_with_its_owner_at_home(database: Database) -> None:
    mine = without_rows(database)
    mine.orders[0].lines[0].qty = 50
    with database.session() as session:
        order = session.get_one(Order, 1)
        home = order.lines[0]
        session.commit()
        assert [order.id, home.id, len(order.lines)] == [1, 1, 2]
        session.connection().commit()
        delete(database, Line, 1)
        attach(session, mine, on_missing="recreate", verify="all")
        session.flush()
        assert home.order is order
        assert home in order.lines
