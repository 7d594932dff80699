"""Sets, keyed dicts, one-to-one, many-to-many, association objects and trees: each merges by member."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, String, Table, inspect
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    mapped_column,
    relationship,
    selectinload,
)

from sojourn.errors import ConflictError
from sojourn.session.attach import attach
from tests.databases import Database
from tests.models import keys, relations
from tests.models.keys import Node
from tests.models.relations import Article, Club, Link, Membership, Note, Passport, Person, Tag
from tests.session.attaching import away, others, rows

WITH_ALL = (selectinload(Article.tags), selectinload(Article.notes), selectinload(Article.links))


def article(database: Database) -> Article:
    """An article with the notes a and b, the links a and b, the tags a and b; there is a tag c, too."""
    database.create(relations.Base.metadata)
    with others(database) as session:
        found = Article(title="title", tags=[Tag(name="a"), Tag(name="b")])
        found.notes = {name: Note(keyword=name, text=name) for name in "ab"}
        found.links = {Link(url=name) for name in "ab"}
        session.add(found)
        session.flush()
        session.add(Tag(name="c"))
    [mine] = away(database, Article, *WITH_ALL)
    return mine


def note(article: Article, keyword: str, text: str) -> Note:
    article.notes[keyword] = Note(keyword=keyword, text=text)
    return article.notes[keyword]


# --- keyed dicts and sets --------------------------------------------------------------------------------------------


def test_a_keyed_dict_merges_by_member(database: Database) -> None:
    mine = article(database)
    del mine.notes["a"]
    note(mine, "mine", "mine")
    with others(database) as session:
        theirs = session.get_one(Article, 1)
        note(theirs, "theirs", "theirs")
    with database.session() as session:
        attach(session, mine)
        assert set(mine.notes) == {"b", "mine", "theirs"}
        session.commit()
        assert set(mine.notes) == {"b", "mine", "theirs"}


@pytest.mark.parametrize("policy", ["mine", "theirs"])
@pytest.mark.parametrize("at_home", [False, True])
def test_one_key_that_both_added_is_a_conflict(database: Database, policy: Any, at_home: bool) -> None:
    mine = article(database)
    my_note = note(mine, "same", "mine")
    with others(database) as session:
        theirs = session.get_one(Article, 1)
        note(theirs, "same", "theirs")
    with database.session() as session:
        if at_home:
            home = session.get_one(Article, 1)
            assert set(home.notes) == {"a", "b", "same"}
        else:
            home = mine
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.identity, conflict.attribute, conflict.mine) == (inspect(mine).key, "notes", my_note)
        assert conflict.theirs == (Note, (3,), None)
        report = attach(session, mine, on_conflict=policy)
        assert home.notes["same"].text == policy
        assert report.inserted == ([my_note] if policy == "mine" else [])
        session.commit()
        assert home.notes["same"].text == policy
    assert sorted(one.text for one in rows(database, Note)) == ["a", "b", policy]


def test_a_key_that_i_took_over_from_a_member_that_i_removed_is_mine(database: Database) -> None:
    mine = article(database)
    note(mine, "a", "another")
    with database.session() as session:
        report = attach(session, mine)
        assert report.conflicts == []
        session.commit()
        assert mine.notes["a"].text == "another"
    assert sorted(one.text for one in rows(database, Note)) == ["another", "b"]


def test_a_set_merges_by_member(database: Database) -> None:
    mine = article(database)
    mine.links = {link for link in mine.links if link.url == "b"} | {Link(url="mine")}
    with others(database) as session:
        theirs = session.get_one(Article, 1)
        theirs.links.add(Link(url="theirs"))
    with database.session() as session:
        attach(session, mine)
        assert {link.url for link in mine.links} == {"b", "mine", "theirs"}
        session.commit()
        assert {link.url for link in mine.links} == {"b", "mine", "theirs"}


# --- many to many ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_home", [False, True])
def test_many_to_many_merges_by_member(database: Database, at_home: bool) -> None:
    mine = article(database)
    tags = {tag.name: tag for tag in away(database, Tag)}
    mine.tags.remove(mine.tags[0])
    mine.tags.append(tags["c"])
    mine.tags.append(Tag(name="mine"))
    with others(database) as session:
        theirs = session.get_one(Article, 1)
        theirs.tags.append(Tag(name="theirs"))
    with database.session() as session, database.statements() as log:
        home = session.get_one(Article, 1) if at_home else mine
        if at_home:
            assert len(home.tags) == 3
        log.clear()
        report = attach(session, mine)
        assert report.statements == len(log.selects)
        assert [tag.name for tag in home.tags] == ["b", "theirs", "c", "mine"]
        session.commit()
        assert sorted(tag.name for tag in home.tags) == ["b", "c", "mine", "theirs"]
    assert sorted(tag.name for tag in rows(database, Tag)) == ["a", "b", "c", "mine", "theirs"]


def test_many_to_many_that_is_loaded_from_both_sides_is_written_once(database: Database) -> None:
    article(database)
    [mine] = away(database, Article, selectinload(Article.tags).selectinload(Tag.articles))
    removed = mine.tags.pop(0)
    with others(database) as session:
        session.add(Article(id=7, title="theirs", tags=[session.get_one(Tag, removed.id)]))
    with database.session() as session, database.statements() as log:
        attach(session, mine)
        assert removed.articles == [session.get_one(Article, 7)]
        session.commit()
        assert (len(log.deletes), len(log.inserts)) == (1, 0)
        assert [tag.name for tag in mine.tags] == ["b"]
        assert [one.id for one in removed.articles] == [7]


def test_many_to_many_that_both_added_or_removed_is_written_by_nobody(database: Database) -> None:
    mine = article(database)
    third = away(database, Tag)[2]
    mine.tags.pop(0)
    mine.tags.append(third)
    with others(database) as session:
        theirs = session.get_one(Article, 1)
        theirs.tags.pop(0)
        theirs.tags.append(session.get_one(Tag, third.id))
    with database.session() as session, database.statements() as log:
        assert attach(session, mine).conflicts == []
        session.commit()
        assert log.inserts == log.deletes == []


def test_the_sessions_own_many_to_many_edits_are_theirs(database: Database) -> None:
    mine = article(database)
    third = away(database, Tag)[2]
    mine.tags.append(third)
    with database.session() as session:
        home = session.get_one(Article, 1)
        home.tags.append(Tag(name="home"))
        home.tags.pop(0)
        attach(session, mine)
        session.commit()
        assert sorted(tag.name for tag in home.tags) == ["b", "c", "home"]


def test_a_target_of_many_to_many_that_was_deleted_is_dropped_where_it_is_skipped(database: Database) -> None:
    mine = article(database)
    third = away(database, Tag)[2]
    mine.tags.append(third)
    mine.title = "mine"
    with others(database) as session:
        session.delete(session.get_one(Tag, third.id))
    with database.session() as session:
        attach(session, mine, on_missing="skip")
        assert [tag.name for tag in mine.tags] == ["a", "b"]
        session.commit()
        assert (mine.title, [tag.name for tag in mine.tags]) == ("mine", ["a", "b"])


# --- one to one ------------------------------------------------------------------------------------------------------


def person(database: Database, passport: str | None) -> Person:
    database.create(relations.Base.metadata)
    with others(database) as session:
        session.add(Person(name="Ann", passport=Passport(number=passport) if passport else None))
    [mine] = away(database, Person, selectinload(Person.passport))
    return mine


def passports(database: Database) -> list[str]:
    return [one.number for one in rows(database, Passport)]


def test_a_one_to_one_is_added(database: Database) -> None:
    mine = person(database, None)
    mine.passport = Passport(number="mine")
    with database.session() as session:
        report = attach(session, mine)
        assert report.inserted == [mine.passport]
        session.commit()
    assert passports(database) == ["mine"]


def test_a_one_to_one_is_removed(database: Database) -> None:
    mine = person(database, "old")
    gone = mine.passport
    mine.passport = None
    with database.session() as session:
        report = attach(session, mine)
        assert report.deleted == [gone]
        session.commit()
        assert mine.passport is None
    assert passports(database) == []


@pytest.mark.parametrize("policy", ["mine", "theirs"])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_one_to_one_that_both_set_is_a_conflict(database: Database, policy: Any, before: str | None) -> None:
    mine = person(database, before)
    new = mine.passport = Passport(number="mine")
    with others(database) as session:
        theirs = session.get_one(Person, 1)
        if theirs.passport is not None:
            session.delete(theirs.passport)
            session.flush()
        session.add(Passport(id=7, number="theirs", person_id=1))
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.attribute, conflict.mine) == ("passport", new)
        attach(session, mine, on_conflict=policy)
        assert mine.passport is not None
        assert mine.passport.number == policy
        if policy == "mine":
            # A flush inserts before it deletes, and the column is unique, so this is as far as SQLAlchemy itself goes.
            assert [gone.number for gone in inspect(mine).attrs.passport.history.deleted or ()] == ["theirs"]
            return
        session.commit()
        assert mine.passport.number == policy
    assert passports(database) == [policy]


def test_a_one_to_one_that_others_set_is_theirs(database: Database) -> None:
    mine = person(database, None)
    mine.name = "mine"
    with others(database) as session:
        session.add(Passport(id=7, number="theirs", person_id=1))
    with database.session() as session:
        attach(session, mine, verify="all")
        assert mine.passport is not None
        assert mine.passport.number == "theirs"
        session.commit()
    assert passports(database) == ["theirs"]


# --- association objects ---------------------------------------------------------------------------------------------


def test_association_objects_merge_by_their_two_keys(database: Database) -> None:
    database.create(relations.Base.metadata)
    with others(database) as session:
        clubs = [Club(id=number, name=str(number)) for number in (1, 2, 3, 4)]
        ann = Person(id=1, name="Ann")
        ann.memberships = [Membership(club=clubs[0], role="member"), Membership(club=clubs[1], role="member")]
        session.add_all([ann, *clubs])
    [mine] = away(database, Person, selectinload(Person.memberships).selectinload(Membership.club))
    third = away(database, Club)[2]
    mine.memberships[0].role = "chair"
    gone = mine.memberships.pop(1)
    mine.memberships.append(Membership(club=third, role="mine"))
    with others(database) as session:
        session.add(Membership(person_id=1, club_id=4, role="theirs"))
    with database.session() as session:
        report = attach(session, mine)
        assert report.deleted == [gone]
        session.commit()
        assert {one.club.name: one.role for one in mine.memberships} == {"1": "chair", "3": "mine", "4": "theirs"}


def test_an_association_that_both_added_is_one(database: Database) -> None:
    database.create(relations.Base.metadata)
    with others(database) as session:
        session.add_all([Person(id=1, name="Ann"), Club(id=1, name="club")])
    [mine] = away(database, Person, selectinload(Person.memberships))
    mine.memberships.append(Membership(person_id=1, club_id=1, role="mine"))
    with others(database) as session:
        session.add(Membership(person_id=1, club_id=1, role="theirs"))
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        assert [conflict.attribute for conflict in caught.value.conflicts] == ["role"]
        attach(session, mine, on_conflict="mine")
        session.commit()
        assert [one.role for one in mine.memberships] == ["mine"]


# --- trees -----------------------------------------------------------------------------------------------------------


def test_subtrees_of_a_tree_are_moved_removed_and_added_by_both(database: Database) -> None:
    database.create(keys.Base.metadata)
    with others(database) as session:
        for number, parent in enumerate([None, 1, 1, 2, 2, 3, 3], start=1):
            session.add(Node(name=str(number), parent_id=parent))
            session.flush()
    deep = selectinload(Node.children)
    root = away(database, Node, deep.selectinload(Node.children).selectinload(Node.children))[0]
    two, three = root.children
    four, six = two.children[0], three.children[0]
    three.children.append(two.children.pop(0))  # 4 goes under 3
    three.children.remove(six)  # 6 is deleted
    four.children.append(Node(name="mine"))
    with others(database) as session:
        session.get_one(Node, 5).parent_id = 3
        session.add(Node(name="theirs", parent_id=7))
    with database.session() as session:
        report = attach(session, root)
        assert report.deleted == [six]
        session.commit()
    found = {node.name: node.parent_id for node in rows(database, Node)}
    assert found == {"1": None, "2": 1, "3": 1, "4": 3, "5": 3, "7": 3, "mine": 4, "theirs": 7}


# --- keyed dicts through a third table -------------------------------------------------------------------------------


class Base(DeclarativeBase):
    pass


shelved = Table(
    "shelved",
    Base.metadata,
    Column("shelf_id", ForeignKey("keyed_shelf.id"), primary_key=True),
    Column("record_id", ForeignKey("keyed_record.id"), primary_key=True),
)


class KeyedShelf(Base):
    __tablename__ = "keyed_shelf"

    id: Mapped[int] = mapped_column(primary_key=True)
    records: Mapped[dict[str, KeyedRecord]] = relationship(
        secondary=shelved, collection_class=attribute_keyed_dict("label")
    )


class KeyedRecord(Base):
    __tablename__ = "keyed_record"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(String(20))


@pytest.mark.parametrize("policy", ["mine", "theirs"])
def test_one_key_of_a_many_to_many_dict_that_both_filled_is_a_conflict(database: Database, policy: Any) -> None:
    database.create(Base.metadata)
    with others(database) as session:
        session.add(KeyedShelf(records={"a": KeyedRecord(label="a")}))
        session.flush()
        session.add(KeyedRecord(label="same"))
    [mine] = away(database, KeyedShelf, selectinload(KeyedShelf.records))
    new = mine.records["same"] = KeyedRecord(label="same")
    with others(database) as session:
        theirs = session.get_one(KeyedShelf, 1)
        theirs.records["same"] = session.get_one(KeyedRecord, 2)
    with database.session() as session:
        with pytest.raises(ConflictError) as caught:
            attach(session, mine)
        [conflict] = caught.value.conflicts
        assert (conflict.mine, conflict.theirs) == (new, (KeyedRecord, (2,), None))
        attach(session, mine, on_conflict=policy)
        session.commit()
        assert (mine.records["same"] is new) is (policy == "mine")
        assert set(mine.records) == {"a", "same"}
    assert len(rows(database, KeyedRecord)) == (3 if policy == "mine" else 2)
