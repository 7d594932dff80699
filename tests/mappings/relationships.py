"""Relationships and collections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from sqlalchemy import inspect
from sqlalchemy.orm import Session, selectinload

from sojourn import SnapshotError
from tests.mappings.mapping import ALL, Mapping, Refused
from tests.models import every, keys, loading, odd, ordered, peculiar, relations
from tests.models.every import Rack, Slot, Thing
from tests.models.keys import Node
from tests.models.loading import Hound, Player, Team
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
    Room,
    Stay,
    Sticker,
)
from tests.models.ordered import Deck, Slide
from tests.models.peculiar import Bottle, Can, Crate, Jar, Pack, User, UserWord, Word
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag

RELATIONSHIPS = "Relationships"
COLLECTIONS = "Collections"


class OneToOne(Mapping):
    """One-to-one"""

    group = RELATIONSHIPS
    models, root = relations.Base, Person
    shape = (selectinload(Person.passport),)
    look = ("name", ("passport", "number"))
    skip = (Person.memberships,)
    before = ("Ann", "P1")
    mine = ("Ann", "P2")
    both = ("theirs", "P2")

    def rows(self) -> Sequence[Any]:
        return [Person(name="Ann", passport=Passport(number="P1"))]

    def edit(self, root: Person) -> None:
        assert root.passport is not None
        root.passport.number = "P2"

    def meanwhile(self, root: Person, session: Session) -> None:
        root.name = "theirs"


class OneToOneReplaced(Mapping):
    """One-to-one, owned, of which there comes to be one"""

    group = RELATIONSHIPS
    models, root = relations.Base, Person
    shape = (selectinload(Person.passport),)
    look = ("name", ("passport", "number"))
    skip = (Person.memberships,)
    before = ("Ann", None)
    mine = ("Ann", "P2")
    both = ("theirs", "P2")
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Person(name="Ann")]

    def edit(self, root: Person) -> None:
        root.passport = Passport(number="P2")

    def meanwhile(self, root: Person, session: Session) -> None:
        root.name = "theirs"


class ManyToMany(Mapping):
    """Many-to-many"""

    group = RELATIONSHIPS
    models, root = relations.Base, Article
    shape = (selectinload(Article.tags),)
    look = ("title", ("tags", "name"))
    skip = (
        Article.links,
        Article.notes,
    )
    before = ("one", ["red", "blue"])
    mine = ("one", ["blue", "mine"])
    both = ("theirs", ["blue", "theirs", "mine"])
    drivers = ("sqlite", "postgresql", "mariadb", "aiosqlite")

    def rows(self) -> Sequence[Any]:
        return [Article(title="one", tags=[Tag(name="red"), Tag(name="blue")])]

    def edit(self, root: Article) -> None:
        root.tags.pop(0)
        root.tags.append(Tag(name="mine"))

    def meanwhile(self, root: Article, session: Session) -> None:
        root.title = "theirs"
        root.tags.append(Tag(name="theirs"))


class AssociationObject(Mapping):
    """Many-to-many with an association object, delete-orphan on both ends"""

    group = RELATIONSHIPS
    models, root = relations.Base, Person
    shape = (selectinload(Person.memberships).selectinload(Membership.club),)
    look = ("name", ("memberships", "role", ("club", "name")))
    skip = (Person.passport,)
    before = ("Ann", [("chair", "chess"), ("guest", "go")])
    mine = ("Ann", [("mine", "chess"), ("new", "golf")])
    both = ("theirs", [("mine", "chess"), ("theirs", "rugby"), ("new", "golf")])
    drivers = ("sqlite", "postgresql", "mariadb", "aiosqlite")

    def rows(self) -> Sequence[Any]:
        chess, go = Club(name="chess"), Club(name="go")
        ann = Person(name="Ann")
        ann.memberships = [Membership(club=chess, role="chair"), Membership(club=go, role="guest")]
        return [chess, go, ann]

    def edit(self, root: Person) -> None:
        root.memberships[0].role = "mine"
        root.memberships.pop(1)
        root.memberships.append(Membership(club=Club(name="golf"), role="new"))

    def meanwhile(self, root: Person, session: Session) -> None:
        root.name = "theirs"
        root.memberships.append(Membership(club=Club(name="rugby"), role="theirs"))


class OwnedReference(Mapping):
    """A reference that owns its target: delete-orphan with single_parent"""

    group = RELATIONSHIPS
    models, root = odd.Base, Album
    shape = (selectinload(Album.cover),)
    look = ("title", ("cover", "colour"))
    skip = (Album.stickers,)
    before = ("album", "red")
    mine = ("album", "mine")
    both = ("theirs", "mine")

    def rows(self) -> Sequence[Any]:
        return [Album(title="album", cover=Cover(colour="red"))]

    def edit(self, root: Album) -> None:
        root.cover = Cover(colour="mine")

    def meanwhile(self, root: Album, session: Session) -> None:
        root.title = "theirs"


class ProxyOfObjects(Mapping):
    """Association proxy to objects"""

    group = RELATIONSHIPS
    models, root = peculiar.Base, User
    shape = (selectinload(User.user_words).selectinload(UserWord.word),)
    look = ("first", ("words", "text"))
    skip = (User.user_grades,)
    before = ("Ann", ["a", "b"])
    mine = ("Ann", ["a", "mine"])
    both = ("theirs", ["a", "theirs", "mine"])

    def rows(self) -> Sequence[Any]:
        return [User(first="Ann", last="Lee", words=[Word(text="a"), Word(text="b")])]

    def edit(self, root: User) -> None:
        root.words.remove(root.words[1])
        root.words.append(Word(text="mine"))

    def meanwhile(self, root: User, session: Session) -> None:
        root.first = "theirs"
        root.words.append(Word(text="theirs"))


class ProxyOfDict(Mapping):
    """Association proxy to values, by key"""

    group = RELATIONSHIPS
    models, root = peculiar.Base, User
    shape = (selectinload(User.user_grades),)
    look = ("first", "grades")
    skip = (User.user_words,)
    before = ("Ann", {"art": 5, "maths": 3})
    mine = ("Ann", {"art": 9, "music": 1})
    both = ("theirs", {"art": 9, "music": 1, "sport": 2})

    def rows(self) -> Sequence[Any]:
        return [User(first="Ann", last="Lee", grades={"art": 5, "maths": 3})]

    def edit(self, root: User) -> None:
        root.grades["art"] = 9
        del root.grades["maths"]
        root.grades["music"] = 1

    def meanwhile(self, root: User, session: Session) -> None:
        root.first = "theirs"
        root.grades["sport"] = 2


class Tree(Mapping):
    """A tree that refers to itself"""

    group = RELATIONSHIPS
    models, root = keys.Base, Node
    shape = (selectinload(Node.children).selectinload(Node.children).selectinload(Node.children),)
    look = ("name", ("children", "name", ("children", "name")))
    before = ("top", [("a", ["a1", "a2"]), ("b", [])])
    mine = ("top", [("a", ["a1"]), ("b", ["a2"])])
    both = ("top", [("theirs", ["a1"]), ("b", ["a2", "b1"])])
    notes = {"attach": "A node that moves to another parent moves; who else moved it is a conflict."}

    def rows(self) -> Sequence[Any]:
        first = Node(name="a", children=[Node(name="a1"), Node(name="a2")])
        return [Node(name="top", children=[first, Node(name="b")])]

    def edit(self, root: Node) -> None:
        first, second = root.children
        second.children.append(first.children.pop(1))

    def meanwhile(self, root: Node, session: Session) -> None:
        root.children[0].name = "theirs"
        root.children[1].children.append(Node(name="b1"))


class Graph(Mapping):
    """A graph that refers to itself, many-to-many"""

    group = RELATIONSHIPS
    models, root = loading.Base, Player
    shape = (selectinload(Player.friends).selectinload(Player.friends),)
    look = ("number", ("friends", "number", ("friends", "number")))
    before = (1, [(2, [1]), (3, [])])
    mine = (1, [(2, [1, 9])])
    both = (7, [(2, [7, 9]), (4, [])])
    cloned = (1, [(2, [1]), (3, [])])

    def rows(self) -> Sequence[Any]:
        one, two, three, four = (Player(number=number) for number in (1, 2, 3, 4))
        one.friends, two.friends = [two, three], [one]
        return [one, two, three, four]

    def edit(self, root: Player) -> None:
        root.friends.pop(1)
        root.friends[0].friends.append(Player(number=9))

    def meanwhile(self, root: Player, session: Session) -> None:
        root.number = 7
        root.friends.append(session.query(Player).filter_by(number=4).one())


class Overlapping(Mapping):
    """Overlapping foreign keys, beside the primary key"""

    group = RELATIONSHIPS
    models, root = odd.Base, Complaint
    shape = (selectinload(Complaint.room), selectinload(Complaint.guest))
    look = ("hotel", ("room", "number"), ("guest", "number"))
    before = ("Ritz", 1, 1)
    mine = ("Ritz", 3, 1)
    both = ("Ritz", 3, 2)
    drivers = ("sqlite", "postgresql", "mariadb", "aiosqlite")

    def rows(self) -> Sequence[Any]:
        rooms = [Room(hotel="Ritz", number=number) for number in (1, 2)]
        guests = [Guest(hotel="Ritz", number=number) for number in (1, 2)]
        return [*rooms, *guests, Complaint(room=rooms[0], guest=guests[0])]

    def edit(self, root: Complaint) -> None:
        root.room = Room(hotel="Ritz", number=3)

    def meanwhile(self, root: Complaint, session: Session) -> None:
        root.guest = session.get_one(Guest, ("Ritz", 2))


class OverlappingInKey(Mapping):
    """Overlapping foreign keys, in the primary key"""

    group = RELATIONSHIPS
    models, root = odd.Base, Guest
    shape = (selectinload(Guest.stays).selectinload(Stay.room),)
    look = ("number", ("stays", "nights", ("room", "number")))
    before = (1, [(3, 1), (2, 2)])
    mine = (1, [(7, 1), (2, 2), (1, 3)])
    both = (1, [(7, 1), (5, 2), (1, 3)])
    cloned = (9, [(3, 1), (2, 2)])
    notes = {"clone": "`rekey` makes the guest's key."}
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        rooms = [Room(hotel="Ritz", number=number) for number in (1, 2)]
        guest = Guest(hotel="Ritz", number=1)
        guest.stays = [Stay(room=rooms[0], nights=3), Stay(room=rooms[1], nights=2)]
        return [*rooms, guest]

    def edit(self, root: Guest) -> None:
        root.stays[0].nights = 7
        root.stays.append(Stay(room=Room(hotel="Ritz", number=3), nights=1))

    def meanwhile(self, root: Guest, session: Session) -> None:
        root.stays[1].nights = 5

    def rekey(self, original: Any, copy: Any) -> None:
        copy.hotel, copy.number = "Ritz", 9


class ViewOnly(Mapping):
    """viewonly, with a join condition of its own, and eager relationships"""

    group = RELATIONSHIPS
    models, root = loading.Base, Team
    shape = (selectinload(Team.captain), selectinload(Team.hounds))
    look = ("name", ("players", "number"), ("captain", "number"), ("hounds", "bark"))
    skip = (
        Team.history,
        Team.motto,
        Team.secret,
    )
    before = ("Reds", [2, 1], 1, ["wau"])
    mine = ("mine", [2, 1], 1, ["wau"])
    both = ("mine", [2, 1], 2, ["theirs"])
    cloned: ClassVar[Any] = ("Reds", [], None, [])
    notes = {"clone": "What is not owned stays where it is, and what is viewonly follows from it."}

    def rows(self) -> Sequence[Any]:
        team = Team(name="Reds")
        team.players = [Player(number=1, role="captain"), Player(number=2)]
        team.pets = [Hound(bark="wau")]
        return [team]

    def edit(self, root: Team) -> None:
        root.name = "mine"

    def meanwhile(self, root: Team, session: Session) -> None:
        for player in root.players:
            player.role = "captain" if player.number == 2 else "field"
        root.hounds[0].bark = "theirs"


class PassiveDeletes(Mapping):
    """passive_deletes: the database deletes the children"""

    group = RELATIONSHIPS
    models, root = every.Base, Rack
    shape = (selectinload(Rack.slots).selectinload(Slot.things),)
    look = ("name", ("slots", "name", ("things", "name")))
    before = ("rack", [("a", ["x"]), ("b", ["y"])])
    mine = ("rack", [("b", ["y", "mine"])])
    both = ("theirs", [("b", ["y", "mine"]), ("theirs", [])])
    drivers = ("sqlite", "postgresql", "mariadb", "aiosqlite")

    def rows(self) -> Sequence[Any]:
        slots = [Slot(name="a", things=[Thing(name="x")]), Slot(name="b", things=[Thing(name="y")])]
        return [Rack(name="rack", slots=slots)]

    def edit(self, root: Rack) -> None:
        root.slots.pop(0)
        root.slots[0].things.append(Thing(name="mine"))

    def meanwhile(self, root: Rack, session: Session) -> None:
        root.name = "theirs"
        root.slots.append(Slot(name="theirs"))


class OrderingList(Mapping):
    """ordering_list"""

    group = COLLECTIONS
    models, root = ordered.Base, Deck
    shape = (selectinload(Deck.slides),)
    look = ("name", ("slides", "text", "position"))
    before = ("deck", [("a", 1), ("b", 2), ("c", 3)])
    mine = ("deck", [("b", 1), ("c", 2), ("mine", 3)])
    both = ("theirs", [("b", 1), ("c", 2), ("theirs", 3), ("mine", 4)])
    drivers = ALL
    notes = {
        "attach": "The order of both sides is merged, and the list numbers its members anew. What both append: theirs, "
        "then mine; whom both moved is where I put it. Positions are columns like any other where the list is not "
        "loaded, where they were set by hand, in a list of a subclass that numbers in its own way, and for "
        '`verify="none"`.'
    }

    def rows(self) -> Sequence[Any]:
        return [Deck(name="deck", slides=[Slide(text=text) for text in "abc"])]

    def edit(self, root: Deck) -> None:
        root.slides.pop(0)
        root.slides.append(Slide(text="mine"))

    def meanwhile(self, root: Deck, session: Session) -> None:
        root.name = "theirs"
        root.slides.append(Slide(text="theirs"))


class DictCollection(Mapping):
    """A dict, keyed by an attribute"""

    group = COLLECTIONS
    models, root = relations.Base, Article
    shape = (selectinload(Article.notes),)
    look = ("title", ("notes", "text"))
    skip = (
        Article.links,
        Article.tags,
    )
    before = ("one", {"a": "A", "b": "B"})
    mine = ("one", {"a": "mine", "c": "C"})
    both = ("theirs", {"a": "mine", "c": "C", "d": "D"})

    def rows(self) -> Sequence[Any]:
        return [Article(title="one", notes={"a": Note(keyword="a", text="A"), "b": Note(keyword="b", text="B")})]

    def edit(self, root: Article) -> None:
        root.notes["a"].text = "mine"
        del root.notes["b"]
        root.notes["c"] = Note(keyword="c", text="C")

    def meanwhile(self, root: Article, session: Session) -> None:
        root.title = "theirs"
        root.notes["d"] = Note(keyword="d", text="D")


class SharedDict(Mapping):
    """A dict of shared members, many-to-many"""

    group = COLLECTIONS
    models, root = odd.Base, Album
    shape = (selectinload(Album.stickers),)
    look = ("title", ("stickers", "name"))
    skip = (Album.cover,)
    before = ("album", {"a": "a", "b": "b"})
    mine = ("album", {"b": "b", "c": "c"})
    both = ("theirs", {"b": "b", "c": "c", "d": "d"})
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Album(title="album", stickers={name: Sticker(name=name) for name in "ab"})]

    def edit(self, root: Album) -> None:
        del root.stickers["a"]
        root.stickers["c"] = Sticker(name="c")

    def meanwhile(self, root: Album, session: Session) -> None:
        root.title = "theirs"
        root.stickers["d"] = Sticker(name="d")


class SetCollection(Mapping):
    """A set"""

    group = COLLECTIONS
    models, root = relations.Base, Article
    shape = (selectinload(Article.links),)
    look = ("title", ("links", "url"))
    skip = (
        Article.notes,
        Article.tags,
    )
    before = ("one", {"a", "b"})
    mine = ("one", {"mine", "c"})
    both = ("theirs", {"mine", "c", "d"})
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Article(title="one", links={Link(url="a"), Link(url="b")})]

    def edit(self, root: Article) -> None:
        first, second = sorted(root.links, key=lambda link: link.url)
        first.url = "mine"
        root.links.remove(second)
        root.links.add(Link(url="c"))

    def meanwhile(self, root: Article, session: Session) -> None:
        root.title = "theirs"
        root.links.add(Link(url="d"))


class CustomCollection(Mapping):
    """A collection of a class of its own"""

    group = COLLECTIONS
    models, root = odd.Base, Desk
    shape = (selectinload(Desk.papers),)
    look = (("papers", "id"),)
    before = [1, 2]
    mine = [2, None]
    both = [2, 3, 4]
    unflushed = [2, 3, None]
    cloned = [3, 4]

    def rows(self) -> Sequence[Any]:
        desk = Desk()
        for _ in range(2):
            desk.papers.push(Paper())
        return [desk]

    def edit(self, root: Desk) -> None:
        root.papers.drop(next(iter(root.papers)))
        root.papers.push(Paper())

    def meanwhile(self, root: Desk, session: Session) -> None:
        root.papers.push(Paper())


class Subclassed(Mapping):
    """Subclasses of list, set and dict; a dict keyed by a function"""

    group = COLLECTIONS
    models, root = peculiar.Base, Crate
    shape = tuple(selectinload(getattr(Crate, name)) for name in ("row", "heap", "jars", "boxes"))
    look = (("row", "name"), ("heap", "name"), ("jars", "name"), ("boxes", "name"))
    before = (["a", "b"], {"a", "b"}, {"a": "ab"}, {2: "ab"})
    mine = (["b", "mine"], {"b", "mine"}, {"m": "mine"}, {4: "mine"})
    both = (["b", "they", "mine"], {"b", "they", "mine"}, {"m": "mine", "t": "they"}, {4: "mine", 5: "their"})
    cloned: ClassVar[Any] = ([], set(), {}, {})
    notes = {"clone": "What is in a crate is not owned, and stays where it is."}

    def rows(self) -> Sequence[Any]:
        crate = Crate()
        crate.row.extend([Bottle(name="a"), Bottle(name="b")])
        crate.heap.update([Can(name="a"), Can(name="b")])
        crate.jars["a"] = Jar(name="ab")
        crate.boxes[2] = Pack(name="ab")
        return [crate]

    def edit(self, root: Crate) -> None:
        root.row.pop(0)
        root.row.append(Bottle(name="mine"))
        root.heap.remove(next(can for can in root.heap if can.name == "a"))
        root.heap.add(Can(name="mine"))
        del root.jars["a"], root.boxes[2]
        root.jars["m"] = Jar(name="mine")
        root.boxes[4] = Pack(name="mine")

    def meanwhile(self, root: Crate, session: Session) -> None:
        root.row.append(Bottle(name="they"))
        root.heap.add(Can(name="they"))
        root.jars["t"] = Jar(name="they")
        root.boxes[5] = Pack(name="their")


class _Asked(Mapping):
    """A collection that is a query: only in a session can it be asked who is in it."""

    group = COLLECTIONS
    models, root = odd.Base, Box
    skip = (Box.cubes, Box.pins)
    look = ("labels",)
    before: ClassVar[Any] = {"a": "1"}
    mine: ClassVar[Any] = {"a": "mine"}
    both: ClassVar[Any] = {"a": "mine"}
    stored = {"before": ({"a": "1"}, 1), "both": ({"a": "mine"}, 3), "cloned": ({"a": "1"}, 0)}
    members: type[Any]

    def rows(self) -> Sequence[Any]:
        box = Box(labels={"a": "1"}, corner=Corner(1, 1))
        return [box, self.members(box=box)]

    def edit(self, root: Box) -> None:
        root.labels = {"a": "mine"}
        self.add(root)

    def meanwhile(self, root: Box, session: Session) -> None:
        session.add(self.members(box_id=root.id))

    def add(self, root: Box) -> None:
        raise NotImplementedError

    def found(self, root: Box) -> Any:
        session = inspect(root, raiseerr=True).session
        assert session is not None
        return root.labels, len(session.query(self.members).filter_by(box_id=root.id).all())


class Dynamic(_Asked):
    """dynamic"""

    members = Ball
    refused = {"dumps": Refused("What is added to a dynamic collection cannot travel.", SnapshotError, "balls")}
    notes = {"clone": "Without its members: nobody can be asked."}

    def add(self, root: Box) -> None:
        root.balls.add(Ball())


class WriteOnly(_Asked):
    """write-only"""

    members = Cube
    refused = {"dumps": Refused("What is added to a write-only collection cannot travel.", SnapshotError, "cubes")}
    notes = {"clone": "Without its members, which must be named in `skip` where they are owned."}

    def add(self, root: Box) -> None:
        root.cubes.add(Cube())
