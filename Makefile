# Every target a developer or CI needs. `make help` prints them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: rebuild-drill data-dictionary otlp-mapping goldens fuzz properties canaries release-proofs help bench-sdk setup demo up down status test check format schema settings-page bench-worker bench-gateway bench-slow-clients bench-retention soak lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): requirements/runtime.lock requirements/dev.lock pyproject.toml sdk/pyproject.toml
	@echo "setting up $(VENV) (hash-checked packages; a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e sdk -e .
	@touch $@

setup: $(STAMP) ## install everything into .venv

demo: $(STAMP) ## send example runs through the whole pipeline and show what can be seen of them
	@$(BIN)/agenttracer demo

up: $(STAMP) ## start everything on this machine and keep it up until Ctrl-C
	@$(BIN)/agenttracer up

down: $(STAMP) ## stop everything, whoever started it; data stays
	@$(BIN)/agenttracer down

status: $(STAMP) ## show what runs and where
	@$(BIN)/agenttracer status

check: $(STAMP) ## ruff, mypy --strict, unit and architecture tests: fast enough for every save
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/unit tests/architecture

test: $(STAMP) ## everything, on real Kafka and PostgreSQL (TEST_STACK=local or containers forces where they come from)
	@$(BIN)/pytest

bench-worker: $(STAMP) ## the workers' rate beside the ceiling, freshness, cost with much stored, memory, each with its verdict (build/bench-worker.json; half an hour)
	@$(BIN)/python -m tests.benchmarks.bench_worker

bench-gateway: $(STAMP) ## one gateway beside the ceiling, a bare producer of the same records, with its verdict (build/bench-gateway.json; some minutes)
	@$(BIN)/python -m tests.benchmarks.bench_gateway

DRILL ?=
rebuild-drill: $(STAMP) ## rebuild a million events under traffic, readers and ten kills (build/rebuild-drill.json; half an hour; DRILL="--events N …")
	@$(BIN)/python -m tests.benchmarks.rebuild_drill $(DRILL)

format: $(STAMP) ## let ruff format and fix the tree
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

settings-page: $(STAMP) ## write docs/settings.md anew from the settings classes
	@$(BIN)/python -m deploy.settings_page

bench-sdk: $(STAMP) ## measure the SDK in the agent's process, beside OpenTelemetry's; writes build/bench-sdk.json
	@$(BIN)/python -m tests.benchmarks.bench_sdk

bench-slow-clients: $(STAMP) ## good traffic keeps 95 % of its rate beside a thousand slow connections (build/bench-slow-clients.json; three minutes)
	@$(BIN)/python -m tests.benchmarks.bench_slow_clients

bench-retention: $(STAMP) ## expiring a day as a whole beside row by row, in tuples and WAL (build/bench-retention.json; some minutes)
	@$(BIN)/python -m tests.benchmarks.bench_retention

data-dictionary: $(STAMP) ## write docs/data-dictionary.md anew from the contract
	@$(BIN)/python -m deploy.data_dictionary

goldens: $(STAMP) ## run the real exporters behind tests/golden/otlp again and compare (build/goldens; needs node and npm; some minutes)
	@$(BIN)/python -m tests.golden.otlp.make

otlp-mapping: $(STAMP) ## write docs/otlp-mapping.md anew from the gateway's tables
	@$(BIN)/python -m deploy.otlp_page

FUZZ ?= 1000000
fuzz: $(STAMP) ## 1,000,000 mutated requests to every route of the gateway's app (FUZZ=… for another number)
	@$(BIN)/python -m tests.fuzz $(FUZZ)

SOAK ?=
soak: $(STAMP) ## 200,000 events through 64 faults, nothing lost or doubled (build/soak.json; 12 minutes; SOAK="--events N --faults N --seed N")
	@$(BIN)/python -m tests.chaos.soak $(SOAK)

PROPERTIES ?= 50000
properties: $(STAMP) ## the fold's properties at 50,000 examples each, and on the real store at 250 (PROPERTIES=… for another number)
	@FOLD_EXAMPLES=$(PROPERTIES) $(BIN)/pytest -q tests/unit/core/test_fold.py tests/integration/store/test_fold_properties.py

CANARIES ?= 10000
canaries: $(STAMP) ## 10,000 canaries through a whole pipeline, then every byte at rest searched (CANARIES=… for another number)
	@CANARIES=$(CANARIES) $(BIN)/pytest -q tests/acceptance/test_canaries_at_rest.py

release-proofs: properties canaries fuzz bench-slow-clients bench-gateway ## what a release has to show besides `make test`: the above, a million fuzzed bodies, a soak of 10M events (half a day)
	@$(MAKE) soak SOAK="--events 10000000 --faults 600 --minutes 600"

schema: $(STAMP) ## write ddl/schema.sql anew from the migrations
	@$(BIN)/python -m deploy.schema_dump

LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --excludes requirements/own-packages.txt
lock: ## resolve requirements/*.lock anew (needs uv on the PATH)
	$(LOCK) pyproject.toml --extra local -o requirements/runtime.lock
	$(LOCK) pyproject.toml --extra local --extra dev -c requirements/runtime.lock -o requirements/dev.lock

clean: ## remove what the build made (not .local, the stack's data)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
