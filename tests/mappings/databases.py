"""Schemas, several databases, and collections that are queries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import ORMExecuteState, Session, selectinload

from tests.databases import Database, sqlite_database
from tests.mappings.mapping import ALL, Mapping, SessionFactory
from tests.models import every
from tests.models.every import SCHEMA, Account, Entry, Plant, Plot, Sailor, Ship

DATABASES = "Schemas and databases"


class _InSchema(Mapping):
    group = DATABASES
    drivers = ALL
    file: Path

    @contextmanager
    def opened(self, database: Database, directory: Path) -> Iterator[SessionFactory]:
        """SQLite has schemas where another file is attached, MariaDB's are databases."""
        self.file = directory / "schema.sqlite"
        engine = self.told(self.reach(database.engine))
        if database.name != "sqlite":
            with engine.begin() as connection:
                connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
        metadata = self.root.metadata
        try:
            metadata.create_all(engine)
            yield partial(Session, engine)
        finally:
            if database.name != "sqlite":
                metadata.drop_all(engine)
                with engine.begin() as connection:
                    connection.execute(text(f"DROP SCHEMA {SCHEMA}"))

    def reach(self, engine: Engine) -> Engine:
        """Let each new connection to SQLite find the other file."""
        if engine.dialect.name == "sqlite":

            @event.listens_for(engine, "connect")
            def connected(connection: Any, _record: object) -> None:
                cursor = connection.cursor()
                cursor.execute(f"ATTACH DATABASE '{self.file}' AS {SCHEMA}")
                cursor.close()

        return engine

    def told(self, engine: Any) -> Any:
        """The engine with what it is told of schemas."""
        return engine

    def prepare(self, engine: AsyncEngine) -> AsyncEngine:
        self.reach(engine.sync_engine)
        return self.told(engine)  # type: ignore[no-any-return]  # what comes in goes out


class Schema(_InSchema):
    """A table in a schema"""

    models, root = every.SchemaBase, Plot
    shape = (selectinload(Plot.plants),)
    look = ("name", "size", ("plants", "name"))
    before = ("plot", 1, ["a", "b"])
    mine = ("mine", 1, ["b", "new"])
    both = ("mine", 2, ["b", "theirs", "new"])

    def rows(self) -> Sequence[Any]:
        return [Plot(name="plot", size=1, plants=[Plant(name="a"), Plant(name="b")])]

    def edit(self, root: Plot) -> None:
        root.name = "mine"
        root.plants.pop(0)
        root.plants.append(Plant(name="new"))

    def meanwhile(self, root: Plot, session: Session) -> None:
        root.size = 2
        root.plants.append(Plant(name="theirs"))


class SchemaTranslateMap(_InSchema):
    """schema_translate_map"""

    models, root = every.TenantBase, Ship
    shape = (selectinload(Ship.sailors),)
    look = ("name", "tons", ("sailors", "name"))
    before = ("ship", 1, ["a", "b"])
    mine = ("mine", 1, ["b", "new"])
    both = ("mine", 2, ["b", "theirs", "new"])

    def rows(self) -> Sequence[Any]:
        return [Ship(name="ship", tons=1, sailors=[Sailor(name="a"), Sailor(name="b")])]

    def edit(self, root: Ship) -> None:
        root.name = "mine"
        root.sailors.pop(0)
        root.sailors.append(Sailor(name="new"))

    def meanwhile(self, root: Ship, session: Session) -> None:
        root.tons = 2
        root.sailors.append(Sailor(name="theirs"))

    def told(self, engine: Any) -> Any:
        return engine.execution_options(schema_translate_map={"tenant": SCHEMA})


class _Accounts(Mapping):
    group = DATABASES
    models, root = every.ApartBase, Account
    shape = (selectinload(Account.entries),)
    look = ("name", "region", ("entries", "cents"))
    before = ("Ann", "east", [1, 2])
    mine = ("mine", "east", [7, 5])
    both = ("mine", "theirs", [7, 3, 5])
    drivers = ("sqlite",)

    def edit(self, root: Account) -> None:
        root.name = "mine"
        root.entries[0].cents = 7
        root.entries[1:] = [Entry(cents=5)]

    def meanwhile(self, root: Account, session: Session) -> None:
        root.region = "theirs"
        root.entries.append(Entry(cents=3))


class TwoBinds(_Accounts):
    """Two binds: classes in different databases"""

    def rows(self) -> Sequence[Any]:
        return [Account(name="Ann", region="east", entries=[Entry(cents=1), Entry(cents=2)])]

    @contextmanager
    def opened(self, database: Database, directory: Path) -> Iterator[SessionFactory]:
        (directory / "other").mkdir()
        with sqlite_database(directory / "other") as other:
            Account.__table__.create(database.engine)  # type: ignore[attr-defined]  # a Table
            Entry.__table__.create(other.engine)  # type: ignore[attr-defined]  # the same
            yield partial(Session, binds={Account: database.engine, Entry: other.engine})


class Sharded(_Accounts):
    """Horizontal sharding: the same tables in several databases, keys that repeat"""

    pick = 1
    notes: ClassVar[dict[str, str]] = {"attach": "The objects of one shard at a time: more is a `WrongSessionError`."}

    def rows(self) -> Sequence[Any]:
        # Both have the key 1, each in its shard.
        return [
            Account(name="Bob", region="west", entries=[Entry(cents=8), Entry(cents=9)]),
            Account(name="Ann", region="east", entries=[Entry(cents=1), Entry(cents=2)]),
        ]

    @contextmanager
    def opened(self, database: Database, directory: Path) -> Iterator[SessionFactory]:
        shards = {}
        with ExitStack() as stack:
            for name in ("west", "east"):
                (directory / name).mkdir()
                shards[name] = stack.enter_context(sqlite_database(directory / name)).engine
                every.ApartBase.metadata.create_all(shards[name])

            def shard_of(mapper: Any, instance: Any, clause: Any = None) -> str:
                """As SQLAlchemy's own example has it: an instance is needed."""
                region = instance.region if isinstance(instance, Account) else instance.account.region
                return region if region in shards else "east"

            def shards_of(context: ORMExecuteState) -> Sequence[str]:
                """What is loaded lazily is in the shard of what it hangs on; else all are asked."""
                parent = context.lazy_loaded_from
                return list(shards) if parent is None else [str(parent.identity_token)]

            yield partial(
                ShardedSession,
                shards=shards,
                shard_chooser=shard_of,
                identity_chooser=lambda *_, **__: list(shards),
                execute_chooser=shards_of,
            )
