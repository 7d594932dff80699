"""The blueprint of each kind of mapping, column and relationship, and when it is compiled."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import ForeignKey, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sojourn.errors import NotMappedError
from sojourn.mapping.blueprint import Blueprint, Plans, Relationship, blueprint, getter
from tests.models.all_types import AllTypes
from tests.models.columns import Audited, Document, Settings, Shape
from tests.models.inheritance import Animal, Dog, Lorry, Owner, Truck, Vehicle
from tests.models.keys import Book, Country, Legacy, Node, Shelf, Ticket
from tests.models.loading import Player, Team
from tests.models.odd import Album, Box, Stay
from tests.models.peculiar import Boss, Firm
from tests.models.published import Letter, Parcel
from tests.models.relations import Article, Membership, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.models.styles import Invoice, Moon, Planet


def rel(class_: type, key: str) -> Relationship:
    return blueprint(class_).relationships[key]


# --- asking for one --------------------------------------------------------------------------------------------------


def test_a_mapper_a_class_and_an_instance_have_one_blueprint() -> None:
    plan = blueprint(Customer)
    assert blueprint(inspect(Customer)) is blueprint(Customer()) is plan
    assert (plan.class_, plan.entity, plan.mapper) == (Customer, "Customer", inspect(Customer))


@pytest.mark.parametrize("given", [7, "text", object, object(), None, DeclarativeBase, AllTypes.metadata])
def test_what_is_not_mapped_is_refused(given: object) -> None:
    with pytest.raises(NotMappedError):
        blueprint(given)


def test_an_attribute_that_is_mapped_later_is_seen() -> None:
    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "thing"
        id: Mapped[int] = mapped_column(primary_key=True)

    before = blueprint(Thing)
    assert list(before.columns) == ["id"]
    Thing.later = mapped_column(type_=None)
    assert list(blueprint(Thing).columns) == ["id", "later"]
    assert blueprint(Thing) is not before


def test_plans_look_each_class_up_once() -> None:
    plans = Plans()
    assert plans[Customer] is plans[Customer] is blueprint(Customer)
    assert list(plans) == [Customer]


# --- columns ---------------------------------------------------------------------------------------------------------


def marked(plan: Blueprint, mark: str) -> set[str]:
    return {key for key, column in plan.columns.items() if getattr(column, mark)}


@pytest.mark.parametrize(
    ("class_", "mark", "keys"),
    [
        (Customer, "primary_key", {"id"}),
        (Shelf, "primary_key", {"room", "number"}),
        (Legacy, "primary_key", {"id"}),
        (Lorry, "primary_key", {"id"}),
        (Book, "foreign_key", {"shelf_room", "shelf_number"}),
        (Lorry, "foreign_key", {"truck_id", "lorry_id", "owner_id"}),
        (Document, "deferred", {"body"}),
        (Customer, "generated", {"id"}),
        (Country, "generated", set()),
        (Ticket, "generated", {"id"}),
        (Shelf, "generated", set()),
        (Membership, "generated", set()),
        (Lorry, "generated", {"id"}),
        (Audited, "generated", {"id", "status", "made_by", "revision"}),
        (Settings, "mutable", {"plain", "tracked"}),
        (AllTypes, "mutable", {"some_json"}),
        (Box, "mutable", {"labels"}),
        (Team, "query_only", {"loud"}),
    ],
)
def test_columns_are_marked(class_: type, mark: str, keys: set[str]) -> None:
    assert marked(blueprint(class_), mark) == keys


def test_stored_columns_are_those_of_tables() -> None:
    assert set(blueprint(Album).columns) - set(blueprint(Album).stored) == {"length"}
    assert set(blueprint(Team).columns) - set(blueprint(Team).stored) == {"loud", "size"}
    assert blueprint(Team).columns["motto"].group == "texts"


def test_columns_go_by_the_names_of_their_attributes() -> None:
    plan = blueprint(Legacy)
    assert list(plan.columns) == ["id", "name", "parent_id"]
    assert plan.columns["name"].column.name == "nm"
    assert plan.primary_key == ("id",)


def test_primary_keys_are_in_the_mappers_order() -> None:
    assert blueprint(Shelf).primary_key == ("room", "number")
    assert blueprint(Stay).primary_key == ("hotel", "room_number", "guest_number")
    assert blueprint(Truck).primary_key == blueprint(Lorry).primary_key == ("id",)


def test_the_version_counter_is_named_by_its_attribute() -> None:
    assert blueprint(Document).version == "version"
    assert blueprint(Customer).version is None


def test_composites_gather_their_columns() -> None:
    plan = blueprint(Shape)
    assert plan.composites == {"start": ("x1", "y1"), "end": ("x2", "y2")}
    assert plan.units == {"id": "id", "name": "name", "x1": "start", "y1": "start", "x2": "end", "y2": "end"}


def test_subclasses_have_the_columns_of_their_parents() -> None:
    assert {"id", "kind", "name", "tricks"} <= set(blueprint(Dog).columns)
    assert "tricks" not in blueprint(Animal).columns
    assert {"plate", "tons", "axles", "truck_id", "lorry_id"} <= set(blueprint(Lorry).columns)
    assert blueprint(Lorry).base_class is Vehicle
    assert blueprint(Lorry).table is inspect(Lorry).persist_selectable


def test_imperative_and_dataclass_mappings_have_blueprints_too() -> None:
    assert list(blueprint(Moon).columns) == ["id", "planet_id", "name"]
    assert rel(Planet, "moons").inverse == "planet"
    assert list(blueprint(Invoice).columns) == ["id", "number", "paid"]


# --- relationships ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("class_", "key", "expected"),
    [
        (Order, "customer", {"direction": "to one", "many": False, "inverse": "orders", "by_primary_key": True}),
        (Order, "customer", {"foreign_keys": ("customer_id",), "remote_key": ("id",), "local_key": ("customer_id",)}),
        (Order, "lines", {"direction": "to many", "many": True, "inverse": "order", "owns": True, "deletes": True}),
        (Order, "lines", {"remote_key": ("order_id",), "local_key": ("id",), "foreign_keys": ()}),
        (Order, "lines", {"from_primary_key": True, "by_primary_key": False, "tells_members": True}),
        (Person, "passport", {"direction": "to many", "many": False, "owns": True}),
        (Article, "tags", {"direction": "many to many", "owns": False, "pairs": None}),
        (Article, "author", {"inverse": None, "by_primary_key": True}),
        (Node, "parent", {"direction": "to one", "local_key": ("parent_id",), "remote_key": ("id",)}),
        (Node, "children", {"direction": "to many", "local_key": ("id",), "remote_key": ("parent_id",)}),
        (Book, "shelf", {"local_key": ("shelf_room", "shelf_number"), "remote_key": ("room", "number")}),
        (Box, "balls", {"loadable": False, "owns": False, "writable": True}),
        (Box, "cubes", {"loadable": False, "owns": True}),
        (Box, "pins", {"loadable": True, "inverse": None}),
        (Album, "cover", {"direction": "to one", "owns": True}),
        (Owner, "animals", {"owns": False, "deletes": False}),
        (Owner, "animals", {"tells_members": True}),
        (Team, "captain", {"writable": False, "pairs": None}),
        (Player, "ground", {"by_primary_key": False, "remote_key": ("code",)}),
    ],
)
def test_relationships_are_told_apart(class_: type, key: str, expected: dict[str, Any]) -> None:
    found = rel(class_, key)
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_collection_of_one_subclass_of_a_shared_table_is_not_told_by_its_columns() -> None:
    assert not rel(Team, "hounds").tells_members


def test_members_in_several_tables_are_told_apart_by_no_key() -> None:
    assert rel(Firm, "workers").scattered
    assert not rel(Owner, "vehicles").scattered


def test_the_discriminator_of_a_union_is_no_column_of_a_concrete_table() -> None:
    assert blueprint(Boss).columns.keys() == {"id", "name", "salary", "firm_id"}


def test_the_third_table_is_linked_by_the_primary_key() -> None:
    found = rel(Article, "tags")
    assert [column.name for column in found.link if hasattr(column, "name")] == ["article_id"]
    assert found.secondary is not None
    assert rel(Order, "lines").link == ()


def test_a_backref_is_the_inverse_on_both_sides() -> None:
    class Base(DeclarativeBase):
        pass

    class Parent(Base):
        __tablename__ = "parent"
        id: Mapped[int] = mapped_column(primary_key=True)
        children: Mapped[list[Any]] = relationship("Child", backref="parent")

    class Child(Base):
        __tablename__ = "child"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int] = mapped_column(ForeignKey("parent.id"))

    assert (rel(Parent, "children").inverse, rel(Child, "parent").inverse) == ("parent", "children")


def test_a_foreign_key_knows_the_reference_that_it_serves() -> None:
    assert blueprint(Line).own_key == {"order_id": "order"}
    assert blueprint(Book).own_key == {"shelf_room": "shelf", "shelf_number": "shelf"}
    assert blueprint(Tag).own_key == {}


# --- the rest --------------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_that_of_the_mapping() -> None:
    same, again = blueprint(Customer).fingerprint, blueprint(Customer).fingerprint
    assert same == again
    assert len(same) == 12
    assert len({blueprint(class_).fingerprint for class_ in (Customer, Order, Line, Node)}) == 4


def test_a_getter_gives_tuples_for_any_number_of_keys() -> None:
    row = {"a": 1, "b": 2}
    assert (getter([])(row), getter(["a"])(row), getter(["b", "a"])(row)) == ((), (1,), (2, 1))


def test_a_discriminator_that_is_an_expression_is_no_column_attribute() -> None:
    assert list(blueprint(Parcel).columns) == list(blueprint(Letter).columns) == ["id", "grams"]
