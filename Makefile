# What a user and a developer type. Each target sets up what it needs in .venv, and is quick the second time.
# The environment comes from lock files with hashes; PYTHON names the interpreter it is made with.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
TRAIN_VENV := .venv-train
TRAIN_BIN := $(TRAIN_VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet
REPOSITORY ?= model_repository
RUN_FLAGS ?=
TEST_FLAGS ?=
BENCH_FLAGS ?=
SOAK_FLAGS ?=
CONFORMANCE_FLAGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test e2e check protos plugins bench soak conformance train lock clean

help: ## Shows this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/server.done ## Serves the shipped model: gRPC on 8001, metrics on 8002
	$(BIN)/sentinova-server serve --model-repository $(REPOSITORY) --model-control-mode poll $(RUN_FLAGS)

test: $(VENV)/dev.done ## Runs all tests, on real servers too
	$(BIN)/python -m pytest $(TEST_FLAGS)

e2e: $(VENV)/dev.done ## Has the clients of every language call real servers, and prints a table
	$(BIN)/python -m pytest tests/e2e $(TEST_FLAGS)

check: $(VENV)/dev.done ## Checks style, types, layers, protos and stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check
	$(BIN)/python protos/generate.py --descriptors build/protos/sentinova.binpb
	$(BIN)/buf lint build/protos/sentinova.binpb --path sentinova --path inference --config protos/buf.yaml
	$(BIN)/python protos/breaking.py build/protos/sentinova.binpb

protos: $(VENV)/dev.done ## Writes the stubs, their bundles for other languages and docs/api.md from protos/
	$(BIN)/python protos/generate.py

plugins: $(VENV)/dev.done ## Gets what `make protos` needs for languages other than Python
	$(BIN)/python protos/plugins.py

bench: $(VENV)/bench.done ## Measures the server, bare OpenVINO and its peers in one run, and writes a report
	$(BIN)/python -m benchmarks $(BENCH_FLAGS)

soak: $(VENV)/dev.done ## Swaps, breaks and floods versions under load for long, and writes a report
	SENTINOVA_SOAK=1 $(BIN)/python -m pytest tests/soak $(SOAK_FLAGS)

conformance: $(VENV)/dev.done ## Runs every KServe v2 case on the server and on a real Triton, and writes a report
	SENTINOVA_CONFORMANCE=1 $(BIN)/python -m pytest tests/conformance $(CONFORMANCE_FLAGS)

train: $(TRAIN_VENV)/train.done ## Trains, exports and verifies the shipped model from scratch
	$(TRAIN_BIN)/sentinova-train all

lock: $(VENV)/dev.done ## Pins the newest versions that pyproject.toml allows
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --extra dev --output-file requirements/dev.lock \
	  pyproject.toml requirements/build.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --constraint requirements/dev.lock --extra server \
	  --output-file requirements/server.lock pyproject.toml requirements/build.in
	$(BIN)/uv pip compile --quiet --python-platform linux --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --extra train \
	  --output-file requirements/train.lock pyproject.toml requirements/train.in requirements/build.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --constraint requirements/dev.lock --extra bench \
	  --output-file requirements/bench.lock pyproject.toml requirements/build.in
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --upgrade --constraint requirements/dev.lock \
	  --output-file requirements/bench-mlserver.lock requirements/bench-mlserver.in
	sed '/^numpy==/,/[^\\]$$/d' requirements/dev.lock | $(BIN)/uv pip compile --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  --upgrade --no-deps --constraint /dev/stdin --output-file requirements/bench-triton.lock \
	  requirements/bench-triton.in

clean: ## Removes environments and what tools left behind
	rm -rf $(VENV) $(TRAIN_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/server.done: requirements/server.lock pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP) install --require-hashes --requirement requirements/server.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# The dev lock holds the server's packages at the same versions, and more.
$(VENV)/dev.done: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP) install --require-hashes --requirement requirements/dev.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/server.done

# The bench lock holds the server's packages at the dev lock's versions, and what the benchmarks need beside them.
$(VENV)/bench.done: requirements/bench.lock pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP) install --require-hashes --requirement requirements/bench.lock
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/server.done

$(TRAIN_BIN)/python:
	$(PYTHON) -m venv $(TRAIN_VENV)

$(TRAIN_VENV)/train.done: requirements/train.lock pyproject.toml | $(TRAIN_BIN)/python
	$(TRAIN_BIN)/python $(PIP) install --require-hashes --requirement requirements/train.lock
	$(TRAIN_BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
