"""The shape that loader options describe. Where SQLAlchemy has an answer (which columns and relationships does a SELECT
with these options load?), the shape's answer is compared with it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import (
    Load,
    contains_eager,
    defaultload,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    noload,
    raiseload,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    undefer,
    undefer_group,
    with_loader_criteria,
    with_polymorphic,
)
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.sql.base import ExecutableOption

from sojourn.errors import SojournError, WrongAttributeError
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.shape import Shape, shapes
from tests.databases import Database
from tests.models import inheritance, keys, loading, odd, relations, shop
from tests.models.columns import Document
from tests.models.columns import Shape as Drawing
from tests.models.inheritance import Animal, Cat, Dog, Owner, Puppy, Vehicle
from tests.models.keys import Node
from tests.models.loading import Hound, Pet, Player, Team, Twig
from tests.models.shop import Customer, Line, Order

Tree = dict[str, Any]


def shape_of(class_: type, *options: ExecutableOption) -> Shape:
    mapper = blueprint(class_).mapper
    return shapes([mapper], options)[mapper]


def tree(shape: Shape, class_: type, depth: int = 4) -> Tree:
    """The columns and relationships of a shape as a nested dict; columns are None."""
    plan = blueprint(class_)
    found: Tree = dict.fromkeys(shape.wanted_columns(plan))
    for rel, branch in shape.branches(plan) if depth else ():
        found[rel.key] = tree(branch.shape, rel.target.class_, depth - 1)
    return found


def loaded(obj: Any, seen: frozenset[int] = frozenset()) -> Tree:
    """What SQLAlchemy's own query loaded on an object, in the same form (of a collection, its first member)."""
    state = instance_state(obj)
    found: Tree = {key: None for key in state.dict if key in state.mapper.column_attrs and key != "loud"}
    for key, member in _members(obj, seen).items():
        found[key] = {} if member is None else loaded(member, seen | {id(obj)})
    return found


def in_shape(shape: Shape, obj: Any, seen: frozenset[int] = frozenset()) -> Tree:
    """What the shape says of the same objects."""
    plan, members = blueprint(type(obj)), _members(obj, seen)
    found: Tree = dict.fromkeys(shape.wanted_columns(plan))
    for rel, branch in shape.branches(plan):
        member = members.get(rel.key)
        found[rel.key] = {} if member is None else in_shape(branch.shape, member, seen | {id(obj)})
    return found


def _members(obj: Any, seen: frozenset[int]) -> dict[str, Any]:
    """The first member of each loaded relationship; without those that only lead back to where one came from."""
    state = instance_state(obj)
    values = {key: state.dict[key] for key in state.mapper.relationships.keys() if key in state.dict}  # noqa: SIM118
    first = {key: next(iter(value), None) if isinstance(value, list) else value for key, value in values.items()}
    return {key: member for key, member in first.items() if id(member) not in seen}


ONLY_NUMBER = {"id": None, "number": None, "customer_id": None}  # a foreign key is never left out by a wildcard
CUSTOMER = dict.fromkeys(["id", "name", "email", "city", "balance"])
ORDER = dict.fromkeys(["id", "customer_id", "number", "status", "placed_at"])
LINE = dict.fromkeys(["id", "order_id", "sku", "qty", "price"])


@pytest.mark.parametrize(
    "loader", [selectinload, joinedload, subqueryload, immediateload, contains_eager], ids=lambda one: one.__name__
)
def test_every_way_of_loading_a_relationship_means_that_it_belongs_to_the_shape(loader: Any) -> None:
    assert tree(shape_of(Customer, loader(Customer.orders)), Customer) == {**CUSTOMER, "orders": ORDER}


def test_without_options_the_shape_is_what_a_plain_select_loads() -> None:
    assert tree(shape_of(Customer), Customer) == CUSTOMER
    assert tree(shape_of(Document), Document) == dict.fromkeys(["id", "version", "title", "summary"])


COMPARED: dict[str, list[ExecutableOption]] = {
    "nothing": [],
    "chain": [selectinload(Customer.orders).selectinload(Order.lines)],
    "nested options": [selectinload(Customer.orders).options(defer(Order.number), selectinload(Order.lines))],
    "two options for one branch": [
        selectinload(Customer.orders).options(defer(Order.number)),
        selectinload(Customer.orders).options(defer(Order.status)),
    ],
    "defaultload alone loads nothing": [defaultload(Customer.orders).defer(Order.number)],
    "defaultload beside selectinload": [
        selectinload(Customer.orders),
        defaultload(Customer.orders).defer(Order.number),
    ],
    "a lazy step hides what is below": [lazyload(Customer.orders).selectinload(Order.lines)],
    "wildcard": [selectinload("*")],
    "joined wildcard": [joinedload("*")],
    "wildcard at one place": [Load(Customer).selectinload("*")],
    "wildcard below": [selectinload(Customer.orders).selectinload("*")],
    "named outweighs a lazy wildcard": [selectinload(Customer.orders).selectinload(Order.lines), lazyload("*")],
    "place outweighs everywhere": [Load(Customer).lazyload("*"), selectinload("*")],
    "place outweighs everywhere, the other way round": [Load(Customer).selectinload("*"), lazyload("*")],
    "named outweighs its place": [Load(Customer).lazyload("*"), selectinload(Customer.orders)],
    "raiseload everywhere else": [selectinload(Customer.orders), raiseload("*")],
    "defer one": [defer(Customer.name)],
    "undefer all but one": [undefer("*"), defer(Customer.name)],
    "undefer at the place outweighs defer everywhere": [Load(Customer).undefer("*"), defer("*")],
    "load_only twice": [load_only(Customer.name), load_only(Customer.city)],
    "load_only and undefer": [load_only(Customer.name), undefer(Customer.city)],
    "load_only and undefer everywhere": [load_only(Customer.name), undefer("*")],
    "load_only that raises": [load_only(Customer.name, raiseload=True)],
}


@pytest.mark.parametrize("options", COMPARED.values(), ids=COMPARED.keys())
def test_a_shape_is_what_sqlalchemy_loads_with_the_same_options(
    sqlite: Database, options: list[ExecutableOption]
) -> None:
    sqlite.create(shop.Base.metadata)
    with sqlite.session() as session:
        shop.fill(session, 1, 1, 1)
        customer = session.scalars(select(Customer).options(*options)).unique().one()
        assert in_shape(shape_of(Customer, *options), customer) == loaded(customer)


DEFERRED: dict[str, tuple[type, list[ExecutableOption]]] = {
    "mapped as eager, deferred and grouped": (Team, []),
    "eager is left out": (Team, [lazyload(Team.players)]),
    "eager raises": (Team, [raiseload("*")]),
    "a group": (Team, [undefer_group("texts")]),
    "a group everywhere": (Player, [joinedload(Player.team).undefer_group("texts")]),
    "a group below": (Player, [Load(Player).undefer_group("texts")]),
    "everything": (Team, [undefer("*")]),
    "a column that raises": (Team, [undefer(Team.secret)]),
    "eager below": (Player, []),
    "eager beyond a named one": (Team, [selectinload(Team.pets)]),
    "eager to a depth": (Twig, []),
    "eager to another depth": (Twig, [selectinload(Twig.twigs, recursion_depth=3)]),
    "without end": (Twig, [selectinload(Twig.twigs, recursion_depth=-1)]),
    "a subclass has an eager one of its own": (Hound, []),
}


@pytest.mark.parametrize(("class_", "options"), DEFERRED.values(), ids=DEFERRED.keys())
def test_a_shape_of_eager_and_deferred_attributes_is_what_sqlalchemy_loads(
    sqlite: Database, class_: type, options: list[ExecutableOption]
) -> None:
    sqlite.create(loading.Base.metadata)
    with sqlite.session() as session:
        twigs = [Twig(id=number, parent_id=number - 1 or None) for number in range(1, 7)]
        session.add_all([*loading.grounds_teams_players(), *twigs])
        session.commit()
    with sqlite.session() as session:
        entity: Any = class_
        first = session.scalars(select(entity).options(*options).order_by(entity.id).limit(1)).unique().one()
        assert in_shape(shape_of(class_, *options), first) == loaded(first)


@pytest.mark.filterwarnings("ignore:The noload")
@pytest.mark.parametrize("loader", [lazyload, raiseload, noload], ids=lambda one: one.__name__)
def test_an_eager_relationship_is_left_out_by_every_option_that_does_not_load_it(loader: Any) -> None:
    assert "players" in tree(shape_of(Team), Team)
    assert "players" not in tree(shape_of(Team, loader(Team.players)), Team)


def test_key_version_and_foreign_keys_stay_where_columns_are_not_named() -> None:
    assert tree(shape_of(Order, load_only(Order.number)), Order) == ONLY_NUMBER
    assert tree(shape_of(Order, defer("*"), undefer(Order.number)), Order) == ONLY_NUMBER
    assert tree(shape_of(Document, load_only(Document.title)), Document) == dict.fromkeys(["id", "version", "title"])
    assert "id" in tree(shape_of(Order, defer(Order.id)), Order)
    assert "customer_id" not in tree(shape_of(Order, defer(Order.customer_id)), Order)


def test_a_composite_stands_for_its_columns() -> None:
    assert tree(shape_of(Drawing, load_only(Drawing.start)), Drawing) == dict.fromkeys(["id", "x1", "y1"])
    assert tree(shape_of(Drawing, defer(Drawing.start)), Drawing) == dict.fromkeys(["id", "name", "x2", "y2"])


def test_a_query_expression_belongs_to_no_shape() -> None:
    assert "loud" not in tree(shape_of(Team, undefer("*"), undefer(Team.loud)), Team)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_a_recursion_depth_counts_the_levels_below_the_first(levels: int) -> None:
    found = tree(shape_of(Node, selectinload(Node.children, recursion_depth=levels or None)), Node, 10)
    depth = 0
    while "children" in found:
        found, depth = found["children"], depth + 1
    assert depth == levels + 1


def test_a_recursion_without_end_is_one_branch() -> None:
    shape = shape_of(Node, selectinload(Node.children, recursion_depth=-1))
    ((_, first),) = shape.branches(blueprint(Node))
    ((_, second),) = first.shape.branches(blueprint(Node))
    assert first is second


def test_a_recursion_below_another_relationship_starts_there() -> None:
    option = selectinload(Node.parent).selectinload(Node.children, recursion_depth=1)
    assert list(tree(shape_of(Node, option), Node, 9)["parent"]["children"]["children"]) == ["id", "parent_id", "name"]


def test_options_for_a_subclass_hide_no_member_and_open_its_attributes() -> None:
    shape = shape_of(Owner, selectinload(Owner.animals.of_type(Dog)).defer(Dog.tricks))
    ((relationship, branch),) = shape.branches(blueprint(Owner))
    assert relationship.key == "animals"
    assert branch.target is None
    assert "tricks" not in branch.shape.wanted_columns(blueprint(Puppy))
    assert "lives" in branch.shape.wanted_columns(blueprint(Cat))


def test_an_alias_over_subclasses_opens_their_attributes() -> None:
    some = with_polymorphic(Animal, [Dog])
    ((_, branch),) = shape_of(Owner, selectinload(Owner.animals.of_type(some)).defer(some.Dog.tricks)).branches(
        blueprint(Owner)
    )
    assert "tricks" not in branch.shape.wanted_columns(blueprint(Dog))


def test_selectin_polymorphic_changes_nothing_since_subclasses_are_filled_anyway() -> None:
    plain = tree(shape_of(Owner, selectinload(Owner.vehicles)), Owner)
    assert tree(shape_of(Owner, selectinload(Owner.vehicles).selectin_polymorphic([inheritance.Car])), Owner) == plain
    assert tree(shape_of(Vehicle, selectin_polymorphic(Vehicle, [inheritance.Car])), Vehicle) == tree(
        shape_of(Vehicle), Vehicle
    )


def test_classes_of_one_hierarchy_share_a_shape_where_the_same_options_apply_to_them() -> None:
    mappers: list[Any] = [inspect(class_) for class_ in (Dog, Puppy, Cat)]
    found = shapes(mappers, [selectinload(Animal.owner)])
    assert found[mappers[0]] is found[mappers[1]] is found[mappers[2]]
    found = shapes(mappers, [load_only(Dog.tricks)])
    assert found[mappers[0]] is found[mappers[1]] is not found[mappers[2]]
    assert "name" in found[mappers[2]].wanted_columns(blueprint(Cat))


def test_criteria_and_options_of_other_kinds_are_kept_apart() -> None:
    criteria = with_loader_criteria(Order, Order.status == "open")
    general = shape_of(Customer, criteria, selectinload(Customer.orders)).general
    assert (general.criteria, general.others) == ([criteria], [])


def test_the_criteria_of_a_relationship_go_with_its_branch() -> None:
    ((_, branch),) = shape_of(Customer, selectinload(Customer.orders.and_(Order.status == "open"))).branches(
        blueprint(Customer)
    )
    assert [str(one) for one in branch.criteria] == ["customer_order.status = :status_1"]
    assert branch.target is inspect(Order)


def test_a_wildcard_over_many_classes_grows_where_it_is_looked_at() -> None:
    shape = shape_of(relations.Article, selectinload("*"))
    assert shape.grown == {}
    assert [rel.key for rel, _ in shape.branches(blueprint(relations.Article))] == ["author", "tags", "notes", "links"]
    assert all(branch.shape.grown == {} for branch in shape.grown.values())


def test_a_wildcard_leads_to_no_class_that_the_path_went_through() -> None:
    found = tree(shape_of(Line, selectinload("*")), Line)
    assert found == {**LINE, "order": {**ORDER, "customer": CUSTOMER}}


def test_a_collection_that_holds_nothing_in_memory_is_left_out_of_a_wildcard() -> None:
    assert list(tree(shape_of(odd.Box, selectinload("*")), odd.Box)) == ["id", "labels", "x", "y", "pins"]


ALIAS = with_polymorphic(Animal, [Dog], aliased=True)
WRONG: dict[str, tuple[type, Any]] = {
    "no option": (Customer, "orders"),
    "an attribute": (Customer, Customer.orders),
    "a class that leads nowhere": (Line, selectinload(Customer.orders)),
    "a column of another class": (Line, load_only(Customer.name)),
    "a dynamic collection": (odd.Box, selectinload(odd.Box.balls)),
    "a write-only collection": (odd.Box, selectinload(odd.Box.cubes)),
    "criteria on an alias": (Owner, selectinload(Owner.animals.of_type(ALIAS).and_(ALIAS.name == "x"))),
}


@pytest.mark.parametrize(("class_", "option"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_followed_is_refused(class_: type, option: Any) -> None:
    with pytest.raises(WrongAttributeError) as caught:
        shape_of(class_, option)
    assert isinstance(caught.value, SojournError)


def test_an_option_that_leads_nowhere_says_from_where_it_would() -> None:
    with pytest.raises(WrongAttributeError, match=r"^Customer\.orders leads nowhere from Line\. Begin the option"):
        shape_of(Line, selectinload(Customer.orders))


def test_an_option_for_one_of_several_classes_is_right_for_all_of_them() -> None:
    found = shapes([inspect(Customer), inspect(Line)], [selectinload(Customer.orders)])
    assert "orders" in tree(found[inspect(Customer)], Customer)
    assert tree(found[inspect(Line)], Line) == LINE


def test_an_option_for_a_subclass_that_happens_not_to_be_there_is_right() -> None:
    assert "toys" not in tree(shapes([inspect(Pet)], [selectinload(Hound.toys)])[inspect(Pet)], Pet)


def test_no_objects_take_any_option() -> None:
    assert shapes([], [selectinload(Customer.orders)]) == {}


def test_a_tree_of_keys_with_other_names_is_read_by_attribute() -> None:
    found = tree(shape_of(keys.Legacy, load_only(keys.Legacy.name)), keys.Legacy)
    assert found == dict.fromkeys(["id", "name", "parent_id"])


@pytest.mark.parametrize(
    ("class_", "option", "expected"),
    [
        (Order, load_only(Order.number), ["id", "number"]),
        (Document, load_only(Document.title), ["id", "title"]),
        (Document, undefer(Document.body), ["id", "version", "title", "summary", "body"]),
        (Document, defer(Document.id), ["version", "title", "summary"]),
        (Customer, defer("*"), ["id"]),
    ],
)
def test_the_selected_columns_are_those_that_a_select_loads_less_what_is_deferred_by_name(
    class_: type, option: ExecutableOption, expected: list[str]
) -> None:
    assert shape_of(class_, option).selected_columns(blueprint(class_)) == expected
