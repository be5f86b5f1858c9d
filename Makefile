# Every target sets up what it needs in .venv. Before that: Python 3.11 or newer, and make.

PYTHON ?= python3
ARGS ?=
INPUTS ?= 50000

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready
UNFINISHED := $(VENV)/.unfinished

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup race test test-slow wheel-test check format-check lint types layers audit docs format fuzz bench lock clean always

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' Makefile | awk -F': +' '{ printf "make %-13s %s\n", $$1, $$2 }'

# The stamp holds the folder it was made in: a moved or copied .venv, or one whose Python is gone, is made anew.
USABLE := $(shell test "$$(cat $(READY) 2>/dev/null)" = "$(CURDIR)" && $(PY) -c '' 2>/dev/null && echo yes)
ifneq ($(USABLE),yes)
$(READY): always
endif

$(READY): pyproject.toml requirements-dev.lock
	@command -v "$(PYTHON)" >/dev/null || \
	    { echo "There is no '$(PYTHON)' here. Name a Python 3.11 or newer: make setup PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gradrace needs Python 3.11 or newer," \
	    "but '$(PYTHON)' is $$("$(PYTHON)" -V 2>&1). Name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@echo "== set-up in $(VENV): some minutes the first time"
	@if test -e $(UNFINISHED) || { test -e $(READY) && test "$(USABLE)" != yes; } || ! $(PY) -m pip -V >/dev/null 2>&1; \
	    then rm -rf $(VENV); fi
	@test -d $(VENV) || { mkdir $(VENV) && touch $(UNFINISHED) && "$(PYTHON)" -m venv $(VENV); }
	@touch $(UNFINISHED) && rm -f $(READY)
	@$(PY) -m pip install -qq --upgrade pip
	@$(PY) -m pip install -qq -r requirements-dev.lock
	@$(PY) -m pip install -qq --no-deps --no-build-isolation -e .
	@rm $(UNFINISHED)
	@echo "$(CURDIR)" > $(READY)

setup: $(READY)  ## .venv with the pinned tools and gradrace itself
	@echo "Ready: $(PY)"

race: $(READY)  ## the default race; results in results/
	@mkdir -p results
	@$(BIN)/gradrace race --store results/races.db --json results/race.json --report results/race.html $(ARGS)
	@echo "Results: results/race.html (the page to open), results/race.json (the summary), results/races.db (every trial)"

test: $(READY)  ## the fast tests
	@echo "== tests"
	@$(PY) -m pytest -q -n 2 $(ARGS)

test-slow: $(READY)  ## the tests marked slow
	@echo "== slow tests"
	@$(PY) -m pytest -q -n 2 -m slow $(ARGS) || test $$? -eq 5 # 5: there are none

wheel-test: $(READY)  ## builds the wheel and races with it in empty environments, lowest and newest versions
	@echo "== wheel"
	@$(PY) -m pytest -q -rP -n 2 -m slow tests/test_wheel.py $(ARGS)

check: format-check lint types layers audit test docs  ## all that has to hold before a change lands

format-check: $(READY)
	@echo "== format"
	@$(BIN)/ruff format --check --quiet .

lint: $(READY)
	@echo "== lint"
	@$(BIN)/ruff check --quiet .

types: $(READY)
	@echo "== types"
	@$(PY) -m pyright

layers: $(READY)
	@echo "== layers"
	@out=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$out"; exit 1; }

audit: $(READY)  ## known vulnerabilities of the locked versions, where the network allows
	@echo "== audit"
	@$(PY) benchmarks/audit.py

docs: $(READY)  ## the pages, into site/
	@echo "== docs"
	@out=$$($(PY) -m mkdocs build --strict 2>&1) || { echo "$$out"; exit 1; } # with --quiet it would count no warnings

format: $(READY)  ## formats, and mends what the linter can mend
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix .

fuzz: $(READY)  ## 50,000 garbled stores, files and specs; another number: make fuzz INPUTS=5000
	@GRADRACE_FUZZ=$(INPUTS) $(PY) -m pytest -q -n 2 tests/fuzz $(ARGS)

bench: $(READY)  ## gradrace against its peers: docs/benchmarks.md, docs/benchmarks.json
	@$(PY) -m pip install -qq -r requirements-bench.lock
	@$(PY) benchmarks/bench.py $(ARGS)

# Versions only: no hashes, no locations, no build suffix of torch, no CUDA libraries (torch pins them itself).
LOCK_VENV := .lock-venv

lock:  ## requirements-dev.lock anew
	@echo "== lock: some minutes"
	@rm -rf $(LOCK_VENV) && "$(PYTHON)" -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip install -qq --upgrade pip
	@$(LOCK_VENV)/bin/python -m pip install -qq -r requirements-dev.in --group dev
	@{ echo "# Written by 'make lock' from requirements-dev.in and pyproject.toml; not to be edited."; \
	    $(LOCK_VENV)/bin/python -m pip freeze --exclude gradrace \
	    | grep -v -i -e '^nvidia-' -e '^cuda-' -e '^triton==' \
	    | sed -e 's/^\([A-Za-z0-9._-]*==[^+]*\)+.*$$/\1/'; } > requirements-dev.lock.new
	@mv requirements-dev.lock.new requirements-dev.lock && rm -rf $(LOCK_VENV)

clean:  ## removes what tools left; keeps .venv and results/
	@rm -rf build dist site .pytest_cache .ruff_cache .hypothesis .import_linter_cache $(LOCK_VENV) requirements-dev.lock.new
	@for folder in src tests benchmarks examples; do \
	    test ! -d $$folder || find $$folder -type d -name __pycache__ -prune -exec rm -rf {} +; done
