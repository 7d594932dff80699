"""Format 1 is pinned: golden documents of it are read for ever, docs/format.md shows one, the JSON Schema holds all."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from jsonschema import ValidationError  # type: ignore[import-untyped]  # ships no types
from sqlalchemy import inspect

from sojourn.errors import UNKNOWN, SnapshotError
from sojourn.snapshot import dumps, loads
from sojourn.sqlalchemy_internals import pending_mutations
from tests.models import all_types, columns, inheritance, peculiar, relations, shop
from tests.models.all_types import Colour
from tests.models.columns import Document, Settings
from tests.models.inheritance import Animal, Car, Cat, Dog, Lorry, Puppy, Vehicle
from tests.models.peculiar import Boss, Worker
from tests.models.relations import Article, Person
from tests.models.shop import Customer, Order
from tests.snapshot.documents import ROOT, edits, history, loaded, validate, validator
from tests.snapshot.golden_types import ROWS, described, everything
from tests.snapshot.test_bad_input import GOOD

GOLDEN = Path(__file__).parent / "golden"
MODELS = [module.Base for module in (all_types, columns, inheritance, peculiar, relations, shop)]
KEY = b"the golden key, not a secret"
FORMS = ("json", "msgpack")
TYPES = sorted(GOLDEN.glob("format-1-types*.json"))


def golden(name: str, models: Any = MODELS) -> Any:
    """The objects of a golden document, which is valid by the schema."""
    data = (GOLDEN / name).read_bytes()
    validate(data)
    return loads(data, models)


def parsed(data: bytes, form: str) -> Any:
    return json.loads(data) if form == "json" else msgspec.msgpack.decode(data)


@pytest.mark.parametrize("form", FORMS)
def test_the_golden_values_of_format_1_mean_what_they_meant(form: str) -> None:
    ordinary, edge, empty = golden(f"format-1-values.{form}")
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


@pytest.mark.parametrize("form", FORMS)
def test_the_golden_graph_of_format_1_means_what_it_meant(form: str) -> None:
    ann, article, settings, document = golden(f"format-1-graph.{form}")
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


def golden_types(path: Path) -> list[str]:
    (table,) = json.loads(path.read_bytes())["tables"]
    return [name for name in table["columns"] if name != "id"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", TYPES, ids=lambda path: path.stem)
def test_the_golden_types_of_format_1_mean_what_they_meant(path: Path, form: str) -> None:
    names = golden_types(path)
    objs = golden(path.with_suffix(f".{form}").name, everything(names))
    text = path.with_suffix(".txt").read_text(encoding="utf-8")
    assert described(objs, names).splitlines() == text.splitlines()


def test_every_type_has_a_golden_document() -> None:
    known = {name for path in TYPES for name in golden_types(path)}
    assert set(ROWS) <= known, "write golden files for the new types, format-1-types-2.json and so on; the others stay"


@pytest.mark.parametrize("form", FORMS)
def test_the_golden_hierarchies_of_format_1_mean_what_they_meant(form: str) -> None:
    ann, firm = golden(f"format-1-inheritance.{form}")
    assert [type(each) for each in ann.animals] == [Puppy, Cat, Dog, Animal, Cat]
    rex, tom, old, it, new = ann.animals
    assert [inspect(each).key for each in (rex, tom, old, it)] == [(Animal, (number,), None) for number in (1, 2, 3, 4)]
    assert (rex.name, rex.tricks, rex.weeks, tom.lives, old.tricks, it.kind) == ("Rex", 1, 10, 9, None, "animal")
    assert edits(rex) == {"weeks": 9}
    assert inspect(new).transient
    assert (new.kind, new.name, new.owner) == ("cat", "New", ann)
    assert history(ann, "animals").added == [new]
    assert [type(each) for each in ann.vehicles] == [Car, Lorry, Vehicle]
    car, lorry, vehicle = ann.vehicles
    assert [inspect(each).key for each in (car, lorry, vehicle)] == [(Vehicle, (at,), None) for at in (1, 2, 3)]
    assert (car.doors, lorry.truck_id, lorry.lorry_id, lorry.tons, vehicle.plate) == (4, 2, 2, 7, "C")
    assert edits(lorry) == {"plate": "B", "axles": 3}
    worker, boss = firm.workers
    assert (inspect(worker).key, inspect(boss).key) == ((Worker, (1,), None), (Boss, (1,), None))
    assert edits(boss) == {"salary": 5}


@pytest.mark.parametrize("form", FORMS)
def test_the_golden_changes_of_format_1_mean_what_they_meant(form: str) -> None:
    ann, article, settings, document = golden(f"format-1-changes.{form}")
    assert edits(ann) == {"name": "Anna", "city": UNKNOWN}
    assert [order.id for order in ann.orders if not inspect(order).transient] == [1]
    assert [order.id for order in history(ann, "orders").deleted] == [2]
    assert loaded(ann.orders[0]).keys() <= {"id", "customer"}
    assert (inspect(article).key, article.id) == ((Article, (7,), "eu"), 8)
    assert edits(settings) == {"plain": {"a": [1]}}
    assert loaded(document) == {"id": 1}


@pytest.mark.parametrize("form", FORMS)
def test_the_golden_signature_of_format_1_is_still_one(form: str) -> None:
    data = (GOLDEN / f"format-1-signed.{form}").read_bytes()
    line, _, document = data.partition(b"\n")
    assert re.fullmatch(rb"sojourn-hmac-sha256 [0-9a-f]{64}", line)
    assert document == (GOLDEN / f"format-1-graph.{form}").read_bytes()
    assert len(loads(data, MODELS, key=[b"a newer key, not secret", KEY])) == 4
    with pytest.raises(SnapshotError, match="the bytes are signed"):
        loads(data, MODELS)


def test_the_signature_is_the_one_that_the_specification_describes() -> None:
    line, _, document = (GOLDEN / "format-1-signed.json").read_bytes().partition(b"\n")
    digits = hmac.new(KEY, b"sojourn snapshot\0" + document, hashlib.sha256).hexdigest()
    assert line == f"sojourn-hmac-sha256 {digits}".encode()


def test_the_fingerprint_is_the_one_that_the_specification_describes() -> None:
    lines = ["balance:Numeric", "city:String", "email:String", "id:Integer", "name:String", "orders>Order"]
    (table,) = json.loads(dumps(Customer(id=1)))["tables"]
    assert table["schema"] == hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


@pytest.mark.parametrize("form", FORMS)
def test_a_golden_document_is_what_dumps_writes_today(form: Any) -> None:
    for name in ("values", "graph", "inheritance", "changes"):
        objs = golden(f"format-1-{name}.{form}")
        data = dumps(objs, format=form)
        for table in parsed(data, form)["tables"]:
            assert re.fullmatch("[0-9a-f]{12}", table.pop("schema"))
        assert dumps(loads(data, MODELS), format=form) == data
    written = parsed((GOLDEN / f"format-1-values.{form}").read_bytes(), form)
    again = parsed(dumps(golden(f"format-1-values.{form}"), format=form), form)
    for document in (written, again):
        for table in document["tables"]:
            del table["schema"]
    assert again == written


class PlainReader:
    """A reader that knows docs/format.md and no mapping: objects are dicts, with their edits under "was"."""

    def __init__(self, document: dict[str, Any]) -> None:
        assert document["sojourn"] == 1
        self.objects: list[dict[str, Any]] = []
        for table in document["tables"]:
            for row in table["rows"]:
                self.objects.append({"class": table["entity"], **dict(zip(table["columns"], row, strict=True))})
        first = 0
        for table in document["tables"]:
            mine = self.objects[first : first + len(table["rows"])]
            first += len(mine)
            for key, nodes in {**table.get("references", {}), **table.get("collections", {})}.items():
                for obj, target in zip(mine, nodes, strict=True):
                    obj[key] = self.at(target)
            for edit in table.get("edits", []):
                base = {
                    key: value if key in table["columns"] else self.at(value)
                    for key, value in edit.get("base", {}).items()
                }
                mine[edit["row"]]["was"] = {**dict.fromkeys(edit.get("unknown", []), "?"), **base}
        self.roots = [self.objects[root] for root in document["roots"]]

    def at(self, nodes: Any) -> Any:
        if isinstance(nodes, list):
            return [self.objects[node] for node in nodes]
        return None if nodes is None else self.objects[nodes]


@pytest.mark.parametrize("form", FORMS)
def test_a_reader_needs_to_know_no_more_than_the_specification(form: str) -> None:
    ann, article, settings, _ = PlainReader(parsed((GOLDEN / f"format-1-graph.{form}").read_bytes(), form)).roots
    one, new = ann["orders"]
    assert (one["customer"] is ann, new["customer"] is ann, new["number"]) == (True, True, "N")
    assert (ann["was"]["name"], ann["was"]["city"], ann["was"]["orders"][0] is one) == ("Anna", "?", True)
    assert [tag["name"] for tag in article["tags"]] == ["b", "a"]
    assert (article["id"], article["was"], article["author"]["passport"]) == (8, {"id": 7}, None)
    assert (settings["plain"], settings["was"]) == ({"a": [1, 2]}, {"plain": {"a": [1]}})


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
