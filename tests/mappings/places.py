"""Where a mapping is tried: one database with its rows, and desks to work at.

A desk is a session, plain or asynchronous, with the verbs on it. The tests are written once, for desks; an asynchronous
desk has an event loop of its own and runs each step on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

import sojourn
import sojourn.asyncio
from tests.databases import Database
from tests.mappings.mapping import Mapping, SessionFactory

T = TypeVar("T")


class Desk:
    """A session to work at."""

    def __init__(self, mapping: Mapping, session: Session) -> None:
        self.mapping = mapping
        self.session = session

    def do(self, step: Callable[[Session], T]) -> T:
        """A step that needs a Session."""
        return step(self.session)

    def verb(self, name: str, *args: Any, **options: Any) -> Any:
        """A verb of sojourn, by name, on this session."""
        return getattr(sojourn, name)(self.session, *args, **options)

    def commit(self) -> None:
        self.do(Session.commit)

    def root(self, *options: Any) -> Any:
        """The object that travels, and what the options load."""
        return self.do(lambda session: root_in(session, self.mapping, options))

    def whole(self) -> Any:
        """The same, with its shape, and subclasses with all of their columns."""
        root = self.root()
        self.verb("prefetch", root, *self.mapping.shape)
        return root

    def held(self) -> list[Any]:
        """What has a row, and is in the session."""
        return self.do(lambda session: list(session.identity_map.values()))


class AsyncDesk(Desk):
    """The same, where the session is asynchronous and the verbs are those of `sojourn.asyncio`."""

    def __init__(self, mapping: Mapping, session: AsyncSession, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(mapping, session.sync_session)
        self.async_session = session
        self.loop = loop

    def do(self, step: Callable[[Session], T]) -> T:
        return self.loop.run_until_complete(self.async_session.run_sync(step))

    def verb(self, name: str, *args: Any, **options: Any) -> Any:
        return self.loop.run_until_complete(getattr(sojourn.asyncio, name)(self.async_session, *args, **options))


class Place:
    """One mapping's rows in one database."""

    def __init__(self, mapping: Mapping, database: Database, factory: SessionFactory) -> None:
        self.mapping = mapping
        self.database = database
        self.session = factory
        with self.session() as session:
            for row in mapping.rows():
                session.add(row)
                session.flush()  # the keys count in the order of the rows
            session.commit()

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        with self.session(expire_on_commit=False) as session:
            yield Desk(self.mapping, session)

    def away(self) -> Any:
        """The root, detached in its shape."""
        with self.desk() as desk:
            [root] = desk.verb("detach", desk.root(), *self.mapping.shape)
            return root

    def meanwhile(self) -> None:
        """Others do what they do."""
        with self.session() as session:
            self.mapping.meanwhile(root_in(session, self.mapping, ()), session)
            session.commit()

    def found(self, obj: Any, *names: str) -> Any:
        """What a new session finds in the row that an object stands for: its picture, or these attributes."""
        _, key, token = inspect(obj).key
        with self.session() as session:
            row = session.get_one(self.mapping.root, key, identity_token=token)
            return [getattr(row, name) for name in names] if names else self.mapping.found(row)


class AsyncPlace(Place):
    """The same, with asynchronous desks. What others do, they do without."""

    def __init__(self, mapping: Mapping, database: Database, factory: SessionFactory, stack: ExitStack) -> None:
        super().__init__(mapping, database, factory)
        # Not Runner.run: its care for Ctrl-C prints the result, and a dataclass that is printed reads its attributes.
        self.loop = stack.enter_context(asyncio.Runner()).get_loop()
        opening = database.async_engine()
        self.engine = self.loop.run_until_complete(opening.__aenter__())
        stack.callback(lambda: self.loop.run_until_complete(opening.__aexit__(None, None, None)))

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        session = self.mapping.async_session(self.engine)
        try:
            yield AsyncDesk(self.mapping, session, self.loop)
        finally:
            self.loop.run_until_complete(session.close())


def root_in(session: Session, mapping: Mapping, options: Sequence[Any]) -> Any:
    statement = select(mapping.root).options(*options).order_by(*inspect(mapping.root).primary_key)
    return session.scalars(statement).unique().all()[mapping.pick]
