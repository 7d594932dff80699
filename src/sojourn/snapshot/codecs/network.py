"""Addresses of networks: text, or the objects of Python's ipaddress, whichever the driver gives."""

from __future__ import annotations

import ipaddress
from functools import partial

from sojourn.snapshot.codecs.codec import Codec, Values, plain

_CLASSES: tuple[type, ...] = (
    *(ipaddress.IPv4Address, ipaddress.IPv4Interface, ipaddress.IPv4Network),
    *(ipaddress.IPv6Address, ipaddress.IPv6Interface, ipaddress.IPv6Network),
)


def _out(values: Values, kinds: set[type], packed: bool, wide: bool) -> Values:
    return [None if value is None else str(value) for value in values]


def _in(class_: type, values: Values, packed: bool) -> Values:
    return [None if value is None else class_(value) for value in values]


ADDRESSES: dict[type, Codec] = {
    class_: plain(class_, wire=str, encode=_out, decode=partial(_in, class_)) for class_ in _CLASSES
}
