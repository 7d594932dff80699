"""How progress is told: in words, on a terminal, in a log, to a function, or not at all."""

from __future__ import annotations

import io

import pytest

from sojourn.batch.progress import Progress, watcher_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (Progress("nightly", 5000, 0, 20000, 100.0), "nightly: 5,000 of 20,000 rows (25%), 100 rows/s, 2:30 left"),
        (
            Progress("nightly", 5000, 2, 20000, 1.0),
            "nightly: 5,000 of 20,000 rows (25%), 1 rows/s, 2 rejected, 4:10:00 left",
        ),
        (
            Progress("nightly", 20000, 2, 20000, 1.0, True),
            "nightly: 20,000 of 20,000 rows (100%), 1 rows/s, 2 rejected",
        ),
        (Progress("nightly", 0, 0, 0, 0.0), "nightly: 0 of 0 rows (100%), 0 rows/s"),
        (Progress("nightly", 7, 0, None, 7.0), "nightly: 7 rows, 7 rows/s"),
    ],
)
def test_it_is_said_in_a_line(progress: Progress, said: str) -> None:
    assert str(progress) == said


def test_a_log_gets_a_line_every_few_seconds_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("sojourn.batch.progress.time.monotonic", lambda: now)
    out = io.StringIO()
    tell = watcher_of(None, out)
    for second in range(13):
        now = float(second)
        tell(Progress("j", second, 0, 13, 1.0))
    tell(Progress("j", 13, 0, 13, 1.0, finished=True))
    assert [line.split(" ")[1] for line in out.getvalue().splitlines()] == ["5", "10", "13"]


def test_a_terminal_has_one_line_that_is_written_anew() -> None:
    out = Terminal()
    tell = watcher_of(None, out)
    tell(Progress("j", 1, 0, 2, 1.0))
    tell(Progress("j", 1, 0, 2, 1.0))  # too soon
    tell(Progress("j", 2, 0, 2, 1.0, finished=True))
    half, whole = out.getvalue().split("\r\x1b[K")[1:]
    assert half.startswith(f"[{'█' * 12}{'·' * 12}] j: 1 of 2 rows")
    assert whole.startswith(f"[{'█' * 24}] j: 2 of 2 rows")
    assert whole.endswith("\n")


def test_a_function_is_called_and_false_is_silence(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []
    progress = Progress("j", 1, 0, 2, 1.0, finished=True)
    watcher_of(seen.append)(progress)
    watcher_of(False)(progress)
    assert seen == [progress]
    assert capsys.readouterr() == ("", "")
