"""Write what an API received: `patch` finds the rows that a nested payload is about, and sets what it says.

Four steps, so that an error leaves everything as it was: the payload is read and validated (`snapshot.payload`), the
rows are found (`patch_find`, `patch_rows`), faults are looked for (`patch_plan`), and only then the objects are brought
(`patch_bring`) and written to (`patch_write`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy.orm import QueryableAttribute, Session
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import ConflictError, MissingRowError, PayloadError, PayloadFault
from sojourn.mapping.blueprint import blueprint
from sojourn.session.arrival import arrival_of
from sojourn.session.patch_find import Search
from sojourn.session.patch_plan import Plan
from sojourn.session.patch_rows import PatchRows
from sojourn.session.patch_write import Writing
from sojourn.session.report import AttachReport
from sojourn.session.rows import dialect_of
from sojourn.session.shards import in_shard_of_payload
from sojourn.snapshot.payload import Node, read_payload
from sojourn.snapshot.permits import Absent, permits

_MISSING = "Leave the key out to insert a new row, or name it in match=... to insert the row under this key."
_STALE = "Read the object again, and send the payload with the version that it has now."


def patch(
    session: Session,
    model: type[Any],
    payload: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    *,
    allow: Iterable[QueryableAttribute[Any]],
    match: Mapping[type[Any], Iterable[QueryableAttribute[Any]]] | None = None,
    on_absent: Absent | Mapping[QueryableAttribute[Any], Absent] = "keep",
) -> AttachReport:
    """Write plain nested data, such as an API receives, to the rows that it names, and insert what is new in it.

    What the payload does not name stays as it is; null empties. Nothing is flushed: the caller commits.

    Keys are attribute names and values are in the forms that `to_dict` gives and `json_schema` describes; Python's own
    date, Decimal, UUID or Enum values are taken, too. A reference is an object or null: `{"customer": {"id": 3}}`
    points to a row, and writes to it what else it holds. A collection is an array, or an object where it is a dict.
    Members are not ordered by it.

    An object is found by its primary key, else by its natural key (`match`), else by its place: in a one-to-one, under
    its name in a collection that is a dict, or, as an association object, by the parent that it hangs on and what it
    refers to. Without any it is new. A primary key must exist. A natural key
    counts among the members of its parent's collection where that is one-to-many, else in the whole table; where nobody
    has it, the object is new and gets it. So clients that make primary keys name them: `match={Ticket: [Ticket.id]}`.
    A child that belongs to another parent is refused; one that belongs to nobody, and any row in a many-to-many
    collection, becomes a member. The members of each collection that the payload names are loaded.

    The class of a new object is the one that the relationship leads to, or that the payload's discriminator names.
    Validators, events and constructors run as when the caller sets the attributes.

    Parameters:
        session: the session. What it holds and has edited stays; the payload is written over it.
        model: the mapped class of the payload's roots.
        payload: one mapping, or an iterable of mappings.
        allow: class-bound attributes that may be written: `[Order.status, Order.lines, Line.qty]`. Of a primary key or
            a key in `match` that only says which object is meant, and of a version, nothing has to be allowed.
        match: natural keys: `{Line: [Line.sku]}`. References count as the foreign key that they hold.
        on_absent: what becomes of members that the array of a collection does not name: "keep", "unlink" (they stay as
            rows of their own), "delete", or these by collection: `{Order.lines: "delete"}`, where others are kept.

    Returns: an `AttachReport`. Its `instances` are the roots, in order.

    Raises:
        NotAllowedError: the payload holds what `allow` does not list; all of it is named.
        PayloadError: anything else is wrong with it; `errors` has each fault with its path, `$.lines[2].qty`. What a
            validator or constructor raises is a fault, too.
        MissingRowError: roots whose primary key does not exist, and nothing else is wrong.
        ConflictError: the payload holds a version counter (`version_id_col`) that is not the row's any more: the row
            was changed since it was read. Without a version the last writer wins.
        WrongAttributeError, BadArgumentError, NotMappedError: an argument is no attribute, word or class.
        NoTransactionError: each statement commits by itself, so that no row can be held.

    After an error the session and the objects are as they were, except for the begun transaction and its row locks, and
    for what a validator has done to objects that have nothing to do with its own.

    Database: loads, unless all is new. One SELECT a mapped table and chunk of keys, with FOR UPDATE in key order where
    the database has it; on SQLite its write lock is taken first. MariaDB looks without locks first, which takes one
    SELECT more for a table in which something may not be there. A class with a table of its own below that of the
    relationship takes one more, and so does a collection of the table in which its parents were found by a natural key,
    and what hangs on those who are deleted. On a `ShardedSession` all is in the shard of the roots: where
    `identity_chooser` looks for their primary key, if that is one, else what `shard_chooser` says of an instance with
    their columns.
    """
    given = permits(allow, match, on_absent)
    roots = (
        payload if isinstance(payload, (Mapping, str, bytes)) or not isinstance(payload, Iterable) else list(payload)
    )
    with in_shard_of_payload(session, model, roots), session.no_autoflush:
        nodes = read_payload(model, roots, given, dialect_of(session, blueprint(model).mapper))
        written = {
            node.plan.columns[name].column for node in nodes.nodes for name in node.values if name in node.plan.columns
        }
        search = Search(session, given, nodes.nodes, PatchRows(session, written))
        search.run()
        plan = Plan(search)
        plan.make(nodes.nodes)
        _raise(plan)
        writing = Writing(session, plan, nodes.nodes)
        writing.run()
        if writing.faults:
            raise PayloadError(writing.faults) from writing.cause
    return _report(writing, nodes.roots, search.rows)


def _raise(plan: Plan) -> None:
    """Raise what is wrong, all of it at once."""
    conflicts = [conflict for _, conflict in plan.conflicts]
    if plan.faults:
        raise PayloadError([*plan.faults, *(PayloadFault(path, str(conflict)) for path, conflict in plan.conflicts)])
    if conflicts and all(conflict.missing for conflict in conflicts):
        raise MissingRowError(conflicts, _MISSING)
    if conflicts:
        raise ConflictError(conflicts, _STALE)


def _report(writing: Writing, roots: list[Node], rows: PatchRows) -> AttachReport:
    objs, targets = writing.objs, writing.targets
    report = AttachReport(instances=[objs[targets[root]] for root in roots])
    report.statements = rows.statements + writing.filling.statements
    report.deleted = list(writing.deleted)
    moved = {id(one): one for one in writing.moved}
    for target, obj in objs.items():
        if target.found is None:
            report.inserted.append(obj)
        else:
            is_written = moved.pop(id(obj), None) is not None or _writes_row(obj)
            (report.updated if is_written else report.unchanged).append(obj)
    gone = set(map(id, writing.deleted))
    report.updated += [one for id_, one in moved.items() if id_ not in gone]
    return report


def _writes_row(obj: Any) -> bool:
    """Whether the next flush updates the object's own row."""
    state = instance_state(obj)
    arrival = arrival_of(state, state.key, None)
    return bool(arrival.columns or arrival.references)
