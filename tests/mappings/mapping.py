"""What a kind of mapping has to tell about itself, so that every verb can be tried on it.

One subclass of `Mapping` is one row of the table in docs/reference/mappings.md. It says how to make a few rows, what I
edit on them while they are away, what others do to them meanwhile, and what everybody must find afterwards. States are
told as pictures: plain values in the order of `look`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from sqlalchemy import MetaData, Table, inspect
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapper, Session

from tests.databases import Database

VERBS = ("detach", "dumps", "attach", "clone", "refresh", "discard", "prefetch")
ALL = ("sqlite", "postgresql", "mariadb", "aiosqlite", "psycopg", "asyncmy")
POSTGRESQL = ("postgresql", "psycopg")
DATABASE_OF = {"aiosqlite": "sqlite", "psycopg": "postgresql", "asyncmy": "mariadb"}
"""The database behind each asyncio driver; the other names of `ALL` are databases, with their synchronous driver."""

SessionFactory: TypeAlias = Callable[..., Session]


@dataclass(frozen=True)
class Refused:
    """A cell that cannot be: why, and the error that says so. The test demands this error."""

    why: str
    error: type[Exception]
    match: str


class Mapping:
    """The first line of a subclass's docstring is the title of its row."""

    name: ClassVar[str]
    """The row's name in the ids of tests: the class's own, unless it says otherwise."""
    group: ClassVar[str]
    models: ClassVar[Any]
    """What `loads` takes."""
    root: ClassVar[type[Any]]
    """The class of the object that travels: the `pick`-th row of it, in key order."""
    pick: ClassVar[int] = 0
    shape: ClassVar[Sequence[Any]] = ()
    """The loader options that load what `look` looks at."""
    look: ClassVar[Sequence[Any]]
    """Names of attributes; `(name, *look)` for a relationship; "class" for the name of the class."""
    before: ClassVar[Any]
    mine: ClassVar[Any]
    both: ClassVar[Any]
    unflushed: ClassVar[Any] = None
    """What `both` is like before the flush, where that does something of its own."""
    cloned: ClassVar[Any] = None
    """What a clone is like, where it is not like `before`."""
    stored: ClassVar[dict[str, Any]] = {}
    """What `before`, `both` and `cloned` are in the database, where that tells more than the objects do."""
    skip: ClassVar[Sequence[Any]] = ()
    """What a clone leaves out: owned children that the shape does not load."""
    version: ClassVar[str | None] = None
    """The attribute that counts versions."""
    drivers: ClassVar[Sequence[str]] = ("sqlite", "aiosqlite")
    refused: ClassVar[dict[str, Refused]] = {}
    notes: ClassVar[dict[str, str]] = {}
    """What is particular about a cell, by verb."""

    def __init_subclass__(cls) -> None:
        cls.name = cls.__dict__.get("name", cls.__name__)

    def __repr__(self) -> str:
        return self.name

    @property
    def title(self) -> str:
        return (type(self).__doc__ or "").partition("\n")[0].rstrip(".")

    def rows(self) -> Sequence[Any]:
        """New objects, to be inserted in this order."""
        raise NotImplementedError

    def edit(self, root: Any) -> None:
        """From `before` to `mine`."""
        raise NotImplementedError

    def meanwhile(self, root: Any, session: Session) -> None:
        """What others do to the same rows, in a session of theirs; with `mine` it makes `both`."""
        raise NotImplementedError

    def picture(self, root: Any) -> Any:
        """What `before`, `mine` and `both` are."""
        return picture(root, self.look)

    def found(self, root: Any) -> Any:
        """The same of an object that was just read in a session that may be asked."""
        return self.picture(root)

    def in_database(self, which: str) -> Any:
        """What `found` must be: "before", "both" or "cloned"."""
        of_objects = getattr(self, which)
        return self.stored.get(which, self.before if of_objects is None else of_objects)

    def rekey(self, original: Any, copy: Any) -> None:
        """Gives a clone the key that nobody generates."""
        raise NotImplementedError

    @contextmanager
    def opened(self, database: Database, directory: Path) -> Iterator[SessionFactory]:
        """Make the tables, and yield what makes sessions on them."""
        metadata, tables = tables_of(inspect(self.root))
        metadata.create_all(database.engine, tables)
        try:
            yield database.session
        finally:
            if database.name != "sqlite":  # there the file goes
                metadata.drop_all(database.engine, tables)

    def prepare(self, engine: AsyncEngine) -> AsyncEngine:
        """The asyncio engine as the mapping needs it."""
        return engine

    def async_session(self, engine: AsyncEngine) -> AsyncSession:
        return AsyncSession(self.prepare(engine), expire_on_commit=False)


def picture(obj: Any, look: Sequence[Any]) -> Any:
    """An object as a tuple of plain values; a bare value where `look` has one name only."""
    if obj is None:
        return None
    # In a polymorphic collection not everyone has everything.
    parts = tuple(
        _part(obj, one) for one in look if one == "class" or hasattr(type(obj), one if _plain(one) else one[0])
    )
    return parts[0] if len(look) == 1 else parts


def unordered(told: Any) -> Any:
    """A picture without the order of its lists: in memory new members stand last, until they are read again."""
    if isinstance(told, list):
        return sorted((unordered(one) for one in told), key=repr)
    if isinstance(told, tuple):
        return tuple(unordered(one) for one in told)
    return told


def tables_of(mapper: Mapper[Any]) -> tuple[MetaData, list[Table]]:
    """The tables that a class and everything that it leads to need, and their MetaData."""
    mappers, tables = [mapper], dict.fromkeys(mapper.tables)
    for one in mappers:  # the list grows while it is read
        tables.update(dict.fromkeys(table for each in one.self_and_descendants for table in each.tables))
        near = [each for kind in one.self_and_descendants for each in kind.relationships]
        tables.update((rel.secondary, None) for rel in near if isinstance(rel.secondary, Table))
        mappers += {rel.mapper: None for rel in near if rel.mapper not in mappers}
    queue = [table for table in tables if isinstance(table, Table)]
    for table in queue:
        queue += {key.column.table: None for key in table.foreign_keys if key.column.table not in queue}
    metadata = queue[0].metadata
    return metadata, [table for table in metadata.sorted_tables if table in queue]


def _plain(one: Any) -> bool:
    return isinstance(one, str)


def _part(obj: Any, one: Any) -> Any:
    if one == "class":
        return type(obj).__name__
    if isinstance(one, str):
        return getattr(obj, one)
    key, *look = one
    value = getattr(obj, key)
    if value is None or inspect(value, raiseerr=False) is not None:
        return picture(value, look)
    if isinstance(value, dict):
        return {key: picture(member, look) for key, member in value.items()}
    members = [picture(member, look) for member in value]
    return set(members) if isinstance(value, set) else members
