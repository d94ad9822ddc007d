# `make run` and `make test` are all that a newcomer needs; both set up what is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Debian has nats-server in /usr/sbin, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin:/sbin
PAGES := src/tickmux/web/static/index.html

.PHONY: help run test test-hours mutants check stress bench bench-short bench-ingest faults attack setup clean system-packages

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

run: $(VENV)/.run $(PAGES)  ## set up, then serve a made-up market behind Zerodha's wire protocol
	$(BIN)/tickmux serve --simulate zerodha

test: $(VENV)/.dev $(PAGES) system-packages check  ## set up, then run all checks and tests
	@if command -v npm >/dev/null; then cd frontend && npm run --silent check && npm test --silent; \
	else echo "SKIPPED: the front end's tests need Node 20 or newer"; fi
	$(BIN)/pytest -n auto --dist worksteal

test-hours: $(VENV)/.dev  ## the tests at other hours: markets open, a Saturday, New Year's midnight (long; gcc)
	$(BIN)/python -m pip install --quiet --group hours
	$(BIN)/python tests/hours.py

mutants: $(VENV)/.dev  ## small changes of the core that no test notices (hours)
	$(BIN)/python -m pip install --quiet --group mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

check: $(VENV)/.dev  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

stress: $(VENV)/.dev  ## clients, sources, lists and restarts at random, on virtual time (STRESS_ROUNDS=300)
	STRESS_ROUNDS=$${STRESS_ROUNDS:-300} $(BIN)/pytest tests/feeds/test_stress.py tests/feeds/test_stress_restarts.py

bench: $(VENV)/.dev  ## CPU per delivery and latency, against a bare C sender (Linux, gcc)
	$(BIN)/python -m benchmarks

bench-short: $(VENV)/.dev
	$(BIN)/python -m benchmarks --short

bench-ingest: $(VENV)/.dev  ## CPU from a broker's bytes to ticks, beside the brokers' own SDKs (seconds)
	$(BIN)/python -m benchmarks.ingest

faults: $(VENV)/.dev  ## every broker's faults, measured into docs/reliability.md (ten minutes)
	$(BIN)/python tests/faults/measure.py --write docs/reliability.md

attack: $(VENV)/.dev  ## what attacks cost others, before and now (a minute or two)
	$(BIN)/python tests/attack/figures.py

setup: $(VENV)/.dev $(PAGES)  ## set up for development

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

# Without Node the server runs all the same, and says at its address how to get the pages.
$(PAGES): $(shell find frontend/src frontend/public frontend/*.json frontend/*.ts frontend/index.html -type f 2>/dev/null)
	@if command -v npm >/dev/null; then \
	  cd frontend && npm ci --silent --no-audit --no-fund && npm run --silent build && touch ../$(PAGES); \
	else echo "the web pages need Node 20 or newer to be built; going on without them"; fi

# What only some tests need: a browser, a real NATS server, a real PostgreSQL. Debian keeps servers out of a user's PATH.
system-packages:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin:$$(echo /usr/lib/postgresql/*/bin | tr ' ' ':')"; missing=""; \
	for one in chromium:chromium nats-server:nats-server initdb:postgresql; do \
	  command -v $${one%%:*} >/dev/null || missing="$$missing $${one##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq $$missing >/dev/null; \
	  else echo "some tests will be skipped: install them with  sudo apt-get install$$missing"; fi; fi

clean:  ## remove what was set up and built
	rm -rf $(VENV) build dist benchmarks/bin frontend/node_modules src/tickmux/web/static
