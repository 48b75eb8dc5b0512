# The two commands that matter: `make search` and `make test`. Each makes .venv when it is missing.
PYTHON ?= python3
ifndef NAME
NAME := demo-$(shell date +%Y%m%d-%H%M%S)
endif
BIN := .venv/bin
# Two at a time, a file's tests together: half of the time is waiting for processes.
# In the order of tests/conftest.py, the long ones first; each with one thread, or they wait for each other's.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: search test quick fuzz cluster-test check format clean

search: .venv/installed
	$(BIN)/python -m search.run --name $(NAME)
	$(BIN)/python -m search.retrain results/$(NAME)

test: check
	$(PYTEST)

quick: .venv/installed-test
	$(PYTEST) -m "not slow"

# Every reader of outside input: goes on where it was ended, and says with --report how far it came.
N ?= 100000
BINARY ?= 10000
fuzz: .venv/installed-test
	$(BIN)/python -m tests.fuzz_long --inputs $(N) --binary $(BINARY)

# `ray up`, searches, faults and `ray down` on hosts made of namespaces: takes Linux and root.
cluster-test: .venv/installed-test
	$(BIN)/python -m cluster.testbed

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

clean:
	rm -rf .venv
