"""Tests of sojourn.mapping."""
