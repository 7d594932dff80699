"""Fill what is not loaded yet, for many objects at once and at any depth, and keep their edits.

The shape is walked level by level. At each level one SELECT a table fills missing columns, and one SELECT a
relationship and chunk of keys fills what that relationship lacks; what is loaded already is not read again. Parents
that are in memory are asked, not the database, so objects that were added or moved in memory are part of the walk, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.sql.base import ExecutableOption

from sojourn.collector import collector_paused
from sojourn.errors import WrongSessionError
from sojourn.mapping.blueprint import Blueprint, Relationship, blueprint
from sojourn.mapping.graph import by_class
from sojourn.mapping.identity import as_list, make_identity, state_of
from sojourn.mapping.shape import Branch, General, Shape, shapes
from sojourn.session.find import Finder
from sojourn.session.keys import Key, pointed
from sojourn.session.rows import Reader, local_values
from sojourn.session.shards import in_one_shard
from sojourn.sqlalchemy_internals import (
    State,
    edited_keys,
    fill_loaded,
    fire_refresh,
    has_refresh_events,
    held_by,
    in_session,
    loaded_now,
    members,
    pending_mutations,
)


@in_one_shard
def prefetch(session: Session, objs: object | Iterable[object], *options: ExecutableOption) -> None:
    """Fill what is not loaded of the shape that `options` describe, in bulk.

    `objs` is one instance or an iterable of instances that are in this session. `options` are SQLAlchemy's own loader
    options, rooted at the classes of `objs`: `prefetch(session, orders, selectinload(Order.lines))`. Without options,
    the columns are filled that a plain SELECT of the class would load. Edits stay; what is loaded is not read again. An
    object whose row is gone stays as it is: reading it raises SQLAlchemy's ObjectDeletedError.

    Raises WrongSessionError for objects that are not in this session, WrongAttributeError for what is no loader option
    of these classes.

    Database: may load. At most one SELECT a relationship and chunk of keys, and one a mapped table for columns; what
    the session holds already is not selected to be referred to.
    """
    states = [state_of(obj) for obj in as_list(objs)]
    strangers = [state.obj() for state in states if not in_session(state, session)]
    if strangers:
        raise WrongSessionError(strangers, "not in this session", "Add or attach them first.")
    Filling(session, options).fill(states)


class Filling:
    """One prefetch. `shapes` are those of the roots, `gone` the states whose row was not found when a column was
    read."""

    def __init__(self, session: Session, options: Sequence[ExecutableOption] = ()) -> None:
        self.session = session
        self.options = options
        self.shapes: dict[Mapper[Any], Shape] = {}
        self.gone: list[State] = []
        self.finder = Finder(session)

    @property
    def statements(self) -> int:
        """How many SELECTs it took so far."""
        return self.finder.statements

    def fill(self, states: Sequence[State]) -> None:
        """Fill the shape of these states of the session. Database: may load, without autoflush."""
        self.shapes = shapes(dict.fromkeys(state.mapper for state in states), self.options)
        level: dict[Shape, list[State]] = defaultdict(list)
        for state in states:
            level[self.shapes[state.mapper]].append(state)
        seen: dict[Shape, set[State]] = defaultdict(set)
        with self.session.no_autoflush:
            while level:
                below: dict[Shape, list[State]] = defaultdict(list)
                for shape, here in level.items():
                    new = [one for one in dict.fromkeys(here) if one not in seen[shape]]
                    seen[shape].update(new)
                    self._deepen(shape, new, below)
                level = below

    def fill_relationships(self, states: Iterable[State], names: Mapping[type, Collection[str]]) -> None:
        """Fill these relationships of these states, by class, and nothing else. Database: may load."""
        with self.session.no_autoflush:
            for class_, same_class in by_class(states).items():
                for rel in blueprint(class_).relationships.values():
                    if rel.key in names[class_] and rel.loadable:
                        branch = Branch(Shape((rel.target,), General()), wanted=True)
                        self._fill_relationship(rel, branch, same_class)

    def _deepen(self, shape: Shape, states: Sequence[State], below: dict[Shape, list[State]]) -> None:
        stored = [one for one in states if one.key is not None and in_session(one, self.session)]
        classes = by_class(stored)
        self.fill_columns(classes, {class_: shape.wanted_columns(blueprint(class_)) for class_ in classes})
        # An inherited relationship is one of all classes that have it, so it takes one SELECT for all of them.
        groups: dict[Any, tuple[Relationship, Branch, list[State]]] = {}
        for class_, same_class in by_class(states).items():
            for rel, branch in shape.branches(blueprint(class_)):
                groups.setdefault(rel.property, (rel, branch, []))[2].extend(same_class)
        for rel, branch, parents in groups.values():
            self._fill_relationship(rel, branch, parents)
            fill_inverse(rel, parents)
            children = _children(rel, parents)
            if children:
                below[branch.shape].extend(children)

    # --- columns ---

    def fill_columns(
        self, classes: Mapping[type, Sequence[State]], wanted: Mapping[type, Sequence[str]] | None = None
    ) -> None:
        """Fill these columns of stored states, by class, where they have no value; None: those of a plain SELECT.

        Database: may load, one SELECT a table and chunk.
        """
        reader = Reader(self.session)
        lacking: list[tuple[State, Blueprint, list[str]]] = []
        plain = Shape((), General())
        for class_, states in classes.items():
            plan = blueprint(class_)
            names = set(plain.wanted_columns(plan) if wanted is None else wanted[class_])
            for state in states:
                if names <= instance_dict(state.obj()).keys():
                    continue
                # An attribute that was taken off with `del` is edited and not loaded: it stays away.
                missing = list(names - state.dict.keys() - set(edited_keys(state)))
                if missing and state.key is not None:
                    read = reader.table(plan)
                    read.want(plan, missing)
                    read.keys[state.key[1]] = None
                    lacking.append((state, plan, missing))
        reader.run()
        self.finder.statements += reader.statements
        for state, plan, missing in lacking:
            read = reader.table(plan)
            row = read.rows.get(state.key[1]) if state.key is not None else None
            if row is None:
                self.gone.append(state)
                continue
            state.dict.update((key, row[read.columns[plan.columns[key].column]]) for key in missing)
            loaded_now(state, missing)
            if has_refresh_events(plan.mapper):
                fire_refresh(state, missing)

    def _with_local_key(self, rel: Relationship, states: Iterable[State]) -> dict[State, Key]:
        """What each state's members are found by, read where it is missing; without states whose row is gone."""
        if rel.local_key and not rel.from_primary_key:
            classes = by_class(states)
            self.fill_columns(classes, dict.fromkeys(classes, rel.local_key))
            states = [one for one in states if all(key in one.dict for key in rel.local_key)]
        return {state: local_values(state, rel) for state in states}

    # --- relationships ---

    def _fill_relationship(self, rel: Relationship, branch: Branch, states: Iterable[State]) -> None:
        lacking = [
            state
            for state in states
            if rel.key not in state.dict
            and state.key is not None
            and in_session(state, self.session)
            # A collection that was changed through its other side while it was not loaded takes these changes over.
            and (rel.key not in edited_keys(state) or any(pending_mutations(state, rel.key)))
        ]
        if not lacking:
            return
        if rel.by_primary_key and not branch.criteria and not branch.shape.general.criteria:
            self._fill_references(rel, branch, lacking)
        else:
            self._fill_members(rel, branch, lacking)

    def _fill_references(self, rel: Relationship, branch: Branch, states: Sequence[State]) -> None:
        """A reference by primary key: what the session holds needs no SELECT."""
        target = blueprint(rel.target)
        pointing = {state: pointed(key) for state, key in self._with_local_key(rel, states).items()}
        unseen = [key for key in pointing.values() if key is not None and self._held(target, key) is None]
        # The session holds its objects weakly: this keeps the new ones until they are in place.
        loaded = self.finder.by_primary_key(branch, target, unseen)
        fill_loaded(
            rel.key,
            [(state.obj(), None if key is None else self._held(target, key)) for state, key in pointing.items()],
        )
        del loaded

    def _held(self, target: Blueprint, key: Key) -> Any:
        state = held_by(self.session, make_identity(target, key))
        return state.obj() if state is not None and issubclass(state.class_, target.class_) else None

    def _fill_members(self, rel: Relationship, branch: Branch, states: Sequence[State]) -> None:
        """A collection, or a reference that is not by primary key."""
        parents = self._with_local_key(rel, states)
        wanted = [key for key in dict.fromkeys(parents.values()) if pointed(key) is not None]
        found = self.finder.members(rel, branch, wanted)
        here = [(state.obj(), found.get(key, [])) for state, key in parents.items()]
        with collector_paused():
            fill_loaded(rel.key, here if rel.many else [(obj, of_one[0] if of_one else None) for obj, of_one in here])


def fill_inverse(rel: Relationship, parents: Iterable[State]) -> None:
    """The other side of a loaded collection is known without SQL: the parent is there. Database: none."""
    inverse = rel.inverse
    if inverse is None or rel.direction != "to many" or not rel.loadable:
        return
    own = {inverse, *rel.remote_key}
    fill_loaded(
        inverse,
        [
            (child, parent.obj())
            for parent in parents
            for child in _members(rel, parent)
            if inverse not in instance_dict(child) and _is_told_by_its_row(instance_state(child), own)
        ],
    )


def _is_told_by_its_row(child: State, own: AbstractSet[str]) -> bool:
    # An edited foreign key may point elsewhere by now, and a new object is told by whoever puts it in.
    return child.key is not None and (not child.modified or own.isdisjoint(edited_keys(child)))


def _members(rel: Relationship, state: State) -> Sequence[Any]:
    value = state.dict.get(rel.key)
    return () if value is None else members(value) if rel.many else (value,)


def _children(rel: Relationship, states: Iterable[State]) -> list[State]:
    return [instance_state(child) for state in states for child in _members(rel, state)]
