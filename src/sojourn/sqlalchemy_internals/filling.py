"""Filling relationships with what was found for them: unedited values, put in place without attribute events.

There are many objects, and most of them hold nothing that would have to be forgotten. So each filling looks for that
first, and takes SQLAlchemy's own way only where it has to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy.ext.orderinglist import OrderingList
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.attributes import instance_dict
from sqlalchemy.orm.collections import CollectionAdapter, InstrumentedList

from sojourn.sqlalchemy_internals.state import State


def fill_loaded(key: str, values: Iterable[tuple[Any, Any]]) -> None:
    """`set_committed_value` for many pairs of an instance and the value of its attribute `key`.

    The value is a list of members for a collection. Members that were added or removed while the collection was not
    loaded are added and removed then.
    """
    for instance, value in values:
        loaded = instance_dict(instance)
        state: State = loaded["_sa_instance_state"]
        impl = cast(Any, state.manager[key].impl)
        if state.modified or state.callables:  # an edit may have to be forgotten, or a guard of this attribute
            impl.set_committed_value(state, loaded, value)
            continue
        if not impl.collection:
            loaded[key] = value
        elif is_plain_list(impl):
            loaded[key] = plain_list(impl, state, value)
        else:
            impl.set_committed_value(state, loaded, value)
            continue
        if state.expired_attributes:
            state.expired_attributes.discard(key)
        if state.expired:
            state.expired = False


def fill_collection(state: State, key: str, items: Sequence[Any]) -> None:
    """`put_collection` for a state that was just made: there is nothing that would have to be forgotten.

    An ordering_list takes its members as they are: it would number those that have no number.
    """
    adapter, collection = cast(Any, state.manager[key].impl)._initialize_collection(state)
    if type(collection) is InstrumentedList or isinstance(collection, OrderingList):
        list.extend(collection, items)
    else:
        adapter.append_multiple_without_event(items)
    state.dict[key] = collection


def fill_lists(
    mapper: Mapper[Any],
    key: str,
    owners: Iterable[Any],
    lists: Iterable[Sequence[int]],
    nodes: Sequence[Any],
    inverse: str | None,
) -> bool:
    """`fill_collection` for many owners; False, and nothing done, where the collection is more than a plain list.

    `lists` has for each owner the positions of its members in `nodes`. Members without an `inverse` reference get it.
    """
    impl = cast(Any, mapper.class_manager[key].impl)
    if not is_plain_list(impl):
        return False
    member_of = nodes.__getitem__
    for owner, of_one in zip(owners, lists, strict=True):
        loaded = instance_dict(owner)
        loaded[key] = collection = plain_list(impl, loaded["_sa_instance_state"], map(member_of, of_one))
        if inverse is not None:
            for member in collection:
                member.__dict__.setdefault(inverse, owner)
    return True


def is_plain_list(impl: Any) -> bool:
    """Whether this attribute's collections are lists of which nobody wants to hear when they are made."""
    return impl.collection_factory is InstrumentedList and not impl.dispatch.init_collection


_new_adapter = CollectionAdapter.__new__
_initialize = cast(Any, CollectionAdapter.__init__)  # Python calls a function faster than a class


def plain_list(impl: Any, state: State, members: Iterable[Any]) -> InstrumentedList[Any]:
    """A collection of a state, where `is_plain_list` holds for its attribute."""
    collection: InstrumentedList[Any] = InstrumentedList(members)
    _initialize(_new_adapter(CollectionAdapter), impl, state, collection)
    return collection
