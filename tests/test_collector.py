"""The collector is paused while graphs are built, and set going again whatever happens."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from sojourn import SnapshotError, dumps, loads
from sojourn.collector import collector_paused
from tests.models.shop import Base, Customer


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    was = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was else gc.disable)()


def test_it_runs_again_after_the_block_and_after_an_error() -> None:
    with collector_paused():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()


def test_blocks_inside_one_another_leave_it_paused_until_the_last_one_ends() -> None:
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with collector_paused():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_blocks_that_overlap_in_two_threads_pause_it_until_the_later_one_ends() -> None:
    inside, leave = Event(), Event()

    def other() -> None:
        with collector_paused():
            inside.set()
            assert leave.wait(10)

    thread = Thread(target=other)
    with collector_paused():
        thread.start()
        assert inside.wait(10)
    assert not gc.isenabled()
    leave.set()
    thread.join(10)
    assert gc.isenabled()


def test_dumps_and_loads_leave_it_on_also_when_they_refuse() -> None:
    data = dumps(Customer(name="Ann"))
    assert gc.isenabled()
    loads(data, Base)
    assert gc.isenabled()
    with pytest.raises(SnapshotError):
        loads(data[:-1], Base)
    with pytest.raises(SnapshotError):
        dumps(Customer(name=5))
    assert gc.isenabled()
