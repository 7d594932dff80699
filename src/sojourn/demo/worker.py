"""The separate process of the demo: reads JSON, edits the objects, writes JSON. It has no database.

python -m sojourn.demo.worker in.json out.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from sojourn.demo.edits import apply, plans, rows_of
from sojourn.demo.models import Base, Plane
from sojourn.snapshot import dumps, loads


def main(source: Path, target: Path) -> None:
    """Load the one plane of the source file, carry out the worker's plan, write the target file. Database: none."""
    plane: Plane
    [plane] = loads(source.read_bytes(), Base)
    worker, _ = plans(rows_of(plane))
    apply(plane, worker)
    target.write_bytes(dumps([plane]))
    for edit in worker:
        print(edit)
    if "sqlite3" in sys.modules:
        raise SystemExit("The worker has loaded a database driver, though it should have had no use for one.")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
