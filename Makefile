# `make demo` and `make test` set up what they need in .venv; a second call does not install again.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow bench hero sheet format clean

demo: $(VENV)/.core
	$(BIN)/python run.py

# The dev extra holds all that the core holds, so either stamp will do for a run.
test: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow --ignore=tests/benchmarks

# Ratios against a named peer, measured in one process.
bench: $(VENV)/.dev
	$(BIN)/python -m pytest tests/benchmarks -m "slow or not slow" -s

# The README's picture, from a run of the pipeline: make hero RUN=outputs/pipeline/...
hero: $(VENV)/.core
	$(BIN)/python -c "from pathlib import Path; from generators.preview import hero; \
		hero(Path('$(RUN)/images'), Path('docs/hero.png'), image_id=9)"

# The docs' contact sheet: two robots, three lights, their labels, and PyBullet's own picture.
sheet: $(VENV)/.core
	$(BIN)/python -m conf.sheet docs/contact_sheet.png

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Kinetwin needs Python 3.11 or newer; '$(PYTHON)' is older. Set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); this takes a few minutes, once."

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
