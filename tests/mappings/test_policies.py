"""Conflicts, missing rows and policies are the same through `AsyncSession` as through `Session`: each on every driver,
for a plain class, one whose columns stand in several tables, one with a version counter, and one with a composite
key."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from sojourn import Conflict, ConflictError, MissingRowError, changes, state
from tests.mappings.classes import Declarative, JoinedRoot
from tests.mappings.columns import CompositeKey, IntegerVersion, NaturalKey
from tests.mappings.mapping import ALL
from tests.mappings.places import Place, root_in

NAMES = {"Declarative": "name", "JoinedRoot": "plate", "IntegerVersion": "title", "CompositeKey": "label"}
"""The attribute that both sides change, by mapping."""

places = pytest.mark.parametrize(
    "place",
    [
        pytest.param((one, driver), id=f"{one}-{driver}")
        for one in (Declarative(), JoinedRoot(), IntegerVersion(), CompositeKey())
        for driver in ALL
    ],
    indirect=True,
)
everywhere = pytest.mark.parametrize(
    "place", [pytest.param((Declarative(), driver), id=driver) for driver in ALL], indirect=True
)


def name_of(place: Place) -> str:
    return NAMES[place.mapping.name]


def clash(place: Place) -> Any:
    """The root, away and edited, of which others have changed the same attribute to "theirs"."""
    root = place.away()
    setattr(root, name_of(place), "mine")
    with place.session() as session:
        setattr(root_in(session, place.mapping, ()), name_of(place), "theirs")
        session.commit()
    return root


def delete(place: Place) -> None:
    """Others delete the root."""
    with place.session() as session:
        session.delete(root_in(session, place.mapping, ()))
        session.commit()


@places
def test_a_conflict_is_raised_and_the_object_stays_away_as_it_was(place: Place) -> None:
    root, name = clash(place), name_of(place)
    with place.desk() as desk:
        with pytest.raises(ConflictError) as caught:
            desk.verb("attach", root)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine, conflict.theirs) == (name, "mine", "theirs")
        assert inspect(root).detached
        assert list(changes(root)) == [name]
        desk.commit()
    assert place.found(root, name) == ["theirs"]


@pytest.mark.parametrize("policy", ["mine", "theirs", "function"])
@places
def test_a_policy_decides_a_conflict(place: Place, policy: str) -> None:
    def both(conflict: Conflict) -> str:
        return f"{conflict.mine} and {conflict.theirs}"

    root, name = clash(place), name_of(place)
    with place.desk() as desk:
        report = desk.verb("attach", root, on_conflict=both if policy == "function" else policy)
        assert [one.attribute for one in report.conflicts] == [name]
        desk.commit()
    assert place.found(root, name) == ["mine and theirs" if policy == "function" else policy]


@everywhere
def test_a_dry_run_reports_and_changes_nothing(place: Place) -> None:
    root = clash(place)
    with place.desk() as desk:
        report = desk.verb("attach", root, dry_run=True)
        assert [one.mine for one in report.conflicts] == ["mine"]
        assert inspect(root).detached


@pytest.mark.parametrize("verify", ["all", "none"])
@everywhere
def test_verify_says_what_is_read(place: Place, verify: str) -> None:
    root = place.away()
    place.meanwhile()
    with place.desk() as desk:
        report = desk.verb("attach", root, verify=verify)
        assert root.city == ("theirs" if verify == "all" else "Ghent")
        assert (report.statements > 0) is (verify == "all")


@pytest.mark.parametrize("on_missing", ["raise", "skip", "recreate"])
@everywhere
def test_a_row_that_is_gone_is_missed(place: Place, on_missing: str) -> None:
    root = place.away()
    root.name = "mine"
    delete(place)
    with place.desk() as desk:
        if on_missing == "raise":
            with pytest.raises(MissingRowError):
                desk.verb("attach", root)
            assert inspect(root).detached
            return
        report = desk.verb("attach", root, on_missing=on_missing)
        desk.commit()
    if on_missing == "skip":
        assert report.instances == [None]
    else:
        assert place.found(root)[0] == "mine"


@pytest.mark.parametrize(
    "place", [pytest.param((NaturalKey(), driver), id=driver) for driver in ALL[:3]], indirect=True
)
def test_a_row_whose_key_others_changed_is_missed(place: Place) -> None:
    root = place.away()
    root.name = "mine"
    with place.session() as session:
        root_in(session, place.mapping, ()).code = "NEW"
        session.commit()
    with place.desk() as desk, pytest.raises(MissingRowError):
        desk.verb("attach", root)


@everywhere
def test_a_conflict_at_home_is_raised_by_refresh_or_decided(place: Place) -> None:
    with place.desk() as desk:
        root = desk.whole()
        desk.commit()
        root.name = "mine"
        with place.session() as session:
            root_in(session, place.mapping, ()).name = "theirs"
            session.commit()
        with pytest.raises(ConflictError):
            desk.verb("refresh", root)
        assert root.name == "mine"
        desk.verb("refresh", root, on_conflict="theirs")
        assert root.name == "theirs"
        assert not changes(root)


@everywhere
def test_a_copy_leaves_and_what_was_expired_leaves_filled(place: Place) -> None:
    with place.desk() as desk:
        root = desk.root()
        desk.do(Session.expire_all)
        [copy] = desk.verb("detach", root, *place.mapping.shape, copy=True)
        assert place.mapping.picture(copy) == place.mapping.before
        assert inspect(root).persistent
        assert state(copy).name == "detached"
