"""After an error of `patch` the session and its objects are as they were, wherever the error comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import JSON, ForeignKey, event, inspect, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    WriteOnlyMapped,
    attribute_keyed_dict,
    mapped_column,
    relationship,
    selectinload,
    validates,
)

from sojourn.errors import PayloadError
from sojourn.session.patch import patch
from tests.databases import Database
from tests.models.odd import Pile
from tests.models.shop import Customer, Order
from tests.session.attaching import fingerprint
from tests.session.patching import SHOP, faults


class Base(DeclarativeBase):
    pass


class Box(Base):
    __tablename__ = "box"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    facts: Mapped[dict[str, Any]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)
    things: Mapped[list[Thing]] = relationship(back_populates="box", order_by="Thing.id")
    labels: Mapped[dict[str, Label]] = relationship(
        collection_class=attribute_keyed_dict("text"), back_populates="box", cascade="all, delete-orphan"
    )
    marks: Mapped[set[Mark]] = relationship(cascade="all, delete-orphan")
    lid: Mapped[Lid | None] = relationship(back_populates="box", cascade="all, delete-orphan")

    @validates("name")
    def _short(self, key: str, name: str) -> str:
        if len(name) > 3:
            raise ValueError(f"{name} is too long")
        return name


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    size: Mapped[int]
    box: Mapped[Box | None] = relationship(back_populates="things")

    @validates("size")
    def _positive(self, key: str, size: int) -> int:
        if size <= 0:
            raise AssertionError("size is positive")
        return size


class Label(Base):
    __tablename__ = "label"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("box.id"))
    text: Mapped[str]
    box: Mapped[Box] = relationship(back_populates="labels")


class Mark(Base):
    __tablename__ = "mark"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("box.id"))
    text: Mapped[str]

    def __init__(self, text: str) -> None:
        if text == "bad":
            raise KeyError
        self.text = text


class Lid(Base):
    __tablename__ = "lid"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int] = mapped_column(ForeignKey("box.id"))
    text: Mapped[str]
    box: Mapped[Box] = relationship(back_populates="lid")


class Shelf(Base):
    __tablename__ = "shelf"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[Pile] = relationship("Book", collection_class=Pile, cascade="all, delete-orphan")
    events: WriteOnlyMapped[Event] = relationship(back_populates="shelf")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelf.id"))
    text: Mapped[str]

    @validates("text")
    def _good(self, key: str, text: str) -> str:
        return _good(text)


class Event(Base):
    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(ForeignKey("shelf.id"))
    text: Mapped[str]
    shelf: Mapped[Shelf | None] = relationship(back_populates="events")

    def __init__(self, **values: Any) -> None:
        self.shelf = values.pop("shelf", None)
        super().__init__(**values)

    @validates("text")
    def _good(self, key: str, text: str) -> str:
        return _good(text)


def _good(text: str) -> str:
    if text == "bad":
        raise ValueError(text)
    return text


ALLOW: Any = [
    *(Box.name, Box.facts, Box.things, Box.labels, Box.marks, Box.lid, Thing.size, Thing.box),
    *(Label.text, Mark.text, Lid.text),
]
EVERYTHING: Any = {
    "id": 1,
    "facts": {"a": 2},
    "things": [{"id": 1, "size": 5}, {"id": 4, "size": 6}, {"size": 7}],
    "labels": {"a": {"id": 1}, "new": {"text": "new"}},
    "marks": [{"text": "new"}],
    "lid": {"text": "new"},
}


@pytest.fixture
def boxes(sqlite: Database) -> Iterator[Session]:
    """Two boxes, full; a thing of nobody's."""
    sqlite.create(Base.metadata)
    with sqlite.session() as session:
        for _ in range(2):
            labels = {text: Label(text=text) for text in "ab"}
            box = Box(name="b", facts={"a": 1}, labels=labels, marks={Mark("m")}, lid=Lid(text="l"))
            session.add(box)
            session.flush()
        session.add_all([Thing(size=1, box_id=1), Thing(size=1, box_id=1), Thing(size=1, box_id=2), Thing(size=1)])
        session.commit()
    with sqlite.session() as session:
        yield session


def nothing(session: Session) -> list[Any]:
    return []


def everything(session: Session) -> list[Any]:
    shape = [selectinload(one) for one in (Box.things, Box.labels, Box.marks, Box.lid)]
    return [*session.scalars(select(Box).options(*shape)), *session.scalars(select(Thing))]


def expired(session: Session) -> list[Any]:
    held = everything(session)
    session.expire_all()
    return held


def columns(session: Session) -> list[Any]:
    return [*session.scalars(select(Box)), *session.scalars(select(Thing)), *session.scalars(select(Lid))]


def edited(session: Session) -> list[Any]:
    """Everything, with edits of all kinds that are not flushed."""
    held = everything(session)
    one, two = held[:2]
    one.name = "me"
    one.things.append(Thing(size=9))
    two.things.remove(two.things[0])
    del one.labels["b"]
    one.facts["b"] = 3
    session.delete(two.lid)
    session.add(Box(name="new"))
    return held


def pending(session: Session) -> list[Any]:
    """A collection that is not loaded has heard of a new member."""
    held = columns(session)
    held.append(Thing(size=2, box=held[0]))
    session.add(held[-1])
    return held


BAD: list[Any] = [
    {**EVERYTHING, "name": "long", "lid": None},
    {**EVERYTHING, "things": [*EVERYTHING["things"], {"size": -1}]},
    {**EVERYTHING, "things": [*EVERYTHING["things"], {"id": 3, "size": 1}]},
    {**EVERYTHING, "labels": {"other": {"text": "name"}}, "lid": {"id": 1, "text": "z"}},
    {**EVERYTHING, "labels": [{"text": "a"}, {"text": "a"}]},
    {**EVERYTHING, "marks": [{"text": "bad"}, {"text": "good"}]},
    {**EVERYTHING, "marks": [{}]},
    {**EVERYTHING, "lid": {"id": 99}},
]


@pytest.mark.parametrize("on_absent", ["keep", "delete"])
@pytest.mark.parametrize("hold", [nothing, everything, expired, columns, edited, pending])
@pytest.mark.parametrize("payload", BAD, ids=range(len(BAD)))
def test_an_error_leaves_everything_as_it_was(
    boxes: Session, payload: Any, hold: Callable[[Session], list[Any]], on_absent: Any
) -> None:
    held = hold(boxes)
    before = fingerprint(boxes, held)
    with pytest.raises(PayloadError):
        patch(boxes, Box, payload, allow=ALLOW, on_absent=on_absent)
    with boxes.no_autoflush:
        assert fingerprint(boxes, held) == before
    boxes.flush()


@pytest.mark.parametrize("hold", [nothing, everything, expired, columns, pending])
def test_what_failed_once_can_be_written_afterwards(boxes: Session, hold: Callable[[Session], list[Any]]) -> None:
    held = hold(boxes)
    for payload in BAD[:2]:
        with pytest.raises(PayloadError):
            patch(boxes, Box, payload, allow=ALLOW, on_absent="delete")
    patch(boxes, Box, EVERYTHING, allow=ALLOW, on_absent="delete")
    boxes.commit()
    box = boxes.get_one(Box, 1)
    assert ([thing.size for thing in box.things], box.facts) == ([5, 6, 7], {"a": 2})
    assert (list(box.labels), [mark.text for mark in box.marks]) == (["a", "new"], ["new"])
    assert box.lid is not None
    assert box.lid.text == "new"
    assert len(boxes.scalars(select(Thing)).all()) == 4
    del held


def test_all_that_validators_and_constructors_raise_is_told_with_its_path(boxes: Session) -> None:
    payload = {
        "id": 1,
        "name": "long",
        "things": [{"id": 1, "size": -1}, {"size": -2}],
        "marks": [{"text": "bad"}, {}],
        "labels": {"x": {"text": "y"}},
    }
    assert [one.replace("Mark.", "") for one in faults(boxes, Box, payload, allow=ALLOW)] == [
        "$.things[1].size: size is positive",
        "$.marks[0]: KeyError",
        "$.marks[1]: __init__() missing 1 required positional argument: 'text'",
        "$.name: long is too long",
        "$.things[0].size: size is positive",
        "$.labels.x: its key in the collection is 'y', not 'x'",
    ]
    with pytest.raises(PayloadError) as caught:
        patch(boxes, Box, payload, allow=ALLOW)
    assert isinstance(caught.value.__cause__, AssertionError)
    assert faults(boxes, Box, {"id": 1, "labels": {"x": {"text": "a"}}}, allow=ALLOW) == [
        "$.labels.x: another member has the key 'a'"
    ]


def test_what_hangs_on_an_object_that_could_not_be_made_is_left_alone(boxes: Session) -> None:
    payload: Any = {"name": "long", "things": [{"size": 1}], "lid": {"text": "x"}}
    assert faults(boxes, Box, payload, allow=ALLOW) == ["$.name: long is too long"]
    payload = {"id": 1, "things": [{"id": 1, "box": {"name": "long"}}]}
    assert faults(boxes, Box, payload, allow=ALLOW) == ["$.things[0].box: is not the parent that it stands in"]
    assert faults(boxes, Thing, {"id": 1, "box": {"name": "long"}}, allow=ALLOW) == ["$.box.name: long is too long"]


@pytest.mark.parametrize("error", [OperationalError("x", {}, Exception("gone")), KeyboardInterrupt()])
def test_an_error_that_is_not_the_payloads_passes_and_leaves_everything_as_it_was(
    boxes: Session, error: BaseException
) -> None:
    held = everything(boxes)
    before = fingerprint(boxes, held)

    def fail(*_: object) -> None:
        raise error

    event.listen(Lid.text, "set", fail)
    try:
        with pytest.raises(type(error)):
            patch(boxes, Box, EVERYTHING, allow=ALLOW, on_absent="delete")
    finally:
        event.remove(Lid.text, "set", fail)
    assert fingerprint(boxes, held) == before


def test_a_backref_that_reached_an_object_nobody_named_is_put_back(session: Session) -> None:
    """The former customer is known by the foreign key alone: no reference to it is loaded."""
    one, two = session.scalars(select(Customer).options(selectinload(Customer.orders)).order_by(Customer.id))
    session.expire(one.orders[0], ["customer"])
    before = fingerprint(session, [one, two])

    def fail(*_: object) -> None:
        raise ValueError("no")

    event.listen(Customer.name, "set", fail)
    try:
        found = faults(session, Order, {"id": 1, "customer": {"id": 2, "name": "x"}}, allow=SHOP)
    finally:
        event.remove(Customer.name, "set", fail)
    assert found == ["$.customer.name: no"]
    assert fingerprint(session, [one, two]) == before


def test_a_custom_collection_and_a_write_only_one_are_put_back(sqlite: Database) -> None:
    sqlite.create(Base.metadata)
    with sqlite.session() as session:
        pile = Pile()
        pile.push(Book(text="a"))
        session.add_all([Shelf(books=pile), Shelf()])
        session.commit()
        shelves = session.scalars(select(Shelf).options(selectinload(Shelf.books))).all()
        books, before = shelves[0].books, list(shelves[0].books)
        allow: Any = [Shelf.books, Book.text, Event.shelf, Event.text]
        payload = {"id": 1, "books": [{"text": "b"}, {"text": None}]}
        assert faults(session, Shelf, payload, allow=allow) == ["$.books[1].text: may not be null"]
        payload = {"id": 1, "books": [{"text": "b"}, {"text": "bad"}]}
        assert faults(session, Shelf, payload, allow=allow, on_absent="delete") == ["$.books[1].text: bad"]
        assert shelves[0].books is books
        assert [one is other for one, other in zip(books, before, strict=True)] == [True]
        assert [*session.new, *session.dirty, *session.deleted] == []
        shelves[0].events.add(Event(text="mine"))
        history = inspect(shelves[0]).attrs.events.history
        bad = [{"text": "x", "shelf": {"id": 1}}, {"text": "bad", "shelf": {"id": 1}}]
        assert faults(session, Event, bad, allow=allow) == ["$[1].text: bad"]
        assert inspect(shelves[0]).attrs.events.history == history
        patch(session, Shelf, {"id": 1, "books": [{"text": "b"}]}, allow=allow, on_absent="delete")
        patch(session, Event, bad[0], allow=allow)
        session.commit()
        assert [book.text for book in shelves[0].books] == ["b"]
        assert [one.text for one in session.scalars(select(Event))] == ["mine", "x"]
        assert faults(session, Shelf, {"id": 1, "events": []}, allow=[Shelf.events]) == [
            "$.events: is view-only, dynamic or write-only, and cannot be written from a payload"
        ]
