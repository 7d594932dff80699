"""What was edited: SQLAlchemy's record of it, read and written without attribute events.

Events would call validators (which can raise half way) and backrefs (which could load). The callers keep both sides of
a relationship in step themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.base import NEVER_SET, NO_VALUE, PASSIVE_NO_RESULT
from sqlalchemy.orm.collections import InstrumentedList, collection_adapter

from sojourn.errors import UNKNOWN
from sojourn.sqlalchemy_internals.state import State

_LISTS = (list, InstrumentedList)
_NO_BASE = (NO_VALUE, PASSIVE_NO_RESULT, NEVER_SET)


def edited_keys(state: State) -> Iterable[str]:
    """The attributes with a recorded edit (which may have been set back to what they were)."""
    return state.committed_state


def base_of(state: State, key: str) -> Any:
    """The value before the first edit: the current one where there is no edit, UNKNOWN where nobody recorded it.

    A collection's base is the list of its old members.
    """
    committed = state.committed_state
    if key not in committed:
        return state.dict.get(key, UNKNOWN)
    base = committed[key]
    return UNKNOWN if any(base is symbol for symbol in _NO_BASE) else base


def members(collection: Any) -> list[Any]:
    """The members of a list, set, dict or custom collection that is mapped; to be read, not changed."""
    # An instrumented list iterates over its members by itself, which is what most collections are.
    return collection if type(collection) in _LISTS else list(collection_adapter(collection))


def pending_mutations(state: State, key: str) -> tuple[list[Any], list[Any]]:
    """(added, removed) of a collection that was changed while its members were not in memory.

    That is one which was changed through its backref before it was loaded, and any dynamic or write-only one.
    """
    pending = _mutations(state, key)
    return (list(pending.added_items), list(pending.deleted_items)) if pending is not None else ([], [])


def forget_mutation(state: State, key: str, item: Any = None) -> None:
    """Take one item, or everything, out of what `pending_mutations` tells; with the last one the edit is gone."""
    pending = _mutations(state, key)
    if pending is None:
        return
    if item is not None:
        pending.added_items.discard(item)
        pending.deleted_items.discard(item)
        if pending.added_items or pending.deleted_items:
            return
    state.__dict__.get("_pending_mutations", {}).pop(key, None)
    state.committed_state.pop(key, None)
    if cast(Any, state.manager[key].impl).dynamic:
        state.dict.pop(key, None)  # SQLAlchemy leaves a True there


def _mutations(state: State, key: str) -> Any:
    if cast(Any, state.manager[key].impl).dynamic:
        return state.committed_state.get(key)
    return state.__dict__.get("_pending_mutations", {}).get(key)


def set_base(state: State, key: str, base: Any) -> None:
    """Record that `key` was edited, and what it was before."""
    state.committed_state[key] = NO_VALUE if base is UNKNOWN else base
    if not state.modified or (state.session_id and state._strong_obj is None):
        mark_modified(state)


def replace_base(state: State, key: str, base: Any) -> None:
    """Another base for an edit that is recorded already."""
    state.committed_state[key] = base


def mark_modified(state: State) -> None:
    """Tell the state (and its session, where it has one) that it holds an edit."""
    state._modified_event(state.dict, None, NO_VALUE)


def forget_edit(state: State, key: str) -> None:
    """The attribute counts as unedited from now on; its value stays."""
    state.committed_state.pop(key, None)


def settle(state: State) -> None:
    """Take the modified mark off a state whose last edit is gone."""
    if state.modified and not state.committed_state and not state.__dict__.get("_pending_mutations"):
        instance_map = state._instance_dict()
        if instance_map is not None:
            instance_map._modified.discard(state)
        state.modified = False
        state._strong_obj = None


def forget_edits(state: State) -> None:
    """Every attribute counts as unedited from now on; the values stay."""
    state.committed_state.clear()
    state.__dict__.pop("_pending_mutations", None)
    settle(state)


def put_collection(state: State, key: str, items: Sequence[Any]) -> None:
    """A new, unedited collection with these members, in the mapped collection class."""
    state.__dict__.get("_pending_mutations", {}).pop(key, None)
    cast(Any, state.manager[key].impl).set_committed_value(state, state.dict, items)


def edit_collection(state: State, key: str, base: Sequence[Any], final: Sequence[Any]) -> None:
    """A collection with the members `final`, recorded as an edit of `base`; orphan tracking is kept."""
    impl = cast(Any, state.manager[key].impl)
    put_collection(state, key, final)
    state.committed_state[key] = list(base)
    mark_modified(state)
    if impl.trackparent:
        before, after = {id(item) for item in base}, {id(item) for item in final}
        for item in final:
            if id(item) not in before:
                impl.sethasparent(instance_state(item), state, True)
        for item in base:
            if id(item) not in after:
                _drop_parent(impl, instance_state(item))


def change_unloaded(state: State, key: str, added: Iterable[Any], removed: Iterable[Any]) -> None:
    """Record what `pending_mutations` tells. Orphan tracking is the caller's."""
    pending = state._get_pending_mutation(key)
    for item in added:
        pending.append(item)
    for item in removed:
        pending.remove(item)
    set_base(state, key, UNKNOWN)


def refill(state: State, key: str, items: Sequence[Any]) -> None:
    """Make a loaded collection hold these members, in place: whoever has a reference to it sees them.

    No member is compared by its own `__eq__`. What stays in a dict keeps its key; the others get the key that they have
    now.
    """
    collection = state.dict[key]
    if isinstance(collection, list):
        list.__setitem__(collection, slice(None), items)
    elif isinstance(collection, set):
        set.clear(collection)
        set.update(collection, items)
    elif isinstance(collection, dict):
        wanted = {id(item): item for item in items}
        kept = {name: item for name, item in collection.items() if id(item) in wanted}
        dict.clear(collection)
        dict.update(collection, kept)
        for item in kept.values():
            wanted.pop(id(item), None)
        collection_adapter(cast(Any, collection)).append_multiple_without_event(wanted.values())
    else:
        adapter = collection_adapter(collection)
        adapter.clear_without_event()
        adapter.append_multiple_without_event(items)


def track_mutable(state: State, key: str, old: Any, new: Any) -> None:
    """After `new` took the place of `old` without events: changes in place of `new`, and not of `old`, are edits."""
    if isinstance(old, MutableBase):
        old._parents.pop(state, None)
    if isinstance(new, MutableBase):
        new._parents[state] = key


def set_parent(state: State, key: str, child: State) -> None:
    """Remember that `child` hangs in `state.key`, which decides whether it is an orphan. No-op where nobody asks."""
    impl = cast(Any, state.manager[key].impl)
    if impl.trackparent:
        impl.sethasparent(child, state, True)


def drop_parent(state: State, key: str, child: State) -> None:
    """The opposite of `set_parent`: without another owner the child is an orphan."""
    impl = cast(Any, state.manager[key].impl)
    if impl.trackparent:
        _drop_parent(impl, child)


def _drop_parent(impl: Any, child: State) -> None:
    child.parents[id(impl.parent_token)] = False


def clear_parent(state: State, key: str, child: State) -> None:
    """Forget what was noted about `child` and `state.key`: whether it is an orphan is open again."""
    impl = cast(Any, state.manager[key].impl)
    if impl.trackparent and "parents" in child.__dict__:
        child.parents.pop(id(impl.parent_token), None)


def untie_parent(state: State, key: str, child: State) -> None:
    """Forget that `child` hangs in `state.key`, if that is what is noted."""
    impl = cast(Any, state.manager[key].impl)
    if impl.trackparent and child.__dict__.get("parents", {}).get(id(impl.parent_token)) is state:
        del child.parents[id(impl.parent_token)]


def is_orphan(state: State) -> bool:
    """Whether the object was taken out of its owner, so that the next flush deletes it, or leaves it out if it is
    new."""
    return state.mapper._is_orphan(state)


def was_let_go(state: State) -> bool:
    """Whether a new object was put into an owner and taken out again, outside a session: a flush leaves it out."""
    return state.key is None and state._orphaned_outside_of_session and is_orphan(state)


def leave_as_orphan(state: State) -> None:
    """What SQLAlchemy does when a new object loses its owner: it leaves the session, and its cascade with it."""
    session = state.session
    if session is not None and state.key is None and is_orphan(state):
        session.expunge(state.obj())
