"""Horizontal sharding: each verb works in the one shard that its objects are of. Both shards have rows under key 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from sqlalchemy import Engine, inspect
from sqlalchemy.ext.horizontal_shard import ShardedSession
from sqlalchemy.orm import ORMExecuteState, selectinload

from sojourn.errors import PayloadError, WrongSessionError
from sojourn.session.attach import attach
from sojourn.session.detach import detach
from sojourn.session.merge import merge
from sojourn.session.patch import patch
from sojourn.session.prefetch import prefetch
from sojourn.session.refresh import refresh
from tests.databases import sqlite_database
from tests.models.every import Account, ApartBase, Entry
from tests.statements import recorded

Sessions: TypeAlias = Callable[..., ShardedSession]


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[dict[str, Engine]]:
    found = {}
    with ExitStack() as stack:
        for name in ("west", "east"):
            (tmp_path / name).mkdir()
            found[name] = stack.enter_context(sqlite_database(tmp_path / name)).engine
            ApartBase.metadata.create_all(found[name])
        yield found


@pytest.fixture
def sessions(engines: dict[str, Engine]) -> Sessions:
    def shard_of(mapper: Any, instance: Any, clause: Any = None) -> str:
        account = instance if isinstance(instance, Account) else instance.account
        return str(account.region)

    def shards_of(context: ORMExecuteState) -> Sequence[str]:
        parent = context.lazy_loaded_from
        return list(engines) if parent is None else [str(parent.identity_token)]

    make = partial(
        ShardedSession,
        shards=engines,
        shard_chooser=shard_of,
        identity_chooser=lambda *_, **__: list(engines),
        execute_chooser=shards_of,
    )
    with make() as session:
        for region in engines:
            session.add(Account(name=region, region=region, entries=[Entry(cents=1)]))
        session.commit()
    return make


def names(sessions: Sessions) -> dict[str, str]:
    with sessions() as session:
        return {account.region: account.name for account in session.query(Account)}


def test_a_row_comes_home_to_its_own_shard_and_no_other_is_asked(
    sessions: Sessions, engines: dict[str, Engine]
) -> None:
    with sessions() as session:
        east = session.get_one(Account, 1, identity_token="east")
        [east] = detach(session, east, selectinload(Account.entries))
    east.name = "mine"
    east.entries.append(Entry(cents=2))
    with sessions() as session, recorded(engines["west"]) as west:
        attach(session, east, verify="all")
        session.commit()
        assert len(west) == 0
    assert names(sessions) == {"west": "west", "east": "mine"}


def test_a_new_object_is_looked_for_in_the_shard_that_is_chosen_for_it(sessions: Sessions) -> None:
    with sessions() as session:
        new = Account(id=1, name="mine", region="east")
        report = attach(session, new, on_conflict="mine")
        assert report.updated == [new]
        assert inspect(new, raiseerr=True).key == (Account, (1,), "east")
        session.commit()
    assert names(sessions) == {"west": "west", "east": "mine"}


def test_each_shard_is_attached_by_itself_in_one_session(sessions: Sessions) -> None:
    away = []
    for region in ("west", "east"):
        with sessions() as session:
            away += detach(session, session.get_one(Account, 1, identity_token=region))
    with sessions() as session:
        for one in away:
            one.name = "mine"
            attach(session, one)
        session.commit()
    assert names(sessions) == {"west": "mine", "east": "mine"}


@pytest.mark.parametrize("verb", [attach, detach, prefetch, refresh])
def test_objects_of_several_shards_are_refused(sessions: Sessions, verb: Any) -> None:
    with sessions() as session:
        both = session.query(Account).all()
        with pytest.raises(WrongSessionError, match="one shard at a time"):
            verb(session, iter(both))
        assert all(one in session for one in both)


def test_objects_may_be_named_and_be_none(sessions: Sessions) -> None:
    with sessions() as session:
        east = session.get_one(Account, 1, identity_token="east")
        session.expire(east)
        prefetch(session=session, objs=iter([east]))
        assert "name" not in inspect(east, raiseerr=True).unloaded
        assert attach(session, []).instances == []


# --- patch -----------------------------------------------------------------------------------------------------------

ALLOW = [Account.name, Account.region, Account.entries, Entry.cents]


def cents(sessions: Sessions) -> dict[str, list[int]]:
    with sessions() as session:
        return {account.region: [entry.cents for entry in account.entries] for account in session.query(Account)}


def test_a_payload_is_written_in_the_shard_that_is_chosen_for_its_root(
    sessions: Sessions, engines: dict[str, Engine]
) -> None:
    payload = {"id": 1, "region": "east", "name": "mine", "entries": [{"id": 1, "cents": 7}, {"cents": 8}]}
    with sessions() as session, recorded(engines["west"]) as west:
        report = patch(session, Account, payload, allow=ALLOW)
        assert inspect(report.instances[0], raiseerr=True).key == (Account, (1,), "east")
        session.commit()
        assert len(west) == 0
    assert names(sessions) == {"west": "west", "east": "mine"}
    assert cents(sessions) == {"west": [1], "east": [7, 8]}


def test_a_payload_is_written_in_the_one_shard_in_which_its_key_may_be(sessions: Sessions) -> None:
    with sessions(identity_chooser=lambda *_, **__: ["east"]) as session:
        patch(session, Account, {"id": 1, "name": "mine"}, allow=ALLOW)
        session.commit()
    assert names(sessions) == {"west": "west", "east": "mine"}


def test_a_new_row_of_a_payload_goes_to_the_shard_that_is_chosen_for_it(sessions: Sessions) -> None:
    with sessions() as session:
        patch(session, Account, iter([{"region": "west", "name": "new", "entries": [{"cents": 3}]}]), allow=ALLOW)
        session.commit()
    with sessions() as session:
        [new] = session.query(Account).filter_by(name="new")
        assert (inspect(new, raiseerr=True).key, new.entries[0].cents) == ((Account, (2,), "west"), 3)


def test_a_payload_for_several_shards_is_refused(sessions: Sessions) -> None:
    payload = [{"id": 1, "region": region, "name": "mine"} for region in ("west", "east")]
    with sessions() as session, pytest.raises(PayloadError, match=r"\$\[1\]: is of another shard than \$\[0\]"):
        patch(session, Account, payload, allow=ALLOW)
    assert names(sessions) == {"west": "west", "east": "east"}


@pytest.mark.parametrize("payload", ["no object", 7, [7]])
def test_what_is_no_payload_is_none_on_shards_either(sessions: Sessions, payload: Any) -> None:
    with sessions(shard_chooser=lambda *_: "west") as session:
        assert patch(session, Account, [], allow=ALLOW).instances == []
        with pytest.raises(PayloadError, match="expected object"):
            patch(session, Account, payload, allow=ALLOW)


# --- merge -----------------------------------------------------------------------------------------------------------


def test_merge_takes_objects_of_several_shards_as_the_session_does(sessions: Sessions) -> None:
    away = []
    for region in ("west", "east"):
        with sessions() as session:
            account = session.get_one(Account, 1, identity_token=region)
            away += detach(session, account, selectinload(Account.entries))
    for one in away:
        one.name = f"mine, {one.region}"
        one.entries.append(Entry(cents=5))
    with sessions() as session:
        merged = merge(session, away)
        assert [session.merge(one) for one in away[:1]] == merged[:1]
        session.commit()
    assert names(sessions) == {"west": "mine, west", "east": "mine, east"}
    assert cents(sessions) == {"west": [1, 5], "east": [1, 5]}
