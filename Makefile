# Two commands do all set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=2 --output-sync=target
# Without .pyc files a first Prefect run takes twice as long.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test compiled soak lint deploy format models bench docs lock clean help

$(VENV)/base.stamp: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "C500 needs Python 3.11 or newer; set PYTHON=python3.x" >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || deployments/system-packages python3-venv
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable .
	touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev,quality,s3,redis,postgres]'
	touch $@

$(VENV)/torch.stamp: $(VENV)/dev.stamp tests/torch-packages tests/torch-requirements.txt
	tests/torch-packages $(BIN)/python
	touch $@

$(VENV)/system.stamp:
	deployments/system-packages flite ffmpeg redis-server postgresql chromium bubblewrap prometheus prometheus-alertmanager git openssh-server logrotate
	mkdir -p $(VENV) && touch $@

demo: $(VENV)/base.stamp  ## transcribe, enhance and summarise the bundled recording
	$(BIN)/c500 process deployments/demo/meeting.flac

# Tests marked `torch` run when torch is there; TORCH=1 installs it. Neither pip nor the type checker uses more than one
# core: what else must be there is made on another meanwhile.
test: $(VENV)/base.stamp  ## lint, type-check and run all tests but the heavy ones
	@$(SIDE_BY_SIDE) $(VENV)/dev.stamp $(if $(TORCH),$(VENV)/torch.stamp) $(VENV)/system.stamp
	@$(SIDE_BY_SIDE) lint compiled
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# Else each of the four processes would compile all tests. What cannot be collected is told by the run itself.
compiled: $(VENV)/system.stamp
	-@$(BIN)/python -m pytest --collect-only -q >/dev/null

soak: $(VENV)/dev.stamp $(VENV)/system.stamp $(if $(TORCH),$(VENV)/torch.stamp)  ## the heavy forms of the promises
	$(BIN)/python -m pytest -m soak --timeout=0

lint: $(VENV)/dev.stamp  ## formatting, one-way imports, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

deploy: $(VENV)/base.stamp  ## make pools, limits, deployments and automations on the server of PREFECT_API_URL
	$(BIN)/python -m deployments.service.definitions

format: $(VENV)/dev.stamp  ## put the formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

models: $(VENV)/base.stamp  ## fetch the model weights that the settings name
	$(BIN)/c500 models pull

bench: $(VENV)/dev.stamp $(VENV)/system.stamp $(if $(TORCH),$(VENV)/torch.stamp)  ## all benchmarks, short form; NAME=wer for one in full
	$(BIN)/python -m tests.bench $(if $(NAME),$(NAME),--all --quick)

docs: $(VENV)/dev.stamp  ## write the generated pages again
	$(BIN)/python -m deployments.docs

lock: $(VENV)/dev.stamp  ## pin what is installed, as plain name==version lines
	$(BIN)/python -m deployments.lock > requirements.lock

help:
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*##/ -/'

clean:
	rm -rf $(VENV) .bench dist
