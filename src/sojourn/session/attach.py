"""Bring objects home: `attach` merges what was edited away with what happened in the meantime.

Four steps, in this order, so that an error leaves everything as it was: sort the given graph (`incoming`), read the
rows that matter and lock them (`rows`), decide (`decide`), and only then write (`apply`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.collections import KeyFuncDict

from sojourn.errors import BadArgumentError, ConflictError, MissingRowError, NotAllowedError, Policy
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import by_class
from sojourn.mapping.identity import as_list
from sojourn.session.apply import Homecoming
from sojourn.session.arrival import Arrival, changed_members
from sojourn.session.catch_up import catch_up
from sojourn.session.decide import Decider
from sojourn.session.foresee import foresee
from sojourn.session.incoming import Incoming, collect, owned_below
from sojourn.session.locks import Hold, secure
from sojourn.session.positions import Positions
from sojourn.session.recheck import remember
from sojourn.session.report import AttachReport, Rulings
from sojourn.session.rows import Reader, local_values
from sojourn.session.shards import in_one_shard
from sojourn.session.sides import holder_key, identity_of
from sojourn.session.verdict import OnMissing
from sojourn.sqlalchemy_internals import State

Verify: TypeAlias = Literal["changed", "all", "none"]


@in_one_shard
def attach(
    session: Session,
    objs: object | Iterable[object],
    *,
    on_conflict: Policy = "raise",
    on_unknown_base: Policy | None = None,
    on_missing: OnMissing = "raise",
    verify: Verify = "changed",
    lock: bool = True,
    allow: Iterable[InstrumentedAttribute[Any]] | None = None,
    dry_run: bool = False,
) -> AttachReport:
    """Bring detached or new objects, and all that hangs on them, into the session without losing anybody's work.

    Where the session does not hold an identity, the very same instance comes home; where it does, the edits are merged
    onto the session's instance. Each edited attribute is merged three ways: its base, its value here, its value in the
    database now. Collections merge member by member. Nothing is flushed: the caller commits.

    `objs`: one instance or an iterable of instances; everything that is loaded on them comes along.
    `on_conflict`: "raise", "mine", "theirs", or a function of one `Conflict` that returns the value to write.
    `on_unknown_base`: the same for attributes whose base nobody knows; None: as `on_conflict`.
    `on_missing`: what to do where the row was deleted: "raise", "recreate" it, or "skip" the object.
    `verify`: read the rows of what was edited ("changed"), of every object and bring clean ones up to date ("all"), or
    none ("none": edits are taken as they are; a version counter still guards them). New objects whose primary key is
    set are looked for in any case.
    `lock`: hold the rows that are to be written from the SELECT to the end of the transaction: row locks in key order;
    on SQLite, which has one lock for all, its write lock. False: others may work on them until the flush, which then
    locks and reads them again, and raises ConflictError where what was decided on has changed.
    `allow`: class-bound attributes that may be written (`[Order.status, Order.lines, Line.qty]`); None: all.
    `dry_run`: report what would happen, conflicts included, and change nothing.

    Returns an `AttachReport`.

    Raises ConflictError with all conflicts, MissingRowError where rows are missing and nothing else is wrong,
    NotAllowedError, WrongSessionError, NotMappedError; NoTransactionError where each statement commits by itself, so
    that nothing can be held. After an error the session and the objects are as they were,
    except for the begun transaction and its row locks.

    Database: loads unless `verify="none"` or nothing was edited. One SELECT a mapped table and chunk of keys
    (on MariaDB one more for a locked table in which members of collections or new objects are looked for).
    """
    if verify not in ("changed", "all", "none"):
        raise BadArgumentError(f'verify is {verify!r}. It is "changed", "all" or "none".')
    if on_missing not in ("raise", "recreate", "skip"):
        raise BadArgumentError(f'on_missing is {on_missing!r}. It is "raise", "recreate" or "skip".')
    rulings = Rulings(on_conflict, on_unknown_base)
    roots = as_list(objs)
    incoming = collect(session, roots, checked=verify != "none")
    if allow is not None:
        _check_allowed(incoming, list(allow))
    with session.no_autoflush:
        reader = Reader(session, lock=lock and not dry_run)
        _want(incoming, reader, verify, on_missing)
        if not dry_run:
            secure(session, reader.to_be_written(), lock=lock)
        reader.run()
        decider = Decider(incoming, reader, rulings, on_missing, checked=verify != "none")
        decider.run(clean_roots=roots if verify == "all" else None)
        report = AttachReport(conflicts=rulings.conflicts, merged=rulings.merged)
        if rulings.undecided and not dry_run:
            missing = all(conflict.missing for conflict in rulings.undecided)
            raise (MissingRowError if missing else ConflictError)(rulings.undecided)
        homecoming = Homecoming(session, incoming, decider, reader)
        if not dry_run:
            newcomers = foresee(session, incoming, reader)
            homecoming.arrive()
            catch_up(session, _to_catch_up(incoming, decider, everything=verify == "all"), reader)
            homecoming.relate()
            del newcomers  # the session holds them weakly: from here on their collections do
            if not lock:
                remember(session, decider.verdicts.values(), decider.sides)
    _fill_report(report, incoming, decider, homecoming, reader)
    return report


def _want(incoming: Incoming, reader: Reader, verify: Verify, on_missing: OnMissing) -> None:
    """Name the rows that have to be read."""
    for arrival in incoming.arrivals.values():
        _want_arrival(arrival, reader, verify, incoming.positions)
    removed = [one.state for one in incoming.arrivals.values() if any(rel.owns for _, rel in one.removed_from)]
    going = by_class([*removed, *owned_below(incoming, removed)]) if removed and verify != "none" else {}
    for class_ in going:
        reader.table(blueprint(class_)).keep(Hold.DELETED)
    if verify == "all":
        for class_, states in incoming.by_class.items():
            _want_class(blueprint(class_), states, reader, blueprint(class_).relationships.values())
        return
    # They go with all that they own: did others edit some of that, or put something into a collection of it?
    for class_, states in going.items():
        _want_class(blueprint(class_), states, reader, blueprint(class_).relationships.values())
    if on_missing == "recreate" and reader.tables:
        # What is made again needs what it refers to, and brings what it owns: are their rows there, and whose are they?
        for class_, states in incoming.by_class.items():
            plan = blueprint(class_)
            read = reader.table(plan)
            references = [rel for rel in plan.relationships.values() if rel.direction == "to one"]
            read.want(plan, (key for rel in references for key in rel.local_key))
            read.keys.update((one.key[1], None) for one in states if one.key is not None)


def _want_class(
    plan: Blueprint, states: Sequence[State], reader: Reader, relationships: Iterable[Relationship]
) -> None:
    """Every row of these objects, and the members of these collections, where they are loaded."""
    read = reader.table(plan)
    read.want(plan, (key for key in plan.stored if not plan.columns[key].deferred))
    keys = [state.key[1] for state in states if state.key is not None]
    read.keys.update(dict.fromkeys(keys))
    for rel in relationships:
        if rel.loadable and rel.writable and rel.direction != "to one":
            parents = [state for state in states if rel.key in state.dict and state.key is not None]
            reader.want_members(rel, (local_values(state, rel) for state in parents))


def _want_arrival(arrival: Arrival, reader: Reader, verify: Verify, positions: Positions) -> None:
    plan, state = arrival.plan, arrival.state
    identity = identity_of(arrival)
    if identity is None or (verify == "none" and not arrival.is_new):
        return
    read = reader.table(plan)
    # What was deleted with `del`, or edited on another copy, is not loaded here; nor need a foreign key be.
    wanted = {*state.dict, *arrival.columns, *(key for rel in arrival.references for key in rel.local_key)}
    wanted.update(key for _, rel in arrival.added_to for key in rel.remote_key)
    read.want(plan, (key for key in plan.stored if key in wanted or not plan.columns[key].deferred))
    (read.new if arrival.is_new else read.keys)[identity[1]] = None
    read.held.add(identity[1])
    read.keep(_hold(arrival))
    for rel in arrival.collections:
        # Who has which key in a keyed collection, or which position in a list, only the members themselves can tell.
        numbering = positions.lists.get((state, rel))
        keyed = numbering is not None or isinstance(arrival.source(rel.key).dict.get(rel.key), KeyFuncDict)
        reader.want_members(rel, [holder_key(arrival, rel)], rows=keyed)
        if keyed or not rel.many:
            reader.table(blueprint(rel.target)).keep(Hold.EDITED)  # two cannot have one place
        if numbering is not None:  # each of them may get another position
            reader.table(blueprint(rel.target)).want(blueprint(rel.target), [numbering.attribute])
            reader.table(blueprint(rel.target)).members_held = True


def _hold(arrival: Arrival) -> Hold:
    """How firmly an arrival's row is to be held until it is written."""
    moves_key = not arrival.is_new and not set(arrival.columns).isdisjoint(arrival.plan.primary_key)
    if moves_key or any(rel.owns for _, rel in arrival.removed_from):
        return Hold.DELETED
    edited = arrival.has_edits or arrival.added_to or arrival.removed_from
    # What an edit only points to is read, to know that it is there; it is not to be changed.
    return Hold.EDITED if edited else Hold.POINTED_AT


def _to_catch_up(incoming: Incoming, decider: Decider, *, everything: bool) -> dict[type, list[State]]:
    """The states in the session that have to be up to date, by class.

    That is what was read of clean objects, and what is deleted: its children are deleted with it, those too that
    others have added.
    """
    fates = {state: verdict.fate for state, verdict in decider.verdicts.items()}
    if not everything:
        return by_class(incoming.home_of(state) for state, fate in fates.items() if fate == "delete")
    left = {state for state, fate in fates.items() if fate not in ("delete", "update")} | decider.fates.gone
    homes = incoming.homes
    return {
        class_: [incoming.home_of(state) if homes else state for state in states if state not in left]
        for class_, states in incoming.by_class.items()
    }


def _check_allowed(incoming: Incoming, allow: Sequence[InstrumentedAttribute[Any]]) -> None:
    allowed: list[tuple[Any, str]] = [(attribute.class_, attribute.key) for attribute in allow]

    def is_allowed(class_: type, key: str | None) -> bool:
        return any(issubclass(class_, one) and key == name for one, name in allowed)

    def may_order(arrival: Arrival, rel: Relationship) -> bool:
        # A list that was only put in another order, and the positions in it, are one thing as well.
        numbering = incoming.positions.lists.get((arrival.state, rel))
        if numbering is None or changed_members(arrival.source(rel.key), rel) != ([], []):
            return False
        return is_allowed(rel.target.class_, numbering.attribute)

    refused: list[tuple[str, str]] = []
    for arrival in incoming.arrivals.values():
        plan = arrival.plan
        served = {key for rel in arrival.references for key in rel.local_key}
        served |= {key for _, rel in arrival.added_to for key in rel.remote_key}
        names = [plan.units[key] for key in arrival.columns if key not in served and not _is_empty(arrival, key)]
        refused += [(plan.entity, name) for name in names if not is_allowed(plan.class_, name)]
        # A collection and the reference that is its other side are one thing, which either name allows.
        edited = [rel for rel in arrival.references if not _is_consequence(incoming, arrival, rel)]
        refused += [
            (plan.entity, rel.key)
            for rel in (*edited, *arrival.collections)
            if not is_allowed(plan.class_, rel.key)
            and not is_allowed(rel.target.class_, rel.inverse)
            and not may_order(arrival, rel)
        ]
    if refused:
        raise NotAllowedError(refused)


def _is_consequence(incoming: Incoming, arrival: Arrival, rel: Relationship) -> bool:
    """Whether a reference changed because the object was put into, or taken out of, a collection that is checked."""
    return any(
        other.inverse == rel.key and parent in incoming.arrivals and other in incoming.arrivals[parent].collections
        for parent, other in (*arrival.added_to, *arrival.removed_from)
    )


def _is_empty(arrival: Arrival, key: str) -> bool:
    return arrival.is_new and arrival.source(key).dict.get(key) is None


def _fill_report(
    report: AttachReport, incoming: Incoming, decider: Decider, homecoming: Homecoming, reader: Reader
) -> None:
    standing = homecoming.standing

    def home(obj: Any) -> Any:
        state = standing(instance_state(obj))
        return None if state is None else state.obj()

    lists: dict[str, list[Any]] = {
        "insert": report.inserted, "recreate": report.inserted, "delete": report.deleted,
    }  # fmt: skip
    for state, verdict in decider.verdicts.items():
        stands = standing(state)
        if stands is not None and state in incoming.states:
            written = report.updated if verdict.writes_row() else report.unchanged
            lists.get(verdict.fate, written).append(stands.obj())
    undecided = [state for state in incoming.states if state not in decider.verdicts]
    if incoming.homes or homecoming.skipped:
        undecided = [one for state in undecided if (one := standing(state)) is not None]
    report.unchanged += [state.obj() for state in undecided]
    report.instances = [home(obj) for obj in incoming.roots]
    report.statements = reader.statements
    report.find = home
