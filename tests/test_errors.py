"""Every error carries its data, names the remedy, survives pickling, and never prints what is not its own."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest
from sqlalchemy.orm.exc import DetachedInstanceError, UnmappedInstanceError

from sojourn import errors
from sojourn.errors import (
    UNKNOWN,
    BadArgumentError,
    Conflict,
    ConflictError,
    IncompleteError,
    JobChangedError,
    KeyNeededError,
    LeaseLostError,
    MissingRowError,
    NotAllowedError,
    NotLoadedError,
    NotMappedError,
    NoTransactionError,
    PayloadError,
    PayloadFault,
    SnapshotError,
    SojournError,
    TooManyRejectedError,
    UncommittedError,
    Unknown,
    UnknownJobError,
    UnsuitableStatementError,
    WorkersLostError,
    WrongAttributeError,
    WrongSessionError,
    identity_text,
)
from tests.models.odd import Pin  # a class whose __repr__ fails
from tests.models.shop import Customer, Order

CONFLICT = Conflict((Customer, (1,), None), "name", "a", "b", "c")
MISSING = Conflict((Customer, (2,), None), None, UNKNOWN, "b", None, missing=True)

# Each error, its data, and what its message must say.
EXAMPLES: list[tuple[SojournError, dict[str, Any], list[str]]] = [
    (ConflictError([CONFLICT]), {"conflicts": [CONFLICT]}, ["1 conflict:", "Customer(1).name", "on_conflict="]),
    (ConflictError([CONFLICT, MISSING]), {"conflicts": [CONFLICT, MISSING]}, ["2 conflicts:", "Customer(2)"]),
    (MissingRowError([MISSING]), {"conflicts": [MISSING]}, ["does not exist any more", "on_missing="]),
    (UncommittedError([Order()], "flushed", "Commit first."), {}, ["Order: flushed. Commit first."]),
    (
        NotLoadedError("Customer", "orders", "Add it."),
        {"class_name": "Customer", "attribute": "orders", "remedy": "Add it."},
        ["Customer.orders is not loaded", "Add it."],
    ),
    (NotMappedError("text"), {"object": "text"}, ["str is not a mapped class", "Pass mapped instances"]),
    (WrongSessionError([Order(), Order()], "elsewhere", "Detach it."), {}, ["2 Order: elsewhere. Detach it."]),
    (
        NotAllowedError([("Order", "status"), ("Order", "id"), ("Order", "status")]),
        {"attributes": [("Order", "id"), ("Order", "status")]},
        ["Order.id, Order.status", "allow="],
    ),
    (
        KeyNeededError("Country", ["code"]),
        {"class_name": "Country", "attributes": ["code"]},
        ["Country.code", "rekey="],
    ),
    (WrongAttributeError("nmae", "is not mapped", "Name it."), {"attribute": "nmae"}, ["nmae is not mapped. Name it."]),
    (BadArgumentError('verify is 1. It is "all".'), {}, ["verify is 1."]),
    (
        IncompleteError([("Order", "lines"), ("Customer", "name")]),
        {"attributes": [("Customer", "name"), ("Order", "lines")]},
        ["Customer.name, Order.lines", "prefetch(", "skip=[Customer.name, Order.lines]"],
    ),
    (
        PayloadError([PayloadFault("$.lines[0].qty", "Expected int, got str")]),
        {"errors": [PayloadFault("$.lines[0].qty", "Expected int, got str")]},
        ["1 fault in the payload:", "$.lines[0].qty: Expected int, got str", "Correct the payload"],
    ),
    (
        NoTransactionError("postgresql", "    with Session(engine) as session: ..."),
        {"dialect": "postgresql"},
        ["commits each statement by itself", "with transactions:\n    with Session(engine)"],
    ),
    (
        UnsuitableStatementError("The statement has .limit(...)", "Leave it out."),
        {"what": "The statement has .limit(...)", "remedy": "Leave it out."},
        ["The statement has .limit(...). Leave it out."],
    ),
    (LeaseLostError("nightly"), {"job": "nightly"}, ["'nightly' was taken over", "Pass a longer lease"]),
    (
        JobChangedError("nightly", "SELECT 1", "SELECT 2"),
        {"job": "nightly", "was": "SELECT 1", "now": "SELECT 2"},
        ["'nightly' was begun with another statement", "SELECT 1", "SELECT 2", "force=True"],
    ),
    (
        TooManyRejectedError("nightly", 101, 2000, 100),
        {"job": "nightly", "rejected": 101, "rows": 2000, "limit": 100},
        ["101 of 2,000 rows", "max_rejected=100", "sojourn jobs URL rejected nightly"],
    ),
    (WorkersLostError(), {}, ["Pass workers="]),
    (UnknownJobError("nightly"), {"job": "nightly"}, ["no job 'nightly'", "sojourn jobs URL"]),
    (
        SnapshotError("no such class", where="entities[0]", remedy="Allow it."),
        {"where": "entities[0]", "remedy": "Allow it."},
        ["entities[0]: no such class. Allow it."],
    ),
]
EVERY = pytest.mark.parametrize(("error", "data", "said"), EXAMPLES, ids=lambda one: type(one).__name__)


def test_the_examples_are_complete() -> None:
    defined = {one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, SojournError)}
    assert {type(error) for error, _, _ in EXAMPLES} == defined - {SojournError}


@EVERY
def test_an_error_carries_its_data_and_names_the_remedy(
    error: SojournError, data: dict[str, Any], said: list[str]
) -> None:
    assert {name: getattr(error, name) for name in data} == data
    for part in said:
        assert part in str(error)
    assert str(error).endswith((".", "]"))


@EVERY
def test_an_error_arrives_in_another_process_as_it_was(
    error: SojournError, data: dict[str, Any], said: list[str]
) -> None:
    for arrived in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
        assert {name: getattr(arrived, name) for name in data} == data
        assert arrived.__dict__.keys() == error.__dict__.keys()


@pytest.mark.parametrize("error", [UncommittedError, WrongSessionError])
def test_objects_are_counted_by_class_and_never_printed(error: type[UncommittedError | WrongSessionError]) -> None:
    objects = [Pin(), Pin(), Order()]
    raised = error(objects, "no", "Yes.")
    assert [id(obj) for obj in raised.objects] == [id(obj) for obj in objects]
    assert str(raised) == "2 Pin, Order: no. Yes."


def test_what_is_no_attribute_is_named_by_its_type() -> None:
    assert str(WrongAttributeError(Pin(), "is wrong", "Right.")) == "Pin is wrong. Right."
    assert str(WrongAttributeError(Customer.orders, "is wrong", "Right.")) == "Customer.orders is wrong. Right."


def test_errors_are_also_what_sqlalchemy_raises_in_their_place() -> None:
    assert isinstance(NotLoadedError("Customer", "orders", ""), DetachedInstanceError)
    assert isinstance(NotMappedError("text"), UnmappedInstanceError)
    assert issubclass(MissingRowError, ConflictError)


def test_a_conflict_reads_as_a_sentence() -> None:
    assert str(CONFLICT) == "Customer(1).name: base 'a', mine 'b', theirs 'c'"
    assert str(MISSING) == "Customer(2): the row does not exist any more"
    assert "base UNKNOWN" in str(Conflict(None, "name", UNKNOWN, 1, 2))


def test_identities_are_written_as_people_write_them() -> None:
    assert identity_text((Customer, (1, "a"), None)) == "Customer(1, 'a')"
    assert identity_text(None) == "new object"


def test_unknown_is_one_object_everywhere_and_no_other_value() -> None:
    assert pickle.loads(pickle.dumps(UNKNOWN)) is copy.deepcopy(UNKNOWN) is copy.copy(UNKNOWN) is UNKNOWN
    assert isinstance(UNKNOWN, Unknown)
    assert repr(UNKNOWN) == "UNKNOWN"
