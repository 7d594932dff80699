"""Writes docs/reference/mappings.md from the mappings that the tests try (tests/mappings/).

    python docs/reference/generate_mappings.py

`tests/mappings/test_page.py` fails when the page is not what this writes.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))  # where the tests are, when this is run as a script

from tests.mappings import EVERY  # noqa: E402  # after the path
from tests.mappings.mapping import VERBS, Mapping  # noqa: E402  # the same

PAGE = HERE / "mappings.md"
INTRODUCTION = """# Every mapping

Generated from `tests/mappings/` by `docs/reference/generate_mappings.py`. Each row is a mapping with rows of its own,
an edit of mine, and what others do meanwhile. Each ✓ is a test that passes, in `tests/mappings/test_every_mapping.py`,
with SQLAlchemy 2.0 and 2.1. What it demands:

- **detach**: the shape is loaded, everything is detached, and each attribute that is not loaded raises
  `NotLoadedError`.
- **dumps**: `loads(dumps(...))`, as JSON and as MessagePack, has the same values, changes and identities, and comes
  home as in attach.
- **attach**: my edits and theirs are both in the database after the commit, and a version counter moves on; where the
  session holds the rows already, and where it does not.
- **clone**: new rows with equal values, under new keys; the originals are as they were.
- **refresh**: their changes are seen, my edits are kept, and a commit then writes both.
- **discard**: my edits are gone, without SQL, away and at home.
- **prefetch**: everything that is in the shape can be read without SQL.

The last column names where detach, attach, refresh and prefetch are tried; aiosqlite, psycopg and asyncmy stand for
`sojourn.asyncio` and `AsyncSession`. A ✗ is a cell that cannot be, and its test demands the error. Numbers lead to the
notes below each table."""


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION]
    for group, mappings in groupby(EVERY, key=lambda one: one.group):
        parts += [f"## {group}", _table(list(mappings))]
    return "\n\n".join(parts) + "\n"


def _table(mappings: list[Mapping]) -> str:
    notes: list[str] = []
    lines = [f"| Mapping | {' | '.join(VERBS)} | Where |", "|---" * (len(VERBS) + 2) + "|"]
    for one in mappings:
        cells = [_cell(one, verb, notes) for verb in VERBS]
        lines.append(f"| {one.title} | {' | '.join(cells)} | {', '.join(one.drivers)} |")
    listed = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join(lines) + ("\n\n" + "\n".join(listed) if listed else "")


def _cell(mapping: Mapping, verb: str, notes: list[str]) -> str:
    refused, note = mapping.refused.get(verb), mapping.notes.get(verb)
    mark = "✓" if refused is None else "✗"
    if refused is not None:
        note = f"{refused.why} `{refused.error.__name__}`."
    if note is None:
        return mark
    if note not in notes:
        notes.append(note)
    return f"{mark} ({notes.index(note) + 1})"


if __name__ == "__main__":
    PAGE.write_text(page())
