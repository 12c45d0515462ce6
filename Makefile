# Everything runs from a virtual environment of its own, installed from the lock: no set-up before any target.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help:  ## Print these lines
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# uv, itself from the lock, installs five times as fast as pip; where it cannot (an index that only pip is told of), pip does. Compiled
# as pip would: else every process that the first demo starts compiles the libraries at once.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Parley needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@test -d $(VENV) || { echo "Making the virtual environment $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing from requirements.lock (once, up to two minutes)"
	@awk '/^uv==/{found=1} found{print} found&&!/\\$$/{exit}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock 2> $(VENV)/uv.log \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP)  ## Install from the lock

demo: $(STAMP)  ## Play a day in a contact centre on a real broker, and reconcile it
	@$(BIN)/python -m devstack.demo

up: $(STAMP)  ## Start broker, topics, emulator and the five services, until Ctrl-C
	@$(BIN)/parley up

test: $(STAMP)  ## Everything that CI runs: lint, types, import contracts, tests
	@$(BIN)/python -m tests.run_all

lint: $(STAMP)  ## Format check, ruff, mypy, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(STAMP)  ## Format the code and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(STAMP)  ## Generate docs/asyncapi.yaml, docs/settings.md and the other generated pages
	@$(BIN)/python -m cli.docs

sim: $(STAMP)  ## Simulate days under crashes: SEED=… STEPS=… HOURS=…
	@$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED)) $(if $(STEPS),--steps $(STEPS)) $(if $(HOURS),--hours $(HOURS))

chaos: $(STAMP)  ## Faults on the real parts under load: MINUTES=… SEED=… FAULT=F7
	@$(BIN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(FAULT),--fault $(FAULT))

fuzz: $(STAMP)  ## Bad input into every parser and consumer: INPUTS=…
	@$(BIN)/python -m tests.fuzz $(if $(INPUTS),--inputs $(INPUTS))

bench: $(STAMP)  ## Measure; JSON lines on standard output
	@$(BIN)/python -m tests.bench

profile: $(STAMP)  ## Where the CPU of the reducer and of ingest goes
	@$(BIN)/python -m tests.bench.profile

lock: $(STAMP)  ## Compile requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev --extra embedded --output-file requirements.lock pyproject.toml

clean:  ## Remove the virtual environment, caches and local data
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov

.PHONY: help install demo up test lint fmt docs sim chaos fuzz bench profile lock clean
