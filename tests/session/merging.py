"""`Session.merge` as the oracle of `sojourn.merge`: the same graph merged by each, and all that can be seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

from sqlalchemy import event, inspect, select
from sqlalchemy.exc import SAWarning
from sqlalchemy.orm import Session, joinedload, selectinload, undefer
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.base import PASSIVE_NO_INITIALIZE
from sqlalchemy.orm.collections import collection_adapter
from sqlalchemy.orm.exc import DetachedInstanceError

from sojourn.session.merge import merge
from tests.databases import Database
from tests.models.merging import Author, Base, Book, Ghost, Note, Profile, Span, Tag

Way = Callable[[Session, list[Any], bool, Any], Sequence[Any]]
Build = Callable[[Database], list[Any]]
Prepare = Callable[[Session], Any]


def by_sqlalchemy(session: Session, objs: list[Any], load: bool, options: Any) -> Sequence[Any]:
    merge_all = getattr(session, "merge_all", None)  # SQLAlchemy 2.1
    if merge_all is not None:
        return list(merge_all(objs, load=load, options=options))
    # The loop that merge_all is.
    if load:
        session._autoflush()
    with session.no_autoflush:
        return [session.merge(obj, load=load, options=options) for obj in objs]


def by_sojourn(session: Session, objs: list[Any], load: bool, options: Any) -> Sequence[Any]:
    merged: list[Any] = merge(session, objs, load=load, options=options)
    return merged


def outcomes(
    database: Database, build: Build, prepare: Prepare, *, load: bool = True, options: Any = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What can be seen after each way. Nothing is committed."""
    return (
        outcome(database, by_sqlalchemy, build, prepare, load, options),
        outcome(database, by_sojourn, build, prepare, load, options),
    )


def outcome(database: Database, way: Way, build: Build, prepare: Prepare, load: bool, options: Any) -> dict[str, Any]:
    given = build(database)
    seen: dict[str, Any] = {}
    with database.session() as session, warnings.catch_warnings(record=True) as warned, heard() as events:
        warnings.simplefilter("always")
        kept = prepare(session)
        events.clear()
        try:
            merged = way(session, given, load, options)
        except Exception as error:  # noqa: BLE001 - any error is a result
            seen["error"] = type(error).__name__, str(error).split(" at 0x")[0]
            merged = []
        names = Names(session)
        seen["dirty"] = sorted(names.of(one) for one in session.dirty)
        seen["new"] = [names.of(one) for one in session.new]
        if "error" in seen:
            session.rollback()
            return seen  # what was read before is another thing: all of it here, some of it there
        seen["events"] = sorted(events)  # the members of a set come in any order
        seen["results"] = [names.of(one) for one in merged]
        seen["objects"] = {names.of(one): looks(one, names) for one in names.objects}
        seen["modified"] = sorted(names.of(one) for one in names.objects if session.is_modified(one))
        try:
            session.flush()
            seen["rows"] = rows(session)
        except Exception as error:  # noqa: BLE001 - the same
            seen["flush"] = type(error).__name__  # which of several cycles or clashes it meets first is chance
        seen["warnings"] = sorted({str(one.message).split(" at 0x")[0] for one in warned if one.category is SAWarning})
        session.rollback()
        del kept
    return seen


class Names:
    """A name for each object of a session that does not depend on where it is in memory."""

    def __init__(self, session: Session) -> None:
        self.objects = [*session.identity_map.values(), *session.new]
        self.names: dict[int, str] = {}
        for one in session.identity_map.values():
            key = instance_state(one).key
            assert key is not None
            self.names[id(one)] = f"{type(one).__name__} {key[1]}"
        for number, one in enumerate(session.new):
            self.names[id(one)] = f"new {number:03} {type(one).__name__}"

    def of(self, obj: Any) -> str:
        return "None" if obj is None else self.names.get(id(obj), f"stranger {type(obj).__name__}")


def looks(obj: Any, names: Names) -> dict[str, Any]:
    state = instance_state(obj)
    mapper = state.mapper
    found: dict[str, Any] = {}
    for prop in mapper.iterate_properties:
        key = prop.key
        if key not in mapper.class_manager:
            continue
        related = key in mapper.relationships
        value = state.dict.get(key, "-")
        if related and key in state.dict:
            value = shown(value, names, prop.uselist)
        # A composite's history would load.
        history: Any = () if key == "span" else state.get_history(key, PASSIVE_NO_INITIALIZE)
        if related:
            history = [[names.of(one) for one in part] for part in history]
            if key in ("tags", "notes"):  # sets have no order, and SQLAlchemy's of a dict is that of its members' ids
                history = [sorted(part) for part in history]
        # On a relationship, and on what is loaded, the mark means nothing.
        expired = not related and key not in state.dict and key in state.expired_attributes
        found[key] = (type(value).__name__, repr(value), repr(history), expired)
    # A refresh of a subclass notes the subclass in the path, or the class that the given object came by.
    path = str(state.load_path).replace("Mapper[Ghost", "Mapper[Author")
    found["options"] = len(state.load_options), path, sorted(state.callables)
    found["flags"] = state.modified, state.pending, state.persistent, sorted(state.unloaded)
    return found


def shown(value: Any, names: Names, many: bool) -> Any:
    if not many:
        return names.of(value)
    members = [names.of(one) for one in collection_adapter(value)]
    if isinstance(value, dict):
        return sorted((key, names.of(one)) for key, one in value.items())
    return sorted(members) if isinstance(value, set) else members


def rows(session: Session) -> dict[str, list[Any]]:
    return {
        table.name: [tuple(map(repr, row)) for row in session.execute(select(table).order_by(*table.primary_key))]
        for table in Base.metadata.sorted_tables
    }


@contextmanager
def heard() -> Iterator[list[str]]:
    """What attribute events tell."""
    told: list[str] = []
    listeners: list[tuple[Any, str, Callable[..., None]]] = []

    def listen(target: Any, name: str, tell: Callable[..., None], **options: Any) -> None:
        event.listen(target, name, tell, **options)
        listeners.append((target, name, tell))

    def name_of(obj: Any) -> str:
        return f"{type(obj).__name__} {inspect(obj).identity}" if obj is not None else "None"

    def set_(target: Any, value: Any, _old: Any, _initiator: Any) -> None:
        told.append(f"title of {name_of(target)} set to {value!r}")

    def appended(target: Any, value: Any, _initiator: Any) -> None:
        told.append(f"append {name_of(value)} to {name_of(target)}")

    def removed(target: Any, value: Any, _initiator: Any) -> None:
        told.append(f"remove {name_of(value)} from {name_of(target)}")

    listen(Book.title, "set", set_)
    listen(Tag.books, "append", appended)
    listen(Tag.books, "remove", removed)
    try:
        yield told
    finally:
        for target, name, tell in listeners:
            event.remove(target, name, tell)


# --- random graphs ---


def fill(session: Session) -> None:
    """A small library."""
    authors = [Author(id=1, name="Ada", about="a", first=1, last=2), Author(id=2, name="Bob", about="b")]
    ghost = Ghost(id=3, name="Gus", haunts="attic")
    tags = [Tag(name=name, color="red") for name in ("x", "y", "z")]
    books = [
        Book(id=number, title=f"Book {number}", price=number / 2, extra={"n": number}, plain={"n": number})
        for number in range(1, 7)
    ]
    for number, book in enumerate(books):
        book.author = (*authors, ghost)[number % 3]
        book.editor = authors[0] if number % 2 else None
        book.after = books[number - 1] if number else None
        book.tags = set(tags[: number % 4])
    for author in authors:
        author.profile = Profile(text=f"Profile {author.id}")
        author.notes = {title: Note(title=title, text="t") for title in ("one", "two")}
    session.add_all([*authors, ghost, *books])
    session.commit()


OPTIONS: tuple[tuple[Any, ...], ...] = (
    (),
    (selectinload(Author.books).selectinload(Book.tags),),
    (selectinload(Author.books).selectinload(Book.before), joinedload(Author.profile)),
    (joinedload(Author.books).joinedload(Book.editor), undefer(Author.about)),
    (selectinload(Author.books), selectinload(Author.notes)),
    (selectinload(Author.edited), selectinload(Author.profile)),
)


def graph(random: Random, *, only: type = object) -> Build:
    """A function that builds one and the same graph each time: objects that were loaded, and new ones, then edited.

    With `only` it is one root, of this class.
    """
    seed = random.getrandbits(32)

    def build(database: Database) -> list[Any]:
        choose = Random(seed)
        with database.session() as session:
            query = select(Author).options(*choose.choice(OPTIONS)).order_by(Author.id)
            authors: list[Any] = list(session.scalars(query).unique())
            if choose.random() < 0.3:
                authors += session.scalars(select(Book).order_by(Book.id).options(joinedload(Book.author))).all()
            session.expunge_all()
        everything = reached(authors)
        new = [made(choose) for _ in range(choose.randrange(5))]
        for _ in range(choose.randrange(8)):
            edit(choose, choose.choice([*everything, *new]), [*everything, *new])
        roots = [*choose.sample(authors, choose.randrange(len(authors) + 1)), *new]
        choose.shuffle(roots)
        if only is object:
            return roots or authors
        return ([root for root in roots if isinstance(root, only)] or authors)[:1]

    return build


def reached(roots: Sequence[Any]) -> list[Any]:
    found: dict[int, Any] = {}
    queue = list(roots)
    for one in queue:
        if id(one) in found:
            continue
        found[id(one)] = one
        state = instance_state(one)
        for rel in state.mapper.relationships:
            value = state.dict.get(rel.key)
            if value is not None:
                members = list(collection_adapter(value)) if rel.uselist else [value]
                queue.extend(sorted(members, key=lambda one: str(instance_state(one).key)))
    return list(found.values())


def made(choose: Random) -> Any:
    class_ = choose.choice([Author, Ghost, Book, Book, Tag, Note, Profile])
    if class_ is Tag:
        return Tag(name=choose.choice(["x", "y", "new"]), color=choose.choice(["blue", None]))
    if class_ is Note:
        return Note(author_id=choose.choice([1, 2, 3]), title=choose.choice(["one", "three"]), text="n")
    obj: Any = class_()
    if choose.random() < 0.7:
        # One identity is of one class: two are a case of its own, see the tests.
        obj.id = choose.choice([3, 78] if class_ is Ghost else [1, 2, 77])
    if class_ is Book:
        obj.title = "made"
        if choose.random() < 0.3:
            obj.extra = {"made": 1}
    elif class_ is Profile:
        obj.text = "made"
    else:
        obj.name = " made "
        if choose.random() < 0.3:
            obj.span = Span(5, 6)
        if choose.random() < 0.2:
            obj.version = choose.choice([1, 9])
    return obj


def edit(choose: Random, obj: Any, others: Sequence[Any]) -> None:
    def some(class_: type) -> list[Any]:
        return [one for one in others if isinstance(one, class_)]

    def one(class_: type) -> Any:
        return choose.choice([*some(class_), None])

    def put(key: str, value: Any) -> None:
        # What is not loaded would have to be loaded for it, which a detached object cannot.
        if instance_state(obj).key is None or key in instance_state(obj).dict:
            with suppress(DetachedInstanceError):
                setattr(obj, key, value)

    kinds: dict[type, list[Callable[[], None]]] = {
        Author: [
            lambda: put("name", " edited "),
            lambda: put("books", choose.sample(some(Book), min(2, len(some(Book))))),
            lambda: put("profile", one(Profile)),
            lambda: put("first", 9),
            lambda: put("edited", some(Book)[:1]),
        ],
        Book: [
            lambda: put("title", "edited"),
            lambda: put("tags", set(some(Tag)[:1])),  # more would come in any order
            lambda: put("author", one(Author)),
            lambda: put("editor", one(Author)),
            lambda: put("extra", {"edited": True}),
            lambda: put("after", one(Book)),
        ],
        Tag: [lambda: put("color", "green")],
    }
    choose.choice(next((edits for kind, edits in kinds.items() if isinstance(obj, kind)), [lambda: put("text", "e")]))()


def home(random: Random) -> Prepare:
    """A function that brings a session into one and the same condition each time: what it holds, expired and edited."""
    seed = random.getrandbits(32)

    def prepare(session: Session) -> Any:
        choose = Random(seed)
        kept: list[Any] = []
        if choose.random() < 0.6:
            kept += session.scalars(select(Author).options(*choose.choice(OPTIONS))).unique()
        if choose.random() < 0.4:
            kept += session.scalars(select(Book).where(Book.id < choose.randrange(7))).all()
        for one in kept:
            if choose.random() < 0.2 and not isinstance(one, Book):  # the same
                session.expire(one)
            elif choose.random() < 0.2:
                # Not single columns: see "reads early" in the tests.
                session.expire(one, ["books", "profile"] if isinstance(one, Author) else ["tags", "author"])
            elif choose.random() < 0.1:
                setattr(one, "name" if isinstance(one, Author) else "title", "from home")
        if choose.random() < 0.2:
            session.add(Tag(name="new", color="pending"))
        return kept

    return prepare
