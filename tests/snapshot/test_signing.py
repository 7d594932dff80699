"""Signatures: what was signed comes back, what was changed, stripped or signed by somebody else does not."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sojourn.errors import BadArgumentError, SnapshotError
from sojourn.snapshot import dumps, loads
from sojourn.snapshot.signing import sign, unsigned
from tests.models.shop import Customer

NEW, OLD, OTHER = b"n" * 32, b"o" * 32, b"x" * 32
DOCUMENT = b'{"sojourn": 1}'


def refused(data: bytes, key: Any) -> str:
    with pytest.raises(SnapshotError) as caught:
        unsigned(data, key)
    assert caught.value.where == "$"
    assert caught.value.remedy
    return str(caught.value)


@given(st.binary())
def test_what_was_signed_comes_back(document: bytes) -> None:
    assert unsigned(sign(document, NEW), NEW) == document


def test_signed_bytes_are_a_line_and_the_document_as_it_is() -> None:
    line, newline, rest = sign(DOCUMENT, NEW).partition(b"\n")
    name, _, digits = line.partition(b" ")
    assert (name, newline, rest) == (b"sojourn-hmac-sha256", b"\n", DOCUMENT)
    # As docs/format.md tells other languages to compute it.
    assert digits.decode() == hmac.new(NEW, b"sojourn snapshot\0" + DOCUMENT, hashlib.sha256).hexdigest()


def test_a_str_key_is_its_utf_8_bytes() -> None:
    key = "schlüssel-schlüssel"
    assert unsigned(sign(DOCUMENT, key), key.encode()) == DOCUMENT


def test_the_newest_key_signs_and_each_key_reads() -> None:
    signed = sign(DOCUMENT, [NEW, OLD])
    assert signed == sign(DOCUMENT, NEW)
    assert unsigned(signed, (NEW, OLD)) == DOCUMENT
    assert unsigned(sign(DOCUMENT, OLD), [NEW, OLD]) == DOCUMENT
    assert "another key" in refused(sign(DOCUMENT, OLD), NEW)
    assert "another key" in refused(sign(DOCUMENT, OTHER), [NEW, OLD])


def test_no_bit_of_signed_bytes_can_be_changed() -> None:
    signed = sign(DOCUMENT, NEW)
    for position in range(len(signed)):
        for bit in range(8):
            changed = bytearray(signed)
            changed[position] ^= 1 << bit
            refused(bytes(changed), NEW)


def test_nothing_can_be_cut_off_or_added() -> None:
    signed = sign(DOCUMENT, NEW)
    for length in range(len(signed)):
        refused(signed[:length], NEW)
    assert "does not fit" in refused(signed + b" ", NEW)
    assert "not signed" in refused(b" " + signed, NEW)


def test_a_signature_cannot_be_stripped() -> None:
    assert "the bytes are not signed" in refused(DOCUMENT, NEW)


def test_signed_bytes_are_not_read_without_a_key() -> None:
    assert "the bytes are signed" in refused(sign(DOCUMENT, NEW), None)
    assert "the bytes are signed" in refused(sign(DOCUMENT, NEW)[:50], None)


def test_unsigned_bytes_need_no_key() -> None:
    assert unsigned(DOCUMENT, None) is DOCUMENT


def test_a_signature_for_something_else_is_none_of_ours() -> None:
    digits = hmac.new(NEW, DOCUMENT, hashlib.sha256).hexdigest().encode()
    refused(b"sojourn-hmac-sha256 " + digits + b"\n" + DOCUMENT, NEW)


@pytest.mark.parametrize("format_", ["json", "msgpack"])
def test_dumps_signs_and_loads_checks(format_: Any) -> None:
    data = dumps(Customer(name="Ann"), format=format_, key=[NEW, OLD])
    assert data.endswith(unsigned(data, NEW))
    assert loads(data, Customer, key=[OTHER, NEW])[0].name == "Ann"
    kinds: tuple[Any, ...] = (bytearray, memoryview)
    for kind in kinds:
        assert loads(kind(data), Customer, key=NEW)[0].name == "Ann"
    for wrong, key in ((data, None), (data, OTHER), (unsigned(data, NEW), NEW), (data.replace(b"Ann", b"Eve"), NEW)):
        with pytest.raises(SnapshotError) as caught:
            loads(wrong, Customer, key=key)
        assert caught.value.where == "$"
    with pytest.raises(BadArgumentError, match="16 bytes"):
        loads(data, Customer, key=b"short")
    with pytest.raises(BadArgumentError, match="16 bytes"):
        dumps(Customer(name="Ann"), key="short")


@pytest.mark.parametrize(
    "key", [b"", "", b"k" * 15, "k" * 15, [], (), [b"k" * 16, b"short"], 5, [5], [None], bytearray(16), {b"k" * 16}]
)
def test_what_is_no_good_key_is_the_callers_mistake(key: Any) -> None:
    with pytest.raises(BadArgumentError, match="key"):
        sign(DOCUMENT, key)
    with pytest.raises(BadArgumentError, match="key"):
        unsigned(DOCUMENT, key)


def test_no_error_shows_a_key() -> None:
    with pytest.raises(BadArgumentError) as caught:
        sign(DOCUMENT, [b"secret"])
    assert "secret'" not in str(caught.value)
    assert OTHER.decode() not in refused(sign(DOCUMENT, NEW), OTHER)
