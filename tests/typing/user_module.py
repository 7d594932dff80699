"""A module as a user writes it, checked by mypy --strict: results keep their types, wrong calls are errors."""

from __future__ import annotations

from typing import assert_type

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, selectinload
from sqlalchemy.orm import relationship as related

import sojourn
import sojourn.asyncio


class Base(DeclarativeBase):
    pass


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    pages: Mapped[list[Page]] = related(back_populates="book")


class Page(Base):
    __tablename__ = "page"
    id: Mapped[int] = mapped_column(primary_key=True)
    book_id: Mapped[int]
    book: Mapped[Book] = related(back_populates="pages")


def leave(session: Session, book: Book) -> bytes:
    assert_type(sojourn.detach(session, book, selectinload(Book.pages)), list[Book])
    assert_type(sojourn.detach(session, session.scalars(select(Book)).all(), copy=True), list[Book])
    assert_type(sojourn.dumps(book), bytes)
    return sojourn.dumps([book])


def come_home(session: Session, data: bytes) -> list[str]:
    books = sojourn.loads(data, Base)
    report = sojourn.attach(
        session,
        books,
        on_conflict=lambda conflict: conflict.mine,
        on_missing="skip",
        verify="all",
        allow=[Book.title, Book.pages],
    )
    assert_type(report, sojourn.AttachReport)
    assert_type(report.conflicts, list[sojourn.Conflict])
    return [str(conflict) for conflict in report.conflicts]


def at_home(session: Session, books: list[Book]) -> None:
    sojourn.prefetch(session, books, selectinload(Book.pages))
    assert_type(sojourn.refresh(session, books, attributes=[Book.title, "pages"]), sojourn.RefreshReport)
    sojourn.discard(books, attributes=[Book.title])
    assert_type(sojourn.clone(books[0]), Book)
    assert_type(sojourn.clone(books, share=[Book.pages]), list[Book])
    assert_type(sojourn.state(books[0]), sojourn.ObjectState)
    for change in sojourn.changes(books[0]).values():
        assert_type(change, sojourn.Change | sojourn.CollectionChange)


def may_fail(session: Session, book: Book) -> str:
    with sojourn.savepoint(session) as block:
        assert_type(block, sojourn.Savepoint)
        if not book.pages:
            block.rollback()
        return book.title  # no error is swallowed, so nothing is missing after the block


def from_outside(session: Session, payload: dict[str, object]) -> list[str]:
    try:
        report = sojourn.patch(session, Book, payload, allow=[Book.title, Book.pages], on_absent={Book.pages: "delete"})
        sojourn.patch(
            session, Book, [payload], allow=(), match={Book: [Book.title], Page: [Page.book]}, on_absent="keep"
        )
        assert_type(report, sojourn.AttachReport)
    except sojourn.PayloadError as error:
        return [fault.path for fault in error.errors]
    return []


async def in_async(session: AsyncSession, book: Book) -> None:
    assert_type(await sojourn.asyncio.detach(session, book, selectinload(Book.pages)), list[Book])
    assert_type(await sojourn.asyncio.attach(session, book, verify="none"), sojourn.AttachReport)
    assert_type(await sojourn.asyncio.refresh(session, [book]), sojourn.RefreshReport)
    assert_type(await sojourn.asyncio.patch(session, Book, {"id": 1}, allow=[Book.title]), sojourn.AttachReport)
    await sojourn.asyncio.prefetch(session, [book], selectinload(Book.pages))
    async with sojourn.asyncio.savepoint(session) as block:
        await block.rollback()
    assert_type(await session.run_sync(sojourn.attach, book), sojourn.AttachReport)


def wrong(session: Session, book: Book) -> None:
    sojourn.attach(session, book, on_missing="ignore")  # type: ignore[arg-type]  # no such policy
    sojourn.detach(session, book, uncommitted=True)  # type: ignore[call-overload]  # "raise" or "allow"
    sojourn.patch(session, Book, {"id": 1})  # type: ignore[call-arg]  # what may be written must be said
    sojourn.patch(session, Book, {}, allow=[], on_absent="drop")  # type: ignore[arg-type]  # no such word
    sojourn.attach(session, book, on_conflikt="mine")  # type: ignore[call-arg]  # misspelt
