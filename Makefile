# make up: install what the lock file says into .venv and run the whole service here.
# make test: lint and every test.
# make storm: the long storm; to repeat one, make storm ARGS="--seed 7" (--help says more).

# the lock file is for Python 3.11
PYTHON ?= $(shell python3.11 -c "" 2>/dev/null && echo python3.11 || echo python3)
# More for the program that a target runs: make up ARGS="--nodes 3", make test ARGS="-k quota",
# make lock ARGS=--upgrade
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# wheels only: nothing is compiled, and no build fetches what the lock file does not name
INSTALL := $(PIP) install --require-hashes --only-binary :all:

.DEFAULT_GOAL := help
.PHONY: help up test matrix storm lint lock clean
.DELETE_ON_ERROR:

help:
	@echo "make up     run the service in the foreground, Ctrl-C stops it (data in var/)"
	@echo "make test   lint and run every test"
	@echo "make matrix every case of the fault matrix, of which make test runs a part"
	@echo "make storm  five minutes of load in which everything is killed, then the count"
	@echo "make lint   ruff and mypy"
	@echo "make lock   write requirements/*.txt anew from pyproject.toml"
	@echo "make clean  remove what make has made; var/ stays"

up: $(VENV)/.run
	@exec $(BIN)/breezeblock up $(ARGS)

test: lint
	@exec $(BIN)/python -m pytest $(ARGS)

matrix: $(VENV)/.test
	@exec $(BIN)/python -m pytest -m "" tests/tasks/test_matrix.py $(ARGS)

storm: $(VENV)/.test
	@exec $(BIN)/python -m tests.storm $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .

# A stamp is newer than what it was made of, so a second call installs nothing.

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made requirements/build.txt requirements/run.txt pyproject.toml
	@echo "Installing into $(VENV)"
	@$(INSTALL) -r requirements/build.txt -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.run requirements/test.txt
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) -r requirements/test.txt
	@touch $@

# Each file is bound to the versions of the largest, so that all of them run what is tested.
COMPILE := build/lock/bin/uv pip compile --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --quiet $(ARGS)

lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip --quiet install uv==$(UV_VERSION)
	$(COMPILE) pyproject.toml --extra server --extra embedded --extra test \
		--output-file requirements/test.txt
	$(COMPILE) pyproject.toml --extra server --extra embedded \
		--constraints requirements/test.txt --output-file requirements/run.txt
	$(COMPILE) pyproject.toml --constraints requirements/test.txt \
		--output-file requirements/node.txt
	build/lock/bin/python -c \
		'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"])' \
		> build/lock/build.in
	$(COMPILE) build/lock/build.in --constraints requirements/test.txt \
		--output-file requirements/build.txt

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
