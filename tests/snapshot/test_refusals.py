"""What `dumps` does not let out: what was never committed, what is deleted, and graphs that the format cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ForeignKey, column, func, inspect, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    WriteOnlyMapped,
    column_property,
    mapped_column,
    relationship,
    selectinload,
)

from sojourn.errors import NotMappedError, SnapshotError, UncommittedError
from sojourn.snapshot import dumps, loads
from tests.databases import Database
from tests.models import shop
from tests.models.shop import Customer, Order, fill
from tests.snapshot.documents import document_of, dumped, encoded


@pytest.fixture
def session(sqlite: Database) -> Session:
    sqlite.create(shop.Base.metadata, Base.metadata)
    session = sqlite.session()
    fill(session, customers=2, orders=1, lines=0)
    session.commit()
    return session


class Base(DeclarativeBase):
    pass


class Album(Base):
    """With a write-only collection, a view of it, and an SQL expression."""

    __tablename__ = "album"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    tracks: WriteOnlyMapped[Track] = relationship(back_populates="album")
    long_tracks: Mapped[list[Track]] = relationship(
        primaryjoin="and_(Track.album_id == Album.id, Track.seconds > 600)", viewonly=True
    )
    twice: Mapped[int] = column_property(column("id", is_literal=True) * 2)


class Track(Base):
    __tablename__ = "track"

    id: Mapped[int] = mapped_column(primary_key=True)
    album_id: Mapped[int | None] = mapped_column(ForeignKey("album.id"))
    seconds: Mapped[int]
    album: Mapped[Album | None] = relationship(back_populates="tracks")


def flushed_edit(session: Session) -> list[Any]:
    customer = session.get_one(Customer, 1)
    customer.name = "edited"
    session.flush()
    return [customer]


def flushed_insert(session: Session) -> list[Any]:
    session.add(customer := Customer(name="n", email="e", balance=0))
    session.flush()
    return [customer]


def flushed_in_a_savepoint(session: Session) -> list[Any]:
    customer = session.get_one(Customer, 1)
    with session.begin_nested():
        customer.name = "edited"
    return [customer]


def flushed_child(session: Session) -> list[Any]:
    customer = session.query(Customer).options(selectinload(Customer.orders)).filter_by(id=1).one()
    customer.orders[0].status = "edited"
    session.flush()
    return [customer.orders[0]]


@pytest.mark.parametrize("prepare", [flushed_edit, flushed_insert, flushed_in_a_savepoint, flushed_child])
def test_what_was_flushed_and_not_committed_does_not_leave(
    session: Session, prepare: Callable[[Session], list[Any]]
) -> None:
    touched = prepare(session)
    with pytest.raises(UncommittedError, match="flushed but not committed") as caught:
        dumps([session.get_one(Customer, 2), *touched])
    assert caught.value.objects == touched
    session.commit()
    for obj in touched:
        session.refresh(obj)
    assert len(loads(dumps(touched), shop.Base)) == 1


def test_what_is_marked_for_deletion_or_deleted_does_not_leave(session: Session) -> None:
    customer = session.query(Customer).options(selectinload(Customer.orders)).filter_by(id=1).one()
    order = customer.orders[0]
    session.delete(order)
    steps: list[Callable[[], Any]] = [lambda: None, session.flush, session.commit]
    for finish in steps:
        finish()
        with pytest.raises(UncommittedError, match="Order: deleted, or marked for deletion") as caught:
            dumps(order)
        assert caught.value.objects == [order]
    assert inspect(order).was_deleted


def test_it_is_found_however_deep_in_the_graph_it_is(session: Session) -> None:
    customer = session.query(Customer).options(selectinload(Customer.orders)).filter_by(id=1).one()
    session.delete(customer.orders[0])
    with pytest.raises(UncommittedError, match="Order: deleted, or marked for deletion"):
        dumps(customer)


def test_two_instances_of_one_row_do_not_leave_together(session: Session, sqlite: Database) -> None:
    one = session.get_one(Customer, 1)
    with sqlite.session() as other:
        two = other.get_one(Customer, 1)
        with pytest.raises(SnapshotError, match=r"Customer\(1\): the graph holds two instances of this row"):
            dumps([one, two])


def test_objects_of_several_sessions_and_of_none_leave_together(session: Session, sqlite: Database) -> None:
    one = session.get_one(Customer, 1)
    with sqlite.session() as other:
        two = other.get_one(Customer, 2)
        assert [each.id for each in loads(dumped([one, two, Customer(id=7)]), shop.Base)] == [1, 2, 7]


@pytest.mark.parametrize("objs", [None, 5, "text", object(), [object()], Customer, [Customer]])
def test_what_is_not_mapped_is_refused(objs: Any) -> None:
    with pytest.raises(NotMappedError):
        dumps(objs)


def test_two_classes_of_one_name_do_not_leave_together() -> None:
    class Other(DeclarativeBase):
        pass

    class Track(Other):
        __tablename__ = "track"
        id: Mapped[int] = mapped_column(primary_key=True)

    tracks: list[Any] = [Track(id=1), globals()["Track"](id=1)]
    with pytest.raises(SnapshotError, match="Track: the graph holds objects of two classes of this name"):
        dumps(tracks)


def test_a_write_only_collection_stays_at_home_and_its_changes_are_not_lost_silently(session: Session) -> None:
    session.add(Album(id=1, title="t"))
    session.commit()
    album = session.get_one(Album, 1)
    (table,) = document_of(album)["tables"]
    assert "collections" not in table
    album.tracks.add(Track(seconds=5))
    with pytest.raises(SnapshotError, match=r"Album\.tracks: changes of a dynamic or write-only collection"):
        dumps(album)


def test_a_write_only_collection_is_refused_on_the_way_in() -> None:
    document = document_of(Album(id=1))
    document["tables"][0] |= {"collections": {"tracks": [[]]}}
    with pytest.raises(SnapshotError, match="Album has no 'tracks' among its collections"):
        loads(encoded(document), Base)


def test_a_viewonly_collection_and_an_sql_expression_are_values_and_never_edits(session: Session) -> None:
    session.add(Album(id=1, title="t"))
    session.add_all([Track(id=1, album_id=1, seconds=5), Track(id=2, album_id=1, seconds=700)])
    session.commit()
    album = session.scalars(select(Album).options(selectinload(Album.long_tracks))).one()
    short = session.get_one(Track, 1)
    album.twice = 5
    album.long_tracks[:] = [short]
    data = dumped(album)
    (copy,) = loads(data, Base)
    assert ([track.id for track in copy.long_tracks], copy.twice) == ([1], 5)
    assert not inspect(copy).modified
    document = document_of(album)
    for key in ("long_tracks", "twice"):
        document["tables"][0]["edits"] = [{"row": 0, "unknown": [key]}]
        with pytest.raises(SnapshotError, match=rf"Album\.{key} cannot have been edited here"):
            loads(encoded(document), Base)


def test_an_identity_token_travels(session: Session) -> None:
    customer = session.get_one(Customer, 1, identity_token="eu")
    assert document_of(customer)["tables"][0]["identity_token"] == "eu"
    (copy,) = loads(dumped(customer), shop.Base)
    assert inspect(copy).key == inspect(customer).key
    assert inspect(copy).identity_token == "eu"


def test_an_identity_token_of_another_type_is_refused(session: Session) -> None:
    customer = session.get_one(Customer, 1, identity_token=(1, 2))
    with pytest.raises(SnapshotError, match="Customer: the identity token is of the type tuple"):
        dumps(customer)


def test_one_object_is_a_list_of_one_and_a_generator_will_do(session: Session) -> None:
    customer = session.get_one(Customer, 1)
    assert dumped(customer) == dumped([customer]) == dumped(each for each in [customer])


def test_a_key_that_differs_from_the_identity_without_an_edit_does_not_change_the_identity(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.__dict__["id"] = 99
    (copy,) = loads(dumped(order), shop.Base)
    assert inspect(copy).identity == (1,)
    assert copy.id == 99


def test_a_primary_key_that_is_an_sql_expression_is_refused_by_name(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.id = func.random()  # type: ignore[assignment]  # as users do
    with pytest.raises(SnapshotError, match=r"Order\.id: an object holds a random, and the column takes int"):
        dumps(order)
