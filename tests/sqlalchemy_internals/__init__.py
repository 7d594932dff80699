"""Each operation on SQLAlchemy's private parts beside what SQLAlchemy does itself, on every supported version."""
