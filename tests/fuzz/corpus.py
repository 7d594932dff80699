"""Valid documents to damage: small graphs of most of the test models, stored, edited, and with new objects."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import create_engine
from sqlalchemy import inspect as inspected
from sqlalchemy.orm import Session, configure_mappers

from sojourn.mapping.blueprint import blueprint
from sojourn.snapshot import dumps
from tests.models import all_types, columns, inheritance, keys, odd, odd_keys, relations, shop, styles
from tests.models.all_types import EDGES, SAMPLE, AllTypes
from tests.models.columns import Audited, Document, Point, Settings, Shape
from tests.models.inheritance import Car, Cat, Dog, Lorry, Owner, Puppy
from tests.models.keys import Book, Country, Legacy, Node, Shelf, Ticket
from tests.models.odd import Album, Box, Corner, Cover, Cube, Desk, Paper, Pin, Sticker, Watched
from tests.models.odd_keys import KINDS
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.models.styles import Invoice, Item, Moon, Planet

# The decorated one has Python values that are not those of the type that it decorates.
_KINDS = [kind for kind in KINDS if kind.name != "decorated"]
_BASES: list[Any] = [
    *(all_types.Base, columns.Base, inheritance.Base, keys.Base, odd.Base, relations.Base, shop.Base, styles.Base),
]
MODELS: list[Any] = [*_BASES, styles.imperative, inspected(KINDS[0].parent).registry]
"""What `loads` may build here: classes that cannot be compared, hashed or printed, and keys of many types among it."""

FORMATS: Sequence[Literal["json", "msgpack"]] = ("json", "msgpack")


def seeds() -> list[bytes]:
    """The documents, in each encoding. They are the same each time but for the tokens of new objects."""
    configure_mappers()
    # Small ones: an input then takes a millisecond.
    parts = [part for graph in graphs() for part in ([graph] if len(graph) < 4 else [[obj] for obj in graph])]
    whole = [dumps(part, format=format_) for part in parts for format_ in FORMATS]
    return whole + [dumps(graph, format=format_, changes_only=True) for graph in graphs() for format_ in FORMATS]


def names() -> list[str]:
    """The words of which documents are made: parts of the format, classes and their attributes."""
    found = {"sojourn", "roots", "tables", "entity", "schema", "columns", "references", "collections", "rows", "edits"}
    found |= {"new", "identity_token", "row", "base", "unknown", "added", "removed"}
    mapped = [mapper for base in (*_BASES, styles.Base) for mapper in base.registry.mappers]
    for mapper in [*mapped, *styles.imperative.mappers, *(inspected(kind.parent) for kind in _KINDS)]:
        plan = blueprint(mapper)
        found |= {plan.entity, *plan.columns, *plan.relationships}
    return sorted(found)


def graphs() -> list[list[Any]]:
    """Each graph is stored in a database that forgets it, then edited."""
    engine = create_engine("sqlite://")
    metadata = [*(base.metadata for base in _BASES), odd_keys.metadata]
    found = []
    for make, edit in _GRAPHS:
        for each in metadata:
            each.drop_all(engine)
            each.create_all(engine)
        with Session(engine, expire_on_commit=False, autoflush=False) as session:
            objs = make()
            session.add_all(objs)
            session.commit()
            objs = edit(objs)
            session.expunge_all()
            found.append(objs)
    engine.dispose()
    return found


def _shop() -> list[Any]:
    lines = [Line(id=at, sku=f"S{at}", qty=at, price=Decimal("1.50")) for at in (1, 2, 3)]
    placed = datetime.datetime(2026, 1, 2, 3, 4, 5)
    orders = [
        Order(id=1, number="A", status="open", placed_at=placed, lines=lines[:2]),
        Order(id=2, number="B", status="paid", placed_at=placed, lines=lines[2:]),
    ]
    return [
        Customer(id=1, name="Ann", email="a@x", city=None, balance=Decimal("0.00"), orders=orders),
        Customer(id=2, name="Bob", email="b@x", city="Cork", balance=Decimal("-1.25"), orders=[]),
    ]


def _edit_shop(objs: list[Any]) -> list[Any]:
    ann, bob = objs
    ann.name, bob.balance = "Anna", Decimal("1E+3")
    bob.orders.append(ann.orders.pop())
    ann.orders[0].lines.append(Line(sku="new", qty=1, price=Decimal(1)))
    ann.orders[0].lines.remove(ann.orders[0].lines[0])
    bob.id = 7
    return [ann, bob, ann]


def _articles() -> list[Any]:
    ann = Person(id=1, name="Ann", passport=Passport(id=1, number="P"))
    tags = [Tag(id=at, name=f"t{at}") for at in (1, 2)]
    notes = {key: Note(id=at, keyword=key, text="x") for at, key in ((1, "a"), (2, "b"))}
    links = {Link(id=at, url=f"u{at}") for at in (1, 2)}
    ann.memberships.append(Membership(club=Club(id=1, name="c"), role="r"))
    return [Article(id=1, title="one", author=ann, tags=tags, notes=notes, links=links)]


def _edit_articles(objs: list[Any]) -> list[Any]:
    (article,) = objs
    article.tags.pop()
    article.notes["c"] = Note(keyword="c", text="new")
    del article.notes["a"]
    article.author = None
    return [article, Article(title="two", tags=list(article.tags))]


def _family() -> list[Any]:
    animals = [Dog(id=1, name="Rex", tricks=2), Puppy(id=2, name="Pip", tricks=0, weeks=3), Cat(id=3, name="Tom")]
    vehicles = [Car(id=1, plate="A", doors=3), Lorry(id=2, plate="B", tons=4, axles=3)]
    return [Owner(id=1, name="Ann", animals=animals, vehicles=vehicles)]


def _edit_family(objs: list[Any]) -> list[Any]:
    objs[0].animals[1].weeks = 4
    objs[0].vehicles.append(Lorry(plate="N", tons=1, axles=2))
    return [*objs, objs[0].animals[0]]


def _odds() -> list[Any]:
    box = Box(id=1, corner=Corner(1, 2), pins=[Pin(id=1), Pin(id=2)])
    album = Album(id=1, title="t", cover=Cover(id=1, colour="red"), stickers={"s": Sticker(id=1, name="s")})
    return [box, album, Desk(id=1, papers=_pile(Paper(id=1), Paper(id=2))), Cube(id=1, box=box), Watched("w")]


def _pile(*papers: Paper) -> Any:
    pile = odd.Pile()
    for paper in papers:
        pile.held.append(paper)
    return pile


def _edit_odds(objs: list[Any]) -> list[Any]:
    box, album, desk, *rest = objs
    box.corner.x = 5
    box.pins.pop(0)
    album.stickers["n"] = Sticker(name="n")
    album.cover = None
    return [box, album, desk, *rest]


def _columns() -> list[Any]:
    return [
        Document(id=1, title="t", body="b"),
        Shape(id=1, name="s", start=Point(1, 2), end=Point(3, 4)),
        Audited(id=1, name="a"),
        Settings(id=1, name="s", plain={"a": [1, {"b": None}]}, tracked={"x": {"y": [1.5, True, "z"]}}),
        Invoice(number="1", items=[Item("one"), Item("two", 5)]),
    ]


def _edit_columns(objs: list[Any]) -> list[Any]:
    document, shape, _, settings, invoice = objs
    document.title, shape.start = "T", Point(9, 9)
    settings.plain = {"other": 1}
    settings.tracked["x2"] = 1
    invoice.items[0].cents = 7
    planet = Planet("Mars")
    planet.moons = [Moon("Phobos")]
    return [*objs, planet]


def _types() -> list[Any]:
    return [AllTypes(id=1, **SAMPLE), AllTypes(id=2, **EDGES)]


def _edit_types(objs: list[Any]) -> list[Any]:
    one, two = objs
    one.a_float, one.a_decimal, one.some_json, one.a_colour = float("inf"), Decimal("NaN"), [{"a": []}], None
    one.an_instant = datetime.datetime(1900, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(seconds=1172)))
    return [one, two, AllTypes(a_float=float("nan"), a_decimal=5, a_timedelta=-datetime.timedelta.resolution)]


def _keys() -> list[Any]:
    nodes = Node(id=1, name="a", children=[Node(id=2, name="b", children=[Node(id=3, name="c")])])
    shelf = Shelf(room="r", number=1, label=None, books=[Book(id=1, title="t")])
    ticket = Ticket(subject="s", country=Country(code="IE", name="Ireland"))
    pairs = [kind.parent() for kind in _KINDS]
    for pair, kind in zip(pairs, _KINDS, strict=True):
        for position, value in enumerate(kind.keys[0]):
            setattr(pair, f"k{position}", value)
        pair.children = [kind.child()]
    return [nodes, shelf, ticket, Legacy(id=1, name="n", parent=Legacy(id=2, name="p")), *pairs]


def _edit_keys(objs: list[Any]) -> list[Any]:
    nodes, shelf, *rest = objs
    nodes.children[0].parent = None
    shelf.number = 2
    return [nodes, shelf, *rest]


_GRAPHS: list[tuple[Callable[[], list[Any]], Callable[[list[Any]], list[Any]]]] = [
    (_shop, _edit_shop),
    (_articles, _edit_articles),
    (_family, _edit_family),
    (_odds, _edit_odds),
    (_columns, _edit_columns),
    (_types, _edit_types),
    (_keys, _edit_keys),
]
