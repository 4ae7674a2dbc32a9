# One environment for everything: .venv at the root, rebuilt when the pinned requirements change.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: run test lint bench soak requirements clean
.DEFAULT_GOAL := run

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "finops needs Python 3.11, 3.12 or 3.13; found $$($(PYTHON) --version). Next: make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

run: $(STAMP)  ## from nothing to a served page: demo company, forecasts, plans, alerts, then the app
	@$(BIN)/finops demo --months 18; status=$$?; if [ $$status -gt 1 ]; then exit $$status; fi
	@$(BIN)/finops app

# tests start finops hundreds of times; where Python may not write bytecode, each start would compile it all anew
test: $(STAMP)
	@$(BIN)/python -m compileall -q finops connectors forecasting optimizer reports
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python -m benchmarks

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak --override-ini addopts= tests/soak

requirements: $(STAMP)  ## compile the pinned requirements anew
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade pyproject.toml --output-file requirements/runtime.txt
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --upgrade pyproject.toml requirements/dev.in --output-file requirements/dev.txt

clean:
	rm -rf .venv finops-home build dist
