"""Every verb on every mapping: the table in docs/reference/mappings.md, each cell a test.

An id such as `test_attach_keeps_my_edits_and_theirs[elsewhere-Json-postgresql]` names the verb, the row and where.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.ext.mutable import MutableComposite
from sqlalchemy.orm import Session, load_only

from sojourn import NotLoadedError, changes, clone, discard, dumps, loads, state
from sojourn.mapping.blueprint import blueprint
from sojourn.mapping.graph import walk
from tests.mappings import EVERY
from tests.mappings.mapping import DATABASE_OF, Mapping, unordered
from tests.mappings.places import Place

EVERYWHERE = [pytest.param((one, driver), id=f"{one}-{driver}") for one in EVERY for driver in one.drivers]
# What needs no session, or none but a plain one, is tried on the first of them.
ONCE = [pytest.param((one, one.drivers[0]), id=f"{one}-{one.drivers[0]}") for one in EVERY]

everywhere = pytest.mark.parametrize("place", EVERYWHERE, indirect=True)
once = pytest.mark.parametrize("place", ONCE, indirect=True)
# What the session holds already makes no difference to how its statements are awaited.
at_home_and_elsewhere = pytest.mark.parametrize(
    ("place", "held"),
    [
        pytest.param((one, driver), held, id=f"{'at home' if held else 'elsewhere'}-{one}-{driver}")
        for one in EVERY
        for driver in one.drivers
        for held in (False, True)
        if not held or driver not in DATABASE_OF
    ],
    indirect=["place"],
)


def cell(mapping: Mapping, verb: str) -> AbstractContextManager[Any]:
    """Around the body of a test: demands the error where the cell is refused."""
    refused = mapping.refused.get(verb)
    return nullcontext() if refused is None else pytest.raises(refused.error, match=refused.match)


def graph(root: Any) -> list[Any]:
    """Every object that hangs on the root."""
    return [one.obj() for one in walk([root])]


def is_never_loaded(model: type[Any], name: str) -> bool:
    """Whether an attribute is a query or its result, and so may be read at any time."""
    mapper = inspect(model)
    if name in mapper.relationships:
        return mapper.relationships[name].lazy in ("dynamic", "write_only")
    return name in mapper.column_attrs and blueprint(model).columns[name].query_only


def told(root: Any) -> list[Any]:
    """What `state` and `changes` tell of each object of a graph, without the objects."""

    def plain(value: Any) -> Any:
        one = inspect(value, raiseerr=False)
        if one is None:
            return vars(value) if isinstance(value, MutableComposite) else value
        return type(value).__name__, one.key

    def change(one: Any) -> Any:
        if hasattr(one, "added"):
            return [sorted(map(repr, map(plain, side))) for side in (one.added, one.removed)]
        return plain(one.old), plain(one.new)

    found = []
    for obj in graph(root):
        seen = state(obj)
        edits = {key: change(one) for key, one in changes(obj).items()}
        found.append((type(obj).__name__, seen.name, seen.identity, edits))
    return sorted(found, key=repr)


@everywhere
def test_detach_takes_the_shape_and_guards_the_rest(place: Place) -> None:
    mapping = place.mapping
    with cell(mapping, "detach"):
        root = place.away()
        assert mapping.picture(root) == mapping.before
        assert all(inspect(one).detached for one in graph(root))
        with place.desk() as desk:
            keys = load_only(*(getattr(mapping.root, key) for key in blueprint(mapping.root).primary_key))
            [poor] = desk.verb("detach", desk.root(keys), keys)
        unloaded = {name for name in state(poor).unloaded if not is_never_loaded(mapping.root, name)}
        assert unloaded
        for name in unloaded:
            with pytest.raises(NotLoadedError, match="is not loaded"):
                getattr(poor, name)


@everywhere
def test_prefetch_fills_the_shape(place: Place) -> None:
    mapping = place.mapping
    with cell(mapping, "prefetch"), place.desk() as desk:
        root = desk.root()
        desk.do(Session.expire_all)
        desk.verb("prefetch", root, *mapping.shape)
        # Were anything not loaded, an asynchronous session would raise here, and a synchronous one load.
        with place.database.statements() as log:
            assert mapping.picture(root) == mapping.before
        assert len(log) == 0


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
@once
def test_dumps_and_loads_keep_values_changes_and_identities(place: Place, encoding: Any) -> None:
    mapping = place.mapping
    with cell(mapping, "dumps"):
        root = place.away()
        mapping.edit(root)
        [copy] = loads(dumps(root, format=encoding), mapping.models)
        assert copy is not root
        assert mapping.picture(copy) == mapping.picture(root) == mapping.mine
        assert told(copy) == told(root)
        place.meanwhile()
        with place.desk() as desk:
            home = desk.verb("attach", copy).of(copy)
            desk.commit()
        assert place.found(home) == mapping.in_database("both")


@at_home_and_elsewhere
def test_attach_keeps_my_edits_and_theirs(place: Place, held: bool) -> None:
    mapping = place.mapping
    with cell(mapping, "attach"):
        root = place.away()
        mapping.edit(root)
        assert mapping.picture(root) == mapping.mine
        versions = {getattr(root, mapping.version)} if mapping.version else set()
        place.meanwhile()
        with place.desk() as desk:
            own = desk.whole() if held else None
            if mapping.version and own is not None:
                versions.add(getattr(own, mapping.version))
            home = desk.verb("attach", root).of(root)
            assert home is (own if held else root)
            desk.commit()
        assert place.found(home) == mapping.in_database("both")
        if mapping.version:
            assert not versions.intersection(place.found(home, mapping.version))


@everywhere
def test_refresh_sees_their_change_and_keeps_my_edit(place: Place) -> None:
    mapping = place.mapping
    with cell(mapping, "refresh"), place.desk() as desk:
        root = desk.whole()
        desk.commit()  # what others commit from now on, a new transaction sees
        mapping.edit(root)
        place.meanwhile()
        desk.verb("refresh", desk.held())
        desk.verb("prefetch", root, *mapping.shape)  # what hangs on objects that are new here
        expected = mapping.both if mapping.unflushed is None else mapping.unflushed
        assert unordered(mapping.picture(root)) == unordered(expected)
        assert any(changes(one) for one in graph(root))
        desk.commit()
        assert place.found(root) == mapping.in_database("both")


@pytest.mark.parametrize("held", [False, True], ids=["away", "at home"])
@once
def test_discard_takes_the_edits_back_without_sql(place: Place, held: bool) -> None:
    mapping = place.mapping
    with cell(mapping, "discard"), place.desk() as desk:
        root = desk.whole() if held else place.away()
        own = graph(root)
        mapping.edit(root)
        assert any(changes(one) for one in own)
        with place.database.statements() as log:
            discard(own)
        assert len(log) == 0
        assert not any(changes(one) for one in own)
        assert mapping.picture(root) == mapping.before


@once
def test_clone_makes_new_rows_with_equal_values(place: Place) -> None:
    mapping = place.mapping
    with cell(mapping, "clone"), place.desk() as desk:
        root = desk.whole()
        copy = clone(root, skip=mapping.skip, rekey=None if type(mapping).rekey is Mapping.rekey else mapping.rekey)
        desk.do(lambda session: session.add(copy))
        desk.commit()
        assert inspect(copy).key != inspect(root).key
        assert place.found(copy) == mapping.in_database("cloned")
        assert place.found(root) == mapping.in_database("before")
