# All targets work in a clean clone with Python 3.11 or newer; see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEEDS ?= 20
SEED_START ?= 1
MINUTES ?= 10
# Of fuzz-quick.
QUICK_MINUTES ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv install demo tutorial fast fast-tests test lint types schemas freeze-schemas reference docs docs-serve lock bench bench-quick bench-detect \
  bench-memory bench-neighbours bench-outcomes-quick bench-outcomes-restart bench-labels bench-recovery bench-detection bench-detection-quick bench-real-data bench-real-labels check-peers chaos chaos-brokers \
  scenarios starts quiet fuzz fuzz-quick clean wheels \
  test-machine test-broker test-collect test-clusters test-computing test-waiting

help:
	@echo "make demo      alerts on drift and accuracy within a minute, with only Python (ARGS=--once: exits by itself)"
	@echo "make install   install tidegauge with the demo's broker and Redis into .venv, for docs/tutorial.md"
	@echo "make tutorial  run every command of docs/tutorial.md, and update the outputs in it"
	@echo "make test      every test, with a real Kafka, Redis, Prometheus, Alertmanager, MLflow (ARGS: more for pytest)"
	@echo "make fast      within a minute: ruff, mypy, and the tests nearest to your change that start no process"
	@echo "make lint      ruff (rules and format) and import-linter (which room may import which)"
	@echo "make house     measure the rooms: lines, files, cycles, duplicate names, files on the path of an event"
	@echo "make types     mypy --strict"
	@echo "make schemas   generate schemas/ from the code, and check that they break no reader"
	@echo "make freeze-schemas  store them as those of this version, a step of a release"
	@echo "make reference  generate docs/reference/ from the code: settings, metrics, commands, topics"
	@echo "make docs      build the documentation site in build/site (docs-serve: serve it on port 8001)"
	@echo "make lock      update constraints.txt to the newest versions that pyproject.toml allows"
	@echo "make bench     events a second compared with other stream processors, on a real Kafka (ARGS=--write)"
	@echo "make bench-quick  the main rows of bench, in some ten minutes"
	@echo "make bench-detect  cells merged a second, and the time to evaluate windows (ARGS)"
	@echo "make bench-memory  memory of ingest at full speed (ARGS='--minutes 10'; default 2)"
	@echo "make bench-neighbours  the effect of a flood on other models (ARGS='--flood garbage --seconds 20')"
	@echo "make bench-outcomes-quick  memory of predictions that wait, labels joined a second (ARGS)"
	@echo "make bench-outcomes-restart  time for outcomes to read its predictions back, with a broker (ARGS)"
	@echo "make bench-labels  labels a second from their topic to cells, on a real Kafka (ARGS)"
	@echo "make bench-recovery  time for detect to read its state back (ARGS=--day: growth over a day)"
	@echo "make bench-detection  false alarms compared with the budget, delays with an oracle (ARGS=--write)"
	@echo "make bench-detection-quick  the main rows of bench-detection, in two minutes"
	@echo "make bench-real-labels  accuracy by day on real data, estimated and realised (ARGS=--write)"
	@echo "make bench-real-data  real data replayed, beside Evidently and NannyML (ARGS=--write)"
	@echo "make check-peers  compare our figures with those of Evidently and NannyML, on random counts"
	@echo "make chaos     random faults under load; each run is checked for exact counts (SEEDS, SEED_START)"
	@echo "make chaos-brokers  three brokers, of which one and then two fail (SEEDS=5, SEED_START, ARGS)"
	@echo "make scenarios Redis down, the broker down, every worker restarted: checked and measured (ARGS)"
	@echo "make starts    detect workers that start at the same time and are restarted, on a busy machine (ARGS)"
	@echo "make quiet     twenty minutes of undisturbed traffic, in which no Prometheus alert may fire (ARGS)"
	@echo "make fuzz      mutated records against every decoder, native and Python (MINUTES, ARGS='--only streams')"
	@echo "make fuzz-quick  a minute of fuzz, without the parts that need a Rust compiler"
	@echo "make wheels    build the wheels in dist/: tidegauge, and its decoder in Rust for this platform"
	@echo "make venv      create the virtualenv that the others use"
	@echo "make clean     remove all generated files, including the virtualenv"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tidegauge needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# dev contains demo, so either stamp is good enough for the demo.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(VENV)/.demo $@

# The native decoder is compiled once, to the wheel that users install. If there is no Rust compiler,
# maturin downloads one.
$(VENV)/wheels/.native: $(wildcard native/*.toml native/Cargo.lock native/src/*.rs) | $(VENV)/.dev
	rm -rf $(@D)
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(@D) ./native
	@touch $@

$(VENV)/.native: $(VENV)/wheels/.native
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall \
	  $(VENV)/wheels/tidegauge_native-*.whl
	@touch $@

# The wheel is built from the source distribution, so this tests that the latter is complete.
wheels: $(VENV)/.dev $(VENV)/wheels/.native
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	@cp $(VENV)/wheels/tidegauge_native-*.whl dist/
	@ls -1 dist/*

venv: $(VENV)/.dev $(VENV)/.native

install: $(VENV)/.demo
	@echo "tidegauge is in $(VENV): . $(BIN)/activate"

demo: $(VENV)/.demo
	@$(BIN)/tidegauge demo $(if $(filter --once,$(ARGS)),$(ARGS) --json,$(ARGS))

test-machine:
	@PYTHON="$(PYTHON)" scripts/test-machine

# The brokers of the tests start faster with an archive of their classes.
test-broker: venv test-machine
	@PYTHONPATH=tests $(BIN)/python -m support.kafka_archive

# pytest's compiled files are kept, even if Python is configured not to: compiling takes longer than
# reading, and each process would do it.
test test-collect test-clusters test-computing test-waiting: export PYTHONDONTWRITEBYTECODE =

test-collect: venv
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null

# A cluster under faults and load is the machine's own: two may only start and be judged at a time.
CLUSTERS = tests/chaos/test_chaos.py tests/chaos/test_scenarios.py tests/chaos/test_starts.py

# Tests that wait for a process, a socket or a clock. All others compute, and get the processor while
# the clusters leave it idle, which is more than half of their time: none of them may depend on how
# fast it is.
WAITING = $(addprefix tests/,broker chaos demo fuzz kafka notify producer roles support telemetry \
  test_architecture.py baseline/io/test_cache.py cli/test_kafka_away.py deploy/test_compose_commands.py \
  deploy/test_dashboard.py deploy/test_demo_producer.py deploy/test_image.py)
IDLY = $(shell chrt --idle 0 true 2>/dev/null && echo chrt --idle 0 || echo nice -n 19)

test: test-broker
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-clusters test-computing
	@$(MAKE) --no-print-directory test-waiting
endif

test-clusters: test-broker
	@$(BIN)/python -m pytest -n 2 --no-loadscope-reorder $(CLUSTERS)

test-computing: venv
	@$(IDLY) $(BIN)/python -m pytest -n 2 $(WAITING:%=--ignore=%)

# What mostly waits for brokers goes by sevens, in the order of tests/support/scheduling.py.
test-waiting: test-broker
	@$(BIN)/python -m pytest -n 7 --no-loadscope-reorder $(CLUSTERS:%=--ignore=%) $(WAITING)

# Two at a time: mypy beside the tests.
fast: venv
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint types fast-tests

fast-tests: venv
	@$(BIN)/python -m tools.fast $(ARGS)

# Outputs that differ from the page only in ids and times are not changed.
tutorial: venv test-machine
	@TIDEGAUGE_WRITE_TUTORIAL=1 $(BIN)/python -m pytest -q \
	  tests/demo/test_tutorial.py tests/broker/test_tutorial.py

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache --no-logo

types: venv
	@$(IDLY) $(BIN)/mypy

house: venv
	@$(BIN)/python -m tools.house

schemas: venv
	@$(BIN)/python -m tools.schema schemas
	@$(BIN)/tidegauge config schema > schemas/config/rules.schema.json
	@$(BIN)/python -m tools.released schemas

freeze-schemas: venv
	@$(BIN)/python -m tools.released schemas --freeze

reference: venv
	@$(BIN)/python -m tools.reference docs/reference

# Suppress Material's notice about its successor.
docs docs-serve: export NO_MKDOCS_2_WARNING = 1

docs: reference
	@$(BIN)/mkdocs build --quiet

docs-serve: reference
	@$(BIN)/mkdocs serve --dev-addr 127.0.0.1:8001

# For every platform and Python; only names and versions, independent of the index.
lock: venv
	@$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --no-annotate \
	  --no-header --no-emit-index-url --no-emit-find-links --output-file constraints.txt pyproject.toml

bench: venv test-machine
	@$(BIN)/python bench/compare.py $(ARGS)

bench-quick: venv test-machine
	@$(BIN)/python bench/compare.py --quick $(ARGS)

bench-detect: venv test-machine
	@$(BIN)/python bench/detect.py $(ARGS)

bench-memory: venv test-machine
	@$(BIN)/python bench/memory.py $(ARGS)

bench-neighbours: venv test-machine
	@$(BIN)/python bench/neighbours.py $(ARGS)

bench-outcomes-quick: venv
	@$(BIN)/python -m bench.outcomes $(ARGS)

bench-outcomes-restart: venv test-machine
	@$(BIN)/python -m bench.outcomes_restart $(ARGS)

bench-labels: venv test-machine
	@$(BIN)/python bench/labels.py $(ARGS)

bench-recovery: venv test-machine
	@$(BIN)/python bench/recovery.py $(ARGS)

bench-detection: venv
	@$(BIN)/python bench/detection.py $(ARGS)

bench-detection-quick: venv
	@$(BIN)/python bench/detection.py --quick $(ARGS)

bench-real-data: venv
	@$(BIN)/python bench/real_data.py $(ARGS)

bench-real-labels: venv
	@OMP_NUM_THREADS=1 $(BIN)/python bench/real_labels.py $(ARGS)

check-peers: venv
	@$(BIN)/python bench/check_peers.py $(ARGS)

chaos: venv test-machine
	@PYTHONPATH=tests $(BIN)/python -m chaos.run --seeds $(SEEDS) --seed-start $(SEED_START) $(ARGS)

# Five seeds unless SEEDS is given: its default is for the other suite.
chaos-brokers: venv test-machine
	@PYTHONPATH=tests $(BIN)/python -m chaos.run --brokers 3 --seed-start $(SEED_START) \
	  --seeds $(if $(filter file,$(origin SEEDS)),5,$(SEEDS)) $(ARGS)

scenarios: venv test-machine
	@PYTHONPATH=tests $(BIN)/python -m chaos.run --scenario redis_outage --scenario broker_outage \
	  --scenario rolling_restart $(ARGS)

starts: venv test-machine
	@PYTHONPATH=tests $(BIN)/python -m chaos.starts $(ARGS)

quiet: venv test-machine
	@PYTHONPATH=tests $(BIN)/python -m chaos.quiet $(ARGS)

# Builds the native decoder with coverage, with the installed Rust.
fuzz: venv
	@PYTHONPATH=tests $(BIN)/python -m fuzz.run --minutes $(MINUTES) $(ARGS)

fuzz-quick: venv
	@PYTHONPATH=tests $(IDLY) $(BIN)/python -m fuzz.run --minutes $(QUICK_MINUTES) --without-native

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find app tests bench -type d -name __pycache__ -prune -exec rm -rf {} +
