# The entry points, for people and for CI. Every path is relative, so a checkout may lie in a folder with spaces.
# Longer recipes are in scripts/.

SHELL := /bin/sh
BIN := .venv/bin
PYTHON_CODE := shared edge cloud lab tests

DEMO_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=
# One worker more than there are cores: tests of processes wait for half of their time.
TEST_WORKERS ?= -n $$(nproc | awk '{print $$1 < 8 ? $$1 + 1 : 8}') --dist loadfile --no-loadscope-reorder
CHAOS_ARGS ?= --rounds 100 --seed 20260801 --json

.DEFAULT_GOAL := help
.PHONY: help venv check test demo bench test-long lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

venv: ## make .venv from the hash-pinned locks (again when a lock has changed)
	@scripts/venv dev

check: ## format, lint, types over product and tests, import contracts
	@scripts/venv dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PYTHON_CODE)
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

# Hundreds of processes start in a run: each would compile the product again where bytecode is not kept.
test test-long: export PYTHONDONTWRITEBYTECODE =
test: ## install the system peers where possible, then run all tests but the campaigns, on all cores (TEST_ARGS)
	@scripts/venv dev
	@scripts/peers
	@$(BIN)/python -m pytest $(TEST_WORKERS) $(TEST_ARGS)

demo: ## run everything with emulated devices (DEMO_ARGS, see `wardlight demo --help`)
	@scripts/venv lab
	@exec $(BIN)/wardlight demo $(DEMO_ARGS)

bench: ## measure against the baselines, as docs/benchmarks.md says (BENCH_ARGS)
	@scripts/venv lab
	@exec $(BIN)/wardlight bench $(BENCH_ARGS)

test-long: ## the campaigns: wide property tests, tests marked long, the chaos rounds (CHAOS_ARGS)
	@scripts/venv dev
	@scripts/peers
	WARDLIGHT_HYPOTHESIS=long $(BIN)/python -m pytest --timeout 0 tests/property
	$(BIN)/python -m pytest -m long --timeout 0 $(TEST_ARGS)
	$(BIN)/wardlight chaos $(CHAOS_ARGS)

lock: ## make requirements/*.txt again from pyproject.toml (needs uv)
	@scripts/lock

clean: ## remove .venv, caches and build results; demo data stays
	rm -rf .venv .cache dist
	find shared edge cloud lab tests -name __pycache__ -type d -prune -exec rm -rf {} +
