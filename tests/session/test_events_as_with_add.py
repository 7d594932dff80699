"""Events fire as with `Session.add`: the session's, the mapper's in the flush, and those of Core. What the attributes'
own events and validators do, they did where the edit was made (ADR 4), in both cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeAlias

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session, selectinload

from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import every
from tests.models.every import Field, Form
from tests.session.attaching import away, others

OF_SESSION = (
    *("before_attach", "after_attach", "transient_to_pending", "pending_to_persistent", "detached_to_persistent"),
    *("persistent_to_deleted", "before_flush", "after_flush", "before_commit", "after_commit"),
)
OF_MAPPER = ("before_insert", "after_insert", "before_update", "after_update", "before_delete", "after_delete")
OF_ATTRIBUTES = ("set", "append", "remove")

Log: TypeAlias = list[tuple[str, str]]
Bring: TypeAlias = Callable[[Session, Any], Any]


def by_add(session: Session, form: Form) -> None:
    session.add(form)


def by_attach(session: Session, form: Form) -> None:
    attach(session, form)


@contextmanager
def listening(session: Session) -> Iterator[Log]:
    """Every event of the session, the mappers, the attributes and the connection, with the class that it is about."""
    log: Log = []

    def note(name: str, place: int) -> Callable[..., None]:
        def heard(*args: Any, **_: Any) -> None:
            about = args[place] if place < len(args) else None
            log.append((name, type(about).__name__))

        return heard

    def statement(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        verb, _space, rest = sql.partition(" ")
        if verb != "SELECT":
            log.append((verb, rest.split()[0 if verb == "UPDATE" else 1].strip('"`')))

    wanted: list[tuple[Any, str, Callable[..., Any]]] = []
    wanted += [(session, name, note(name, 1)) for name in OF_SESSION]
    wanted += [(class_, name, note(name, 2)) for class_ in (Form, Field) for name in OF_MAPPER]
    wanted += [(Form.title, "set", note("set", 0)), (Form.fields, "append", note("append", 0))]
    wanted += [(Form.fields, "remove", note("remove", 0)), (Field.name, "set", note("set", 0))]
    wanted.append((session.get_bind(), "before_cursor_execute", statement))
    with ExitStack() as stack:
        for target, name, function in wanted:
            event.listen(target, name, function)
            stack.callback(event.remove, target, name, function)
        yield log


def homecoming(database: Database, bring: Bring, edit: Callable[[Form], Any]) -> Log:
    """What is heard when an edited form comes home and is committed."""
    with others(database) as session:
        session.add(Form(title="one", fields=[Field("a"), Field("b")]))
    form = away(database, Form, selectinload(Form.fields))[-1]
    edit(form)
    with database.session() as session, listening(session) as log:
        bring(session, form)
        session.commit()
    return log


def title(form: Form) -> None:
    form.title = "mine"


def field(form: Form) -> None:
    form.fields[0].name = "mine"


def add(form: Form) -> None:
    form.fields.append(Field("new"))


def remove(form: Form) -> None:
    form.fields.pop()


@pytest.mark.parametrize("edit", [title, field, add])
def test_the_same_events_fire_as_with_add(database: Database, edit: Callable[[Form], None]) -> None:
    database.create(every.Base.metadata)
    with_add = homecoming(database, by_add, edit)
    with_attach = homecoming(database, by_attach, edit)
    # attach brings all in at once, and says so for one after the other.
    assert sorted(with_attach) == sorted(with_add)
    assert [one for one in with_attach if one[0] in OF_MAPPER] == [one for one in with_add if one[0] in OF_MAPPER]
    assert not {name for name, _ in with_attach} & set(OF_ATTRIBUTES)


def test_a_removed_child_is_deleted_with_the_same_events(database: Database) -> None:
    """`add` lets a detached child that was taken out go unnoticed; at home, SQLAlchemy deletes it as attach does."""
    database.create(every.Base.metadata)

    def at_home(session: Session, _form: Form) -> None:
        remove(session.query(Form).order_by(Form.id.desc()).first())  # type: ignore[arg-type]  # there is one

    with_attach = homecoming(database, by_attach, remove)
    by_hand = homecoming(database, at_home, lambda form: None)
    deletion = {"before_delete", "after_delete", "persistent_to_deleted", "DELETE"}
    assert [one for one in with_attach if one[0] in deletion] == [one for one in by_hand if one[0] in deletion] != []


def test_a_validator_guards_the_edit_where_it_is_made(database: Database) -> None:
    database.create(every.Base.metadata)
    with others(database) as session:
        session.add(Form(title=" one ", fields=[]))
    [form] = away(database, Form, selectinload(Form.fields))
    form.title = " mine "
    assert form.title == "mine"
    with pytest.raises(ValueError, match="needs a name"):
        form.fields.append(Field(""))
    with database.session() as session:
        attach(session, form)
        session.commit()
        assert (form.title, form.fields) == ("mine", [])
