"""Playing the script of a merge: each object is merged onto the session's, with all that `Session.merge` does to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import init_state_collection, instance_dict, instance_state
from sqlalchemy.orm.base import PASSIVE_MERGE
from sqlalchemy.orm.interfaces import ORMOption

from sojourn.sqlalchemy_internals.lazy_loading import loads_by_get, loads_lazily, way_of_rows
from sojourn.sqlalchemy_internals.merge_columns import Columns
from sojourn.sqlalchemy_internals.merge_curtain import Curtain
from sojourn.sqlalchemy_internals.merge_plan import Relation
from sojourn.sqlalchemy_internals.merge_target import Target, copy_of_row, look_at_new, take_over
from sojourn.sqlalchemy_internals.merge_walk import ROOT, Enter, Leave, Leaves, Open, Put, Step, Visit
from sojourn.sqlalchemy_internals.state import State


class Merging:
    """One merge of several roots. `done` and `by_key` are what `Session._merge` keeps for each root: what an object
    was merged with, and what has a key.

    Behind the `curtain` is what was read for it.
    """

    def __init__(
        self,
        session: Session,
        *,
        load: bool,
        options: Sequence[ORMOption] | None,
        curtain: Curtain,
    ) -> None:
        self.session = session
        self.load = load
        self.options = options
        self.curtain = curtain
        self.done: dict[Any, Any] = {}
        self.by_key: dict[Any, Any] = {}
        home: Any = session.identity_map
        self._home: Any = home._wr
        self._held: dict[Any, State] = home._dict
        self._modified: set[State] = home._modified

    def play(self, script: Sequence[Step], root: State) -> Any:
        """Play the script of one root; gives what the root was merged with. Database: may load what was not read."""
        self.done, self.by_key = {}, {}
        targets: list[Target] = []
        step: Any
        for step in script:
            kind = type(step)
            if kind is Leaves:
                self._leaves(step.visits)
            elif kind is Put:
                self._put(targets[-1], step.relation, step.members)
            elif kind is Columns:
                target = targets[-1]
                if not target.same:
                    self._columns(target.visit, target.state, target.loaded, (step,))
            elif kind is Open:
                self._open(targets[-1], step.relation)
            elif kind is Enter:
                targets.append(self._begin(step.visit))
            elif kind is Leave:
                self._finish(targets.pop())
            else:
                self._own(step.state)
        return self.done[root]

    def _leaves(self, visits: Iterable[Visit]) -> None:
        held, done, by_key, load = self._held, self.done, self.by_key, self.load
        for visit in visits:
            given, key = visit.state, visit.key
            state = held.get(key)
            obj = None if state is None else state.obj()
            if obj is None or state is None or not load or given.key is None:
                self._leaf(visit)
                continue
            # Most objects are of this kind: the rest is what `_leaf` does, without its detours.
            done[given] = by_key[key] = obj
            if state is not given:
                loaded = instance_dict(obj)
                take_over(visit, state, loaded)
                self._columns(visit, state, loaded, visit.plan.columns)

    def _leaf(self, visit: Visit) -> None:
        target = self._begin(visit)
        if not target.same:
            self._columns(visit, target.state, target.loaded, visit.plan.columns)
        self._finish(target)

    def _columns(self, visit: Visit, state: State, loaded: dict[str, Any], steps: Iterable[Columns]) -> None:
        given = visit.state
        if self.load and state.manager is visit.plan.manager and not state._last_known_values:
            for columns in steps:
                columns.run(self, given, visit.loaded, state, loaded)
            return
        for columns in steps:
            for prop in columns.props:
                prop.merge(self.session, given, visit.loaded, state, loaded, self.load, self.done, self.by_key)

    def mark(self, state: State, loaded: dict[str, Any]) -> None:
        """The object is dirty, though perhaps nothing of it changed."""
        modified = self._modified
        if modified and state._instance_dict is self._home and state.session_id:
            # What SQLAlchemy does for an object of a session in which others are dirty already.
            state.modified = True
            modified.add(state)
            state._strong_obj = state.obj()
        else:
            state._modified_event(loaded, None, None)

    def _mark(self, target: Target) -> None:
        state = target.state
        if not state.modified or (state.session_id and state._strong_obj is None):
            self.mark(state, target.loaded)

    def refresh(self, state: State, loaded: dict[str, Any]) -> None:
        """An old value is needed, of an object that is expired, perhaps."""
        if state.expired_attributes:
            self.curtain.refresh(state, loaded)

    # --- finding or making the target ---

    def _begin(self, visit: Visit) -> Target:
        obj, is_new = self._find(visit)
        target = Target(visit, instance_state(obj), instance_dict(obj), is_new)
        if not target.same:
            take_over(visit, target.state, target.loaded)
        return target

    def _find(self, visit: Visit) -> tuple[Any, bool]:
        """What an object is merged onto, and whether that was made for it."""
        state, plan, key, stored = visit.state, visit.plan, visit.key, visit.stored
        if state.key is None:
            look_at_new(self.session, state, load=self.load)
        held = self._held.get(key)
        obj = None if held is None else held.obj()
        is_new = False
        if obj is None:
            if stored and key in self.by_key:
                obj = self.by_key[key]
            elif not self.load:
                obj, is_new = copy_of_row(self.session, visit), True
            elif stored and key not in self.curtain.absent[plan.mapper]:
                options = self.options if visit.origin == ROOT else None
                way = way_of_rows(plan.mapper, options)
                obj = self.curtain.show(key, plan.mapper.class_, way)
                if obj is None:
                    obj = self.session.get(
                        plan.mapper.class_, key[1], identity_token=key[2], options=cast(Any, options)
                    )
        if obj is None:
            obj, is_new = plan.manager.new_instance(), True
            self.session._save_or_update_state(instance_state(obj))
        self.done[state] = self.by_key[key] = obj
        return obj, is_new

    def _finish(self, target: Target) -> None:
        state = target.state
        if not self.load:
            state._commit_all(target.loaded, self.session.identity_map)
            state.manager.dispatch._sa_event_merge_wo_load(state, None)
        if target.is_new:
            state.manager.dispatch.load(state, None)

    def _own(self, state: State) -> None:
        self.session._merge(
            state,
            instance_dict(state.obj()),
            load=self.load,
            options=self.options,
            _recursive=self.done,
            _resolve_conflict_map=self.by_key,
        )

    # --- relationships ---

    def _open(self, target: Target, relation: Relation) -> None:
        """Load what the target holds there, as it was read."""
        state, loaded, key = target.state, target.loaded, relation.key
        if target.same or key in loaded:
            return
        impl: Any = state.manager[key].impl
        if state.expired_attributes:
            # SQLAlchemy loads what the members are found by, and with it all that is expired.
            for column in relation.local:
                if column in state.expired_attributes and column not in loaded:
                    self.refresh(state, loaded)
                if column in state.expired_attributes and column not in loaded:
                    cast(Any, state.manager[column].impl).get(state, loaded, passive=PASSIVE_MERGE)
            if key in loaded:
                return
        held = self.curtain.members[relation.prop].pop(target.visit.key, None)
        if held is None or not loads_lazily(target.visit.state, state, key) or not self.curtain.show_members(held):
            if relation.many:
                impl.get(state, loaded, passive=PASSIVE_MERGE)
        elif relation.many or not loads_by_get(relation.prop):
            self.curtain.put(state, loaded, relation.prop, held)

    def _put(self, target: Target, relation: Relation, given: Sequence[State]) -> None:
        if target.same:
            return
        state, loaded, key = target.state, target.loaded, relation.key
        done = self.done
        merged = [done[one] for one in given]
        if not relation.many:
            value = merged[0] if merged else None
            if not self.load:
                loaded[key] = value
            elif relation.quiet and key in loaded and loaded[key] is value and _is_plain(target):
                self._mark(target)
            else:
                if relation.reads_old:
                    self._open(target, relation)
                cast(Any, state.manager[key].impl).set(state, loaded, value, None)
        elif not self.load:
            collection = init_state_collection(state, loaded, key)
            for one in merged:
                collection.append_without_event(one)
        elif relation.quiet and self._is_there(target, key, merged):
            self._mark(target)
        else:
            cast(Any, state.manager[key].impl).set(state, loaded, merged, _adapt=False, passive=PASSIVE_MERGE)

    def _is_there(self, target: Target, key: str, merged: list[Any]) -> bool:
        """Whether the target's collection was loaded for this merge, and holds these very objects in this order."""
        there = target.loaded.get(key)
        if id(there) not in self.curtain.fresh or not _is_plain(target) or key in target.state.committed_state:
            return False
        # With a member that is there twice SQLAlchemy has a way of its own.
        ids = list(map(id, merged))
        return list(map(id, list.__iter__(cast(list[Any], there)))) == ids and len(set(ids)) == len(ids)


def _is_plain(target: Target) -> bool:
    return target.state.manager is target.visit.plan.manager and not target.state._last_known_values
