"""`dumps` and `loads`: an object graph as a document, out and in."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from sojourn.collector import collector_paused
from sojourn.errors import BadArgumentError, SnapshotError
from sojourn.mapping.identity import as_list
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.capture import capture
from sojourn.snapshot.changes_only import only_changes
from sojourn.snapshot.decoding import decode
from sojourn.snapshot.encoding import JSON, MESSAGEPACK, REFUSALS, Encoding, encode
from sojourn.snapshot.evolution import OnUnknown, Renames, evolution
from sojourn.snapshot.limits import Limits, check_bytes
from sojourn.snapshot.restore import restore
from sojourn.snapshot.signing import Key, sign, unsigned
from sojourn.snapshot.writing import RowWriter

_ENCODINGS = {"json": JSON, "msgpack": MESSAGEPACK}
_LIMITS = Limits()


def dumps(
    objs: Any,
    *,
    format: Literal["json", "msgpack"] = "json",  # noqa: A002 - the public contract
    changes_only: bool = False,
    key: Key | None = None,
) -> bytes:
    """Objects, and everything that can be reached from them in memory, as bytes.

    The document holds what is loaded, edits together with their base, and new objects. What is not loaded or expired
    stays so. The objects and their session are left as they are; a new object gets a token in `InstanceState.info`, by
    which a second copy of it is recognised.

    Parameters:
        objs: one mapped instance, or an iterable of them, in whatever state and session.
        format: JSON, which a person can read, or MessagePack, which is smaller.
        changes_only: leave out what nobody changed: what a worker sends home. The document holds edits with their base,
            new objects, and the way from the roots to them, on which objects have no more than their primary key.
            Everything else is unloaded in what `loads` makes of it, and `attach` leaves it as it is.
        key: a secret of at least 16 bytes with which the document is signed (HMAC-SHA256), or several, the newest
            first, which signs. `loads` needs it, too.

    Returns: the document as `docs/format.md` specifies it; with a key, behind a line with its signature.

    Raises:
        NotMappedError: something that was given is no mapped instance.
        UncommittedError: objects in the graph were flushed but not committed, or are deleted or marked for deletion.
        SnapshotError: a value that does not fit its column's type, a type that cannot travel, two instances of one
            row, changes of a dynamic collection. It names the class and the attribute.
        BadArgumentError: a key that is too short or none; a format that is not known.

    Database: none.
    """
    if format not in _ENCODINGS:
        raise BadArgumentError(f'format is {format!r}. It is "json" or "msgpack".')
    with collector_paused():
        document = _document(as_list(objs), _ENCODINGS[format], changes_only)
    return document if key is None else sign(document, key)


def _document(objs: Sequence[Any], encoding: Encoding, changes_only: bool) -> bytes:
    if changes_only:
        return encode(only_changes(capture(objs)), encoding)
    # What is rare or wrong shows on the way. Then all is read again, and kept, to find its form, or whose fault it is.
    with suppress(SnapshotError, *REFUSALS):
        return encode(capture(objs, partial(RowWriter, encoding)), encoding)
    return encode(capture(objs), encoding)


def loads(
    data: bytes,
    models: Any,
    *,
    key: Key | None = None,
    limits: Limits = _LIMITS,
    on_unknown: OnUnknown = "raise",
    renames: Renames | None = None,
) -> list[Any]:
    """The objects that `dumps` wrote, without a session: detached, or transient where they are new.

    They are built as a SELECT builds them: `__init__` is not called, load events are. Edits are still edits, with their
    base, so `inspect(obj).attrs.x.history` and a later flush tell what was changed. Reading what was not loaded raises
    NotLoadedError. The reference that leads back from a loaded collection is filled.

    Bytes of an older version of the mapping can be read: an attribute that was added since is not loaded; what became
    of the others `renames` and `on_unknown` tell. Classes are found by name, in whatever module they are.

    Parameters:
        data: what `dumps` returned. It may come from anywhere: it can only build objects of the classes in `models`.
        models: a registry, a declarative base, a mapped class, or an iterable of these. Subclasses count only if they
            are listed or in the registry.
        key: the key that the document was signed with, or several of which one will do. With a key, bytes that are not
            signed or were changed are refused; without one, bytes that are signed.
        limits: how many bytes and objects are taken, how deep values may be nested, how long strings may be.
        on_unknown: what to do with attributes that the mapping does not have: "raise", or "ignore", which leaves them
            out with their edits. An unknown class is an error in any case.
        renames: `{Model: {"old": "new"}}` for attributes that have another name now, of the class and its subclasses,
            and `{"OldName": Model}` for classes. A class has to be among the models, too. What was written with
            today's mapping is read as it is.

    Returns: the objects that were given to `dumps`, in the same order.

    Raises:
        SnapshotError: the bytes are damaged, too large, signed otherwise, of a newer format, of other classes or
            attributes, or contradict themselves. It says where. No object is returned, and no session was involved.
        NotMappedError: `models` is something else, or `renames` names a class that is not mapped.
        BadArgumentError: a key that is too short or none; an `on_unknown` that is not known, a new name in `renames`
            that the mapping does not have.

    Database: none.
    """
    told = evolution(on_unknown, renames)
    document = unsigned(check_bytes(data, limits), key)
    with collector_paused():
        return restore(decode(document, Allowed(models), limits, told))
