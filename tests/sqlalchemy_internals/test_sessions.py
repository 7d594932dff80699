"""In and out of a session as Session.add and Session.expunge do it, events included; and who is where."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import InstanceState, Session

from sojourn import sqlalchemy_internals as internals
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models import shop
from tests.models.shop import Customer, Line, Order

State = InstanceState[Any]
TRANSITIONS = [
    *("before_attach", "after_attach", "transient_to_pending", "detached_to_persistent"),
    *("pending_to_transient", "persistent_to_detached"),
]


def watch(session: Session) -> list[tuple[str, object]]:
    """(event, object), in the order in which the session fires them."""
    seen: list[tuple[str, object]] = []

    def listen(name: str) -> None:
        event.listen(session, name, lambda _, obj: seen.append((name, obj)))

    for name in TRANSITIONS:
        listen(name)
    return seen


def add(session: Session, obj: object) -> None:
    session.add(obj)


def attach(session: Session, obj: object) -> None:
    internals.attach_persistent(session, [state_of(obj)])


def attach_new(session: Session, obj: object) -> None:
    internals.attach_pending(session, state_of(obj))


def snapshot(session: Session, line: Line) -> list[Any]:
    """What a session and one of its objects know of each other."""
    state = state_of(line)
    held = state.key is not None and state.key in session.identity_map
    return [
        *(line in session, line in session.dirty, line in session.new, state.session is session, state.modified),
        *(state.persistent, state.pending, session.in_transaction(), held),
    ]


@pytest.mark.parametrize("edited", [False, True])
def test_a_detached_object_is_attached_as_by_add(sqlite: Database, session: Session, edited: bool) -> None:
    outcomes = []
    for verb in (add, attach):
        line = session.get_one(Line, 1)
        session.expunge_all()
        if edited:
            line.qty = 99
        with sqlite.session() as other:
            seen = watch(other)
            verb(other, line)
            outcomes.append(([name for name, obj in seen if obj is line], snapshot(other, line)))
            assert other.get(Line, 1) is line
            with sqlite.statements() as log:
                other.flush()
            assert len(log.updates) == edited
    assert outcomes[0] == outcomes[1]


def test_an_edited_object_that_was_attached_is_kept_alive_until_it_is_flushed(session: Session) -> None:
    for qty in (None, 99):
        line = session.get_one(Line, 1)
        session.expunge(line)
        if qty is not None:
            line.qty = qty
        internals.attach_persistent(session, [state_of(line)])
        del line
        gc.collect()
        assert (len(session.identity_map) == 1) == (qty is not None)


def test_a_new_object_is_attached_as_by_add(sqlite: Database) -> None:
    sqlite.create(shop.Base.metadata)
    outcomes = []
    for verb in (add, attach_new):
        line = Line(sku="a")
        with sqlite.session() as session:
            seen = watch(session)
            verb(session, line)
            outcomes.append(([name for name, obj in seen if obj is line], snapshot(session, line)))
            assert internals.pending_states(session) == [state_of(line)]
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == ["before_attach", "after_attach", "transient_to_pending"]


def test_attaching_takes_the_guard_off(session: Session) -> None:
    line, new = session.get_one(Line, 1), Line()
    session.expunge(line)
    for obj, verb in ((line, attach), (new, attach_new)):
        internals.guard(state_of(obj))
        verb(session, obj)
        assert state_of(obj).callables == {}


def test_attaching_takes_nobody_along(session: Session) -> None:
    order = session.get_one(Order, 1)
    assert order.lines
    session.expunge_all()
    internals.attach_persistent(session, [state_of(order)])
    assert list(session) == [order]
    new = Order(lines=[Line()])
    internals.attach_pending(session, state_of(new))
    assert list(session.new) == [new]


def test_taking_out_is_expunge_for_many_without_its_cascade(session: Session) -> None:
    line, new, order = session.get_one(Line, 1), Line(sku="new"), session.get_one(Order, 1)
    assert order.lines
    line.qty = 99
    session.add(new)
    seen = watch(session)
    internals.take_out(session, [state_of(obj) for obj in (line, new, order)])
    assert seen == [("persistent_to_detached", line), ("pending_to_transient", new), ("persistent_to_detached", order)]
    assert {line, new, order}.isdisjoint(session)
    assert not session.dirty
    assert list(session) == [order.lines[1]]
    assert state_of(line).modified
    session.add(line)
    assert line in session.dirty


def test_the_session_tells_whom_it_holds(session: Session) -> None:
    line = session.get_one(Line, 1)
    key = state_of(line).key
    assert key is not None
    assert internals.held_by(session, key) is state_of(line)
    assert internals.held_by(session, (Line, (2,), None)) is None
    del line
    gc.collect()
    assert internals.held_by(session, key) is None


def test_states_are_sorted_by_where_they_are(session: Session, sqlite: Database) -> None:
    away, transient, deleted, pending = session.get_one(Line, 1), Line(), session.get_one(Line, 2), Line(sku="p")
    session.expunge(away)
    session.delete(deleted)
    session.flush()
    gone, here = deleted, session.get_one(Line, 3)
    session.add(pending)
    other = sqlite.session()
    elsewhere = other.get_one(Line, 4)
    left = sqlite.session()
    orphaned = left.get_one(Order, 1)
    del left
    gc.collect()
    states = [state_of(obj) for obj in (away, transient, gone, here, pending, elsewhere, orphaned)]
    found = internals.whereabouts(session, states)
    assert found.here == [state_of(gone), state_of(here), state_of(pending)]
    assert found.elsewhere == [state_of(elsewhere)]
    assert found.deleted == []
    assert found.away == [state_of(away), state_of(transient), state_of(orphaned)]
    session.expunge(pending)
    session.commit()
    assert internals.whereabouts(session, states).deleted == [state_of(gone)]
    assert [one for one in states if internals.in_session(one, session)] == [state_of(here)]
    assert internals.sessions_of(states) == [session, other]
    other.close()


# --- what is flushed and not committed -------------------------------------------------------------------------------


def touched(session: Session) -> set[object]:
    return {state.obj() for state in internals.touched_states(session)}


def test_what_was_flushed_and_not_committed_is_known(session: Session) -> None:
    assert not internals.touched_states(session)
    read, edited, deleted = session.get_one(Line, 1), session.get_one(Line, 2), session.get_one(Line, 3)
    new = Line(order_id=1, sku="new", qty=1, price=1)
    session.add(new)
    edited.qty = 99
    session.delete(deleted)
    assert not touched(session)
    session.flush()
    assert touched(session) == {new, edited, deleted}
    assert read not in touched(session)
    session.commit()
    assert not touched(session)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_savepoints_count_for_as_long_as_they_are_open_or_released(session: Session, end: str) -> None:
    outer, inner = session.get_one(Line, 1), session.get_one(Line, 2)
    outer.qty = 98
    session.flush()
    savepoint = session.begin_nested()
    inner.qty = 99
    session.flush()
    assert touched(session) == {outer, inner}
    getattr(savepoint, end)()
    assert touched(session) == ({outer, inner} if end == "commit" else {outer})
    session.rollback()
    assert not touched(session)


def test_a_bulk_update_that_reached_objects_in_memory_counts(session: Session) -> None:
    line = session.get_one(Line, 1)
    session.execute(update(Line).where(Line.id == 1).values(qty=99))
    assert touched(session) == {line}


def test_the_parent_of_a_flushed_child_counts(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.lines.append(Line(sku="new", qty=1, price=1))
    session.flush()
    assert order in touched(session)
    assert session.get_one(Customer, 1) not in touched(session)


VERBS: list[Callable[[Session, object], None]] = [add, attach]


@pytest.mark.parametrize("verb", VERBS)
def test_attaching_begins_a_transaction(session: Session, verb: Callable[[Session, object], None]) -> None:
    line = session.get_one(Line, 1)
    session.close()
    assert not session.in_transaction()
    verb(session, line)
    assert session.in_transaction()
