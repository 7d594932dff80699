"""What many objects of one shape hold, read by a function whose source is made for that shape.

The objects of a large graph lie scattered in memory, so each is touched once, and all that has to be known of it is
taken then: its values with their types, its session, and whether there is more to be said of it. The values come by an
`itemgetter`, in C. What is done with each of them is written out in the source, since a loop over them would take twice
the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

from sojourn.sqlalchemy_internals.state import State

Loaded: TypeAlias = Mapping[str, Any]
"""What an object's `__dict__` holds, its InstanceState among it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What some objects hold.

    `kinds` has the combinations of types that their rows are made of. `special` are the positions of objects that may
    be edited, that are deleted, or whose primary key is not the one of their identity.
    """

    rows: list[tuple[Any, ...]]
    kinds: set[tuple[type, ...]]
    special: list[int]
    sessions: set[int]


Reader: TypeAlias = Callable[[Sequence[Loaded], int, Any], Reading | None]
"""`read(objects, size, token)`. It returns None where one of the objects is of another shape: if `size` is not 0 and it
holds not exactly so many things, or if its identity (or that it has none, or its identity token) is not as expected. A
KeyError says the same."""


def make_reader(
    columns: Sequence[str], primary_key: Sequence[str], *, stored: bool, related: Sequence[str] = ()
) -> Reader:
    """The reader of these columns, for objects that have an identity (`stored`) or for those that have none.

    `columns` of stored objects contain the primary key. The relationships `related` are looked for, not read: without
    one of them an object is of another shape, also where it holds something else in its place. Database: none.
    """
    names = {key: f"a{position}" for position, key in enumerate(columns)}
    identity = [f"k{position}" for position in range(len(primary_key))]
    keys = zip(identity, primary_key, strict=True) if stored else ()
    moved = "".join(f" or {known} is not {names[key]}" for known, key in keys)
    unpacked = f"({_tuple(names.values())})" if names else "_"
    body = [
        "if size and len(loaded) != size: return None",
        "state = loaded['_sa_instance_state']",
        "key = state.key",
        f"if key is None or key[2] != token: return None\n        {', '.join(identity)}, = key[1]"
        if stored
        else "if key is not None: return None",
        *(f"loaded[{key!r}]" for key in related),
        f"if state.modified or state._deleted{moved}: special.append(at)",
        "if state.session_id is not None: sessions.add(state.session_id)",
        f"note(({_tuple(f'type({name})' for name in names.values())}))",
    ]
    source = "\n        ".join(
        [
            "def read(objects, size, token):\n"
            "    rows = list(map(values_of, objects))\n"
            "    kinds, special, sessions = set(), [], set()\n"
            "    note = kinds.add\n"
            f"    for at, (loaded, {unpacked}) in enumerate(zip(objects, rows)):",
            *body,
        ]
    )
    made: dict[str, Any] = {"Reading": Reading, "values_of": _getter(columns)}
    exec(f"{source}\n    return Reading(rows, kinds, special, sessions)", made)
    read: Reader = made["read"]
    return read


def state_in(loaded: Loaded) -> State:
    """The InstanceState of the object that holds this."""
    state: State = loaded["_sa_instance_state"]
    return state


def _getter(keys: Sequence[str]) -> Callable[[Loaded], tuple[Any, ...]]:
    """What takes these out of a mapping. For less than two there is no itemgetter that gives a tuple."""
    return itemgetter(*keys) if len(keys) > 1 else lambda loaded: tuple([loaded[key] for key in keys])


def _tuple(parts: Iterable[str]) -> str:
    return "".join(f"{part}, " for part in parts)
