# The targets are the vocabulary of the project; `make` alone prints them.
# Every target that needs the environment makes it first, from the locks, with Python and pip alone.

PYTHON ?= $(shell for p in python3.11 python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV ?= uv
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest

# A stamp carries the digest of what it was made from: a changed lock is installed, an unchanged one costs nothing.
digest = $(shell cat $(1) | cksum | cut -d' ' -f1)
LOCKED := .venv/.locked-$(call digest,requirements-build.lock requirements.lock)
LINKED := .venv/.linked-$(call digest,pyproject.toml)

# Nothing here reports home.
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export GX_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help install run test check format stress bench peers peers-alibi up ui golden docs notebook lock clean

help: ## print this
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

install: $(LINKED) ## make .venv from the locks, again only when they have changed

$(LINKED): $(LOCKED)
	@$(PIP) install -q --no-deps --no-build-isolation -e .
	@rm -f .venv/.linked-* && touch $@

# --no-deps: the lock is complete, and pip's hash mode refuses the extra that Evidently asks of pandas.
# --no-build-isolation: an isolated build would fetch a setuptools that no lock names.
$(LOCKED): | $(BIN)/pip
	@echo "Installing the locked environment into .venv (some minutes, once)"
	@$(PIP) install -q --require-hashes -r requirements-build.lock
	@$(PIP) install -q --require-hashes --no-deps --no-build-isolation -r requirements.lock
	@rm -f .venv/.locked-* && touch $@

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "No Python of 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv

run: install ## the running example: a year of flights through the whole loop
	@$(BIN)/python -m examples.flights.run

test: install ## all tests but the stress tests
	@$(PYTEST) -q --durations=10

check: install ## lint, format, types, import contracts, sizes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python infra/size_gate.py

format: install ## mend what ruff can mend by itself
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

stress: install ## the tests that take minutes: a whole year, killed again and again
	@$(PYTEST) -q -m stress --timeout=3600

bench: install ## run every benchmark; the last line of each is JSON
	@for f in benchmarks/*.py; do m=$$(basename $$f .py); echo "== $$m"; $(BIN)/python -m benchmarks.$$m || exit 1; done

peers: .venv-peers/.installed ## a second environment with the peers that benchmarks compare with

peers-alibi: .venv-peers-alibi/.installed ## a third one, with alibi-detect, which wants an older NumPy

.venv-%/.installed: infra/%.txt
	@test -n "$(PYTHON)" || { echo "No Python of 3.11 or later was found. Name one: make $* PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv .venv-$*
	@.venv-$*/bin/python -m pip --disable-pip-version-check install -q -r $<
	@touch $@

up: install ## MLflow, Prefect and the deployments on this machine, until Ctrl-C
	@$(BIN)/incumbent up

ui: install ## open the two UIs on what the run left behind
	@$(BIN)/incumbent ui

golden: install ## renew the golden files, to be looked at in the diff
	@INCUMBENT_GOLDEN=renew $(PYTEST) -q -m golden

docs: install ## renew the reference pages that are made from the code
	@$(BIN)/python infra/reference.py

notebook: install ## make examples/flights/tour.ipynb from tour.py, and run it
	@$(BIN)/python infra/notebook.py examples/flights/tour.py

lock: ## resolve the two locks anew from pyproject.toml; needs uv
	@command -v $(UV) >/dev/null || { echo "uv was not found. Install it, or name it: make lock UV=/path/to/uv"; exit 1; }
	@$(UV) pip compile -q pyproject.toml --all-extras --python-version 3.11 --generate-hashes \
		--no-annotate --no-header -o requirements.lock
	@$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
		| $(UV) pip compile -q - --python-version 3.11 --generate-hashes --allow-unsafe \
		--no-annotate --no-header -o requirements-build.lock

clean: ## remove the state folder, with its ledger, and all caches; .venv stays
	@rm -rf .incumbent build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./.venv -prune -o -path './.venv-*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
