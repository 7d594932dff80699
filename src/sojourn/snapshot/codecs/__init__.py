"""How values travel, one module for each kind of value. `sojourn.snapshot.values` finds the codec of a column."""
