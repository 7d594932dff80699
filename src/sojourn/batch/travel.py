"""What happens to a chunk away from home: objects come as bytes, the function is called, only its changes go back.

This module is what a worker imports. It knows no database: the objects are detached, and reading what was not loaded
is the function's error, which names the loader option that the statement lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import inspect

from sojourn.batch.call import By, Fault, call, fault_of
from sojourn.batch.waiting import Blocking
from sojourn.snapshot import Limits, dumps, loads

_NO_LIMITS = Limits(max_bytes=None, max_objects=None, max_depth=None, max_string=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a chunk in a worker.

    Attributes:
        data: the changes of the good rows' objects; empty where there are none.
        faults: of single rows, by their places in the chunk.
        whole: what was raised where nobody knows on which row; then there is nothing else.
    """

    data: bytes = b""
    faults: tuple[Fault, ...] = ()
    whole: Fault | None = None


def pack(objs: Sequence[Any]) -> bytes:
    """Objects for the way out. Database: none."""
    return dumps(objs, format="msgpack")


def unpack(data: bytes, models: Any) -> list[Any]:
    """The objects of a job's own bytes, detached. `models`: mapped classes; of a single one, all that its registry
    has. Database: none."""
    if isinstance(models, type):
        models = inspect(models, raiseerr=True).registry
    return loads(data, models, limits=_NO_LIMITS)


def work_on(data: bytes, models: Any, function: Callable[[Any], Any], by: By) -> Answer:
    """Call the function on the objects of a chunk, in a worker. Raises nothing: what goes wrong is in the answer.

    With bad rows all is done again without them: what the function had changed on the way to its error is gone.
    """
    bad: dict[int, Fault] = {}
    try:
        with closing(Blocking()) as waiting:
            while True:
                objs = list(enumerate(unpack(data, models)))
                good = [(place, obj) for place, obj in objs if place not in bad]
                found = call(function, [obj for _, obj in good], by, waiting, lambda _: False)
                if not found:
                    break
                bad.update((good[one.index][0], replace(one, index=good[one.index][0])) for one in found)
        changes = dumps([obj for _, obj in good], format="msgpack", changes_only=True) if good else b""
    except Exception as error:  # noqa: BLE001 - it is said at home
        return Answer(whole=fault_of(0, error))
    return Answer(changes, tuple(bad.values()))


def arrived(function: Callable[[Any], Any]) -> bool:
    """Whether a worker could import what it is to call: asked before the first chunk travels."""
    return callable(function)
