"""`patch`: nested plain data becomes edits of the rows that it names, and new rows."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, inspect, select
from sqlalchemy.orm import Session, selectinload

import sojourn
from sojourn.errors import BadArgumentError, MissingRowError, NotAllowedError, NotMappedError, WrongAttributeError
from sojourn.session.patch import patch
from sojourn.session.prefetch import prefetch
from sojourn.snapshot.to_dict import to_dict
from tests.databases import Database
from tests.models.columns import Base as ColumnsBase
from tests.models.columns import Document, Point, Shape
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import columns_set, open_shop, others, row, rows, skus
from tests.session.patching import SHOP, faults, shop_faults


def test_only_what_the_payload_names_is_written(database: Database) -> None:
    open_shop(database)
    with database.session() as session:
        report = patch(session, Order, {"id": 1, "status": "sent"}, allow=SHOP)
        with database.statements() as log:
            session.commit()
        assert columns_set(log) == [("customer_order", ["status"])]
        assert report.updated == report.instances == [session.get(Order, 1)]
    assert row(database, Order, 1).status == "sent"


def test_what_is_as_it_was_is_not_written(session: Session, sqlite: Database) -> None:
    order = session.get_one(Order, 1)
    prefetch(session, order, selectinload(Order.lines))
    before = to_dict(order, selectinload(Order.lines))
    del before["customer_id"], before["lines"][0]["order_id"], before["lines"][1]["order_id"]
    session.expunge_all()
    report = patch(session, Order, before, allow=SHOP)
    assert (len(report.unchanged), report.updated, report.inserted, report.deleted) == (3, [], [], [])
    with sqlite.statements() as log:
        session.flush()
    assert len(log) == 0


def test_null_empties_and_absent_does_not(session: Session) -> None:
    patch(session, Customer, {"id": 1, "city": None}, allow=SHOP)
    patch(session, Customer, {"id": 2, "name": "Bo"}, allow=SHOP)
    session.commit()
    one, two = session.scalars(select(Customer).order_by(Customer.id))
    assert (one.city, one.name, two.city, two.name) == (None, "Customer 1", "Cork", "Bo")


def test_a_whole_tree_is_updated_and_grows(database: Database) -> None:
    open_shop(database)
    payload = {
        "id": 1,
        "name": "Ada",
        "balance": "12.50",
        "orders": [
            {"id": 1, "status": "sent", "lines": [{"id": 2, "qty": 7}, {"sku": "new", "qty": 1, "price": "1.50"}]},
            {"number": "N", "status": "open", "placed_at": "2026-02-03T04:05:06", "lines": [
                {"sku": "first", "qty": 2, "price": 3}]},
        ],
    }  # fmt: skip
    with database.session() as session:
        report = patch(session, Customer, payload, allow=SHOP)
        assert [type(one) for one in report.inserted] == [Order, Line, Line]
        assert [inspect(one).identity for one in report.updated] == [(1,), (1,), (2,)]
        session.commit()
    ada = row(database, Customer, 1)
    assert (ada.name, ada.balance) == ("Ada", Decimal("12.50"))
    new = rows(database, Order)[-1]
    assert (new.customer_id, new.placed_at) == (1, datetime(2026, 2, 3, 4, 5, 6))
    assert skus(database, 1)[2:] == ["new"]
    assert [(one.sku, one.price) for one in rows(database, Line) if one.order_id == new.id] == [("first", Decimal(3))]


def test_roots_may_be_many(session: Session) -> None:
    report = patch(session, Order, [{"id": 2, "status": "x"}, {"id": 1, "status": "y"}], allow=[Order.status])
    assert [(one.id, one.status) for one in report.instances] == [(2, "x"), (1, "y")]
    assert patch(session, Order, ({"id": key} for key in (1, 2)), allow=[]).updated == report.instances[::-1]
    session.flush()
    assert patch(session, Order, ({"id": key} for key in (1, 2)), allow=[]).unchanged == report.instances[::-1]
    assert patch(session, Order, [], allow=[]).instances == []


def test_a_root_without_a_key_is_new(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session() as session:
        payload: Any = {"id": None, "name": "Bo", "email": "b", "city": None, "balance": 1, "orders": []}
        report = patch(session, Customer, payload, allow=SHOP)
        assert report.statements == 0
        assert report.inserted == report.instances == list(session.new)
        session.commit()
    assert rows(database, Customer)[-1].name == "Bo"


def test_nothing_is_flushed_not_even_what_the_session_had(session: Session, sqlite: Database) -> None:
    session.get_one(Customer, 2).name = "mine"
    session.add(Customer(name="new", email="", balance=0))
    with sqlite.statements() as log:
        patch(session, Customer, {"id": 1, "name": "Ada", "orders": [{"id": 1, "status": "x"}]}, allow=SHOP)
    assert len(log) == len(log.selects) == 2
    assert len(session.new) == 1


def test_what_the_session_holds_is_brought_up_to_date_so_that_a_patch_is_not_lost(database: Database) -> None:
    open_shop(database, 1, 1, 1)
    with database.session(expire_on_commit=False) as session:
        order = session.get_one(Order, 1)
        order.lines  # noqa: B018 - loaded
        status = order.status
        session.commit()
        with others(database) as other:
            theirs = other.get_one(Order, 1)
            theirs.status = "theirs"
            theirs.lines.append(Line(sku="theirs", qty=1, price=1))
        patch(session, Order, {"id": 1, "status": status, "lines": [{"id": 1, "qty": 9}]}, allow=SHOP)
        assert [one.sku for one in order.lines][1:] == ["theirs"]
        session.commit()
    assert row(database, Order, 1).status == status
    assert skus(database)[1:] == ["theirs"]


def test_edits_that_the_session_has_not_flushed_stay(session: Session) -> None:
    order = session.get_one(Order, 1)
    order.number = "mine"
    gone, kept = order.lines
    order.lines.remove(gone)
    order.lines.append(Line(sku="mine", qty=1, price=1))
    patch(session, Order, {"id": 1, "status": "x", "lines": [{"sku": "patched", "qty": 1, "price": 1}]}, allow=SHOP)
    session.commit()
    assert (order.number, order.status) == ("mine", "x")
    assert [one.sku for one in order.lines] == [kept.sku, "mine", "patched"]


def test_a_reference_points_to_a_row_and_writes_what_is_allowed_there(database: Database) -> None:
    open_shop(database)
    with database.session() as session:
        patch(session, Order, {"id": 1, "customer": {"id": 2, "name": "Bo"}}, allow=SHOP)
        session.commit()
    assert row(database, Order, 1).customer_id == 2
    assert row(database, Customer, 2).name == "Bo"


def test_a_reference_that_only_points_needs_no_permission_for_what_is_there(session: Session) -> None:
    report = patch(session, Order, {"id": 1, "customer": {"id": 2}}, allow=[Order.customer])
    assert [type(one) for one in report.updated] == [Order]
    assert report.unchanged == [session.get(Customer, 2)]
    with pytest.raises(NotAllowedError, match=r"Customer\.name"):
        patch(session, Order, {"id": 1, "customer": {"id": 2, "name": "Bo"}}, allow=[Order.customer])


def test_a_reference_to_the_same_row_is_no_update(session: Session) -> None:
    report = patch(session, Order, {"id": 1, "customer": {"id": 1}}, allow=SHOP)
    assert (report.updated, len(report.unchanged)) == ([], 2)


def test_a_reference_may_be_to_a_new_object(session: Session) -> None:
    payload = {"id": 1, "customer": {"name": "Bo", "email": "b", "balance": 0}}
    report = patch(session, Order, payload, allow=SHOP)
    session.commit()
    assert report.instances[0].customer.name == "Bo"


def test_what_one_moves_by_a_reference_leaves_the_loaded_collection(session: Session) -> None:
    one, two = session.scalars(select(Customer).options(selectinload(Customer.orders)).order_by(Customer.id))
    order = one.orders[0]
    patch(session, Order, {"id": order.id, "customer": {"id": 2}}, allow=SHOP)
    assert order not in one.orders
    assert order in two.orders


def test_what_is_not_allowed_is_refused_with_everything_that_was_refused(session: Session) -> None:
    payload = {"id": 1, "status": "x", "lines": [{"id": 1, "qty": 1, "order_id": 7}, {"price": 1}], "number": "z"}
    with pytest.raises(NotAllowedError) as caught:
        patch(session, Order, payload, allow=[Order.status, Order.lines, Line.qty])
    assert caught.value.attributes == [("Line", "order_id"), ("Line", "price"), ("Order", "number")]
    assert not session.dirty


def test_all_faults_are_told_at_once_with_their_paths(session: Session) -> None:
    payload: list[Any] = [{"id": 1, "status": None, "placed_at": "soon", "lines": [{"qty": "5"}, {"a b": 1}, 7]}, 3]
    payload.append({"lines": None})
    assert shop_faults(session, Order, payload) == [
        "$[1]: expected object, got int",
        "$[0].status: may not be null",
        "$[0].placed_at: Invalid RFC3339 encoded datetime",
        "$[0].lines[2]: expected object, got int",
        "$[2].lines: expected array, got null",
        "$[0].lines[0].qty: Expected int, got str",
        '$[0].lines[1]["a b"]: Line has no such attribute',
    ]


def test_faults_that_only_rows_show_are_told_at_once(session: Session) -> None:
    payload = [{"id": 1, "lines": [{"id": 5}, {"id": 99}]}, {"id": 77}, {"id": 2, "customer": {"id": 99}}]
    assert shop_faults(session, Order, payload) == [
        "$[0].lines[0]: Line(5) belongs to another parent",
        "$[0].lines[1]: Line(99) does not exist",
        "$[2].customer: Customer(99) does not exist",
        "$[1]: Order(77): the row does not exist any more",
    ]


def test_a_message_shows_no_more_than_twenty_faults(session: Session) -> None:
    with pytest.raises(sojourn.PayloadError, match=r"30 faults in the payload:(.|\n)*and 10 more\nNothing") as caught:
        patch(session, Order, [{"x": 1}] * 30, allow=[])
    assert len(caught.value.errors) == 30
    assert caught.value.errors[3] == sojourn.PayloadFault("$[3].x", "Order has no such attribute")


def test_a_root_that_is_not_there_is_a_missing_row(session: Session) -> None:
    with pytest.raises(MissingRowError) as caught:
        patch(session, Order, [{"id": 1, "status": "x"}, {"id": 99, "lines": [{"id": 1, "qty": 5}]}], allow=SHOP)
    assert [(one.identity, one.missing) for one in caught.value.conflicts] == [((Order, (99,), None), True)]
    assert not session.dirty


def test_a_stale_version_is_a_conflict_and_the_current_one_is_the_base(database: Database) -> None:
    database.create(ColumnsBase.metadata)
    with database.session() as session:
        session.add_all([Document(title="a", body="b"), Document(title="a", body="b")])
        session.commit()
    with others(database) as other:
        other.get_one(Document, 1).title = "theirs"
    allow = [Document.title, Document.body]
    with database.session() as session:
        payload: Any = [{"id": key, "version": 1, "title": "mine"} for key in (1, 2)]
        with pytest.raises(sojourn.ConflictError) as caught:
            patch(session, Document, payload, allow=allow)
        [conflict] = caught.value.conflicts
        assert (conflict.identity, conflict.attribute) == ((Document, (1,), None), "version")
        assert (conflict.base, conflict.mine, conflict.theirs, conflict.missing) == (1, 1, 2, False)
        assert "Read the object again" in str(caught.value)
        assert "version: base 1" in faults(session, Document, [*payload, {"version": 3}], allow=allow)[1]
        payload = [{"id": 1, "version": 2, "title": "mine"}, {"version": None, "title": "n", "body": "b"}]
        patch(session, Document, payload, allow=allow)
        session.commit()
    assert [(one.title, one.version) for one in rows(database, Document)] == [("mine", 3), ("a", 1), ("n", 1)]


def test_a_deferred_column_is_written_only_where_it_changes(sqlite: Database) -> None:
    sqlite.create(ColumnsBase.metadata)
    with sqlite.session() as session:
        session.add(Document(title="a", body="b"))
        session.commit()
        session.expunge_all()
        assert patch(session, Document, {"id": 1, "body": "b"}, allow=[Document.body]).updated == []
        assert patch(session, Document, {"id": 1, "body": "c"}, allow=[Document.body]).updated
        session.expunge_all()
        document = patch(session, Document, {"id": 1, "title": "c"}, allow=[Document.title]).instances[0]
        assert "body" in inspect(document).unloaded


def test_a_composite_is_written_part_by_part(sqlite: Database) -> None:
    sqlite.create(ColumnsBase.metadata)
    allow = [Shape.name, Shape.start, Shape.end]
    with sqlite.session() as session:
        new = {"name": "s", "start": {"x": 1, "y": 2}, "end": {"x": 3, "y": 4}}
        shape = patch(session, Shape, new, allow=allow).instances[0]
        session.commit()
        assert (shape.start, shape.end) == (Point(1, 2), Point(3, 4))
        patch(session, Shape, {"id": shape.id, "start": {"y": 9}, "end": None}, allow=allow)
        session.commit()
        assert (shape.start, shape.end) == (Point(1, 9), Point(None, None))  # type: ignore[arg-type]
        patch(session, Shape, {"id": shape.id, "end": Point(5, 6)}, allow=allow)
        assert shape.end == Point(5, 6)
        assert faults(session, Shape, {"start": {"x": "1", "z": 1}, "end": 3}, allow=allow) == [
            "$.start.x: Expected int, got str",
            "$.start.z: Shape.start has no such part",
            "$.end: expected object, got int",
        ]
        part = next(key for key in inspect(Shape).column_attrs.keys() if key not in {"id", "name"})  # noqa: SIM118
        assert "cannot be written" in faults(session, Shape, {part: 1}, allow=[getattr(Shape, part)])[0]


def test_the_arguments_are_checked(session: Session) -> None:
    for allow in (["status"], [Order], [Customer.metadata], [Order.__table__.c.id]):
        with pytest.raises(WrongAttributeError, match="allow takes class-bound attributes"):
            patch(session, Order, {}, allow=allow)  # type: ignore[arg-type]
    for word in ("drop", None, {Order.lines: "drop"}):
        with pytest.raises(BadArgumentError, match="on_absent"):
            patch(session, Order, {}, allow=[], on_absent=word)  # type: ignore[arg-type]
    for attribute in (Order.customer, Order.status):
        with pytest.raises(WrongAttributeError, match="is no collection"):
            patch(session, Order, {}, allow=[], on_absent={attribute: "delete"})
    match: Any
    for match in ({Line: [Order.id]}, {Line: [Line.order], Order: [Order.lines]}):
        with pytest.raises(WrongAttributeError):
            patch(session, Order, {}, allow=[], match=match)
    with pytest.raises(BadArgumentError, match="natural key"):
        patch(session, Order, {}, allow=[], match={Line: []})
    with pytest.raises(NotMappedError):
        patch(session, Order, {}, allow=[], match={int: [Line.sku]})
    with pytest.raises(NotMappedError):
        patch(session, int, {}, allow=[])
    for payload in (None, "x", b"{}", 3):
        assert faults(session, Order, payload, allow=[])[0].startswith("$: expected object or array, got ")


def test_the_session_may_hold_nothing_or_everything(session: Session, sqlite: Database) -> None:
    payload = {"id": 1, "lines": [{"id": 1, "qty": 50}]}
    patch(session, Order, payload, allow=SHOP)
    session.commit()
    order = session.get_one(Order, 1)
    prefetch(session, order, selectinload(Order.lines))
    payload["lines"] = [{"id": 2, "qty": 60}]
    patch(session, Order, payload, allow=SHOP)
    assert [one.qty for one in order.lines] == [50, 60]


def test_constructors_validators_and_events_run_as_when_attributes_are_set(session: Session) -> None:
    heard: list[Any] = []
    listeners: list[Any] = [
        (Order.status, "set", lambda target, value, old, initiator: heard.append(("set", value, old))),
        (Order.lines, "append", lambda target, value, initiator: heard.append(("append", value.sku))),
        (Order.lines, "remove", lambda target, value, initiator: heard.append(("remove", value.id))),
        (Line, "init", lambda target, args, kwargs: heard.append(("init", sorted(kwargs)))),
    ]
    for listener in listeners:
        event.listen(*listener)
    try:
        payload = {"id": 1, "status": "x", "lines": [{"id": 2}, {"sku": "a", "qty": 1, "price": 1}]}
        patch(session, Order, payload, allow=SHOP, on_absent="delete")
    finally:
        for listener in listeners:
            event.remove(*listener)
    assert heard == [("init", ["price", "qty", "sku"]), ("set", "x", "paid"), ("remove", 1), ("append", "a")]
