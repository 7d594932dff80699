"""Ways to write a class, and its inheritance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from sqlalchemy.orm import Session, selectinload

from tests.mappings.mapping import ALL, Mapping, unordered
from tests.models import dataclasses_, inheritance, keys, peculiar, shop, styles
from tests.models.dataclasses_ import Branch, Leaf, Stone, Tree
from tests.models.inheritance import Car, Cat, Dog, Lorry, Owner, Puppy, Truck
from tests.models.keys import Legacy
from tests.models.peculiar import Boss, Firm, Void, Worker
from tests.models.shop import Customer, Line, Order
from tests.models.sqlmodel_ import Badge, Club, Member
from tests.models.styles import Invoice, Item, Moon, Planet

STYLES = "Ways to write a class"
INHERITANCE = "Inheritance"


class Declarative(Mapping):
    """Declarative, two levels of owned children"""

    group = STYLES
    models, root = shop.Base, Customer
    shape = (selectinload(Customer.orders).selectinload(Order.lines),)
    look = ("name", "city", ("orders", "status", ("lines", "sku", "qty")))
    before = ("Ann", "Ghent", [("open", [("a", 1), ("b", 2)])])
    mine = ("mine", "Ghent", [("open", [("a", 7), ("mine", 1)])])
    both = ("mine", "theirs", [("theirs", [("a", 7), ("theirs", 3), ("mine", 1)])])
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        order = Order(number="1", status="open", placed_at=datetime(2026, 1, 1))
        order.lines = [Line(sku="a", qty=1, price=Decimal(1)), Line(sku="b", qty=2, price=Decimal(1))]
        return [Customer(name="Ann", city="Ghent", email="a", balance=Decimal(0), orders=[order])]

    def edit(self, root: Customer) -> None:
        root.name = "mine"
        [order] = root.orders
        order.lines[0].qty = 7
        order.lines[1:] = [Line(sku="mine", qty=1, price=Decimal(1))]

    def meanwhile(self, root: Customer, session: Session) -> None:
        root.city = root.orders[0].status = "theirs"
        root.orders[0].lines.append(Line(sku="theirs", qty=3, price=Decimal(1)))


class OtherNames(Mapping):
    """Declarative, columns named other than their attributes"""

    group = STYLES
    models, root, pick = keys.Base, Legacy, -1
    shape = (selectinload(Legacy.parent),)
    look = ("name", ("parent", "name"))
    before = ("child", "old")
    mine = ("mine", "old")
    both = ("mine", "other")

    def rows(self) -> Sequence[Any]:
        old = Legacy(name="old")
        return [old, Legacy(name="other"), Legacy(name="child", parent=old)]

    def edit(self, root: Legacy) -> None:
        root.name = "mine"

    def meanwhile(self, root: Legacy, session: Session) -> None:
        root.parent = session.query(Legacy).filter_by(name="other").one()


class Imperative(Mapping):
    """Imperative"""

    group = STYLES
    models, root = styles.imperative, Planet
    shape = (selectinload(Planet.moons),)  # type: ignore[arg-type]  # mapped imperatively
    look = ("name", ("moons", "name"))
    before = ("Mars", ["Phobos", "Deimos"])
    mine = ("mine", ["Phobos", "new"])
    both = ("mine", ["theirs", "new"])
    cloned: ClassVar[Any] = ("Mars", [])
    notes = {"clone": "A moon is not owned, and stays where it is."}

    def rows(self) -> Sequence[Any]:
        planet = Planet("Mars")
        planet.moons = [Moon("Phobos"), Moon("Deimos")]
        return [planet]

    def edit(self, root: Planet) -> None:
        root.name = "mine"
        root.moons[1:] = [Moon("new")]

    def meanwhile(self, root: Planet, session: Session) -> None:
        root.moons[0].name = "theirs"


class Dataclass(Mapping):
    """MappedAsDataclass"""

    group = STYLES
    models, root = styles.Base, Invoice
    shape = (selectinload(Invoice.items),)
    look = ("number", "paid", ("items", "text", "cents"))
    before = ("1", False, [("a", 0), ("b", 0)])
    mine = ("1", True, [("b", 0), ("mine", 5)])
    both = ("theirs", True, [("b", 0), ("theirs", 0), ("mine", 5)])

    def rows(self) -> Sequence[Any]:
        return [Invoice(number="1", items=[Item(text="a"), Item(text="b")])]

    def edit(self, root: Invoice) -> None:
        root.paid = True
        root.items.pop(0)
        root.items.append(Item(text="mine", cents=5))

    def meanwhile(self, root: Invoice, session: Session) -> None:
        root.number = "theirs"
        root.items.append(Item(text="theirs"))


class PlainDataclass(Mapping):
    """A plain dataclass, imperatively"""

    group = STYLES
    models, root = dataclasses_.imperative, Stone
    shape = (selectinload(Stone.parts),)  # type: ignore[arg-type]  # mapped imperatively
    look = ("name", "grams", ("parts", "name"))
    before = ("rock", 5, ["chip"])
    mine = ("mine", 5, ["mine too"])
    both = ("mine", 9, ["mine too", "theirs"])
    cloned: ClassVar[Any] = ("rock", 5, [])
    notes = {"clone": "The parts are not owned, and stay where they are."}
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Stone("rock", parts=[Stone("chip")])]

    def edit(self, root: Stone) -> None:
        root.name = "mine"
        root.parts[0].name = "mine too"

    def meanwhile(self, root: Stone, session: Session) -> None:
        root.grams = 9
        root.parts.append(Stone("theirs"))


class Attrs(Mapping):
    """attrs"""

    group = STYLES
    models, root = dataclasses_.imperative, Tree
    shape = (selectinload(Tree.branches).selectinload(Branch.leaves),)  # type: ignore[arg-type]  # the same
    look = ("name", "height", ("branches", "name", ("leaves", "colour")))
    before = ("oak", 3, [("low", {"green"})])
    mine = ("mine", 3, [("low", {"red"})])
    both = ("mine", 8, [("theirs", {"red", "brown"})])
    cloned: ClassVar[Any] = ("oak", 3, [])
    notes = {"clone": "The branches are not owned, and stay where they are."}
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Tree("oak", branches=[Branch("low", leaves={Leaf()})])]

    def edit(self, root: Tree) -> None:
        root.name = "mine"
        root.branches[0].leaves.clear()
        root.branches[0].leaves.add(Leaf("red"))

    def meanwhile(self, root: Tree, session: Session) -> None:
        root.height = 8
        root.branches[0].name = "theirs"
        root.branches[0].leaves.add(Leaf("brown"))


class SqlModel(Mapping):
    """SQLModel"""

    group = STYLES
    models, root = (Club, Member, Badge), Club
    shape = (selectinload(Club.members).selectinload(Member.badges),)  # type: ignore[arg-type]  # SQLModel's own types
    look = ("name", "facts", ("members", "name", "age", ("badges", "name")))
    before = ("club", {"a": 1}, [("Ann", 18, ["gold"])])
    mine: ClassVar[Any] = ("mine", {"a": 1}, [("Ann", 30, [])])
    both: ClassVar[Any] = ("mine", {"a": 2}, [("theirs", 30, []), ("new", 18, [])])

    def rows(self) -> Sequence[Any]:
        return [Club(name="club", facts={"a": 1}, members=[Member(name="Ann", badges=[Badge(name="gold")])])]

    def edit(self, root: Club) -> None:
        root.name = "mine"
        root.members[0].age = 30
        root.members[0].badges.clear()

    def meanwhile(self, root: Club, session: Session) -> None:
        root.facts = {"a": 2}
        root.members[0].name = "theirs"
        root.members.append(Member(name="new"))


class OddObjects(Mapping):
    """Objects that are false, empty, and equal to everything"""

    group = STYLES
    models, root = peculiar.Base, Void
    shape = (selectinload(Void.children),)
    look = ("name", ("children", "name"))
    before = ("whole", ["a", "b"])
    mine = ("mine", ["a", "new"])
    both = ("mine", ["theirs", "new"])
    cloned: ClassVar[Any] = ("whole", [])
    notes = {"clone": "The children are not owned, and stay where they are."}
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        whole = Void(name="whole")
        return [whole, Void(name="a", parent=whole), Void(name="b", parent=whole)]

    def edit(self, root: Void) -> None:
        root.name = "mine"
        del root.children[1]
        root.children.append(Void(name="new"))

    def meanwhile(self, root: Void, session: Session) -> None:
        root.children[0].name = "theirs"


class SingleTable(Mapping):
    """Single table, polymorphic members"""

    group = INHERITANCE
    models, root = inheritance.Base, Owner
    shape = (selectinload(Owner.animals),)
    look = ("name", ("animals", "class", "name", "tricks", "weeks", "lives"))
    before = ("Ann", [("Puppy", "Rex", 1, 9), ("Cat", "Tom", 9)])
    mine = ("Ann", [("Puppy", "mine", 1, 10), ("Dog", "new", 3)])
    both = ("theirs", [("Puppy", "mine", 2, 10), ("Cat", "theirs", 7), ("Dog", "new", 3)])
    cloned: ClassVar[Any] = ("Ann", [])
    notes = {"clone": "An animal is not owned, and stays where it is."}
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Owner(name="Ann", animals=[Puppy(name="Rex", tricks=1, weeks=9), Cat(name="Tom", lives=9)])]

    def edit(self, root: Owner) -> None:
        rex: Any = root.animals[0]
        rex.name, rex.weeks = "mine", 10
        root.animals[1:] = [Dog(name="new", tricks=3)]

    def meanwhile(self, root: Owner, session: Session) -> None:
        rex: Any = root.animals[0]
        root.name, rex.tricks = "theirs", 2
        root.animals.append(Cat(name="theirs", lives=7))


class JoinedTables(Mapping):
    """Joined tables, polymorphic members"""

    group = INHERITANCE
    models, root = inheritance.Base, Owner
    shape = (selectinload(Owner.vehicles),)
    look = ("name", ("vehicles", "class", "plate", "doors", "tons", "axles"))
    before = ("Ann", [("Car", "A", 4), ("Lorry", "B", 7, 3)])
    mine = ("Ann", [("Lorry", "mine", 7, 4), ("Truck", "new", 1)])
    both = ("theirs", [("Lorry", "mine", 8, 4), ("Car", "theirs", 2), ("Truck", "new", 1)])
    cloned: ClassVar[Any] = ("Ann", [])
    notes = {"clone": "A vehicle is not owned, and stays where it is."}
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Owner(name="Ann", vehicles=[Car(plate="A", doors=4), Lorry(plate="B", tons=7, axles=3)])]

    def edit(self, root: Owner) -> None:
        lorry: Any = root.vehicles[1]
        lorry.plate, lorry.axles = "mine", 4
        root.vehicles.pop(0)
        root.vehicles.append(Truck(plate="new", tons=1))

    def meanwhile(self, root: Owner, session: Session) -> None:
        lorry: Any = root.vehicles[1]
        root.name, lorry.tons = "theirs", 8
        root.vehicles.append(Car(plate="theirs", doors=2))


class JoinedRoot(Mapping):
    """Joined tables, the object itself of a subclass of a subclass"""

    group = INHERITANCE
    models, root = inheritance.Base, Lorry
    look = ("plate", "tons", "axles")
    before = ("A", 7, 3)
    mine = ("mine", 7, 4)
    both = ("mine", 8, 4)
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Lorry(plate="A", tons=7, axles=3)]

    def edit(self, root: Lorry) -> None:
        root.plate, root.axles = "mine", 4

    def meanwhile(self, root: Lorry, session: Session) -> None:
        root.tons = 8


class ConcreteTables(Mapping):
    """Concrete tables, polymorphic members"""

    group = INHERITANCE
    models, root = peculiar.Base, Firm
    shape = (selectinload(Firm.workers),)
    look = ("name", ("workers", "class", "name", "salary"))
    before = ("firm", [("Boss", "Ann", 9), ("Worker", "Bob")])
    mine = ("firm", [("Boss", "mine", 9), ("Worker", "mine too")])
    both = ("theirs", [("Boss", "mine", 10), ("Worker", "mine too")])
    cloned: ClassVar[Any] = ("firm", [])
    notes = {"clone": "A worker is not owned, and stays where it is."}
    drivers: ClassVar[Sequence[str]] = ALL

    def rows(self) -> Sequence[Any]:
        return [Firm(name="firm", workers=[Worker(name="Bob"), Boss(name="Ann", salary=9)])]

    def edit(self, root: Firm) -> None:
        for one in root.workers:
            one.name = "mine" if isinstance(one, Boss) else "mine too"

    def meanwhile(self, root: Firm, session: Session) -> None:
        root.name = "theirs"
        session.query(Boss).one().salary = 10

    def picture(self, root: Firm) -> Any:
        return unordered(super().picture(root))  # the union of two tables has no order


class ConcreteMembers(ConcreteTables):
    """Concrete tables, members that come and go"""

    mine = ("firm", [("Boss", "Ann", 9), ("Boss", "new", 1)])
    both = ("theirs", [("Boss", "Ann", 10), ("Boss", "new", 1), ("Worker", "theirs")])
    unflushed = ("theirs", [("Boss", "Ann", 10), ("Boss", "new", 1)])
    notes: ClassVar[dict[str, str]] = {
        "clone": "A worker is not owned, and stays where it is.",
        "refresh": "An edited collection of members in several tables shows what others put in when it is read again.",
    }
    drivers = ("sqlite",)

    def edit(self, root: Firm) -> None:
        for one in list(root.workers):
            if not isinstance(one, Boss):
                root.workers.remove(one)
        root.workers.append(Boss(name="new", salary=1))

    def meanwhile(self, root: Firm, session: Session) -> None:
        super().meanwhile(root, session)
        root.workers.append(Worker(name="theirs"))
