"""merge beside SQLAlchemy's own, on random graphs and sessions: results, values, histories, events, rows, errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import Database, sqlite_database
from tests.models import merging as models
from tests.models.merging import Author
from tests.session.merging import OPTIONS, fill, graph, home, outcomes


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    directory: Path = tmp_path_factory.mktemp("library")
    with sqlite_database(directory) as database:
        database.create(models.Base.metadata)
        with database.session() as session:
            fill(session)
        yield database


def compare(found: tuple[dict[str, Any], dict[str, Any]]) -> None:
    theirs, ours = found
    assert ours.keys() == theirs.keys(), (ours.get("error"), theirs.get("error"))
    for part, expected in theirs.items():
        if part == "objects" and ours[part] != expected:
            assert ours[part].keys() == expected.keys()
            for name, looks in expected.items():
                assert (name, ours[part][name]) == (name, looks)
        assert (part, ours[part]) == (part, expected)


# The same examples each time: one graph in some thousands shows the limits that docs/reference/conformance.md tells of.
@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), load=st.sampled_from([True, True, True, False]), options=st.booleans())
def test_a_random_graph_is_merged_as_by_sqlalchemy(library: Database, seed: int, load: bool, options: bool) -> None:
    random = Random(seed)
    chosen = random.choice(OPTIONS) if options and load else None
    # An option that does not fit is an error as soon as a row of its class is looked for.
    compare(
        outcomes(library, graph(random, only=Author if chosen else object), home(random), load=load, options=chosen)
    )
