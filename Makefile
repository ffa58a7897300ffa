# The commands of this project; `make help` lists them. Needs Python 3.11 (3.11.2 or newer) and make; nothing else.

PYTHON ?= python3.11
UV_VERSION := 0.13.9
DAYS ?= 14
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-localcloud test-slow test-browser golden chaos scale bench lint types docs check up down lock clean

UV := .sluice/uv/bin/uv
AIRFLOW := .venv/.installed
CLOUD := .venv-cloud/.installed
SDK := .venv-sdk/.installed
STEP := .venv-step/.installed

# The settings of this machine (.env, if there is one), and a shell that has them.
SETTINGS := $(firstword $(wildcard .env) .env.example)
WITH_SETTINGS := set -a; . ./$(SETTINGS); set +a;

# Three workers on two cores, since some tests wait. More of them hardly wait less, and each has to start. Most slow tests
# run processes of their own, so that two of them use both cores.
PYTEST := .venv/bin/pytest -q --dist loadfile --no-loadscope-reorder

# uv uses the interpreter above, and downloads none.
export UV_PYTHON_DOWNLOADS := never
# Airflow starts twice as fast if Python may write bytecode.
unexport PYTHONDONTWRITEBYTECODE

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(AIRFLOW) $(CLOUD) $(STEP)  ## Make the virtual environments (other targets do it when they need them)

demo: setup  ## Run DAYS=14 days of flights from the queue to a live model, and report
	@$(WITH_SETTINGS) DAYS=$(DAYS) .venv/bin/python -m demo

test: test-localcloud $(SDK)  ## Run the tests, without those that are slow, that kill, or that need a browser
	@$(PYTEST) -n 3
	@echo "left out: the tests in a browser (make test-browser), kills and floods (make chaos), slow ones (make test-slow)"

test-localcloud: setup  ## Run the embedded cloud's own tests, a part of `make test`
	@$(PYTEST) -n 3 localcloud/tests

test-slow: setup $(SDK)  ## Run the slow tests: whole pipelines, a whole Airflow, a year of flights; FILES=… some of them, or those in a browser
	@$(PYTEST) -n 2 -m "(slow or browser) and not chaos" $(or $(FILES),tests --ignore tests/browser)
	@$(if $(FILES),,$(PYTEST) -n 2 -m "slow and not chaos" localcloud/tests)

test-browser: setup  ## Run the tests in a real browser; needs Debian's packages chromium and chromium-driver
	@.venv/bin/pytest -q -m browser tests/browser

golden: setup  ## Replay transcripts of a real container, in DIR=…, through the SageMaker stand-in
	@cd localcloud && PYTHONPATH=src ../.venv/bin/python -m tests.golden $(abspath $(or $(DIR),localcloud/tests/golden/xgboost))

chaos: setup  ## Run all tests of kills, faults and floods; CHAOS_SEED=… repeats one seed
	@.venv/bin/pytest -v -n 3 -m '' tests/chaos
	@.venv/bin/pytest -v -n 3 -m chaos --ignore tests/chaos
	@.venv/bin/pytest -v -n 3 -m chaos localcloud/tests

scale: DAYS = 60
scale: setup  ## Run DAYS=60 days of flights on up to WORKERS=2 Celery workers; needs Debian's package redis-server
	@DAYS=$(DAYS) WORKERS=$(WORKERS) PYTHONPATH=include .venv/bin/python -m deploy.scale

bench: setup  ## Measure the figures of docs/explanation/performance.md, into .sluice/bench.json
	@PYTHONPATH=include:localcloud/src .venv/bin/python -m tests.benchmarks

lint: $(AIRFLOW)  ## Check style, formatting, and that imports point down
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@PYTHONPATH=include:plugins .venv/bin/lint-imports --no-cache
	@cd localcloud && PYTHONPATH=src ../.venv/bin/lint-imports --no-cache

types: $(AIRFLOW)  ## Check types
	@.venv/bin/mypy include localcloud/src plugins demo deploy docs

docs: $(AIRFLOW)  ## Write DAGS.md from the DAG files, and the schemas of the command line's answers
	@.venv/bin/python docs/dags.py
	@.venv/bin/python docs/answers.py

check: lint types test  ## Run every check

up: setup  ## Start Airflow and the embedded cloud, with the DAGs scheduled
	@$(WITH_SETTINGS) exec .venv/bin/python -m deploy.laptop up

down:  ## Stop both
	@if [ -e $(AIRFLOW) ]; then $(WITH_SETTINGS) exec .venv/bin/python -m deploy.laptop down; fi

lock: $(UV)  ## Pin the newest allowed dependencies, with hashes
	$(call lock,requirements.in,requirements.txt)
	$(call lock,requirements-dev.in,requirements-dev.txt)
	$(call lock,requirements-step.in,requirements-step.txt)
	$(call lock,requirements-sdk.in,requirements-sdk.txt)
	$(call lock,localcloud/pyproject.toml,requirements-cloud.txt)

clean:  ## Stop both and delete everything that was made here; asks before it deletes a lake (YES=1 doesn't)
	@if [ -d .sluice/cloud ] && [ "$(YES)" != 1 ]; then \
	  [ -t 0 ] || { echo "make clean: this would delete the lake in .sluice/cloud; to do it unasked: make clean YES=1" >&2; exit 1; }; \
	  printf "This deletes the lake in .sluice/cloud ($$(du -sh .sluice/cloud | cut -f1)) and Airflow's records. Go on? [y/N] "; \
	  read answer && [ "$$answer" = y ] || { echo "nothing was deleted"; exit 1; }; \
	fi
	@$(MAKE) --no-print-directory down
	rm -rf .sluice .venv .venv-cloud .venv-sdk .venv-step .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(UV):
	$(require_python)
	@echo "installing uv $(UV_VERSION)"
	@$(PYTHON) -m venv .sluice/uv
	@.sluice/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(AIRFLOW): requirements-dev.txt pyproject.toml $(UV)
	$(call install,$<,$(@D))
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(@D) --editable .
	@touch $@

$(SDK): requirements-sdk.txt $(UV)
	$(call install,$<,$(@D))
	@touch $@

# Processes of this image can't write bytecode, so each of them would compile all that it imports.
$(STEP): requirements-step.txt $(UV)
	$(call install,$<,$(@D))
	@$(@D)/bin/python -m compileall -q $(@D)/lib
	@touch $@

$(CLOUD): requirements-cloud.txt localcloud/pyproject.toml requirements-dev.txt $(UV)
	$(call install,$<,$(@D))
	@$(UV) pip install --quiet --no-deps --build-constraints requirements-dev.txt --python $(@D) --editable localcloud
	@touch $@

# Refuse another Python in the first second, not after minutes of installing.
define require_python
@command -v $(PYTHON) >/dev/null || { echo "no $(PYTHON) on the PATH: install Python 3.11, or say which: make PYTHON=…" >&2; exit 1; }
@$(PYTHON) -c 'import sys; (3, 11, 2) <= sys.version_info < (3, 12) or sys.exit("$(PYTHON) is Python %d.%d.%d: Sluice runs on 3.11, from 3.11.2 on; say which: make PYTHON=…" % sys.version_info[:3])'
@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { \
	  echo "$(PYTHON) can't make virtual environments: install its venv (Debian and Ubuntu: apt install python3.11-venv)" >&2; exit 1; }
endef

define install
$(require_python)
@echo "installing $(1) into $(2)"
@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(2)
@$(UV) pip sync --quiet --require-hashes --python $(2) $(1)
endef

define lock
@UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --upgrade --generate-hashes \
  --no-annotate --python-version 3.11 --output-file $(2) $(1)
endef
