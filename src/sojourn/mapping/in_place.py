"""What a value that can be changed in place (JSON, Mutable types, composites) is made of, to be put back into the very
same value: whoever has a reference to it, or to a part of it, sees it as it was.

Lists, dicts and sets are put back in place at any depth, without the events of Mutable types; so is a composite. Of
anything else there is a deep copy, which takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.mutable import MutableBase, MutableDict, MutableList, MutableSet

from sojourn.errors import UNKNOWN
from sojourn.mapping.base import copied
from sojourn.mapping.blueprint import Blueprint
from sojourn.sqlalchemy_internals import State, base_of, edited_keys, replace_base, track_mutable

_BOXES = frozenset({dict, list, set, MutableDict, MutableList, MutableSet})
_NOTHING = object()


class Contents:
    """What a value was made of when this was made."""

    __slots__ = ("_boxes", "_twin", "_value")

    def __init__(self, value: Any, boxes: list[tuple[Any, Any]], twin: Any = _NOTHING) -> None:
        self._value = value
        self._boxes = boxes
        self._twin = twin

    def put_back(self) -> Any:
        """Put it back; the value that holds it is returned. To be called once."""
        for box, held in self._boxes:
            if isinstance(box, dict):
                dict.clear(box)
                dict.update(box, held)
            elif isinstance(box, list):
                list.__setitem__(box, slice(None), held)
            elif isinstance(box, set):
                set.clear(box)
                set.update(box, held)
            else:
                _put_back_attributes(box, held)
        return self._value if self._twin is _NOTHING else self._twin


class InPlace:
    """What the values of one object are made of that can be changed in place, those before an edit included."""

    __slots__ = ("_base", "_values", "state")

    def __init__(self, state: State, values: dict[str, Contents], base: dict[str, Contents]) -> None:
        self.state = state
        self._values = values
        self._base = base

    def put_back(self) -> None:
        """Put it back into the values that the object holds; they are the same again as when this was made."""
        for key, contents in self._values.items():
            value = contents.put_back()
            held = self.state.dict.get(key)
            if value is not held:
                self.state.dict[key] = value
                track_mutable(self.state, key, held, value)
        for key, contents in self._base.items():
            replace_base(self.state, key, contents.put_back())


def changeable(plan: Blueprint) -> tuple[str, ...]:
    """The attributes whose values can be changed in place: columns of such types, and composites. Pure."""
    return (*plan.mutable, *plan.composites)


def in_place(state: State, keys: tuple[str, ...], plan: Blueprint) -> InPlace | None:
    """What the values of these attributes are made of; None where there is nothing that could change. Database: none.

    Raises what copy.deepcopy raises on a value that cannot be copied.
    """
    values = _contents(state.dict, keys, plan)
    edited = edited_keys(state)
    base = _contents({key: base_of(state, key) for key in keys if key in edited}, keys, plan) if edited else {}
    return InPlace(state, values, base) if values or base else None


def _contents(held: Mapping[str, Any], keys: tuple[str, ...], plan: Blueprint) -> dict[str, Contents]:
    found = {}
    for key in keys:
        value = held.get(key)
        if value is None or value is UNKNOWN:
            continue
        contents = contents_of(value, whole=key in plan.composites)
        if contents is not None:
            found[key] = contents
    return found


def contents_of(value: Any, *, whole: bool = False) -> Contents | None:
    """What a value is made of; None where it cannot be changed in place. `whole`: its attributes are all it has."""
    if type(value) not in _BOXES:
        if whole and hasattr(value, "__dict__"):
            return Contents(value, [(value, {name: copied(one) for name, one in _attributes(value)})])
        twin = copied(value)
        return None if twin is value else Contents(value, [], twin)
    boxes = []
    seen = {id(value)}
    waiting = [value]
    for box in waiting:  # it grows on the way
        held: Any = dict(box) if isinstance(box, dict) else list(box) if isinstance(box, list) else set(box)
        boxes.append((box, held))
        if isinstance(box, set):
            continue  # what can be hashed does not change
        for place, member in held.items() if isinstance(held, dict) else enumerate(held):
            if type(member) not in _BOXES:
                twin = copied(member)
                if twin is not member:
                    held[place] = twin
            elif id(member) not in seen:
                seen.add(id(member))
                waiting.append(member)
    return Contents(value, boxes)


def _attributes(value: Any) -> list[tuple[str, Any]]:
    # A Mutable knows its objects by an attribute, too, and that is SQLAlchemy's.
    tracks = isinstance(value, MutableBase)
    return [(name, one) for name, one in vars(value).items() if not (tracks and name == "_parents")]


def _put_back_attributes(value: Any, held: dict[str, Any]) -> None:
    attributes = vars(value)
    for name, _ in _attributes(value):
        del attributes[name]
    attributes.update(held)
