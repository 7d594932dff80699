"""The whole story on a few rows: it ends well, and it says so when something is not as it must be."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from sojourn.demo import homecoming, story
from sojourn.demo.terminal import Terminal
from sojourn.errors import ConflictError
from sojourn.session.attach import attach


def told(files: Path, workdir: Path, *, keep: bool = False) -> tuple[bool, str]:
    out = io.StringIO()
    return story.tell(files, Terminal(out), workdir=workdir, keep=keep), out.getvalue()


def test_every_expectation_holds_and_the_last_screen_compares_the_two(files: Path, tmp_path: Path) -> None:
    well, text = told(files, tmp_path / "work")
    assert well, text
    assert "✗" not in text
    lost = {
        name: int(count) for name, count in re.findall(r"^ +(attach|Session\.merge) +\d+ +(\d+)$", text, re.MULTILINE)
    }
    assert lost["attach"] == 0
    assert lost["Session.merge"] > 0


def test_the_documents_it_points_to_are_in_the_repository(files: Path, tmp_path: Path) -> None:
    _, text = told(files, tmp_path / "work")
    pointed_to = re.findall(r"^ +((?:docs|src)/\S+)", text, re.MULTILINE)
    assert pointed_to
    repository = Path(__file__).parents[2]
    assert [path for path in pointed_to if not (repository / path).exists()] == []


def test_only_the_database_stays_in_the_workdir_and_serves_the_next_run(files: Path, tmp_path: Path) -> None:
    told(files, tmp_path / "work")
    [base] = (tmp_path / "work").iterdir()
    before = base.read_bytes()
    well, text = told(files, tmp_path / "work")
    assert well
    assert "of an earlier run" in text
    assert [path.read_bytes() for path in (tmp_path / "work").iterdir()] == [before]


def test_what_travelled_is_kept_when_asked_for(files: Path, tmp_path: Path) -> None:
    told(files, tmp_path / "work", keep=True)
    [run] = (tmp_path / "work").glob("run-*")
    assert {path.name for path in run.iterdir()} == {"away.json", "back.json", "home.sqlite", "merge.sqlite"}


def test_an_attach_that_loses_an_update_breaks_the_story(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(session: Any, planes: Any, **options: Any) -> Any:
        report = attach(session, planes, **options)
        planes[0].seats = 1
        return report

    monkeypatch.setattr(homecoming, "attach", forgetful)
    well, text = told(files, tmp_path / "work")
    assert not well
    assert re.search(r"^ +✗ worker: the plane, seats", text, re.MULTILINE)
    assert "NOT AS EXPECTED: worker: the plane, seats" in text


def test_an_attach_that_names_no_conflict_breaks_the_story(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(session: Any, planes: Any, **options: Any) -> Any:
        if not options:
            raise ConflictError([])
        return attach(session, planes, **options)

    monkeypatch.setattr(homecoming, "attach", silent)
    well, text = told(files, tmp_path / "work")
    assert not well
    assert text.count("✗") == 1
    assert "✗ it names the one conflict there is" in text
