# Two commands do everything on a fresh machine: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup azurite providers demo up down test test-unit test-pythons environments test-duckdb test-services test-fakesnow test-live proof test-snowflake coverage durations \
  bench connectors-bench extract-bench faults sbom wheel release lint page prose drift docs-site reference format lock clean

DAYS ?= 7
PORT ?= 8080
KILLS ?= 200
MINUTES ?= 20
SOURCES ?= 40
TABLES ?= 3
SENSORS ?= 50
BROKER ?= redis
PYTHON ?= python3
OTHER_PYTHONS ?= 3.12 3.13
VENV ?= .venv
BIN := $(VENV)/bin
# uv if it is installed, else one inside the environment
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)
LOCK := requirements.lock
AZURITE := build/azurite/node_modules/.bin/azurite-blob
# what the tests and the demo use of the extras in pyproject.toml
EXTRAS := apprise avro azure celery connectors dbt-snowflake demo dynamodb excel gcs git mongodb mssql mysql oracle pictures postgres s3 sftp
# what people read: code with its messages and docstrings, docs
PROSE := include page/src examples plugins dags benchmarks dag_configs docs README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md Makefile
# what is compiled once is compiled for all: without this every process that imports Airflow takes twice as long
unexport PYTHONDONTWRITEBYTECODE

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make the environment: .venv with every pinned package, Airflow's database, the dbt manifest
	@$(BIN)/elt setup

$(VENV)/.ready: $(LOCK) pyproject.toml
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x "$(UV)" || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes $(LOCK)
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Run the whole line on real data: DAYS=7 by default, DAYS=365 for the year
	@$(BIN)/python -m demo run --days $(DAYS)

up: setup ## Start Airflow's web UI with the demo's sources: PORT=8080
	@$(BIN)/python -m demo prepare --data-dir data/sources
	@$(BIN)/python -m demo start --data-dir data/sources
	@$(BIN)/elt up --port $(PORT)

down: ## End what `make up` started, and nothing else
	@$(BIN)/elt down
	@$(BIN)/python -m demo stop --data-dir data/sources

# a third of the time of all tests they wait for other processes: three of them keep two cores busy
PROCESSES ?= 2
PYTEST = $(BIN)/python -m pytest -n $(PROCESSES) --no-loadscope-reorder
# a file of tests runs in one process, which makes its expensive fixtures once
BY_FILE := --dist loadfile

azurite: $(AZURITE) ## Install the stand-in for Azure that its tests ask

$(AZURITE):
	@npm install --silent --no-audit --no-fund --prefix build/azurite azurite@3.37.0

# without what they depend on: it is in .venv
providers: $(VENV)/.ready ## Install the providers of Airflow's that tests of lineage and alerts use
	@$(UV) pip install --quiet --python $(BIN)/python --target build/providers --no-deps --group providers

test: PROCESSES = 3
test: setup ## Run all tests
	@$(PYTEST) $(BY_FILE)

# what the tests of this tier need of `elt setup`, the dbt manifest, they make themselves where it is missing
test-unit: $(VENV)/.ready ## Run the tests that start no process; another Python: make test-unit PYTHON=python3.13 VENV=build/python3.13
	@$(PYTEST) $(BY_FILE) -m unit $(WITHOUT)

# what these tests read is text and the schema of pydantic, the same for every Python
ANY_PYTHON := tests/cli/test_cli_reference.py tests/test_pages.py tests/test_prose.py tests/test_tiers.py

# all versions at the same time, each in two processes: two thirds of the time these tests wait
test-pythons: setup ## Run the unit tests with other Pythons of this machine: OTHER_PYTHONS="3.12 3.13"
	@echo "Unit tests with Python $(OTHER_PYTHONS): the output of each comes when it has ended"
	@$(MAKE) --no-print-directory --keep-going --jobs $(OTHER_PYTHONS:%=unit-python%)

unit-python%: build
	+@export ELT_HYPOTHESIS_EXAMPLES=100; { $(call WITH_PYTHON,$*,test-unit PROCESSES=2 WITHOUT="$(ANY_PYTHON:%=--ignore=%)"); } > build/python$*.txt 2>&1; \
	  code=$$?; cat build/python$*.txt; exit $$code

environments: $(OTHER_PYTHONS:%=environment-python%) ## Make the environments of other Pythons

environment-python%:
	+@$(call WITH_PYTHON,$*,build/python$*/.ready)

build:
	@mkdir -p $@

# a target with another Python, if that is on this machine: none is downloaded
define WITH_PYTHON
python=$$(for one in python$(1) $(HOME)/.pyenv/versions/$(1).*/bin/python; do \
  "$$one" -c 'import sys; print(sys.executable)' 2>/dev/null && break; done); \
test -n "$$python" && { $(MAKE) --no-print-directory PYTHON="$$python" VENV=build/python$(1) $(2); } \
  || { test -z "$$python" && echo "Python $(1) is not on this machine"; }
endef

test-duckdb: setup ## Run the tests that load into the embedded warehouse
	@$(PYTEST) $(BY_FILE) -m duckdb

test-services: setup ## Run the tests that ask databases, object storage, servers, git and dbt
	@$(PYTEST) $(BY_FILE) -m services

test-fakesnow: setup ## Run the tests that ask the stand-in for Snowflake
	@$(PYTEST) $(BY_FILE) -m fakesnow

test-live: setup ## Run the tests with an Airflow of their own
	@$(PYTEST) $(BY_FILE) -m live

proof: setup ## Run the line against its model in random order, kills included: ELT_PROOF=500 for more, docs/concepts/guarantees.md
	@ELT_KILLS=$${ELT_KILLS:-40} $(PYTEST) --dist load -m proof

.PHONY: test-distributed
test-distributed: setup ## Kill two Celery workers at random while they load: MINUTES=20 SOURCES=40 TABLES=3 SENSORS=50 BROKER=redis or rabbitmq
	@ELT_MINUTES=$(MINUTES) ELT_SOURCES=$(SOURCES) ELT_TABLES=$(TABLES) ELT_SENSORS=$(SENSORS) ELT_BROKER=$(BROKER) \
	  $(BIN)/python -m pytest -p no:xdist -s tests/distributed

durations: setup ## Measure how long each file of tests takes, so that the longest begin first: tests/durations.json
	@ELT_DURATIONS=1 $(PYTEST) $(BY_FILE)

coverage: setup ## Show how much of each layer the unit tests run: a few minutes
	@$(BIN)/coverage run -m pytest --quiet -m unit
	@for layer in include/elt_factory/[a-z]*/; do \
	  printf '%-12s %3s %%\n' $$(basename $$layer) $$($(BIN)/coverage report --include="$$layer*" --format=total); done

# Without what it depends on: dag-factory needs nothing that is not in .venv, and shall change nothing there
bench: setup ## Measure what reading DAGs costs, against dag-factory and plain Cosmos: eleven minutes on a quiet machine
	@$(UV) pip install --quiet --python $(BIN)/python --target build/bench --no-deps --group bench
	@PYTHONPATH=build/bench $(BIN)/python benchmarks/parse.py

extract-bench: setup ## Bring rows in, here and with dlt, connectorx and bare DuckDB: CASES="rest csv", all of them by default
	@$(UV) pip install --quiet --python $(BIN)/python --target build/extract --group extract
	@PYTHONPATH=build/extract $(BIN)/python benchmarks/extract.py $(CASES)

# airbyte-cdk shares no environment with us
connectors-bench: setup ## Read a low-code manifest, compiled here and by airbyte-cdk
	@test -x build/cdk/bin/source-declarative-manifest || $(UV) venv --quiet --clear build/cdk
	@$(UV) pip install --quiet --python build/cdk/bin/python --group connectors
	@$(BIN)/python benchmarks/connectors.py --python build/cdk/bin/python

faults: setup ## Kill loads here and in dlt at the same moments, count rows lost and doubled: KILLS=200
	@$(UV) pip install --quiet --python $(BIN)/python --target build/faults --group faults
	@PYTHONPATH=build/faults $(BIN)/python benchmarks/faults.py $(KILLS)

test-snowflake: setup ## Run the warehouse suite on the account that SNOWFLAKE_ACCOUNT, _USER, ... name: docs/guides/snowflake.md
	@test -n "$$SNOWFLAKE_ACCOUNT" || { echo "SNOWFLAKE_ACCOUNT is not set: docs/guides/snowflake.md says what this needs"; exit 1; }
	@$(BIN)/python -m pytest tests/warehouse -k "snowflake and not fakesnow and not warehouse_snowflake and not snowflake_statements"

lint: $(VENV)/.ready ## Style, types, import rules, prose
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/lint-imports --config .ci/circles.ini --no-cache
	@$(MAKE) --silent prose

prose: $(VENV)/.ready ## Spelling, words that docs/concepts/glossary.md retires, and the lines and links of pages
	@$(BIN)/codespell $(PROSE)
	@$(BIN)/python -m pytest --noconftest --quiet --no-header tests/test_pages.py

page: ## Build the bundle of the Sources page from page/, with node; the bundle is committed
	@$(BIN)/python -c 'import json, pathlib; from elt_factory.ui.app import app; pathlib.Path("page/openapi.json").write_text(json.dumps(app.openapi(), indent=1) + "\n")' >/dev/null
	@npm ci --silent --no-audit --no-fund --prefix page
	@npm run --silent --prefix page types >/dev/null
	@npm run --silent --prefix page build

drift: $(VENV)/.ready ## Fail where a generated file is not what the models say
	@$(BIN)/python -m elt_factory.cli.reference --check
	@$(BIN)/elt validate

docs-site: $(VENV)/.ready ## Build the site of docs/ into build/docs-site; a link that leads nowhere fails
	@$(UV) pip install --quiet --python $(BIN)/python --target build/docs-tool --group docs
	@PYTHONPATH=build/docs-tool $(BIN)/python -m zensical build --strict --clean

reference: $(VENV)/.ready ## Write the generated files: YAML reference, JSON Schema, error codes, requirements.txt, parts of docs/guides/install.md
	@$(BIN)/python -m elt_factory.cli.reference

format: $(VENV)/.ready ## Fix style where that is safe
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

sbom: $(VENV)/.ready ## List the locked packages as CycloneDX, in build/sbom.json, and fail where a licence is not listed
	@$(UV) pip install --quiet --python $(BIN)/python --target build/sbom-tool --group sbom
	@PYTHONPATH=build/sbom-tool $(BIN)/python -m cyclonedx_py requirements $(LOCK) --pyproject pyproject.toml \
	  --output-reproducible --output-format JSON --output-file build/sbom.json
	@$(BIN)/python .ci/licences.py > build/licences.txt || { grep '^NOT LISTED' build/licences.txt; exit 1; }

# the time of the last commit: the next build of this commit has the same bytes
wheel: $(VENV)/.ready ## Build the wheel into dist/, the same bytes for the same commit
	@mkdir -p dist
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -c 'from hatchling.build import build_wheel; print(build_wheel("dist"))'

release: wheel sbom ## Sign the wheel and the list of its packages with gpg: KEY=release@example.org
	@test -n "$(KEY)" || { echo "KEY is not set: make release KEY=release@example.org"; exit 1; }
	@cp build/sbom.json dist/
	@for file in dist/*.whl dist/sbom.json; do gpg --yes --local-user "$(KEY)" --armor --detach-sign "$$file"; done
	@cd dist && sha256sum *.whl sbom.json > SHA256SUMS

lock: ## Pin every package again, at its latest version
	@$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make lock" $(EXTRAS:%=--extra %) --group dev pyproject.toml --output-file $(LOCK) --upgrade

clean: ## Remove the warehouse, the landing, Airflow's home; sources and .venv stay
	@rm -rf data/warehouse.duckdb data/warehouse.duckdb.wal data/landing .airflow logs include/dbt/target
