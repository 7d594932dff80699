"""The databases that the tests run on: SQLite always, PostgreSQL and MariaDB where a server answers.

Isolation: a SQLite database is a fresh file for each test. On a server each test process (so each pytest-xdist
worker) makes a database of its own and drops it at the end; each test drops the tables that it created.

SQLite is made honest about transactions. pysqlite's legacy mode begins a transaction only before the first write and
commits on RELEASE of a savepoint, which hides lost updates and breaks rollback; `autocommit=False` would cure it but
needs Python 3.12. So the driver is told to stay out (`isolation_level=None`) and SQLAlchemy's "begin" event sends the
BEGIN. Foreign keys are enforced, as the other two do. WAL lets one session read while another commits, as the other
two do.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, StaticPool, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session, close_all_sessions, sessionmaker

from tests.statements import StatementLog, recorded

SERVERS = {
    "postgresql": os.environ.get("SOJOURN_POSTGRESQL_URL", "postgresql+psycopg://root@127.0.0.1:5432/test"),
    "mariadb": os.environ.get("SOJOURN_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
NAMES = ("sqlite", *SERVERS)

_ASYNC_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "mariadb": "mysql+asyncmy"}
# What each new connection executes first.
_FIRST_STATEMENTS = {
    # synchronous off: a test's data need not survive a power cut.
    "sqlite": ["PRAGMA foreign_keys = ON", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF"],
    # A forgotten open transaction shall fail the test that waits for it, not hang the run.
    "postgresql": ["SET synchronous_commit = off", "SET lock_timeout = '10s'"],
    "mariadb": ["SET lock_wait_timeout = 10", "SET innodb_lock_wait_timeout = 10"],
}


class ServerUnreachableError(Exception):
    """No server answers at a URL."""


class Database:
    """One database for one test. Sessions left open are closed, and created tables dropped, when the test ends."""

    def __init__(self, name: str, engine: Engine) -> None:
        self.name = name
        self.engine = engine
        self._created: list[MetaData] = []

    def __repr__(self) -> str:
        return f"Database({self.name!r}, {self.engine.url.render_as_string()!r})"

    def create(self, *metadatas: MetaData) -> None:
        """Create the tables of each metadata; they are dropped when the test ends."""
        for metadata in metadatas:
            self._created.append(metadata)
            metadata.create_all(self.engine)

    def session(self, **options: Any) -> Session:
        """A new Session on the engine, with Session's own options."""
        return Session(self.engine, **options)

    @cached_property
    def sessionmaker(self) -> sessionmaker[Session]:
        return sessionmaker(self.engine)

    def statements(self, engine: Engine | None = None) -> AbstractContextManager[StatementLog]:
        """Record every statement inside the block (of another engine, if given: `async_engine.sync_engine`)."""
        return recorded(engine or self.engine)

    @property
    def async_url(self) -> URL:
        """The URL of the same database with an asyncio driver: aiosqlite, psycopg, asyncmy."""
        return self.engine.url.set(drivername=_ASYNC_DRIVERS[self.name])

    @asynccontextmanager
    async def async_engine(self) -> AsyncIterator[AsyncEngine]:
        """An asyncio engine on the same database, set up like `engine` and disposed of at the end of the block."""
        engine = create_async_engine(self.async_url)
        _set_up(engine.sync_engine, self.name)
        try:
            yield engine
        finally:
            await engine.dispose()

    def clean(self) -> None:
        """Close what the test left open and drop its tables."""
        close_all_sessions()
        if self.name == "sqlite":
            return  # the file goes
        for metadata in reversed(self._created):
            metadata.drop_all(self.engine)


@contextmanager
def sqlite_database(directory: Path) -> Iterator[Database]:
    """A fresh SQLite file in the directory."""
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(directory / "test.sqlite")))
    _set_up(engine, "sqlite")
    database = Database("sqlite", engine)
    try:
        yield database
    finally:
        database.clean()
        engine.dispose()


@contextmanager
def memory_database() -> Iterator[Database]:
    """A fresh SQLite database in memory. It is one connection, which all sessions share: let each end what it began."""
    engine = create_engine("sqlite+pysqlite://", poolclass=StaticPool)
    _set_up(engine, "sqlite")
    database = Database("sqlite", engine)
    try:
        yield database
    finally:
        database.clean()
        engine.dispose()


@contextmanager
def server_engine(name: str) -> Iterator[Engine]:
    """An engine on a database of this process's own, which is dropped at the end.

    Raises ServerUnreachableError when no server answers at the URL.
    """
    url = make_url(SERVERS[name])
    admin = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 3})
    own = f"{_prefix()}{os.getpid()}"
    try:
        try:
            connection = admin.connect()
        except OperationalError as error:
            shown = url.render_as_string(hide_password=True)
            reason = str(error.orig).partition("\n")[0]
            raise ServerUnreachableError(f"no {name} server at {shown}: {reason}") from error
        with connection:
            _drop_abandoned(connection, name)
            _drop(connection, name, own)
            # template0: nobody can be connected to it, so workers may create their databases at the same time.
            connection.execute(text(f"CREATE DATABASE {own}{' TEMPLATE template0' if name == 'postgresql' else ''}"))
        engine = create_engine(url.set(database=own))
        _set_up(engine, name)
        try:
            yield engine
        finally:
            engine.dispose()
            with admin.connect() as connection:
                _drop(connection, name, own)
    finally:
        admin.dispose()


def _set_up(engine: Engine, name: str) -> None:
    """What every connection needs before a test may rely on it."""

    @event.listens_for(engine, "connect")
    def connected(dbapi_connection: Any, _record: object) -> None:
        if name == "sqlite":
            dbapi_connection.isolation_level = None
        cursor = dbapi_connection.cursor()
        for statement in _FIRST_STATEMENTS[name]:
            cursor.execute(statement)
        cursor.close()
        if name != "sqlite":
            dbapi_connection.commit()

    if name == "sqlite":

        @event.listens_for(engine, "begin")
        def begun(connection: Connection) -> None:
            # On the DBAPI cursor and not through SQLAlchemy: elsewhere BEGIN is not a statement in the log either.
            cursor = connection.connection.cursor()
            cursor.execute("BEGIN")
            cursor.close()


def _prefix() -> str:
    """The names of this machine's test databases: the process id that follows says whose they are."""
    return f"sojourn_test_{zlib.crc32(platform.node().encode()):08x}_"


def _drop_abandoned(connection: Connection, name: str) -> None:
    """Drop the databases of this machine's test processes that were killed before they could."""
    listing = "SELECT datname FROM pg_database" if name == "postgresql" else "SHOW DATABASES"
    for existing in connection.execute(text(listing)).scalars().all():
        match = re.fullmatch(re.escape(_prefix()) + r"(\d+)", existing)
        if match and not _alive(int(match.group(1))):
            # Another worker that starts now does the same; whoever comes second may fail, and nothing is lost by it.
            with contextlib.suppress(DBAPIError):
                _drop(connection, name, existing)


def _alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process
        return True
    return True


def _drop(connection: Connection, name: str, database: str) -> None:
    # FORCE ends connections that a failed test left open.
    connection.execute(text(f"DROP DATABASE IF EXISTS {database}{' WITH (FORCE)' if name == 'postgresql' else ''}"))
