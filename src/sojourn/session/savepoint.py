"""savepoint(): a block after whose failure the objects are as before, not the database alone.

`Session.begin_nested` rolls the database back, and leaves the objects between two times: edits from before the block
are gone, what was edited inside is expired, new objects have keys of rows that do not exist. Here a session's objects
are remembered before the block (what each of them holds, who is new, deleted or edited), and put back after the
ROLLBACK TO.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Literal

from sqlalchemy import event
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.collector import collector_paused
from sojourn.mapping.blueprint import Plans
from sojourn.mapping.in_place import InPlace, changeable, in_place
from sojourn.session.locks import keep_together
from sojourn.sqlalchemy_internals import NestedTransaction, Recall, State, connections_of


class Savepoint:
    """The block of `savepoint(session)`. `with savepoint(session) as block` gives it a name."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: tuple[NestedTransaction, _Memory] | None = None

    def __enter__(self) -> Savepoint:
        for connection in connections_of(self._session):
            keep_together(connection)
        with collector_paused():
            memory = _Memory(self._session)
        try:
            transaction = NestedTransaction(self._session, keep_together, memory.untie)
        except BaseException:
            memory.forget()
            raise
        self._open = transaction, memory
        transaction.__enter__()
        try:
            transaction.join()
        except BaseException as error:
            self._leave(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._leave(error)
        return False

    def rollback(self) -> None:
        """Go back now, database and objects, and let the block be left without an error.

        Until it is left the session executes nothing more. Does nothing after the block's end. Database: ROLLBACK TO
        SAVEPOINT.
        """
        transaction, memory = self._open or (None, None)
        if transaction is not None and memory is not None and not transaction.is_over:
            try:
                transaction.rollback()
            finally:
                memory.restore()

    def _leave(self, error: BaseException | None) -> None:
        if self._open is None:
            return
        (transaction, memory), self._open = self._open, None
        over = transaction.is_over  # by rollback(), or with the whole transaction: commit, rollback or close
        try:
            transaction.leave(error)
        except BaseException:
            if not over and not transaction.is_released:
                memory.restore()
            raise
        else:
            if error is not None and not over:
                memory.restore()
        finally:
            memory.forget()


class _Memory:
    """What the session and its objects were like. Who joins the session later is remembered when it does."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._plans = Plans()
        self._keys: dict[type, tuple[str, ...]] = {}
        self._recall = Recall(session)
        self._in_place: list[InPlace] = []
        for state in self._recall.states:
            self._remember_in_place(state)
        event.listen(session, "before_attach", self._joins, insert=True)
        self._listens = True

    def untie(self) -> None:
        self._recall.untie()

    def restore(self) -> None:
        self.forget()
        self._recall.restore()
        for contents in self._in_place:
            if contents.state.session in (self._session, None):
                contents.put_back()

    def forget(self) -> None:
        if self._listens:
            event.remove(self._session, "before_attach", self._joins)
            self._listens = False

    def _joins(self, session: Session, obj: Any) -> None:
        state = instance_state(obj)
        if state not in self._recall:
            self._recall.remember((state,))
            self._remember_in_place(state)

    def _remember_in_place(self, state: State) -> None:
        keys = self._keys.get(state.class_)
        if keys is None:
            keys = self._keys[state.class_] = changeable(self._plans[state.class_])
        if keys:
            contents = in_place(state, keys, self._plans[state.class_])
            if contents is not None:
                self._in_place.append(contents)


def savepoint(session: Session) -> Savepoint:
    """A block of work that may fail: on an error the database goes back, and so do the objects.

        with savepoint(session):
            order.status = "paid"
            session.flush()                    # IntegrityError: the order is as before the block

    The error goes on. Afterwards everything is as it was when the block was entered, also values that were changed in
    place: edits made before the block wait for their flush again, and what was edited inside is undone. Keys and
    defaults that the database made are unset again; so are references, collections and backrefs, what is new, dirty or
    deleted, and what is loaded and expired. Without an error the block ends with a flush and RELEASE SAVEPOINT; an
    error there counts as one inside. Blocks nest, also with `Session.begin_nested`.

    - An object that was added inside leaves the session, and is as it was when it came in.
    - An object that was loaded inside stays, but is expired: it is read again when it is used.
    - An object in no session, which no object of the session refers to when the block is entered, is not looked after.
    - `with savepoint(session) as block: ... block.rollback()` goes back without an error.
    - `session.rollback()`, `commit()` or `close()` inside ends the whole transaction, and the block with it: nothing is
      put back after it, and the session executes nothing more until the block is left.
    - Where the database has ended the whole transaction (a lost connection, a deadlock of InnoDB), the objects go back,
      the error is raised as itself, and the session waits for `session.rollback()`.

    Parameters: the session. Returns a context manager, whose value has `rollback()`. Raises NoTransactionError where a
    connection commits each statement by itself; what copy.deepcopy raises where a value of a type that can be changed
    in place cannot be copied. All objects of the session stay in memory until the block ends; entering it takes some
    microseconds and about a kilobyte for each.

    Database: one SAVEPOINT for each connection that the session has or gets (on SQLite after BEGIN), RELEASE or
    ROLLBACK TO at the end; a flush before RELEASE, none before SAVEPOINT. Nothing is read.
    """
    return Savepoint(session)
