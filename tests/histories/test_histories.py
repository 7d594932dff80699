"""Short histories in the suite; `make histories` has the long ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from tests.histories.run import history, processes, settings
from tests.histories.writer import Setting, kind_of

ATTACHES = 1000
# One name a setting; the servers' URLs are known only when they answer.
ALL = settings(Path(), {"postgresql": "", "mariadb": ""})
# Where the database itself lets nobody write over what he has not seen, a broken attach does no harm.
SAFE_BY_THEMSELVES = ("BEGIN", "repeatable read", "serializable")
HARMED = [one for one in ALL if not one.name.endswith(SAFE_BY_THEMSELVES) or one.name.startswith("MariaDB")]


@pytest.fixture(scope="module")
def pool() -> Iterator[Executor]:
    with processes() as pool:
        yield pool


def set_up(setting: Setting, directory: Path, engine_of: Callable[[str], Engine]) -> Setting:
    """The setting on the databases of this run."""
    server = setting.name.partition(",")[0].lower()
    servers = {} if server == "sqlite" else {server: engine_of(server).url.render_as_string(hide_password=False)}
    [found] = [one for one in settings(directory, servers) if one.name == setting.name]
    return found


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_nothing_is_lost(setting: Setting, pool: Executor, tmp_path: Path, engine_of: Callable[[str], Engine]) -> None:
    found = history(pool, set_up(setting, tmp_path, engine_of), ATTACHES, tmp_path)
    assert found.complaints == []
    assert found.counts["attaches"] >= ATTACHES
    assert min(found.counts["done"], found.counts["conflict"]) > 0
    expected = {"attaches", "done", "conflict", "missing", "retries", "serialization", "locked"}
    assert found.counts.keys() <= expected  # no deadlock, and no other error of the database


@pytest.mark.parametrize("setting", HARMED, ids=lambda setting: setting.name)
def test_a_broken_attach_is_caught(
    setting: Setting, pool: Executor, tmp_path: Path, engine_of: Callable[[str], Engine]
) -> None:
    found = history(pool, set_up(setting, tmp_path, engine_of), 200, tmp_path, broken=True)
    assert len(found.complaints) > 3


def test_troubles_of_databases_are_told_apart() -> None:
    def kind(*arguments: object, sqlstate: str | None = None) -> str:
        original = Exception(*arguments)
        if sqlstate:
            original.sqlstate = sqlstate  # type: ignore[attr-defined]
        return kind_of(OperationalError("", {}, original))

    kinds = Counter(
        [
            *(kind("d", sqlstate="40P01"), kind(1213, "d", sqlstate="40001")),
            *(kind("s", sqlstate="40001"), kind("database is locked"), kind(2006, "gone")),
        ]
    )
    assert kinds == {"deadlocks": 2, "serialization": 1, "locked": 1, "OperationalError (2006, 'gone')": 1}
