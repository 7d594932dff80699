"""The rows that everybody edits: accounts, and the entries that they own."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

ACCOUNTS = 4


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    total: Mapped[int] = mapped_column(BigInteger)  # everybody adds to it
    text: Mapped[str] = mapped_column(String(60))  # everybody sets it
    own0: Mapped[int]  # set by one writer each
    own1: Mapped[int]
    own2: Mapped[int]
    own3: Mapped[int]

    entries: Mapped[list[Entry]] = relationship(
        back_populates="account", cascade="all, delete-orphan", order_by="Entry.id"
    )


class Entry(Base):
    __tablename__ = "entry"
    __table_args__ = ({"sqlite_autoincrement": True},)  # else the key of a removed entry is given to a new one

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    label: Mapped[str] = mapped_column(String(60), unique=True)  # never changes, and is never used twice
    text: Mapped[str] = mapped_column(String(60))

    account: Mapped[Account] = relationship(back_populates="entries")


def fill(session: Session) -> None:
    """The accounts, each with a few entries; the caller commits."""
    for number in range(1, ACCOUNTS + 1):
        account = Account(id=number, total=0, text=f"start {number}", own0=0, own1=0, own2=0, own3=0)
        account.entries = [Entry(label=f"start {number}.{n}", text=f"start {number}.{n}") for n in range(3)]
        session.add(account)
