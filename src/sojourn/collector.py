"""Python's cyclic garbage collector, paused while many objects are made that are all going to live.

The collector starts after so many allocations and looks at what is there. While a graph is built everything that it
finds is in use, and looking takes four times as long as building. Whatever is freed meanwhile is freed by its reference
count, as always; only garbage in cycles waits until the end.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_paused = 0
_was_enabled = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector in the `with` block, and set it going again whatever happens.

    Blocks may be nested and may overlap in several threads: the first one stops it, the last one starts it again, if it
    was on before. docs/adr/0009 has the reasons and the limits. Database: none.
    """
    global _paused, _was_enabled  # noqa: PLW0603 - the collector is one for the whole process, and so is this
    with _lock:
        if _paused == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _paused += 1
    try:
        yield
    finally:
        with _lock:
            _paused -= 1
            if _paused == 0 and _was_enabled:
                gc.enable()
