"""ordering_list: the order of members merges, and positions follow from it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from sojourn import changes, dumps, loads
from sojourn.errors import ConflictError, MissingRowError, NotAllowedError
from sojourn.reconcile import merge_members, merge_order
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.refresh import refresh
from tests.databases import Database
from tests.models import ordered
from tests.models.ordered import Agenda, Book, Chart, Deck, Point, Shelf, Slide, Song
from tests.session.attaching import columns_set, others

Edit: TypeAlias = Callable[[list[Slide]], object]
Way: TypeAlias = Literal["the same", "pickle", "bytes", "changes only"]
WAYS: list[Way] = ["the same", "pickle", "bytes", "changes only"]


@pytest.fixture(params=[False, True], ids=["elsewhere", "at home"])
def held(request: pytest.FixtureRequest) -> bool:
    """Whether the session holds the deck with its slides when mine comes home."""
    return bool(request.param)


def deck(database: Database, texts: str = "abc") -> Deck:
    """A deck with a slide for each letter, away."""
    database.create(ordered.Base.metadata)
    with others(database) as session:
        session.add(Deck(id=1, slides=[Slide(text=text) for text in texts]))
    return deck_away(database)


def there(database: Database, edit: Edit) -> None:
    """Somebody else's edit of the list."""
    with others(database) as session:
        theirs = session.get_one(Deck, 1)
        edit(theirs.slides)


def stored(database: Database, number: int = 1) -> str:
    """The texts of a deck's slides in their order; their positions are what the list gives."""
    with database.session() as session:
        found = session.execute(
            select(Slide.text, Slide.position).filter_by(deck_id=number).order_by(Slide.position)
        ).all()
    assert [position for _, position in found] == list(range(1, len(found) + 1))
    return "".join(text for text, _ in found)


def deck_away(database: Database, number: int = 1) -> Deck:
    with database.session() as session:
        return detach(session, session.get_one(Deck, number), selectinload(Deck.slides))[0]


def travelled(mine: Deck, way: Way) -> Deck:
    """What comes home in this way."""
    if way == "pickle":
        return cast(Deck, pickle.loads(pickle.dumps(mine)))
    if way == "the same":
        return mine
    [found] = loads(dumps([mine], changes_only=way == "changes only"), ordered.Base)
    return cast(Deck, found)


def held_deck(session: Session) -> Deck:
    """The deck as the session itself holds it, with its slides."""
    return session.get_one(Deck, 1, options=[selectinload(Deck.slides)])


def texts(slides: list[Slide]) -> str:
    return "".join(slide.text for slide in slides)


def to_front(slides: list[Slide], at: int) -> None:
    slides.insert(0, slides.pop(at))


def to_end(slides: list[Slide]) -> None:
    slides.append(slides.pop(0))  # which keeps the number that it had


def to_end_in_order(slides: Any) -> None:
    to_end(slides)
    slides.reorder()


def put(text: str, at: int | None = None) -> Edit:
    return lambda slides: slides.insert(len(slides) if at is None else at, Slide(text=text))


def add(text: str) -> Edit:
    return lambda slides: slides.append(Slide(text=text))


def take(at: int) -> Edit:
    return lambda slides: slides.pop(at)


def write(text: str, at: int) -> Edit:
    return lambda slides: slides[at].__setattr__("text", text)


def reverse(slides: Any) -> None:
    slides.sort(key=lambda one: one.text, reverse=True)  # SQLAlchemy does not hear of that
    slides.reorder()


CASES: dict[str, tuple[Edit, Edit, str]] = {
    "both append": (add("M"), add("T"), "abcTM"),
    "both put something in front": (put("M", 0), put("T", 0), "TMabc"),
    "I take out the first, they the last": (take(0), take(-1), "b"),
    "I take out the last, they the first": (take(-1), take(0), "b"),
    "both take out the first": (take(0), take(0), "bc"),
    "I take out the first, they append": (take(0), add("T"), "bcT"),
    "I append, they take out the first": (add("M"), take(0), "bcM"),
    "I move, they append": (lambda slides: to_front(slides, 2), add("T"), "cabT"),
    "I append, they move": (add("M"), lambda slides: to_front(slides, 2), "cabM"),
    "I reverse, they take one out": (reverse, take(1), "ca"),
    "I take one out, they reverse": (take(1), reverse, "ca"),
    "both reverse": (reverse, reverse, "cba"),
    "both move the same": (lambda slides: to_front(slides, 2), lambda slides: to_front(slides, 1), "cba"),
    "I move the first to the end, they take it out": (to_end, take(0), "bc"),
    "I move the first to the end, they append": (to_end, add("T"), "bcTa"),
    "I append, they move the first to the end": (add("M"), to_end_in_order, "bcaM"),
    "only they reverse": (lambda slides: None, reverse, "cba"),
}


@pytest.mark.parametrize("verify", ["changed", "all"])
@pytest.mark.parametrize("case", CASES)
def test_the_order_of_both_sides_merges_without_a_conflict(
    database: Database, case: str, held: bool, verify: Any
) -> None:
    edit, theirs, expected = CASES[case]
    mine = deck(database)
    there(database, theirs)
    edit(mine.slides)
    with database.session() as session:
        kept = held_deck(session) if held else None
        report = attach(session, mine, verify=verify)
        home = report.of(mine)
        assert (report.conflicts, home) == ([], kept or mine)
        if verify == "all" or not case.startswith("only they"):
            assert texts(home.slides) == expected
            assert [slide.position for slide in home.slides] == list(range(1, len(expected) + 1))
        session.commit()
    assert stored(database) == expected


@pytest.mark.parametrize("way", WAYS)
def test_the_order_merges_after_any_way_home(database: Database, way: Way) -> None:
    mine = travelled(deck(database, "abcd"), "bytes")
    there(database, take(3))
    mine.slides.pop(0)
    to_front(mine.slides, 1)
    mine = travelled(mine, way)
    with database.session() as session:
        attach(session, mine)
        session.commit()
    assert stored(database) == "cb"


@pytest.mark.parametrize("way", WAYS)
def test_an_order_that_is_told_by_positions_alone_merges_after_any_way_home(database: Database, way: Way) -> None:
    mine = deck(database)
    there(database, add("T"))
    reverse(mine.slides)
    mine = travelled(mine, way)
    with database.session() as session:
        report = attach(session, mine)
        session.commit()
        assert texts(report.of(mine).slides) == "cbaT"
    assert stored(database) == "cbaT"


def test_only_rows_whose_position_changes_are_written(database: Database) -> None:
    mine = deck(database, "abcd")
    there(database, take(0))
    mine.slides.pop(0)
    mine.slides.append(mine.slides.pop(0))
    with database.session() as session, database.statements() as log:
        report = attach(session, mine)
        assert sorted(slide.text for slide in report.updated) == ["b", "c", "d"]
        session.commit()
    [(table, columns)] = columns_set(log)  # one executemany
    assert (table, [column.strip("`") for column in columns]) == ("slide", ["position"])
    assert stored(database) == "cdb"
    mine = deck_away(database)
    mine.slides.insert(1, mine.slides.pop(2))
    there(database, lambda slides: slides.insert(1, slides.pop(2)))
    with database.session() as session, database.statements() as log:
        report = attach(session, mine)
        assert report.updated == []
        session.commit()
    assert log.updates == []


def test_whom_others_added_is_moved_up_where_i_took_one_out(database: Database, held: bool) -> None:
    mine = deck(database)
    there(database, add("T"))
    mine.slides.pop(0)
    with database.session() as session:
        kept = held_deck(session) if held else None
        report = attach(session, mine)
        home = report.of(mine)
        assert [(slide.text, slide.position) for slide in home.slides] == [("b", 1), ("c", 2), ("T", 3)]
        assert home is (kept or mine)
        session.commit()
    assert stored(database) == "bcT"


# --- with other edits ------------------------------------------------------------------------------------------------


def test_what_i_took_out_and_they_edited_is_a_conflict_and_its_new_position_is_none(database: Database) -> None:
    mine = deck(database)
    there(database, write("B", 1))
    there(database, take(0))
    mine.slides.pop(1)
    with database.session() as session, pytest.raises(ConflictError) as caught:
        attach(session, mine)
    assert [one.attribute for one in caught.value.conflicts] == ["slides"]
    with database.session() as session:
        attach(session, mine, on_conflict="theirs")
        session.commit()
    assert stored(database) == "Bc"


@pytest.mark.parametrize("policy", ["recreate", "skip"])
def test_what_i_edited_and_they_took_out_is_missed(database: Database, policy: Any) -> None:
    mine = deck(database)
    there(database, take(1))
    mine.slides.pop(0)
    mine.slides[0].text = "B"
    with database.session() as session, pytest.raises(MissingRowError) as caught:
        attach(session, mine)
    assert len(caught.value.conflicts) == 1
    with database.session() as session:
        attach(session, mine, on_missing=policy)
        session.commit()
    assert stored(database) == ("Bc" if policy == "recreate" else "c")


def test_texts_that_both_edited_still_conflict(database: Database) -> None:
    mine = deck(database)
    there(database, write("theirs", 1))
    mine.slides.pop(0)
    mine.slides[0].text = "mine"
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        assert [one.attribute for one in caught.value.conflicts] == ["text"]
        report = attach(session, mine, on_conflict="mine")
        assert [one.attribute for one in report.merged] == []
        session.commit()
    assert stored(database) == "minec"


def test_a_slide_that_is_moved_to_another_deck_is_numbered_there(database: Database) -> None:
    deck(database)
    with others(database) as session:
        session.add(Deck(id=2, slides=[Slide(text=text) for text in "xy"]))
    first, second = deck_away(database), deck_away(database, 2)
    second.slides.append(first.slides.pop(0))
    there(database, add("T"))
    with others(database) as session:
        two = session.get_one(Deck, 2)
        two.slides.append(Slide(text="U"))
    with database.session() as session:
        attach(session, [first, second])
        session.commit()
    assert (stored(database), stored(database, 2)) == ("bcT", "xyUa")


def test_the_session_s_own_edits_of_the_list_are_merged(database: Database) -> None:
    mine = deck(database)
    mine.slides.pop(0)
    mine.slides.append(Slide(text="M"))
    there(database, put("T", 0))
    with database.session() as session:
        home = held_deck(session)
        home.slides.append(Slide(text="H"))
        to_front(home.slides, 3)
        attach(session, mine)
        assert texts(home.slides) == "cTbHM"
        session.commit()
    assert stored(database) == "cTbHM"


def test_two_copies_that_both_changed_the_list_come_home_together(database: Database) -> None:
    one, two = deck(database), deck_away(database)
    one.slides.pop(0)
    two.slides.append(Slide(text="M"))
    with database.session() as session:
        attach(session, [one, two])
        session.commit()
    assert stored(database) == "bcM"


# --- at home ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CASES if case != "both take out the first"])  # a DELETE of nothing
def test_refresh_merges_the_order_of_edits_that_are_not_flushed(database: Database, case: str) -> None:
    edit, theirs, expected = CASES[case]
    deck(database)
    with database.session(expire_on_commit=False) as session:
        home = held_deck(session)
        session.commit()  # what others commit from now on, a new transaction sees
        edit(home.slides)
        there(database, theirs)
        refresh(session, home)
        if not case.startswith("only they"):
            assert texts(home.slides) == expected
        session.commit()
    assert stored(database) == expected


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_position_that_is_edited_without_the_list_is_a_plain_column(database: Database) -> None:
    deck(database)
    with database.session() as session:
        [slide] = detach(session, session.get_one(Slide, 1))
    slide.position = 7
    with others(database) as session:
        session.get_one(Slide, 1).position = 8
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, slide)
        assert [one.attribute for one in caught.value.conflicts] == ["position"]
        attach(session, slide, on_conflict="mine")
        session.commit()
        assert session.get_one(Slide, 1).position == 7


@pytest.mark.parametrize("append", [False, True])
def test_a_list_in_which_positions_were_set_by_hand_is_left_as_it_is(database: Database, append: bool) -> None:
    mine = deck(database)
    mine.slides[0].position = 7
    if append:
        mine.slides.append(Slide(text="M"))
    with database.session() as session:
        report = attach(session, mine)
        assert report.updated == [mine.slides[0]]
        session.commit()
    with database.session() as session:
        found = session.execute(select(Slide.text, Slide.position).order_by(Slide.position)).all()
        expected = [("b", 2), ("c", 3), *([("M", 4)] if append else []), ("a", 7)]
        assert [tuple(one) for one in found] == expected


def test_a_position_that_was_deleted_is_an_edit_by_hand(database: Database, held: bool) -> None:
    mine = deck(database)
    del mine.slides[0].position
    with database.session() as session:
        there = session.get_one(Deck, 1) if held else None
        assert there is None or len(there.slides) == 3
        assert len(attach(session, mine).updated) == 1
        session.commit()
        assert session.scalars(select(Slide.position).order_by(Slide.id)).all() == [None, 2, 3]


def test_numbers_of_ones_own_are_left_as_they_are(database: Database) -> None:
    deck(database)
    with others(database) as session:
        for slide in session.scalars(select(Slide)):
            slide.position = slide.id * 10
    mine = deck_away(database)
    mine.slides.append(Slide(text="M", position=40))
    with database.session() as session:
        attach(session, mine)
        session.commit()
        assert session.scalars(select(Slide.position).order_by(Slide.position)).all() == [10, 20, 30, 40]


# --- other lists -----------------------------------------------------------------------------------------------------


def test_a_function_of_ones_own_numbers_also_what_is_not_loaded(database: Database) -> None:
    database.create(ordered.Base.metadata)
    with others(database) as session:
        session.add(Agenda(id=1, points=[Point(text=text) for text in "abc"]))
    with database.session() as session:
        agenda = session.get_one(Agenda, 1, options=[selectinload(Agenda.points)])
        [mine] = detach(session, agenda, selectinload(Agenda.points).undefer(Point.place))
    mine.points.pop(0)
    with others(database) as session:
        theirs = session.get_one(Agenda, 1)
        theirs.points.append(Point(text="T"))
    with database.session() as session:
        attach(session, mine)
        session.commit()
    with database.session() as session:
        found = session.execute(select(Point.text, Point.place).filter_by(agenda_id=1).order_by(Point.place)).all()
        assert [tuple(one) for one in found] == [("b", 10), ("c", 20), ("T", 30)]
        assert session.scalars(select(Point.place).filter_by(agenda_id=None)).all() == [10]  # it is nobody's now


def test_a_list_that_counts_down_is_in_its_own_order(database: Database) -> None:
    database.create(ordered.Base.metadata)
    with others(database) as session:
        session.add(Chart(id=1, entries=[Song(text=text) for text in "abc"]))
    with database.session() as session:
        [mine] = detach(session, session.get_one(Chart, 1), selectinload(Chart.entries))
    mine.entries.pop(0)
    with others(database) as session:
        theirs = session.get_one(Chart, 1)
        theirs.entries.insert(1, Song(text="T"))
    with database.session() as session:
        attach(session, mine)
        session.commit()
        found = session.execute(select(Song.text, Song.score).order_by(Song.score.desc())).all()
        assert [tuple(one) for one in found] == [("T", 0), ("b", -1), ("c", -2)]


def test_positions_that_a_list_sets_in_a_way_of_its_own_are_plain_columns(database: Database) -> None:
    database.create(ordered.Base.metadata)
    with others(database) as session:
        session.add(Shelf(id=1, books=[Book(text=text) for text in "ab"]))
    with database.session() as session:
        [mine] = detach(session, session.get_one(Shelf, 1), selectinload(Shelf.books))
    mine.books.append(Book(text="M"))
    with others(database) as session:
        theirs = session.get_one(Shelf, 1)
        theirs.books.append(Book(text="T"))
    with database.session() as session:
        attach(session, mine)
        session.commit()
        letters = session.scalars(select(Book.letter).order_by(Book.letter)).all()
        assert letters == ["a", "b", "c", "c"]


# --- the arguments ---------------------------------------------------------------------------------------------------


def test_who_may_write_the_list_may_write_its_positions(database: Database) -> None:
    mine = deck(database)
    mine.slides.pop(0)
    mine.slides.append(Slide(text="M"))
    with database.session() as session:
        with pytest.raises(NotAllowedError) as caught:
            attach(session, mine, allow=[Slide.text, Slide.position])
        assert caught.value.attributes == [("Deck", "slides")]
        attach(session, mine, allow=[Deck.slides, Slide.text])
        session.commit()
    assert stored(database) == "bcM"


@pytest.mark.parametrize("allow", [Deck.slides, Slide.position])
def test_who_may_write_positions_may_put_a_list_in_another_order(database: Database, allow: Any) -> None:
    mine = deck(database)
    reverse(mine.slides)
    with database.session() as session:
        with pytest.raises(NotAllowedError):
            attach(session, mine, allow=[Slide.text])
        attach(session, mine, allow=[allow])
        session.commit()
    assert stored(database) == "cba"


def test_unverified_positions_are_written_as_they_are(database: Database) -> None:
    mine = deck(database)
    mine.slides.pop(0)
    mine.slides.append(Slide(text="M"))
    with database.session() as session:
        attach(session, mine, verify="none")
        session.commit()
    assert stored(database) == "bcM"


def test_a_dry_run_tells_who_gets_another_position(database: Database) -> None:
    mine = deck(database)
    mine.slides.pop(0)
    with database.session() as session:
        report = attach(session, mine, dry_run=True)
        assert [slide.text for slide in report.updated] == ["b", "c"]
        assert [changes(slide)["position"].old for slide in mine.slides] == [2, 3]  # type: ignore[union-attr]  # a Change
        assert mine not in session


def test_after_an_error_of_the_list_s_function_all_is_as_it_was(database: Database) -> None:
    mine = deck(database)
    mine.slides.pop(0)
    there(database, add("T"))
    numbers = mine.slides.ordering_func  # type: ignore[attr-defined]  # of an ordering_list

    def failing(index: int, slides: Any) -> Any:
        if len(slides) > 2:
            raise RuntimeError("no number")
        return numbers(index, slides)

    mine.slides.ordering_func = failing  # type: ignore[attr-defined]  # the same
    with database.session() as session:
        with pytest.raises(RuntimeError, match="no number"):
            attach(session, mine)
        assert not list(session)
        assert [slide.position for slide in mine.slides] == [1, 2]
        mine.slides.ordering_func = numbers  # type: ignore[attr-defined]  # the same
        attach(session, mine)
        session.commit()
    assert stored(database) == "bcT"


def test_without_locks_an_order_that_others_change_before_the_flush_is_a_conflict(database: Database) -> None:
    mine = deck(database)
    mine.slides.pop(0)
    with database.session() as session:
        attach(session, mine, lock=False)
        if database.name == "sqlite":
            session.commit()
            assert stored(database) == "bc"
            return
        there(database, lambda slides: to_front(slides, 2))
        with pytest.raises(ConflictError):
            session.commit()
    assert stored(database) == "cab"


# --- random ----------------------------------------------------------------------------------------------------------

PLACES = st.integers(0, 5)
EDITS = st.lists(st.tuples(st.sampled_from(["move", "take", "put"]), PLACES, PLACES), max_size=4)


def follow(slides: Any, edits: list[tuple[str, int, int]], new: str) -> None:
    for (what, one, other), text in zip(edits, new, strict=False):
        if what == "put":
            slides.insert(min(one, len(slides)), Slide(text=text))
        elif slides and what == "take":
            slides.pop(one % len(slides))
        elif slides:
            slides.insert(other % len(slides), slides.pop(one % len(slides)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mine=EDITS, theirs=EDITS, homes=EDITS, at_home=st.booleans())
def test_random_edits_of_all_sides_merge_into_the_order_of_the_law(
    sqlite: Database, mine: Any, theirs: Any, homes: Any, at_home: bool
) -> None:
    ordered.Base.metadata.drop_all(sqlite.engine)
    away = deck(sqlite, "abcd")
    follow(away.slides, mine, "MNOP")
    there(sqlite, lambda slides: follow(slides, theirs, "TUVW"))
    base, in_database = "abcd", stored(sqlite)
    expected = list(in_database)
    with sqlite.session() as session:
        if at_home:
            home = held_deck(session)
            follow(home.slides, homes, "HIJK")
            expected = list(texts(home.slides))
        merged = merge_members(list(base), list(texts(away.slides)), expected).final
        expected = merge_order(list(base), list(texts(away.slides)), expected, merged)
        attach(session, away)
        session.commit()
    assert stored(sqlite) == "".join(expected)
