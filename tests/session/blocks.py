"""Random work on a session, for tests/session/test_savepoint_stateful.py: what one side of the comparison can do.

A `Side` is a session on a database of its own, and objects that are told by a number. The same work does the same on
each side. Work that makes no sense for an object (a member of something that has no members) does nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, StaticPool, create_engine, event, inspect, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session, make_transient, selectinload
from sqlalchemy.orm.attributes import flag_modified

from tests.models.workshop import Badge, Base, Lead, Log, Member, Note, Place, Tag, Team

KINDS: tuple[Callable[[int], Any], ...] = (
    lambda n: Team(code=f"c{n}", name=f"name {n}", plain={"a": [n]}, tracked={"n": n}, place=Place(n, n)),
    lambda n: Team(code=f"k{n}", members=[Member(name=f"inner {n}")], place=Place(0, n)),
    lambda n: Member(name=f"name {n}"),
    lambda n: Lead(name=f"lead {n}", since=n),
    lambda n: Tag(name=f"name {n}"),
    lambda n: Badge(kind=f"kind {n % 3}"),
    lambda n: Note(name=f"name {n}"),
    lambda n: Log(),
)
CLASSES = (Team, Member, Tag, Badge, Note, Log)
RELATIONSHIPS = ("members", "tags", "badges", "captain", "team", "teams")


class Side:
    """One session, its database and the objects that the work is about."""

    def __init__(self) -> None:
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        self.written: Counter[tuple[str, str]] = Counter()
        event.listen(self.engine, "connect", _as_a_database_should)
        event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        event.listen(self.engine, "before_cursor_execute", self._note)
        Base.metadata.create_all(self.engine)
        self.session = Session(self.engine)
        self.objs: list[Any] = _some()  # told by their places here
        self.waiting: list[Any] = []  # in no session, and referred to by none of its objects
        self.session.add_all(self.objs)
        self.session.commit()

    def close(self) -> None:
        self.session.close()
        self.engine.dispose()

    def rows(self) -> dict[str, list[Any]]:
        """What is in the database, as this transaction sees it; without a flush."""
        connection = self.session.connection()
        return {
            table.name: sorted(map(repr, connection.execute(select(table)).all()))
            for table in Base.metadata.sorted_tables
        }

    def do(self, what: str, a: int, b: int, c: int) -> None:
        """One piece of work; a, b and c say which objects and what value."""
        getattr(self, f"_{what}")(a, b, c)

    def do_all(self, work: Iterable[tuple[str, int, int, int]]) -> None:
        """Several pieces."""
        for step in work:
            self.do(*step)

    def _note(self, _: Connection, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        if statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            self.written.update((statement, repr(one)) for one in (parameters if many else [parameters]))

    def _any(self, at: int, *classes: type) -> Any:
        """An object that is about at this place, of these classes if any are named; None where there is none."""
        among = [one for one in self.objs if isinstance(one, classes or CLASSES)]
        return among[at % len(among)] if among else None

    # --- objects come and go -----------------------------------------------------------------------------------------

    def _new(self, a: int, b: int, c: int) -> None:
        one = KINDS[a % len(KINDS)](b % 5)
        if c % 3:
            self.objs.append(one)
            self.session.add(one)
        else:
            self.waiting.append(one)

    def _add(self, a: int, b: int, c: int) -> None:
        among = [*self.waiting, *self.objs]
        if among and not inspect(among[a % len(among)]).deleted:
            self.session.add(among[a % len(among)])
            if a % len(among) < len(self.waiting):
                self.objs.append(self.waiting.pop(a % len(among)))

    def _delete(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one is not None and inspect(one).persistent:
            self.session.delete(one)

    def _expunge(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one in self.session:
            self.session.expunge(one)

    def _make_transient(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one is not None:
            make_transient(one)

    def _merge(self, a: int, b: int, c: int) -> None:
        one = self._any(a, Member, Tag, Note)
        if one is not None and one not in self.session and not inspect(one).deleted:
            self.objs.append(self.session.merge(one))

    def _get(self, a: int, b: int, c: int) -> None:
        class_: Any = CLASSES[a % len(CLASSES)]
        keys = self.session.scalars(select(inspect(class_).primary_key[0]).order_by("1")).all()
        if keys:
            one = self.session.get(class_, keys[b % len(keys)])
            if one is not None and not any(one is known for known in self.objs):
                self.objs.append(one)

    def _load(self, a: int, b: int, c: int) -> None:
        statement = select(Team).order_by(Team.code).options(selectinload(Team.members), selectinload(Team.tags))
        self.session.scalars(statement.execution_options(populate_existing=c % 4 == 0)).all()

    def _set_aside(self, a: int, b: int, c: int) -> None:
        """What is in no session, and referred to by none of its objects, is not edited any more before it is added."""
        held = [*self.session, *self.session.deleted]
        known = {id(one) for one in held}
        for one in held:  # it grows on the way
            more = [other for other in _referred_to(one) if id(other) not in known]
            known |= {id(other) for other in more}
            held += more
        strange = [one for one in self.objs if id(one) not in known and inspect(one).session is None]
        self.waiting += strange
        self.objs = [one for one in self.objs if not any(one is other for other in strange)]

    # --- edits -------------------------------------------------------------------------------------------------------

    def _name(self, a: int, b: int, c: int) -> None:
        one = self._any(a, Team, Member, Tag, Badge, Note, Log)
        if one is not None:
            one.name = None if b % 5 == 0 else f"name {b % 5}"  # unique: some flushes fail

    def _forget_name(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one is not None and "name" in vars(one):
            del one.name

    def _key(self, a: int, b: int, c: int) -> None:
        one = self._any(a, Team)
        if one is not None:
            one.code = f"c{b % 5}"

    def _column(self, a: int, b: int, c: int) -> None:
        one = self._any(a, Team, Lead)
        if isinstance(one, Lead):
            one.since = b
        elif one is not None:
            setattr(one, ("status", "story")[c % 2], f"text {b}")

    def _json(self, a: int, b: int, c: int) -> None:
        one = self._any(a, Team)
        if one is None:
            return
        if c % 4 == 0:
            one.plain = {"a": [b]}
        elif c % 4 == 1:
            one.tracked = {"new": b}
        elif c % 4 == 2 and isinstance(one.tracked, dict):
            one.tracked[f"k{b}"] = b
        elif isinstance(one.plain, dict):
            one.plain.setdefault("a", []).append(b)
            if b % 2:
                flag_modified(one, "plain")

    def _composite(self, a: int, b: int, c: int) -> None:
        one = self._any(a, Team)
        if one is not None and one.place is not None and c % 2:
            one.place.x = b
        elif one is not None:
            one.place = Place(b, c)

    def _plain_attribute(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one is not None:
            one.remark = b

    # --- relationships -----------------------------------------------------------------------------------------------

    def _join(self, a: int, b: int, c: int) -> None:
        team, member = self._any(a, Team), self._any(b, Member)
        if team is not None and member is not None and member not in team.members:
            team.members.insert(c % (len(team.members) + 1), member)

    def _leave(self, a: int, b: int, c: int) -> None:
        team = self._any(a, Team)
        if team is not None and team.members:
            team.members.pop(b % len(team.members))

    def _reorder(self, a: int, b: int, c: int) -> None:
        team = self._any(a, Team)
        if team is not None:
            team.members = team.members[::-1]

    def _parent(self, a: int, b: int, c: int) -> None:
        child = self._any(a, Member, Badge, Note, Log)
        if child is not None:
            child.team = None if c % 4 == 0 else self._any(b, Team)

    def _tag(self, a: int, b: int, c: int) -> None:
        team, tag = self._any(a, Team), self._any(b, Tag)
        if team is None or tag is None:
            return
        if c % 4 == 0:
            team.tags = {tag}
        elif c % 4 == 1:
            team.tags.discard(tag)
        elif c % 4 == 2:
            team.tags.add(tag)
        elif team not in tag.teams:
            tag.teams.append(team)

    def _badge(self, a: int, b: int, c: int) -> None:
        team, badge = self._any(a, Team), self._any(b, Badge)
        if team is not None and badge is not None and c % 2:
            team.badges[badge.kind] = badge
        elif team is not None and team.badges:
            del team.badges[sorted(team.badges)[0]]

    def _captain(self, a: int, b: int, c: int) -> None:
        team = self._any(a, Team)
        if team is not None:
            team.captain = None if c % 3 == 0 else self._any(b, Tag)

    def _late(self, a: int, b: int, c: int) -> None:
        """The collections that are never in memory."""
        team, one = self._any(a, Team), self._any(b, Note, Log)
        if team is None or one is None:
            return
        if isinstance(one, Note):
            (team.notes.append if c % 2 else team.notes.remove)(one)
        else:
            (team.logs.add if c % 2 else team.logs.remove)(one)

    # --- what a session does -----------------------------------------------------------------------------------------

    def _flush(self, a: int, b: int, c: int) -> None:
        self.session.flush()

    def _expire(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one is not None and inspect(one).persistent and c % 3:
            self.session.expire(one, None if c % 3 == 1 else ["name"])
        elif c % 12 == 0:
            self.session.expire_all()

    def _refresh(self, a: int, b: int, c: int) -> None:
        one = self._any(a)
        if one is not None and inspect(one).persistent and one not in self.session.deleted:
            self.session.refresh(one)

    def _touch(self, a: int, b: int, c: int) -> None:
        """Read something, which may load it."""
        one = self._any(a)
        keys = [key for key in ("name", *RELATIONSHIPS, "story") if one is not None and hasattr(type(one), key)]
        if keys and not inspect(one).detached:
            getattr(one, keys[b % len(keys)])

    def _bulk(self, a: int, b: int, c: int) -> None:
        if c % 3 == 0:
            self.session.execute(update(Member).where(Member.position == b % 3).values(name=None))
        elif c % 3 == 1:
            self.session.execute(sql_delete(Log).where(Log.name == f"name {b % 5}"))
        else:
            self.session.connection().execute(update(Tag.__table__).values(name=None))  # type: ignore[arg-type]  # a Table

    def _nested(self, a: int, b: int, c: int) -> None:
        """SQLAlchemy's own savepoint, with something in it."""
        nested = self.session.begin_nested()
        try:
            self._name(a, b, c)
            self.session.flush()
        except Exception:
            nested.rollback()
            raise
        if c % 2:
            nested.commit()
        else:
            nested.rollback()


def _some() -> list[Any]:
    """What there is at first: two teams, and some of everything that a team has."""
    tags = [Tag(name="name 1"), Tag(name="tag 2"), Tag(name="tag 3")]
    members = [Member(name="name 2"), Lead(name="lead", since=1), Member(name="third")]
    badges = [Badge(kind="kind 0"), Badge(kind="kind 1")]
    first = Team(code="c1", name="name 3", plain={"a": [1]}, tracked={"a": 1}, place=Place(1, 1), captain=tags[0])
    second = Team(code="c2", plain=[], tracked={}, place=Place(2, 2), members=members[2:], tags={tags[2]})
    first.members, first.tags = members[:2], set(tags[:2])
    first.badges = {badge.kind: badge for badge in badges}
    late: list[Any] = [Note(name="note", team=first), Log(name="log", team=first)]
    return [first, second, *members, *tags, *badges, *late]


def _referred_to(obj: Any) -> list[Any]:
    found = []
    for value in vars(obj).values():
        members = value.values() if isinstance(value, dict) else value if isinstance(value, (list, set)) else [value]
        found += [one for one in members if isinstance(one, CLASSES)]
    return list({id(one): one for one in found}.values())


WORK = tuple(
    sorted(
        name.removeprefix("_")
        for name, one in vars(Side).items()
        if name.startswith("_")
        and not name.startswith("__")
        and name not in ("_note", "_any", "_set_aside")
        and callable(one)
    )
)


def _as_a_database_should(connection: Any, _: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
