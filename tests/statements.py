"""Counting statements, which are part of sojourn's contract (law 3).

A `StatementLog` holds one `Statement` for each call that reaches a DBAPI cursor, so an executemany of 1,000 rows is
one entry. It listens on the engine, not on a session: whatever connection a verb uses is seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExecutionContext

# A statement may begin with a parenthesis or, under a CTE, with WITH: then the first data verb at depth 0 tells what
# it is.
_LEADING = re.compile(r"[\s(]*(\w+)")
_VERB = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One execution on a DBAPI cursor."""

    sql: str
    parameters: Any
    executemany: bool

    @property
    def kind(self) -> str:
        """The first word in capitals (SELECT, SAVEPOINT, …); for a CTE the verb that it serves."""
        first = _LEADING.match(self.sql)
        word = first.group(1).upper() if first else ""
        return _verb_after_ctes(self.sql) if word == "WITH" else word

    def __str__(self) -> str:
        return f"{' '.join(self.sql.split())}{'  [executemany]' if self.executemany else ''}"


@dataclass
class StatementLog:
    """The statements of one `with` block, in order. `len(log)` counts all of them, transaction control on savepoints
    included."""

    all: list[Statement] = field(default_factory=list)

    @property
    def selects(self) -> list[Statement]:
        return self.of_kind("SELECT")

    @property
    def inserts(self) -> list[Statement]:
        return self.of_kind("INSERT")

    @property
    def updates(self) -> list[Statement]:
        return self.of_kind("UPDATE")

    @property
    def deletes(self) -> list[Statement]:
        return self.of_kind("DELETE")

    def of_kind(self, kind: str) -> list[Statement]:
        return [statement for statement in self.all if statement.kind == kind]

    def clear(self) -> None:
        self.all.clear()

    def __len__(self) -> int:
        return len(self.all)

    def __iter__(self) -> Iterator[Statement]:
        return iter(self.all)

    def __str__(self) -> str:
        return "\n".join(map(str, self.all)) or "(no statements)"


@contextmanager
def recorded(engine: Engine) -> Iterator[StatementLog]:
    """Record what the engine executes inside the block."""
    log = StatementLog()

    def record(
        connection: Connection,
        cursor: object,
        statement: str,
        parameters: Any,
        context: ExecutionContext | None,
        executemany: bool,
    ) -> None:
        log.all.append(Statement(statement, parameters, executemany))

    # "before", so that a statement that fails is counted as well.
    event.listen(engine, "before_cursor_execute", record)
    try:
        yield log
    finally:
        event.remove(engine, "before_cursor_execute", record)


def _verb_after_ctes(sql: str) -> str:
    depth = 0
    outside = []
    for char in sql:
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif depth == 0:
            outside.append(char)
    verb = _VERB.search("".join(outside))
    return verb.group(1).upper() if verb else "WITH"
