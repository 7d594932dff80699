"""The reference page is what its generator writes, and every verb says what it does to the database."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

import sojourn
import sojourn.asyncio

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
VERBS = [name for name in sojourn.__all__ if inspect.isfunction(getattr(sojourn, name))]


def test_the_reference_page_is_up_to_date() -> None:
    page = runpy.run_path(str(REFERENCE / "generate.py"))["page"]
    assert (REFERENCE / "api.md").read_text() == page(), "run: python docs/reference/generate.py"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_to_the_database(verb: str) -> None:
    text = inspect.getdoc(getattr(sojourn, verb)) or ""
    assert "Database: " in text


@pytest.mark.parametrize("verb", sojourn.asyncio.__all__)
def test_the_asynchronous_verbs_carry_the_signature_of_their_twins(verb: str) -> None:
    twin, here = getattr(sojourn, verb), getattr(sojourn.asyncio, verb)
    assert list(inspect.signature(here).parameters) == list(inspect.signature(twin).parameters)
    assert inspect.getdoc(here) == inspect.getdoc(twin)
