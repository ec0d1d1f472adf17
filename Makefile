# Aftershock. `make` alone prints this help.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
INSTALLED     := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
EXTRAS :=
SCENARIO ?= azure-fnj8-vqz
SEED ?= 1
SIZE ?= 0.5
SERVICES ?=
TRACES ?=
JOBS ?= $(shell nproc)
# One more than processors: some tests wait for the time of real processes. Two more take longer.
WORKERS ?= $(shell expr $$(nproc) + 1)
HOURS ?= 24
MINUTES ?= 60
KILLS ?= 100
# Bytecode is kept: the tests start many processes, and each would compile the whole tree again.
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder -q tests --ignore tests/system

.DEFAULT_GOAL := help
.PHONY: help demo test test-long check bench soak soak-docker kills campaign conformance matrix results up down test-system clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Aftershock needs Python 3.11 or newer"; exit 2; }
	@$(PYTHON) -m venv $(VENV)

# What every command of `aftershock` needs; for the tests and checks the rest too. requirements.lock pins both.
$(INSTALLED_DEV): EXTRAS := [dev,clients]
$(INSTALLED) $(INSTALLED_DEV): pyproject.toml requirements.lock | $(BIN)/python
	@echo "installing into $(VENV) …"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.$(EXTRAS)'
	@touch $(INSTALLED) $@

demo: $(INSTALLED) ## replay the whole incident in virtual time, at half its size, and print which facts it reproduced (SIZE=1)
	$(BIN)/aftershock run $(SCENARIO) --transport direct --seed $(SEED) --size $(SIZE)

test: $(INSTALLED_DEV) ## the tests that need no Docker and no minutes
	$(PYTEST) -m 'not long'

test-long: $(INSTALLED_DEV) ## whole runs: controls, more seeds, the commands of the guide (no Docker)
	$(PYTEST) -m long

check: $(INSTALLED_DEV) ## lint, format, types, import contracts, dead code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture

bench: $(INSTALLED_DEV) ## speed, size, cost per hop, generator accuracy
	$(BIN)/python -m tests.bench

soak: $(INSTALLED) ## a day of base load in virtual time; exit code 1 when anything grows (HOURS=24)
	$(BIN)/aftershock soak --hours $(HOURS)

soak-docker: $(INSTALLED) ## MB per hour of every container of the running testbed (MINUTES=60)
	$(BIN)/aftershock soak --docker $(MINUTES)

kills: $(INSTALLED) ## random SIGKILLs to the running testbed, scenario under way; exit code 1 when a promise breaks (KILLS=100)
	$(BIN)/aftershock kills --kills $(KILLS) --seed $(SEED)

campaign: $(INSTALLED) ## many seeds, perturbations, negative controls: one table
	$(BIN)/aftershock campaign --jobs $(JOBS)

conformance: $(INSTALLED) ## every claim over 20 seeds, and docs/conformance.md from that (an hour of CPU; resumes after Ctrl-C)
	-$(BIN)/aftershock campaign --size 0.5 --seeds 20 --perturbed 20 --jobs $(JOBS) --out runs/campaign.json
	$(BIN)/aftershock conformance runs/campaign.json

matrix: $(INSTALLED) ## which mitigation would have prevented which part
	$(BIN)/aftershock matrix $(SCENARIO) --jobs $(JOBS)

results: $(INSTALLED_DEV) ## every generated page, from all its runs: says what it costs, skips what is done, resumes (hours)
	$(BIN)/aftershock results --jobs $(JOBS)

up: $(INSTALLED) ## the testbed in Docker: build, start, wait until healthy, print every URL (LOAD=rest: little load; TRACES=1: with Jaeger)
	@case "$${LOAD:-base}" in base|rest) ;; *) echo "LOAD must be base or rest"; exit 2;; esac
	$(if $(TRACES),COMPOSE_PROFILES=traces )docker compose up --build --detach --wait $(SERVICES)
	@echo
	@echo "  Grafana       http://127.0.0.1:$${GRAFANA_PORT:-3000}"
	@echo "  console       http://127.0.0.1:$${CONTROLLER_PORT:-8090}   (OpenAPI: /openapi.json)"
	@echo "  Prometheus    http://127.0.0.1:$${PROMETHEUS_PORT:-9090}"
	$(if $(TRACES),@echo "  Jaeger        http://127.0.0.1:$${JAEGER_PORT:-16686}")
	@docker compose logs --no-log-prefix controller 2>/dev/null | grep -A2 'chaos controller on' | tail -n 3

down: ## stop the testbed in Docker and remove what it kept
	COMPOSE_PROFILES=traces docker compose down --volumes --remove-orphans

test-system: $(INSTALLED_DEV) ## tests against the testbed in Docker, which they bring up and take down (LONG=1: the slow ones too)
	$(BIN)/pytest -q tests/system $(if $(LONG),,-m 'not long')

clean: ## remove runs and the virtual environment
	rm -rf runs $(VENV)
