"""What sojourn's verbs cost beside SQLAlchemy's own, on the 13,000-object graph: `make bench`.

Each work is a module: its sides are plain functions that prepare, run the watch over what is measured, and check the
answer. `runner` interleaves the sides, `report` prints and keeps the figures, `graph` holds the data and the judge.
"""
