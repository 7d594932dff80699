"""What the tests of this wing share: a `dumps` whose every document is held against the published JSON Schema, and ways
to say what an object holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import inspect

from sojourn.mapping.base import base_value, edited_columns
from sojourn.mapping.blueprint import blueprint
from sojourn.snapshot import dumps

ROOT = Path(__file__).parent.parent.parent
SCHEMA = json.loads((ROOT / "docs" / "format.schema.json").read_text(encoding="utf-8"))
validator = Draft202012Validator(SCHEMA)


def dumped(objs: Any) -> bytes:
    """`dumps`, and the document is valid by docs/format.schema.json."""
    data = dumps(objs)
    validator.validate(json.loads(data))
    return data


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
