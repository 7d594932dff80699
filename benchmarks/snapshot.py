"""Detached objects as bytes and back: `dumps` and `loads` beside all that one would take instead, on both data sets.

No database has a part in it, except that reading the rows again is what `loads` has to be faster than. The input is
always read from the same database. What a side makes is judged by the values that it carries, all of them: objects for
those that give objects back, nested data for those that do not. Its note says what gets lost besides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Literal, TypeAlias
from weakref import WeakKeyDictionary

from sqlalchemy import inspect
from sqlalchemy.orm import Session

from benchmarks.peers import by_hand, floor, pickles, with_marshmallow, with_pydantic, with_serializer
from benchmarks.place import Place, WrongResultError
from benchmarks.runner import Goal, Run, Side, Stopwatch, Thrift, Work
from benchmarks.wide import Base as WideBase
from sojourn.snapshot import dumps, loads
from tests.models.shop import Base as ShopBase

Data: TypeAlias = Literal["graph", "wide"]
Dump: TypeAlias = Callable[[Any], bytes]
Load: TypeAlias = Callable[[bytes], Sequence[Any]]

_BASES = {"graph": ShopBase, "wide": WideBase}
_TITLES = {"graph": "customers with their orders and lines", "wide": "rows of 25 mixed columns"}

_OURS = "keeps identity, edits and their base, shared references, what is not loaded"
_PICKLE = "keeps the same; runs code from the bytes on load; RecursionError on a long chain"
_VALUES = "values only: no identity, edits or shared references"
_TRANSIENT = "transient objects: no identity, no edits; a flush would INSERT them"
_SELECT = "needs the database; no edits; its memory has the session in it"
_FLOOR = "written by hand for these classes alone, checks nothing, no edits"


def _dumps_work(data: Data, at_least: float) -> Work:
    def plain(module: ModuleType) -> Run:
        return _dump_side(_of(module, "dumps", data), _expect_plain)

    def of_floor(encode: Dump, decode: Load) -> Run:
        rows, objects = _of(floor, "rows", data), _of(floor, "objects", data)
        return _dump_side(lambda roots: encode(rows(roots)), _expect_home(lambda found: objects(decode(found))))

    sides = (
        Side("dumps, JSON", _dump_side(dumps, _expect_home(_ours(data))), own=True, note=_OURS),
        Side("dumps, MessagePack", _dump_side(_packed, _expect_home(_ours(data))), own=True, note=_OURS),
        Side("pickle.dumps", _dump_side(pickles.dumps, _expect_home(pickles.loads)), note=_PICKLE),
        Side("sqlalchemy.ext.serializer", _dump_side(pickles.ext_dumps, _expect_home(pickles.ext_loads)), note=_PICKLE),
        Side("marshmallow-sqlalchemy + json", plain(with_marshmallow), note=_VALUES),
        Side(
            "sqlalchemy-serializer + orjson",
            _dump_side(with_serializer.dumps, _expect_plain, _of(with_serializer, "detached", data)),
            note=_VALUES,
        ),
        Side("pydantic from_attributes", plain(with_pydantic), note=_VALUES),
        Side("dicts by hand + orjson", plain(by_hand), note=_VALUES),
        Side("floor: rows + msgspec JSON", of_floor(floor.json_out, _of(floor, "json_in", data)), note=_FLOOR),
        Side("floor: rows + MessagePack", of_floor(floor.msgpack_out, _of(floor, "msgpack_in", data)), note=_FLOOR),
    )
    return Work(
        name="dumps",
        title=f"detached objects become bytes: {_TITLES[data]}",
        sides=sides,
        goals=tuple(Goal(side.name, "pickle.dumps", at_least) for side in sides if side.own),
        data=data,
        once=True,
        weighed="peak",
    )


def _loads_work(data: Data, than_pickle: float, than_select: float) -> Work:
    def transient(module: ModuleType) -> Run:
        return _load_side(_of(module, "dumps", data), _of(module, "loads", data), _expect_values)

    def of_floor(encode: Dump, decode: Load) -> Run:
        rows, objects = _of(floor, "rows", data), _of(floor, "objects", data)
        return _load_side(lambda roots: encode(rows(roots)), lambda found: objects(decode(found)))

    sides = (
        Side("loads, JSON", _load_side(dumps, _ours(data)), own=True, note=_OURS),
        Side("loads, MessagePack", _load_side(_packed, _ours(data)), own=True, note=_OURS),
        Side("pickle.loads", _load_side(pickles.dumps, pickles.loads), note=_PICKLE),
        Side("orjson + ORM constructor", transient(by_hand), note=_TRANSIENT),
        Side("pydantic + ORM constructor", transient(with_pydantic), note=_TRANSIENT),
        Side("marshmallow-sqlalchemy load", transient(with_marshmallow), note=_TRANSIENT),
        Side("SELECT, SQLite", _select, database="sqlite", note=_SELECT),
        Side("SELECT, PostgreSQL", _select, database="postgresql", note=_SELECT),
        Side("floor: msgspec JSON + hydrate", of_floor(floor.json_out, _of(floor, "json_in", data)), note=_FLOOR),
        Side("floor: MessagePack + hydrate", of_floor(floor.msgpack_out, _of(floor, "msgpack_in", data)), note=_FLOOR),
    )
    own = [side.name for side in sides if side.own]
    return Work(
        name="loads",
        title=f"bytes become detached objects: {_TITLES[data]}",
        sides=sides,
        goals=(
            *(Goal(name, "pickle.loads", than_pickle) for name in own),
            *(Goal(name, "SELECT, SQLite", than_select) for name in own),
        ),
        thrift=tuple(Thrift(name, 2.5) for name in own),
        data=data,
        once=True,
        weighed="peak and objects",
    )


def _of(module: ModuleType, verb: str, data: Data) -> Any:
    return getattr(module, f"{verb}_{data}")


def _packed(roots: Sequence[Any]) -> bytes:
    return dumps(roots, format="msgpack")


def _ours(data: Data) -> Load:
    return lambda found: loads(found, _BASES[data])


# --- a side ----------------------------------------------------------------------------------------------------------


def _dump_side(
    dump: Dump, judge: Callable[[Place, bytes], None], detached: Callable[[Place], Sequence[Any]] = Place.detached
) -> Run:
    def run(place: Place, watch: Stopwatch) -> None:
        roots = detached(place)
        with watch:
            data = dump(roots)
        watch.bytes = len(data)
        judge(place, data)

    return run


def _load_side(dump: Dump, load: Load, judge: Callable[[Place, Sequence[Any]], None] | None = None) -> Run:
    made: WeakKeyDictionary[Place, bytes] = WeakKeyDictionary()

    def run(place: Place, watch: Stopwatch) -> None:
        data = made.get(place) or made.setdefault(place, dump(place.detached()))
        with watch:
            roots = load(data)
        watch.bytes = len(data)
        (judge or _expect_detached)(place, roots)

    return run


def _select(place: Place, watch: Stopwatch) -> None:
    with Session(place.engine) as session:
        session.connection()  # the transaction is begun before the clock starts, to the peer's advantage
        with watch:
            roots = place.load(session)
    place.expect_objects(roots)


# --- the judges ------------------------------------------------------------------------------------------------------


def _expect_home(load: Load) -> Callable[[Place, bytes], None]:
    """The bytes give the detached objects back."""
    return lambda place, data: _expect_detached(place, load(data))


def _expect_detached(place: Place, roots: Sequence[Any]) -> None:
    for root in roots:
        if inspect(root).identity != (root.id,):
            raise WrongResultError(f"{type(root).__name__} {root.id} came back without its identity")
    place.expect_objects(roots)


def _expect_values(place: Place, roots: Sequence[Any]) -> None:
    place.expect_objects(roots)


def _expect_plain(place: Place, data: bytes) -> None:
    place.expect_plain(json.loads(data))


WORKS = (
    _dumps_work("graph", at_least=20),
    _dumps_work("wide", at_least=7),
    _loads_work("graph", than_pickle=12, than_select=4),
    _loads_work("wide", than_pickle=6, than_select=4),
)
