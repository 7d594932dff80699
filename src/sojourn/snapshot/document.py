"""`dumps` and `loads`: an object graph as a document, out and in."""

from __future__ import annotations

from typing import Any, Literal

from sojourn.collector import collector_paused
from sojourn.mapping.identity import as_list
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.capture import capture
from sojourn.snapshot.encoding import JSON, MESSAGEPACK, decode, encode
from sojourn.snapshot.restore import restore


_ENCODINGS = {"json": JSON, "msgpack": MESSAGEPACK}


def dumps(objs: Any, *, format: Literal["json", "msgpack"] = "json") -> bytes:  # noqa: A002 - the public contract
    """Objects, and everything that can be reached from them in memory, as bytes.

    The document holds what is loaded, edits together with their base, and new objects. What is not loaded or expired
    stays so. The objects and their session are left as they are; a new object gets a token in `InstanceState.info`, by
    which a second copy of it is recognised.

    Parameters:
        objs: one mapped instance, or an iterable of them, in whatever state and session.

    Returns: UTF-8 JSON, as `docs/format.md` specifies it.

    Raises:
        NotMappedError: something that was given is no mapped instance.
        UncommittedError: objects in the graph were flushed but not committed, or are deleted or marked for deletion.
        SnapshotError: a value that does not fit its column's type, a type that cannot travel, two instances of one
            row, changes of a dynamic collection. It names the class and the attribute.

    Database: none.
    """
    with collector_paused():
        return encode(capture(as_list(objs)), _ENCODINGS[format])


def loads(data: bytes, models: Any) -> list[Any]:
    """The objects that `dumps` wrote, without a session: detached, or transient where they are new.

    They are built as a SELECT builds them: `__init__` is not called, load events are. Edits are still edits, with their
    base, so `inspect(obj).attrs.x.history` and a later flush tell what was changed. Reading what was not loaded raises
    NotLoadedError. The reference that leads back from a loaded collection is filled.

    Parameters:
        data: what `dumps` returned. It may come from anywhere: it can only build objects of the classes in `models`.
        models: a registry, a declarative base, a mapped class, or an iterable of these. Subclasses count only if they
            are listed or in the registry.

    Returns: the objects that were given to `dumps`, in the same order.

    Raises:
        SnapshotError: the bytes are damaged, of a newer format, of other classes or attributes, or contradict
            themselves. It says where. No object is returned, and no session was involved.
        NotMappedError: `models` is something else.

    Database: none.
    """
    with collector_paused():
        return restore(decode(data, Allowed(models)))
