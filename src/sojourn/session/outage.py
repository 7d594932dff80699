"""Which errors are the database's own trouble, and not the fault of what was written.

A lost connection, a deadlock, a serialization failure, a lock that was not given in time: the same work may well
succeed in a new transaction. Taken for bad rows they would have good rows rejected, so whoever looks for bad rows asks
here first. Drivers tell it by SQLSTATE (PostgreSQL), by a number (MariaDB, SQLite) or by SQLAlchemy's own finding that
the connection is gone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Connection exceptions, insufficient resources, operator intervention (a shutdown, a cancelled statement).
_CLASSES = ("08", "53", "57")
# Serialization failure, deadlock, lock not available.
_STATES = {"40001", "40P01", "55P03"}
_MARIADB = {
    *(1205, 1213, 1020),  # lock wait timeout, deadlock, "record has changed since last read"
    *(1040, 1053, 1077, 1078, 1079, 1927),  # too many connections, shutdown, killed
    *(1158, 1159, 1160, 1161, 2002, 2003, 2006, 2013, 2014, 2055, 4031),  # the network
}
_SQLITE = {5, 6}  # SQLITE_BUSY, SQLITE_LOCKED: the low byte of the extended code


def is_outage(error: BaseException) -> bool:
    """Whether an error is no one's fault who wrote: the transaction may be tried again. Pure.

    Parameters:
        error: what SQLAlchemy raised. An error that is not the database's is none.
    """
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or _says_so(error.orig)


def lost_connection(error: BaseException) -> bool:
    """Whether the connection went away, so that nobody knows whether a COMMIT under way was done. Pure."""
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or _state_of(error.orig).startswith(("08", "57"))


def _says_so(original: Any) -> bool:
    state = _state_of(original)
    if state in _STATES or state.startswith(_CLASSES):
        return True
    code = getattr(original, "sqlite_errorcode", None)  # not with every driver of SQLite
    if code is not None:
        return code & 0xFF in _SQLITE
    number = getattr(original, "errno", None) or next(iter(getattr(original, "args", ())), None)
    return number in _MARIADB or str(original).startswith(("database is locked", "database table is locked"))


def _state_of(original: Any) -> str:
    # psycopg and asyncpg call it sqlstate, psycopg2 pgcode.
    return str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
