"""Every combination of attach's parameters in a world that has every kind of thing, held against a model: which error,
which rows, which report; and a dry run reports the same and changes nothing."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from sojourn.errors import Conflict, ConflictError, MissingRowError, NotAllowedError
from sojourn.session.attach import Verify, attach
from sojourn.session.report import AttachReport
from sojourn.session.verdict import OnMissing
from tests.models.shop import Customer, Line, Order
from tests.session.attaching import WHOLE_SHOP, fingerprint
from tests.session.every_kind import (
    ALLOW,
    CUSTOMERS,
    LINES,
    ORDERS,
    Forecast,
    Luggage,
    PolicyName,
    Setting,
    copy_of,
    forecast,
    memory,
    open_world,
    pack,
    stored,
    they_work,
)

POLICIES = get_args(PolicyName)
LISTS = ("instances", "inserted", "updated", "deleted", "unchanged", "merged", "conflicts", "statements")


class World:
    """What both sides start from, what others made of it, and the database that attach works on."""

    def __init__(self) -> None:
        self.before, self.after, self.now = memory(), memory(), memory()
        open_world(self.before)
        copy_of(self.before, self.after)
        with Session(self.after) as session:
            they_work(session)
            session.commit()
            self.rows = stored(session)
        # Packed once and copied for each setting, because packing takes longer than attaching.
        self._packed = {touched: pickle.dumps(pack(self.before, touch_lost=touched)) for touched in (True, False)}

    def luggage(self, verify: Verify) -> Luggage:
        """What is brought home. What others deleted was edited only where somebody looks for it."""
        copied: Luggage = pickle.loads(self._packed[verify != "none"])
        return copied

    def session(self) -> Session:
        """A session on the rows as others left them."""
        copy_of(self.after, self.now)
        return Session(self.now)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    for engine in (made.before, made.after, made.now):
        engine.dispose()


def everything_there(session: Session) -> list[Any]:
    """The session reads the whole database, and whoever keeps this list keeps it there."""
    return list(session.scalars(select(Customer).options(WHOLE_SHOP)))


def names_of(luggage: Luggage, objs: list[Any], report: AttachReport) -> list[str]:
    """What is the matter with attached instances."""
    names = {id(report.of(obj)): name for name, obj in luggage.named.items() if report.of(obj) is not None}
    return [names[id(obj)] for obj in objs]


def told(conflicts: list[Conflict]) -> list[tuple[str, str | None]]:
    """Conflicts as the model tells them."""
    return [(name_of(conflict.identity), conflict.attribute) for conflict in conflicts]


def name_of(identity: Any) -> str:
    class_, (id_,), _ = identity
    return LINES[id_] if class_ is Line else {Customer: CUSTOMERS, Order: ORDERS}[class_][id_ - 1]


@pytest.mark.parametrize("verify", get_args(Verify))
@pytest.mark.parametrize("on_missing", get_args(OnMissing))
@pytest.mark.parametrize("on_unknown_base", [None, *POLICIES])
@pytest.mark.parametrize("on_conflict", POLICIES)
def test_each_setting_does_what_the_model_says(
    world: World, on_conflict: PolicyName, on_unknown_base: PolicyName | None, on_missing: OnMissing, verify: Verify
) -> None:
    for lock, allow, held in [*itertools.product((True, False), ALLOW, (False,)), (True, "no limit", True)]:
        setting = Setting(on_conflict, on_unknown_base, on_missing, verify, lock, allow, held)
        expected = forecast(setting, world.rows)
        luggage = world.luggage(verify)
        with world.session() as session:
            at_home = everything_there(session) if held else []
            everything = [*luggage.named.values(), *at_home]
            before = fingerprint(session, everything)
            dry = rehearse(session, luggage, setting, expected)
            assert fingerprint(session, everything) == before
            assert stored(session) == world.rows
            if expected.refused or expected.undecided:
                fail(session, luggage, setting, expected)
                assert fingerprint(session, everything) == before
                assert stored(session) == world.rows
            else:
                assert dry is not None
                perform(session, luggage, setting, expected, dry)


def rehearse(session: Session, luggage: Luggage, setting: Setting, expected: Forecast) -> AttachReport | None:
    """A dry run reports what the model says, and raises for `allow` alone."""
    asked: list[Conflict] = []
    arguments = setting.arguments(asked)
    if expected.refused:
        with pytest.raises(NotAllowedError) as caught:
            attach(session, luggage.roots, **arguments, dry_run=True)
        assert caught.value.attributes == expected.refused
        assert asked == []
        return None
    report = attach(session, luggage.roots, **arguments, dry_run=True)
    assert told(asked) == expected.asked
    assert told(report.conflicts) == expected.conflicts
    assert {(name_of(merge.identity), merge.attribute) for merge in report.merged} == expected.merged
    for name, members in expected.lists.items():
        assert sorted(names_of(luggage, getattr(report, name), report)) == sorted(members), name
    assert {name for name, obj in luggage.named.items() if report.of(obj) is None} == expected.out
    assert [obj is None for obj in report.instances] == [name in expected.out for name in CUSTOMERS]
    return report


def fail(session: Session, luggage: Luggage, setting: Setting, expected: Forecast) -> None:
    """The error that the model says, with every conflict that nobody decided."""
    asked: list[Conflict] = []
    error = (
        NotAllowedError
        if expected.refused
        else ConflictError
        if any(attribute for _, attribute in expected.undecided)
        else MissingRowError
    )
    with pytest.raises(error) as caught:
        attach(session, luggage.roots, **setting.arguments(asked))
    assert type(caught.value) is error
    if isinstance(caught.value, ConflictError):
        assert told(caught.value.conflicts) == expected.undecided
    assert told(asked) == expected.asked


def perform(session: Session, luggage: Luggage, setting: Setting, expected: Forecast, dry: AttachReport) -> None:
    """The rows that the model says, after a report that is the dry run's."""
    asked: list[Conflict] = []
    report = attach(session, luggage.roots, **setting.arguments(asked))
    assert asked == [one for one in report.conflicts if (name_of(one.identity), one.attribute) in expected.asked]
    for name in LISTS:
        assert getattr(report, name) == getattr(dry, name), name
    for name, obj in luggage.named.items():
        assert report.of(obj) is dry.of(obj), name
    session.commit()
    assert stored(session) == expected.rows


class AnswerError(Exception):
    """What a caller's own function raises."""


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("verify", get_args(Verify))
@pytest.mark.parametrize("dry_run", [False, True])
def test_whatever_question_a_function_raises_at_everything_is_as_it_was(
    world: World, dry_run: bool, verify: Verify, held: bool
) -> None:
    setting = Setting("function", "function", "recreate", verify, held=held)
    expected = forecast(setting, world.rows)
    luggage = world.luggage(verify)
    with world.session() as session:
        at_home = everything_there(session) if held else []
        everything = [*luggage.named.values(), *at_home]
        before = fingerprint(session, everything)
        for questions in range(len(expected.asked)):
            asked: list[Conflict] = []
            arguments = setting.arguments(asked)
            for name in ("on_conflict", "on_unknown_base"):
                arguments[name] = failing(arguments[name], asked, questions)
            with pytest.raises(AnswerError):
                attach(session, luggage.roots, **arguments, dry_run=dry_run)
            assert told(asked) == expected.asked[:questions]
            assert fingerprint(session, everything) == before
            assert stored(session) == world.rows
        attach(session, luggage.roots, **setting.arguments([]))
        session.commit()
        assert stored(session) == expected.rows


def failing(function: Callable[[Conflict], Any], asked: list[Conflict], after: int) -> Callable[[Conflict], Any]:
    """The function, until so many questions have been asked."""

    def ask(conflict: Conflict) -> Any:
        if len(asked) == after:
            raise AnswerError
        return function(conflict)

    return ask
