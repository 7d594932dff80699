"""The user's function, called on the objects of a chunk, and what it raised on which of them."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sojourn.batch.waiting import Waiting

By = Literal["row", "chunk"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What was raised on one object, in words: an exception may not travel, and its traceback holds on to objects."""

    index: int
    error: str
    message: str
    traceback: str


def fault_of(index: int, error: BaseException) -> Fault:
    """The words for an exception. Pure."""
    try:
        message = str(error)
    except Exception as unspeakable:  # noqa: BLE001 - a user's exception may fail to say what it is
        message = f"({type(error).__name__} has no text: {type(unspeakable).__name__})"
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    return Fault(index, name, message, "".join(traceback.format_exception(error)))


def call(
    function: Callable[[Any], Any],
    objs: Sequence[Any],
    by: By,
    waiting: Waiting,
    passed_on: Callable[[Exception], bool],
) -> list[Fault]:
    """Call a function on each object, or once on all, and wait for it where it is async.

    With `by="row"` an exception is the fault of its object, and the others go on; with "chunk" nobody knows whose it
    is, and it is raised, as is what `passed_on` says may be another's fault.
    """
    if by == "chunk":
        if objs:
            _finish(function(list(objs)), waiting)
        return []
    faults = []
    for index, obj in enumerate(objs):
        try:
            _finish(function(obj), waiting)
        except Exception as error:
            if passed_on(error):
                raise
            faults.append(fault_of(index, error))
    return faults


def _finish(result: Any, waiting: Waiting) -> None:
    if result is not None and inspect.isawaitable(result):
        waiting.result(result)
