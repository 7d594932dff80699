"""Whether a connection commits each statement by itself, as SQLAlchemy was told, or the driver."""

from __future__ import annotations

from unittest import mock

import pytest
from sqlalchemy import create_engine

from sojourn.sqlalchemy_internals import commits_each_statement
from tests.databases import Database


def test_a_plain_engine_has_transactions(database: Database) -> None:
    with database.engine.connect() as connection:
        assert not commits_each_statement(connection)


def test_an_engine_or_connection_that_was_told_to_commit_has_none(database: Database) -> None:
    with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        assert commits_each_statement(connection)
    with database.engine.connect() as connection:
        assert commits_each_statement(connection.execution_options(isolation_level="AUTOCOMMIT"))
    engine = create_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        assert commits_each_statement(connection)
    engine.dispose()


def test_a_driver_that_was_told_to_commit_is_asked(database: Database) -> None:
    if database.name == "sqlite":
        pytest.skip("its drivers call different things autocommit")
    engine = create_engine(database.engine.url, connect_args={"autocommit": True})
    with engine.connect() as connection:
        assert commits_each_statement(connection)
    engine.dispose()


def test_a_dialect_that_cannot_tell_is_taken_to_have_transactions(database: Database) -> None:
    with (
        database.engine.connect() as connection,
        mock.patch.object(type(connection.dialect), "detect_autocommit_setting", side_effect=NotImplementedError),
    ):
        assert not commits_each_statement(connection)
