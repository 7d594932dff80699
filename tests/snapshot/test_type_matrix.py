"""Type × database × encoding: a value goes to its row, to an object, to bytes, to an object and to a row again."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.mutable import MutableSet

from sojourn.mapping.base import base_value
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.snapshot import dumps, loads
from tests.databases import NAMES, Database
from tests.models.matrix import CASES, Case

HERE = [pytest.param(name, case, id=f"{name}-{case.name}") for name in NAMES for case in CASES if name in case.on]


def shape(value: Any) -> Any:
    """What has to be equal: the exact type at every depth and the text of what is inside.

    Of a time zone that is its offset: its name does not travel.
    """
    if isinstance(value, Range):
        return type(value), shape(value.lower), shape(value.upper), value.bounds, value.empty
    if isinstance(value, (list, tuple)):
        return type(value), [shape(member) for member in value]
    if isinstance(value, (set, frozenset)):
        return type(value), sorted(map(repr, value))
    if isinstance(value, dict):
        return type(value), [(shape(key), shape(member)) for key, member in value.items()]
    if isinstance(value, (datetime.datetime, datetime.time)):
        return type(value), value.isoformat()
    return type(value), repr(value)


@pytest.mark.parametrize(("database", "case"), HERE, indirect=["database"])
def test_a_value_comes_back_to_the_row_as_it_was_in_both_encodings(database: Database, case: Case) -> None:
    if case.extension is not None:
        _create_extension(database, case.extension)
    model = case.model()
    database.create(model.__table__.metadata)
    with database.session() as session:
        session.add_all(_row(model, number, value) for number, value in enumerate((*case.values, None)))
        session.commit()
    first = _stored(database, model, "value")
    assert len(first) == len(case.values) + 1
    assert any(value is not None for value in first.values())
    _move(database, model, "value", "target", "json")
    _move(database, model, "target", "value", "msgpack")


def _move(database: Database, model: Any, start: str, end: str, format: Literal["json", "msgpack"]) -> None:  # noqa: A002 - as in dumps
    """Carry what stands in one column of each row to the other: away, as bytes, and home."""
    stored = _stored(database, model, start)
    with database.session() as session:
        away = detach(session, session.query(model).all())
    away = loads(dumps(away, format=format), model)
    assert _shapes({row.id: getattr(row, start) for row in away}) == _shapes(stored)
    assert not any(inspect(row).modified for row in away)

    for row in away:  # what was read must be what the database takes, and travel as an edit and as its base
        setattr(row, end, getattr(row, start))
        setattr(row, start, None)
    away = loads(dumps(away, format=format), model)
    assert _shapes({row.id: getattr(row, end) for row in away}) == _shapes(stored)
    for row in away:
        held = getattr(row, end)
        # Load events make Mutable values of what is on the object, not of the base.
        plain = set(held) if isinstance(held, MutableSet) else held
        assert repr(base_value(inspect(row), start)) == repr(plain)
    with database.session() as session:
        attach(session, away)
        session.commit()
    assert _shapes(_stored(database, model, end)) == _shapes(stored)
    assert set(_stored(database, model, start).values()) == {None}


def _shapes(values: dict[int, Any]) -> dict[int, Any]:
    return {number: shape(value) for number, value in values.items()}


def _row(model: Any, number: int, value: Any) -> Any:
    row = model()
    row.id, row.value = number, value
    return row


def _stored(database: Database, model: Any, key: str) -> dict[int, Any]:
    with database.session() as session:
        return {row.id: getattr(row, key) for row in session.query(model)}


def _create_extension(database: Database, name: str) -> None:
    try:
        with database.engine.begin() as connection:
            connection.execute(text(f"CREATE EXTENSION IF NOT EXISTS {name}"))
    except DBAPIError as error:
        pytest.skip(f"no extension {name} here: {str(error.orig).partition(chr(10))[0]}")
    database.engine.dispose()  # drivers look for the type when they connect
