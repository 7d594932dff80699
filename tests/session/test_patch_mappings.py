"""`patch` on mappings out of the ordinary: references and collections by other columns than the primary key, places for
one that may or may not be empty, dicts of all kinds, constructors of all kinds, discriminators of all kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import ForeignKey, String, TypeDecorator, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    MappedAsDataclass,
    Session,
    attribute_keyed_dict,
    deferred,
    mapped_column,
    relationship,
    selectinload,
    synonym,
    validates,
)
from sqlalchemy.orm.collections import collection

from sojourn.errors import NotAllowedError, WrongAttributeError
from sojourn.session.patch import patch
from tests.databases import Database
from tests.models import inheritance, loading
from tests.models.inheritance import Animal, Cat, Dog, Owner, Puppy
from tests.models.shop import Line, Order
from tests.models.styles import Base as StylesBase
from tests.models.styles import Planet
from tests.session.attaching import fingerprint, others
from tests.session.patching import SHOP, faults


class Base(DeclarativeBase):
    pass


class Unsaid(TypeDecorator[Any]):
    """It does not say what its Python values are."""

    impl = String
    cache_ok = True


class Drawers(dict[str, Any]):
    """A dict that is no KeyFuncDict."""

    @collection.appender  # type: ignore[untyped-decorator]
    def put(self, one: Any) -> None:
        dict.__setitem__(self, one.name, one)

    @collection.remover  # type: ignore[untyped-decorator]
    def take(self, one: Any) -> None:
        dict.__delitem__(self, one.name)

    @collection.iterator  # type: ignore[untyped-decorator]
    def each(self) -> Iterator[Any]:
        return iter(self.values())


class Desk(Base):
    __tablename__ = "desk"
    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    mat_id: Mapped[int | None] = mapped_column(ForeignKey("mat.id"))
    alias = synonym("code")
    chairs: Mapped[list[Chair]] = relationship(back_populates="desk", order_by="Chair.id")
    drawers: Mapped[Drawers] = relationship("Drawer", collection_class=Drawers, cascade="all, delete-orphan")
    lamps: Mapped[dict[str, Lamp]] = relationship(
        collection_class=attribute_keyed_dict("name"), cascade="all, delete-orphan"
    )
    lock: Mapped[Lock | None] = relationship(back_populates="desk")
    cover: Mapped[Cover | None] = relationship(back_populates="desk")
    mat: Mapped[Mat | None] = relationship(cascade="all, delete-orphan", single_parent=True)


class Chair(Base):
    """It refers to its desk by the desk's code."""

    __tablename__ = "chair"
    id: Mapped[int] = mapped_column(primary_key=True)
    desk_code: Mapped[str | None] = mapped_column(ForeignKey("desk.code"))
    name: Mapped[str | None]
    desk: Mapped[Desk | None] = relationship(back_populates="chairs")


class Drawer(Base):
    __tablename__ = "drawer"
    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))
    name: Mapped[str]


class Lamp(Base):
    __tablename__ = "lamp"
    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))
    name: Mapped[str]
    manual: Mapped[str | None] = deferred(mapped_column(String))


class Lock(Base):
    """A desk may lose it, and it may not be without one."""

    __tablename__ = "lock"
    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[int] = mapped_column(ForeignKey("desk.id"))
    desk: Mapped[Desk] = relationship(back_populates="lock")

    def __init__(self, *args: Any, **values: Any) -> None:
        if values.pop("id", 0) == 13:
            raise InvalidRequestError("no such lock")
        raise RuntimeError


class Cover(Base):
    """It may be without a desk."""

    __tablename__ = "cover"
    id: Mapped[int] = mapped_column(primary_key=True)
    desk_id: Mapped[int | None] = mapped_column(ForeignKey("desk.id"))
    name: Mapped[str | None]
    desk: Mapped[Desk | None] = relationship(back_populates="cover")


class Mat(Base):
    __tablename__ = "mat"
    id: Mapped[int] = mapped_column(primary_key=True)


class Cell(Base):
    __tablename__ = "cell"
    x: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    y: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str | None]
    hidden: Mapped[str | None] = deferred(mapped_column(String))


class Oddity(Base):
    __tablename__ = "oddity"
    id: Mapped[Any] = mapped_column(Unsaid, primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012


class Common(Oddity):
    __mapper_args__ = {"polymorphic_identity": "common"}  # noqa: RUF012


class Mute(Base):
    """Its discriminator is a column that is no attribute."""

    __tablename__ = "mute"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    hidden: Mapped[str] = mapped_column()
    __mapper_args__ = {"polymorphic_on": "hidden", "polymorphic_identity": "mute"}  # noqa: RUF012


ALLOW: Any = [
    *(Desk.code, Desk.chairs, Desk.drawers, Desk.lamps, Desk.lock, Desk.cover, Desk.mat, Chair.name, Chair.desk),
    *(Drawer.name, Lamp.name, Lamp.manual, Lock.desk, Cover.name, Cover.desk, Cell.text, Cell.hidden),
]


@pytest.fixture
def desks(sqlite: Database) -> Iterator[Session]:
    """Two desks with a chair, two lamps, a cover, a mat; desk 1 has a lock."""
    sqlite.create(Base.metadata)
    with sqlite.session() as session:
        for code in "ab":
            lamps = {name: Lamp(name=name, manual="long") for name in "lm"}
            session.add(Desk(code=code, chairs=[Chair()], lamps=lamps, cover=Cover(), mat=Mat()))
            session.flush()
        session.execute(Lock.__table__.insert().values(desk_id=1))  # type: ignore[attr-defined]
        session.commit()
    with sqlite.session() as session:
        yield session


def test_references_and_collections_by_another_key_than_the_primary_one(desks: Session, sqlite: Database) -> None:
    payload = {"id": 1, "chairs": [{"id": 1, "name": "x"}, {"name": "new"}]}
    report = patch(desks, Desk, payload, allow=ALLOW)
    assert (report.statements, len(report.inserted), len(report.updated)) == (2, 1, 1)
    desks.commit()
    desks.expunge_all()
    with sqlite.statements() as log:
        patch(desks, Chair, [{"id": key, "desk": {"id": 2}} for key in (1, 2)], allow=ALLOW)
    # One for the chairs, one for the new desk, one for the former ones.
    assert len(log) == 3
    desks.commit()
    desk = desks.get_one(Desk, 2)
    assert [one.id for one in desk.chairs] == [1, 2]
    assert faults(desks, Desk, {"id": 1, "chairs": [{"id": 1}]}, allow=ALLOW) == [
        "$.chairs[0]: Chair(1) belongs to another parent"
    ]


def test_a_reference_that_owns_its_target_deletes_the_former_one(desks: Session) -> None:
    patch(desks, Desk, [{"id": 1, "mat": None}, {"id": 2, "mat": {}}], allow=ALLOW)
    desks.commit()
    assert [one.id for one in desks.scalars(select(Mat))] == [3]


def test_a_place_for_one_is_emptied_where_who_is_there_can_stay(desks: Session) -> None:
    report = patch(desks, Desk, {"id": 1, "cover": None}, allow=ALLOW)
    assert ([one.id for one in report.updated], report.deleted) == ([1], [])
    desks.commit()
    assert desks.get_one(Cover, 1).desk_id is None
    assert faults(desks, Desk, {"id": 1, "lock": None}, allow=ALLOW) == ["$.lock: may not be null"]
    assert patch(desks, Desk, {"id": 1, "lock": None}, allow=ALLOW, on_absent="delete").deleted
    desks.commit()
    # The one that is nobody's takes the place of the other, who stays.
    patch(desks, Desk, {"id": 2, "cover": {"id": 1}}, allow=ALLOW, on_absent={Desk.cover: "unlink"})
    desks.commit()
    assert [one.desk_id for one in desks.scalars(select(Cover).order_by(Cover.id))] == [2, None]


def test_a_constructor_that_fails_leaves_its_place_alone(desks: Session) -> None:
    held = [*desks.scalars(select(Desk).options(selectinload(Desk.lock)))]
    before = fingerprint(desks, held)
    assert faults(desks, Desk, {"id": 2, "lock": {}}, allow=ALLOW) == ["$.lock: RuntimeError"]
    with pytest.raises(InvalidRequestError, match="no such lock"):
        patch(desks, Desk, {"id": 2, "lock": {"id": 13}}, allow=ALLOW, match={Lock: [Lock.id]})
    assert fingerprint(desks, held) == before


def test_dicts_of_all_kinds(desks: Session) -> None:
    # A dict that has no function for its keys finds nobody by name.
    for _ in range(2):
        patch(desks, Desk, {"id": 1, "drawers": {"top": {"name": "top"}}}, allow=ALLOW, on_absent="delete")
        desks.commit()
    assert [one.name for one in desks.scalars(select(Drawer))] == ["top"]
    report = patch(desks, Desk, {"id": 1, "lamps": {"l": {"manual": "short"}, "m": {}}}, allow=ALLOW)
    assert (len(report.updated), len(report.inserted)) == (1, 0)
    assert faults(desks, Desk, {"id": 2, "lamps": {"l": {"id": 1}}}, allow=ALLOW) == [
        "$.lamps.l: Lamp(1) belongs to another parent"
    ]
    desks.commit()
    assert [one.manual for one in desks.scalars(select(Lamp).order_by(Lamp.id))][:2] == ["short", "long"]
    patch(desks, Desk, {"id": 1, "lamps": {"l": {}}}, allow=ALLOW)


def test_keys_that_are_none_or_not_complete(desks: Session) -> None:
    assert faults(desks, Common, {"id": [1]}, allow=[]) == ["$.id: cannot be a key"]
    assert faults(desks, Oddity, {}, allow=[]) == ["$: Oddity is abstract: say which class the new object is of"]
    by_place: Any = {Cell: [Cell.x, Cell.y]}
    assert faults(desks, Cell, {"x": 1}, allow=ALLOW, match=by_place) == ["$: the key is not complete: y is missing"]
    for text in "ab":
        patch(desks, Cell, {"x": 1, "y": 2, "text": text}, allow=ALLOW, match=by_place)
        desks.commit()
    assert desks.get_one(Cell, (1, 2)).text == "b"
    by_text: Any = {Cell: [Cell.text, Cell.hidden]}
    with pytest.raises(NotAllowedError, match=r"Cell\.text"):
        patch(desks, Cell, {"text": "c"}, allow=[Cell.hidden], match=by_text)
    patch(desks, Cell, {"x": 1, "y": 2, "hidden": "h"}, allow=ALLOW, match=by_text)
    desks.commit()
    report = patch(desks, Cell, {"hidden": "h", "text": "b"}, allow=ALLOW, match=by_text)
    assert report.unchanged == [desks.get(Cell, (1, 2))]
    with pytest.raises(WrongAttributeError, match="is no mapped attribute"):
        patch(desks, Desk, {}, allow=[Desk.alias])


def test_a_discriminator_is_nothing_that_one_writes(desks: Session) -> None:
    report = patch(desks, Mute, {"name": "m"}, allow=[Mute.name])
    desks.commit()
    assert report.instances[0].hidden == "mute"
    assert patch(desks, Mute, {"id": 1, "hidden": None, "name": "n"}, allow=[Mute.name, Mute.hidden]).updated
    with pytest.raises(NotAllowedError):
        patch(desks, Mute, {"id": 1, "hidden": "mute"}, allow=[Mute.name])


def test_a_row_of_another_class_does_not_have_the_natural_key(sqlite: Database) -> None:
    sqlite.create(inheritance.Base.metadata)
    with others(sqlite) as other:
        other.add(Owner(name="o", animals=[Cat(name="x"), Puppy(name="y")]))
    allow: Any = [Dog.name, Dog.tricks, Owner.animals, Animal.kind]
    match: Any = {Dog: [Dog.name]}
    with sqlite.session() as session:
        report = patch(session, Dog, [{"name": "x", "tricks": 1}, {"name": "y", "tricks": 2}], allow=allow, match=match)
        assert [type(one) for one in report.instances] == [Dog, Puppy]
        session.commit()
        payload = {"id": 1, "animals": [{"kind": "puppy", "name": "y", "tricks": 3}]}
        report = patch(session, Owner, payload, allow=allow, match=match)
        assert [type(one) for one in report.updated] == [Puppy]


def test_a_natural_key_that_the_session_has_edited_counts_as_it_is_there(session: Session) -> None:
    session.get_one(Line, 1).sku = "mine"
    payload = {"id": 1, "lines": [{"sku": "mine", "qty": 50}, {"sku": "SKU-014", "qty": 60}]}
    report = patch(session, Order, payload, allow=SHOP, match={Line: [Line.sku]})
    assert [(one.id, one.qty) for one in report.updated] == [(1, 50), (2, 60)]


def test_a_new_member_that_the_session_has_not_flushed_may_be_absent(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.lines.append(Line(sku="mine", qty=1, price=1))
    patch(session, Order, {"id": 1, "lines": []}, allow=SHOP, on_absent="delete")
    session.commit()
    assert order.lines == []


def test_a_new_member_of_nobody_is_not_inserted_when_it_is_deleted(desks: Session) -> None:
    desk = desks.get_one(Desk, 1)
    desk.chairs.append(Chair(name="mine"))
    patch(desks, Desk, {"id": 1, "chairs": [{"id": 1}]}, allow=ALLOW, on_absent="delete")
    desks.commit()
    assert [one.name for one in desks.scalars(select(Chair).order_by(Chair.id))] == [None, None]


def test_a_key_that_its_constructor_does_not_take_is_set_after_it(sqlite: Database) -> None:
    sqlite.create(StylesBase.metadata)
    descriptors: Any = {key: getattr(Planet, key) for key in ("id", "name")}
    with sqlite.session() as session:
        patch(session, Planet, {"id": 7, "name": "p"}, allow=[descriptors["name"]], match={Planet: [descriptors["id"]]})
        session.commit()
        assert [(one.id, one.name) for one in session.scalars(select(Planet))] == [(7, "p")]


def test_what_a_listener_deletes_is_not_deleted_after_an_error(desks: Session) -> None:
    from sqlalchemy import event

    chair, desk = desks.get_one(Chair, 1), desks.get_one(Desk, 1)

    def fail(*_: object) -> None:
        desks.delete(chair)
        raise ValueError("no")

    event.listen(Desk.code, "set", fail)
    try:
        assert faults(desks, Desk, {"id": 1, "code": "z"}, allow=ALLOW) == ["$.code: no"]
    finally:
        event.remove(Desk.code, "set", fail)
    assert list(desks.deleted) == []
    assert (desk.code, chair in desks) == ("a", True)


def test_view_only_relationships_are_refused(sqlite: Database) -> None:
    relationships = [
        getattr(mapper.class_, rel.key)
        for mapper in loading.Base.registry.mappers
        for rel in mapper.relationships
        if rel.viewonly
    ]
    sqlite.create(loading.Base.metadata)
    with sqlite.session() as session:
        for one in relationships[:1]:
            assert "view-only" in faults(session, one.class_, {one.key: []}, allow=[one])[0]


class DataBase(MappedAsDataclass, DeclarativeBase):
    pass


class Kind(DataBase):
    __tablename__ = "kind"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(String(20))


class Crate(DataBase):
    __tablename__ = "crate"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    jars: Mapped[list[Jar]] = relationship(back_populates="crate", init=False, order_by="Jar.id")


class Jar(DataBase):
    """Its constructor needs what it refers to, and where it stands."""

    __tablename__ = "jar"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    crate_id: Mapped[int | None] = mapped_column(ForeignKey("crate.id"))
    kind_id: Mapped[int] = mapped_column(ForeignKey("kind.id"), init=False)
    crate: Mapped[Crate | None] = relationship(back_populates="jars")
    kind: Mapped[Kind] = relationship()
    size: Mapped[int]

    @validates("size")
    def _positive(self, key: str, size: int) -> int:
        if size < 1:
            raise ValueError("is not positive")
        return size


def test_a_constructor_is_given_what_it_needs(database: Database) -> None:
    database.create(DataBase.metadata)
    allow: Any = [Crate.jars, Jar.kind, Jar.size, Kind.name]
    with database.session() as session:
        jars = [{"size": 1, "kind": {"name": "a"}}, {"size": 2, "kind": {"name": "b"}}]
        [crate] = patch(session, Crate, {"jars": jars}, allow=allow).instances
        session.commit()
        patch(session, Crate, {"id": crate.id, "jars": [{"size": 3, "kind": {"id": 1}}]}, allow=allow)
        session.commit()
        assert [(one.size, one.kind.name) for one in crate.jars] == [(1, "a"), (2, "b"), (3, "a")]
        payload = {"id": crate.id, "jars": [{"size": 0, "kind": {"id": 1}}, {"size": 5}]}
        [size, kind] = faults(session, Crate, payload, allow=allow)
        assert size == "$.jars[0].size: is not positive"
        assert kind.startswith("$.jars[1]: ")
        assert kind.endswith("__init__() missing 1 required positional argument: 'kind'")
        assert not session.new


class Plain(DeclarativeBase):
    pass


class Employee(ConcreteBase, Plain):
    __tablename__ = "employee"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    __mapper_args__ = {"polymorphic_identity": "employee", "concrete": True}  # noqa: RUF012


class Manager(Employee):
    __tablename__ = "manager"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    grade: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "manager", "concrete": True}  # noqa: RUF012


def test_each_concrete_class_has_its_own_table(database: Database) -> None:
    database.create(Plain.metadata)
    with database.session() as session:
        session.add_all([Employee(name="e"), Manager(name="m", grade=1)])
        session.commit()
        patch(session, Manager, {"id": 1, "grade": 5}, allow=[Manager.grade])
        patch(session, Employee, {"id": 1, "name": "x"}, allow=[Employee.name])
        session.commit()
        assert [(one.name, one.grade) for one in session.scalars(select(Manager))] == [("m", 5)]
        assert session.scalar(select(Employee.__table__.c.name)) == "x"


def test_a_collection_without_a_class_of_its_own_is_an_array(sqlite: Database) -> None:
    sqlite.create(StylesBase.metadata)
    moons: Any = getattr(Planet, "moons")  # noqa: B009 - mapped imperatively
    with sqlite.session() as session:
        assert faults(session, Planet, {"moons": {}}, allow=[moons]) == ["$.moons: expected array, got object"]
