"""Concurrent histories: processes edit the same rows through attach, and a checker replays what each was told.

`models` are the rows, `writer` is the life of one process, `checker` knows nothing of either but plain records, and
`run` puts them together on every database and isolation level (`make histories`).
"""
