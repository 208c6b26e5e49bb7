# Everything a person types. Each target sets up what it needs; nothing wants root, Docker or a terminal.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
UV := $(or $(shell command -v uv),.venv-uv/bin/uv)
JOBS ?= 2

# A company's own certificates count for uv as they do for pip.
export UV_SYSTEM_CERTS := true

.DEFAULT_GOAL := help
.PHONY: help setup drill test test-unit test-notebooks exhaustive lab lint check bench lock clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

drill: $(READY) ## rehearse the collection in the sandbox, write outputs/ and its index
	$(BIN)/runbook drill --jobs $(JOBS)

test: test-unit test-notebooks ## every test

test-unit: $(READY)
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "not chaos and not exhaustive" $(COVERED)
	$(BIN)/pytest -m "chaos and not exhaustive" $(COVERED_TOO)

exhaustive: $(READY) ## what make test runs a sample of: every fault on every call of every vendor's case
	$(BIN)/pytest -n $(JOBS) -m exhaustive

# Those that begin from nothing; what rests on another run is run from end to end by tests/runbooks and the drills.
ALONE := $(addprefix notebooks/,drills rollout/03_dns_preconfiguration.ipynb incidents/high_error_rate.ipynb)
test-notebooks: $(READY)
	$(BIN)/pytest --nbval-lax --nbval-cell-timeout=300 -p no:cacheprovider --disable-warnings $(ALONE)

lab: $(READY) ## JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

lint: $(READY) ## style, types, notebooks without outputs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	find notebooks -name '*.ipynb' -print0 | xargs -0 $(BIN)/nbstripout --verify --keep-id --extra-keys 'metadata.papermill cell.metadata.papermill cell.metadata.execution'

check: COVERED := --cov --cov-report=
check: COVERED_TOO := --cov --cov-append --cov-report=term:skip-covered
check: lint test ## what CI runs: lint, types, tests with branch coverage, notebooks clean

bench: $(READY) ## the benchmarks, each against its peer in the same run
	$(BIN)/python bench/run.py

lock: | $(UV) ## solve the dependencies of pyproject.toml anew
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	  --all-extras --upgrade --output-file requirements.lock pyproject.toml

setup: $(READY) ## install what the other targets need (they do it themselves)

# uv comes from PATH or into a folder of its own; it also brings a Python where the machine's is too old.
.venv-uv/bin/uv:
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/pip install --quiet "uv>=0.13.9,<0.14"

$(READY): requirements.lock pyproject.toml | $(UV)
	@echo "installing what requirements.lock names into $(VENV)"
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --python "$$($(PYTHON) -c \
	  'import sys; print(sys.executable if sys.version_info >= (3, 11) else "3.11")')" $(VENV)
	@UV_COMPILE_BYTECODE=1 $(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q lib
	@touch $(READY)

clean: ## remove what make made, but not outputs/
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
