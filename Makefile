# make demo: the main job, end to end. make test: everything. make check: the quick loop.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check lint engine clean

$(READY): pyproject.toml
	@echo "== setting up $(VENV) (a minute or two the first time; packages are cached by pip)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $(READY)

engine: $(READY)
	@$(BIN)/rollcast engine install

demo: engine
	@$(BIN)/python examples/rag-search/demo.py

test: engine
	$(BIN)/python -m pytest -q

check: $(READY)
	$(BIN)/python -m pytest -q -m "not engine and not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy planner/rollcast/planner
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .pytest_cache
