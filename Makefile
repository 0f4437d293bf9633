# The commands of this repository. Each sets up what it needs in .venv; nothing else has to be installed first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test check unit bench clean

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (PyTorch is large: a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,train,dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## The main job, end to end: four owners' machines train one model. JSON=1 ends with one JSON line.
	@sh tools/system-packages.sh
	@$(BIN)/gondwana demo $(if $(JSON),--json) $(if $(TEXT),--text $(TEXT))

test: check unit  ## All that CI runs.

check: $(STAMP)  ## Format, lint, import contracts, types, tidiness.
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/lint-imports
	$(BIN)/basedpyright --level error
	$(BIN)/pytest tests/tidy

unit: $(STAMP)
	@sh tools/system-packages.sh postgres
	$(BIN)/pytest -n 2 --dist loadgroup tests/unit tests/store tests/sim
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder tests/flow

bench: $(STAMP)  ## make bench NAME=training_quality [JSON=1]
	@$(BIN)/python benchmarks/$(NAME).py $(if $(JSON),--json)

clean:
	rm -rf $(VENV) demo-out out
