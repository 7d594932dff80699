"""`tasks`: each database with 25 tasks (tests/models/jobs.py) and an empty ledger."""

from __future__ import annotations

import pytest

from sojourn.batch import ledger
from tests.databases import Database
from tests.models import jobs


@pytest.fixture
def tasks(database: Database) -> Database:
    database.create(jobs.Base.metadata, ledger.metadata)
    with database.session() as session:
        jobs.fill(session, 25)
        session.commit()
    return database
