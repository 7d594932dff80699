"""Bytes that are no snapshot: one SnapshotError that says where, no other exception, and nothing is built."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sojourn.errors import NotMappedError, SnapshotError, SojournError
from sojourn.snapshot import loads, restore
from tests.models import columns, inheritance, shop
from tests.models.all_types import SAMPLE, AllTypes
from tests.models.columns import Settings
from tests.models.inheritance import Animal, Cat, Dog, Owner
from tests.models.shop import Customer, Line, Order
from tests.snapshot.documents import document_of, dumped, encoded, validator

TOKEN = "0123456789abcdef0123456789abcdef"
# A customer (0) with two orders (1, 2), of which one was removed (3), and a new order (4) of another customer (5).
GOOD: dict[str, Any] = {
    "sojourn": 1,
    "roots": [0, 5],
    "tables": [
        {
            "entity": "Customer",
            "schema": "000000000000",
            "columns": ["id", "name", "city"],
            "rows": [[1, "Ann", None]],
            "collections": {"orders": [[1, 2]]},
            "edits": [{"row": 0, "base": {"name": "Anna", "orders": [1, 2, 3]}, "unknown": ["city"]}],
        },
        {
            "entity": "Order",
            "schema": "000000000000",
            "columns": ["id", "placed_at"],
            "rows": [[1, "2026-01-02T03:04:05"], [2, None], [3, None]],
            "references": {"customer": [0, 0, None]},
            "edits": [{"row": 2, "base": {"customer": 0}}],
        },
        {
            "entity": "Order",
            "schema": "000000000000",
            "new": [TOKEN],
            "columns": ["number"],
            "rows": [["N"]],
            "references": {"customer": [5]},
            "edits": [{"row": 0, "unknown": ["customer"]}],
        },
        {
            "entity": "Customer",
            "schema": "000000000000",
            "columns": ["id"],
            "rows": [[2]],
            "edits": [{"row": 0, "added": {"orders": [4]}, "removed": {"orders": [3]}}],
        },
    ],
}

Path = tuple[str | int, ...]


def changed(path: Path, value: Any) -> bytes:
    """The good document with another value at one place."""
    document = copy.deepcopy(GOOD)
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return encoded(document)


def without(path: Path) -> bytes:
    document = copy.deepcopy(GOOD)
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return encoded(document)


def in_table(number: int, key: str, value: Any) -> bytes:
    return changed(("tables", number, key), value)


def references(*targets: Any) -> bytes:
    """The good document with other customers of the orders."""
    return in_table(1, "references", {"customer": list(targets)})


def members(*lists: Any) -> bytes:
    """The good document with other orders of the first customer."""
    return in_table(0, "collections", {"orders": list(lists)})


def edit(table: int, **parts: Any) -> bytes:
    return in_table(table, "edits", [{"row": 0, **parts}])


def test_the_good_document_is_good() -> None:
    validator.validate(GOOD)
    ann, other = loads(encoded(GOOD), shop.Base)
    assert (ann.name, [order.id for order in ann.orders], other.id) == ("Ann", [1, 2], 2)


BAD: list[tuple[str, bytes, str, str]] = [
    # what, bytes, where, message
    ("nothing", b"", "$", "truncated"),
    ("a BOM", b"\xef\xbb\xbf" + encoded(GOOD), "$", "malformed"),
    ("not UTF-8", encoded(GOOD).replace(b"sojourn", b"s\xffjourn"), "$", "not UTF-8"),
    ("a value that is not UTF-8", encoded(GOOD).replace(b'"Ann"', b'"\xff"'), "$.tables[0].rows", "not UTF-8"),
    ("a lone surrogate", encoded(GOOD).replace(b'"Ann"', b'"\\ud800"'), "$", "malformed"),
    ("a pickle", b"\x80\x04\x95pickle", "$", "missing required field `sojourn`"),
    ("no JSON", b"sojourn", "$", "malformed"),
    ("something behind", encoded(GOOD) + b"{}", "$", "malformed"),
    ("a list", b"[]", "$", "Expected `object`, got `array`"),
    ("null", b"null", "$", "Expected `object`, got `null`"),
    ("an empty object", b"{}", "$", "missing required field `sojourn`"),
    ("too deep in the rows", encoded(GOOD).replace(b'"Ann"', b"[" * 200_000), "$", "nested too deeply"),
    ("a newer format", changed(("sojourn",), 2), "$.sojourn", "of format 2, and this sojourn reads format 1"),
    ("a newer format of another form", b'{"sojourn": 7, "graph": {}}', "$.sojourn", "of format 7"),
    ("format 0", changed(("sojourn",), 0), "$.sojourn", "of format 0"),
    ("a format of another type", changed(("sojourn",), "1"), "$.sojourn", "Expected `int`, got `str`"),
    ("an unknown part", changed(("extra",), 1), "$", "unknown field `extra`"),
    ("an unknown part of a table", in_table(1, "extra", 1), "$.tables[1]", "unknown field `extra`"),
    ("an unknown part of an edit", edit(0, extra=1), "$.tables[0].edits[0]", "unknown field `extra`"),
    ("no roots", without(("roots",)), "$", "missing required field `roots`"),
    ("a root that is not there", changed(("roots",), [0, 6]), "$.roots[1]", "no object with the number 6"),
    ("a negative root", changed(("roots",), [-1]), "$.roots[0]", ">= 0"),
    ("a fractional root", changed(("roots",), [0.5]), "$.roots[0]", "Expected `int`, got `float`"),
    ("no rows", without(("tables", 0, "rows")), "$.tables[0]", "missing required field `rows`"),
    ("an unknown class", in_table(0, "entity", "Kunde"), "$.tables[0].entity", "the class 'Kunde' is not among"),
    (
        "an unknown column",
        in_table(0, "columns", ["id", "nom", "city"]),
        "$.tables[0].columns[1]",
        "Customer has no 'nom'",
    ),
    ("a column twice", in_table(0, "columns", ["id", "id", "city"]), "$.tables[0].columns[1]", "listed twice"),
    (
        "a relationship as column",
        in_table(1, "columns", ["id", "customer"]),
        "$.tables[1].columns[1]",
        "Order has no 'customer' among its columns",
    ),
    (
        "a collection as reference",
        in_table(1, "references", {"lines": [0, 0, None]}),
        "$.tables[1].references",
        "Order has no 'lines' among its references",
    ),
    (
        "a column as collection",
        in_table(3, "collections", {"name": [[]]}),
        "$.tables[3].collections",
        "Customer has no 'name' among its collections",
    ),
    ("rows that are none", in_table(3, "rows", {}), "$.tables[3].rows", "Expected `array`, got `object`"),
    ("a row that is none", in_table(3, "rows", [2]), "$.tables[3].rows[0]", "Expected `array`, got `int`"),
    ("a row that is too short", in_table(0, "rows", [[1, "Ann"]]), "$.tables[0].rows[0]", "length 3"),
    ("a row that is too long", in_table(3, "rows", [[2], [3, 4]]), "$.tables[3].rows[1]", "length 1"),
    (
        "a value of another type",
        in_table(0, "rows", [[1, 5, None]]),
        "$.tables[0].rows[0][1]",
        "Customer.name: Expected `str | null`, got `int`",
    ),
    (
        "true as a number",
        in_table(3, "rows", [[True]]),
        "$.tables[3].rows[0][0]",
        "Customer.id: Expected `int | str | null`, got `bool`",
    ),
    (
        "no date",
        in_table(1, "rows", [[1, "yesterday"]]),
        "$.tables[1].rows[0][1]",
        "Order.placed_at: Invalid RFC3339 encoded datetime",
    ),
    (
        "a date with an offset twice",
        in_table(1, "rows", [[1, None], [2, {"local": "2026-01-02T00:00:00Z", "offset": 0}]]),
        "$.tables[1].rows[1][1]",
        "Order.placed_at: expected a local time beside the offset",
    ),
    (
        "an offset of a day",
        in_table(1, "rows", [[1, {"local": "2026-01-02T00:00:00", "offset": 86_400_000_000}]]),
        "$.tables[1].rows[0][1]",
        "Order.placed_at: expected an offset of less than 24 hours",
    ),
    (
        "an offset beyond all time",
        in_table(1, "rows", [[1, {"local": "2026-01-02T00:00:00", "offset": 10**25}]]),
        "$.tables[1].rows[0][1]",
        "Order.placed_at: expected an offset of less than 24 hours",
    ),
    ("a negative node", references(-1, 0, None), "$.tables[1].references.customer[0]", ">= 0"),
    (
        "a reference to nobody",
        references(0, 99, None),
        "$.tables[1].references.customer[1]",
        "no object with the number 99",
    ),
    ("a member that is not there", members([1, 99]), "$.tables[0].collections.orders[0][1]", "number 99"),
    ("a member that is null", members([None]), "$.tables[0].collections.orders[0][0]", "got `null`"),
    ("a collection that is null", members(None), "$.tables[0].collections.orders[0]", "got `null`"),
    ("too few references", references(0), "$.tables[1].references.customer", "1 values for 3 rows"),
    ("too many references", references(0, 0, None, 0), "$.tables[1].references.customer", "4 values for 3 rows"),
    ("too few collections", members(), "$.tables[0].collections.orders", "0 values for 1 rows"),
    ("too many collections", members([1], [2]), "$.tables[0].collections.orders", "2 values for 1 rows"),
    (
        "references that are none",
        in_table(1, "references", ["customer"]),
        "$.tables[1].references",
        "Expected `object`, got `array`",
    ),
    (
        "a relationship as both",
        in_table(0, "references", {"orders": [None]}),
        "$.tables[0].references",
        "Customer has no 'orders' among its references",
    ),
    (
        "a reference to another class",
        references(2, 0, None),
        "$.tables[1].references.customer[0]",
        "object 2 is of Order, and Order.customer takes Customer",
    ),
    (
        "a member of another class",
        members([1, 5]),
        "$.tables[0].collections.orders[0][1]",
        "object 5 is of Customer, and Customer.orders takes Order",
    ),
    (
        "an identity twice",
        in_table(3, "rows", [[1]]),
        "$.tables[3].rows[0]",
        "Customer(1) is at $.tables[0].rows[0] already",
    ),
    (
        "an identity twice in one table",
        in_table(1, "rows", [[1, None], [1, None], [3, None]]),
        "$.tables[1].rows[1]",
        "Order(1) is at $.tables[1].rows[0] already",
    ),
    (
        "an identity twice through an edited key",
        edit(3, base={"id": 1}),
        "$.tables[3].rows[0]",
        "Customer(1) is at $.tables[0].rows[0] already",
    ),
    (
        "no primary key",
        in_table(3, "columns", ["name"]).replace(b"[[2]]", b'[["x"]]'),
        "$.tables[3].columns",
        "Customer.id",
    ),
    ("a primary key of null", in_table(3, "rows", [[None]]), "$.tables[3].rows[0]", "primary key of Customer is null"),
    ("too few tokens", in_table(2, "new", []), "$.tables[2].new", "0 tokens for 1 row"),
    ("a token twice", in_table(2, "new", [TOKEN, TOKEN]), "$.tables[2].new", "2 tokens for 1 row"),
    (
        "the token of another object",
        changed(
            ("tables",),
            [*GOOD["tables"], {"entity": "Line", "schema": "0" * 12, "new": [TOKEN], "columns": [], "rows": [[]]}],
        ),
        "$.tables[4].new[0]",
        "another object has this token",
    ),
    ("no token", in_table(2, "new", ["x"]), "$.tables[2].new[0]", "regex"),
    (
        "a new row of a shard",
        in_table(2, "identity_token", "eu"),
        "$.tables[2].identity_token",
        "no identity token yet",
    ),
    (
        "a shard whose number fits no encoding but this one",
        in_table(0, "identity_token", 2**63),
        "$.tables[0].identity_token",
        "<= 9223372036854775807",
    ),
    ("a shard of another type", in_table(0, "identity_token", 1.5), "$.tables[0].identity_token", "got `float`"),
    (
        "an edit of no row",
        in_table(0, "edits", [{"row": 1, "unknown": ["name"]}]),
        "$.tables[0].edits[0].row",
        "no row 1",
    ),
    (
        "two edits of a row",
        in_table(0, "edits", [{"row": 0, "unknown": ["name"]}, {"row": 0, "unknown": ["city"]}]),
        "$.tables[0].edits[1].row",
        "row 0 has two entries",
    ),
    ("an edit without a row", in_table(0, "edits", [{}]), "$.tables[0].edits[0]", "missing required field `row`"),
    (
        "the base of nothing",
        edit(0, base={"nom": 1}),
        "$.tables[0].edits[0].base.nom",
        "Customer has no attribute 'nom'",
    ),
    (
        "the base of an unloaded column",
        edit(0, base={"email": "x"}),
        "$.tables[0].edits[0].base",
        "is not loaded in this",
    ),
    ("a base of another type", edit(0, base={"name": 1}), "$.tables[0].edits[0].base.name", "got `int`"),
    (
        "a base that is not UTF-8",
        edit(0, base={"name": "?"}).replace(b'"?"', b'"\xff"'),
        "$.tables[0].edits[0].base.name",
        "8",
    ),
    ("a base that is not there", edit(0, base={"orders": [9]}), "$.tables[0].edits[0].base.orders[0]", "the number 9"),
    ("a base of another class", edit(0, base={"orders": [0]}), "$.tables[0].edits[0].base.orders[0]", "takes Order"),
    (
        "a base and none",
        edit(0, base={"name": "x"}, unknown=["name"]),
        "$.tables[0].edits[0].unknown[0]",
        "Customer.name is named twice",
    ),
    ("unknown twice", edit(0, unknown=["name", "name"]), "$.tables[0].edits[0].unknown[1]", "is named twice"),
    ("an unknown identity", edit(0, unknown=["id"]), "$.tables[0].edits[0].unknown[0]", "part of the identity"),
    (
        "unknown and not loaded",
        edit(0, unknown=["email"]),
        "$.tables[0].edits[0].unknown[0]",
        "not loaded in this table",
    ),
    (
        "the base of a new row",
        edit(2, base={"number": "x"}),
        "$.tables[2].edits[0].base",
        "cannot have been edited here",
    ),
    (
        "members of a loaded collection",
        edit(0, added={"orders": [4]}),
        "$.tables[0].edits[0].added",
        "Customer.orders is not",
    ),
    (
        "members of a column",
        edit(3, removed={"name": [4]}),
        "$.tables[3].edits[0].removed",
        "Customer.name is not a collection",
    ),
    (
        "members of a new row",
        edit(2, added={"lines": []}),
        "$.tables[2].edits[0].added",
        "Order.lines is not a collection of",
    ),
    (
        "an added member that is not there",
        edit(3, added={"orders": [9]}),
        "$.tables[3].edits[0].added.orders[0]",
        "number 9",
    ),
    (
        "a removed member of another class",
        edit(3, removed={"orders": [0]}),
        "$.tables[3].edits[0].removed.orders[0]",
        "takes",
    ),
]


@pytest.mark.parametrize(("data", "where", "message"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_what_is_wrong_is_said_with_its_place_and_nothing_is_built(
    data: bytes, where: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[object] = []
    monkeypatch.setattr(restore, "make_builder", lambda mapper, *_, **__: built.append(mapper))
    with pytest.raises(SnapshotError) as caught:
        loads(data, shop.Base)
    assert caught.value.where == where
    assert message in str(caught.value)
    assert built == []


def packed(data: bytes) -> bytes | None:
    """The same in MessagePack; None for what is no JSON, or holds a number that MessagePack has no form for."""
    try:
        return msgspec.msgpack.encode(msgspec.json.decode(data))
    except (ValueError, OverflowError, RecursionError):
        return None


PACKED = [(name, in_messagepack, where) for name, data, where, _ in BAD if (in_messagepack := packed(data)) is not None]


@pytest.mark.parametrize(("data", "where"), [bad[1:] for bad in PACKED], ids=[bad[0] for bad in PACKED])
def test_the_same_is_refused_at_the_same_place_in_messagepack(data: bytes, where: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        loads(data, shop.Base)
    assert caught.value.where == where


def test_every_truncation_is_refused() -> None:
    data = encoded(GOOD)
    for length in range(len(data)):
        with pytest.raises(SnapshotError, match="truncated"):
            loads(data[:length], shop.Base)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("some_bytes", "no base64", "Invalid base64 encoded string"),
        ("a_decimal", "1.5.1", "Invalid decimal string"),
        ("a_date", "2026-02-30", "Invalid RFC3339 encoded date"),
        ("a_time", "25:00:00", "Invalid RFC3339 encoded time"),
        ("a_timedelta", "P1000000000D", "Duration is out of range"),
        ("a_timedelta", 10**30, "got `float`"),
        ("a_uuid", "x", "Invalid UUID"),
        ("a_colour", "BLUE", "Invalid enum value 'BLUE'"),
        ("a_colour", "r", "Invalid enum value 'r'"),
        ("a_float", "nan", "expected a number"),
        ("a_float", [], "got `array`"),
        ("a_bool", 1, "got `int`"),
        ("an_int", "1", "expected a number"),
    ],
)
def test_a_value_that_its_column_does_not_take_is_named(key: str, value: Any, message: str) -> None:
    document = document_of([AllTypes(id=1, **{key: SAMPLE[key]}), AllTypes(id=2, **{key: SAMPLE[key]})])
    document["tables"][0]["rows"][1][1] = value
    with pytest.raises(SnapshotError) as caught:
        loads(encoded(document), AllTypes)
    assert caught.value.where == "$.tables[0].rows[1][1]"
    assert f"AllTypes.{key}: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["text", [1], 5])
def test_what_a_mutable_type_refuses_is_a_snapshot_error(value: Any) -> None:
    document = document_of(Settings(id=1, name="s", tracked={}))
    document["tables"][0]["rows"][0] = [1, "s", value]
    with pytest.raises(SnapshotError, match=r"Settings does not take these values: Attribute 'tracked'") as caught:
        loads(encoded(document), columns.Base)
    assert caught.value.where == "$.tables[0].rows[0]"


def test_what_a_load_event_raises_is_a_snapshot_error() -> None:
    class Base(DeclarativeBase):
        pass

    class Picky(Base):
        __tablename__ = "picky"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str]

    @event.listens_for(Picky, "load")
    def loaded(target: Picky, _context: object) -> None:
        target.name.upper()

    document = document_of(Picky(id=1, name="x"))
    del document["tables"][0]["new"]
    assert loads(encoded(document), Picky)[0].name == "x"
    document["tables"][0] |= {"columns": ["id"], "rows": [[1]]}
    with pytest.raises(SnapshotError, match=r"Picky does not take these values: Picky\.name is not loaded"):
        loads(encoded(document), Picky)


def test_what_load_events_set_is_no_edit() -> None:
    class Base(DeclarativeBase):
        pass

    class Stamped(Base):
        __tablename__ = "stamped"
        id: Mapped[int] = mapped_column(primary_key=True)
        seen: Mapped[int]

    @event.listens_for(Stamped, "load")
    def loaded(target: Stamped, _context: object) -> None:
        target.seen += 1

    document = document_of(Stamped(id=1, seen=1))
    del document["tables"][0]["new"]
    (once,) = loads(encoded(document), Stamped)
    assert once.seen == 2
    assert "edits" not in document_of(once)["tables"][0]


def test_documents_of_many_shapes_do_not_fill_the_memory() -> None:
    class Base(DeclarativeBase):
        pass

    class Wide(Base):
        __tablename__ = "wide"
        id: Mapped[int] = mapped_column(primary_key=True)
        a: Mapped[int]
        b: Mapped[int]
        c: Mapped[int]
        d: Mapped[int]
        e: Mapped[int]

    table = {"entity": "Wide", "schema": "0" * 12, "rows": [[1, 1, 1, 1, 1, 1]]}
    for columns_ in permutations(["id", "a", "b", "c", "d", "e"]):
        loads(encoded({"sojourn": 1, "roots": [0], "tables": [{**table, "columns": columns_}]}), Wide)
    assert len(inspect(Wide).class_manager.info["sojourn.decoders"]) <= 100


def test_another_mapping_of_the_class_is_mentioned_where_it_may_be_the_cause() -> None:
    with pytest.raises(SnapshotError, match=r"It was written with another mapping of Customer\."):
        loads(in_table(0, "columns", ["id", "nom", "city"]), shop.Base)


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "models",
    [Dog, inheritance.Base, inheritance.Base.registry, [Animal, Dog], {Dog}, [inheritance.Base, shop.Base]],
    ids=["class", "base", "registry", "list", "set", "bases"],
)
def test_models_are_a_class_a_base_a_registry_or_several(models: Any) -> None:
    (copy_,) = loads(dumped(Dog(name="Rex")), models)
    assert type(copy_) is Dog


@pytest.mark.parametrize("models", [Animal, Cat, [], Owner])
def test_only_listed_classes_are_built(models: Any) -> None:
    with pytest.raises(SnapshotError, match="the class 'Dog' is not among the models") as caught:
        loads(dumped(Dog(name="Rex")), models)
    assert caught.value.where == "$.tables[0].entity"


@pytest.mark.parametrize("models", [None, 5, "Dog", object, [Dog, int], DeclarativeBase])
def test_models_that_are_no_models_are_not_taken(models: Any) -> None:
    with pytest.raises(NotMappedError):
        loads(dumped(Dog(name="Rex")), models)


def other_customer() -> type[DeclarativeBase]:
    class Base(DeclarativeBase):
        pass

    class Customer(Base):
        __tablename__ = "customer"
        id: Mapped[int] = mapped_column(primary_key=True)

    return Customer


def test_two_classes_of_one_name_are_refused_where_the_name_is_used() -> None:
    models = [shop.Base, other_customer()]
    assert loads(dumped(Line(sku="x")), models)[0].sku == "x"
    with pytest.raises(SnapshotError, match="2 of the models that were given are called 'Customer'"):
        loads(dumped(Customer(name="x")), models)


@pytest.mark.parametrize("data", ["text", None, 5, [1]])
def test_what_is_no_bytes_is_refused_as_such(data: Any) -> None:
    with pytest.raises(SnapshotError, match="bytes"):
        loads(data, shop.Base)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes_are_bytes(kind: Callable[[bytes], Any]) -> None:
    assert loads(kind(encoded(GOOD)), shop.Base)[0].name == "Ann"


# --- anything --------------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
anything = st.recursive(scalars, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one))


def places(value: Any, path: Path = ()) -> list[Path]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, one in inner for place in places(one, (*path, key))]


@given(st.sampled_from(places(GOOD)), anything)
def test_any_value_at_any_place_gives_objects_or_one_clear_error(path: Path, value: Any) -> None:
    try:
        loads(changed(path, value), shop.Base)
    except SnapshotError as error:
        assert error.where  # noqa: PT017 - either outcome is right, and this belongs to one of them


@given(st.binary(max_size=40), st.integers(0, 2000), st.integers(0, 40))
def test_any_damage_gives_objects_or_one_clear_error(noise: bytes, position: int, length: int) -> None:
    data = encoded(GOOD)
    position %= len(data)
    damaged = data[:position] + noise + data[position + length :]
    try:
        loads(damaged, [Customer, Order])
    except SojournError as error:
        assert isinstance(error, SnapshotError)  # noqa: PT017 - the same
        assert error.where  # noqa: PT017 - the same


def test_the_good_document_is_what_the_tests_damage() -> None:
    assert json.loads(changed(("sojourn",), 1)) == GOOD
