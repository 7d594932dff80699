"""Tests of the object graph as plain data."""
