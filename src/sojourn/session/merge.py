"""merge(): what `Session.merge` and `merge_all` do, with one SELECT a mapped class instead of one an object.

`Session.merge` goes from object to object by recursion, and reads what it needs where it stands. The way that it takes
depends on the given objects alone, so here it is walked first, without recursion (`merge_walk`); then all that it will
need is read in bulk (`merge_read`); and then every object is merged in SQLAlchemy's own order, with SQLAlchemy's own
events and errors (`merge_play`). Whatever the bulk reading could not foresee is still read by SQLAlchemy where it is
needed, so a wrong guess costs a statement and never a different result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from sqlalchemy import inspect
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.interfaces import ORMOption

from sojourn.collector import collector_paused
from sojourn.mapping.identity import as_list
from sojourn.session.merge_read import MergeReader
from sojourn.sqlalchemy_internals import Merging, State, Walk, before_merge

T = TypeVar("T")


@overload
def merge(
    session: Session, objs: Iterable[T], *, load: bool = True, options: Sequence[ORMOption] | None = None
) -> list[T]: ...
@overload
def merge(session: Session, objs: T, *, load: bool = True, options: Sequence[ORMOption] | None = None) -> T: ...
def merge(session: Session, objs: object, *, load: bool = True, options: Sequence[ORMOption] | None = None) -> object:
    """Copy the state of objects onto the session's own, as `Session.merge` and `merge_all` do, in bulk.

    `objs` is one instance or an iterable of instances; it stays as it is, and its graph is followed along the "merge"
    cascade, to any depth. The results are those of SQLAlchemy: every loaded attribute is copied onto the object that
    the session holds, or loads, or makes for the same identity; collections are replaced; what is not loaded in the
    source is left alone; events fire, versions are compared. So they have SQLAlchemy's dangers, too: a stale value
    overwrites a newer one, and a row that was deleted meanwhile comes back. `attach` is the careful way home.

    Parameters:

    - `load`: False to copy onto the session's objects without any SELECT or history, as if they had just been loaded.
      The given objects must have an identity and no edits.
    - `options`: loader options for the rows that are read by primary key, as `Session.get` takes them.

    Returns the session's object, or a list of them in the order of `objs`.

    Raises NotMappedError, and what `Session.merge` raises: StaleDataError for another version,
    InvalidRequestError for new or edited objects with `load=False`. As there, the objects merged before an error stay
    merged.

    Database: may load (with `load=False`: none), after an autoflush as `Session.merge` has it. One SELECT a
    relationship and chunk of keys for collections that the session has not loaded, and at most three a mapped class for
    rows that it does not hold or holds expired. What cannot be read so, SQLAlchemy reads object by object: keys whose
    values are not of their column's type, sharded sessions, relationships to an alias, and classes with properties that
    merge in a way of their own.
    """
    given = as_list(objs)
    roots = [instance_state(obj) for obj in given]
    before_merge(session, load=load)
    with session.no_autoflush, collector_paused():
        merged = _merge(session, roots, load, options)
    return merged[0] if inspect(objs, raiseerr=False) is not None else merged


def _merge(session: Session, roots: Sequence[State], load: bool, options: Sequence[ORMOption] | None) -> list[Any]:
    # What is only needed on the way is gone when this returns, before the collector looks at what there is.
    walk = Walk(session, load=load)
    scripts = [walk.script(root) for root in roots]
    reader = MergeReader(session, walk, options)
    if load:
        reader.run()
    merging = Merging(session, load=load, options=options, curtain=reader.curtain)
    return [merging.play(script, root) for script, root in zip(scripts, roots, strict=True)]
