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
    places: dict[str | None, list[int]] = {}
    for place, form in enumerate(values):
        places.setdefault(_name(tags, form), []).append(place)
    read = list(values)
    for name, some in places.items():
        codec = natural if name is None else tags.named(name) or natural
        forms = [values[place] if name is None else values[place][name] for place in some]
        if name is not None and None in forms:
            raise ValueError("expected a value under the name of its type")
        for place, value in zip(some, _read(codec, forms, packed), strict=True):
            read[place] = value
    return read


def _name(tags: Tags, form: Any) -> str | None:
    """The name that a value comes with; None for those of the natural type, whose rare forms may be objects, too."""
    if type(form) is not dict or len(form) != 1:
        return None
    (name,) = form
    return name if tags.named(name) is not None else None


def _read(codec: Codec, forms: list[Any], packed: bool) -> Values:
    try:
        return codec.incoming(msgspec.convert(forms, list.__class_getitem__(codec.widest)), packed)
    except RecursionError:
        raise ValueError("nested too deeply") from None
