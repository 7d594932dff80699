"""Instances are made as SQLAlchemy's loader makes them, and what is not loaded is known as such."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, inspect
from sqlalchemy.orm import InstanceState, Mapper, Session, configure_mappers, load_only

from sojourn import sqlalchemy_internals as internals
from sojourn.errors import NotLoadedError
from sojourn.mapping.identity import state_of
from tests.databases import Database
from tests.models import columns, odd, shop
from tests.models.columns import Document, Point, Settings, Shape
from tests.models.inheritance import Animal, Puppy
from tests.models.keys import Shelf
from tests.models.odd import Watched
from tests.models.shop import Customer, Line, Order

State = InstanceState[Any]


@pytest.fixture
def session(sqlite: Database) -> Iterator[Session]:
    sqlite.create(shop.Base.metadata, columns.Base.metadata, odd.Base.metadata)
    with sqlite.session() as session:
        shop.fill(session, customers=1, orders=1, lines=1)
        session.add_all([Document(id=1, title="t", body="b"), Shape(id=1, name="s", start=Point(1, 2), end=None)])
        session.add_all([Settings(id=1, name="n", tracked={"a": 1}), Watched("w")])
        session.commit()
    with sqlite.session() as session:
        yield session


def mapper_of(class_: type[Any]) -> Mapper[Any]:
    configure_mappers()
    mapper: Mapper[Any] = inspect(class_)
    return mapper


def test_an_instance_is_made_without_its_init() -> None:
    made = internals.new_instance(mapper_of(Watched))
    assert isinstance(made, Watched)
    assert not hasattr(made, "made_by")
    assert state_of(made).transient
    assert made.code is None


def test_stored_objects_are_built_detached_and_guarded() -> None:
    build = internals.make_builder(mapper_of(Customer), ["name", "id"], ["id"], stored=True)
    ann, bob = build([("Ann", 1), ("Bob", 2)], None)
    assert (state_of(ann).key, state_of(bob).key) == ((Customer, (1,), None), (Customer, (2,), None))
    assert state_of(ann).detached
    assert not state_of(ann).modified
    assert (ann.name, bob.name, bob.id) == ("Ann", "Bob", 2)
    with pytest.raises(NotLoadedError):
        ann.email  # noqa: B018 - reading is what is tested


def test_new_objects_are_built_transient() -> None:
    build = internals.make_builder(mapper_of(Watched), ["code"], ["code"], stored=False)
    (new,) = build([("w",)], None)
    assert state_of(new).transient
    assert not state_of(new).modified
    assert not hasattr(new, "made_by")
    assert new.code == "w"


def test_objects_of_which_nothing_is_known_are_built_for_each_row() -> None:
    build = internals.make_builder(mapper_of(Line), [], ["id"], stored=False)
    one, two = build([(), ()], None)
    assert (one is two, one.sku, two.sku) == (False, None, None)


def test_a_composite_key_and_an_identity_token_make_the_identity() -> None:
    build = internals.make_builder(mapper_of(Shelf), ["number", "room"], ["room", "number"], stored=True)
    (shelf,) = build([(7, "R")], "eu")
    assert state_of(shelf).key == (Shelf, ("R", 7), "eu")
    assert state_of(shelf).identity_token == "eu"


def test_a_subclass_is_built_with_the_identity_of_its_hierarchy() -> None:
    build = internals.make_builder(mapper_of(Puppy), ["id"], ["id"], stored=True)
    (puppy,) = build([(1,)], None)
    assert type(puppy) is Puppy
    assert state_of(puppy).key == (Animal, (1,), None)


def test_a_built_object_comes_home_to_a_session_as_a_selected_one_does(session: Session, sqlite: Database) -> None:
    selected = session.get_one(Customer, 1)
    values = tuple(state_of(selected).dict[key] for key in ("id", "name"))
    session.expunge_all()
    (built,) = internals.make_builder(mapper_of(Customer), ["id", "name"], ["id"], stored=True)([values], None)
    session.add(built)
    assert session.get_one(Customer, 1) is built
    assert not session.dirty
    built.name = "edited"
    with sqlite.statements() as log:
        session.flush()
    assert [one.sql for one in log] == ["UPDATE customer SET name=? WHERE customer.id = ?"]


def test_a_persistent_instance_is_built_as_a_select_builds_it(session: Session) -> None:
    seen: list[tuple[str, object]] = []

    def loaded(target: object, _: object) -> None:
        seen.append(("load", target))

    event.listen(Shape, "load", loaded)
    event.listen(session, "loaded_as_persistent", lambda _, obj: seen.append(("loaded_as_persistent", obj)))
    try:
        selected = session.get_one(Shape, 1)
        values = {key: state_of(selected).dict[key] for key in ("id", "name", "x1", "y1", "x2", "y2")}
        by_select, after = dict(state_of(selected).dict), [name for name, _ in seen]
        seen.clear()
        session.expunge_all()
        built = internals.build_persistent(session, mapper_of(Shape), (Shape, (1,), None), values)
    finally:
        event.remove(Shape, "load", loaded)
    assert [name for name, _ in seen] == after == ["load", "loaded_as_persistent"]
    assert all(obj is built for _, obj in seen)
    assert {key: value for key, value in state_of(built).dict.items() if key != "_sa_instance_state"} == {
        key: value for key, value in by_select.items() if key != "_sa_instance_state"
    }
    assert state_of(built).persistent
    assert session.get_one(Shape, 1) is built
    assert not session.dirty
    built.name = "edited"
    assert list(session.dirty) == [built]


def test_a_built_instance_loads_on_demand_what_it_was_not_given(session: Session, sqlite: Database) -> None:
    built = internals.build_persistent(session, mapper_of(Document), (Document, (1,), None), {"id": 1})
    with sqlite.statements() as log:
        assert (built.title, built.version) == ("t", 1)
        assert len(log) == 1
        assert built.body == "b"  # deferred: by itself
    assert len(log) == 2


def test_columns_without_a_value_are_loaded_and_not_empty(session: Session, sqlite: Database) -> None:
    line = session.get_one(Line, 1, options=[load_only(Line.sku)])
    whole = session.get_one(Order, 1)
    internals.expire_unloaded(state_of(whole))
    assert not state_of(whole).expired_attributes
    state = state_of(line)
    internals.expire_unloaded(state)
    assert state.expired_attributes == {"order_id", "qty", "price"}
    with sqlite.statements() as log:
        assert (line.qty, line.order_id) == (2, 1)
    assert len(log) == 1


def test_columns_that_were_filled_are_not_expired_any_more(session: Session, sqlite: Database) -> None:
    line = session.get_one(Line, 1)
    session.expire(line)
    state = state_of(line)
    state.dict.update(id=1, sku="filled", qty=1)
    internals.loaded_now(state, ["id", "sku", "qty"])
    assert state.expired_attributes == {"order_id", "price", "order"}
    assert not state.expired
    with sqlite.statements() as log:
        assert (line.sku, line.qty) == ("filled", 1)
        assert len(log) == 0
        assert line.order_id == 1
    assert len(log) == 1
    assert line.sku == "filled"


def test_load_events_set_up_what_a_select_sets_up(session: Session) -> None:
    for class_, heard in ((Watched, True), (Shape, True), (Settings, True), (Line, False)):
        assert internals.has_load_events(mapper_of(class_)) is heard
    watched = internals.new_instance(mapper_of(Watched))
    internals.fire_load(state_of(watched))
    assert watched.made_by == "reconstructor"
    settings = session.get_one(Settings, 1)
    state_of(settings).dict["tracked"] = {"b": 2}
    internals.fire_load(state_of(settings))
    assert settings.tracked is not None
    settings.tracked["b"] = 3
    assert settings in session.dirty


def test_refresh_events_set_up_what_a_refresh_sets_up(session: Session) -> None:
    for class_, heard in ((Watched, False), (Shape, True), (Settings, True), (Line, False)):
        assert internals.has_refresh_events(mapper_of(class_)) is heard
    shape = session.get_one(Shape, 1)
    assert shape.start == Point(1, 2)
    state_of(shape).dict["x1"] = 9
    internals.fire_refresh(state_of(shape), ["x1"])
    assert shape.start == Point(9, 2)


def test_what_becomes_transient_is_inserted_as_new(session: Session, sqlite: Database) -> None:
    line = session.get_one(Line, 1)
    session.delete(line)
    session.commit()
    assert state_of(line).was_deleted
    internals.become_transient(state_of(line))
    assert state_of(line).transient
    assert not state_of(line).was_deleted
    line.id, line.order_id, line.sku, line.qty, line.price = 1, 1, "again", 1, 1  # type: ignore[assignment]  # a whole price
    session.add(line)
    session.commit()
    assert session.get_one(Line, 1).sku == "again"


def test_notes_are_kept_with_their_mapper() -> None:
    internals.class_notes(mapper_of(Line))["tests.note"] = 1
    assert internals.class_notes(mapper_of(Line)).pop("tests.note") == 1
    assert "tests.note" not in internals.class_notes(mapper_of(Order))
