"""What `json_schema` says, and that every `to_dict` of the test models is what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from math import isfinite
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError  # type: ignore[import-untyped]  # no types
from sqlalchemy import Column, ForeignKey, Integer, Table, select
from sqlalchemy.orm import defer, joinedload, load_only, registry, relationship, selectinload, undefer

import sojourn
from sojourn.errors import NotMappedError, WrongAttributeError
from sojourn.mapping.blueprint import blueprint
from sojourn.session.prefetch import prefetch
from sojourn.snapshot.json_schema import json_schema
from sojourn.snapshot.to_dict import to_dict
from tests.databases import Database
from tests.models import all_types, columns, inheritance, keys, loading, odd, published, relations, shop, styles
from tests.models.all_types import EDGES, SAMPLE, AllTypes
from tests.models.columns import Audited, Document, Point, Settings, Shape
from tests.models.inheritance import Animal, Car, Cat, Dog, Lorry, Owner, Puppy, Truck, Vehicle
from tests.models.keys import Book as ShelfBook
from tests.models.keys import Country, Legacy, Node, Shelf, Ticket
from tests.models.loading import Entry, Sheet, Twig, grounds_teams_players
from tests.models.matrix import CASES, Case
from tests.models.odd import (
    Album,
    Ball,
    Box,
    Complaint,
    Corner,
    Cover,
    Cube,
    Desk,
    Guest,
    Paper,
    Pin,
    Room,
    Stay,
    Sticker,
    Watched,
)
from tests.models.published import Book, Chapter, Circle, Figure, Folder, Letter, Page, Parcel, Round
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag
from tests.models.shop import Customer, Order, fill
from tests.models.styles import Invoice, Item, Moon, Planet

MODULES = (columns, inheritance, keys, loading, odd, published, relations, shop, styles)
WHOLE = selectinload(Customer.orders).selectinload(Order.lines)


def checked(schema: dict[str, Any], *, zones: bool = False) -> Draft202012Validator:
    """A validator of a valid schema, which checks formats, too. `zones`: those of the database have a time zone."""
    Draft202012Validator.check_schema(json.loads(json.dumps(schema, allow_nan=False)))
    formats = FormatChecker({"date", "uuid", "duration", *(("date-time", "time") if zones else ())})
    assert {"duration", "date-time"} <= set(Draft202012Validator.FORMAT_CHECKER.checkers), "install the format checkers"
    formats.checkers = {name: Draft202012Validator.FORMAT_CHECKER.checkers[name] for name in formats.checkers}
    return Draft202012Validator(schema, format_checker=formats)


def expect_valid(model: type[Any], objs: Iterable[Any], *options: Any, zones: bool = False) -> None:
    """What `to_dict` gives of the objects is what the schema says of their class."""
    validator = checked(json_schema(model, *options), zones=zones)
    for plain in to_dict(objs, *options):
        validator.validate(json.loads(json.dumps(plain, allow_nan=False)))


# --- every model ------------------------------------------------------------------------------------------------------


def rows_of_every_model() -> list[Any]:
    point = Point(1, 2)
    article = Article(id=1, title="T", author=Person(id=1, name="Ann", passport=Passport(id=1, number="X")))
    article.tags, article.links = [Tag(id=1, name="a")], {Link(id=1, url="u")}
    article.notes = {"n": Note(id=1, keyword="n", text="t")}
    album = Album(id=1, title="A", cover=Cover(id=1, colour="red"))
    album.stickers["s"] = Sticker(id=1, name="s")
    desk = Desk(id=1)
    desk.papers.push(Paper(id=1))
    planet, folder = Planet("Mars"), Folder(id=1, name="top", pages=[Page(id=1), Page(id=2)])
    planet.moons = [Moon("Phobos"), Moon("Deimos")]
    folder.folders["in"] = Folder(id=2, name="in")
    book = Book(id=1, title="B", silent={"a": 1}, speaking={"b": [2]})
    return [
        *grounds_teams_players(),
        *(Document(id=1, title="t", body="b"), Document(id=2, title="t", summary="s", body="b")),
        *(Shape(id=1, name="s", start=point, end=None), Shape(id=2, name="s", start=point, end=point)),
        *(Audited(id=1, name="a"), Settings(id=1, name="s", plain={"a": [1.5, None]}, tracked=None)),
        *(Animal(id=1, name="A"), Dog(id=2, name="D", tricks=3), Puppy(id=3, name="P", weeks=9), Cat(id=4, name="C")),
        *(Vehicle(id=1, plate="V"), Car(id=2, plate="C", doors=4), Truck(id=3, plate="T", tons=7)),
        *(Lorry(id=4, plate="L", tons=7, axles=3), Owner(id=1, name="Ann", animals=[Cat(id=5, name="Tom")])),
        Shelf(room="r", number=1, books=[ShelfBook(id=1, title="b")]),
        *(ShelfBook(id=2, title="b"), Country(code="BE", name="Belgium"), Ticket(subject="s", country_code="BE")),
        Node(id=1, name="1", children=[Node(id=2, name="2", children=[Node(id=3, name="3")]), Node(id=4, name="4")]),
        Legacy(id=2, name="l", parent=Legacy(id=1, name="l")),
        *(Sheet(id=1, name="s"), Twig(id=1, twigs=[Twig(id=2, twigs=[Twig(id=3)])])),
        Box(id=1, labels={"a": "b"}, corner=Corner(1, 2), pins=[Pin(id=1), Pin(id=2)]),
        *(
            Entry(id=1),
            Ball(id=1),
            Cube(id=1),
            Watched("w"),
            album,
            desk,
            Room(hotel="h", number=1),
            Guest(hotel="h", number=1),
        ),
        *(Complaint(id=1), Complaint(id=2, hotel="h", room_number=1, guest_number=1)),
        *(Parcel(id=1, grams=80), Letter(id=2, grams=20), Figure(id=1), Circle(id=2, radius=5), folder, planet),
        *(book, Chapter(id=1, book=book, name="12345"), Chapter(id=2, book=book, quotes=book, name="n")),
        *(article, Membership(person=article.author, club=Club(id=1, name="Chess"), role="chair")),
        *(Invoice(number="1", items=[Item(text="t")]), Invoice(number="2")),
    ]


def mapped_classes() -> list[type[Any]]:
    registries = [module.Base.registry for module in MODULES] + [styles.imperative]
    return [mapper.class_ for registry in registries for mapper in registry.mappers]


def two_levels(model: type[Any]) -> list[Any]:
    """Options that load every relationship, and every one of its members."""
    options = []
    for rel in blueprint(model).relationships.values():
        if rel.loadable:
            first = selectinload(getattr(model, rel.key))
            below = [one for one in blueprint(rel.target).relationships.values() if one.loadable]
            options.append(first.options(*(selectinload(getattr(rel.target.class_, one.key)) for one in below)))
    return options


def test_what_to_dict_gives_of_every_model_is_what_the_schema_says(sqlite: Database) -> None:
    sqlite.create(*(module.Base.metadata for module in MODULES))
    with sqlite.session() as session:
        fill(session, customers=2, orders=2, lines=2)
        session.add_all(rows_of_every_model())
        session.commit()
        session.add(Stay(hotel="h", room_number=1, guest_number=1, nights=2))
        session.commit()
    for model in mapped_classes():
        for options in ([], [undefer("*"), *two_levels(model)], [selectinload("*")]):
            with sqlite.session() as session:
                objs = session.scalars(select(model)).all()
                assert objs, f"no rows of {model.__name__}"
                prefetch(session, objs, *options)
                expect_valid(model, objs, *options)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_values_of_every_type_are_what_the_schema_says(case: Case) -> None:
    model = case.model()
    cells = [model() for _ in [*case.values, None]]
    for number, (cell, value) in enumerate(zip(cells, [*case.values, None], strict=True)):
        cell.id, cell.value, cell.target = number, value, None
    expect_valid(model, [cell for cell in cells if is_json(cell.value)], zones=True)


@pytest.mark.parametrize("values", [SAMPLE, EDGES], ids=["sample", "edges"])
def test_values_from_each_database_are_what_the_schema_says(database: Database, values: dict[str, Any]) -> None:
    database.create(all_types.Base.metadata)
    with database.session() as session:
        session.add_all([AllTypes(id=1, **values), AllTypes(id=2)])
        session.commit()
        expect_valid(AllTypes, session.scalars(select(AllTypes)).all(), zones=database.name == "postgresql")


def is_json(value: Any) -> bool:
    """Whether there is a form for it: NaN and the infinities have none."""
    if isinstance(value, (float, Decimal)):
        return isfinite(value) if not (isinstance(value, Decimal) and value.is_snan()) else False
    return all(map(is_json, value)) if isinstance(value, (list, tuple)) else True


# --- what it says -----------------------------------------------------------------------------------------------------


def test_it_is_a_public_name() -> None:
    assert sojourn.json_schema is json_schema


def test_columns_say_their_types_lengths_and_whether_they_may_be_null() -> None:
    schema = json_schema(Customer)
    assert schema == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Customer",
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "name": {"type": "string", "maxLength": 80},
            "email": {"type": "string", "maxLength": 120},
            "city": {"type": ["string", "null"], "maxLength": 80},
            "balance": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?(E[+-][0-9]+)?$"},
        },
        "required": ["id", "name", "email", "city", "balance"],
        "additionalProperties": False,
    }


def test_each_type_has_its_form() -> None:
    properties = json_schema(AllTypes)["properties"]
    said = {
        name: {key: each[key] for key in each if key not in ("type", "pattern")} for name, each in properties.items()
    }
    assert said["some_bytes"] == {"contentEncoding": "base64"}
    assert said["a_date"] == {"format": "date"}
    assert said["a_time"] == {"format": "time-local"}
    assert said["a_datetime"] == {"format": "date-time-local"}
    assert said["an_instant"] == {"format": "date-time"}
    assert said["a_timedelta"] == {"format": "duration"}
    assert said["a_uuid"] == {"format": "uuid"}
    assert said["a_colour"] == {"enum": ["RED", "GREEN", None]}
    assert properties["some_json"] == {}
    types = {name: each["type"][0] for name, each in properties.items() if "type" in each and name != "id"}
    assert types.pop("an_int") == "integer"
    assert types.pop("a_float") == "number"
    assert types.pop("a_bool") == "boolean"
    assert set(types.values()) == {"string"}


def test_related_objects_are_definitions() -> None:
    schema = json_schema(Customer, WHOLE)
    assert schema["properties"]["orders"] == {"type": "array", "items": {"$ref": "#/$defs/Order"}}
    assert list(schema["$defs"]) == ["Order", "Line"]
    assert schema["$defs"]["Order"]["required"][-1] == "lines"


def test_the_options_choose_the_columns() -> None:
    schema = json_schema(Document, load_only(Document.title), undefer(Document.body))
    assert list(schema["properties"]) == ["id", "title", "body"]
    assert list(json_schema(Document, defer(Document.id))["properties"]) == ["version", "title", "summary"]


def test_a_reference_may_be_null_unless_its_foreign_key_may_not() -> None:
    schema = json_schema(Chapter, joinedload(Chapter.book), joinedload(Chapter.quotes))
    assert schema["properties"]["book"] == {"$ref": "#/$defs/Book"}
    assert schema["properties"]["quotes"] == {"anyOf": [{"$ref": "#/$defs/Book2"}, {"type": "null"}]}
    passport = json_schema(Person, selectinload(Person.passport))["properties"]["passport"]
    assert passport == {"anyOf": [{"$ref": "#/$defs/Passport"}, {"type": "null"}]}


def test_a_reference_that_may_lead_back_is_not_required() -> None:
    schema = json_schema(Customer, selectinload(Customer.orders).joinedload(Order.customer))
    order = schema["$defs"]["Order"]
    assert "customer" in order["properties"]
    assert "customer" not in order["required"]
    assert "customer" in json_schema(Order, joinedload(Order.customer))["required"]


def test_a_recursive_option_makes_a_schema_that_refers_to_itself() -> None:
    schema = json_schema(Node, selectinload(Node.children, recursion_depth=-1))
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    validator = checked(schema)
    leaf = {"id": 3, "parent_id": 2, "name": "3", "children": []}
    validator.validate({**leaf, "children": [{**leaf, "children": [leaf]}]})
    with pytest.raises(ValidationError):
        validator.validate({**leaf, "children": [{**leaf, "children": [{**leaf, "id": "3"}]}]})


def test_an_object_of_a_class_with_subclasses_is_any_of_them() -> None:
    schema = json_schema(Owner, selectinload(Owner.animals))
    names = ["Animal", "Dog", "Cat", "Puppy"]
    assert schema["properties"]["animals"]["items"] == {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    assert {name: schema["$defs"][name]["properties"]["kind"] for name in names} == {
        "Animal": {"const": "animal"},
        "Dog": {"const": "dog"},
        "Cat": {"const": "cat"},
        "Puppy": {"const": "puppy"},
    }
    root = json_schema(Dog)
    assert root["title"] == "Dog"
    assert root["anyOf"] == [{"$ref": "#/$defs/Dog"}, {"$ref": "#/$defs/Puppy"}]
    assert "anyOf" not in json_schema(Cat)


def test_a_null_or_computed_discriminator_promises_nothing() -> None:
    schema = json_schema(Figure)
    assert list(schema["$defs"]) == ["Figure", "Circle"]
    assert schema["$defs"]["Circle"]["properties"]["kind"] == {"type": ["string", "null"], "maxLength": 20}
    assert list(json_schema(Letter)["properties"]) == ["id", "grams"]


def test_objects_of_an_abstract_class_are_those_of_its_subclasses() -> None:
    assert json_schema(Round)["title"] == "Circle"


def test_collections_are_arrays_or_objects() -> None:
    article = json_schema(Article, selectinload("*"))["properties"]
    assert article["notes"] == {"type": "object", "additionalProperties": {"$ref": "#/$defs/Note"}}
    assert article["links"] == {"type": "array", "items": {"$ref": "#/$defs/Link"}}
    assert json_schema(Folder, selectinload(Folder.pages))["properties"]["pages"]["type"] == "array"


def test_a_composite_is_a_closed_object() -> None:
    integer = {"type": "integer"}
    assert json_schema(Shape)["properties"]["start"] == {
        "type": "object",
        "properties": {"x": integer, "y": integer},
        "required": ["x", "y"],
        "additionalProperties": False,
    }


def test_comments_and_docs_are_descriptions() -> None:
    schema = json_schema(Book, selectinload(Book.chapters))
    assert schema["description"] == "What we have in print."
    assert schema["properties"]["title"]["description"] == "The title."
    assert schema["properties"]["blurb"]["description"] == "For the back."
    assert schema["properties"]["chapters"]["description"] == "In their order."
    assert "description" not in schema["properties"]["id"]


def test_a_decorated_type_is_what_it_says_and_anything_where_it_says_nothing() -> None:
    properties = json_schema(Book)["properties"]
    assert properties["speaking"] == {"type": "object"}
    assert properties["silent"] == {}


def test_an_expression_may_be_longer_than_the_column_that_its_type_comes_from() -> None:
    properties = json_schema(Chapter)["properties"]
    assert properties["name"] == {"type": "string", "maxLength": 5}
    assert properties["twice"] == {"type": ["string", "null"]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "1"},
        {"name": None},
        {"name": "x" * 81},
        {"balance": "1.5 EUR"},
        {"balance": 1.5},
        {"more": 1},
        {"orders": {}},
        {"orders": [{}]},
    ],
)
def test_what_to_dict_never_gives_is_not_valid(wrong: dict[str, Any]) -> None:
    right = {"id": 1, "name": "n", "email": "e", "city": None, "balance": "-1.50", "orders": []}
    validator = checked(json_schema(Customer, WHOLE))
    validator.validate(right)
    with pytest.raises(ValidationError):
        validator.validate({**right, **wrong})
    for name in right:
        with pytest.raises(ValidationError):
            validator.validate({key: right[key] for key in right if key != name})


def test_a_time_without_a_zone_is_no_date_time() -> None:
    schema = {"properties": {"at": json_schema(AllTypes)["properties"]["a_datetime"]}}
    checked(schema).validate({"at": "2026-02-28T13:37:01.000005"})
    with pytest.raises(ValidationError):
        checked(schema).validate({"at": "2026-02-28T13:37:01Z"})


def test_a_wildcard_over_too_many_ways_is_refused() -> None:
    model = tangle(7)
    with pytest.raises(WrongAttributeError, match=r"more than 1000 definitions\. Name the relationships"):
        json_schema(model, selectinload("*"))


def tangle(size: int) -> type[Any]:
    """Classes that each refer to all others."""
    mappers = registry()
    classes = [type(f"Tangled{number}", (), {}) for number in range(size)]
    for number, class_ in enumerate(classes):
        others = [other for other in range(size) if other != number]
        keys_: list[Any] = [Column(f"k{other}", ForeignKey(f"t{other}.id")) for other in others]
        table = Table(f"t{number}", mappers.metadata, Column("id", Integer, primary_key=True), *keys_)
        mappers.map_imperatively(
            class_,
            table,
            properties={
                f"r{other}": relationship(classes[other], foreign_keys=[table.c[f"k{other}"]]) for other in others
            },
        )
    return classes[0]


def test_what_is_no_mapped_class_is_refused() -> None:
    for wrong in (int, "Customer", None):
        with pytest.raises(NotMappedError):
            json_schema(wrong)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(WrongAttributeError, match=r"Order\.lines leads nowhere from Customer"):
        json_schema(Customer, selectinload(Order.lines))
