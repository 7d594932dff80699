"""`merge` and `patch` on every driver: the same behaviour through `Session` and through `AsyncSession`."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from sojourn import ConflictError, MissingRowError, NotAllowedError, PayloadError, changes
from sojourn.mapping.blueprint import blueprint
from tests.mappings import EVERY
from tests.mappings.classes import Declarative, JoinedRoot
from tests.mappings.columns import CompositeKey, IntegerVersion
from tests.mappings.mapping import ALL, Mapping, unordered
from tests.mappings.places import Place, root_in
from tests.mappings.relationships import OrderingList
from tests.models.ordered import Deck, Slide

NAMES = {"Declarative": "name", "JoinedRoot": "plate", "IntegerVersion": "title", "CompositeKey": "label"}
# Of two the database itself changes more than `mine` says: a cascading key, and columns that an UPDATE sets.
MERGED = [one for one in EVERY if set(ALL) <= set(one.drivers) and one.name not in ("NaturalKey", "ServerDefaults")]


def places(*mappings: Mapping) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "place",
        [pytest.param((one, driver), id=f"{one}-{driver}") for one in mappings for driver in ALL],
        indirect=True,
    )


four = places(Declarative(), JoinedRoot(), IntegerVersion(), CompositeKey())


def name_of(place: Place) -> Any:
    """The attribute that is edited, of the class."""
    return getattr(place.mapping.root, NAMES[place.mapping.name])


def key_of(obj: Any) -> dict[str, Any]:
    return {key: getattr(obj, key) for key in blueprint(obj).primary_key}


# --- merge -----------------------------------------------------------------------------------------------------------


@places(*MERGED)
def test_merge_copies_a_graph_onto_what_the_session_has_not_loaded(place: Place) -> None:
    root = place.away()
    place.mapping.edit(root)
    with place.desk() as desk:
        merged = desk.verb("merge", root)
        assert merged is not root
        assert root not in desk.session
        desk.commit()
        assert unordered(place.found(merged)) == unordered(place.mapping.in_database("mine"))


@four
def test_merge_overwrites_what_others_wrote_and_inserts_what_they_deleted(place: Place) -> None:
    root, name = place.away(), name_of(place).key
    setattr(root, name, "mine")
    with place.session() as session:
        session.delete(root_in(session, place.mapping, ()))
        session.commit()
    with place.desk() as desk:
        assert len(desk.verb("merge", [root])) == 1
        desk.commit()
    with place.session() as session:
        assert getattr(session.get_one(type(root), tuple(key_of(root).values())), name) == "mine"


@four
def test_merge_without_loading_takes_the_objects_as_they_are(place: Place) -> None:
    root = place.away()
    with place.desk() as desk:
        with place.database.statements() as log:
            merged = desk.verb("merge", root, load=False)
        assert (len(log), merged in desk.session, bool(changes(merged))) == (0, True, False)


@places(IntegerVersion())
def test_merge_of_an_old_version_is_stale(place: Place) -> None:
    root = place.away()
    place.meanwhile()
    with place.desk() as desk, pytest.raises(StaleDataError):
        desk.verb("merge", root)


# --- patch -----------------------------------------------------------------------------------------------------------


@four
def test_patch_writes_what_the_payload_names_and_nothing_else(place: Place) -> None:
    root, name = place.away(), name_of(place)
    with place.desk() as desk:
        report = desk.verb("patch", type(root), {**key_of(root), name.key: "mine"}, allow=[name])
        assert report.updated == report.instances
        desk.commit()
    with place.session() as session:
        found = root_in(session, place.mapping, place.mapping.shape)
        assert getattr(found, name.key) == "mine"
        setattr(found, name.key, getattr(root, name.key))
        assert place.mapping.picture(found) == place.mapping.before
        session.rollback()


@four
def test_patch_misses_a_row_that_is_gone(place: Place) -> None:
    root, name = place.away(), name_of(place)
    with place.session() as session:
        session.delete(root_in(session, place.mapping, ()))
        session.commit()
    with place.desk() as desk:
        with pytest.raises(MissingRowError):
            desk.verb("patch", type(root), {**key_of(root), name.key: "mine"}, allow=[name])
        assert desk.held() == []


@four
def test_patch_refuses_what_is_not_allowed_and_what_is_not_mapped(place: Place) -> None:
    root, name = place.away(), name_of(place)
    payload = {**key_of(root), name.key: "mine"}
    with place.desk() as desk:
        with pytest.raises(NotAllowedError):
            desk.verb("patch", type(root), payload, allow=[])
        with pytest.raises((PayloadError, NotAllowedError)):
            desk.verb("patch", type(root), {**payload, "stranger": 1}, allow=[name])
        assert desk.held() == []


@places(IntegerVersion())
def test_patch_with_an_old_version_is_a_conflict(place: Place) -> None:
    root, name = place.away(), name_of(place)
    assert place.mapping.version is not None
    old = {place.mapping.version: getattr(root, place.mapping.version)}
    place.meanwhile()
    with place.desk() as desk, pytest.raises(ConflictError):
        desk.verb("patch", type(root), {**key_of(root), **old, name.key: "mine"}, allow=[name])


@places(OrderingList())
def test_patch_updates_inserts_and_deletes_members(place: Place) -> None:
    deck = place.away()
    slides = [{"id": deck.slides[0].id, "text": "A"}, {"text": "new", "position": 4}, {"id": deck.slides[2].id}]
    with place.desk() as desk:
        report = desk.verb(
            "patch",
            Deck,
            {"id": deck.id, "slides": slides},
            allow=[Deck.slides, Slide.text, Slide.position],
            on_absent={Deck.slides: "delete"},
        )
        assert [len(some) for some in (report.inserted, report.updated, report.deleted)] == [1, 2, 1]  # "c" moves up
        desk.commit()

    def texts(session: Session) -> list[str]:
        return [slide.text for slide in session.get_one(Deck, deck.id).slides]

    with place.session() as session:
        assert texts(session) == ["A", "c", "new"]


@places(OrderingList())
def test_patch_finds_members_by_a_natural_key(place: Place) -> None:
    deck = place.away()
    slides = [{"text": "b", "position": 7}]
    with place.desk() as desk:
        report = desk.verb(
            "patch",
            Deck,
            {"id": deck.id, "slides": slides},
            allow=[Deck.slides, Slide.position, Slide.text],
            match={Slide: [Slide.text]},
        )
        assert [slide.text for slide in report.updated] == ["b"]
        desk.commit()
    with place.session() as session:
        assert session.get_one(Slide, deck.slides[1].id).position == 7
