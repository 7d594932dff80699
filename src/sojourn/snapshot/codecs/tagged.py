"""Columns that hold values of several Python types, as a TypeDecorator's or a driver's.

Values of the column's natural type travel as themselves, others as an object of one key that names their type, such as
`{"IPv4Address": "10.0.0.1"}`. The names are those of a fixed table and of `register_type`; nothing is imported.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

import msgspec

from sojourn.snapshot.codecs.codec import NONE, Codec, Values, article


class Tags(Protocol):
    """Which other types a column takes, and under which names."""

    def of(self, kind: type) -> tuple[str, Codec] | None:
        """The name and codec of a Python type."""

    def named(self, name: str) -> Codec | None:
        """The codec that a name stands for."""


class FixedTags:
    """Some types and no others."""

    def __init__(self, codecs: dict[type, Codec]) -> None:
        self._codecs = codecs
        self._names = {kind.__name__: codec for kind, codec in codecs.items()}

    def of(self, kind: type) -> tuple[str, Codec] | None:
        codec = self._codecs.get(kind)
        return None if codec is None else (kind.__name__, codec)

    def named(self, name: str) -> Codec | None:
        return self._names.get(name)


def tagged(natural: Codec, tags: Tags) -> Codec:
    """The codec of a column that takes what `natural` takes as it is, and what the tags know under their names."""
    takes = natural.takes or frozenset()
    return Codec(
        natural.widest | dict[str, Any],
        encode=partial(_out, natural, takes, tags),
        decode=partial(_in, natural, tags),
    )


def _out(
    natural: Codec, takes: frozenset[type], tags: Tags, values: Values, kinds: set[type], packed: bool, wide: bool
) -> Values:
    if kinds <= takes:
        return natural.outgoing(values, packed, wide)
    sent = list(values)
    for kind in kinds - {NONE}:
        name, codec = (None, natural) if kind in takes else _found(tags, kind)
        places = [place for place, value in enumerate(values) if type(value) is kind]
        forms = codec.outgoing([values[place] for place in places], packed, wide)
        for place, form in zip(places, forms, strict=True):
            sent[place] = form if name is None else {name: form}
    return sent


def _found(tags: Tags, kind: type) -> tuple[str, Codec]:
    found = tags.of(kind)
    if found is None:
        raise ValueError(f"holds {article(kind)}, of which nobody said how it travels")
    return found


def _in(natural: Codec, tags: Tags, values: Values, packed: bool) -> Values:
    if dict not in set(map(type, values)):
        return natural.incoming(values, packed)
    return [_value(natural, tags, value, packed) for value in values]


def _value(natural: Codec, tags: Tags, form: Any, packed: bool) -> Any:
    if type(form) is not dict or len(form) != 1:
        return _read(natural, form, packed)
    ((name, inner),) = form.items()
    codec = tags.named(name)
    if codec is None:
        # An object of one key may be a rare form of the natural type, too.
        return _read(natural, form, packed)
    value = _read(codec, inner, packed)
    if value is None:
        raise ValueError("expected a value under the name of its type")
    return value


def _read(codec: Codec, form: Any, packed: bool) -> Any:
    try:
        return codec.incoming((msgspec.convert(form, codec.widest),), packed)[0]
    except RecursionError:
        raise ValueError("nested too deeply") from None
