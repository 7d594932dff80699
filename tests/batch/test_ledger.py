"""The ledger: its tables, and what each function reads and writes, on every database."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import OperationalError

from sojourn.batch import ledger
from sojourn.batch.ledger import Rejected
from sojourn.batch.ranges import Chain
from sojourn.batch.tables import NAME_LENGTH
from sojourn.errors import BadArgumentError, UnknownJobError
from tests.databases import Database

TABLES = {"sojourn_job", "sojourn_range", "sojourn_rejected"}


@pytest.fixture
def books(database: Database) -> Database:
    """A database with an empty ledger."""
    database.create(ledger.metadata)
    return database


def at_once(work: Callable[[], Any], threads: int = 4) -> list[Any]:
    """What so many threads get from the same work, started together. An error is a result, too."""
    found: list[Any] = []
    barrier = threading.Barrier(threads)

    def run() -> None:
        barrier.wait()
        try:
            found.append(work())
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            found.append(error)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return found


def job(books: Database, name: str = "nightly") -> ledger.Job:
    return ledger.open_job(books.engine.begin, name, fingerprint="f1", statement="SELECT 1")


def test_runners_that_start_together_all_find_the_tables(database: Database) -> None:
    try:
        assert at_once(lambda: ledger.create_tables(database.engine.begin)) == [None] * 4
        assert set(inspect(database.engine).get_table_names()) >= TABLES
        ledger.create_tables(database.engine.begin)
        with database.engine.connect() as connection:
            assert ledger.has_tables(connection)
            assert ledger.jobs(connection) == []
    finally:
        ledger.metadata.drop_all(database.engine)


def test_a_table_that_cannot_be_made_is_the_databases_error(sqlite: Database) -> None:
    with sqlite.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.commit()

        @contextmanager
        def connect() -> Iterator[Connection]:
            with connection.begin():
                yield connection

        with pytest.raises(OperationalError, match="readonly"):
            ledger.create_tables(connect)


def test_runners_that_start_together_open_one_job(books: Database) -> None:
    found = at_once(lambda: job(books))
    assert len(set(found)) == 1
    assert found[0].name == "nightly"
    with books.engine.connect() as connection:
        assert ledger.jobs(connection) == [ledger.job_named(connection, "nightly")] == [found[0]]


def test_a_new_job_is_nobodys_and_an_old_one_stays_what_it_was(books: Database) -> None:
    first = job(books)
    assert (first.owner, first.epoch, first.rows, first.status, first.wanted) == (None, 0, 0, "running", "run")
    again = ledger.open_job(books.engine.begin, "nightly", fingerprint="f2", statement="SELECT 2")
    assert again == first


def test_names_that_differ_in_case_only_are_two_jobs(books: Database) -> None:
    assert job(books, "Nightly").id != job(books, "nightly").id


@pytest.mark.parametrize("name", ["", "n" * (NAME_LENGTH + 1)])
def test_a_name_that_the_ledger_cannot_hold_is_refused(sqlite: Database, name: str) -> None:
    with pytest.raises(BadArgumentError, match="pass name="):
        job(sqlite, name)


def test_a_job_that_is_not_there_is_named(books: Database) -> None:
    for ask in (ledger.job_named, lambda connection, name: ledger.set_wanted(connection, name, ledger.PAUSE)):
        with books.engine.begin() as connection, pytest.raises(UnknownJobError) as caught:
            ask(connection, "nightly")
        assert caught.value.job == "nightly"


def test_what_others_want_and_the_upper_bound_are_kept(books: Database) -> None:
    opened = job(books)
    upper = '["😀 ä\\u0000", 17]'
    with books.engine.begin() as connection:
        ledger.set_wanted(connection, "nightly", ledger.PAUSE)
        ledger.set_upper(connection, opened.id, upper, 2**40)
        found = ledger.job_named(connection, "nightly")
    assert (found.wanted, found.upper, found.total) == ("pause", upper, 2**40)


def cut_in_six(order: list[int]) -> list[Chain]:
    """The chain of six chunks a to f, and what it is after each of some of them is completed, in this order."""
    chain = Chain.of([], "f")
    ends: list[Any] = [None, *"abcdef"]
    for after, upto in itertools.pairwise(ends):
        chain = chain.cut(after, upto)
    chains = [chain]
    for chunk in order:
        chain = chain.completed(ends[chunk], ends[chunk + 1], chunk + 1)
        chains.append(chain)
    return chains


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=settings().max_examples // 4)
@given(order=st.permutations(range(6)))
def test_the_ranges_in_the_ledger_are_those_of_the_chain_in_whatever_order_chunks_are_done(
    books: Database, order: list[int]
) -> None:
    with books.engine.connect() as connection:  # rolled back
        chains = cut_in_six(order)
        for number, (before, now) in enumerate(itertools.pairwise(chains)):
            ledger.write_ranges(connection, "job", before.done, now.done, f"token{number}")
            assert ledger.ranges_of(connection, "job") == list(now.done)
            assert ledger.was_written(connection, "job", f"token{number}")
            assert not ledger.was_written(connection, "other", f"token{number}")
        assert Chain.of(ledger.ranges_of(connection, "job"), "f").gaps == ()


def test_a_chunk_that_continues_a_range_is_one_statement(books: Database) -> None:
    chains = cut_in_six([0, 1, 2])
    with books.engine.begin() as connection:
        for before, now in itertools.pairwise(chains):
            with books.statements() as log:
                ledger.write_ranges(connection, "job", before.done, now.done, "token")
            assert len(log) == 1


REJECTED = Rejected("[1]", '["a",1]', "ValueError", "not\0 a \ud800 number", "Traceback\n" * 10_000, crashes=2, at=1.5)


def test_rejected_rows_are_kept_with_any_text(books: Database) -> None:
    with books.engine.begin() as connection:
        ledger.add_rejected(connection, "job", [REJECTED, Rejected("[2]", "[2]", "E" * 300, "", "")])
        ledger.add_rejected(connection, "other", [REJECTED])
        ledger.add_rejected(connection, "job", [])
    with books.engine.begin() as connection:
        first, second = ledger.rejected_of(connection, "job")
    assert (first.identity, first.position, first.error, first.crashes, first.at) == (
        "[1]",
        '["a",1]',
        "ValueError",
        2,
        1.5,
    )
    assert (first.message, first.traceback, first.retry) == ("not\\x00 a \\ud800 number", REJECTED.traceback, False)
    assert second.error == "E" * 190
    assert second.at > 1e9


def test_rejected_rows_are_marked_for_another_try_and_forgotten_after_it(books: Database) -> None:
    with books.engine.begin() as connection:
        ledger.add_rejected(connection, "job", [REJECTED, REJECTED])
        ledger.add_rejected(connection, "other", [REJECTED])
        assert ledger.rejected_of(connection, "job", to_retry=True) == []
        assert ledger.mark_for_retry(connection, "job") == 2
        marked = ledger.rejected_of(connection, "job", to_retry=True)
        assert [one.retry for one in marked] == [True, True]
        ledger.drop_rejected(connection, "job", [marked[0].id])
        ledger.drop_rejected(connection, "job", [])
        assert ledger.rejected_of(connection, "job") == marked[1:]
        assert len(ledger.rejected_of(connection, "other")) == 1
