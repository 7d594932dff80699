"""The demo: one real plane leaves its session, travels as JSON, and comes home without losing anyone's work.

`models` maps the flights that left New York in 2013, `dataset` makes a SQLite file of them, `worker` is the separate
process that edits the JSON, `edits` knows what each side changes and what must come of it, `story` tells it all.
"""
