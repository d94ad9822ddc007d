# `make run` and `make test` are all that a newcomer needs; both set up what is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test check bench bench-short setup clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

run: $(VENV)/.run  ## set up, then serve a made-up market behind Zerodha's wire protocol
	$(BIN)/tickmux serve --simulate zerodha

test: $(VENV)/.dev check  ## set up, then run all checks and tests
	$(BIN)/pytest -n auto --dist worksteal

check: $(VENV)/.dev  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev  ## CPU per delivery and latency, against a bare C sender (Linux, gcc)
	$(BIN)/python -m benchmarks

bench-short: $(VENV)/.dev
	$(BIN)/python -m benchmarks --short

setup: $(VENV)/.dev  ## set up for development

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tickmux needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@ $(VENV)/.run

clean:  ## remove what was set up and built
	rm -rf $(VENV) build dist benchmarks/bin
