"""Every kind of mapping comes home: inheritance, imperative, dataclasses, collections of other kinds, long chains."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import Session, selectinload

from sojourn.errors import ConflictError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.refresh import refresh
from tests.databases import Database, sqlite_database
from tests.models import inheritance, keys, odd, peculiar, styles
from tests.models.inheritance import Animal, Car, Dog, Lorry, Owner, Puppy, Vehicle
from tests.models.keys import Legacy, Node
from tests.models.odd import Box, Corner, Cube, Pin
from tests.models.peculiar import Boss, Firm, Worker
from tests.models.shop import Customer
from tests.models.styles import Invoice, Item, Moon, Planet
from tests.session.attaching import away, columns_set, open_shop, others, row, rows, shop_away

# --- inheritance -----------------------------------------------------------------------------------------------------


def owners(database: Database) -> Owner:
    database.create(inheritance.Base.metadata)
    with others(database) as session:
        owner = Owner(name="Ann")
        owner.animals = [Puppy(name="Rex", tricks=1, weeks=9), inheritance.Cat(name="Tom", lives=9)]
        owner.vehicles = [Car(plate="A", doors=4), Lorry(plate="B", tons=7, axles=3)]
        session.add(owner)
    [mine] = away(database, Owner, selectinload(Owner.animals), selectinload(Owner.vehicles))
    return mine


@pytest.mark.parametrize("at_home", [False, True])
def test_single_table_inheritance_merges_columns_of_each_level(database: Database, at_home: bool) -> None:
    mine = owners(database)
    rex = mine.animals[0]
    assert isinstance(rex, Puppy)
    rex.name, rex.weeks = "mine", 10
    with others(database) as session:
        session.get_one(Dog, rex.id).tricks = 2
    with database.session() as session, database.statements() as log:
        home = session.get_one(Puppy, rex.id) if at_home else rex
        log.clear()
        attach(session, mine)
        assert len(log.selects) == 1
        assert (home.name, home.weeks, home.tricks) == ("mine", 10, 2)
        session.commit()
        assert columns_set(log) == [("animal", ["name", "weeks"])]


@pytest.mark.parametrize("at_home", [False, True])
def test_joined_inheritance_merges_columns_of_each_table(database: Database, at_home: bool) -> None:
    mine = owners(database)
    car, lorry = mine.vehicles
    assert isinstance(car, Car)
    assert isinstance(lorry, Lorry)
    car.plate, car.doors = "mine", 5
    lorry.axles = 4
    number = lorry.id
    with others(database) as session:
        theirs = session.get_one(Lorry, lorry.id)
        theirs.plate, theirs.tons = "theirs", 8
    with database.session() as session, database.statements() as log:
        home: Any = session.get_one(Lorry, lorry.id) if at_home else lorry
        log.clear()
        attach(session, mine)
        assert len(log.selects) == 2
        assert (home.plate, home.tons, home.axles) == ("theirs", 8, 4)
        session.commit()
        assert columns_set(log) == [("car", ["doors"]), ("lorry", ["axles"]), ("vehicle", ["plate"])]
    found = row(database, Lorry, number)
    assert (found.plate, found.tons, found.axles) == ("theirs", 8, 4)


def test_conflicts_of_subclasses_are_found(database: Database) -> None:
    mine = owners(database)
    rex, lorry = mine.animals[0], mine.vehicles[1]
    rex.tricks = lorry.tons = 50  # type: ignore[attr-defined]  # they are a puppy and a lorry
    with others(database) as session:
        session.get_one(Dog, rex.id).tricks = 60
        session.get_one(Lorry, lorry.id).tons = 60
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        assert sorted(str(one.attribute) for one in caught.value.conflicts) == ["tons", "tricks"]
        attach(session, mine, on_conflict="theirs")
        session.commit()


def test_polymorphic_members_are_added_removed_and_brought_up_to_date(database: Database) -> None:
    mine = owners(database)
    mine.animals.pop(1)
    mine.vehicles.append(inheritance.Truck(plate="mine", tons=1))
    with others(database) as session:
        session.add(Dog(name="theirs", tricks=0, owner_id=mine.id))
        session.add(Car(plate="theirs", doors=3, owner_id=mine.id))
    with database.session() as session:
        attach(session, mine, verify="all")
        session.commit()
        assert [(type(one).__name__, one.name) for one in mine.animals] == [("Puppy", "Rex"), ("Dog", "theirs")]
        assert sorted((type(one).__name__, one.plate) for one in mine.vehicles) == [
            ("Car", "A"),
            ("Car", "theirs"),
            ("Lorry", "B"),
            ("Truck", "mine"),
        ]


def test_verify_all_reads_each_mapped_table_once(database: Database) -> None:
    mine = owners(database)
    with database.session() as session, database.statements() as log:
        attach(session, mine, verify="all")
        # owner, animal, vehicle with its members, car, lorry
        assert len(log.selects) == 5
        session.commit()
        assert log.updates == []


def test_an_instance_of_the_base_class_stands_for_its_subclass_row(database: Database) -> None:
    owners(database)
    rex, _ = away(database, Animal)
    assert isinstance(rex, Puppy)
    car = away(database, Vehicle)[0]
    assert isinstance(car, Car)
    rex.name = car.plate = "mine"
    numbers = rex.id, car.id
    with database.session() as session:
        attach(session, [rex, car])
        session.commit()
    assert (row(database, Puppy, numbers[0]).name, row(database, Car, numbers[1]).plate) == ("mine", "mine")


def firm(database: Database) -> Firm:
    """A worker and a boss, of different tables and under the same key."""
    database.create(peculiar.Base.metadata)
    with others(database) as session:
        session.add(Firm(name="firm", workers=[Worker(name="Bob"), Boss(name="Ann", salary=9)]))
    [mine] = away(database, Firm, selectinload(Firm.workers))
    return mine


def names_of(found: Firm) -> list[tuple[str, str]]:
    return sorted((type(one).__name__, one.name) for one in found.workers)


@pytest.mark.parametrize("verify", ["changed", "all"])
def test_members_in_several_tables_come_and_go_each_in_its_own(database: Database, verify: Any) -> None:
    mine = firm(database)
    mine.workers[:] = [one for one in mine.workers if isinstance(one, Boss)]
    mine.workers.append(Boss(name="new", salary=1))
    with others(database) as session:
        session.add(Worker(name="theirs", firm_id=mine.id))
    with database.session() as session:
        attach(session, mine, verify=verify)
        assert names_of(mine) == [("Boss", "Ann"), ("Boss", "new")]
        session.commit()
        assert names_of(mine) == [("Boss", "Ann"), ("Boss", "new"), ("Worker", "theirs")]


def test_an_edited_object_of_a_concrete_subclass_is_locked_in_its_own_table(database: Database) -> None:
    mine = firm(database)
    boss = next(one for one in mine.workers if isinstance(one, Boss))
    boss.salary = 7
    with others(database) as session:
        session.get_one(Boss, boss.id).name = "theirs"
    with database.session() as session:
        attach(session, boss)
        session.commit()
        number = boss.id
    found = row(database, Boss, number)
    assert (found.name, found.salary) == ("theirs", 7)


def test_refresh_reads_members_in_several_tables(database: Database) -> None:
    firm(database)
    with database.session(expire_on_commit=False) as session:
        found = session.scalars(select(Firm)).one()
        assert names_of(found) == [("Boss", "Ann"), ("Worker", "Bob")]
        session.commit()
        with others(database) as other:
            other.add(Boss(name="theirs", salary=1, firm_id=found.id))
        refresh(session, found)
        with database.statements() as log:
            assert len(found.workers) == 3
        assert len(log) == 0


# --- styles ----------------------------------------------------------------------------------------------------------


def test_dataclasses_come_home(database: Database) -> None:
    database.create(styles.Base.metadata)
    with others(database) as session:
        session.add(Invoice(number="1", items=[Item(text="a"), Item(text="b")]))
    [mine] = away(database, Invoice, selectinload(Invoice.items))
    mine.paid = True
    mine.items.pop(0)
    mine.items.append(Item(text="mine", cents=5))
    with others(database) as session:
        theirs = session.get_one(Invoice, mine.id)
        theirs.number = "theirs"
        theirs.items.append(Item(text="theirs"))
    with database.session() as session:
        attach(session, mine)
        session.commit()
        assert (mine.number, mine.paid) == ("theirs", True)
        assert sorted(item.text for item in mine.items) == ["b", "mine", "theirs"]


def test_dataclasses_that_are_new_come_home(database: Database) -> None:
    database.create(styles.Base.metadata)
    with database.session() as session:
        report = attach(session, Invoice(number="1", items=[Item(text="a")]))
        assert len(report.inserted) == 2
        session.commit()
    assert [one.text for one in rows(database, Item)] == ["a"]


def test_imperative_classes_come_home(database: Database) -> None:
    database.create(styles.Base.metadata)
    with others(database) as session:
        planet: Any = Planet("Mars")
        planet.moons = [Moon("Phobos"), Moon("Deimos")]
        session.add(planet)
    [mine] = away(database, Planet, selectinload(Planet.moons))  # type: ignore[arg-type]  # mapped imperatively
    mine.name = "mine"
    gone = mine.moons.pop(0)
    number = gone.id
    mine.moons.append(Moon("new"))
    with others(database) as session:
        session.get_one(Moon, mine.moons[0].id).name = "theirs"
    with database.session() as session:
        report = attach(session, mine, verify="all")
        assert report.deleted == []  # a moon is not owned
        assert gone in report.updated
        session.commit()
        assert [moon.name for moon in mine.moons] == ["theirs", "new"]
    assert row(database, Moon, number).planet_id is None


# --- kinds of attribute ----------------------------------------------------------------------------------------------


def box(database: Database) -> Box:
    database.create(odd.Base.metadata)
    with others(database) as session:
        found = Box(id=1, labels={"a": "1"}, corner=Corner(1, 1))
        found.pins = [Pin(), Pin(), Pin()]
        session.add(found)
    [mine] = away(database, Box, selectinload(Box.pins))
    return mine


def test_a_collection_without_a_way_back_of_what_cannot_be_compared_merges(database: Database) -> None:
    mine = box(database)
    gone = mine.pins.pop(0)
    mine.pins.append(Pin())
    with others(database) as session:
        session.add(Pin(box_id=1, position=3))
    with database.session() as session:
        report = attach(session, mine)
        assert [inspect(one).key for one in report.deleted] == [inspect(gone).key]
        session.commit()
        assert len(mine.pins) == 4
    with database.session() as session:
        assert len(session.scalars(select(Pin.id)).all()) == 4


@pytest.mark.parametrize("backwards", [False, True])
def test_a_moved_child_without_a_way_back_is_not_deleted(database: Database, backwards: bool) -> None:
    box(database)
    with others(database) as session:
        session.add(Box(id=2, corner=Corner(2, 2)))
    first, second = away(database, Box, selectinload(Box.pins))
    second.pins.append(first.pins.pop(0))
    with database.session() as session:
        report = attach(session, [second, first] if backwards else [first, second])
        assert report.deleted == []
        assert len(report.updated) == 3  # the moved pin, and the two whose position has changed
        session.commit()
        assert (len(first.pins), len(second.pins)) == (2, 1)


def test_values_of_a_type_of_ones_own_and_mutable_composites_merge(database: Database) -> None:
    mine = box(database)
    assert mine.labels is not None
    mine.labels["b"] = "2"
    mine.corner.x = 5
    with database.session() as session, database.statements() as log:
        held = session.get_one(Box, 1)
        assert held.corner.x == 1
        log.clear()
        attach(session, mine)
        assert (held.labels, held.corner.x, held.corner.y) == ({"a": "1", "b": "2"}, 5, 1)
        session.commit()
        [(_, written)] = columns_set(log)
        assert set(written) <= {"labels", "x", "y"}
        held.corner.y = 7
        session.commit()
    found = row(database, Box, 1)
    assert (found.labels, found.corner.x, found.corner.y) == ({"a": "1", "b": "2"}, 5, 7)


def test_a_write_only_collection_takes_what_was_added_away(database: Database) -> None:
    mine = box(database)
    cube = Cube()
    mine.cubes.add(cube)
    with database.session() as session:
        attach(session, mine)
        session.commit()
    assert [one.box_id for one in rows(database, Cube)] == [1]


def test_objects_that_were_pickled_come_home(database: Database) -> None:
    open_shop(database, 1, 2, 2)
    [mine] = shop_away(database)
    mine.city = "mine"
    mine.orders[0].lines.pop(0)
    mine = pickle.loads(pickle.dumps(mine))
    with others(database) as session:
        session.get_one(Customer, 1).name = "theirs"
    with database.session() as session:
        report = attach(session, mine)
        assert len(report.deleted) == 1
        session.commit()
        assert (mine.city, mine.name) == ("mine", "theirs")
        assert len(mine.orders[0].lines) == 1


def test_objects_that_were_only_expunged_come_home(database: Database) -> None:
    open_shop(database, 1, 2, 0)
    with database.session() as session:
        mine = session.scalars(select(Customer).options(selectinload(Customer.orders))).one()
        session.expunge_all()
    mine.city = "mine"
    mine.orders.pop(0)
    with others(database) as session:
        session.get_one(Customer, 1).name = "theirs"
    with database.session() as session:
        attach(session, mine)
        session.commit()
        assert (mine.city, mine.name, [order.id for order in mine.orders]) == ("mine", "theirs", [2])


def test_a_session_with_several_databases_reads_each_where_it_is(sqlite: Database, tmp_path: Any) -> None:
    (tmp_path / "other").mkdir()
    with sqlite_database(tmp_path / "other") as other:
        keys.Base.metadata.create_all(other.engine)
        open_shop(sqlite, 1, 0, 0)
        with others(other) as session:
            session.add(Legacy(id=1, name="name"))
        [customer], [legacy] = away(sqlite, Customer), away(other, Legacy)
        customer.city = legacy.name = "mine"
        with Session(binds={Customer: sqlite.engine, Legacy: other.engine}) as session:
            report = attach(session, [customer, legacy])
            assert report.statements == 2
            session.commit()
        assert (row(sqlite, Customer, 1).city, row(other, Legacy, 1).name) == ("mine", "mine")


# --- a long chain ----------------------------------------------------------------------------------------------------

LONG = 5_000  # test_chain.py brings 100,000 home that have rows


def test_a_chain_of_new_objects_comes_home_without_recursion(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    node = Legacy(name="n")
    for _ in range(LONG - 1):
        node = Legacy(name="n", parent=node)
    with sqlite.session() as session:
        report = attach(session, node)
        assert len(report.inserted) == LONG == len(session.new)
        session.expunge_all()


def test_a_chain_that_the_session_holds_takes_edits_without_recursion(sqlite: Database) -> None:
    sqlite.create(keys.Base.metadata)
    with sqlite.session() as session:
        for number in range(1, LONG + 1):
            session.add(Node(id=number, name="n", parent_id=number - 1 or None))
        session.commit()
    with sqlite.session() as session:
        objs = session.scalars(select(Node).order_by(Node.id)).all()
        last = detach(session, objs, selectinload(Node.parent))[-1]
    last.name = "edited"
    with sqlite.session() as session:
        held = session.scalars(select(Node).order_by(Node.id)).all()
        report = attach(session, last)
        assert report.of(last) is held[-1]
        session.commit()
    assert row(sqlite, Node, LONG).name == "edited"
