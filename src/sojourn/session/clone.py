"""clone(): copies of objects as new objects, with what they own, ready for `session.add`.

`make_transient` turns an object into a new one and leaves its children behind; copying columns by hand copies keys,
version counters and foreign keys that must not be copied. Here `clone_draft` decides first, for the whole graph, what
is copied, what is shared and where each key comes from. Then the copies are built without events: no backref adds a
copy to a persistent parent's collection, no cascade takes it into a session. References between copied objects lead to
the copies and are recorded as edits, so that the flush fills their foreign keys.
"""

from __future__ import annotations

import copy as copying
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from sqlalchemy import inspect
from sqlalchemy.orm.attributes import instance_state

from sojourn.errors import IncompleteError, KeyNeededError
from sojourn.mapping.identity import as_list
from sojourn.session.clone_draft import Draft, Drafts
from sojourn.session.clone_rules import Named, RuleBook
from sojourn.sqlalchemy_internals import (
    State,
    edit_collection,
    edited_keys,
    fire_load,
    has_load_events,
    new_instance,
    put_collection,
    set_base,
    set_parent,
)

T = TypeVar("T")
Rekey = Callable[[Any, Any], object]


@overload
def clone(
    objs: Iterable[T], *, deep: Named = ..., share: Named = ..., skip: Named = ..., rekey: Rekey | None = ...
) -> list[T]: ...
@overload
def clone(objs: T, *, deep: Named = ..., share: Named = ..., skip: Named = ..., rekey: Rekey | None = ...) -> T: ...
def clone(objs: Any, *, deep: Named = (), share: Named = (), skip: Named = (), rekey: Rekey | None = None) -> Any:
    """Copy objects, with what they own, as new objects that belong to no session yet.

    What happens to a relationship, unless it is named in an argument:

    - Owned children are copied: those that delete-orphan ties to their parent, and association objects, whose primary
      key holds the parent's. An owned one-to-one, too.
    - References (many-to-one) and the members of a many-to-many are shared: the copy has the same ones; a many-to-many
      gets association rows of its own.
    - Other one-to-many collections stay behind: a child has one parent, and keeps it.

    Where two objects are copied, what leads from one to the other leads from copy to copy, in cycles and to themselves,
    too. The values are those on the objects now, edits included; mutable values are copied deeply. Keys, version
    counters and columns with a server default stay unset. The copies are built as loaded objects are: `__init__` is not
    called, load events and `@reconstructor` run, and attributes that are not mapped are not copied. The originals and
    their sessions are untouched; a shared object stays in its session, so add the copy to the same one.

    Parameters:

    - `objs`: one mapped instance, or an iterable of them.
    - `deep`, `share`, `skip`: class-bound attributes whose members are copied, shared, or left out. A skipped reference
      leaves its foreign key empty; `skip` takes columns as well. `share` keeps the same members even where they are
      copied.
    - `rekey(original, copy)`: sets the primary key of a copy; called for those copies whose key neither the database,
      nor the mapping, nor the key of a copied parent makes new.

    Returns the copy, or a list of copies in the order of `objs`. `session.add(copy)` inserts it with all that was
    copied.

    Raises IncompleteError where something that belongs to a copy is not loaded (load it with `prefetch`, or name it in
    `skip`), KeyNeededError without a `rekey` that makes the key, WrongAttributeError and NotMappedError.

    Database: none.
    """
    roots = as_list(objs)
    drafts = Drafts(roots, RuleBook(deep, share, skip))
    if drafts.missing:
        raise IncompleteError(drafts.missing)
    needing = [draft for draft in drafts if draft.key_needed]
    if needing and rekey is None:
        raise KeyNeededError(needing[0].plan.entity, needing[0].key_needed)
    copies = {id(draft.original): _copy_columns(draft) for draft in drafts}
    for draft in drafts:
        _connect(draft, instance_state(copies[id(draft.original)]), copies)
    for draft in drafts:
        if has_load_events(draft.state.mapper):
            fire_load(instance_state(copies[id(draft.original)]))
    if rekey is not None:
        for draft in needing:
            _rekey(draft, copies[id(draft.original)], rekey)
    found = [copies[id(root)] for root in roots]
    return found[0] if inspect(objs, raiseerr=False) is not None else found


def _copy_columns(draft: Draft) -> Any:
    made = new_instance(draft.state.mapper)
    mutable, source, target = draft.plan.mutable, draft.state.dict, instance_state(made).dict
    for key in draft.columns:
        value = source[key]
        target[key] = copying.deepcopy(value) if key in mutable else value
    return made


def _connect(draft: Draft, state: State, copies: dict[int, Any]) -> None:
    for key, (originals, replace) in draft.held.items():
        rel = draft.plan.relationships[key]
        objects = [copies.get(id(obj), obj) for obj in originals] if replace else originals
        if rel.many:
            if objects:
                edit_collection(state, key, [], objects)
            else:
                put_collection(state, key, [])
            continue
        state.dict[key] = objects[0] if objects else None
        if not objects:
            continue
        if rel.direction == "to many" or key in draft.recorded:
            set_base(state, key, None)
        # Who hangs in whom decides what is an orphan.
        set_parent(state, key, instance_state(objects[0]))
        if rel.inverse is not None and rel.direction == "to one":
            set_parent(instance_state(objects[0]), rel.inverse, state)


def _rekey(draft: Draft, made: Any, rekey: Rekey) -> None:
    state, plan = instance_state(made), draft.plan
    before = dict(state.dict)
    rekey(draft.original, made)
    after, edited = state.dict, edited_keys(state)
    for rel in plan.relationships.values():
        # A shared reference was right for the foreign key that was copied with it.
        if rel.key not in edited and any(before.get(key) is not after.get(key) for key in rel.foreign_keys):
            after.pop(rel.key, None)
    by_reference = {key for key, rel in plan.own_key.items() if rel in edited and rel not in draft.recorded}
    original, filled = draft.state.dict, by_reference | draft.from_shared
    wanting = [key for key in draft.key_needed if after.get(key) is None and key not in filled]
    is_new = by_reference or any(after.get(key) != original.get(key) for key in plan.primary_key if key not in filled)
    if wanting or not is_new:
        raise KeyNeededError(plan.entity, wanting or draft.key_needed)
