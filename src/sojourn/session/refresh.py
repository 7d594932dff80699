"""Read many objects again, in bulk, and keep the edits that are not flushed yet.

`Session.refresh` takes a SELECT an object and drops edits. Here each mapped table takes one SELECT a chunk of keys; an
edit stays an edit, of the value that is there now; and where both changed the same attribute, it is a conflict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import InstrumentedAttribute, Session

from sojourn.errors import UNKNOWN, ConflictError, MissingRowError, Policy, WrongSessionError
from sojourn.mapping.blueprint import Blueprint, blueprint
from sojourn.mapping.graph import by_class, followed
from sojourn.mapping.identity import as_list, state_of
from sojourn.mapping.naming import named_of
from sojourn.session.apply import Homecoming
from sojourn.session.arrival import Arrival
from sojourn.session.both_sides import agree, told
from sojourn.session.catch_up import catch_up
from sojourn.session.decide import Decider
from sojourn.session.incoming import edited_at_home, take_positions_at_home
from sojourn.session.prefetch import Filling
from sojourn.session.report import RefreshReport, Rulings
from sojourn.session.rows import Reader, local_values
from sojourn.session.shards import in_one_shard
from sojourn.sqlalchemy_internals import State, edited_keys, in_session, members, unload, whereabouts


@in_one_shard
def refresh(
    session: Session,
    objs: object | Iterable[object],
    *,
    attributes: Iterable[str | InstrumentedAttribute[Any]] | None = None,
    on_conflict: Policy = "raise",
) -> RefreshReport:
    """Bring persistent objects up to the database, in bulk, and keep their edits.

    `objs`: one instance or an iterable of instances of this session. `attributes`: names or class-bound attributes to
    read again (a relationship that is not loaded yet is loaded then); None: every column that is not deferred or is
    loaded on one of them, and every loaded relationship. `on_conflict`: what to do where both sides changed an
    attribute: "raise", "mine" (the edit stays), "theirs" (it is dropped), or a function of one `Conflict` that returns
    the value to keep.

    Returns a `RefreshReport`.

    Raises ConflictError with all conflicts, MissingRowError where a row is gone, WrongSessionError for objects that are
    not persistent in this session, WrongAttributeError for a name that none of the classes has. After an error the
    objects are as they were.

    Database: always loads. One SELECT a mapped table and chunk of keys; a relationship that goes through a third table,
    or has a join condition of its own, takes one more. Nothing is flushed.
    """
    roots = as_list(objs)
    states = [state_of(obj) for obj in roots]
    here = whereabouts(session, states).here
    if len(here) < len(states) or any(state.key is None for state in here):
        strangers = [state.obj() for state in states if not in_session(state, session) or state.key is None]
        raise WrongSessionError(strangers, "not persistent in this session", "Add or attach them, and flush, first.")
    states = list(dict.fromkeys(states))
    groups = by_class(states)
    names = None if attributes is None else named_of(map(blueprint, groups), attributes)
    # An attribute that was set while it was expired is an edit of what is read now: its old value was never seen here.
    rulings = Rulings(on_conflict, on_unknown_base="mine")
    reader = Reader(session)
    for class_, group in groups.items():
        _want(blueprint(class_), group, None if names is None else names[class_], reader)
    reader.run()

    incoming = edited_at_home(states, roots)
    if names is None:
        take_positions_at_home(incoming)
    else:
        for arrival in incoming.arrivals.values():
            _limit(arrival, names[arrival.plan.class_])
    decider = Decider(incoming, reader, rulings, "raise", checked=True)
    decider.run()
    for class_, group in groups.items():
        read = reader.table(blueprint(class_))
        absent = read.keys.keys() - read.rows.keys()
        for state in group if absent else ():
            if state not in decider.verdicts and state.key is not None and state.key[1] in absent:
                decider.fates.missing(state, state.key)
    if rulings.undecided:
        if all(conflict.missing for conflict in rulings.undecided):
            raise MissingRowError(rulings.undecided, "Leave these objects out, and expunge them.")
        raise ConflictError(rulings.undecided)

    before = {state: _values(state) for state in decider.verdicts}
    edits = told(incoming.arrivals.values())
    filling = Filling(session)
    with session.no_autoflush:
        homecoming = Homecoming(session, incoming, decider, reader)
        homecoming.arrive()
        caught_up = catch_up(session, groups, reader, fill=True)
        homecoming.relate()
        agree(edits)
        changed = dict.fromkeys(state for state, values in before.items() if values != _values(state))
        changed.update(dict.fromkeys(caught_up))
        again = _unload_scattered(groups, names)
        if names is not None or any(again.values()):
            filling.fill_relationships(states, again if names is None else names)
    return RefreshReport(
        instances=roots,
        changed=[state.obj() for state in changed],
        merged=rulings.merged,
        conflicts=[conflict for conflict in rulings.conflicts if conflict.base is not UNKNOWN],
        statements=reader.statements + filling.statements,
    )


def _want(plan: Blueprint, group: Sequence[State], names: Collection[str] | None, reader: Reader) -> None:
    """Name what has to be read of objects of one class."""
    read = reader.table(plan)
    read.want(plan, (key for key in plan.columns if _is_wanted(plan, key, group, names)))
    read.keys.update(dict.fromkeys(state.key[1] for state in group if state.key is not None))
    for rel in plan.relationships.values():
        if rel.loadable and (names is None or rel.key in names):
            if rel.direction == "to one" and rel.pairs is not None:
                read.want(plan, rel.local_key)  # the row itself says where it points
            else:
                parents = [state for state in group if rel.key in state.dict]
                reader.want_members(rel, [local_values(state, rel) for state in parents])


def _unload_scattered(
    groups: Mapping[type, Sequence[State]], names: Mapping[type, Collection[str]] | None
) -> dict[type, list[str]]:
    """Unload the unedited collections that no key describes: SQLAlchemy reads them again. Gives their names."""
    again: dict[type, list[str]] = {class_: [] for class_ in groups}
    for class_, group in groups.items():
        scattered = [rel.key for rel in blueprint(class_).relationships.values() if rel.scattered and rel.many]
        for key in scattered:
            held = [state for state in group if key in state.dict and key not in edited_keys(state)]
            if held and (names is None or key in names[class_]):
                again[class_].append(key)
                for state in held:
                    unload(state, key)
    return again


def _is_wanted(plan: Blueprint, key: str, group: Sequence[State], names: Collection[str] | None) -> bool:
    column = plan.columns[key]
    if column.query_only:
        return False
    if names is not None:
        return key in names
    return not column.deferred or any(key in state.dict for state in group)


def _limit(arrival: Arrival, names: Collection[str]) -> None:
    """Edits of attributes that are not read again are left alone."""
    arrival.columns[:] = [key for key in arrival.columns if key in names]
    for relationships in (arrival.references, arrival.collections):
        relationships[:] = [rel for rel in relationships if rel.key in names]


def _values(state: State) -> dict[str, Any]:
    """What is on an object, to be compared by identity: values change hands here, they are not changed in place."""
    many = {key for key, is_many in followed(state) if is_many}
    return {
        key: [id(one) for one in members(value)] if key in many and value is not None else id(value)
        for key, value in state.dict.items()
    }
