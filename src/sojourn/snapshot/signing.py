"""Signed bytes: who may change a document on its way, and who may not.

A signed document begins with one ASCII line, `sojourn-hmac-sha256` and 64 hex digits, and goes on with the document as
it is, so that JSON stays JSON for a person who reads it. The digits are the HMAC-SHA256 of a prefix and of the whole
document. The prefix keeps the same key's other signatures from passing for one of ours.

A key is needed on both sides or on none: unsigned bytes are not taken where a key is given, so a signature cannot be
stripped, and signed bytes are not taken where none is given, so nobody forgets to check. Signing does not encrypt, and
does not keep old bytes from being sent again.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import TypeAlias

from sojourn.errors import BadArgumentError, SnapshotError

Key: TypeAlias = bytes | str | Sequence[bytes | str]
"""One secret, or several, the newest first. A str stands for its UTF-8 bytes."""

MIN_KEY = 16
"""The fewest bytes that a key may have. `secrets.token_bytes(32)` makes a good one."""

_NAME = b"sojourn-hmac-sha256 "
_LINE = re.compile(re.escape(_NAME) + rb"([0-9a-f]{64})\n")
_DOMAIN = b"sojourn snapshot\0"


def sign(document: bytes, key: Key) -> bytes:
    """The document behind a line with its signature.

    Parameters:
        document: any bytes.
        key: at least 16 bytes; of several keys the first signs.

    Returns: the signed bytes.

    Raises:
        BadArgumentError: the key is too short, empty or no key.

    Database: none.
    """
    newest = _secrets(key)[0]
    return _NAME + _signature(newest, document).encode() + b"\n" + document


def unsigned(data: bytes, key: Key | None) -> bytes:
    """The document in these bytes, if it is signed with one of the keys, or not signed and no key is given.

    Parameters:
        data: what `sign` returned, or a document.
        key: each of several keys will do, so that bytes which were signed with an older one can still be read.

    Returns: the document.

    Raises:
        SnapshotError: the bytes were changed or signed with another key; they are signed and there is no key; they are
            not signed and there is one.
        BadArgumentError: the key is too short, empty or no key.

    Database: none.
    """
    secrets = None if key is None else _secrets(key)
    line = _LINE.match(data)
    if secrets is None:
        if line is not None or data[: len(_NAME)] == _NAME:
            raise SnapshotError("the bytes are signed", where="$", remedy="Read them with key=..., the signer's key.")
        return data
    if line is None:
        raise SnapshotError(
            "the bytes are not signed",
            where="$",
            remedy="Write them with dumps(..., key=...). Leave out the key only if you trust where they come from.",
        )
    document = data[line.end() :]
    given = line[1].decode()
    if not any(hmac.compare_digest(_signature(secret, document), given) for secret in secrets):
        raise SnapshotError(
            "the signature does not fit: the bytes were changed, or signed with another key",
            where="$",
            remedy="If the key was changed, list the old one behind the new one: key=[new, old].",
        )
    return document


def _signature(secret: bytes, document: bytes) -> str:
    signing = hmac.new(secret, _DOMAIN, "sha256")
    signing.update(document)
    return signing.hexdigest()


def _secrets(key: Key) -> list[bytes]:
    """The keys as bytes. A wrong one is the caller's mistake, so it is no SnapshotError, which bytes are blamed for."""
    keys = [key] if isinstance(key, (bytes, str)) else list(key) if isinstance(key, (list, tuple)) else []
    if not keys or not all(isinstance(one, (bytes, str)) for one in keys):
        raise BadArgumentError("key takes bytes or a str, or a list or tuple of them, the newest first.")
    secrets = [one.encode() if isinstance(one, str) else one for one in keys]
    if any(len(secret) < MIN_KEY for secret in secrets):
        raise BadArgumentError(f"key is shorter than {MIN_KEY} bytes. Make one with secrets.token_bytes(32).")
    return secrets
