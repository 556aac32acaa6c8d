# Frontdesk. `make` alone lists what there is.
# TORCH_INDEX: where pip finds CPU builds of PyTorch, if your package index has none
# (PyTorch's page "Get started" names it); on Linux the default build carries CUDA and is large.

VENV ?= .venv
PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX ?=
BIN := $(VENV)/bin
GPU := $(shell command -v nvidia-smi >/dev/null 2>&1 && echo gpu || echo cpu)

.DEFAULT_GOAL := help
# `python3 -m venv` that fails has made the interpreter already: the next call must not take it.
.DELETE_ON_ERROR:
.PHONY: help run install install-dev system lint types imports unit slow test chaos bench audit secrets clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install ## install what is missing and start everything (Ctrl-C stops it)
	$(BIN)/frontdesk up

install: $(VENV)/installed ## make the virtual environment with all that `make run` needs

install-dev: $(VENV)/installed-dev ## the same, and what the tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; choose one with: make PYTHON=python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

$(VENV)/torch: $(VENV)/bin/python
	$(BIN)/pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH)'
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/torch
	$(BIN)/pip install --quiet --editable '.[bot,$(GPU),embedded]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/torch
	$(BIN)/pip install --quiet --editable '.[bot,$(GPU),embedded,dev]'
	@touch $@ $(VENV)/installed

system: ## install PostgreSQL, Chromium and iproute2 for the tests (Debian, Ubuntu)
	@.ci/system

lint: install-dev ## ruff: style and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev ## mypy, strict
	$(BIN)/mypy

imports: install-dev ## which package may import which
	$(BIN)/lint-imports

# The fault suite, the hosts and the starter's training have the cores to themselves.
ALONE := tests/chaos tests/hosts tests/cli/test_starter.py
# All of it would take more than half an hour on two cores, so what is marked slow is left to
# `make slow`; but for the soak, where bf16 in hardware makes it fast enough.
BF16 := $(shell grep -qE 'avx512_bf16|amx_bf16' /proc/cpuinfo 2>/dev/null && echo yes)

unit: install-dev ## the tests, two files at once; what is marked slow is left to `make slow`
	$(BIN)/pytest -n 2 --dist loadfile -m 'not slow' $(ALONE:%=--ignore=%)
	$(BIN)/pytest -m 'not slow' tests/chaos
	$(if $(BF16),$(BIN)/pytest tests/chaos/test_soak.py)
	@echo "make slow runs what is marked slow."

slow: install-dev ## the tests marked slow: the starter, the hosts, RQ's own and others
	$(BIN)/pytest -m slow tests

test: system lint types imports unit ## everything that must pass

chaos: install-dev ## the fault suite and the long soak (ONLY=part of a name, SEED=n to play it again)
	ONLY='$(ONLY)' SEED='$(SEED)' $(BIN)/python -m tests.chaos

bench: install-dev ## the benchmarks of reply, engine, queue and training; benchmarks/RESULTS.md has the figures
	$(BIN)/pip install --quiet --editable '.[bench]'
	$(BIN)/python benchmarks/reply.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/queue.py --jobs 512 --rounds 3
	$(BIN)/python benchmarks/train.py --examples 500

audit: install-dev ## known vulnerabilities of what is installed (asks the advisory database)
	$(BIN)/pip install --quiet --editable '.[audit]'
	$(BIN)/pip-audit --local --skip-editable || { \
	  echo "What it names has to be updated in pyproject.toml. Without the network nothing can be said." >&2; exit 1; }

secrets: install-dev ## keys and tokens in any file that git has; made-up ones are in .secrets.baseline
	$(BIN)/pip install --quiet --editable '.[audit]'
	@# It ends with 3 where only line numbers have moved, which it then writes down.
	@$(BIN)/detect-secrets-hook --baseline .secrets.baseline $$(git ls-files); status=$$?; \
	  [ $$status -eq 0 ] || [ $$status -eq 3 ] || exit $$status

clean: ## remove what the tools leave behind (not data/, models/ or the environment)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist *.egg-info
