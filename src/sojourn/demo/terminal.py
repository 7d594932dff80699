"""How the story looks on a terminal, how its expectations are kept count of, and how its statements are counted."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from sqlalchemy import Engine, event

WIDTH = 100
TICK, CROSS = "✓", "✗"
PLAIN = str.maketrans({TICK: "ok", CROSS: "FAILED", "─": "-", "…": "..."})  # for terminals that cannot show these


class Terminal:
    """Prints the story, and remembers each expectation that did not hold in `failed`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.failed: list[str] = []

    def line(self, text: str = "") -> None:
        encoding = self._out.encoding or "utf-8"  # a StringIO has none
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.translate(PLAIN).encode(encoding, "replace").decode(encoding)
        print(text, file=self._out, flush=True)

    def act(self, title: str) -> None:
        self.line()
        self.line(f"── {title} ".ljust(WIDTH, "─"))

    def say(self, text: str) -> None:
        self.line(textwrap.fill(text, WIDTH))

    def item(self, text: object, indent: int = 4) -> None:
        self.line(textwrap.fill(str(text), WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2)))

    def expect(self, what: str, holds: bool) -> None:
        """One expectation, with a tick or a cross."""
        self.item(f"{TICK if holds else CROSS} {what}", 2)
        if not holds:
            self.failed.append(what)

    def table(self, rows: Sequence[Sequence[object]]) -> None:
        """The first row is the head; the first column is aligned left, the others right."""
        widths = [max(len(str(row[column])) for row in rows) for column in range(len(rows[0]))]
        for number, row in enumerate(rows):
            first, *others = (str(cell) for cell in row)
            cells = [
                first.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)),
            ]
            self.line("    " + "   ".join(cells))
            if number == 0:
                self.line("    " + "   ".join("─" * width for width in widths))


class Statements:
    """The SQL that went to the database: an executemany is one statement with many rows."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []

    def __len__(self) -> int:
        return len(self.sent)

    def summary(self) -> Iterator[str]:
        """Each statement on a line, the list of columns of a SELECT left out."""
        for sql, rows in self.sent:
            line = re.sub(r"\s+", " ", sql).strip()
            line = re.sub(r"^SELECT .*? FROM ", "SELECT … FROM ", line)
            line = textwrap.shorten(line, WIDTH - 18, placeholder=" …")
            yield f"{line}  ({rows} rows)" if rows > 1 else line

    def kinds(self) -> str:
        """`82 SELECT, 2 UPDATE`."""
        verbs = [sql.split(None, 1)[0].upper() for sql, _ in self.sent]
        return ", ".join(f"{verbs.count(verb)} {verb}" for verb in dict.fromkeys(verbs))


@contextmanager
def counted(engine: Engine) -> Iterator[Statements]:
    """Count what this engine sends while the block runs."""
    statements = Statements()

    def sent(connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, executemany: bool) -> None:
        statements.sent.append((sql, len(parameters) if executemany else 1))

    event.listen(engine, "before_cursor_execute", sent)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", sent)
