"""Documents of another version of the mapping: what was added, dropped, renamed, moved, and got another type."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any, Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import JSON, ForeignKey, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, attribute_keyed_dict, mapped_column, relationship

from sojourn.errors import UNKNOWN, BadArgumentError, NotLoadedError, NotMappedError, SnapshotError
from sojourn.mapping.blueprint import blueprint
from sojourn.snapshot import dumps, loads
from sojourn.sqlalchemy_internals import pending_mutations
from tests.databases import Database
from tests.models import inheritance, shop
from tests.models.inheritance import Animal, Puppy
from tests.snapshot.documents import document_of, dumped, edits, encoded, history, loaded
from tests.snapshot.test_bad_input import GOOD, Path, anything, changed, places

ENCODINGS: tuple[Literal["json", "msgpack"], ...] = ("json", "msgpack")


class OldBase(DeclarativeBase):
    """The mapping as it was."""


class Kunde(OldBase):
    __tablename__ = "kunde"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    ort: Mapped[str | None]
    fax: Mapped[Any] = mapped_column(JSON, nullable=True)
    orders: Mapped[list[Order]] = relationship(back_populates="kunde", cascade="all, delete-orphan")
    faxes: Mapped[dict[str, Fax]] = relationship(collection_class=attribute_keyed_dict("text"))


class Order(OldBase):
    __tablename__ = "order"

    id: Mapped[int] = mapped_column(primary_key=True)
    kunde_id: Mapped[int | None] = mapped_column(ForeignKey("kunde.id"))
    status: Mapped[str | None]
    kunde: Mapped[Kunde | None] = relationship(back_populates="orders")
    payer: Mapped[Kunde | None] = relationship(viewonly=True)


class Fax(OldBase):
    __tablename__ = "fax"

    id: Mapped[int] = mapped_column(primary_key=True)
    kunde_id: Mapped[int | None] = mapped_column(ForeignKey("kunde.id"))
    text: Mapped[str]


class NewBase(DeclarativeBase):
    """The mapping as it is: Kunde became Customer; of her attributes one has a new name, one came, two went."""


class Customer(NewBase):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str | None]
    email: Mapped[str | None]
    orders: Mapped[list[NewOrder]] = relationship(back_populates="customer", cascade="all, delete-orphan")


class NewOrder(NewBase):
    __tablename__ = "order"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customer.id"))
    status: Mapped[int | None]
    customer: Mapped[Customer | None] = relationship(back_populates="orders")


RENAMES: dict[Any, Any] = {
    "Kunde": Customer,
    "Order": NewOrder,
    Customer: {"ort": "city"},
    NewOrder: {"kunde": "customer", "kunde_id": "customer_id"},
}


@pytest.fixture
def session(sqlite: Database) -> Session:
    sqlite.create(OldBase.metadata)
    with sqlite.session() as filling:
        filling.add(Kunde(id=1, name="Ann", ort="Bergen", fax={"n": 1}, orders=[Order(id=1), Order(id=2)]))
        filling.add(Kunde(id=2, name="Bob", faxes={"hello": Fax(id=7, text="hello")}))
        filling.commit()
    return sqlite.session()


def ann(session: Session) -> Kunde:
    """With her orders, and they with her; the faxes are not loaded."""
    kunde = session.get_one(Kunde, 1)
    assert [order.kunde for order in kunde.orders] == [kunde, kunde]
    session.expunge_all()
    return kunde


def both(objs: Any) -> list[bytes]:
    """The document in both encodings."""
    dumped(objs)
    return [dumps(objs, format=encoding) for encoding in ENCODINGS]


# --- added -----------------------------------------------------------------------------------------------------------


def test_what_was_added_to_the_mapping_is_not_loaded(session: Session) -> None:
    kunde = Kunde(id=1, name="Ann")
    for data in both(kunde):
        (customer,) = loads(data, Customer, renames={"Kunde": Customer})
        assert loaded(customer) == {"id": 1, "name": "Ann"}
    document = document_of(kunde)
    del document["tables"][0]["new"]
    (customer,) = loads(encoded(document), Customer, renames={"Kunde": Customer})
    with pytest.raises(NotLoadedError, match=r"Customer\.email"):
        customer.email  # noqa: B018 - the reading is the test


# --- dropped ---------------------------------------------------------------------------------------------------------


def test_what_was_dropped_from_the_mapping_is_an_error_that_says_what_to_do(session: Session) -> None:
    with pytest.raises(
        SnapshotError, match=r"written with another mapping of Customer\. .*renames=.*on_unknown="
    ) as error:
        loads(dumped(ann(session)), NewBase, renames=RENAMES)
    assert error.value.where.startswith("$.tables[0].columns[")
    assert "Customer has no 'fax' among its columns" in str(error.value)


def test_a_dropped_relationship_is_an_error_too(session: Session) -> None:
    bob = session.get_one(Kunde, 2)
    assert bob.faxes["hello"].text == "hello"
    document = document_of(bob)
    document["tables"][0] |= {"columns": ["id"], "rows": [[2]]}
    with pytest.raises(SnapshotError, match="Customer has no 'faxes' among its collections"):
        loads(encoded(document), [Customer, Fax], renames=RENAMES)


def test_what_was_dropped_is_left_out_where_the_caller_says_so(session: Session) -> None:
    for data in both(ann(session)):
        (customer,) = loads(data, NewBase, renames=RENAMES, on_unknown="ignore")
        assert loaded(customer).keys() == {"id", "name", "city", "orders"}
        assert (customer.id, customer.name, customer.city) == (1, "Ann", "Bergen")
        assert [loaded(order) for order in customer.orders] == [
            {"id": number, "customer_id": 1, "status": None, "customer": customer} for number in (1, 2)
        ]
        assert not inspect(customer).modified


def test_edits_of_what_was_dropped_are_left_out_and_the_others_stay(session: Session) -> None:
    kunde = ann(session)
    kunde.fax = None
    kunde.ort = "Cork"
    for data in both(kunde):
        (customer,) = loads(data, NewBase, renames=RENAMES, on_unknown="ignore")
        assert edits(customer) == {"city": "Bergen"}
    kunde.ort = "Bergen"
    (customer,) = loads(dumped(kunde), NewBase, renames=RENAMES, on_unknown="ignore")
    assert not inspect(customer).modified


def test_changes_of_a_dropped_collection_are_left_out(session: Session) -> None:
    document = document_of(session.get_one(Kunde, 2))
    fax = {"entity": "Fax", "schema": "0" * 12, "columns": ["id"], "rows": [[7]]}
    document["tables"].append(fax)
    for part in ({"unknown": ["fax"]}, {"added": {"faxes": [1]}}, {"removed": {"faxes": [1]}}):
        document["tables"][0]["edits"] = [{"row": 0, **part}]
        (customer,) = loads(encoded(document), [Customer, Fax], renames=RENAMES, on_unknown="ignore")
        assert not inspect(customer).modified


def test_what_hung_on_a_dropped_relationship_alone_is_still_a_root_if_it_was_one(session: Session) -> None:
    bob = session.get_one(Kunde, 2)
    fax = bob.faxes["hello"]
    for data in both([bob, fax]):
        customer, copy = loads(data, [Customer, Fax], renames=RENAMES, on_unknown="ignore")
        assert "faxes" not in loaded(customer)
        assert (type(copy), copy.text) == (Fax, "hello")


def test_a_class_that_is_not_known_is_an_error_in_any_case(session: Session) -> None:
    bob = session.get_one(Kunde, 2)
    assert bob.faxes
    with pytest.raises(SnapshotError, match="the class 'Fax' is not among the models"):
        loads(dumped(bob), NewBase, renames=RENAMES, on_unknown="ignore")


def test_a_relationship_that_has_become_another_kind_is_as_one_that_is_not_there(session: Session) -> None:
    document = document_of(session.get_one(Order, 1))
    document["tables"][0]["collections"] = {"kunde": [[]]}
    with pytest.raises(SnapshotError, match="NewOrder has no 'customer' among its collections"):
        loads(encoded(document), NewBase, renames=RENAMES)
    (order,) = loads(encoded(document), NewBase, renames=RENAMES, on_unknown="ignore")
    assert loaded(order).keys() == {"id", "customer_id", "status"}


def test_places_that_were_left_out_still_have_to_be_there(session: Session) -> None:
    document = document_of(session.get_one(Kunde, 2))
    document["tables"][0]["rows"][0].pop()
    with pytest.raises(SnapshotError, match="length") as caught:
        loads(encoded(document), Customer, renames=RENAMES, on_unknown="ignore")
    assert caught.value.where == "$.tables[0].rows[0]"


def test_places_are_counted_as_in_the_document_though_columns_are_left_out(session: Session) -> None:
    document = document_of(session.get_one(Kunde, 2))
    document["tables"][0] |= {"columns": ["fax", "id", "gone", "name"], "rows": [[1, 2, 3, "x"], [1, 3, 3, 5]]}
    with pytest.raises(SnapshotError, match=r"Customer\.name: Expected .* written with another mapping") as caught:
        loads(encoded(document), Customer, renames=RENAMES, on_unknown="ignore")
    assert caught.value.where == "$.tables[0].rows[1][3]"
    document["tables"][0] |= {"columns": ["fax", "id", "gone", "id"]}
    with pytest.raises(SnapshotError, match="listed twice") as caught:
        loads(encoded(document), Customer, renames=RENAMES, on_unknown="ignore")
    assert caught.value.where == "$.tables[0].columns[3]"


def test_the_primary_key_cannot_be_left_out(session: Session) -> None:
    document = document_of(session.get_one(Kunde, 2))
    columns = document["tables"][0]["columns"]
    columns[columns.index("id")] = "nr"
    with pytest.raises(SnapshotError, match=r"Customer\.id is missing"):
        loads(encoded(document), Customer, renames=RENAMES, on_unknown="ignore")


# --- renamed ---------------------------------------------------------------------------------------------------------


def test_a_renamed_attribute_keeps_its_values_and_its_edits(session: Session) -> None:
    kunde = ann(session)
    one, two = kunde.orders
    del kunde.__dict__["fax"]
    kunde.ort = "Cork"
    kunde.orders.remove(two)
    one.kunde_id = 5
    for data in both(kunde):
        (customer,) = loads(data, NewBase, renames=RENAMES)
        assert edits(customer) == {"city": "Bergen"}
        assert edits(customer.orders[0]) == {"customer_id": 1}
        (gone,) = history(customer, "orders").deleted
        assert history(gone, "customer") == ([None], (), [customer])
        assert customer.orders[0].customer is customer


def test_the_unknown_and_the_unloaded_are_renamed_alike(session: Session) -> None:
    document = document_of(session.get_one(Kunde, 2))
    table = document["tables"][0]
    order = {"entity": "Order", "schema": "0" * 12, "columns": ["id"], "rows": [[7]]}
    table |= {"columns": ["id", "ort"], "rows": [[2, "x"]]}
    table["edits"] = [{"row": 0, "unknown": ["ort"], "added": {"bestellungen": [1]}}]
    document["tables"].append(order)
    renames = {**RENAMES, Customer: {"ort": "city", "bestellungen": "orders"}}
    (customer,) = loads(encoded(document), NewBase, renames=renames)
    assert edits(customer) == {"city": UNKNOWN}
    ((added,), ()) = pending_mutations(inspect(customer), "orders")
    assert added.id == 7
    table["edits"] = [{"row": 0, "removed": {"bestellungen": [1]}}]
    (customer,) = loads(encoded(document), NewBase, renames=renames)
    ((), (removed,)) = pending_mutations(inspect(customer), "orders")
    assert removed.id == 7


def test_a_renamed_collection_keeps_its_members(session: Session) -> None:
    document = document_of(ann(session))
    table = document["tables"][0]
    table["collections"] = {"bestellungen": table["collections"]["orders"]}
    renames = {**RENAMES, Customer: {"bestellungen": "orders", "ort": "city", "fax": "email"}}
    table["rows"] = [[None if isinstance(cell, dict) else cell for cell in row] for row in table["rows"]]
    (customer,) = loads(encoded(document), NewBase, renames=renames)
    assert [order.id for order in customer.orders] == [1, 2]


def test_a_rename_may_stay_where_it_is_not_needed_any_more() -> None:
    class Base(DeclarativeBase):
        pass

    class Swapped(Base):
        __tablename__ = "swapped"
        id: Mapped[int] = mapped_column(primary_key=True)
        a: Mapped[str]
        b: Mapped[str]

    renames = {Swapped: {"a": "b", "b": "a"}, "Swapped": Swapped}
    document = document_of(Swapped(id=1, a="a", b="b"))
    (today,) = loads(encoded(document), Swapped, renames=renames)
    assert (today.a, today.b) == ("a", "b")
    document["tables"][0]["schema"] = "0" * 12
    (before,) = loads(encoded(document), Swapped, renames=renames)
    assert (before.a, before.b) == ("b", "a")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"columns": ["id", "ort", "city"], "rows": [[2, "x", "y"]]}, "$.tables[0].columns"),
        ({"references": {"a": [None], "b": [None]}}, "$.tables[0].references"),
        ({"collections": {"a": [[]], "orders": [[]]}}, "$.tables[0].collections"),
        ({"edits": [{"row": 0, "base": {"ort": "x", "city": "y"}}]}, "$.tables[0].edits[0].base"),
        ({"edits": [{"row": 0, "added": {"a": [], "b": []}}]}, "$.tables[0].edits[0].added"),
        ({"edits": [{"row": 0, "removed": {"a": [], "b": []}}]}, "$.tables[0].edits[0].removed"),
    ],
    ids=str,
)
def test_two_attributes_that_would_have_one_name_are_refused(
    session: Session, change: dict[str, Any], where: str
) -> None:
    document = document_of(session.get_one(Kunde, 2))
    document["tables"][0] |= {"columns": ["id"], "rows": [[2]], **change}
    renames = {"Kunde": Customer, Customer: {"ort": "city", "a": "orders", "b": "orders"}}
    with pytest.raises(SnapshotError, match=r"are called '(city|orders)' after renaming") as caught:
        loads(encoded(document), NewBase, renames=renames)
    assert caught.value.where == where


def test_a_rename_counts_for_subclasses_and_theirs_count_first() -> None:
    document = document_of(Puppy(id=1, name="Rex", tricks=3))
    table = document["tables"][0]
    table |= {"schema": "0" * 12, "columns": ["id", "rufname", "zahl"], "rows": [[1, "Rex", 3]]}
    renames = {Animal: {"rufname": "name", "zahl": "id"}, Puppy: {"zahl": "tricks"}}
    (puppy,) = loads(encoded(document), inheritance.Base, renames=renames)
    assert (puppy.name, puppy.tricks) == ("Rex", 3)


# --- classes ---------------------------------------------------------------------------------------------------------


def test_a_renamed_class_has_to_be_among_the_models(session: Session) -> None:
    data = dumped(Kunde(id=1, name="Ann"))
    with pytest.raises(SnapshotError, match=r"the class 'Kunde' is not .*renames={\"Kunde\": TheClass}"):
        loads(data, NewBase)
    with pytest.raises(SnapshotError, match="the class 'Customer' is not among the models") as caught:
        loads(data, NewOrder, renames=RENAMES)
    assert caught.value.where == "$.tables[0].entity"


def test_a_name_that_another_class_has_today_means_that_class_in_todays_documents() -> None:
    """Order is the old class's name, and the name of a class that somebody made since."""

    class Base(DeclarativeBase):
        pass

    class Order(Base):
        __tablename__ = "order"
        id: Mapped[int] = mapped_column(primary_key=True)
        note: Mapped[str]

    renames = {"Order": NewOrder}
    (today,) = loads(dumped(Order(id=1, note="x")), [Order, NewOrder], renames=renames)
    assert type(today) is Order
    (before,) = loads(dumped(globals()["Order"](id=1)), [Order, NewOrder], renames=renames)
    assert type(before) is NewOrder


def moved(module: str) -> type[Any]:
    class Base(DeclarativeBase):
        pass

    class Box(Base):
        __tablename__ = "box"
        id: Mapped[int] = mapped_column(primary_key=True)

    Box.__module__ = module
    return Box


def test_a_class_that_was_moved_to_another_module_is_found_by_its_name() -> None:
    before, after = moved("shop.boxes"), moved("shop.packing.boxes")
    (box,) = loads(dumped(before(id=1)), after)
    assert type(box) is after


def test_which_of_two_classes_of_one_name_is_meant_can_be_said() -> None:
    one, two = moved("a"), moved("b")
    data = dumped(one(id=1))
    with pytest.raises(SnapshotError, match=r"2 of the models .* 'Box'\. .*renames={\"Box\": TheClass}"):
        loads(data, [one, two])
    assert type(loads(data, [one, two], renames={"Box": two})[0]) is two


# --- other types -----------------------------------------------------------------------------------------------------


def test_a_value_has_to_fit_the_type_that_its_column_has_now(session: Session) -> None:
    order = session.get_one(Order, 1)
    (copy,) = loads(dumped(order), NewOrder, renames=RENAMES)
    assert copy.status is None
    order.status = "sent"
    for data in both(order):
        with pytest.raises(SnapshotError, match=r"NewOrder\.status: .* It was written with another mapping") as caught:
            loads(data, NewOrder, renames=RENAMES)
        assert caught.value.where == "$.tables[0].rows[0][2]"


def test_so_has_a_base(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.status = "sent"
    session.commit()
    assert order.status == "sent"
    order.status = None
    with pytest.raises(SnapshotError, match="It was written with another mapping of NewOrder") as caught:
        loads(dumped(order), NewOrder, renames=RENAMES)
    assert caught.value.where == "$.tables[0].edits[0].base.status"


# --- what the caller says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: loads(b"", [], on_unknown=cast("Any", "skip")), BadArgumentError, "on_unknown takes"),
        (lambda: loads(b"", [], renames={Customer: {"ort": "town"}}), BadArgumentError, "has none of this name"),
        (lambda: loads(b"", [], renames={Customer: "ort"}), BadArgumentError, "renames takes {old: new} for Customer"),
        (lambda: loads(b"", [], renames={int: {"a": "b"}}), NotMappedError, "not a mapped class"),
        (lambda: loads(b"", [], renames={"Kunde": "Customer"}), NotMappedError, "not a mapped class"),
        (lambda: loads(b"", [], renames={"Kunde": int}), NotMappedError, "not a mapped class"),
        (lambda: loads(b"", [], renames={5: {"a": "b"}}), NotMappedError, "not a mapped class"),
    ],
)
def test_what_renames_cannot_mean_is_the_callers_mistake(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_fingerprint_tells_two_versions_apart() -> None:
    assert blueprint(Customer).fingerprint != blueprint(Kunde).fingerprint
    assert blueprint(Kunde).fingerprint == document_of(Kunde(id=1))["tables"][0]["schema"]


# --- anything --------------------------------------------------------------------------------------------------------


@given(st.sampled_from(places(GOOD)), anything)
def test_any_value_at_any_place_of_an_older_document_gives_objects_or_one_clear_error(path: Path, value: Any) -> None:
    renames = {shop.Order: {"number": "status", "placed_at": "number"}, "Kunde": shop.Customer}
    try:
        loads(changed(path, value), shop.Base, renames=renames, on_unknown="ignore")
    except SnapshotError as error:
        assert error.where  # noqa: PT017 - either outcome is right, and this belongs to one of them


def test_a_document_of_very_many_columns_is_left_out_without_effort() -> None:
    names = [f"c{number}" for number in range(100_000)]
    table = {"entity": "Kunde", "schema": "0" * 12, "columns": ["id", *names], "rows": [[1, *range(100_000)]]}
    data = encoded({"sojourn": 1, "roots": [0], "tables": [table]})
    started = process_time()
    (customer,) = loads(data, Customer, renames=RENAMES, on_unknown="ignore")
    assert process_time() - started < 1
    assert loaded(customer) == {"id": 1}
