"""Format 1 is pinned: golden documents of it are read for ever, docs/format.md shows one, the JSON Schema holds all."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from jsonschema import ValidationError  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import inspect

from sojourn.errors import UNKNOWN
from sojourn.snapshot import dumps, loads
from sojourn.sqlalchemy_internals import pending_mutations
from tests.models import all_types, columns, relations, shop
from tests.models.all_types import Colour
from tests.models.columns import Document, Settings
from tests.models.relations import Article, Person
from tests.models.shop import Customer, Order
from tests.snapshot.documents import ROOT, document_of, dumped, edits, history, loaded, validator
from tests.snapshot.test_bad_input import GOOD

GOLDEN = Path(__file__).parent / "golden"
MODELS = [module.Base for module in (all_types, columns, relations, shop)]


def golden(name: str) -> Any:
    """The objects of a golden document, which is valid by the schema."""
    data = (GOLDEN / name).read_bytes()
    validator.validate(json.loads(data))
    return loads(data, MODELS)


def test_the_golden_values_of_format_1_mean_what_they_meant() -> None:
    ordinary, edge, empty = golden("format-1-values.json")
    assert loaded(ordinary) == {"id": 1, **all_types.SAMPLE}
    assert loaded(edge) == {
        "id": 2,
        "an_int": 2**63 - 1,
        "a_float": float("-inf"),
        "a_str": "ünïcödé 🦉",
        "a_text": "",
        "a_bool": False,
        "some_bytes": b"",
        "a_decimal": Decimal("1E+30"),
        "a_date": date.min,
        "a_time": time(23, 59, 59, 999999),
        "a_datetime": datetime.max,
        "an_instant": datetime(1900, 1, 1, tzinfo=timezone(timedelta(seconds=1172))),
        "a_timedelta": timedelta(microseconds=-1),
        "a_uuid": UUID(int=2**128 - 1),
        "a_colour": Colour.RED,
        "some_json": [1, 1.0, "x", None, {"": []}],
    }
    assert loaded(empty) == {"id": 3, **dict.fromkeys(all_types.SAMPLE)}
    assert ordinary.an_instant.tzinfo == UTC
    assert type(edge.some_json[1]) is float


def test_the_golden_graph_of_format_1_means_what_it_meant() -> None:
    ann, article, settings, document = golden("format-1-graph.json")
    assert isinstance(ann, Customer)
    assert inspect(ann).key == (Customer, (1,), None)
    assert loaded(ann).keys() == {"id", "name", "city", "orders"}
    assert edits(ann) == {"name": "Anna", "city": UNKNOWN}
    one, new = ann.orders
    assert isinstance(new, Order)
    assert inspect(new).transient
    assert inspect(new).info["sojourn.token"] == "0123456789abcdef0123456789abcdef"
    assert new.customer is one.customer is ann
    assert history(ann, "orders").added == [new]
    (gone,) = history(ann, "orders").deleted
    assert inspect(gone).identity == (2,)
    assert history(gone, "customer") == ([None], (), [ann])

    assert isinstance(article, Article)
    assert inspect(article).key == (Article, (7,), "eu")
    assert article.id == 8
    assert edits(article) == {"id": 7}
    assert isinstance(article.author, Person)
    assert (article.author.name, article.author.passport) == ("Bob", None)
    assert [tag.name for tag in article.tags] == ["b", "a"]
    assert {key: note.text for key, note in article.notes.items()} == {"k": "text"}
    assert article.notes["k"].article is article
    ((added,), (removed,)) = pending_mutations(inspect(article), "links")
    assert (added.url, removed.url) == ("new", "old")

    assert isinstance(settings, Settings)
    assert (settings.plain, settings.tracked) == ({"a": [1, 2]}, None)
    assert edits(settings) == {"plain": {"a": [1]}}
    assert isinstance(document, Document)
    assert loaded(document) == {"id": 1, "version": 3}


def test_a_golden_document_is_what_dumps_writes_today() -> None:
    for name in ("format-1-values.json", "format-1-graph.json"):
        objs = golden(name)
        for table in document_of(objs)["tables"]:
            assert re.fullmatch("[0-9a-f]{12}", table.pop("schema"))
        assert dumped(loads(dumped(objs), MODELS)) == dumped(objs)
    written = json.loads((GOLDEN / "format-1-values.json").read_bytes())
    again = document_of(golden("format-1-values.json"))
    for document in (written, again):
        for table in document["tables"]:
            del table["schema"]
    assert again == written


def test_the_example_in_the_specification_is_a_document() -> None:
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    example = re.search(r"```json\n(\{\s*\"sojourn\".*?)```", text, re.DOTALL)
    assert example is not None
    validator.validate(json.loads(example[1]))
    (customer,) = loads(example[1].encode(), shop.Base)
    assert edits(customer) == {"city": "Bergen"}
    assert [order.status for order in customer.orders] == ["sent", "open"]
    assert inspect(customer.orders[1]).transient


def test_the_specification_names_every_part_of_a_document() -> None:
    text = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
    schema = validator.schema
    parts = [schema, *(schema["$defs"][name] for name in ("table", "edit"))]
    assert [key for part in parts for key in part["properties"] if f"`{key}`" not in text] == []


def test_every_document_that_is_written_in_a_test_is_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(validator.schema["properties"], "sojourn", {"const": 2})
    for encoding in ("json", "msgpack"):
        with pytest.raises(ValidationError):
            dumps([], format=encoding)


@pytest.mark.parametrize(
    "change",
    [
        {"sojourn": 2},
        {"roots": [-1]},
        {"extra": 1},
        {"tables": [{**GOOD["tables"][0], "extra": 1}]},
        {"tables": [{**GOOD["tables"][0], "columns": ["id", "id"]}]},
        {"tables": [{**GOOD["tables"][2], "new": ["x"]}]},
        {"tables": [{**GOOD["tables"][2], "identity_token": "eu"}]},
        {"tables": [{**GOOD["tables"][0], "edits": [{"row": 0}]}]},
        {"tables": [{**GOOD["tables"][0], "edits": [{"base": {"name": "x"}}]}]},
    ],
    ids=str,
)
def test_the_schema_refuses_what_is_no_document(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validator.validate({**GOOD, **change})
