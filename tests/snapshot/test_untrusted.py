"""Documents of a stranger: they import nothing, run nothing, build nothing but the classes in `models`, and each attack
is a SnapshotError that says where."""

from __future__ import annotations

import ast
import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import ARRAY, JSON, Float, Integer, Numeric
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sojourn.errors import SnapshotError
from sojourn.snapshot import dumps, loads, restore
from tests.models import all_types, columns, keys
from tests.models.relations import Article, Link
from tests.models.shop import Customer

ROOT = Path(__file__).parent.parent.parent
TOKEN = "0123456789abcdef0123456789abcdef"


def table(entity: str, names: list[str], rows: list[Any], **parts: Any) -> dict[str, Any]:
    return {"entity": entity, "schema": "0" * 12, "columns": names, "rows": rows, **parts}


def document(*tables: dict[str, Any], roots: Any = (0,)) -> dict[str, Any]:
    return {"sojourn": 1, "roots": list(roots), "tables": list(tables)}


def both(tree: Any) -> Iterator[bytes]:
    """A document in each encoding, as far as the encoding can hold it."""
    yield json.dumps(tree).encode("utf-8", "surrogatepass")
    with suppress(OverflowError):
        yield msgspec.msgpack.encode(tree)


# --- nothing is imported, run or built -------------------------------------------------------------------------------

HOSTILE = [
    "os",
    "os.system",
    "builtins.eval",
    "antigravity",
    "tests.models.odd.Pin",
    "Order",
    "Line",
    "Secret",
    "object",
]
HOSTILE += [
    "__import__('antigravity')",
    "x'] = __import__('antigravity') #",
    "__class__",
    "__init__",
    "_sa_instance_state",
]
HOSTILE += [
    "metadata",
    "registry",
    "${jndi:ldap://x}",
    "{0.__class__}",
    "%(x)s",
    "../../etc/passwd",
    "cposix\nsystem\n(S'x'\ntR.",
]


def hostile() -> list[bytes]:
    """Documents that try to make `loads(data, Customer)` do something; names of things stand everywhere in them."""
    found = [
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
    ]
    for name in HOSTILE:
        for tree in (
            document(table(name, ["id"], [[1]])),
            document(table("Customer", ["id"], [[1]]), table(name, ["id"], [[1]])),
            document(table("Customer", ["id", name], [[1, name]])),
            document(table("Customer", ["id", "name"], [[1, name]])),
            document(table("Customer", ["id", "name"], [[number, name] for number in range(300)])),
            document(table("Customer", ["id", "name"], [[1, {"__reduce__": name, "py/object": name, "$type": name}]])),
            document(table("Customer", ["id"], [[1]], references={name: [0]})),
            document(table("Customer", ["id"], [[1]], collections={name: [[0]]})),
            document(table("Customer", ["id"], [[1]], collections={"orders": [[1]]}), table("Order", ["id"], [[1]])),
            document(table("Customer", ["id"], [[1]], identity_token=name)),
            document(table("Customer", ["id"], [[1]], new=[name])),
            document(table("Customer", ["id", "name"], [[1, ""]], edits=[{"row": 0, "base": {name: name}}])),
            document(table("Customer", ["id"], [[1]], edits=[{"row": 0, "unknown": [name], "added": {name: [0]}}])),
            {**document(table("Customer", ["id"], [[1]])), name: name},
            {"__class__": name, "py/reduce": [name], "sojourn": 1},
        ):
            found += both(tree)
    for code in range(-3, 4):  # MessagePack's own way to say "a type of mine"
        extension = msgspec.msgpack.encode(msgspec.msgpack.Ext(code, b"posix\nsystem")).ljust(20, b"\0")
        found.append(
            msgspec.msgpack.encode(document(table("Customer", ["id", "name"], [[1, "@"]]))).replace(b"\xa1@", extension)
        )
    return found


WATCHED = """
import sys, pathlib, pickle
from sqlalchemy.orm import configure_mappers
from sojourn.errors import SnapshotError
from sojourn.snapshot import loads
from tests.models import odd, shop
from tests.models.shop import Base, Customer
configure_mappers()
built, events, watching = [], [], False
for mapper in [*Base.registry.mappers, *odd.Base.registry.mappers]:
    class_ = mapper.class_
    if class_ is not Customer:
        class_.__new__ = staticmethod(lambda cls, *_: built.append(cls) or object.__new__(cls))
def hook(event, arguments):
    if watching:
        events.append((event, repr(arguments)[:300] if event in ("compile", "import", "open") else ""))
sys.addaudithook(hook)
documents = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
modules, accepted = set(sys.modules), 0
for data in documents:
    try:
        watching = True
        objs = loads(data, Customer)
    except SnapshotError:
        continue
    finally:
        watching = False
    accepted += 1
    assert {type(obj) for obj in objs} <= {Customer}
imported = sorted(set(sys.modules) - modules)
print(repr((len(documents), accepted, [cls.__name__ for cls in built], imported, sorted(set(events)))))
"""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a fresh process saw while it read the hostile documents: nothing of sojourn was used in it before."""
    file = tmp_path_factory.mktemp("hostile") / "documents"
    file.write_bytes(pickle.dumps(hostile()))
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)


def test_the_hostile_documents_are_read_and_some_are_even_good(watched: Any) -> None:
    total, accepted, *_ = watched
    assert total > 300
    assert 20 < accepted < total / 2


def test_nothing_outside_models_is_built(watched: Any) -> None:
    _, _, built, _, _ = watched
    assert built == []


def test_nothing_is_imported(watched: Any) -> None:
    _, _, _, imported, events = watched
    assert imported == []
    assert [arguments for event, arguments in events if event == "import"] == []


def test_no_file_is_opened_no_process_started_and_no_code_run_that_a_document_names(watched: Any) -> None:
    *_, events = watched
    # The builder of a class is compiled from the mapping's attribute names, once it builds many rows.
    assert {event for event, _ in events} <= {"compile", "exec", "object.__getattr__", "sys._getframe"}
    sources = [arguments for event, arguments in events if event == "compile"]
    assert len(sources) >= 1
    for source in sources:
        assert "def build(rows, token)" in source
        assert not any(
            part in source for part in ("antigravity", "import", "eval", "posix", "jndi", "registry", "passwd")
        )


def test_the_hook_would_see_it(tmp_path: Path) -> None:
    file = tmp_path / "documents"
    file.write_bytes(pickle.dumps([b"x"]))
    program = WATCHED.replace(
        "objs = loads(data, Customer)", "import antigravity; objs = [open('/dev/null') and shop.Order()]"
    )
    program = program.replace("<= {Customer}", "")
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"BROWSER": "true", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    _, _, built, imported, events = ast.literal_eval(done.stdout)
    assert built == ["Order"]
    assert "antigravity" in imported
    assert {"import", "open"} <= {event for event, _ in events}


# --- each attack ------------------------------------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


class FloatKey(Base):
    __tablename__ = "float_key"
    id: Mapped[Any] = mapped_column(Float, primary_key=True)


class DecimalKey(Base):
    __tablename__ = "decimal_key"
    id: Mapped[Any] = mapped_column(Numeric, primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)


class JsonKey(Base):
    __tablename__ = "json_key"
    id: Mapped[Any] = mapped_column(JSON, primary_key=True)


class ArrayKey(Base):
    __tablename__ = "array_key"
    id: Mapped[Any] = mapped_column(ARRAY(Integer), primary_key=True)


class RangeKey(Base):
    __tablename__ = "range_key"
    id: Mapped[Any] = mapped_column(postgresql.NUMRANGE, primary_key=True)


HUGE = int("9" * 4000)
NO_KEY = "a value that identifies nothing"
NODES = table("Node", ["id", "name"], [[1, "a"], [2, "b"]])
ATTACKS: list[tuple[str, Any, Any, str, str]] = [
    # what, models, document, where, message
    ("NaN as a key", Base, document(table("FloatKey", ["id"], [[1.5], ["NaN"]])), "$.tables[0].rows[1]", NO_KEY),
    ("NaN twice", Base, document(table("FloatKey", ["id"], [["NaN"], ["NaN"]])), "$.tables[0].rows[0]", NO_KEY),
    ("Decimal NaN", Base, document(table("DecimalKey", ["id", "part"], [["NaN", 1]])), "$.tables[0].rows[0]", NO_KEY),
    (
        "signaling NaN",
        Base,
        document(table("DecimalKey", ["id", "part"], [["sNaN", 1]])),
        "$.tables[0].rows[0]",
        NO_KEY,
    ),
    (
        "NaN as the former key",
        Base,
        document(table("DecimalKey", ["id", "part"], [["1", 1]], edits=[{"row": 0, "base": {"id": "-sNaN7"}}])),
        "$.tables[0].rows[0]",
        NO_KEY,
    ),
    ("an object as a key", Base, document(table("JsonKey", ["id"], [["x"], [{}]])), "$.tables[0].rows[1]", NO_KEY),
    ("a list as a key", Base, document(table("ArrayKey", ["id"], [[[1]]])), "$.tables[0].rows[0]", NO_KEY),
    (
        "an identity twice",
        keys.Base,
        document(NODES, table("Node", ["id"], [[2]])),
        "$.tables[1].rows[0]",
        "Node(2) is at $.tables[0].rows[1] already",
    ),
    (
        "an identity twice, as numbers that are equal",
        Base,
        document(table("FloatKey", ["id"], [[1], [1.0]])),
        "$.tables[0].rows[1]",
        "already",
    ),
    (
        "a dangling reference",
        keys.Base,
        document({**NODES, "references": {"parent": [0, 2]}}),
        "$.tables[0].references.parent[1]",
        "no object with the number 2",
    ),
    (
        "a dangling member",
        keys.Base,
        document({**NODES, "collections": {"children": [[1], [HUGE]]}}),
        "$.tables[0].collections.children",
        "",
    ),
    ("a dangling root", keys.Base, document(NODES, roots=[1, 2]), "$.roots[1]", "no object with the number 2"),
    ("a huge root", keys.Base, document(NODES, roots=[2**63]), "$.roots[0]", ""),
    (
        "a relationship among the columns",
        keys.Base,
        document(table("Node", ["id", "parent"], [[1, 0]])),
        "$.tables[0].columns[1]",
        "has no 'parent' among its columns",
    ),
    ("a column twice", keys.Base, document(table("Node", ["id", "id"], [[1, 2]])), "$.tables[0].columns[1]", "twice"),
    (
        "a column among the references",
        keys.Base,
        document({**NODES, "references": {"parent_id": [0, 0]}}),
        "$.tables[0].references",
        "has no 'parent_id' among its references",
    ),
    (
        "a collection among the references",
        keys.Base,
        document({**NODES, "references": {"children": [0, 0]}}),
        "$.tables[0].references",
        "has no 'children' among its references",
    ),
    (
        "the insides of an object as columns",
        keys.Base,
        document(table("Node", ["id", "_sa_instance_state"], [[1, {}]])),
        "$.tables[0].columns[1]",
        "has no '_sa_instance_state' among its columns",
    ),
    ("rows of another length", keys.Base, document(table("Node", ["id"], [[1], [2, "b"]])), "$.tables[0].rows[1]", ""),
    (
        "references for other rows",
        keys.Base,
        document({**NODES, "references": {"parent": [None]}}),
        "$.tables[0].references.parent",
        "1 values for 2 rows",
    ),
    ("tokens for other rows", keys.Base, document({**NODES, "new": [TOKEN]}), "$.tables[0].new", "1 tokens for 2 rows"),
    ("the same token", keys.Base, document({**NODES, "new": [TOKEN] * 2}), "$.tables[0].new[1]", "has this token"),
    (
        "a former value of what is not loaded",
        keys.Base,
        document({**NODES, "edits": [{"row": 0, "base": {"parent_id": 5}}]}),
        "$.tables[0].edits[0].base",
        "not loaded",
    ),
    (
        "an edit of no row",
        keys.Base,
        document({**NODES, "edits": [{"row": 2}]}),
        "$.tables[0].edits[0].row",
        "no row 2",
    ),
    (
        "an edit of a huge row",
        keys.Base,
        document({**NODES, "edits": [{"row": 2**63}]}),
        "$.tables[0].edits[0].row",
        "",
    ),
    ("a huge shard", keys.Base, document({**NODES, "identity_token": HUGE}), "$.tables[0].identity_token", ""),
    (
        "a huge duration",
        all_types.Base,
        document(table("AllTypes", ["id", "a_timedelta"], [[1, HUGE]])),
        "$.tables[0].rows",
        "",
    ),
    (
        "a huge instant",
        all_types.Base,
        document(table("AllTypes", ["id", "a_datetime"], [[1, HUGE]])),
        "$.tables[0].rows",
        "",
    ),
    ("a huge version", keys.Base, {**document(NODES), "sojourn": HUGE}, "$.sojourn", ""),
    (
        "a huge number for true",
        all_types.Base,
        document(table("AllTypes", ["id", "a_bool"], [[1, HUGE]])),
        "$.tables[0].rows",
        "",
    ),
    (
        "deep nesting in JSON",
        columns.Base,
        document(table("Settings", ["id", "plain"], [[1, {}], [2, json.loads("[" * 65 + "]" * 65)]])),
        "$.tables[0].rows[1][1]",
        "deeper nesting than max_depth allows, which is 64",
    ),
    (
        "deep nesting where there is none",
        keys.Base,
        document({**NODES, "collections": {"children": json.loads("[" * 500 + "]" * 500)}}),
        "$.tables[0].collections.children",
        "",
    ),
]


@pytest.mark.parametrize(
    ("models", "tree", "where", "message"), [one[1:] for one in ATTACKS], ids=[one[0] for one in ATTACKS]
)
def test_an_attack_is_refused_with_its_place_before_anything_is_built(
    models: Any, tree: Any, where: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "_build", None)
    for data in both(tree):
        with pytest.raises(SnapshotError) as caught:
            loads(data, models)
        assert caught.value.where.startswith(where)
        assert message in str(caught.value)


def test_the_attacks_fail_for_what_they_say() -> None:
    """What they are made of is taken."""
    for data in both(document({**NODES, "references": {"parent": [None, 0]}, "collections": {"children": [[1], []]}})):
        (node,) = loads(data, keys.Base)
        assert [child.id for child in node.children] == [2]
    for name, value in (("FloatKey", "Infinity"), ("JsonKey", "x")):
        for data in both(document(table(name, ["id"], [[value]]))):
            assert len(loads(data, Base)) == 1


def test_a_signature_cannot_be_stripped_or_put_before_another_document() -> None:
    key = b"k" * 32
    signed, other = dumps(Customer(name="Ann"), key=key), dumps(Customer(name="Eve"))
    line, _, rest = signed.partition(b"\n")
    assert loads(signed, Customer, key=key)[0].name == "Ann"
    for data in (rest, other, line + b"\n" + other, line + line + b"\n" + rest, b" " + signed, line + b"\r\n" + rest):
        with pytest.raises(SnapshotError) as caught:
            loads(data, Customer, key=key)
        assert caught.value.where == "$"


# --- no hang ---------------------------------------------------------------------------------------------------------


def seconds_per_megabyte(tree: Any, models: Any) -> float:
    data = json.dumps(tree, separators=(",", ":")).encode()
    began = time.process_time()
    loads(data, models)
    return (time.process_time() - began) / (len(data) / 1e6)


def growing(make: Any, models: Any) -> float:
    """How many times longer a document of four times the size takes. The best of three, as the machine is shared."""
    return min(seconds_per_megabyte(make(2000), models) / seconds_per_megabyte(make(500), models) for _ in range(3))


def referring(count: int) -> Any:
    """Each table refers to the first and the last object of all."""
    last = 2 * count - 1
    return document(
        *(table("Node", ["id"], [[2 * at], [2 * at + 1]], references={"parent": [0, last]}) for at in range(count))
    )


def shapes(count: int) -> Any:
    names = [*"abcdefghijk"]
    tables = (
        table("Wide", ["id", *(name for bit, name in enumerate(names) if at >> bit & 1)], [[at] + [1] * at.bit_count()])
        for at in range(count)
    )
    return document(*tables)


def editing(count: int) -> Any:
    edits = [{"row": at, "base": {"name": "x"}, "added": {"children": [at]}} for at in range(count)]
    return document(table("Node", ["id", "name"], [[at, ""] for at in range(count)], edits=edits))


def members(count: int) -> Any:
    edits = [{"row": 0, "base": {"links": list(range(count, 0, -1))}}]
    links = table("Link", ["id"], [[at] for at in range(count + 1)])
    return document(
        table("Article", ["id"], [[1]], collections={"links": [list(range(1, count + 1))]}, edits=edits), links
    )


class Wide(Base):
    __tablename__ = "wide"
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int]
    b: Mapped[int]
    c: Mapped[int]
    d: Mapped[int]
    e: Mapped[int]
    f: Mapped[int]
    g: Mapped[int]
    h: Mapped[int]
    i: Mapped[int]
    j: Mapped[int]
    k: Mapped[int]


@pytest.mark.parametrize(
    ("make", "models"),
    [(referring, keys.Base), (shapes, Base), (editing, keys.Base), (members, [Article, Link])],
    ids=["tables that refer to all others", "many shapes", "many edits", "many members"],
)
def test_time_grows_with_the_bytes_and_no_faster(make: Any, models: Any) -> None:
    assert growing(make, models) < 2.5
