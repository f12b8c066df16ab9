# Everything a person or a machine does here. `make` alone lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UPSTREAM ?= http://127.0.0.1:9070
DEMO_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
PAIRS ?= 1000000
SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help setup demo run test lanes fuzz soak lint format bench bench-scan lock audit clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# A Python that is asked for (PYTHON=) makes .venv anew where it is of another version; without one,
# what is there stays. The stamps hold the version, and are redone when pyproject.toml changes.
ifeq ($(origin PYTHON),file)
OURS := $(or $(wildcard $(BIN)/python),$(PYTHON))
else
OURS := $(PYTHON)
endif
VERSION := $(shell $(OURS) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
RUNS := $(VENV)/.runs-$(VERSION)
DEMO := $(VENV)/.demo-$(VERSION)
TESTS := $(VENV)/.tests-$(VERSION)

$(RUNS): pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing; Python 3.11 or later is needed" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or later is needed; set PYTHON=" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(VERSION)")' 2>/dev/null || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@echo "make: installing what running needs into $(VENV)"
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --progress-bar on --editable .
	@touch $@

$(DEMO): $(RUNS)
	@echo "make: installing what the demo needs besides"
	@$(BIN)/python -m pip install --quiet --progress-bar on --editable '.[demo]'
	@touch $@

$(TESTS): $(RUNS)
	@echo "make: installing what testing needs besides"
	@$(BIN)/python -m pip install --quiet --progress-bar on --editable '.[demo,fleet,scan]' --group test --group lint
	@touch $(DEMO) $@

setup: $(RUNS) ## make .venv with the command .venv/bin/restate-shim
	@echo "make: the command is $(BIN)/restate-shim"

demo: setup $(DEMO) ## see it work: a real restate-server, old callers, the report (DEMO_ARGS=--once)
	@$(BIN)/restate-shim demo $(DEMO_ARGS)

run: setup ## serve before your own cluster: make run UPSTREAM=http://host:9070
	@$(BIN)/restate-shim serve --upstream $(UPSTREAM) --log-format console

test: $(TESTS) ## run every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lanes: $(TESTS) ## hold both lanes to the same bytes, over a million generated messages (PAIRS=)
	$(BIN)/python -m tests.proxy.agreement $(PAIRS)

fuzz: $(TESTS) ## mutated messages against both framers, fields, names, meanings (SECONDS=600)
	$(BIN)/python -m tests.fuzz $(SECONDS)

soak: $(TESTS) ## load with faults in between, everything accounted for (SECONDS=600)
	$(BIN)/python -m tests.soak $(SECONDS)

lint: $(TESTS) ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(TESTS) ## let ruff format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Debian: wrk nghttp2-client haproxy nginx libnginx-mod-http-js caddy. A whole run takes half an hour.
bench: $(TESTS) ## measure beside nginx, HAProxy, Caddy, Envoy, aiohttp (BENCH_ARGS=--quick)
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m tests.bench $(BENCH_ARGS)

bench-scan: $(TESTS) ## lines a minute that a scan reads on one core, and how right it is
	$(BIN)/python -m tests.scan.bench
	$(BIN)/python -m tests.scan

lock: $(TESTS) ## write deploy/*.lock anew after a change of dependencies
	$(BIN)/python -m pip install --quiet --group deploy
	PATH="$(CURDIR)/$(BIN):$$PATH" sh deploy/lock.sh

audit: $(TESTS) ## known vulnerabilities of what the image holds; an error where it cannot look
	$(BIN)/python -m pip install --quiet --group deploy
	PATH="$(CURDIR)/$(BIN):$$PATH" sh deploy/audit.sh

clean: ## remove what the targets above have made
	rm -rf $(VENV) .venv-3.* .demo dist bench-results .mypy_cache .ruff_cache .pytest_cache .hypothesis
