"""SQLAlchemy objects that leave their session and come back safely.

    detached = detach(session, customer, selectinload(Customer.orders))
    ...                                          # edit it anywhere, for as long as it takes
    attach(session, detached)                    # merged with what happened in the meantime

The public names are these; everything else is how they work. For `AsyncSession` see `sojourn.asyncio`.
"""

from importlib.metadata import version

from sojourn.batch.patience import Retry
from sojourn.batch.process import process
from sojourn.batch.progress import Progress
from sojourn.batch.report import BatchReport
from sojourn.errors import (
    UNKNOWN,
    BadArgumentError,
    Conflict,
    ConflictError,
    IncompleteError,
    JobChangedError,
    KeyNeededError,
    LeaseLostError,
    MissingRowError,
    NotAllowedError,
    NotLoadedError,
    NotMappedError,
    NoTransactionError,
    PayloadError,
    PayloadFault,
    SnapshotError,
    SojournError,
    TooManyRejectedError,
    UncommittedError,
    UnknownJobError,
    UnsuitableStatementError,
    WorkersLostError,
    WrongAttributeError,
    WrongSessionError,
)
from sojourn.mapping.state import Change, Changes, CollectionChange, ObjectState, changes, state
from sojourn.session.attach import attach
from sojourn.session.clone import clone
from sojourn.session.detach import detach
from sojourn.session.discard import discard
from sojourn.session.merge import merge
from sojourn.session.patch import patch
from sojourn.session.prefetch import prefetch
from sojourn.session.refresh import refresh
from sojourn.session.report import AttachReport, Merge, RefreshReport
from sojourn.session.savepoint import Savepoint, savepoint
from sojourn.snapshot import Limits, dumps, json_schema, loads, register_type, to_dict

__version__ = version("sojourn")

__all__ = [
    "UNKNOWN",
    "AttachReport",
    "JobChangedError",
    "LeaseLostError",
    "TooManyRejectedError",
    "UnknownJobError",
    "UnsuitableStatementError",
    "WorkersLostError",
    "BatchReport",
    "Progress",
    "Retry",
    "process",
    "BadArgumentError",
    "Change",
    "Changes",
    "CollectionChange",
    "Conflict",
    "ConflictError",
    "IncompleteError",
    "KeyNeededError",
    "Limits",
    "Merge",
    "MissingRowError",
    "NoTransactionError",
    "NotAllowedError",
    "NotLoadedError",
    "NotMappedError",
    "ObjectState",
    "PayloadError",
    "PayloadFault",
    "RefreshReport",
    "Savepoint",
    "SnapshotError",
    "SojournError",
    "UncommittedError",
    "WrongAttributeError",
    "WrongSessionError",
    "attach",
    "changes",
    "clone",
    "detach",
    "discard",
    "dumps",
    "json_schema",
    "loads",
    "merge",
    "patch",
    "prefetch",
    "refresh",
    "register_type",
    "savepoint",
    "state",
    "to_dict",
]
