"""The verbs for `AsyncSession`: the same names, awaited.

Each is its synchronous twin run by `AsyncSession.run_sync`, with its signature and types taken over, so there is
nothing here that could drift. What needs no database (`state`, `changes`, `discard`, `clone`, `dumps`, `loads`) needs
no twin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import wraps
from types import TracebackType
from typing import Concatenate, Literal, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.sql.base import ExecutableOption

from sojourn.batch.process import process as _process
from sojourn.batch.waiting import CURRENT, InLoop
from sojourn.session.attach import attach as _attach
from sojourn.session.detach import detach as _detach
from sojourn.session.merge import merge as _merge
from sojourn.session.patch import patch as _patch
from sojourn.session.prefetch import prefetch as _prefetch
from sojourn.session.refresh import refresh as _refresh
from sojourn.session.savepoint import savepoint as _savepoint
from sojourn.sqlalchemy_internals import greenlet_spawn

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

AnyAsyncSession: TypeAlias = AsyncSession | async_scoped_session[AsyncSession]

__all__ = ["attach", "detach", "merge", "patch", "prefetch", "process", "refresh", "savepoint"]


def _awaited(verb: Callable[Concatenate[Session, P], R]) -> Callable[Concatenate[AnyAsyncSession, P], Awaitable[R]]:
    @wraps(verb)
    async def run(session: AnyAsyncSession, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await _plain(session).run_sync(verb, *args, **kwargs)

    return run


def _plain(session: AnyAsyncSession) -> AsyncSession:
    # A scoped session has no run_sync of its own; calling it gives the session of this scope.
    return session() if isinstance(session, async_scoped_session) else session


class _Detach(Protocol):
    # Written out, because a ParamSpec cannot carry the overloads that tie the result to `objs`.
    @overload
    def __call__(
        self,
        session: AnyAsyncSession,
        objs: Iterable[T],
        *options: ExecutableOption,
        copy: bool = False,
        uncommitted: Literal["raise", "allow"] = "raise",
    ) -> Awaitable[list[T]]: ...
    @overload
    def __call__(
        self,
        session: AnyAsyncSession,
        objs: T,
        *options: ExecutableOption,
        copy: bool = False,
        uncommitted: Literal["raise", "allow"] = "raise",
    ) -> Awaitable[list[T]]: ...


class _Merge(Protocol):
    # The same.
    @overload
    def __call__(
        self,
        session: AnyAsyncSession,
        objs: Iterable[T],
        *,
        load: bool = True,
        options: Sequence[ORMOption] | None = None,
    ) -> Awaitable[list[T]]: ...
    @overload
    def __call__(
        self, session: AnyAsyncSession, objs: T, *, load: bool = True, options: Sequence[ORMOption] | None = None
    ) -> Awaitable[T]: ...


def _in_loop(
    verb: Callable[Concatenate[Callable[[], Session], P], R],
) -> Callable[Concatenate[Callable[[], AnyAsyncSession], P], Awaitable[R]]:
    """A verb that makes its own sessions: all of it runs in a greenlet of this loop."""

    @wraps(verb)
    async def run(session_factory: Callable[[], AnyAsyncSession], /, *args: P.args, **kwargs: P.kwargs) -> R:
        def session() -> Session:
            return _plain(session_factory()).sync_session

        token = CURRENT.set(InLoop)
        try:
            return await greenlet_spawn(lambda: verb(session, *args, **kwargs))
        finally:
            CURRENT.reset(token)

    return run


attach = _awaited(_attach)
detach = cast(_Detach, _awaited(_detach))
merge = cast(_Merge, _awaited(_merge))
patch = _awaited(_patch)
prefetch = _awaited(_prefetch)
process = _in_loop(_process)
refresh = _awaited(_refresh)


class AsyncSavepoint:
    """The block of `async with savepoint(session)`. `async with savepoint(session) as block` gives it a name."""

    def __init__(self, session: AnyAsyncSession) -> None:
        self._session = _plain(session)
        self._block = _savepoint(self._session.sync_session)

    # A block cannot stay inside of one run_sync: it is entered in one and left in another.

    async def __aenter__(self) -> AsyncSavepoint:
        await self._session.run_sync(lambda _: self._block.__enter__())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return await self._session.run_sync(lambda _: self._block.__exit__(kind, error, trace))

    async def rollback(self) -> None:
        """Go back now, database and objects, and let the block be left without an error.

        Until it is left the session executes nothing more. Does nothing after the block's end. Database: ROLLBACK TO
        SAVEPOINT.
        """
        await self._session.run_sync(lambda _: self._block.rollback())


@wraps(_savepoint)
def savepoint(session: AnyAsyncSession) -> AsyncSavepoint:
    return AsyncSavepoint(session)
