"""`sojourn jobs`: what it shows of a ledger, and what its orders leave there."""

from __future__ import annotations

import csv
import io
import re
import time
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from sojourn import cli
from sojourn.batch import jobs, ledger
from sojourn.batch.lease import Lease, take
from sojourn.batch.ledger import Rejected
from sojourn.batch.owner import this_process
from sojourn.batch.ranges import Range
from sojourn.batch.tables import job
from tests.databases import Database


@pytest.fixture
def books(database: Database) -> Database:
    """Two jobs: `nightly`, which this process runs and has half done, and `weekly`, which nobody runs."""
    database.create(ledger.metadata)
    for name in ("weekly", "nightly"):
        ledger.open_job(database.engine.begin, name, fingerprint="f", statement=f"SELECT\n  {name}")
    mine = nightly(database)
    with database.engine.begin() as connection:
        ledger.set_upper(connection, mine.job_id, "[4000]", 4000)
        mine.fence(connection, rows=2000, rejected=2, seconds=4.0)
        ledger.write_ranges(connection, mine.job_id, [], [Range(None, "[2000]", 2000)], "token")
        bad = Rejected("[17]", "[17]", "ValueError", "=no\nnumber " + "x" * 80, "Traceback…", crashes=3, at=0.0)
        ledger.add_rejected(connection, mine.job_id, [bad, replace(bad, identity="[18]", crashes=0)])
    return database


def nightly(books: Database) -> Lease:
    found = take(books.engine.begin, "nightly", lease=60)
    assert found is not None
    return found


class Command:
    """`sojourn jobs` on a database: its exit code and what it printed."""

    def __init__(self, books: Database, capsys: pytest.CaptureFixture[str]) -> None:
        self.url = books.engine.url.render_as_string(hide_password=False)
        self.capsys = capsys

    def __call__(self, *arguments: str) -> list[str]:
        assert cli.main(["jobs", self.url, *arguments]) == 0
        return self.capsys.readouterr().out.splitlines()

    def fails(self, *arguments: str) -> tuple[int, str]:
        code = cli.main(["jobs", self.url, *arguments])
        printed = self.capsys.readouterr()
        assert printed.out == ""
        return code, printed.err


@pytest.fixture
def sojourn_jobs(books: Database, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(books, capsys)


def test_jobs_are_listed_with_what_is_done(sojourn_jobs: Command) -> None:
    header, first, second = sojourn_jobs()
    assert header.split() == ["NAME", "STATUS", "ROWS", "REJECTED", "STARTED", "FINISHED"]
    assert re.fullmatch(r"nightly  running +2,000 of 4,000 \(50%\)  2 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", first)
    assert second.split() == ["weekly", "nobody", "runs", "it", "0", "0"]


def test_a_job_is_shown_with_its_owner_its_rate_and_its_ranges(sojourn_jobs: Command) -> None:
    shown = dict(re.split(r"  +", line, maxsplit=1) for line in sojourn_jobs("show", "nightly"))
    assert shown["rows"] == "2,000 of 4,000 (50%), 500 a second"
    assert shown["owner"] == f"{this_process()}, run 1"
    assert re.fullmatch(r"\d+ s ago", shown["sign of life"])
    assert shown["done"] == "beginning to [2000]"
    assert (shown["up to"], shown["statement"], shown["lease"]) == ("[4000]", "SELECT nightly", "60 s")
    other = dict(re.split(r"  +", line, maxsplit=1) for line in sojourn_jobs("show", "weekly"))
    assert (other["owner"], other["sign of life"], other["done"]) == ("nobody", "none yet", "nothing")


def test_orders_reach_the_ledger_and_say_what_will_happen(books: Database, sojourn_jobs: Command) -> None:
    assert sojourn_jobs("pause", "nightly") == ["nightly pauses after the chunk under way."]
    assert wanted(books) == "pause"
    assert "running, shall pause" in sojourn_jobs()[1]
    assert sojourn_jobs("resume", "nightly") == ["nightly goes on."]
    assert wanted(books) == "run"
    assert sojourn_jobs("cancel", "nightly") == ["nightly ends after the chunk under way. What is done stays done."]
    assert wanted(books) == "cancel"
    assert sojourn_jobs("pause", "weekly") == ["weekly will wait when it is started again: nobody runs it now."]
    assert sojourn_jobs("cancel", "weekly") == ["weekly is cancelled: nobody runs it now."]
    assert "cancelled" in sojourn_jobs()[2]
    (line,) = sojourn_jobs("resume", "weekly")
    assert line == "weekly goes on as soon as it is started again: nobody runs it now."


def wanted(books: Database) -> str:
    with books.engine.connect() as connection:
        return ledger.job_named(connection, "nightly").wanted


def test_a_job_that_is_done_takes_no_orders(books: Database, sojourn_jobs: Command) -> None:
    with books.engine.begin() as connection:
        connection.execute(update(job).values(status="done", owner=None))
    assert sojourn_jobs("cancel", "nightly") == ["nightly is done."]
    assert wanted(books) == "run"
    assert sojourn_jobs()[1].split()[1] == "done"


def test_rejected_rows_are_listed_and_as_csv_no_formula(sojourn_jobs: Command) -> None:
    header, first, second = sojourn_jobs("rejected", "nightly")
    assert header.split() == ["IDENTITY", "ERROR", "MESSAGE", "CRASHES", "AT", "RETRY"]
    assert first.startswith("[17]      ValueError  =no number xxxxx")
    assert "x…  3 " in first
    assert second.startswith("[18]")
    assert sojourn_jobs("rejected", "weekly") == ["No row was rejected."]
    first_row, _ = csv.DictReader(io.StringIO("\n".join(sojourn_jobs("rejected", "nightly", "--csv"))))
    assert (first_row["identity"], first_row["crashes"], first_row["retry"]) == ("[17]", "3", "no")
    assert first_row["message"] == "'=no\nnumber " + "x" * 80
    assert first_row["traceback"] == "Traceback…"


def test_rejected_rows_are_marked_for_another_try(sojourn_jobs: Command) -> None:
    assert sojourn_jobs("rejected", "nightly", "--retry") == [
        "2 rejected rows of nightly will be tried again when it is started again."
    ]
    assert [line.split()[-1] for line in sojourn_jobs("rejected", "nightly")[1:]] == ["yes", "yes"]
    assert sojourn_jobs("rejected", "weekly", "--retry") == ["weekly has no rejected rows."]


@pytest.mark.parametrize("action", ["show", "pause", "resume", "cancel", "rejected"])
def test_a_job_that_is_not_there_is_an_error_with_and_without_a_ledger(
    sqlite: Database, capsys: pytest.CaptureFixture[str], action: str
) -> None:
    command = Command(sqlite, capsys)
    for _ in range(2):
        code, said = command.fails(action, "hourly")
        assert code == 1
        assert "no job 'hourly'" in said
        sqlite.create(ledger.metadata)


def test_a_database_without_a_ledger_has_no_jobs(sqlite: Database, capsys: pytest.CaptureFixture[str]) -> None:
    assert Command(sqlite, capsys)() == ["No job has run on this database."]
    assert not ledger_was_made(sqlite)


def ledger_was_made(sqlite: Database) -> bool:
    with sqlite.engine.connect() as connection:
        return ledger.has_tables(connection)


@pytest.mark.parametrize("url", ["no url", "nodriver://here", "sqlite:////no/such/directory/db.sqlite"])
def test_a_database_that_is_not_there_is_an_error(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["jobs", url]) == 2
    assert capsys.readouterr().err != ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "running"),
        ({"wanted": "cancel"}, "running, shall be cancelled"),
        ({"status": "paused", "wanted": "pause"}, "paused"),
        ({"status": "paused"}, "paused"),
        ({"status": "failed", "owner": None}, "failed"),
        ({"heartbeat": -200_000}, "no sign of life for 3 min"),
        ({"heartbeat": -20_000_000, "wanted": "pause"}, "no sign of life for 6 h, shall pause"),
        ({"owner": "gone"}, "killed"),
        ({"owner": None}, "nobody runs it"),
    ],
)
def test_the_status_tells_what_is_known_of_the_owner(sqlite: Database, change: dict[str, Any], said: str) -> None:
    sqlite.create(ledger.metadata)
    opened = ledger.open_job(sqlite.engine.begin, "nightly", fingerprint="f", statement="")
    now = time.time()
    running = replace(opened, owner=this_process().text, heartbeat=int(now * 1000), lease=30.0)
    if "heartbeat" in change:
        change = {**change, "heartbeat": running.heartbeat + change["heartbeat"]}
    if change.get("owner") == "gone":
        change = {**change, "owner": replace(this_process(), start="1").text}
    (_, line) = jobs.jobs_table([replace(running, **change)], now)
    assert line.split("  ")[1] == said
