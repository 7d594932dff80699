"""Modules that are type-checked as a user of sojourn would type-check them; `make check` runs mypy over them."""
