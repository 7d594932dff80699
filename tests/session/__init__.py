"""Tests of the verbs that take a Session."""
