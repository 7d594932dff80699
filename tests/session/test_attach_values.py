"""The three-way merge of columns that are more than a value: changed in place, deferred, counted, made by others."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import attributes, selectinload, undefer
from sqlalchemy.orm.exc import StaleDataError

from sojourn.errors import UNKNOWN, ConflictError, Policy
from sojourn.session.attach import Verify, attach
from tests.databases import Database
from tests.models import columns, dataclasses_
from tests.models.columns import Audited, Document, Settings
from tests.models.dataclasses_ import Basket
from tests.session.attaching import away, columns_set, others, row

# --- values that change in place -------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["plain", "tracked"])
def test_json_that_was_changed_in_place_is_an_edit(database: Database, attribute: str) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", plain={"a": [1]}, tracked={"a": [1]}))
    [mine] = away(database, Settings)
    getattr(mine, attribute)["b"] = 2
    with others(database) as session:
        session.get_one(Settings, 1).name = "theirs"
    with database.session() as session, database.statements() as log:
        report = attach(session, mine)
        assert report.updated == [mine]
        session.commit()
        assert columns_set(log) == [("settings", [attribute])]
        assert getattr(mine, attribute) == {"a": [1], "b": 2}
        assert mine.name == "theirs"
        mine.tracked["home"] = True  # type: ignore[index]  # it is not None; and it is tracked at home again
        session.commit()
    assert row(database, Settings, 1).tracked == mine_tracked(attribute)


def mine_tracked(attribute: str) -> dict[str, Any]:
    return {"a": [1], "home": True} if attribute == "plain" else {"a": [1], "b": 2, "home": True}


@pytest.mark.parametrize("attribute", ["plain", "tracked"])
def test_json_that_both_changed_is_a_conflict_with_the_base_as_it_left(database: Database, attribute: str) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", plain={"a": [1]}, tracked={"a": [1]}))
    [mine] = away(database, Settings)
    getattr(mine, attribute)["a"].append("mine")
    if attribute == "tracked":
        attributes.flag_modified(mine, attribute)  # MutableDict does not look into the list
    with others(database) as session:
        setattr(session.get_one(Settings, 1), attribute, {"a": [1, "theirs"]})
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.base, conflict.mine) == ({"a": [1]}, {"a": [1, "mine"]})
        assert conflict.theirs == {"a": [1, "theirs"]}
        held = session.get_one(Settings, 1)
        attach(session, mine, on_conflict=lambda one: {"a": one.mine["a"] + one.theirs["a"][1:]})
        assert getattr(held, attribute) == {"a": [1, "mine", "theirs"]}
        session.commit()
        assert getattr(held, attribute) == {"a": [1, "mine", "theirs"]}


def test_a_mutable_value_that_came_home_is_tracked_on_the_instance_that_was_there(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", tracked={"a": 1}))
    [mine] = away(database, Settings)
    mine.tracked = {"mine": 1}
    with database.session() as session:
        held = session.get_one(Settings, 1)
        attach(session, mine)
        session.flush()
        assert held.tracked is not None
        held.tracked["home"] = 2
        assert held in session.dirty
        session.commit()
    assert row(database, Settings, 1).tracked == {"mine": 1, "home": 2}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("attribute", ["plain", "tracked"])
def test_verify_none_writes_what_was_changed_in_place(database: Database, attribute: str, again: bool) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", plain={"a": [1]}, tracked={"a": [1]}))
    [mine] = away(database, Settings)
    getattr(mine, attribute)["a"].append("mine")  # which MutableDict does not see either
    if again:
        setattr(mine, attribute, getattr(mine, attribute))  # to SQLAlchemy nothing was changed by that
    with database.session() as session, database.statements() as log:
        assert attach(session, mine, verify="none").updated == [mine]
        session.commit()
        assert columns_set(log) == [("settings", [attribute])]
    assert getattr(row(database, Settings, 1), attribute) == {"a": [1, "mine"]}


@pytest.mark.parametrize("attribute", ["plain", "tracked"])
def test_verify_none_writes_nothing_where_what_was_changed_in_place_was_changed_back(
    database: Database, attribute: str
) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Settings(id=1, name="name", plain={"a": [1]}, tracked={"a": [1]}))
    [mine] = away(database, Settings)
    getattr(mine, attribute)["a"].append("mine")
    getattr(mine, attribute)["a"].pop()
    with database.session() as session, database.statements() as log:
        assert attach(session, mine, verify="none").updated == []
        session.commit()
        assert log.updates == []


# --- deferred columns and unknown bases ------------------------------------------------------------------------------


def document(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Document(id=1, title="title", summary="summary", body="body"))


def test_a_deferred_column_that_was_set_without_a_base_is_a_conflict_of_its_own_kind(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.body = "mine"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.base, conflict.theirs) == ("body", UNKNOWN, "body")
        # on_conflict is not asked where on_unknown_base is given.
        attach(session, mine, on_conflict="theirs", on_unknown_base="mine")
        session.commit()
        assert mine.body == "mine"


@pytest.mark.parametrize(("policy", "body", "updates"), [("mine", "mine", 1), ("theirs", "body", 0)])
def test_theirs_that_nobody_has_read_is_loaded_where_it_is_to_stand(
    database: Database, policy: Policy, body: str, updates: int
) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.body = "mine"
    with database.session() as session, database.statements() as log:
        held = session.get_one(Document, 1)
        attach(session, mine, verify="none", on_unknown_base=policy)
        assert held.body == body
        session.commit()
        assert len(log.updates) == updates


def test_the_policy_for_conflicts_is_the_policy_for_unknown_bases_where_there_is_no_other(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.body = "mine"
    with database.session() as session, database.statements() as log:
        report = attach(session, mine, on_conflict="theirs")
        assert mine.body == "body"
        assert [conflict.base for conflict in report.conflicts] == [UNKNOWN]
        session.commit()
        assert log.updates == []


def test_an_unknown_base_that_equals_what_is_there_is_no_conflict(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.body = "body"
    with database.session() as session, database.statements() as log:
        assert attach(session, mine).conflicts == []
        session.commit()
        assert log.updates == []


def test_a_deferred_column_that_was_loaded_for_the_journey_merges_like_any_other(database: Database) -> None:
    document(database)
    [mine] = away(database, Document, undefer(Document.body))
    mine.body = "mine"
    with others(database) as session:
        session.get_one(Document, 1).title = "theirs"
    with database.session() as session:
        assert attach(session, mine).conflicts == []
        session.commit()
        assert (mine.title, mine.body) == ("theirs", "mine")


@pytest.mark.parametrize("by", ["del", "another copy"])
def test_a_deferred_column_that_was_edited_and_is_not_loaded_any_more_is_read_to_merge_it(
    database: Database, by: str
) -> None:
    document(database)
    [first], [second] = away(database, Document), away(database, Document, undefer(Document.body))
    first.title = "mine"
    if by == "del":
        del second.body
    else:
        second.body = "mine"
    with others(database) as session:
        session.get_one(Document, 1).body = "theirs"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, [second] if by == "del" else [first, second])
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.base, conflict.theirs) == ("body", "body", "theirs")
        assert conflict.mine == (None if by == "del" else "mine")


# --- version counters ------------------------------------------------------------------------------------------------


def test_versions_merge_and_the_counter_moves_on(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.title = "mine"
    with others(database) as session:
        session.get_one(Document, 1).summary = "theirs"
    with database.session() as session:
        attach(session, mine)
        assert mine.version == 2
        session.commit()
        assert (mine.version, mine.title, mine.summary) == (3, "mine", "theirs")


def test_the_counter_is_nobodys_edit(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    with others(database) as session:
        session.get_one(Document, 1).title = "theirs"
    with database.session() as session, database.statements() as log:
        report = attach(session, mine, verify="all")
        assert (mine.title, mine.version) == ("theirs", 2)
        session.commit()
        assert log.updates == []
    assert report.conflicts == []


def test_verify_none_is_still_guarded_by_the_counter(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.title = "mine"
    with others(database) as session:
        session.get_one(Document, 1).summary = "theirs"
    with database.session() as session:
        attach(session, mine, verify="none")
        with pytest.raises(StaleDataError):
            session.flush()


def test_verify_none_is_guarded_also_where_the_session_holds_a_newer_instance(database: Database) -> None:
    document(database)
    [mine] = away(database, Document)
    mine.title = "mine"
    with others(database) as session:
        session.get_one(Document, 1).title = "theirs"
    with database.session() as session:
        held = session.get_one(Document, 1)
        # The session's own, newer value is theirs: it can be compared without reading.
        with pytest.raises(ConflictError):
            attach(session, mine, verify="none")
        attach(session, mine, verify="none", on_conflict="mine")
        session.commit()
        assert (held.title, held.version) == ("mine", 3)


# --- values that the database or the mapping makes -------------------------------------------------------------------


def test_server_defaults_and_onupdate_do_their_work(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Audited(name="name"))
    [mine] = away(database, Audited)
    mine.name = "mine"
    new = Audited(name="new")
    with others(database) as session:
        session.get_one(Audited, 1).status = "theirs"
    with database.session() as session:
        report = attach(session, [mine, new])
        assert report.conflicts == []
        session.commit()
        assert (mine.name, mine.status, mine.revision, mine.edited_by) == ("mine", "theirs", 3, "python")
        assert (new.status, new.made_by, new.revision) == ("new", "python", 1)


def test_an_onupdate_column_that_i_did_not_edit_is_no_conflict(database: Database) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Audited(id=1, name="name"))
    [mine] = away(database, Audited)
    mine.status = "mine"
    with others(database) as session:
        session.get_one(Audited, 1).name = "theirs"  # moves revision and edited_by
    with database.session() as session:
        attach(session, mine)
        assert mine.revision == 2
        session.commit()
        assert (mine.revision, mine.name, mine.status) == (3, "theirs", "mine")


# --- what was deleted with `del` -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", ["changed", "all", "none"])
def test_a_column_that_was_deleted_is_written_as_null(database: Database, verify: Verify) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Document(id=1, title="title", summary="summary", body="body"))
    [mine] = away(database, Document)
    del mine.summary
    with database.session() as session, database.statements() as log:
        assert attach(session, mine, verify=verify).updated == [mine]
        session.commit()
        assert columns_set(log) == [("document", ["summary", "version"])]
    assert row(database, Document, 1).summary is None


@pytest.mark.parametrize("verify", ["changed", "all", "none"])
def test_a_column_that_was_empty_and_was_deleted_is_no_edit(database: Database, verify: Verify) -> None:
    database.create(columns.Base.metadata)
    with others(database) as session:
        session.add(Document(id=1, title="title", body="body"))
    [mine] = away(database, Document)
    del mine.summary
    with database.session() as session, database.statements() as log:
        assert attach(session, mine, verify=verify).updated == []
        session.commit()
        assert log.updates == []


@pytest.mark.parametrize("verify", ["changed", "all", "none"])
def test_a_reference_that_was_deleted_is_written_as_null_also_in_a_tree(database: Database, verify: Verify) -> None:
    database.create(dataclasses_.Base.metadata)
    with others(database) as session:
        session.add(Basket(name="big", inner=[Basket(name="small")]))
    mine = away(database, Basket, selectinload(Basket.outer))[1]
    del mine.outer
    with database.session() as session:
        assert attach(session, mine, verify=verify).updated == [mine]
        session.commit()
    assert row(database, Basket, 2).outer_id is None
