# make demo    the sample incident, from logs to timeline
# make test    every test
# make check   everything that CI asks: format, lint, types, contracts, tests
# make bench   reconstruction beside what one would do by hand, on 200,000 records (benchmarks/README.md)
# make bench-rivals   installs lnav and Plaso, which then take part in it
# make web     the script of the offline page, from web/ (Node and npm)
# make screenshots   of that page (Chromium and Playwright)
#
# All but bench-rivals and web make .venv first, if need be, from git, make and Python 3.11 or later alone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

SAMPLE := sample_logs/assist_incident
CASE := demo_case
# Id of the model call that a responder of the sample incident holds in their hands.
HEADLINE := 3ae7c67d-9793-4783-aff1-3d25f838b0e6

# The stamp carries the interpreter's version: another Python makes another environment, and so does a lock that
# changed. It is written last, so that what was left half made is made again.
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null || echo none)
LOCKED := $(VENV)/locked-$(VERSION)
# One environment holds the package either as users install it or in place, as tests want it.
INSTALLED := $(VENV)/installed
IN_PLACE := $(VENV)/in-place

.PHONY: demo test check format lock clean web screenshots bench bench-rivals
.NOTPARALLEL:
.DELETE_ON_ERROR:

demo: $(INSTALLED)
	@echo '$$ strataline reconstruct $(SAMPLE)/logs --formats $(SAMPLE)/formats -o $(CASE) --overwrite'
	@$(BIN)/strataline reconstruct $(SAMPLE)/logs --formats $(SAMPLE)/formats -o $(CASE) --overwrite
	@echo
	@echo 'Where to look: $(CASE)/timeline.md, the Parquet tables beside it, and $(SAMPLE)/EXPECTED.md,'
	@echo 'which says what a reader should find. One of its requests, by the id of a model call:'
	@echo
	@echo '$$ strataline show $(CASE) $(HEADLINE)'
	@$(BIN)/strataline show $(CASE) $(HEADLINE)

test: $(IN_PLACE)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Cheapest first; what takes long, or needs a browser, npm or a capture, is a step of its own before the suite. What was
# skipped is listed with the reason.
check: $(IN_PLACE)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=src:. $(BIN)/lint-imports
	$(BIN)/python docs/build_pages.py --check
	$(BIN)/python -m pytest -n 2 --dist worksteal -rsx -m slow
	$(BIN)/python -m pytest -n 2 --dist worksteal -rsx -m 'not slow'

format: $(IN_PLACE)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python docs/build_pages.py

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo 'Strataline needs Python 3.11 or later; version of $(PYTHON): $(VERSION).' >&2; \
	    echo 'Name another one: make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    name=$$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'); \
	    echo "$(PYTHON) has no venv, which this needs to make $(VENV). On Debian and Ubuntu:" >&2; \
	    echo "    apt install python3-venv    (or $$name, where python3 is another version)" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml README.md LICENSE $(shell find src parsers -not -name '*.pyc' -not -name __pycache__ -not -path '*.egg-info*')
	@rm -rf build $(IN_PLACE)
	$(PIP) install --no-deps --no-build-isolation --force-reinstall .
	@rm -rf build
	@touch $@

$(IN_PLACE): $(LOCKED) pyproject.toml
	@rm -rf $(INSTALLED)
	$(PIP) install --no-deps --no-build-isolation --force-reinstall --editable .
	@touch $@

# Needs a network. Run it under the oldest Python that is supported; whatever the lock names is kept unless
# `make lock UPGRADE=--upgrade` asks for newer versions.
lock:
	$(PYTHON) -m venv --clear .lock-venv
	.lock-venv/bin/python -m pip install --quiet pip-tools
	.lock-venv/bin/pip-compile --quiet $(UPGRADE) --extra dev --all-build-deps --allow-unsafe --generate-hashes \
	    --strip-extras --no-emit-options --no-header --output-file requirements.lock pyproject.toml
	sed -i -e '/considered to be unsafe/d' \
	    -e '1i # Everything that it takes to run, build and test, by version and hash. Made by `make lock`.' requirements.lock
	rm -rf .lock-venv

bench: $(IN_PLACE)
	$(BIN)/python benchmarks/rivals

# lnav from Debian, Plaso from PyPI in an environment of its own.
bench-rivals:
	@command -v lnav >/dev/null || { apt-get update -qq && apt-get install -y -qq lnav; } || \
	    echo 'lnav cannot be had here: apt install lnav, as root' >&2
	$(PYTHON) -m venv .rivals
	.rivals/bin/python -m pip --disable-pip-version-check --quiet install plaso || \
	    echo 'Plaso cannot be had here' >&2

# The built script is committed: nobody needs Node to install or to use this.
web:
	cd web && npm install --no-package-lock --no-audit --no-fund && npm run build

screenshots: $(IN_PLACE)
	$(PIP) install playwright
	$(BIN)/python docs/screenshots.py

clean:
	rm -rf web/node_modules $(VENV) .lock-venv .rivals build dist $(CASE) src/*.egg-info .mypy_cache .ruff_cache .pytest_cache \
	    .hypothesis .import_linter_cache
