"""Random graphs for the laws: rows of many mappings in one database, random parts of them loaded in random shapes, and
random edits of every kind. What can be drawn follows from the mapping alone, so a new class needs a factory and a row.

An edit that would have to load what an object away from its session has not is refused by the object; that is no edit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Engine, MetaData, create_engine, event, inspect, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, load_only, selectinload
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.orm.collections import collection_adapter
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.base import ExecutableOption

from sojourn.errors import UNKNOWN, WrongSessionError
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import walk
from sojourn.session.detach import detach
from sojourn.sqlalchemy_internals import base_of, members
from tests.models import columns, dataclasses_, inheritance, keys, odd, relations, shop, styles
from tests.models.columns import Audited, Document, Point, Settings, Shape
from tests.models.dataclasses_ import Basket, Fruit
from tests.models.inheritance import Animal, Car, Cat, Dog, Lorry, Owner, Puppy, Truck, Vehicle
from tests.models.keys import Book, Country, Node, Shelf, Ticket
from tests.models.odd import Album, Box, Cover, Desk, Paper, Pile, Pin, Sticker
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag
from tests.models.shop import Customer, Line, Order
from tests.models.styles import Invoice, Item, Moon, Planet

MODELS: list[Any] = [columns.Base, inheritance.Base, keys.Base, odd.Base, relations.Base, shop.Base, styles.Base]
MODELS += [styles.imperative, dataclasses_.Base]
METADATAS: list[MetaData] = list(dict.fromkeys(getattr(model, "metadata") for model in MODELS))  # noqa: B009 - of both kinds

T = TypeVar("T")


class Dice:
    """What is drawn: numbers, from whoever gives them, Hypothesis or a generator."""

    def __init__(self, number: Callable[[int, int], int]) -> None:
        self.number = number

    def one_of(self, these: Sequence[T]) -> T:
        return these[self.number(0, len(these) - 1)]

    def some_of(self, these: Sequence[T], most: int, least: int = 0) -> list[T]:
        return [self.one_of(these) for _ in range(self.number(least, most))]


# --- the rows --------------------------------------------------------------------------------------------------------

DAY = datetime(2026, 1, 1)

FACTORIES: dict[type, Callable[[str], Any]] = {
    Customer: lambda text: Customer(name=text, email="e", balance=Decimal(1)),
    Order: lambda text: Order(number=text, status="open", placed_at=DAY),
    Line: lambda text: Line(sku=text, qty=1, price=Decimal("1.5")),
    Person: lambda text: Person(name=text),
    Passport: lambda text: Passport(number=text),
    Club: lambda text: Club(name=text),
    Membership: lambda text: Membership(role=text),
    Article: lambda text: Article(title=text),
    Tag: lambda text: Tag(name=text),
    Note: lambda text: Note(keyword=text, text=text),
    Link: lambda text: Link(url=text),
    Owner: lambda text: Owner(name=text),
    Animal: lambda text: Animal(name=text),
    Dog: lambda text: Dog(name=text, tricks=1),
    Puppy: lambda text: Puppy(name=text, tricks=1, weeks=2),
    Cat: lambda text: Cat(name=text),
    Vehicle: lambda text: Vehicle(plate=text),
    Car: lambda text: Car(plate=text, doors=3),
    Truck: lambda text: Truck(plate=text, tons=3),
    Lorry: lambda text: Lorry(plate=text, tons=3, axles=2),
    Invoice: lambda text: Invoice(number=text),
    Item: lambda text: Item(text=text),
    Planet: Planet,
    Moon: Moon,
    Node: lambda text: Node(name=text),
    Shelf: lambda text: Shelf(room="new", number=int(text[3:]), label=text),
    Book: lambda text: Book(title=text),
    Country: lambda text: Country(code=text[-2:], name=text),
    Ticket: lambda text: Ticket(subject=text),
    Settings: lambda text: Settings(name=text, plain={"a": [1]}, tracked={"a": 1}),
    Shape: lambda text: Shape(name=text, start=Point(1, 2)),
    Audited: lambda text: Audited(name=text),
    Document: lambda text: Document(title=text, body="long"),
    Basket: lambda text: Basket(name=text),
    Fruit: lambda text: Fruit(kind=text),
    Album: lambda text: Album(title=text),
    Cover: lambda text: Cover(colour=text),
    Sticker: lambda text: Sticker(name=text),
    Desk: lambda _: Desk(),
    Paper: lambda _: Paper(),
    Box: lambda text: Box(labels={"name": text}, corner=odd.Corner(1, 2)),
    Pin: lambda _: Pin(),
}
ROOTS: tuple[type, ...] = (
    Customer, Order, Person, Article, Article, Tag, Owner, Animal, Vehicle, Invoice, Planet, Node, Shelf, Ticket,
    Settings, Shape, Document, Basket, Album, Desk, Box,
)  # fmt: skip


DICT_KEYS = {(Note, "keyword"), (Sticker, "name")}


def world() -> Engine:
    """A database in memory with a few rows of each class, for sessions that commit nothing."""
    # One connection for all sessions, and pysqlite kept out of the transactions so that a rollback is one.
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    for metadata in METADATAS:
        metadata.create_all(engine)
    with Session(engine) as session:
        shop.fill(session, 2, 2, 2)
        session.add_all(_rows())
        session.commit()
    return engine


def _rows() -> list[Any]:
    ann, bob = Person(name="Ann", passport=Passport(number="P")), Person(name="Bob")
    tags = [Tag(name=f"tag {number}") for number in range(3)]
    articles = [
        Article(
            title=f"article {number}",
            author=(ann, bob, None)[number],
            tags=tags[:number],
            notes={f"k{at}": Note(keyword=f"k{at}", text="t") for at in range(number + 1)},
            links={Link(url=f"u{number}{at}") for at in range(2)},
        )
        for number in range(3)
    ]
    club = Club(name="club")
    owner = Owner(name="owner")
    owner.animals = [Puppy(name="Rex", tricks=1, weeks=9), Cat(name="Tom", lives=9), Dog(name="Old"), Animal(name="?")]
    owner.vehicles = [Car(plate="A", doors=4), Lorry(plate="B", tons=7, axles=3), Truck(plate="C", tons=2)]
    planet = Planet("Mars")
    planet.moons = [Moon("Phobos"), Moon("Deimos")]
    tree = Node(name="top", children=[Node(name="one", children=[Node(name="leaf")]), Node(name="two")])
    belgium = Country(code="BE", name="Belgium")
    fruits = [Fruit(kind="fig"), Fruit(kind="plum", grams=3)]
    covers = [Cover(colour="red"), Cover(colour="blue")]
    desk = Desk()
    for _ in range(2):
        desk.papers.push(Paper())
    return [
        *(bob, *articles, Membership(person=ann, club=club, role="r"), Membership(person=bob, club=club, role="s")),
        *(owner, Owner(name="poor"), planet, Planet("Venus"), tree, desk, Desk()),
        *(Invoice(number="1", items=[Item(text="a"), Item(text="b", cents=3)]), Invoice(number="2", paid=True)),
        *(Shelf(room="R", number=1, books=[Book(title="b"), Book(title="c")]), Shelf(room="R", number=2)),
        *(Ticket(subject="t", country=belgium), Ticket(subject="u"), Country(code="NL", name="Netherlands")),
        Settings(name="s", plain={"a": [1, {"b": None}]}, tracked={"a": 1}),
        Settings(name="t"),
        *(Shape(name="line", start=Point(1, 2), end=Point(3, 4)), Shape(name="p", start=Point(0, 0))),
        *(Document(title="d", body="long"), Audited(name="a")),
        Basket(name="big", fruits=fruits, inner=[Basket(name="small", fruits=fruits[:1])]),
        Album(title="x", cover=covers[0], stickers={s.name: s for s in (Sticker(name="s1"), Sticker(name="s2"))}),
        *(Album(title="y", cover=covers[1]), Album(title="z")),
        Box(labels={"a": "b"}, corner=odd.Corner(1, 2), pins=[Pin(), Pin()]),
    ]  # fmt: skip


# --- shapes ----------------------------------------------------------------------------------------------------------


def draw_options(dice: Dice, class_: type) -> list[ExecutableOption]:
    """Random loader options for a class: paths along its relationships, some with fewer columns."""
    return [_path(dice, class_) for _ in range(dice.number(0, 3))]


def _path(dice: Dice, class_: type) -> ExecutableOption:
    steps: list[Any] = []
    here = class_
    for _ in range(dice.number(1, 3)):
        relationships = _loadable(here)
        if not relationships:
            break
        rel = dice.one_of(relationships)
        steps.append(getattr(here, rel.key))
        here = rel.target.class_
    some = [getattr(here, key) for key in dict.fromkeys(dice.some_of(_plain(here), 2))]
    if some or not steps:
        kept = [key for class_, key in DICT_KEYS if class_ is here] or blueprint(here).primary_key
        some += [getattr(here, key) for key in kept]
    if not steps:
        return load_only(*some)
    option: Any = selectinload(steps[0])
    for step in steps[1:]:
        option = option.selectinload(step)
    return option.load_only(*some) if some else option  # type: ignore[no-any-return]


def _loadable(class_: type[Any]) -> list[Relationship]:
    return [rel for rel in blueprint(class_).relationships.values() if rel.loadable]


def _plain(class_: type) -> list[str]:
    plan = blueprint(class_)
    # A dict gets its keys from its members, so those have to be there.
    return [key for key, column in plan.columns.items() if column.stored and (class_, key) not in DICT_KEYS]


def draw_roots(dice: Dice, session: Session) -> list[Any]:
    """Some objects, loaded in a random shape, some of them expired in part."""
    roots: list[Any] = []
    for class_ in dice.some_of(ROOTS, 2, 1):
        order = [getattr(class_, key) for key in blueprint(class_).primary_key]
        roots += session.scalars(select(class_).options(*draw_options(dice, class_)).order_by(*order)).all()
    for obj in dice.some_of(_reached(roots), 2) if roots else ():
        key = dice.one_of(_plain(type(obj)))
        if key in obj.__dict__:
            session.expire(obj, [key])
    return roots


def _reached(roots: Sequence[Any]) -> list[Any]:
    """The graph in an order that does not depend on that of sets, so that the same draws make the same edits."""
    return sorted((state.obj() for state in walk(roots)), key=lambda obj: str(inspect(obj).key))


def draw_graph(dice: Dice, session: Session, *, flushable: bool = False) -> list[Any]:
    """Random objects in a random shape with random edits: at home, expunged, or detached before or after the edits."""
    roots = draw_roots(dice, session)
    leaving = dice.one_of(["not", "expunged", "detached", "detached later"]) if roots else "not"
    if leaving == "expunged":
        session.expunge_all()
    elif leaving == "detached":
        roots = detach(session, roots)
    editor = Editor(dice, roots, flushable=flushable)
    editor.edit(dice.number(0, 6))
    if leaving == "detached later":
        with contextlib.suppress(WrongSessionError):
            roots = detach(session, roots)
    return [*roots, *(obj for obj in editor.pool if inspect(obj).key is None)]


# --- edits -----------------------------------------------------------------------------------------------------------


class Editor:
    """Random edits of a graph. `pool` has what they choose from: the graph, its former and its new objects."""

    def __init__(self, dice: Dice, roots: Sequence[Any], *, flushable: bool = False) -> None:
        self.dice = dice
        self.pool: list[Any] = _reached(roots)
        # SQLAlchemy cannot flush a key that other rows refer to. A copy does not know of a column that was set unseen
        # and deleted with `del`. And of a reference that was set unseen, while its former owner's collection is
        # loaded, each side tells something else.
        self.flushable = flushable
        self.made = 0
        # What is compared by its values, and lacks some, breaks off in the midst of SQLAlchemy's work.
        self.brittle = {type(obj) for obj in self.pool if "__eq__" in type(obj).__dict__ and _is_partial(obj)}

    def edit(self, times: int) -> None:
        for _ in range(times):
            obj = self.pool[self.dice.number(0, len(self.pool) - 1)]
            # Loading is refused, and so is what SQLAlchemy itself cannot do.
            with contextlib.suppress(DetachedInstanceError, InvalidRequestError):
                self._edit(obj, blueprint(obj))

    def new(self, class_: type) -> Any:
        """A new object of a class, or of one of its subclasses."""
        fitting = [one for one in FACTORIES if issubclass(one, class_)]
        self.made += 1
        found = FACTORIES[self.dice.one_of(fitting)](f"new{self.made}")
        self.pool.append(found)
        return found

    def _edit(self, obj: Any, plan: Blueprint) -> None:
        related = () if type(obj) in self.brittle else plan.relationships.values()
        writable = [rel for rel in related if rel.writable and rel.loadable and rel.target.class_ not in self.brittle]
        if writable and self.dice.number(0, 2):
            rel = self.dice.one_of(writable)
            (self._collection if rel.many else self._reference)(obj, rel)
            return
        if plan.composites and self.dice.number(0, 1):
            self._composite(obj, self.dice.one_of(sorted(plan.composites)))
            return
        editable = _editable(type(obj))
        if editable:
            self._column(obj, plan, self.dice.one_of(editable))

    # --- columns

    def _column(self, obj: Any, plan: Blueprint, key: str) -> None:
        held = obj.__dict__.get(key)
        if isinstance(held, dict) and self.dice.number(0, 3):
            self._in_place(obj, key, held)
            return
        column = plan.columns[key]
        if key in plan.primary_key:
            if not self.flushable and inspect(obj).key is not None and isinstance(held, int):
                setattr(obj, key, held + 100)
        elif key in obj.__dict__ and not self.dice.number(0, 5) and not (self.flushable and _has_no_base(obj, key)):
            delattr(obj, key)
        else:
            setattr(obj, key, self._value(column.type, held))

    def _value(self, type_: Any, held: Any) -> Any:
        number = self.dice.number(0, 3)
        if number == 0:
            return held  # nothing new
        if isinstance(held, dict) or not hasattr(type_, "python_type"):
            return {"n": number, "deep": [{"x": None}]}
        values: dict[type, Any] = {
            str: f"value {number}", int: number * 1000, Decimal: Decimal(number) / 4, bool: number > 1,
            datetime: DAY + timedelta(days=number, microseconds=7),
        }  # fmt: skip
        return values.get(type_.python_type, {"n": number, "deep": [{"x": None}]})

    def _in_place(self, obj: Any, key: str, held: dict[str, Any]) -> None:
        what = self.dice.number(0, 3)
        if what == 0 and held:
            held.pop(sorted(held)[0])
        elif what == 1 and isinstance(held.get("a"), list):
            held["a"].append(what)
        else:
            held[f"in place {what}"] = what
        if self.dice.number(0, 1):
            flag_modified(obj, key)

    def _composite(self, obj: Any, key: str) -> None:
        held = getattr(obj, key)
        number = self.dice.number(0, 3)
        if isinstance(held, odd.Corner) and number:
            held.x = number
        else:
            setattr(obj, key, (odd.Corner if isinstance(obj, Box) else Point)(number, number))

    # --- relationships

    def _place(self, obj: Any) -> str:
        return str(inspect(obj).key or [one is obj for one in self.pool].index(True))

    def _target(self, rel: Relationship) -> Any:
        fitting = [one for one in self.pool if isinstance(one, rel.target.class_)]
        at = self.dice.number(0, len(fitting))
        return fitting[at] if at < len(fitting) else self.new(rel.target.class_)

    def _reference(self, obj: Any, rel: Relationship) -> None:
        if self.flushable and rel.inverse and rel.key not in obj.__dict__ and inspect(obj).key is not None:
            return
        what = self.dice.number(0, 4)
        if what == 0 and obj.__dict__.get(rel.key) is not None:
            delattr(obj, rel.key)
        else:
            setattr(obj, rel.key, None if what == 1 else self._target(rel))

    def _collection(self, obj: Any, rel: Relationship) -> None:
        try:
            held = getattr(obj, rel.key)  # loads, or is refused
        except (KeyError, ValueError):
            return  # SQLAlchemy takes out what was taken out unseen, and breaks off where the row is not there either
        adapter = collection_adapter(held)
        known = sorted(members(held), key=self._place) if isinstance(held, set) else list(members(held))
        what = self.dice.number(0, 6)
        if what <= 2:
            target = self._target(rel)
            if all(target is not one for one in known) and not _is_taken(held, target):
                adapter.append_with_event(target)
        elif what <= 4 and known:
            at = self.dice.number(0, len(known) - 1)
            if isinstance(held, list):  # which would compare the members
                del held[at]
            else:
                adapter.remove_with_event(known[at])
        elif what == 5 and isinstance(held, list) and not isinstance(obj, Box):
            held.reverse()
            setattr(obj, rel.key, held[: self.dice.number(0, len(held))])
        elif not isinstance(held, Pile):
            setattr(obj, rel.key, type(held)() if type(held) in (list, set) else _empty(held))


def _has_no_base(obj: Any, key: str) -> bool:
    return base_of(inspect(obj), key) is UNKNOWN


def _is_partial(obj: Any) -> bool:
    return not blueprint(obj).columns.keys() <= obj.__dict__.keys()


def _empty(held: Any) -> Any:
    return {} if isinstance(held, dict) else set() if isinstance(held, set) else []


def _is_taken(held: Any, target: Any) -> bool:
    """Whether a dict has another member under the key that this one would get, or could give it none."""
    if not isinstance(held, dict):
        return False
    keyfunc: Any = getattr(held, "keyfunc")  # noqa: B009 - of SQLAlchemy's own dicts
    return any(key not in target.__dict__ for key in ("keyword", "name") if key in blueprint(target).columns) or (
        keyfunc(target) in held
    )


def _editable(class_: type) -> list[str]:
    plan = blueprint(class_)
    discriminator: Any = plan.mapper.polymorphic_on
    kept = {plan.version, None if discriminator is None else plan.mapper.get_property_by_column(discriminator).key}
    return [
        key
        for key, column in plan.columns.items()
        if column.stored
        and not column.foreign_key
        and key not in kept
        and plan.units[key] == key
        and (class_, key) not in DICT_KEYS
    ]
