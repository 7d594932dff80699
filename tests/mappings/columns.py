"""Keys, and kinds of column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from sqlalchemy.orm import Session, selectinload, undefer, undefer_group

from tests.mappings.mapping import ALL, POSTGRESQL, Mapping
from tests.models import columns, every, keys, loading, odd, peculiar
from tests.models.columns import Audited, Document, Point, Settings, Shape
from tests.models.every import Currency, Field, Form, Journal, Lamp, Ledger, Light, Price, Stock
from tests.models.keys import Book, Country, Shelf, Ticket
from tests.models.loading import Team
from tests.models.odd import Album, Box, Corner
from tests.models.peculiar import User

KEYS = "Keys"
COLUMNS = "Columns"
VERSIONS = "Version counters"


class CompositeKey(Mapping):
    """Composite primary key, and a composite reference to it"""

    group = KEYS
    models, root = keys.Base, Shelf
    shape = (selectinload(Shelf.books),)
    look = ("room", "number", "label", ("books", "title"))
    before = ("A", 1, None, ["one", "two"])
    mine = ("A", 1, "mine", ["two", "new"])
    both = ("A", 1, "mine", ["two", "theirs", "new"])
    cloned: ClassVar[Any] = ("A", 2, None, [])
    notes = {"clone": "`rekey` makes the key; a book is not owned, and stays where it is."}
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Shelf(room="A", number=1, books=[Book(title="one"), Book(title="two")])]

    def edit(self, root: Shelf) -> None:
        root.label = "mine"
        root.books.pop(0)
        root.books.append(Book(title="new"))

    def meanwhile(self, root: Shelf, session: Session) -> None:
        root.books.append(Book(title="theirs"))

    def rekey(self, original: Shelf, copy: Shelf) -> None:
        copy.room, copy.number = original.room, original.number + 1


class NaturalKey(Mapping):
    """Natural key that changes, with the references to it"""

    group = KEYS
    models, root = every.Base, Currency
    shape = (selectinload(Currency.prices),)
    look = ("code", "name", ("prices", "currency_code", "cents"))
    before = ("EUR", "Euro", [("EUR", 1), ("EUR", 2)])
    mine = ("EUX", "Euro", [("EUR", 7), ("EUR", 2)])
    both = ("EUX", "theirs", [("EUX", 7), ("EUX", 2), ("EUX", 3)])
    unflushed = ("EUX", "theirs", [("EUR", 7), ("EUR", 2), ("EUR", 3)])
    cloned = ("COP", "Euro", [("COP", 1), ("COP", 2)])
    notes = {
        "clone": "`rekey` makes the key.",
        "attach": "Where others change the key, the row is gone for me: a `MissingRowError`.",
    }
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Currency(code="EUR", name="Euro", prices=[Price(cents=1), Price(cents=2)])]

    def edit(self, root: Currency) -> None:
        root.code = "EUX"
        root.prices[0].cents = 7

    def meanwhile(self, root: Currency, session: Session) -> None:
        root.name = "theirs"
        root.prices.append(Price(cents=3))

    def rekey(self, original: Currency, copy: Currency) -> None:
        copy.code = "COP"


class ClientKey(Mapping):
    """Key made by the client (UUID)"""

    group = KEYS
    models, root = keys.Base, Ticket
    shape = (selectinload(Ticket.country),)
    look = ("subject", ("country", "code", "name"))
    before = ("help", ("BE", "Belgium"))
    mine = ("mine", ("BE", "Belgium"))
    both = ("mine", ("NL", "Holland"))
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        belgium = Country(code="BE", name="Belgium")
        return [belgium, Country(code="NL", name="Holland"), Ticket(subject="help", country=belgium)]

    def edit(self, root: Ticket) -> None:
        root.subject = "mine"

    def meanwhile(self, root: Ticket, session: Session) -> None:
        root.country = session.get_one(Country, "NL")


class Composite(Mapping):
    """Composites"""

    group = COLUMNS
    models, root = columns.Base, Shape
    look = ("name", "start", "end")
    before = ("line", Point(1, 2), Point(3, 4))
    mine = ("line", Point(5, 2), Point(3, 4))
    both = ("theirs", Point(5, 2), Point(8, 8))
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Shape(name="line", start=Point(1, 2), end=Point(3, 4))]

    def edit(self, root: Shape) -> None:
        root.start = Point(5, 2)

    def meanwhile(self, root: Shape, session: Session) -> None:
        root.name, root.end = "theirs", Point(8, 8)


class MutableComposite(Mapping):
    """Composite that is changed in place, beside a type of one's own"""

    group = COLUMNS
    models, root = odd.Base, Box
    look = ("labels", "x", "y")
    skip = (
        Box.cubes,
        Box.pins,
    )
    before = ({"a": "1"}, 1, 2)
    mine = ({"a": "1"}, 5, 2)
    both = ({"a": "theirs"}, 5, 2)
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [Box(labels={"a": "1"}, corner=Corner(1, 2))]

    def edit(self, root: Box) -> None:
        root.corner.x = 5

    def meanwhile(self, root: Box, session: Session) -> None:
        root.labels = {"a": "theirs"}


class Hybrid(Mapping):
    """Hybrids"""

    group = COLUMNS
    models, root = peculiar.Base, User
    look = ("first", "last", "name")
    skip = (
        User.user_grades,
        User.user_words,
    )
    before = ("Ann", "Lee", "Ann Lee")
    mine = ("Eve", "Lee", "Eve Lee")
    both = ("Eve", "Fox", "Eve Fox")
    drivers = ("sqlite",)

    def rows(self) -> Sequence[Any]:
        return [User(first="Ann", last="Lee")]

    def edit(self, root: User) -> None:
        root.name = "Eve Lee"

    def meanwhile(self, root: User, session: Session) -> None:
        root.name = "Ann Fox"


class ColumnProperty(Mapping):
    """column_property: an SQL expression"""

    group = COLUMNS
    models, root = odd.Base, Album
    shape = (selectinload(Album.cover),)
    look = ("title", "length", ("cover", "colour"))
    skip = (Album.stickers,)
    before = ("four", 4, "red")
    mine = ("four", 4, "mine")
    both = ("theirs", 6, "mine")

    def rows(self) -> Sequence[Any]:
        return [Album(title="four", cover=odd.Cover(colour="red"))]

    def edit(self, root: Album) -> None:
        assert root.cover is not None
        root.cover.colour = "mine"

    def meanwhile(self, root: Album, session: Session) -> None:
        root.title = "theirs"


class Deferred(Mapping):
    """Deferred columns and groups"""

    group = COLUMNS
    models, root = loading.Base, Team
    shape = (undefer_group("texts"),)
    look = ("name", "motto", "history")
    skip = (Team.secret,)
    before = ("Reds", "go", "long")
    mine = ("Reds", "mine", "long")
    both = ("Reds", "mine", "theirs")

    def rows(self) -> Sequence[Any]:
        return [Team(name="Reds", motto="go", history="long", secret="x")]

    def edit(self, root: Team) -> None:
        root.motto = "mine"

    def meanwhile(self, root: Team, session: Session) -> None:
        root.history = "theirs"


class ServerDefaults(Mapping):
    """Server defaults, and columns that an UPDATE sets"""

    group = COLUMNS
    models, root = columns.Base, Audited
    look = ("name", "status", "edited_by", "revision")
    before = ("name", "new", None, 1)
    mine = ("mine", "new", None, 1)
    both = ("mine", "theirs", "python", 3)
    unflushed = ("mine", "theirs", "python", 2)
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Audited(name="name")]

    def edit(self, root: Audited) -> None:
        root.name = "mine"

    def meanwhile(self, root: Audited, session: Session) -> None:
        root.status = "theirs"


class Json(Mapping):
    """JSON, merged as a whole"""

    group = COLUMNS
    models, root = columns.Base, Settings
    look = ("name", "plain")
    before = ("name", {"a": {"b": 1}})
    mine = ("name", {"a": {"b": 2}})
    both = ("theirs", {"a": {"b": 2}})
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Settings(name="name", plain={"a": {"b": 1}})]

    def edit(self, root: Settings) -> None:
        root.plain = {"a": {"b": 2}}

    def meanwhile(self, root: Settings, session: Session) -> None:
        root.name = "theirs"


class MutableJson(Mapping):
    """MutableDict, changed in place"""

    group = COLUMNS
    models, root = columns.Base, Settings
    look = ("name", "tracked")
    before = ("name", {"a": 1})
    mine = ("name", {"a": 1, "b": 2})
    both = ("theirs", {"a": 1, "b": 2})
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Settings(name="name", tracked={"a": 1})]

    def edit(self, root: Settings) -> None:
        assert root.tracked is not None
        root.tracked["b"] = 2

    def meanwhile(self, root: Settings, session: Session) -> None:
        root.name = "theirs"


class Enumerated(Mapping):
    """Enum"""

    group = COLUMNS
    models, root = every.Base, Lamp
    look = ("shows", "next")
    before = (Light.RED, Light.GREEN)
    mine = (Light.AMBER, Light.GREEN)
    both = (Light.AMBER, None)
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Lamp(shows=Light.RED, next=Light.GREEN)]

    def edit(self, root: Lamp) -> None:
        root.shows = Light.AMBER

    def meanwhile(self, root: Lamp, session: Session) -> None:
        root.next = None


class Validated(Mapping):
    """Validators"""

    group = COLUMNS
    models, root = every.Base, Form
    shape = (selectinload(Form.fields),)
    look = ("title", "place", ("fields", "name"))
    before = ("title", "here", ["a"])
    mine = ("mine", "here", ["a", "new"])
    both = ("mine", "theirs", ["a", "theirs", "new"])
    notes = {"attach": "A validator has seen an edit where it was made, and is not asked again."}

    def rows(self) -> Sequence[Any]:
        return [Form(title=" title ", place="here", fields=[Field("a")])]

    def edit(self, root: Form) -> None:
        root.title = "mine "
        root.fields.append(Field("new"))

    def meanwhile(self, root: Form, session: Session) -> None:
        root.place = " theirs"
        root.fields.append(Field("theirs"))


class IntegerVersion(Mapping):
    """An integer"""

    group = VERSIONS
    models, root = columns.Base, Document
    shape = (undefer(Document.body),)
    look = ("title", "summary", "body")
    before = ("title", None, "text")
    mine = ("mine", None, "text")
    both = ("mine", "theirs", "text")
    version = "version"
    notes = {"clone": "The counter starts anew."}
    drivers = ALL

    def rows(self) -> Sequence[Any]:
        return [Document(title="title", body="text")]

    def edit(self, root: Document) -> None:
        root.title = "mine"

    def meanwhile(self, root: Document, session: Session) -> None:
        root.summary = "theirs"


class _Total(Mapping):
    group = VERSIONS
    look = ("name", "total")
    before = ("name", 1)
    mine = ("mine", 1)
    both = ("mine", 2)
    drivers: ClassVar[Sequence[str]] = ALL
    notes = {"clone": "The counter starts anew."}

    def rows(self) -> Sequence[Any]:
        return [self.root(name="name", total=1)]

    def edit(self, root: Any) -> None:
        root.name = "mine"

    def meanwhile(self, root: Any, session: Session) -> None:
        root.total = 2


class UuidVersion(_Total):
    """A UUID, made by the client"""

    models, root, version = every.Base, Ledger, "stamp"


class TimestampVersion(_Total):
    """A timestamp, made by the client"""

    models, root, version = every.Base, Journal, "edited"


class ServerVersion(_Total):
    """The server's own: PostgreSQL's xmin"""

    models, root, version = every.ServerBase, Stock, "xmin"
    drivers = POSTGRESQL
