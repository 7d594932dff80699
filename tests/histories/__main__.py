"""`python -m tests.histories --attaches 20000`: the long histories, on every database and isolation level."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.databases import SERVERS, server_engine
from tests.histories.run import History, history, processes, settings

COLUMNS = ("attaches", "done", "conflict", "missing", "retries", "serialization", "locked", "deadlocks")


def line(found: History) -> str:
    """A history as a row of the table."""
    numbers = "".join(f"{found.counts[column]:>14}" for column in COLUMNS)
    return f"{found.setting.name:<40}{numbers}{len(found.complaints):>14}{found.seconds:>9.0f}s"


def main() -> int:
    """Print the table; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attaches", type=int, default=20_000, help="on each database and isolation level")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    arguments = parser.parse_args()
    failed = False
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {name: stack.enter_context(server_engine(name)).url for name in SERVERS}
        shown = {name: url.render_as_string(hide_password=False) for name, url in urls.items()}
        pool = stack.enter_context(processes())
        print(f"{'':<40}{''.join(f'{column:>14}' for column in (*COLUMNS, 'lost'))}")
        for setting in settings(directory, shown):
            if arguments.only.lower() not in setting.name.lower():
                continue
            found = history(pool, setting, arguments.attaches, directory)
            print(line(found), flush=True)
            others = set(found.counts) - set(COLUMNS)
            wrong = [*found.complaints[:20], *(f"{found.counts[other]} × {other}" for other in sorted(others))]
            for complaint in wrong:
                print("   ", complaint)
            failed = failed or bool(wrong) or bool(found.counts["deadlocks"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
