"""What a codec is: how the values of one column travel.

A codec says which Python types a column takes, which type msgspec shall read, and, where msgspec alone would lose
something, how a whole column is turned into what travels and back. A value that is not exactly of a type that its
column takes is refused: a subclass, a dataclass or an SQL expression would come back as something else.

Codecs get a column of values, None among them, and raise ValueError where one of them cannot travel.

Most values have one form. Some types have rare ones beside it (NaN in JSON, an offset with seconds), which msgspec
alone cannot read; `wide` is the type that admits those. A document is read by `wire`, and by `wide` only after msgspec
has refused, so that ordinary values cost no work in Python. Rare forms are objects or strings, never arrays: an array
is one only where the column's type has many values, so that ARRAY can tell its own nesting from its items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

Values = Sequence[Any]
Encode = Callable[[Values, set[type], bool, bool], Values]
"""(values, the set of their types, perhaps with others, packed, wide) -> what travels."""
Decode = Callable[[Values, bool], Values]
"""(what travelled, packed) -> values."""

NONE = type(None)


@dataclass(frozen=True, slots=True)
class Codec:
    """How the values of one column travel.

    `wire` is the type by which msgspec reads them. `wide` is None, or the type that also admits their rare forms; then
    `decode` is needed only for what was read by `wide`, else always. `takes` is None where `encode` does all the
    checking. `array` says that a single value travels as an array, or may do so; `document` that lists and dicts are
    plain JSON. `passes` are the types whose values `encode` leaves as they are, unless `wide`.
    """

    wire: Any
    takes: frozenset[type] | None = None
    wide: Any = None
    encode: Encode | None = None
    decode: Decode | None = None
    array: bool = False
    document: bool = False
    passes: frozenset[type] = frozenset()

    @property
    def widest(self) -> Any:
        """The type that admits every form."""
        return self.wire if self.wide is None else self.wide

    def outgoing(self, values: Values, packed: bool = False, wide: bool = False) -> Values:
        """A column of Python values as it travels; the same sequence where nothing has to be changed.

        `packed` is for MessagePack. `wide` also turns what msgspec refuses to encode by itself into its rare form.
        """
        kinds = set(map(type, values))
        self.check(kinds)
        return self.sent(values, kinds, packed, wide)

    def sent(self, values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
        """The same for a column that was checked. `kinds` are the types of its values, or more."""
        return values if self.encode is None else self.encode(values, kinds, packed, wide)

    def check(self, kinds: AbstractSet[type]) -> None:
        """Raise ValueError unless the column takes values of these types."""
        if self.takes is not None and not kinds <= self.takes:
            raise ValueError(refusal(kinds - self.takes, self.takes))

    def leaves(self, kinds: AbstractSet[type], wide: bool) -> bool:
        """Whether values of these types travel as they are."""
        return self.encode is None or (not wide and kinds <= self.passes)

    def incoming(self, values: Values, packed: bool = False) -> Values:
        """A column of what was read as Python values; the same sequence where nothing has to be changed."""
        return values if self.decode is None else self.decode(values, packed)


def plain(*types: type, wire: Any = None, **parts: Any) -> Codec:
    """The codec of a column that takes these types and None. msgspec reads the first one."""
    return Codec((wire or types[0]) | None, frozenset({*types, NONE}), **parts)


def refusal(kinds: AbstractSet[type], takes: frozenset[type]) -> str:
    """What is wrong with a column that holds one of the first types."""
    names = " or ".join(sorted(one.__name__ for one in takes if one is not NONE))
    return f"holds {article(min(kinds, key=_name))}, and the column takes {names}"


def article(kind: type) -> str:
    """`an int` for int."""
    return f"{'an' if kind.__name__[:1].lower() in 'aeiou' else 'a'} {kind.__name__}"


def _name(kind: type) -> str:
    return kind.__name__
