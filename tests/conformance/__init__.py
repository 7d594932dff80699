"""SQLAlchemy's own tests as the judge of `sojourn.merge`: `python -m tests.conformance`, or `make conformance`."""
