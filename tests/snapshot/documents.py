"""What the tests of this wing share: a `dumps` whose document is held against the published JSON Schema and says the
same in both encodings, and ways to say what an object holds.

`tests/conftest.py` holds every document of every test against the schema, also those that `dumped` did not write.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, time
from pathlib import Path
from typing import Any

import msgspec
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import inspect

from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.identity import as_list
from sojourn.snapshot import dumps
from sojourn.snapshot.allowed import Allowed
from sojourn.snapshot.capture import capture
from sojourn.snapshot.decoding import decode
from sojourn.snapshot.encoding import Encoding
from sojourn.snapshot.evolution import Evolution
from sojourn.snapshot.limits import Limits
from sojourn.snapshot.model import Snapshot

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "docs" / "format.schema.json").read_text(encoding="utf-8"))
validator = Draft202012Validator(SCHEMA)

_SAMPLE = 200
_NO_LIMITS = Limits(max_bytes=None, max_objects=None, max_depth=None, max_string=None)


def validate(data: bytes) -> None:
    """Raise ValidationError unless this is a document by docs/format.schema.json.

    Values are no business of the schema, so bytes and timestamps of MessagePack may stand where JSON has strings. Of
    long lists only the beginning is looked at.
    """
    validator.validate(_sample(json.loads(data) if data[:1] == b"{" else msgspec.msgpack.decode(data)))


def _sample(part: Any, depth: int = 6) -> Any:
    """The parts of a document that the schema speaks of."""
    if depth == 0:
        return part
    if isinstance(part, dict):
        return {key: _sample(value, depth - 1) for key, value in part.items()}
    return [_sample(value, depth - 1) for value in part[:_SAMPLE]] if isinstance(part, list) else part


def validating(encode: Callable[[Snapshot, Encoding], bytes]) -> Callable[[Snapshot, Encoding], bytes]:
    """`encode`, whose every document is valid."""

    def checked(snapshot: Snapshot, encoding: Encoding) -> bytes:
        data = encode(snapshot, encoding)
        validate(data)
        return data

    return checked


def dumped(objs: Any, **options: Any) -> bytes:
    """`dumps` as JSON, which is valid and says the same as the MessagePack document, which is valid, too."""
    objs = as_list(objs)
    data, packed = dumps(objs, **options), dumps(objs, format="msgpack", **options)
    validate(data)
    validate(packed)
    assert envelope(json.loads(data)) == envelope(msgspec.msgpack.decode(packed))
    models = Allowed({table.plan.class_ for table in capture(objs).tables})
    one, other = (decode(each, models, _NO_LIMITS, Evolution()) for each in (data, packed))
    assert one.roots == other.roots
    for table, again in zip(one.tables, other.tables, strict=True):
        assert all(map(same, map(tuple, table.rows), map(tuple, again.rows)))
        for edit, edit_again in zip(table.edits, again.edits, strict=True):
            assert same(dict(edit.base), dict(edit_again.base))
    return data


def envelope(document: dict[str, Any]) -> dict[str, Any]:
    """A document without its values: those of columns are written otherwise in each encoding."""
    tables = []
    for table in document["tables"]:
        related = {**table.get("references", {}), **table.get("collections", {})}
        edits_ = [
            {**edit, "base": {key: key in related and base for key, base in edit.get("base", {}).items()}}
            for edit in table.get("edits", [])
        ]
        tables.append({**table, "rows": [len(row) for row in table["rows"]], "edits": edits_})
    return {**document, "tables": tables}


def same(one: Any, other: Any) -> bool:
    """Whether two values cannot be told apart: 1 and 1.0 can, NaN and NaN cannot."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (datetime, time)) and one.utcoffset() != other.utcoffset():
        return False
    return repr(one) == repr(other) or bool(one == other)


def document_of(objs: Any) -> Any:
    """The same as parsed JSON."""
    return json.loads(dumped(objs))


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def loaded(obj: Any) -> dict[str, Any]:
    """The mapped columns and relationships that an object holds in memory."""
    plan = blueprint(obj)
    return {key: value for key, value in obj.__dict__.items() if key in plan.columns or key in plan.relationships}


def edits(obj: Any) -> dict[str, Any]:
    """The edited columns with their base."""
    state = inspect(obj)
    return {key: base_value(state, key) for key in edited_columns(state, blueprint(obj))}


def history(obj: Any, key: str) -> Any:
    """SQLAlchemy's history of an attribute, without a load."""
    return inspect(obj).attrs[key].history
