"""Tests of the codecs, by themselves."""
