"""Whether a connection holds a transaction open at all."""

from __future__ import annotations

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
