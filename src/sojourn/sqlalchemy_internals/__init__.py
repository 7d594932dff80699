"""The only wing that touches SQLAlchemy's private parts, in a few small rooms.

Everything here is a small named operation: what it needs from SQLAlchemy that has no public spelling, and why. The rest
of sojourn calls these names, so a change in SQLAlchemy is work in one place. `tests/sqlalchemy_internals/`
checks each operation against what SQLAlchemy itself does, on every supported version.

The names used: `InstanceState.committed_state`, `.callables`, `.expired_attributes`, `.parents`, `._strong_obj`,
`._instance_dict`; `AttributeImpl`; `CollectionAdapter`; `Mapper._is_orphan`,
`._identity_class`; `MutableBase._parents`; `ClassManager.new_instance`,
`._state_constructor`, `._state_setter`;
`IdentityMap._dict`, `._modified`; `Session._new`, `._deleted`, `._transaction`, `._nested_transaction`,
`._autobegin_t`, `._save_impl`, `._expunge_states`, `._before_attach`, `._after_attach`; `SessionTransaction._new`,
`._dirty`, `._deleted`, `._key_switches`, `._connections`, `._take_snapshot`, `._connection_for_bind`;
`RootTransaction._connection_rollback_impl`; `Load.context` and its elements; `OrderingList._order_entity` and its like;
`InstanceState._commit_all_states`; `TypeEngine._variant_mapping`; `Connection._is_autocommit_isolation`;
`Select._order_by_clauses`, `._limit_clause`, `._offset_clause`, `._fetch_clause`, `._distinct`, `._group_by_clauses`,
`._having_criteria`, `._for_update_arg`, `._with_options`; `_label_reference`.
"""

from sojourn.sqlalchemy_internals.building import (
    Builder,
    build_persistent,
    make_builder,
    new_instance,
    plain_builder,
)
from sojourn.sqlalchemy_internals.edits import (
    base_of,
    change_unloaded,
    clear_parent,
    drop_parent,
    edit_collection,
    edited_keys,
    forget_edit,
    forget_edits,
    forget_mutation,
    is_orphan,
    leave_as_orphan,
    mark_modified,
    members,
    pending_mutations,
    put_collection,
    refill,
    replace_base,
    set_base,
    set_parent,
    settle,
    track_mutable,
    untie_parent,
    was_let_go,
)
from sojourn.sqlalchemy_internals.filling import fill_collection, fill_lists, fill_loaded
from sojourn.sqlalchemy_internals.flushing import (
    adds_or_deletes,
    column_edits,
    flush_is_watched,
    modified_states,
    settle_written,
    update_is_watched,
)
from sojourn.sqlalchemy_internals.greenlets import await_only, greenlet_spawn
from sojourn.sqlalchemy_internals.guard import (
    guard,
    take_off_guard,
    unload,
)
from sojourn.sqlalchemy_internals.lazy_loading import (
    LOAD_OPTIONS,
    Ways,
    as_lazy_load,
    eager_among,
    eager_in_refresh,
    expired_keys,
    load_as,
    loads_by_get,
    loads_lazily,
    path_of_members,
    plain_rows,
    way_of_rows,
)
from sojourn.sqlalchemy_internals.loading import (
    become_transient,
    class_notes,
    expire_unloaded,
    fire_load,
    fire_refresh,
    has_load_events,
    has_refresh_events,
    identity_class,
    loaded_now,
)
from sojourn.sqlalchemy_internals.merge_curtain import Curtain, Members
from sojourn.sqlalchemy_internals.merge_plan import reads_old
from sojourn.sqlalchemy_internals.merge_play import Merging
from sojourn.sqlalchemy_internals.merge_walk import MEMBER, REFERENCE, ROOT, Visit, Walk
from sojourn.sqlalchemy_internals.numbering import Numbering, numbering_of
from sojourn.sqlalchemy_internals.options import (
    OptionStep,
    forget_options,
    option_steps,
)
from sojourn.sqlalchemy_internals.reading import Loaded, Reader, Reading, make_reader, state_in
from sojourn.sqlalchemy_internals.recall import Recall
from sojourn.sqlalchemy_internals.savepoints import NestedTransaction, connections_of
from sojourn.sqlalchemy_internals.sessions import (
    Whereabouts,
    attach_pending,
    attach_persistent,
    before_merge,
    held_by,
    in_session,
    looks_up_plainly,
    not_held,
    pending_states,
    sessions_of,
    take_out,
    touched_states,
    whereabouts,
)
from sojourn.sqlalchemy_internals.state import State
from sojourn.sqlalchemy_internals.statements import Ordering, criteria_of, orderings_of, shaping_of
from sojourn.sqlalchemy_internals.transactions import commits_each_statement
from sojourn.sqlalchemy_internals.types import variant_for, variants_of
from sojourn.sqlalchemy_internals.undo import Undo

__all__ = [
    "Builder",
    "Curtain",
    "LOAD_OPTIONS",
    "Loaded",
    "MEMBER",
    "Members",
    "Merging",
    "Numbering",
    "NestedTransaction",
    "OptionStep",
    "REFERENCE",
    "ROOT",
    "Ordering",
    "Reader",
    "Reading",
    "Recall",
    "State",
    "Undo",
    "Visit",
    "Walk",
    "Ways",
    "Whereabouts",
    "adds_or_deletes",
    "as_lazy_load",
    "attach_pending",
    "attach_persistent",
    "base_of",
    "become_transient",
    "before_merge",
    "build_persistent",
    "await_only",
    "change_unloaded",
    "class_notes",
    "clear_parent",
    "column_edits",
    "commits_each_statement",
    "criteria_of",
    "connections_of",
    "drop_parent",
    "eager_among",
    "eager_in_refresh",
    "edit_collection",
    "edited_keys",
    "expire_unloaded",
    "expired_keys",
    "fill_collection",
    "fill_lists",
    "fill_loaded",
    "fire_load",
    "fire_refresh",
    "flush_is_watched",
    "forget_edit",
    "forget_edits",
    "forget_mutation",
    "forget_options",
    "greenlet_spawn",
    "guard",
    "has_load_events",
    "has_refresh_events",
    "held_by",
    "identity_class",
    "in_session",
    "is_orphan",
    "leave_as_orphan",
    "load_as",
    "loaded_now",
    "loads_by_get",
    "loads_lazily",
    "looks_up_plainly",
    "make_builder",
    "make_reader",
    "mark_modified",
    "members",
    "modified_states",
    "not_held",
    "new_instance",
    "numbering_of",
    "option_steps",
    "orderings_of",
    "path_of_members",
    "plain_rows",
    "pending_mutations",
    "pending_states",
    "plain_builder",
    "put_collection",
    "reads_old",
    "refill",
    "replace_base",
    "sessions_of",
    "set_base",
    "set_parent",
    "settle",
    "settle_written",
    "shaping_of",
    "state_in",
    "take_off_guard",
    "take_out",
    "touched_states",
    "track_mutable",
    "unload",
    "untie_parent",
    "update_is_watched",
    "variant_for",
    "variants_of",
    "way_of_rows",
    "was_let_go",
    "whereabouts",
]
