"""The life of one process: take rows, let them travel as bytes, edit them, bring them home; and write down what came
of it."""

from __future__ import annotations

import random
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.exc import StaleDataError

import sojourn
from sojourn import Conflict, ConflictError, MissingRowError
from tests.histories.checker import DONE, Added, Edit, Inserted, Owned, Record, Removed, Rows, Set
from tests.histories.models import ACCOUNTS, Account, Base, Entry

TRIES = 50


@dataclass(frozen=True)
class Setting:
    """Where writers work."""

    name: str
    url: str
    isolation: str | None = None
    begin: bool = False  # SQLite: the driver begins nothing, SQLAlchemy's event sends BEGIN
    journal: str = ""  # SQLite

    def engine(self) -> Engine:
        """An engine that is set up as this setting says."""
        options: dict[str, Any] = {} if self.isolation is None else {"isolation_level": self.isolation}
        engine = create_engine(self.url, **options)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", self._connected)
        if self.begin:
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine

    def _connected(self, connection: Any, _record: object) -> None:
        if self.begin:
            connection.isolation_level = None
        for pragma in ("synchronous = OFF", "foreign_keys = ON", f"journal_mode = {self.journal}"):
            connection.execute(f"PRAGMA {pragma}")


@dataclass(frozen=True)
class Job:
    """What one process shall do."""

    setting: Setting
    writer: int
    attaches: int
    log: Path
    broken: bool = False  # attach without locks and without the second look
    pause: float = 0.0005  # at most, between any two steps


class RefusedError(Exception):
    """A conflict that this writer does not decide."""


def work(job: Job) -> Counter[str]:
    """Bring edits home until the number of attaches is reached; gives what was counted."""
    warnings.simplefilter("ignore" if job.broken else "error")
    counts: Counter[str] = Counter()
    with job.log.open("wb") as log, broken() if job.broken else _as_it_is():
        life = _Life(job, counts)
        while counts["attaches"] < job.attaches:
            record = life.trip()
            log.write(msgspec.json.encode(_plain(record)) + b"\n")
        life.engine.dispose()
    return counts


class _Life:
    def __init__(self, job: Job, counts: Counter[str]) -> None:
        self.job = job
        self.counts = counts
        self.engine = job.setting.engine()
        self.random = random.Random(job.writer)
        self.serial = 0

    def trip(self) -> Record:
        """One round: out, edited, home."""
        document = self._out()
        self._pause()
        accounts: list[Account] = sojourn.loads(document, Base)
        edits = tuple(edit for account in accounts for edit in self._edit(account))
        told = self._home(sojourn.dumps(accounts))
        self.counts[told] += 1
        return Record(self.job.writer, edits, told)

    def _out(self) -> bytes:
        wanted = self.random.sample(range(1, ACCOUNTS + 1), self.random.choice((1, 1, 2)))
        for _ in range(TRIES):
            try:
                with Session(self.engine) as session:
                    query = select(Account).where(Account.id.in_(wanted)).options(selectinload(Account.entries))
                    found = {account.id: account for account in session.scalars(query)}
                    return sojourn.dumps(sojourn.detach(session, [found[key] for key in wanted]))
            except DBAPIError as error:
                self._note(error)
        raise AssertionError("the rows could not be read")

    def _home(self, document: bytes) -> str:
        """What became of it: "done", "conflict", "missing", or "gave up"."""
        lock = self.random.random() > 0.2
        decide = _add_up if self.random.random() > 0.3 else "raise"
        accounts = None
        with Session(self.engine) as session:
            for number in range(TRIES):
                accounts = accounts or sojourn.loads(document, Base)
                try:
                    self.counts["attaches"] += 1
                    sojourn.attach(session, accounts, on_conflict=decide, lock=lock or number > 3)  # type: ignore[arg-type]
                    accounts = None  # what the session has is gone after an error
                    self._pause()
                    session.commit()
                except MissingRowError:
                    return "missing"
                except (ConflictError, RefusedError):
                    return "conflict"
                except StaleDataError:  # only a broken attach comes so far
                    return "stale"
                except DBAPIError as error:
                    session.rollback()
                    session.expunge_all()
                    self._note(error)
                    self.counts["retries"] += 1
                    self._pause()
                else:
                    return DONE
        return "gave up"

    def _edit(self, account: Account) -> Iterator[Edit]:
        for kind in self.random.sample(("add", "own", "set", "set entry", "insert", "remove"), 2):
            self.serial += 1
            name = f"{self.job.writer}.{self.serial}"
            if kind == "add":
                by = self.random.getrandbits(32) * 8 + self.job.writer
                account.total += by
                yield Added(account.id, by)
            elif kind == "own":
                column = f"own{self.job.writer}"
                setattr(account, column, self.serial)
                yield Owned(account.id, column, self.serial)
            elif kind == "set":
                yield Set(f"account {account.id}", account.text, name)
                account.text = name
            elif kind == "insert" and len(account.entries) < 6:
                entry = Entry(label=name, text=name)
                if self.random.random() < 0.5:
                    entry.id = self.random.getrandbits(30) + 10**6 * (self.job.writer + 1)
                account.entries.append(entry)
                yield Inserted(name, name)
            elif account.entries and kind in ("set entry", "remove"):
                entry = self.random.choice(account.entries)
                if entry.label == entry.text or "." in entry.text:
                    yield from self._edit_entry(account, entry, name, remove=kind == "remove")

    def _edit_entry(self, account: Account, entry: Entry, name: str, *, remove: bool) -> Iterator[Edit]:
        if sojourn.state(entry).name != "detached" or sojourn.changes(entry):
            return  # one edit of an entry is enough
        if remove:
            yield Removed(entry.label, entry.text)
            account.entries.remove(entry)
        else:
            yield Set(entry.label, entry.text, name)
            entry.text = name

    def _pause(self) -> None:
        time.sleep(self.random.random() * self.job.pause)

    def _note(self, error: DBAPIError) -> None:
        self.counts[kind_of(error)] += 1


def _add_up(conflict: Conflict) -> Any:
    if conflict.attribute == "total":
        return conflict.mine + conflict.theirs - conflict.base
    raise RefusedError(str(conflict))


def kind_of(error: DBAPIError) -> str:
    """What kind of trouble the database had; deadlocks are expected of nobody."""
    original: Any = error.orig
    codes = {getattr(original, "sqlstate", None), *original.args[:1]}
    if codes & {"40P01", 1213}:  # MariaDB's 1213 has the state 40001, too
        return "deadlocks"
    if "40001" in codes:
        return "serialization"
    if "database is locked" in str(original):
        return "locked"
    return f"{type(error).__name__} {original}"


@contextmanager
def broken() -> Iterator[None]:
    """attach as it must not be: no lock, and no second look before the flush."""

    def nothing(*_: object, **__: object) -> None:
        pass

    with (
        mock.patch("sojourn.session.attach.secure", nothing),
        mock.patch("sojourn.session.attach.remember", nothing),
        mock.patch("sojourn.session.rows.hold_rows", lambda statement, *_: statement),
    ):
        yield


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def rows_of(engine: Engine) -> Rows:
    """What is in the database now."""
    rows = Rows()
    with Session(engine) as session:
        for account in session.scalars(select(Account)):
            rows.totals[account.id] = account.total
            rows.texts[f"account {account.id}"] = account.text
            for column in ("own0", "own1", "own2", "own3"):
                rows.owned[account.id, column] = getattr(account, column)
        for entry in session.scalars(select(Entry)):
            rows.labels.add(entry.label)
            rows.texts[entry.label] = entry.text
    return rows


_KINDS = {kind.__name__: kind for kind in (Added, Owned, Set, Inserted, Removed)}


def _plain(record: Record) -> Any:
    edits = [[type(edit).__name__, vars(edit)] for edit in record.edits]
    return {"writer": record.writer, "edits": edits, "told": record.told}


def records_in(log: Path) -> list[Record]:
    """The records that a writer left."""
    found = []
    for line in log.read_bytes().splitlines():
        plain = msgspec.json.decode(line)
        edits = tuple(_KINDS[kind](**values) for kind, values in plain["edits"])
        found.append(Record(plain["writer"], edits, plain["told"]))
    return found
