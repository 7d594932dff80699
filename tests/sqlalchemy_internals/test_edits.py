"""Reading and writing SQLAlchemy's record of edits gives what its own events would have given."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import InstanceState, Session, joinedload, selectinload
from sqlalchemy.orm.attributes import has_parent, set_committed_value

from sojourn import sqlalchemy_internals as internals
from sojourn.errors import UNKNOWN
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models import columns, odd, relations
from tests.models.columns import Settings
from tests.models.odd import Ball, Box, Corner, Desk, Paper, Pin
from tests.models.relations import Article, Link, Note
from tests.models.shop import Customer, Line, Order

State = InstanceState[Any]


@pytest.fixture
def orders(session: Session) -> list[Order]:
    """The orders 1 and 2, with lines [1, 2] and [3, 4]."""
    return list(session.scalars(select(Order).where(Order.id < 3).options(selectinload(Order.lines))))


# --- reading ---------------------------------------------------------------------------------------------------------


def test_the_base_is_what_the_history_calls_deleted(session: Session, orders: list[Order]) -> None:
    order = orders[0]
    state, customer = state_of(order), order.customer
    assert not list(internals.edited_keys(state))
    assert (internals.base_of(state, "status"), internals.base_of(state, "customer")) == ("paid", customer)
    first, second = order.lines
    order.status, order.id = "b", 9
    order.status = "c"
    order.customer = Customer()
    order.lines.remove(first)
    assert set(internals.edited_keys(state)) == {"status", "id", "customer", "lines"}
    for key in ("status", "id", "customer"):
        assert [internals.base_of(state, key)] == list(state.attrs[key].history.deleted)
    assert internals.base_of(state, "lines") == [first, second]
    session.expunge_all()


def test_the_base_of_what_was_not_loaded_is_unknown(session: Session) -> None:
    order = session.get_one(Order, 1)
    session.expire(order, ["status"])
    session.expunge_all()
    state = state_of(order)
    assert internals.base_of(state, "status") is UNKNOWN
    order.status, order.customer = "b", Customer()
    assert internals.base_of(state, "status") is internals.base_of(state, "customer") is UNKNOWN


def test_the_base_of_a_new_object_is_unknown_and_of_its_collections_empty() -> None:
    order = Order(status="a", lines=[Line()])
    assert internals.base_of(state_of(order), "status") is UNKNOWN
    assert internals.base_of(state_of(order), "lines") == []


def test_members_of_any_kind_of_collection() -> None:
    desk = Desk()
    set_committed_value(desk, "papers", [Paper(id=1), Paper(id=2)])
    article = Article(notes={"a": Note(keyword="a")}, links={Link()})
    assert internals.members(article.notes) == [article.notes["a"]]
    assert internals.members(article.links) == list(article.links)
    assert [paper.id for paper in internals.members(desk.papers)] == [1, 2]


# --- collections that are not in memory ------------------------------------------------------------------------------


def test_changes_of_an_unloaded_collection_are_told_and_forgotten(session: Session, sqlite: Database) -> None:
    one, two = session.get_one(Order, 1), session.get_one(Order, 2)
    line, new = session.get_one(Line, 1), Line()
    line.order = new.order = two
    assert internals.pending_mutations(state_of(one), "lines") == ([], [line])
    assert internals.pending_mutations(state_of(two), "lines") == ([line, new], [])
    internals.forget_mutation(state_of(two), "lines", line)
    assert internals.pending_mutations(state_of(two), "lines") == ([new], [])
    assert two in session.dirty
    internals.forget_mutation(state_of(two), "lines")
    internals.forget_mutation(state_of(two), "lines")  # nothing to forget
    internals.settle(state_of(two))
    assert two not in session.dirty
    with session.no_autoflush:
        assert [line.id for line in two.lines] == [3, 4]


def test_changes_of_dynamic_collections_are_told_and_forgotten(sqlite: Database) -> None:
    sqlite.create(odd.Base.metadata)
    with sqlite.session() as session:
        session.add_all([Box(id=1, corner=Corner(1, 2)), Ball(id=1, box_id=1)])
        session.commit()
        box, ball, new = session.get_one(Box, 1), session.get_one(Ball, 1), Ball()
        state = state_of(box)
        assert internals.pending_mutations(state, "balls") == ([], [])
        box.balls.append(new)
        box.balls.remove(ball)
        assert internals.pending_mutations(state, "balls") == ([new], [ball])
        internals.forget_mutation(state, "balls", new)
        assert internals.pending_mutations(state, "balls") == ([], [ball])
        internals.forget_mutation(state, "balls")
        internals.settle(state)
        assert box not in session.dirty
        assert "balls" not in state.dict
        ball.box = box
        session.expunge(new)
        assert list(box.balls) == [ball]


def test_a_change_of_an_unloaded_collection_is_recorded_as_a_backref_does(session: Session) -> None:
    one, two = session.get_one(Order, 1), session.get_one(Order, 2)
    added, removed = session.get_one(Line, 3), session.get_one(Line, 1)
    added.order = one
    removed.order = two
    by_hand = [internals.pending_mutations(state_of(order), "lines") for order in (one, two)]
    session.expire_all()
    internals.change_unloaded(state_of(one), "lines", [added], [removed])
    internals.change_unloaded(state_of(two), "lines", [removed], [added])
    assert [internals.pending_mutations(state_of(order), "lines") for order in (one, two)] == by_hand
    assert {one, two} <= set(session.dirty)
    with session.no_autoflush:
        assert [line.id for line in one.lines] == [2, 3]


# --- recording and forgetting edits ----------------------------------------------------------------------------------


def test_an_edit_that_was_recorded_is_written_as_one_that_was_set(session: Session, sqlite: Database) -> None:
    order, other = session.get_one(Order, 1), session.get_one(Order, 2)
    order.status = "b"
    with sqlite.statements() as by_hand:
        session.flush()
    state = state_of(other)
    state.dict["status"] = "c"
    internals.set_base(state, "status", "sent")
    assert list(state.attrs["status"].history) == [["c"], (), ["sent"]]
    assert other in session.dirty
    with sqlite.statements() as recorded:
        session.flush()
    assert [one.sql for one in recorded.all] == [one.sql for one in by_hand.all]
    internals.set_base(state, "number", UNKNOWN)
    assert state.attrs["number"].history.deleted == ()
    assert internals.base_of(state, "number") is UNKNOWN


def test_a_recorded_edit_begins_a_transaction_and_keeps_its_object_alive(session: Session) -> None:
    order = session.get_one(Order, 1)
    session.commit()
    assert order.status
    session.close()
    session.add(order)
    session.commit()
    assert not session.in_transaction()
    internals.mark_modified(state_of(order))
    assert session.in_transaction()
    reference = weakref.ref(order)
    del order
    gc.collect()
    alive = reference()
    assert alive is not None
    internals.settle(state_of(alive))
    assert not session.dirty
    del alive
    gc.collect()
    assert reference() is None


def test_settle_leaves_an_edited_object_alone(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.status = order.number = "b"
    for key in ("status", "number"):
        assert order in session.dirty
        internals.forget_edit(state_of(order), key)
        internals.forget_edit(state_of(order), key)  # nothing to forget
        internals.settle(state_of(order))
    assert order not in session.dirty
    assert not state_of(order).modified
    session.get_one(Line, 1).order = session.get_one(Order, 2)
    internals.settle(state_of(order))
    assert order not in session.new


def test_forgetting_all_edits_is_what_a_flush_does_to_an_object(session: Session, sqlite: Database) -> None:
    order, line = session.get_one(Order, 1), session.get_one(Line, 3)
    order.status = "b"
    line.order = order
    for obj in (order, line, session.get_one(Order, 2, options=[])):
        internals.forget_edits(state_of(obj))
    assert not session.dirty
    with sqlite.statements() as log:
        session.flush()
    assert len(log) == 0
    assert order.status == "b"


# --- collections -----------------------------------------------------------------------------------------------------


def test_a_collection_that_was_put_is_as_one_that_was_loaded(session: Session) -> None:
    order, line = session.get_one(Order, 1), session.get_one(Line, 3)
    line.order = order  # a pending addition, which a load would merge in
    lines = list(session.scalars(select(Line).where(Line.order_id == 1)).unique())
    internals.put_collection(state_of(order), "lines", lines)
    assert order.lines == lines
    assert internals.pending_mutations(state_of(order), "lines") == ([], [])
    assert not state_of(order).attrs["lines"].history.has_changes()


@pytest.mark.parametrize("key", ["tags", "notes", "links"])
def test_a_new_collection_is_filled_in_its_own_class(key: str) -> None:
    made: Any = {"tags": relations.Tag(), "notes": Note(keyword="a"), "links": Link()}[key]
    filled, put = Article(), Article()
    internals.fill_collection(state_of(filled), key, [made])
    set_committed_value(put, key, [made])
    assert getattr(filled, key) == getattr(put, key)
    assert type(getattr(filled, key)) is type(getattr(put, key))
    assert not state_of(filled).modified


def test_many_lists_are_filled_as_each_would_be(session: Session) -> None:
    lines = [Line(sku=name) for name in "abc"]
    filled = [Order(), Order(), Order()]
    known = lines[2].order = Order()
    lists = [[1, 0], [], [2]]
    assert internals.fill_lists(state_of(filled[0]).mapper, "lines", filled, lists, lines, "order")
    assert [line.order for line in lines] == [filled[0], filled[0], known]  # what is there already stays
    for order, nodes in zip(filled, lists, strict=True):
        put, members = Order(), [lines[node] for node in nodes]
        set_committed_value(put, "lines", members)
        assert order.lines == put.lines == members
        assert type(order.lines) is type(put.lines)
        assert not state_of(order).modified
    filled[1].lines.append(new := Line(sku="d"))
    assert new.order is filled[1]
    assert state_of(filled[1]).attrs["lines"].history.added == [new]
    assert not state_of(filled[0]).modified


@pytest.mark.parametrize(("class_", "key"), [(Article, "notes"), (Article, "links"), (Box, "pins"), (Desk, "papers")])
def test_collections_that_are_more_than_lists_are_left_to_fill_collection(class_: type[Any], key: str) -> None:
    owner = class_()
    assert not internals.fill_lists(state_of(owner).mapper, key, [owner], [[]], [], None)
    assert key not in state_of(owner).dict


def test_a_list_whose_making_somebody_listens_to_is_left_to_fill_collection() -> None:
    heard: list[Any] = []

    def made(target: Any, collection: Any, adapter: Any) -> None:
        heard.append(target)

    event.listen(Order.lines, "init_collection", made)
    try:
        order = Order()
        assert not internals.fill_lists(state_of(order).mapper, "lines", [order], [[]], [], None)
        internals.fill_collection(state_of(order), "lines", [])
    finally:
        event.remove(Order.lines, "init_collection", made)
    assert heard == [order]


def by_events(session: Session, order: Order, final: list[Line]) -> None:
    order.lines = final


def by_recording(session: Session, order: Order, final: list[Line]) -> None:
    internals.edit_collection(state_of(order), "lines", list(order.lines), final)
    session.add_all(final)


@pytest.mark.parametrize("replace", [by_events, by_recording])
def test_an_edited_collection_is_flushed_as_one_that_events_edited(
    session: Session, sqlite: Database, orders: list[Order], replace: Callable[[Session, Order, list[Line]], None]
) -> None:
    order = orders[0]
    first, second = order.lines
    new = Line(sku="new", qty=1, price=1)
    replace(session, order, [second, new])
    history = state_of(order).attrs["lines"].history
    assert (history.added, history.unchanged, history.deleted) == ([new], [second], [first])
    assert order in session.dirty
    assert [has_parent(Order, line, "lines", optimistic=True) for line in (first, second, new)] == [False, True, True]
    assert [internals.is_orphan(state_of(line)) for line in (first, second, new)] == [True, False, False]
    with sqlite.statements() as log:
        session.commit()
    assert sorted(statement.kind for statement in log.all) == ["DELETE", "INSERT"]
    assert session.scalars(select(Line.id).where(Line.order_id == 1)).all() == [2, 9]
    assert session.scalar(select(func.count()).select_from(Line)) == 8


def test_a_list_is_refilled_in_place_and_without_events(orders: list[Order]) -> None:
    order = orders[0]
    lines, (first, second) = order.lines, order.lines
    calls: list[Any] = []

    def note(*args: Any, **_: Any) -> None:
        calls.append(args)

    events = ["append", "remove", "bulk_replace"]
    for name in events:
        event.listen(Order.lines, name, note)
    try:
        internals.refill(state_of(order), "lines", [second, first])
        assert order.lines is lines
        assert lines == [second, first]
        assert not calls
        assert not state_of(order).modified
        lines.remove(first)
        assert len(calls) == 1  # it is still the mapped collection
    finally:
        for name in events:
            event.remove(Order.lines, name, note)


def test_a_set_a_dict_and_any_other_collection_are_refilled_in_place() -> None:
    article = Article()
    old, same, new = (Note(keyword=word) for word in "abc")
    internals.put_collection(state_of(article), "notes", [old, same])
    same.keyword = "renamed"
    links = [Link(), Link()]
    internals.put_collection(state_of(article), "links", links[:1])
    held = article.notes, article.links
    internals.refill(state_of(article), "notes", [same, new])
    internals.refill(state_of(article), "links", links[1:])
    assert (article.notes, article.links) == ({"b": same, "c": new}, {links[1]})
    assert (article.notes, article.links) == held
    desk = Desk()
    set_committed_value(desk, "papers", [Paper(id=1), Paper(id=2)])
    papers, (first, second) = desk.papers, internals.members(desk.papers)
    internals.refill(state_of(desk), "papers", [second])
    assert desk.papers is papers
    assert papers.held == [second]
    internals.refill(state_of(desk), "papers", [second, first])
    assert papers.held == [second, first]
    assert not state_of(desk).modified


def test_a_list_of_what_cannot_be_compared_is_refilled() -> None:
    box = Box(pins=[Pin(id=1), Pin(id=2)])
    first, second = box.pins
    internals.refill(state_of(box), "pins", [second])
    assert [pin.id for pin in box.pins] == [2]
    internals.refill(state_of(box), "pins", [first, second])
    assert [pin.id for pin in box.pins] == [1, 2]


# --- Mutable values --------------------------------------------------------------------------------------------------


def test_a_mutable_value_is_tracked_as_if_it_had_been_set(sqlite: Database) -> None:
    sqlite.create(columns.Base.metadata)
    with sqlite.session() as session:
        session.add(Settings(id=1, name="n", tracked={"a": 1}))
        session.commit()
        one = session.get_one(Settings, 1)
        old, new = one.tracked, MutableDict({"b": 1})
        assert isinstance(old, MutableDict)
        state_of(one).dict["tracked"] = new
        internals.track_mutable(state_of(one), "tracked", old, new)
        old["a"] = 2
        assert one not in session.dirty
        new["b"] = 2
        assert one in session.dirty
        internals.forget_edits(state_of(one))
        internals.track_mutable(state_of(one), "tracked", new, new)
        new["b"] = 3
        assert one in session.dirty
        internals.forget_edits(state_of(one))
        internals.track_mutable(state_of(one), "tracked", new, None)
        new["b"] = 4
        assert one not in session.dirty


# --- who is an orphan ------------------------------------------------------------------------------------------------


def marks(child: object) -> dict[Any, Any]:
    return dict(state_of(child).parents)


def test_parents_are_noted_as_append_and_remove_do(orders: list[Order]) -> None:
    one, two = orders
    by_hand, recorded = Line(), Line()
    one.lines.append(by_hand)
    internals.set_parent(state_of(one), "lines", state_of(recorded))
    assert marks(recorded) == marks(by_hand)
    one.lines.remove(by_hand)
    internals.drop_parent(state_of(one), "lines", state_of(recorded))
    assert marks(recorded) == marks(by_hand)
    assert internals.is_orphan(state_of(recorded)) is internals.is_orphan(state_of(by_hand)) is True
    internals.set_parent(state_of(two), "lines", state_of(recorded))
    assert not internals.is_orphan(state_of(recorded))
    # Nobody asks whose an order's reference is.
    internals.set_parent(state_of(by_hand), "order", state_of(one))
    internals.drop_parent(state_of(by_hand), "order", state_of(one))
    internals.untie_parent(state_of(by_hand), "order", state_of(one))
    internals.clear_parent(state_of(by_hand), "order", state_of(one))


def test_a_parent_is_dropped_also_where_another_one_came_between(orders: list[Order]) -> None:
    one, two = orders
    line = one.lines[0]
    internals.set_parent(state_of(two), "lines", state_of(line))
    internals.drop_parent(state_of(one), "lines", state_of(line))
    assert internals.is_orphan(state_of(line))


def test_what_was_noted_about_a_parent_can_be_forgotten(orders: list[Order]) -> None:
    one, two = orders
    line = one.lines[0]
    assert not marks(line)
    internals.untie_parent(state_of(one), "lines", state_of(line))  # nothing noted
    internals.set_parent(state_of(one), "lines", state_of(line))
    internals.untie_parent(state_of(two), "lines", state_of(line))
    assert list(marks(line).values()) == [state_of(one)]
    internals.untie_parent(state_of(one), "lines", state_of(line))
    assert not marks(line)
    internals.drop_parent(state_of(one), "lines", state_of(line))
    internals.untie_parent(state_of(one), "lines", state_of(line))
    assert list(marks(line).values()) == [False]
    internals.clear_parent(state_of(one), "lines", state_of(line))
    assert not marks(line)
    assert not internals.is_orphan(state_of(line))  # loaded from its table, it is taken for somebody's


def test_a_new_orphan_leaves_the_session_as_remove_makes_it_leave(session: Session, orders: list[Order]) -> None:
    by_hand, recorded = Line(), Line()
    orders[0].lines.extend([by_hand, recorded])
    assert {by_hand, recorded} == set(session.new)
    internals.leave_as_orphan(state_of(recorded))
    assert recorded in session  # it has an owner
    orders[0].lines.remove(by_hand)
    internals.drop_parent(state_of(orders[0]), "lines", state_of(recorded))
    internals.leave_as_orphan(state_of(recorded))
    assert by_hand not in session
    assert recorded not in session
    internals.leave_as_orphan(state_of(recorded))  # in no session
    kept = orders[0].lines[0]
    internals.drop_parent(state_of(orders[0]), "lines", state_of(kept))
    internals.leave_as_orphan(state_of(kept))
    assert kept in session  # the flush deletes its row


def test_joined_references_have_their_base_too(session: Session) -> None:
    order = session.get_one(Order, 1, options=[joinedload(Order.customer)])
    customer = order.customer
    order.customer = customer
    assert internals.base_of(state_of(order), "customer") is customer
