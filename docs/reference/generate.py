"""Writes docs/reference/api.md from the public names, their signatures and their docstrings.

    python docs/reference/generate.py

`tests/test_reference.py` fails when the page is not what this writes.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import sojourn
import sojourn.asyncio

PAGE = Path(__file__).parent / "api.md"


def page() -> str:
    """The whole page. Public names in alphabetical order: functions, then classes, then errors."""
    names = {name: getattr(sojourn, name) for name in sojourn.__all__}
    functions = {name: one for name, one in names.items() if inspect.isfunction(one)}
    errors = {name: one for name, one in names.items() if inspect.isclass(one) and issubclass(one, Exception)}
    classes = {name: one for name, one in names.items() if inspect.isclass(one) and name not in errors}
    parts = [
        "# Public names",
        "Generated from the docstrings by `docs/reference/generate.py`.",
        "## Verbs",
        *(_entry(name, one) for name, one in functions.items()),
        "## Values",
        *(_entry(name, one) for name, one in classes.items()),
        "## Errors",
        *(f"**`{name}`**, a kind of {_bases(one)}. {_text(one)}" for name, one in errors.items()),
        "## sojourn.asyncio",
        _text(sojourn.asyncio),
        "The names: " + ", ".join(f"`{name}`" for name in sojourn.asyncio.__all__) + ".",
    ]
    return "\n\n".join(parts) + "\n"


def _entry(name: str, one: Any) -> str:
    signature = re.sub(r"<function .*?>", "...", str(inspect.signature(one))) if inspect.isfunction(one) else ""
    return f"### `{name}`\n\n" + (f"```text\n{name}{signature}\n```\n\n" if signature else "") + _text(one)


def _bases(error: type) -> str:
    return " and ".join(f"`{base.__name__}`" for base in error.__bases__)


def _text(one: Any) -> str:
    return inspect.getdoc(one) or ""


if __name__ == "__main__":
    PAGE.write_text(page())
