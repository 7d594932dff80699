"""A copy of plain JSON that costs little to keep: its bytes, read again only where somebody asks.

Every object that comes from a document has a base for each value that can be changed in place, and nearly none of these
is ever looked at.
"""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Frozen:
    """A list or dict of plain JSON, as it was. Raises what msgspec raises where it cannot be written."""

    __slots__ = ("_data",)

    def __init__(self, value: Any) -> None:
        self._data = _encode(value)

    def thawed(self) -> Any:
        """A new copy."""
        return _decode(self._data)

    def is_still(self, value: Any) -> bool:
        """Whether a value of plain JSON is written as this one. False may also mean that its keys are ordered anew."""
        try:
            return _encode(value) == self._data
        except (TypeError, ValueError, OverflowError, RecursionError):
            return False
