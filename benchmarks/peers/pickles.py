"""pickle, and SQLAlchemy's own serializer, which is a pickle that keeps tables and mappers by name.

pickle recurses once for each object that hangs on the one before it. The graph is three deep and stays within Python's
own recursion limit, so nobody raises it here; a chain of 250 linked objects does not.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.ext import serializer


def dumps(objects: Sequence[Any]) -> bytes:
    return pickle.dumps(objects, protocol=pickle.HIGHEST_PROTOCOL)


def loads(data: bytes) -> list[Any]:
    found: list[Any] = pickle.loads(data)
    return found


def ext_dumps(objects: Sequence[Any]) -> bytes:
    data: bytes = serializer.dumps(objects, pickle.HIGHEST_PROTOCOL)  # type: ignore[no-untyped-call] # as SQLAlchemy left it
    return data


def ext_loads(data: bytes) -> list[Any]:
    found: list[Any] = serializer.loads(data, MetaData())  # type: ignore[no-untyped-call] # the same
    return found
