"""Processes that are killed with SIGKILL, a few runs of what `python -m tests.batch.kills` does many times."""

from __future__ import annotations

import pytest

from tests.batch.kills import one_run
from tests.databases import Database


@pytest.mark.parametrize("workers", [0])  # `make kills` has runs with workers, too
def test_a_job_that_is_killed_again_and_again_has_each_effect_once(database: Database, workers: int) -> None:
    if database.name == "mariadb":
        pytest.skip("SQLite and PostgreSQL tell the difference")
    try:
        assert one_run(database.engine, 7 + workers, workers=workers) > 0
    finally:
        from sojourn.batch import ledger
        from tests.models.jobs import Base

        ledger.metadata.drop_all(database.engine)
        Base.metadata.drop_all(database.engine)
