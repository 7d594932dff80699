"""A session's SAVEPOINT that begins without a flush.

`Session.begin_nested` flushes first, outside of the savepoint: what was edited before could not be given back as an
edit. This one leaves it where it is. It is a nested transaction like any other, so a flush that fails inside rolls back
to it, and session events fire as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction, SessionTransactionOrigin

from sojourn.sqlalchemy_internals.transactions import give_up


class NestedTransaction(SessionTransaction):
    """A SAVEPOINT on each connection of a session: those that it has now, and those that join it later.

    `ready` is called with each connection before its SAVEPOINT, `going_back` before SQLAlchemy's rollback touches the
    objects. Raises what these raise.
    """

    cause: BaseException | None = None

    def __init__(self, session: Session, ready: Callable[[Connection], None], going_back: Callable[[], None]) -> None:
        parent = session._autobegin_t()
        if not parent.is_active:
            parent._raise_for_prerequisite_state("begin_nested", parent._state)
        self._ready = ready
        self._going_back = going_back
        super().__init__(session, SessionTransactionOrigin.BEGIN_NESTED, parent)
        session._nested_transaction = self

    def _take_snapshot(self) -> None:
        self._new, self._deleted = WeakKeyDictionary(), WeakKeyDictionary()
        self._dirty, self._key_switches = WeakKeyDictionary(), WeakKeyDictionary()

    def _restore_snapshot(self, dirty_only: bool = False) -> None:
        self._going_back()
        super()._restore_snapshot(dirty_only)

    def _connection_for_bind(self, bind: Any, execution_options: Any) -> Connection:
        if bind in self._connections:
            return super()._connection_for_bind(bind, execution_options)
        parent: Any = self._parent
        self._ready(parent._connection_for_bind(bind, execution_options))
        connection = super()._connection_for_bind(bind, None)  # the options are the connection's by now
        _, savepoint, released, closed = self._connections[connection]
        watched: Any = (connection, _Savepoint(savepoint, self), released, closed)
        self._connections[connection] = self._connections[connection.engine] = watched
        return connection

    def join(self) -> None:
        """A SAVEPOINT on each connection that the session has already."""
        for connection in connections_of(self.session):
            self._connection_for_bind(connection, None)

    @property
    def is_over(self) -> bool:
        """Whether it was committed, rolled back or closed, by itself or with the session's transaction."""
        return self._transaction_is_closed()

    @property
    def is_released(self) -> bool:
        """Whether the database has released its savepoints, so that nothing goes back any more."""
        return not self._rollback_can_be_called() and not self._transaction_is_closed()

    def leave(self, error: BaseException | None) -> None:
        """Leave the block: flush and RELEASE without an error, ROLLBACK TO with one.

        Raises what these raise, after the ROLLBACK TO; PendingRollbackError where a flush failed inside and nobody
        heard of it.
        """
        if error is None and not self.is_active and not self.is_over:
            error = _complaint(self)
            self._end(error)
            raise error
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self.cause = error
        if error is not None and not self.is_over:
            self._end_inner()
        self.__exit__(type(error) if error else None, error, None)

    def _end_inner(self) -> None:
        """Roll back what was begun inside and left open: SQLAlchemy would close it, and forget what it inserted."""
        while (innermost := self.session._transaction) is not self and innermost is not None:
            innermost.rollback()


class _Savepoint:
    """A connection's savepoint. Where it cannot be rolled back, the database has ended the whole transaction."""

    def __init__(self, savepoint: Any, owner: NestedTransaction) -> None:
        self._savepoint = savepoint
        self._owner = owner

    @property
    def is_active(self) -> bool:
        return bool(self._savepoint.is_active)

    def commit(self) -> None:
        try:
            self._savepoint.commit()
        except DBAPIError:
            give_up(self._savepoint.connection)
            raise

    def rollback(self) -> None:
        self._go_back(self._savepoint.rollback)

    def close(self) -> None:
        self._go_back(self._savepoint.close)

    def _go_back(self, go: Callable[[], None]) -> None:
        original = sys.exception() or self._owner.cause
        try:
            go()
        except DBAPIError as error:
            give_up(self._savepoint.connection)
            if original is None:
                raise
            # The original is why the savepoint is gone: a deadlock, a full disk, a lost connection.
            original.add_note(
                f"The database does not know the savepoint any more ({error.orig}): it has ended the whole "
                "transaction. Roll the session back before it is used again."
            )


def connections_of(session: Session) -> list[Connection]:
    """The connections that the session's transaction has. Database: none."""
    transaction = session._transaction
    while transaction is not None and transaction._parent is not None:
        transaction = transaction._parent
    return [] if transaction is None else list({one[0]: None for one in transaction._connections.values()})


def _complaint(transaction: NestedTransaction) -> Exception:
    try:
        transaction._raise_for_prerequisite_state("commit", transaction._state)
    except Exception as error:  # noqa: BLE001 - it does nothing but raise the error that says what failed
        return error
