"""Run SQLAlchemy's own tests of merge with `Session.merge` and `merge_all` replaced by sojourn's.

The tests are those of the SQLAlchemy that is installed here: its source distribution is fetched from PyPI once, into
`.cache/conformance`. A test that fails is tried again with statement counts relaxed. Exit status 1 where one fails that
docs/reference/conformance.md does not name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import sqlalchemy

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "conformance"
DOCS = ROOT / "docs" / "reference" / "conformance.md"
FIRST = "test/orm/test_merge.py"
CALL = re.compile(r"\.merge\(|\.merge_all\b")


def suite(version: str) -> Path:
    """The unpacked source distribution of this SQLAlchemy, fetched where it is not there."""
    unpacked = CACHE / f"sqlalchemy-{version}"
    if not unpacked.exists():
        options = [
            "--quiet",
            "--no-binary",
            ":all:",
            "--no-deps",
            "--no-build-isolation",
            "--pre",
            "--dest",
            str(CACHE),
        ]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, f"sqlalchemy=={version}"], check=True)
        with tarfile.open(CACHE / f"sqlalchemy-{version}.tar.gz") as archive:
            archive.extractall(CACHE, filter="data")
    return unpacked


def files(unpacked: Path) -> list[str]:
    """The test files of the ORM and its extensions that call merge; asyncio's needs more than SQLite."""
    found = [
        str(path.relative_to(unpacked))
        for folder in ("test/orm", "test/ext")
        for path in sorted((unpacked / folder).rglob("test_*.py"))
        if "asyncio" not in path.parts and CALL.search(path.read_text(encoding="utf-8"))
    ]
    return [FIRST, *(name for name in found if name != FIRST)]


def run(unpacked: Path, tests: Sequence[str], *, relaxed: bool) -> dict[str, tuple[str, bool]]:
    """How each of these tests ended, and whether it reached merge."""
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "SOJOURN_CONFORMANCE_LOG": str(log)}
        if relaxed:
            environment["SOJOURN_CONFORMANCE_RELAX"] = "1"
        # -s: SQLAlchemy's conftest then takes the installed SQLAlchemy, not the one beside it.
        command = [sys.executable, "-s", "-m", "pytest", "-q", "-p", "tests.conformance.plugin", "--maxfail=10000"]
        done = subprocess.run([*command, *tests], cwd=unpacked, env=environment, capture_output=True, check=False)
        if not log.exists():
            sys.exit(f"{done.stdout.decode()}\n{done.stderr.decode()}")
        ended: dict[str, tuple[str, bool]] = {}
        for line in log.read_text(encoding="utf-8").splitlines():
            outcome, reached, name = line.split("\t")
            if ended.get(name, ("passed", False))[0] == "passed":
                ended[name] = outcome, reached == "merge"
        return ended


def main() -> int:
    version = sqlalchemy.__version__
    unpacked = suite(version)
    tests = files(unpacked)
    ended = run(unpacked, tests, relaxed=False)
    reached = {name: outcome for name, (outcome, merges) in ended.items() if merges}
    failed = [name for name, (outcome, _) in ended.items() if outcome == "failed"]
    again = run(unpacked, failed, relaxed=True) if failed else {}
    relaxed = [name for name in failed if again[name][0] == "passed"]
    failed = [name for name in failed if name not in relaxed]
    known = DOCS.read_text(encoding="utf-8")
    print(f"SQLAlchemy {version}: {len(tests)} files, {len(ended)} tests, of which {len(reached)} reach merge")
    print(f"  passed: {list(reached.values()).count('passed')}")
    print(f"  passed with statement counts relaxed: {_listed(relaxed)}")
    print(f"  failed: {_listed(failed)}")
    return int(any(name not in known for name in failed))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return "".join([str(len(names)), *(f"\n    {name}" for name in names)])


if __name__ == "__main__":
    sys.exit(main())
