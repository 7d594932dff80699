"""Everything that the README and the guides show is run: each page's Python blocks in order, with their printed
output."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from examples.shop import open_shop

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs" / "tutorial").glob("*.md")),
    *sorted((ROOT / "docs" / "how-to").glob("*.md")),
]
PRELUDE = """
import asyncio
from decimal import Decimal
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload
import sojourn.asyncio
from sojourn import *
from examples.shop import Base, Customer, Line, Order
"""


def blocks(page: Path) -> list[tuple[str, str]]:
    """The page's (python, expected output) pairs; the output is empty where none is shown."""
    pairs: list[tuple[str, str]] = []
    for kind, text in BLOCK.findall(page.read_text()):
        if kind == "python":
            pairs.append((text, ""))
        elif pairs:
            pairs[-1] = (pairs[-1][0], text)
    return pairs


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[dict[str, Any]]:
    path = tmp_path / "shop.db"
    engine = open_shop(path)
    async_engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    names: dict[str, Any] = {"engine": engine, "async_engine": async_engine, "__name__": "page"}
    exec(PRELUDE, names)
    yield names
    engine.dispose()
    names["asyncio"].run(async_engine.dispose())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_example_runs_and_prints_what_the_page_shows(page: Path, namespace: dict[str, Any]) -> None:
    for code, expected in blocks(page):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), namespace)
        assert printed.getvalue() == expected


def test_the_readme_shows_examples_with_output() -> None:
    assert sum(bool(expected) for _, expected in blocks(ROOT / "README.md")) > 5


@pytest.mark.parametrize("page", [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
