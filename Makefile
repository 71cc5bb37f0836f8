# Every target works on a fresh machine that has Python, make and git, and installs what it needs.
PYTHON ?= python3
TESTS  ?= tests/faults
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# A test that waits leaves its core to another, so there is one worker more than there are cores.
WORKERS = $$($(BIN)/python -c "import os; print(min(4, os.cpu_count() + 1))")
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist worksteal

# Some machines forbid Python to keep its bytecode. Then each of the hundreds of processes that the
# tests start compiles every module anew, and pytest rewrites every test's assertions anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo up check quick test tests faults bench screenshots clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[all,dev]"
	touch $@

demo: install            ## collector, dashboard and a real training run on http://127.0.0.1:8642
	$(BIN)/htga demo

up: install              ## collector and dashboard, waiting for your runs
	$(BIN)/htga up

check: install           ## linters, types, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

quick: install           ## the tests that need no browser, no Postgres and no fault
	$(PYTEST) -m "not browser and not postgres and not faults and not slow"

test: install            ## everything above and all tests, a browser, an nginx and a Postgres included
	$(BIN)/python tests/browser.py
	$(BIN)/python tests/nginx.py
	$(MAKE) --jobs 2 check tests

tests: install
	$(PYTEST)

faults: install          ## the long tier of the fault tests, or of TESTS; HTGA_SEED=... repeats a run
	@seed=$${HTGA_SEED:-$$(date +%s)}; echo "HTGA_SEED=$$seed"; \
	HTGA_FAULTS=long HTGA_SEED=$$seed $(BIN)/pytest -rfEP --show-capture=stdout $(TESTS)

bench: install           ## measure the budgets; prints tables
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

screenshots: install     ## take docs/images anew: the real dashboard, and the figures
	$(BIN)/python tests/browser.py
	$(BIN)/python docs/screenshots.py
	$(BIN)/python docs/figures/optimizer.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
