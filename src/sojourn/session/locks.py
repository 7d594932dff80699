"""Nobody slips in between the SELECT of a row and its UPDATE: how rows are held, on each database.

PostgreSQL and MariaDB lock rows: the SELECT that reads them says FOR UPDATE. Locks are taken in one order by everybody
(tables as their foreign keys depend on each other, rows by key), so two attaches never wait for each other crosswise.
That includes the rows that are only pointed to: the flush locks those, too, to check the foreign key, and would do so
late. SQLite has one lock for all, which is taken before the first row is read. Where each statement commits by itself
no lock outlives its statement, and attach refuses.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Dialect, MetaData, Select, Table, delete, false
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.schema import sort_tables_and_constraints
from sqlalchemy.sql.selectable import FromClause, Join

from sojourn.errors import NoTransactionError
from sojourn.mapping.blueprint import Blueprint
from sojourn.session.keys import Key
from sojourn.session.shards import bind_arguments
from sojourn.sqlalchemy_internals import commits_each_statement

_ORDER = "sojourn.order of locks"
_ROW_LOCKS_FOR_POINTERS = {"postgresql", "cockroachdb", "mysql", "mariadb"}


class Hold(enum.IntEnum):
    """How firmly the rows of a table are held."""

    NOT = 0
    POINTED_AT = 1  # shall not go away: others may point to them, too
    EDITED = 2
    DELETED = 3  # or their key changes: nobody may point to them in the meantime


def hold_rows(statement: Select[Any], table: FromClause, hold: Hold, dialect: Dialect) -> Select[Any]:
    """The statement, made to lock the rows that it reads. Pure."""
    if hold is Hold.NOT or (hold is Hold.POINTED_AT and dialect.name not in _ROW_LOCKS_FOR_POINTERS):
        return statement
    if dialect.name == "mssql":  # it has no FOR UPDATE
        for one in _tables(table):
            statement = statement.with_hint(one, "WITH (UPDLOCK)", "mssql")
        return statement
    # The outer side of a join may have no row to lock.
    firm = _tables(table) if isinstance(table, Join) and table.isouter else None
    return statement.with_for_update(of=firm, read=hold is Hold.POINTED_AT, key_share=hold is not Hold.DELETED)


def locks_gaps(dialect: Dialect) -> bool:
    """Whether a locking read may lock the place of a row that does not exist (InnoDB, under repeatable read). Pure."""
    return dialect.name in ("mysql", "mariadb")


def in_lock_order(tables: Iterable[FromClause]) -> list[FromClause]:
    """Tables in the order in which everybody locks them: what is referred to first. Pure."""
    return sorted(tables, key=_place)


def sorted_keys(keys: Iterable[Key]) -> list[Key]:
    """Keys in an order that is the same in every process, for a database that takes them in chunks. Pure."""
    some = list(keys)
    try:
        return sorted(some)
    except TypeError:  # keys of different types, or with an order of nobody's
        return sorted(some, key=repr)


def secure(session: Session, plans: Iterable[Blueprint], *, lock: bool) -> None:
    """Make sure that what is locked from now on, in the tables of these mappings, stays so until the transaction ends.

    Raises NoTransactionError where the connection has no transactions. Database: begins the transaction; on SQLite,
    with `lock`, it takes the write lock, and waits for it.
    """
    tables: dict[Connection, list[Any]] = {}
    for plan in plans:
        connection = session.connection(bind_arguments=bind_arguments(session, mapper=plan.mapper))
        tables.setdefault(connection, []).extend(plan.mapper.tables)
    for connection, written in tables.items():
        if commits_each_statement(connection):
            raise NoTransactionError(connection.dialect.name, _lines(connection))
        if lock and connection.dialect.name == "sqlite":
            _take_write_lock(connection, written)


def _lines(connection: Connection) -> str:
    level = connection.default_isolation_level or "SERIALIZABLE"
    return (
        f'    session.connection(execution_options={{"isolation_level": "{level}"}})  # first in the transaction\n'
        "    attach(session, objs)"
    )


_SQLITE_LINES = """\
    engine = create_engine(url)  # without connect_args={"autocommit": True}
    with Session(engine) as session: ..."""


def keep_together(connection: Connection) -> None:
    """Make sure that a SAVEPOINT on this connection will be inside of a transaction, which its RELEASE does not end.

    pysqlite's legacy mode begins before the first write only. A SAVEPOINT before it would be the transaction itself.
    Raises NoTransactionError where the connection has no transactions. Database: on SQLite, BEGIN where there is none.
    """
    if commits_each_statement(connection):
        raise NoTransactionError(connection.dialect.name, _savepoint_lines(connection), _NO_SAVEPOINT)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name != "sqlite" or getattr(driver, "in_transaction", True):
        return
    if getattr(driver, "autocommit", None) is True:
        raise NoTransactionError(connection.dialect.name, _SQLITE_LINES, _NO_SAVEPOINT)
    _control(connection, "BEGIN")


_NO_SAVEPOINT = "what is written in the block is committed at once, and could not be rolled back."


def _savepoint_lines(connection: Connection) -> str:
    return _lines(connection).replace("attach(session, objs)", "with savepoint(session): ...")


def _take_write_lock(connection: Connection, tables: Iterable[Table]) -> None:
    """Nobody else writes from now on. Before the first read: a later try fails at once if anybody has written since."""
    if not connection.in_transaction():
        connection.begin()  # as the first statement would: the caller has ended the session's transaction beneath it
    driver: Any = connection.connection.driver_connection
    if getattr(driver, "in_transaction", True):
        # Begun without the lock (DEFERRED), or with it: either way it is held after a statement that writes nothing.
        for table in {table.schema: table for table in tables}.values():  # an attached database has a lock of its own
            statement = delete(table).where(false())  # not an UPDATE: it would carry the table's onupdate defaults
            _control(connection, str(statement.compile(dialect=connection.dialect, **_schemas(connection))))
    elif getattr(driver, "autocommit", None) is True:
        raise NoTransactionError(connection.dialect.name, _SQLITE_LINES)  # its commit() would not end what we begin
    else:
        # pysqlite's legacy mode begins before the first write only: what it reads before is nobody's transaction.
        _control(connection, "BEGIN IMMEDIATE")


def _schemas(connection: Connection) -> dict[str, Any]:
    names = connection.get_execution_options().get("schema_translate_map")
    return {"schema_translate_map": names, "render_schema_translate": True} if names else {}


def _control(connection: Connection, statement: str) -> None:
    """Transaction control goes to the driver directly, as SQLAlchemy's own does: it is no statement in a log."""
    dbapi: Any = connection.dialect.dbapi
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    except dbapi.OperationalError as error:  # "database is locked", as from any other statement
        raise OperationalError(statement, {}, error) from error
    finally:
        cursor.close()


def _tables(table: FromClause) -> list[Table]:
    """The tables that hold the row of each object of a mapping.

    In a chain of inheritance each counts: a writer who changes the subclass's columns alone does not touch the row of
    the base class.
    """
    if isinstance(table, Table):
        return [table]
    if isinstance(table, Join):
        return _tables(table.left) + ([] if table.isouter else _tables(table.right))
    return []


def _place(table: FromClause) -> tuple[int, str]:
    tables = _tables(table)
    return min((_positions(one.metadata).get(one, 0), one.fullname) for one in tables) if tables else (-1, "")


def _positions(metadata: MetaData) -> dict[Table, int]:
    """Where each table stands among all of its metadata, so that it is the same whichever of them are read."""
    count, positions = metadata.info.get(_ORDER, (0, {}))
    if count != len(metadata.tables):
        by_name = [metadata.tables[name] for name in sorted(metadata.tables)]
        sort: Any = sort_tables_and_constraints  # it has no types
        order = [table for table, _ in sort(by_name) if table is not None]
        positions = {table: position for position, table in enumerate(order)}
        metadata.info[_ORDER] = (len(metadata.tables), positions)
    found: dict[Table, int] = positions
    return found
