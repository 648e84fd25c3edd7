# make demo: the main job, end to end; make demo-image-generation: another system that runs. make test: everything. make check: the quick loop.
# Each target sets up what it needs; the second time that is quick. Packages are cached by pip, the engine in ~/.pulumi.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests and demos run hundreds of commands: each would compile all of rollcast again where bytecode is not kept.
export PYTHONDONTWRITEBYTECODE :=
# Debian's packages that tests of a registry, a database, a metric store and a browser start for themselves; npm brings
# axe-core and what the TypeScript kit is tested with. A test that makes the machine's clock jump compiles a few lines of C; espeak-ng
# speaks the calls of the transcription example.
SERVERS := docker-registry haproxy nginx-light jq curl postgresql prometheus chromium gcc libc6-dev espeak-ng

.PHONY: demo demo-coding-assistant demo-customer-support demo-image-generation demo-transcription demo-team demo-all test check cases lint bench validate docs engine servers constraints clean

$(READY): pyproject.toml dataplane/python/pyproject.toml tests/constraints.txt
	@echo "== setting up $(VENV): about a minute the first time"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c tests/constraints.txt -e dataplane/python -e '.[test,lint,docs]'
	@touch $(READY)

engine: $(READY)
	@echo "== the Pulumi engine: built once, about five minutes on two cores"
	@$(BIN)/rollcast engine install

servers:
	@sh tests/install-servers.sh $(SERVERS)
	@sh tests/browser/setup.sh >/dev/null
	@sh tests/dataplane_ts/setup.sh >/dev/null
	@PYTHON=$(PYTHON) sh tests/registries/mlflow-setup.sh >/dev/null
	@sh tests/kubernetes/setup.sh >/dev/null || echo "== Kubernetes can't be built here: its tests are skipped, and say so"

demo: engine
	@command -v haproxy >/dev/null || sh tests/install-servers.sh haproxy || true
	@$(BIN)/python examples/rag-search/demo.py

demo-transcription: engine
	@sh tests/install-servers.sh espeak-ng
	@command -v haproxy >/dev/null || sh tests/install-servers.sh haproxy || true
	@$(BIN)/python examples/transcription/demo.py

demo-coding-assistant: engine
	@command -v node >/dev/null || sh tests/install-servers.sh nodejs
	@command -v haproxy >/dev/null || sh tests/install-servers.sh haproxy || true
	@$(BIN)/python examples/coding-assistant/demo.py

demo-customer-support: engine
	@command -v haproxy >/dev/null || sh tests/install-servers.sh haproxy || true
	@$(BIN)/python examples/customer-support/demo.py

demo-image-generation: engine
	@command -v haproxy >/dev/null || sh tests/install-servers.sh haproxy || true
	@$(BIN)/python examples/image-generation/demo.py

demo-team: engine
	@$(BIN)/python examples/team/run.py

demo-all: engine
	@sh tests/install-servers.sh haproxy espeak-ng || true
	@command -v node >/dev/null || sh tests/install-servers.sh nodejs || true
	@$(BIN)/python examples/demos/all.py

test: engine servers lint
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --durations=20

check: $(READY)
	HYPOTHESIS_PROFILE=check $(BIN)/python -m pytest -q -n 3 --dist loadfile -m "not engine and not slow"

cases: engine
	@$(BIN)/python -m tests.cases

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/vulture

bench: engine
	@for each in benchmarks/*.py; do echo "== $$each"; $(BIN)/python $$each || exit 1; done

docs: $(READY)
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

validate: engine
	$(BIN)/python -m validation

constraints: $(READY)
	$(BIN)/python -m pip install --quiet uv
	@printf '%s\n' '-e ./dataplane/python' '-e .[test,lint,docs]' > .constraints.in
	@grep '^#' tests/constraints.txt > .constraints.out
	$(BIN)/uv pip compile --quiet --no-annotate --no-header .constraints.in | grep == >> .constraints.out
	@mv .constraints.out tests/constraints.txt && rm .constraints.in

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
