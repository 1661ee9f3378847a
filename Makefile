# gristmill: `make demo` shows it, `make test` checks it. Every target sets up its environment.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Tests run in so many processes, each file in one of them; Ray and torch start others beside them.
NUM_PROCESSES ?= 2
PYTEST := $(BIN)/pytest --numprocesses $(NUM_PROCESSES) --dist loadfile --no-loadscope-reorder
STAMP := $(VENV)/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)

.PHONY: help setup demo test test-all test-slow explore check format bench docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 14

setup: $(STAMP) ## the environment in .venv, from the lock file

$(STAMP):
	$(PYTHON) -m venv $(VENV)
	# torch first and by its pin: resolved together with the rest, pip may prefer a CUDA build.
	$(BIN)/pip install --quiet "$$(grep -E '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	rm -f $(VENV)/.installed-*
	touch $@

demo: setup ## raw text to a trained model, a fitted law and a plan, in about 8 minutes
	$(BIN)/gristmill run launch/recipes/tiny.toml

test: setup ## the default tests: offline, CPU only, under 6 minutes
	$(PYTEST)

test-slow: setup ## the marked tests only, without those that need a cluster's daemons
	$(PYTEST) -m 'slow and not cluster and not alone'
	$(BIN)/pytest -m 'alone and not cluster'

test-all: setup ## every test
	$(PYTEST) -m 'not alone'
	$(BIN)/pytest -m alone

explore: setup ## the laws once more, with other and more examples each time
	$(PYTEST) -m hypothesis --hypothesis-profile explore

check: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## the figures, one JSON object a line
	$(BIN)/python -m benchmarks.mill
	$(BIN)/python -m benchmarks.dataprep

docs: setup ## write the generated pages again
	$(BIN)/python -m docs.generate_config
	$(BIN)/python -m docs.generate_rules

clean: ## remove the demo's output; the environment stays
	rm -rf runs/tiny
