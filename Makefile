# Everything from a fresh clone: `make demo` or `make test`. `make help` lists the targets.
#
# PYTHON=python3.12 chooses the interpreter, BAG=path the bag that the demo plays, JOBS=4 how many
# processes run tests.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The scripts read PYTHON from the environment; empty means: find one.
export PYTHON

# Containers set this. Each of the hundreds of processes that tests start would compile anew all
# modules that it imports: two thirds of the time that a node takes to start.
unexport PYTHONDONTWRITEBYTECODE

# One more than there are cores, for tests with ROS wait half of the time, but 5 at the most: each takes
# 2 GB. Each test file stays within one process; test/conftest.py puts the files into the order in which
# they are handed out.
JOBS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores < 2 ? 3 : cores > 4 ? 5 : cores + 1)))
export PYTEST := python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Each recipe runs in the environment that `source env.bash` gives a user.
IN_ENV := source env.bash &&

.PHONY: help setup demo test test-all test-long training extras lint style bench soak docs clean distclean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

# The scripts compare contents with what they recorded, and return at once when nothing has changed.
setup: ## Make the environment in .venv and build the package into install/
	@scripts/environment.bash
	@scripts/build.bash

demo: setup ## Run the demo on a synthetic drive, or on a bag: make demo BAG=path
	@$(IN_ENV) depth_perception demo --output out/demo $(if $(BAG),--bag "$(BAG)")

# Of the hostile inputs one in five; test-long runs them all.
test: style training extras ## Lint, check types, run the tests but long training runs; one: make test TESTS=test/test_x.py
	@$(IN_ENV) FUZZ=$${FUZZ:-0.2} scripts/test.bash -m "not long" $(TESTS)

test-long: training ## Run the tests that train for minutes, and all 10,000 hostile inputs
	@$(IN_ENV) $(if $(TESTS),true,$(PYTEST) test/test_fuzz*.py)
	@$(IN_ENV) { $(PYTEST) -m long $(TESTS) || [ $$? -eq 5 ]; } # 5: there are none without PyTorch

test-all: test test-long ## Run every test

lint: style ## Check style, format and types
	@$(IN_ENV) scripts/types.bash

style: setup ## Check style and format
	@$(IN_ENV) ruff check .
	@$(IN_ENV) ruff format --check .

training: setup ## Add PyTorch to the environment, which training and its tests need
	@scripts/training.bash

extras: setup ## Add Ray and rerun, which 'evaluate --cluster', 'view' and their tests need
	@scripts/extras.bash
	@scripts/viewing.bash

bench: setup ## Measure speed on this machine; LIVE=0 leaves the running node out
	@$(IN_ENV) python -m depth_perception.benchmarks --live $(or $(LIVE),8)

soak: setup ## Run the node under full load for 30 minutes and watch its memory: make soak MINUTES=5
	@$(IN_ENV) python -m depth_perception.benchmarks.soak --minutes $(or $(MINUTES),30) --output out/soak.json

docs: ## Build the documentation site into out/site; every link is checked
	@scripts/site.bash

clean: ## Remove what was built and what was written
	rm -rf build install log out .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find depth_perception launch test scripts -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf .venv
