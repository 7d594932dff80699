"""An object graph as plain data and as bytes, without I/O.

`capture` makes a `Snapshot` of objects, an encoding makes bytes of it; the other way, the encoding reads and checks the
bytes, `verify` checks the graph, and `restore` makes objects of it.
"""

from sojourn.snapshot.document import dumps, loads

__all__ = ["dumps", "loads"]
