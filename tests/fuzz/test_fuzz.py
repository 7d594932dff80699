"""A short run of the fuzzer, always the same one, and proof that its oracle sees what is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sojourn.errors import SnapshotError
from sojourn.snapshot import dumps, loads
from tests.fuzz import corpus, mutate, oracle
from tests.fuzz.oracle import Oracle
from tests.models.shop import Customer


@pytest.fixture(scope="module")
def documents() -> list[bytes]:
    return corpus.seeds()


def test_damaged_documents_give_objects_or_one_clear_error(documents: list[bytes], tmp_path: Path) -> None:
    mutator, watch = mutate.Mutator(documents, corpus.names()), Oracle(tmp_path)
    random = Random(2026)
    for _ in range(1500):
        watch.check(mutator.fresh(random))
    assert not watch.wrong, watch.report()
    # Some of either, or the mutations do too much or too little.
    assert watch.accepted > 50
    assert sum(watch.refused.values()) > 500
    assert {"$", "$.roots", "$.tables"} <= watch.refused.keys()


def test_the_documents_that_are_damaged_are_good(documents: list[bytes]) -> None:
    assert len(documents) > 20
    for data in documents:
        assert loads(data, corpus.MODELS)
        oracle.same_again(loads(data, corpus.MODELS), "json")


def test_an_input_can_be_made_again_from_its_seed(documents: list[bytes]) -> None:
    mutator = mutate.Mutator(documents, corpus.names())
    assert [mutator.fresh(Random(seed)) for seed in range(50)] == [mutator.fresh(Random(seed)) for seed in range(50)]


def raising(error: Exception) -> Callable[..., Any]:
    def instead(*_given: Any, **_named: Any) -> Any:
        raise error

    return instead


def slow(*_given: Any, **_named: Any) -> Any:
    end = time.process_time() + oracle.SECONDS_AT_LEAST
    while time.process_time() <= end:
        pass
    raise SnapshotError("slow", where="$")


def other(data: bytes, _models: Any, **_named: Any) -> Any:
    return [Customer(name=f"{time.perf_counter_ns()} {len(data)}")]


@pytest.mark.parametrize(
    ("instead", "noted"),
    [
        (raising(KeyError("x")), "'x'"),
        (raising(RecursionError("deep")), "deep"),
        (raising(SnapshotError("somewhere")), "does not say where"),
        (slow, "too slow"),
        (other, "not the same again"),
        (lambda *_given, **_named: [Customer(name=5)], "accepted, but not again"),
    ],
)
def test_the_oracle_notes_what_is_wrong_and_keeps_the_input(
    instead: Callable[..., Any], noted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oracle, "loads", instead)
    watch = Oracle(tmp_path)
    for _ in range(oracle.SAME_AGAIN):
        watch.check(b"input")
    assert not watch.passed
    assert any(noted in name for name in watch.wrong), watch.report()
    kept = [file for file in tmp_path.iterdir() if file.suffix != ".txt" and file.name != "slowest"]
    assert [file.read_bytes() for file in kept] == [b"input"]


def test_the_oracle_lets_a_refusal_and_a_good_document_pass() -> None:
    watch = Oracle()
    good = dumps(Customer(name="Ann"))
    for data in (good, b"", good, good[:-1], good):
        watch.check(data)
    # Not `passed`: the memory of this process is that of all tests before.
    assert (watch.inputs, watch.accepted, watch.wrong) == (5, 3, {})
    assert "inputs: 5 (3 accepted, 2 refused)" in watch.report()
