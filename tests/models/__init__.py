"""Small mapped models for the tests, one theme a module, each with a declarative base of its own."""
