"""An object graph as plain data and as bytes, without I/O.

`capture` makes a `Snapshot` of objects, an encoding makes bytes of it; the other way, the encoding reads and checks the
bytes, `verify` checks the graph, and `restore` makes objects of it.

`to_dict` and `json_schema` stand beside that: plain nested data for people's own APIs, which never comes back.
"""

from sojourn.snapshot.document import dumps, loads
from sojourn.snapshot.json_schema import json_schema
from sojourn.snapshot.limits import Limits
from sojourn.snapshot.to_dict import to_dict
from sojourn.snapshot.values import register_type

__all__ = ["Limits", "dumps", "json_schema", "loads", "register_type", "to_dict"]
