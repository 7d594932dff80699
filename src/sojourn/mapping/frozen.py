"""A copy of plain JSON that costs little to keep: its bytes, read again only where somebody asks.

Every object that comes from a document has a base for each value that can be changed in place, and nearly none of these
is ever looked at.
"""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Frozen(msgspec.Struct, gc=False):
    """A list or dict of plain JSON, as it was. It holds no more than bytes, so no garbage collector need look at it."""

    data: bytes

    def thawed(self) -> Any:
        """A new copy."""
        return _decode(self.data)

    def is_still(self, value: Any) -> bool:
        """Whether a value of plain JSON is written as this one. False may also mean that its keys are ordered anew."""
        try:
            return _encode(value) == self.data
        except (TypeError, ValueError, OverflowError, RecursionError):
            return False


def freeze(value: Any) -> Frozen:
    """A list or dict of plain JSON, as it is now. Raises what msgspec raises where it cannot be written."""
    return Frozen(_encode(value))
