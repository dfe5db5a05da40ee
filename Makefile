# `make help` lists what there is. Everything here needs only Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo lab test check lint fast bench docs picture test-all lock clean

help: ## what each command does
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(VENV)/.ready ## make .venv with pinned dependencies

$(VENV)/.ready: requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "badgateway needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12 ..." % sys.version.split()[0])'
	@echo "making $(VENV) with pinned dependencies: once, about half a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## break a real chain in ten scenes, each checked (under 30 s)
	@$(BIN)/badgateway demo

lab: setup ## bring up the chain and stay: CDN on 8080, control API on 8500 (UP="options" for more)
	@$(BIN)/badgateway up $(UP) || [ $$? -eq 130 ]

test: setup ## all tests, on both cores
	$(BIN)/pytest -n 2 --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: setup
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

check: lint fast ## ruff, mypy --strict, and the fast part of the tests

bench: setup ## every figure that README quotes, measured here
	$(BIN)/python -m benchmarks

docs: setup ## write anew what the documentation takes from what runs
	$(BIN)/python -m tests.support.docs

picture: setup ## record the README's picture anew
	$(BIN)/python -m tests.support.docs picture

test-all: ## the tests on every Python from 3.11 to 3.13 found here
	@sh .ci/test-all

lock: setup ## renew the pinned requirements (needs uv)
	sh .ci/lock

clean: ## remove .venv and what the tools left
	rm -rf $(VENV) .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
