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

.PHONY: help install demo test lint docs test-device test-pi test-install bench constraints clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## Set up .venv with both packages, editable
.venv/installed: $(SOURCES)
	@python="$(HOST_PYTHON)"
	if [ -z "$$python" ]; then
	    echo "edgetl needs Python 3.11, 3.12 or 3.13 with venv (Debian: apt install python3-venv); none was found" >&2; exit 2
	fi
	if [ ! -x .venv/bin/uv ]; then
	    echo "making .venv with $$($$python --version), then installing TensorFlow and the rest: about 2.5 GB"
	    $$python -m venv .venv
	    .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
	fi
	$(UV) .venv/bin/python -c constraints.txt -e 'device[web,sign]' -e '.[dev,docs]'
	touch $@

demo: .venv/installed ## The main job: train, convert, deploy, learn, forget, on this machine, offline
	@.venv/bin/edgetl demo --output build/demo --force

test: .venv/installed ## All tests
	@.venv/bin/python -m pytest

lint: .venv/installed ## ruff and mypy
	@.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

docs: .venv/installed ## Build the documentation into build/docs; a broken link or a missing page fails
	@.venv/bin/python -m sphinx --builder html --quiet --fail-on-warning --keep-going --nitpicky docs build/docs
	echo "open build/docs/index.html"

# The device's package alone, without TensorFlow, once for each runtime.
.venv-device/installed: .venv/installed $(SOURCES)
	@$(DEVICE_PYTHON) -m venv --clear --without-pip .venv-device
	$(UV) .venv-device/bin/python -c constraints.txt -e 'device[web,sign]' pytest hypothesis scikit-learn
	touch $@
.venv-tflite/installed: .venv/installed $(SOURCES) constraints-tflite.txt
	@$(TFLITE_PYTHON) -m venv --clear --without-pip .venv-tflite
	grep -vE '^(numpy|opencv-python-headless|scipy|scikit-learn|ml-dtypes)==' constraints.txt > .venv-tflite/constraints.txt
	$(UV) .venv-tflite/bin/python -c .venv-tflite/constraints.txt -c constraints-tflite.txt \
	    -e 'device[web,sign,tflite]' pytest hypothesis scikit-learn
	touch $@

test-device: .venv-device/installed ## The device's tests without TensorFlow, with LiteRT and with tflite-runtime
	@.venv-device/bin/python -m pytest tests/device
	if [ -n "$(TFLITE_PYTHON)" ]; then
	    $(MAKE) --no-print-directory .venv-tflite/installed
	    EDGETL_RUNTIME=tflite .venv-tflite/bin/python -m pytest tests/device
	else
	    echo "skipped with tflite-runtime: it needs Python 3.10 or 3.11, and none was found"
	fi

test-pi: .venv/installed ## The device's tests on an emulated Raspberry Pi, where one can be made
	@tests/pi/run.sh

test-install: .venv/installed ## install.sh and the service on Debian 12 and 13, where they can be made
	@tests/pi/releases.sh

bench: .venv/installed ## All benchmarks; results in benchmarks/results
	@.venv/bin/python -m benchmarks

constraints: .venv/installed ## Resolve the newest versions again
	@printf '%s\n' '# Versions that were checked together. Regenerate with `make constraints`.' > constraints.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header \
	    --no-emit-index-url --no-emit-find-links requirements.in >> constraints.txt

clean: ## Remove environments and everything that was built
	rm -rf .venv .venv-device .venv-tflite build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
