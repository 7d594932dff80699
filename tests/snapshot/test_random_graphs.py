"""Random parts of a graph, loaded in random shapes and edited at random: the copy holds the same, has the same history,
and a flush of it writes the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, inspect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, load_only, selectinload
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.pool import StaticPool

from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.graph import walk
from sojourn.snapshot import loads
from sojourn.sqlalchemy_internals import base_of, is_orphan, members, pending_mutations
from tests.models.relations import Article, Base, Link, Note, Passport, Person, Tag
from tests.snapshot.documents import dumped, edits, history
from tests.statements import recorded


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Three articles of two people, with everything that an article can have. Nobody commits a change."""
    # One connection for all sessions, and pysqlite kept out of the transactions so that a rollback is one.
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"isolation_level": None})
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        tags = [Tag(id=number, name=f"tag {number}") for number in (1, 2, 3)]
        session.add_all([Person(id=1, name="Ann", passport=Passport(id=1, number="P")), Person(id=2, name="Bob")])
        for number in (1, 2, 3):
            notes = [Note(id=10 * number + at, keyword=f"k{at}", text="t") for at in range(number)]
            links = {Link(id=10 * number + at, url=f"u{at}") for at in range(2)}
            session.add(
                Article(
                    id=number,
                    title=f"article {number}",
                    author_id=None if number == 3 else number,
                    tags=tags[:number],
                    notes={note.keyword: note for note in notes},
                    links=links,
                )
            )
        session.commit()
    yield engine
    engine.dispose()


OPTIONS = [
    selectinload(Article.author),
    selectinload(Article.author).selectinload(Person.passport),
    selectinload(Article.tags),
    selectinload(Article.tags).selectinload(Tag.articles),
    selectinload(Article.notes),
    selectinload(Article.notes).selectinload(Note.article),
    selectinload(Article.links),
    load_only(Article.title),
    selectinload(Article.tags).load_only(Tag.id),
]


class Editor:
    """Random edits that touch nothing which would have to be loaded."""

    def __init__(self, data: st.DataObject, articles: list[Article], people: list[Person]) -> None:
        self.data = data
        self.articles = articles
        self.people = people
        self.made = 0

    def edit(self) -> None:
        article = self.data.draw(st.sampled_from(self.articles))
        self.data.draw(
            st.sampled_from(
                [self.title, self.author, self.add, self.remove, self.back, self.child, self.forget, self.key]
            )
        )(article)

    def number(self) -> int:
        self.made += 1
        return self.made

    def title(self, article: Article) -> None:
        article.title = self.data.draw(st.sampled_from(["article 1", "new", ""]))

    def author(self, article: Article) -> None:
        new = Person(name=f"person {self.number()}", passport=Passport(number="N"))
        article.author = self.data.draw(st.sampled_from([None, new, *self.people]))

    def add(self, article: Article) -> None:
        if "tags" in article.__dict__:
            article.tags.append(Tag(name=f"new {self.number()}"))
        if "links" in article.__dict__:
            article.links.add(Link(url="new"))
        if "notes" in article.__dict__:
            name = f"n{self.number()}"
            article.notes[name] = Note(keyword=name, text="new")

    def remove(self, article: Article) -> None:
        if article.__dict__.get("tags"):
            article.tags.pop(self.data.draw(st.integers(0, len(article.tags) - 1)))
        if article.__dict__.get("notes"):
            del article.notes[self.data.draw(st.sampled_from(sorted(article.notes)))]
        if article.__dict__.get("links"):
            article.links.remove(sorted(article.links, key=lambda link: (link.url, link.id or 0))[0])

    def back(self, article: Article) -> None:
        """A change of a collection through the other side, loaded or not."""
        Note(keyword=f"b{self.number()}", text="back", article=article)

    def child(self, article: Article) -> None:
        for link in article.__dict__.get("links", ()):
            link.url += "!"
        self.articles.append(
            Article(title=f"new {self.number()}", author=self.people[0], tags=list(article.__dict__.get("tags", ())))
        )

    def forget(self, article: Article) -> None:
        # Of a reference that was empty before, SQLAlchemy writes NULL over NULL, and the copy knows that it need not.
        if article.__dict__.get("author") is not None and base_of(inspect(article), "author") is not None:
            del article.author

    def key(self, article: Article) -> None:
        if inspect(article).key is not None:
            article.id += 100


def name_of(obj: Any) -> Any:
    """What an object and its copy have in common."""
    state = inspect(obj)
    return state.key or state.info["sojourn.token"]


def names(objs: Any) -> Any:
    return sorted(map(str, map(name_of, objs)))


def description(obj: Any) -> dict[str, Any]:
    """All that a round trip shall keep."""
    state, plan = inspect(obj), blueprint(obj)
    told: dict[str, Any] = {"class": type(obj), "edits": edits(obj), "orphan": is_orphan(state)}
    for key in plan.columns.keys() & obj.__dict__.keys():
        told[key] = (type(obj.__dict__[key]), obj.__dict__[key], history(obj, key) if state.key else None)
    for key, relationship in plan.relationships.items():
        told[f"{key} pending"] = [names(changes) for changes in pending_mutations(state, key)]
        if key not in obj.__dict__:
            continue
        value = obj.__dict__[key]
        held: Any
        if not relationship.many:
            held = None if value is None else name_of(value)
        elif isinstance(value, dict):
            held = [(name, name_of(member)) for name, member in value.items()]
        else:
            held = names(value) if isinstance(value, set) else [name_of(member) for member in members(value)]
        told[key] = (held, [names(filter(None, part or ())) for part in history(obj, key)])
    return told


def everything(objs: list[Any]) -> list[Any]:
    """The graph, with what came to or left collections that are not loaded."""
    pending = [
        member
        for state in walk(objs)
        for key in state.mapper.relationships.keys()  # noqa: SIM118 - no Mapping
        for changes in pending_mutations(state, key)
        for member in changes
    ]
    return [state.obj() for state in walk([*objs, *pending])]


def described(objs: list[Any]) -> dict[Any, dict[str, Any]]:
    return {name_of(obj): description(obj) for obj in everything(objs)}


def written(engine: Engine, objs: list[Any]) -> Any:
    """The rows that a flush writes, in no order, or the kind of error that it ends with."""
    session = Session(engine)
    with recorded(engine) as log:
        try:
            session.add_all(everything(objs))
            log.clear()
            session.flush()
        except SQLAlchemyError as error:
            return type(error)
        finally:
            session.rollback()
            session.expunge_all()
            session.close()
    rows = ((one.sql, row) for one in log for row in (one.parameters if one.executemany else [one.parameters]))
    return sorted((sql, repr(row)) for sql, row in rows if not sql.startswith(("SELECT", "BEGIN")))


@given(st.data())
def test_a_copy_holds_tells_and_writes_the_same(engine: Engine, data: st.DataObject) -> None:
    with Session(engine, autoflush=False) as session:
        options = data.draw(st.lists(st.sampled_from(OPTIONS), max_size=4))
        articles = session.query(Article).options(*options).order_by(Article.id).all()
        people = session.query(Person).order_by(Person.id).all()
        if data.draw(st.booleans()):
            session.expunge_all()
        editor = Editor(data, articles, people)
        for _ in range(data.draw(st.integers(0, 5))):
            editor.edit()
        roots = [*articles, *people]
        copies = loads(dumped(roots), Base)
        session.expunge_all()

    before, after = described(roots), described(copies)
    assert after.keys() == before.keys()
    for name, told in before.items():
        # What a copy has besides: the way back from a loaded collection, and None for what was deleted.
        assert after[name].keys() - told.keys() <= {"article", "person", "author"}
        assert {key: after[name][key] for key in told} == told
    assert described(loads(dumped(copies), Base)) == after
    assert written(engine, copies) == written(engine, roots)


def test_the_description_sees_what_is_different() -> None:
    one, two = Article(title="a"), Article(title="a")
    instance_state(one).info["sojourn.token"] = instance_state(two).info["sojourn.token"] = "t"
    assert described([one]) == described([two])
    two.tags.append(Tag(name="x"))
    instance_state(two.tags[0]).info["sojourn.token"] = "u"
    assert described([one]) != described([two])
