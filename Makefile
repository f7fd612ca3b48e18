# `make` lists what there is. Everything sets up what it needs, once, on a machine that has only Python and make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

# The newest usable Python; a name on PATH may be a stub, and Debian's python3 may lack venv, so each is tried.
find_python = for p in $(1); do \
    if command -v $$p >/dev/null && $$p -c 'import sys, ensurepip, venv; sys.exit(not (3, $(2)) <= sys.version_info[:2] <= (3, 13))' \
        2>/dev/null; then echo $$p; break; fi; done
HOST_PYTHON = $(shell $(call find_python,python3.13 python3.12 python3.11 python3 python,11))
DEVICE_PYTHON = $(shell $(call find_python,python3.13 python3.12 python3.11 python3.10 python3 python,10))
TFLITE_PYTHON = $(shell $(call find_python,python3.11 python3.10,10))

UV = .venv/bin/uv pip install --quiet --compile-bytecode --python
SOURCES = pyproject.toml device/pyproject.toml constraints.txt

# `make test ARGS='-k gate -n 4'`: whatever pytest takes.
PYTEST = python -m pytest $(ARGS) $(if $(COVERAGE),--cov --cov-report= --cov-fail-under=0)
export COVERAGE_FILE ?= build/coverage/.coverage.$@

.PHONY: help install demo check lint test test-device test-tflite test-fleet test-pi test-install coverage docs bench \
    constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## Set up .venv with both packages, editable
.venv/installed: $(SOURCES)
	@python="$(HOST_PYTHON)"
	if [ -z "$$python" ]; then
	    echo "edgetl needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt install python3-venv); none was found" >&2; exit 2
	fi
	if [ ! -x .venv/bin/uv ]; then
	    echo "making .venv with $$($$python --version), then installing TensorFlow and the rest: about 3.5 GB"
	    $$python -m venv .venv
	    .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	fi
	$(UV) .venv/bin/python -c constraints.txt -e 'device[sign,mqtt,gpio]' -e '.[imagenet,dev,docs,ray]'
	touch $@

demo: .venv/installed ## The whole story on this machine, from train to forget
	@.venv/bin/edgetl demo --output build/demo --force

check: lint ## Before every commit: ruff, mypy and the fast tests
	@.venv/bin/$(PYTEST) -m 'not slow'

lint: .venv/installed ## ruff and mypy
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test: .venv/installed ## All tests
	@.venv/bin/$(PYTEST)

docs: .venv/installed ## Build the documentation into build/docs, checking links
	@.venv/bin/python -m sphinx --builder html --quiet --fail-on-warning --keep-going --nitpicky docs build/docs
	echo "open build/docs/index.html"

# The device's package alone, without TensorFlow, once for each runtime.
DEVICE_TESTS = pytest pytest-cov hypothesis scikit-learn
.venv-device/installed: .venv/installed $(SOURCES)
	@$(DEVICE_PYTHON) -m venv --clear --without-pip .venv-device
	$(UV) .venv-device/bin/python -c constraints.txt -e 'device[sign,heif,mqtt,gpio]' $(DEVICE_TESTS) playwright axe-playwright-python
	touch $@
.venv-tflite/installed: .venv/installed $(SOURCES) constraints-tflite.txt
	@$(TFLITE_PYTHON) -m venv --clear --without-pip .venv-tflite
	grep -vE '^(numpy|opencv-python-headless|scipy|scikit-learn|ml-dtypes)==' constraints.txt > .venv-tflite/constraints.txt
	$(UV) .venv-tflite/bin/python -c .venv-tflite/constraints.txt -c constraints-tflite.txt \
	    -e 'device[sign,tflite]' $(DEVICE_TESTS)
	touch $@

test-device: .venv-device/installed ## The device's tests without TensorFlow, with LiteRT
	@.venv-device/bin/$(PYTEST) tests/device

test-tflite: .venv/installed ## The device's tests without TensorFlow, with tflite-runtime
	@if [ -z "$(TFLITE_PYTHON)" ]; then
	    echo "skipped: tflite-runtime needs Python 3.10 or 3.11, and none was found"; exit 0
	fi
	$(MAKE) --no-print-directory .venv-tflite/installed
	EDGETL_RUNTIME=tflite .venv-tflite/bin/$(PYTEST) -m 'not once' tests/device

# Flower excludes some of our versions, so it has an environment of its own; so has its simulation's Ray.
.venv-fleet/installed: .venv/installed $(SOURCES) fleet/pyproject.toml constraints-fleet.txt
	@$(HOST_PYTHON) -m venv --clear --without-pip .venv-fleet
	$(UV) .venv-fleet/bin/python -c constraints-fleet.txt -e 'device[sign]' -e 'fleet[simulation]' \
	    pytest pytest-cov hypothesis
	touch $@

test-fleet: .venv/installed ## Tests with Flower: a small fleet, real and simulated
	@if ! $(MAKE) --no-print-directory .venv-fleet/installed; then
	    echo "skipped: Flower could not be installed here; the reason is above"; exit 0
	fi
	.venv-fleet/bin/$(PYTEST) tests/fleet

test-pi: .venv/installed ## The device's tests on an emulated Raspberry Pi
	@tests/pi/run.sh

test-install: .venv/installed ## install.sh and the service on Debian 12 and 13, if possible
	@tests/pi/releases.sh

coverage: .venv/installed ## What tests with COVERAGE=1 reached; fails below the floor
	@export COVERAGE_FILE=build/coverage/.coverage
	.venv/bin/coverage combine --keep --quiet
	.venv/bin/coverage report --skip-covered --sort=cover

bench: .venv/installed ## All benchmarks; results in benchmarks/results
	@.venv/bin/python -m benchmarks

constraints: .venv/installed ## Resolve the newest versions again
	@printf '%s\n' '# Versions that were checked together. Regenerate with `make constraints`.' > constraints.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links requirements.in >> constraints.txt
	printf '%s\n' '# Versions that were checked together with Flower. Regenerate with `make constraints`.' > constraints-fleet.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
	    --no-emit-find-links requirements-fleet.in device/pyproject.toml --extra sign >> constraints-fleet.txt

clean: ## Remove environments and everything that was built
	rm -rf .venv .venv-device .venv-tflite .venv-fleet build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
