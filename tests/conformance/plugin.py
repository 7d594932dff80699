"""A pytest plugin for SQLAlchemy's own suite: `Session.merge` and `merge_all` are sojourn's.

With SOJOURN_CONFORMANCE_RELAX set, a test that expects a number of statements other than none passes with any number.
Nothing is imported before SQLAlchemy's conftest has set up its own plugin.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

calls = 0


def pytest_collection_finish() -> None:
    from sqlalchemy.orm import Session

    from sojourn.session.merge import merge

    def merge_one(self: Session, instance: Any, *, load: bool = True, options: Any = None) -> Any:
        global calls  # noqa: PLW0603 - one process, one count
        calls += 1
        return merge(self, instance, load=load, options=options)

    def merge_all(self: Session, instances: Iterable[Any], *, load: bool = True, options: Any = None) -> Any:
        global calls  # noqa: PLW0603 - one process, one count
        calls += 1
        return merge(self, list(instances), load=load, options=options)

    session: Any = Session
    session.merge = merge_one
    if hasattr(Session, "merge_all"):  # SQLAlchemy 2.1
        session.merge_all = merge_all
    if os.environ.get("SOJOURN_CONFORMANCE_RELAX"):
        _relax()


def pytest_runtest_logreport(report: Any) -> None:
    """One line a test, for `__main__` to read: how it ended, and whether it reached merge."""
    global calls  # noqa: PLW0603 - one process, one count
    path = os.environ.get("SOJOURN_CONFORMANCE_LOG")
    if path and (report.when == "call" or report.outcome != "passed"):
        with open(path, "a", encoding="utf-8") as log:
            log.write(f"{report.outcome}\t{'merge' if calls else '-'}\t{report.nodeid}\n")
    if report.when == "teardown":
        calls = 0


def _relax() -> None:
    from sqlalchemy.testing import assertsql

    strict: Any = assertsql.CountStatements

    class Counted(strict):  # type: ignore[misc]  # a class that is only known at run time
        def no_more_statements(self) -> None:
            if self.count == 0:
                super().no_more_statements()

    # It is asked for in this module whenever statements are counted.
    assertsql.CountStatements = Counted  # type: ignore[misc]  # that is what the plugin is for
