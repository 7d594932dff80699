"""What else carries ORM objects as bytes, each used as its documentation shows, at its best.

A module has `dumps_graph` and `dumps_wide`, objects to bytes, and, where it can give ORM objects back, `loads_graph`
and `loads_wide`. What a program would make once (schemas, adapters, decoders) is not made in the measured functions.
"""
