"""The tests of sojourn. They mirror src/sojourn: src/sojourn/session/attach.py is tested by
tests/session/test_attach*.py."""
