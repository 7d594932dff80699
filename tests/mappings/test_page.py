"""The page of mappings is what its generator writes, and every mapping that the registry has is told apart there."""

from __future__ import annotations

import runpy
from pathlib import Path

from tests.mappings import EVERY
from tests.mappings.mapping import VERBS

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"


def test_the_page_of_mappings_is_up_to_date() -> None:
    page = runpy.run_path(str(REFERENCE / "generate_mappings.py"))["page"]
    assert (REFERENCE / "mappings.md").read_text() == page(), "run: python docs/reference/generate_mappings.py"


def test_each_mapping_has_a_name_and_a_title_of_its_own() -> None:
    assert len({one.name for one in EVERY}) == len({(one.group, one.title) for one in EVERY}) == len(EVERY)
    assert all(one.title for one in EVERY)


def test_notes_are_of_verbs() -> None:
    assert all({*one.notes, *one.refused} <= set(VERBS) for one in EVERY)
