"""Whether a process lives is said only where it is known."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sojourn.batch import owner
from sojourn.batch.owner import is_gone, owner_of, this_process


def test_this_process_lives_and_each_run_of_it_is_another_owner() -> None:
    mine = this_process()
    assert not is_gone(mine)
    assert mine != this_process()
    assert replace(mine, run="") == replace(this_process(), run="")
    assert owner_of(mine.text) == mine
    assert str(mine) == f"{mine.host}, process {mine.process}"


def test_a_process_that_ended_is_gone_also_before_its_parent_asked_how() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "from sojourn.batch.owner import this_process; print(this_process().text)"],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(Path(owner.__file__).parent.parent.parent)},
    )
    assert child.stdout is not None
    ended = owner_of(child.stdout.read().decode())
    while not is_gone(ended):  # it closed its output, and is about to end
        pass
    child.communicate()
    assert is_gone(ended)


def test_a_number_that_was_given_to_another_process_is_not_the_owner() -> None:
    assert is_gone(replace(this_process(), start="1"))


@pytest.mark.parametrize("change", [{"host": "other"}, {"boot": "other"}, {"namespace": "other"}])
def test_of_a_process_of_elsewhere_nobody_knows(change: Any) -> None:
    assert not is_gone(replace(replace(this_process(), start="1"), **change))


def test_where_the_system_does_not_tell_a_process_is_gone_only_when_its_number_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(owner, "_PROC", tmp_path)
    mine = this_process()
    assert (mine.boot, mine.namespace, mine.start) == ("", "", "")
    assert not is_gone(mine)
    assert not is_gone(replace(mine, process=1))
    assert is_gone(replace(mine, process=2**22 + 1))  # more than Linux gives
    monkeypatch.setattr(sys, "platform", "win32")
    assert not is_gone(replace(mine, process=2**22 + 1))
