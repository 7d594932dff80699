"""`place`: the rows of a mapping, where the test's parameter (mapping, driver) says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.databases import Database, sqlite_database
from tests.mappings.mapping import DATABASE_OF
from tests.mappings.places import AsyncPlace, Place


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, engine_of: Callable[[str], Engine]) -> Iterator[Place]:
    mapping, driver = request.param
    name = DATABASE_OF.get(driver, driver)
    request.node.user_properties.append(("database", name))
    with ExitStack() as stack:
        if name == "sqlite":
            database = stack.enter_context(sqlite_database(tmp_path))
        else:
            database = Database(name, engine_of(name))
        stack.callback(database.clean)
        factory = stack.enter_context(mapping.opened(database, tmp_path))
        if driver in DATABASE_OF:
            yield AsyncPlace(mapping, database, factory, stack)
        else:
            yield Place(mapping, database, factory)
