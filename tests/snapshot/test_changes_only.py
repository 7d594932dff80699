"""`dumps(changes_only=True)`: what a worker sends home holds the changes, the way to them, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import selectinload

from sojourn import attach, changes, detach, dumps, loads, state
from sojourn.errors import NotLoadedError
from tests.databases import Database
from tests.models.relations import Article, Note, Person, Tag
from tests.models.relations import Base as Relations
from tests.models.shop import Base, Customer, Line, Order, fill
from tests.snapshot.documents import validator

SHAPE = selectinload(Customer.orders).selectinload(Order.lines)


@pytest.fixture
def away(sqlite: Database) -> list[Customer]:
    """Four customers with two orders of two lines each."""
    sqlite.create(Base.metadata)
    with sqlite.session() as session:
        fill(session, 4, 2, 2)
        session.commit()
    with sqlite.session() as session:
        return detach(session, session.query(Customer).order_by(Customer.id).all(), SHAPE)


def sent(objs: Any) -> tuple[Any, bytes]:
    """The document as plain data, valid by the schema, and the bytes in MessagePack."""
    document = json.loads(dumps(objs, changes_only=True))
    validator.validate(document)
    return document, dumps(objs, format="msgpack", changes_only=True)


def test_an_edit_travels_with_its_base_its_key_and_the_way_to_it(away: list[Customer]) -> None:
    away[1].orders[0].lines[1].qty += 5
    document, _ = sent(away)
    tables = {(table["entity"], tuple(table["columns"])): table for table in document["tables"]}
    edited = tables["Line", ("id", "qty")]
    assert edited["edits"] == [{"row": 0, "base": {"qty": edited["rows"][0][1] - 5}}]
    assert len(edited["rows"]) == 1
    # Collections are whole: the other order and the other line are there, by their keys.
    assert [len(table["rows"]) for table in document["tables"] if table["entity"] == "Order"] == [1, 1]
    assert {name for name, _ in tables} == {"Customer", "Order", "Line"}
    assert all(columns == ("id",) for (_, columns) in tables if columns != ("id", "qty"))
    assert sum(len(table["rows"]) for table in document["tables"]) == 4 + 2 + 2


def test_without_changes_only_the_keys_of_the_roots_travel(away: list[Customer]) -> None:
    document, _ = sent(away)
    (table,) = document["tables"]
    assert (table["columns"], table["rows"]) == (["id"], [[1], [2], [3], [4]])
    assert "collections" not in table


@pytest.mark.parametrize("form", [0, 1], ids=["json", "msgpack"])
def test_what_did_not_travel_is_unloaded_and_never_none(away: list[Customer], form: int) -> None:
    away[0].city = "Delft"
    data = (dumps(away, changes_only=True), sent(away)[1])[form]
    one, two, *_ = loads(data, Base)
    assert dict(changes(one)).keys() == {"city"}
    assert (state(one).loaded, one.city) == (frozenset({"id", "city"}), "Delft")
    with pytest.raises(NotLoadedError):
        _ = one.name
    with pytest.raises(NotLoadedError):
        _ = two.orders


EDITS: dict[str, Callable[[list[Customer]], None]] = {
    "a column": lambda away: setattr(away[0], "name", "Zoë"),
    "a deep column": lambda away: setattr(away[3].orders[1].lines[0], "sku", "other"),
    "a new member": lambda away: away[1].orders[0].lines.append(Line(sku="new", qty=1, price=2)),
    "a new tree": lambda away: away[1].orders.append(
        Order(number="N", status="open", placed_at=datetime(2026, 1, 1), lines=[Line(sku="n", qty=1, price=1)])
    ),
    "a removed member": lambda away: away[2].orders.remove(away[2].orders[1]),
    "a member that moved": lambda away: away[0].orders.append(away[1].orders[0]),
    "a new reference": lambda away: setattr(away[2].orders[0], "customer", away[3]),
    "nothing": lambda away: None,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("form", ["json", "msgpack"])
def test_home_the_changes_do_what_the_whole_graph_would_have_done(
    sqlite: Database, away: list[Customer], edit: Callable[[list[Customer]], None], form: Any
) -> None:
    edit(away)
    whole, small = dumps(away, format=form), dumps(away, format=form, changes_only=True)
    rows = []
    for data in (whole, small):
        with sqlite.session() as session:
            attach(session, loads(data, Base))
            session.flush()
            rows.append(
                [
                    [tuple(row) for row in session.execute(model.__table__.select().order_by(model.__table__.c.id))]
                    for model in (Customer, Order, Line)
                ]
            )
            session.rollback()
    assert rows[0] == rows[1]
    assert len(small) < len(whole)


def test_edits_of_all_kinds_of_relationships_keep_what_they_point_to(sqlite: Database) -> None:
    sqlite.create(Relations.metadata)
    with sqlite.session() as session:
        tags = [Tag(id=number, name=f"tag {number}") for number in (1, 2, 3)]
        session.add(Person(id=1, name="Ann"))
        session.add(
            Article(id=1, title="one", author_id=1, tags=tags[:2], notes={"a": Note(id=1, keyword="a", text="t")})
        )
        session.add(tags[2])
        session.commit()
    with sqlite.session() as session:
        options = selectinload(Article.tags), selectinload(Article.notes), selectinload(Article.author)
        (article,) = detach(session, session.get_one(Article, 1), *options)
        third = detach(session, session.get_one(Tag, 3))[0]
    article.tags.append(third)
    article.author = None
    del article.notes["a"]
    (copy,) = loads(dumps(article, changes_only=True), Relations)
    told: Any = changes(copy)
    assert [tag.id for tag in told["tags"].added] == [3]
    assert [tag.id for tag in copy.tags] == [1, 2, 3]
    assert (told["author"].old.id, told["author"].new) == (1, None)
    assert [note.id for note in told["notes"].removed] == [1]
    assert "title" in inspect(copy).unloaded
    with sqlite.session() as session:
        attach(session, copy)
        session.commit()
    with sqlite.session() as session:
        home = session.get_one(Article, 1)
        assert ([tag.id for tag in home.tags], home.author, home.notes) == ([1, 2, 3], None, {})
        assert home.title == "one"


def test_many_edits_of_one_kind_are_one_table(away: list[Customer]) -> None:
    for customer in away:
        for order in customer.orders:
            order.status = "held"
    document, _ = sent(away)
    orders = [table for table in document["tables"] if table["entity"] == "Order"]
    assert [(table["columns"], len(table["rows"])) for table in orders] == [(["id", "status"], 8)]


def test_members_under_keys_bring_what_their_keys_are_made_of(sqlite: Database) -> None:
    sqlite.create(Relations.metadata)
    with sqlite.session() as session:
        notes = {key: Note(keyword=key, text="t") for key in ("a", "b")}
        session.add(Article(id=1, title="one", notes=notes))
        session.commit()
        (article,) = detach(session, session.get_one(Article, 1), selectinload(Article.notes))
    del article.notes["a"]
    article.notes["c"] = Note(keyword="c", text="new")
    (copy,) = loads(dumps(article, changes_only=True), Relations)
    assert {key: note.keyword for key, note in copy.notes.items()} == {"b": "b", "c": "c"}
