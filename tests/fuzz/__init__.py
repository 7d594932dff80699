"""Fuzzing `loads`: damaged documents and random bytes, by `python -m tests.fuzz` (long) and test_fuzz.py (short).

What is held against each input is in oracle.py, where the inputs come from in corpus.py and mutate.py.
"""
