# The whole developer interface: `make` lists the targets. `make demo` and `make test` set up all they need in .venv,
# on a machine with no more than Python >= 3.11 and make, and again only when pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find mmlab -name '*.py')
NOTEBOOKS := $(wildcard notebooks/*.ipynb)
STRIP := $(BIN)/nbstripout --keep-id --extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution"

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

# --- Use -------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: .venv/warm ## Trade the sample, end with a summary and a report
	@$(BIN)/mmlab demo

.PHONY: lab
lab: .venv/warm ## Open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir=notebooks

# --- Check -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: .venv/dev browser prometheus ## Linters, types, import contracts, then the tests
	@$(MAKE) --no-print-directory .venv/warm & warming=$$!; \
	$(MAKE) --no-print-directory .venv-bench/installed lint types && wait $$warming
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 30

.PHONY: lint
lint: .venv/dev ## Ruff, spelling, import contracts, notebooks without outputs
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "Not formatted: run 'make format'"; exit 1; }
	@$(BIN)/codespell $$(git ls-files)
	@$(BIN)/lint-imports --no-logo
ifneq ($(NOTEBOOKS),)
	@$(STRIP) --verify $(NOTEBOOKS) || { echo "Notebooks with outputs: run 'make format'"; exit 1; }
endif

.PHONY: types
types: .venv/dev ## Mypy, strict
	@$(BIN)/mypy

.PHONY: format
format: .venv/dev ## Format code, strip notebooks
	@$(BIN)/ruff check --fix --quiet || true
	@$(BIN)/ruff format
ifneq ($(NOTEBOOKS),)
	@$(STRIP) $(NOTEBOOKS)
endif

.PHONY: notebooks
notebooks: .venv/dev .venv/warm ## Run every notebook through papermill, into artefacts/
	@mkdir -p artefacts
	@for notebook in $(NOTEBOOKS); do \
	    $(BIN)/papermill --cwd notebooks $$notebook artefacts/$$(basename $$notebook); \
	done

.PHONY: docs
docs: .venv/installed .venv-docs/installed ## Build the docs as a site, into build/site
	@$(BIN)/python docs/generate.py
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --strict
	@echo "build/site/index.html; with search: python3 -m http.server --bind 127.0.0.1 --directory build/site"

.PHONY: bench
bench: .venv/warm .venv-bench/installed ## Parity and speed against hftbacktest
	@$(BIN)/python benchmarks/hftbacktest_parity.py

.PHONY: soak
soak: .venv/dev ## Ten million events of trouble for the order manager
	@$(BIN)/python -m tests.orders.soak

.PHONY: evidence-02
evidence-02: .venv/dev .venv/warm .venv-bench/installed browser ## Every claim of issue 2: PASS or FAIL, with figures
	@$(BIN)/python benchmarks/evidence_02.py

.PHONY: evidence-03
evidence-03: .venv/dev .venv/warm ## Every claim of issue 3: PASS or FAIL, with figures
	@$(BIN)/python benchmarks/evidence_03.py

.PHONY: evidence-04
evidence-04: .venv/dev .venv/warm browser ## Every claim of issue 4: PASS or FAIL, with figures
	@$(BIN)/python benchmarks/evidence_04.py

.PHONY: evidence-05
evidence-05: .venv/dev .venv/warm ## Every claim of issue 5: PASS or FAIL, with figures
	@$(BIN)/python benchmarks/evidence_05.py

.PHONY: evidence-06
evidence-06: .venv/dev .venv/warm prometheus ## Every claim of issue 6: PASS or FAIL, with figures
	@$(BIN)/python benchmarks/evidence_06.py

.PHONY: ops
ops: .venv/dev ## Make Prometheus' rules, Grafana's dashboards and the rest of ops/
	@$(BIN)/python -m mmlab.telemetry.ops ops

.PHONY: clean
clean: ## Remove caches and built files (keeps .venv and runs/)
	@find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .venv/warm

# --- Set-up ----------------------------------------------------------------------------------------------------------

# A symbolic link that dangles (its Python is gone) counts as absent, so the environment is made again.
$(BIN)/python:
	@for python in python3.11 python3 python3.12 python3.13 python; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "Making .venv with $$($$python --version)"; \
	        $$python -m venv --clear .venv || { rm -rf .venv; exit 1; }; \
	        exit 0; \
	    fi; \
	done; \
	echo "mmlab needs Python 3.11 or newer, found none: install it (Debian: python3.11 and python3.11-venv)" >&2; exit 1

.venv/installed: pyproject.toml | $(BIN)/python
	@echo "Installing mmlab and its dependencies in .venv (once, some minutes)"
	@$(PIP) install --editable .
	@touch $@

.venv/dev: pyproject.toml | $(BIN)/python
	@echo "Installing mmlab, its dependencies and the developer's tools in .venv (once, some minutes)"
	@$(PIP) install --editable '.[dev]'
	@touch $@ .venv/installed

.venv/warm: .venv/installed $(SOURCES)
	@echo "Compiling the kernels (once after a change, about a minute)"
	@$(BIN)/python tools/warm.py
	@touch $@

.venv-bench/installed: pyproject.toml | .venv/installed
	@echo "Installing hftbacktest in .venv-bench, which is its own since it pins numpy < 2.3 (once)"
	@$(BIN)/python -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install $$($(BIN)/python -c \
	    "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['bench'])")
	@touch $@

.venv-docs/installed: pyproject.toml | .venv/installed
	@echo "Installing MkDocs in .venv-docs (once)"
	@$(BIN)/python -m venv --clear .venv-docs
	@.venv-docs/bin/python -m pip --disable-pip-version-check --quiet install $$($(BIN)/python -c \
	    "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['docs'])")
	@touch $@

.PHONY: browser
browser:
	@if command -v chromium >/dev/null; then \
	    exit 0; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing chromium for the browser tests (once)"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else \
	    echo "The browser tests need the program 'chromium' on PATH (Debian: apt-get install chromium)" >&2; exit 1; \
	fi

# Debian's package would start a service of its own, which the policy file forbids while it is installed.
.PHONY: prometheus
prometheus:
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then \
	    exit 0; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing prometheus for the tests of metrics and alerts (once)"; \
	    policy=/usr/sbin/policy-rc.d; made=; \
	    if [ ! -e $$policy ]; then printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; made=yes; fi; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null \
	        || { [ -z "$$made" ] || rm -f $$policy; exit 1; }; \
	    [ -z "$$made" ] || rm -f $$policy; \
	else \
	    echo "The tests need the programs 'prometheus' and 'promtool' on PATH (Debian: apt-get install prometheus)" >&2; exit 1; \
	fi
