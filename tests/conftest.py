"""Fixtures for all tests: `database` (each database in turn), `sqlite` (only SQLite), see tests/databases.py, and
`session` (on the shop of tests/models/shop.py, unless a module makes its own).

A server that does not answer skips its tests with the reason; with CI=true it is an error, so that CI cannot pass by
skipping.
"""

from __future__ import annotations

import gc
import os
import platform
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from sojourn.snapshot.encoding import encode
from tests.databases import NAMES, Database, ServerUnreachableError, server_engine, sqlite_database
from tests.models import shop
from tests.snapshot.documents import validating

# No deadline: on two busy cores the time of one example says nothing about the code. The suite tries the same examples
# each time, so that a failure is the change's; `make fuzz` tries new ones.
hypothesis.settings.register_profile("sojourn", deadline=None, derandomize=True)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=20_000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "sojourn"))


@pytest.fixture(scope="session", autouse=True)
def _every_document_is_valid() -> Iterator[None]:
    """Whatever `dumps` writes in any test is held against docs/format.schema.json."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sojourn.snapshot.document.encode", validating(encode))
        yield


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh SQLite database, for tests to which the database makes no difference."""
    _note_database(request, "sqlite")
    with sqlite_database(tmp_path) as database:
        yield database


@pytest.fixture
def session(sqlite: Database) -> Iterator[Session]:
    """A session that holds nothing yet, on two customers with two orders of two lines each."""
    sqlite.create(shop.Base.metadata)
    with sqlite.session() as session:
        shop.fill(session, customers=2, orders=2, lines=2)
        session.commit()
    with sqlite.session() as session:
        yield session


@pytest.fixture(params=NAMES)
def database(request: pytest.FixtureRequest, tmp_path: Path, engine_of: Callable[[str], Engine]) -> Iterator[Database]:
    """An empty database on SQLite, PostgreSQL and MariaDB in turn."""
    name: str = request.param
    _note_database(request, name)
    if name == "sqlite":
        with sqlite_database(tmp_path) as database:
            yield database
        return
    database = Database(name, engine_of(name))
    try:
        yield database
    finally:
        database.clean()


@pytest.fixture(scope="session")
def engine_of() -> Iterator[Callable[[str], Engine]]:
    """The engine of a server's database, made when first asked for and kept for the whole run."""
    engines: dict[str, Engine | str] = {}
    with ExitStack() as stack:

        def engine_of(name: str) -> Engine:
            if name not in engines:
                try:
                    engines[name] = stack.enter_context(server_engine(name))
                except ServerUnreachableError as error:
                    engines[name] = str(error)
            found = engines[name]
            if isinstance(found, Engine):
                return found
            if os.environ.get("CI") == "true":
                pytest.fail(found, pytrace=False)
            pytest.skip(found)

        yield engine_of


def _note_database(request: pytest.FixtureRequest, name: str) -> None:
    """Leave the database's name on the test's report, for the counts below (it also travels from xdist's workers)."""
    request.node.user_properties.append(("database", name))


def pytest_collection_finish() -> None:
    """The thousands of classes and tests that are there now stay to the end: no collection need look at them again."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    return f"SQLAlchemy {sqlalchemy.__version__}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which SQLAlchemy the counts belong to, how many tests ran on each database, and what a test has to tell."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    told = []
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, ()):
            # A module that could not be collected has no properties.
            properties = dict(getattr(report, "user_properties", ()))
            counts[properties.get("database", "no database")][outcome] += 1
            if "told" in properties:
                told.append(properties["told"])
    terminalreporter.section(f"SQLAlchemy {sqlalchemy.__version__} on Python {platform.python_version()}")
    for name in (*NAMES, "no database"):
        if name in counts:
            tally = ", ".join(f"{number} {outcome}" for outcome, number in counts[name].items())
            terminalreporter.write_line(f"{name + ':':<13}{tally}")
    for line in told:
        terminalreporter.write_line(line)
