# Everything a developer does here is one of these targets; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help install up down test check lint types imports tests stories fuzz bench-converge bench-gateway bench-speed bench-limiter bench-plan bench-yaml bench-strict bench-disconnects soak format lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## list every target
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@# Packages come compiled; what is only linked to is compiled at every start, where Python may not keep it.
	@$(BIN)/python -m compileall -q cli controlplane
	@touch $(READY)

install: $(READY) ## set up .venv from requirements.lock (the other targets do it by themselves)

up: $(READY) ## start the whole stack on this machine, in the foreground
	@$(BIN)/ctl up

down: $(READY) ## stop a stack that was started with `ctl up -d`
	@$(BIN)/ctl down

test: check stories ## what CI runs: check, and the long stories after it

check: lint types imports tests ## lint, types, import rules and tests

lint: $(READY) ## ruff: style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

imports: $(READY) ## the direction of imports between the rooms
	@$(BIN)/lint-imports

# Much of a test is waiting for other processes, so that two share a core.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(2 * os.cpu_count())')
tests: $(READY) ## the tests, on every core
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not story"

stories: $(READY) ## tests of whole stacks, kills and interruptions, and of every route by every role
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m story

EFFORT ?= 25
fuzz: $(READY) ## the property tests and schemathesis with EFFORT times the examples
	@SLUICE_TEST_EFFORT=$(EFFORT) $(BIN)/python -m pytest -n $(WORKERS) -m hypothesis

bench-converge: $(READY) ## time from a REST write to traffic that obeys it
	@$(BIN)/python -m tests.bench.converge

bench-gateway: bench-speed bench-disconnects bench-strict ## the three of them

bench-speed: $(READY) ## speed of one governed gateway process, beside LiteLLM's
	@$(BIN)/python -m tests.bench.gateway

SIZES ?= 1000 3000 10000
bench-plan: $(READY) ## plans, applies and memory with many queues; SIZES names others
	@$(BIN)/python -m tests.bench.plan $(SIZES)

bench-yaml: $(READY) ## a large apisix.yaml, read and written
	@$(BIN)/python -m tests.bench.yaml_file

bench-strict: $(READY) ## whether strict limits hold over two gateways, and how much of them is used
	@$(BIN)/python -m tests.bench.strict

bench-disconnects: $(READY) ## what 10,000 clients leave behind that go away in the middle of a stream
	@$(BIN)/python -m tests.bench.disconnects

soak: $(READY) ## ten minutes of mixed traffic; the gateway's memory has to stay flat
	@$(BIN)/python -m tests.bench.soak

bench-limiter: $(READY) ## decisions a second of the limiter, beside those of the package `limits`
	@$(BIN)/python -m tests.bench.limiter

format: $(READY) ## put the code into the house format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: $(READY) ## make requirements.lock anew from pyproject.toml (needs uv)
	@env -u UV_INDEX_URL uv pip compile --universal --python-version 3.11 --extra dev --extra bench --generate-hashes \
		--no-header --no-emit-index-url pyproject.toml -o requirements.lock

clean: ## remove .venv and caches (the stack's data in .sluice stays)
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
