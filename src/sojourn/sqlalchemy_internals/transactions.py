"""Whether a connection holds a transaction open at all, and the end of one that the database has ended."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection


def commits_each_statement(connection: Connection) -> bool:
    """Whether every statement commits by itself, because SQLAlchemy or the driver was told so. Database: none.

    The driver is asked where its dialect knows how, and not on SQLite, where drivers call different things autocommit.
    """
    if connection._is_autocommit_isolation():
        return True
    dialect, pooled = connection.dialect, connection.connection.dbapi_connection
    ask = getattr(dialect, "detect_autocommit_setting", None)  # SQLAlchemy 2.0.43
    if ask is None or pooled is None or dialect.name == "sqlite":
        return False
    try:
        return bool(ask(pooled))
    except NotImplementedError:
        return False


def give_up(connection: Connection) -> None:
    """Roll back a transaction that the database has ended by itself, and let nothing more go through its connection.

    Without this the next statement would begin another transaction unnoticed, without what was written before. The
    connection is of use again when whoever began the transaction rolls it back.
    """
    root: Any = connection.get_transaction()
    if root is not None and root.is_active:
        try:
            root._connection_rollback_impl()
        finally:
            root.is_active = False
