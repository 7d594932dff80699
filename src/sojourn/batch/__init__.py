"""Many rows, one chunk after the other: read by key, written with a ledger in the same transaction."""
