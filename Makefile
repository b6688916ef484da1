# Two commands set everything up: `make run` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

MODEL  ?= ibm-granite/granite-embedding-125m-english
CLASS  ?= RobertaModel
REPS   ?= 10
MEASURED ?= build/measured

.PHONY: help run test quick lint format types parity bench trials installs measure docs results clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 10

$(VENV)/.run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fmbench needs Python 3.11 or newer: make run PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(PIP) -e '.[test]'
	@touch $@

$(VENV)/.lint: $(VENV)/.run
	$(PIP) -e '.[lint]'
	@touch $@

$(VENV)/.docs: $(VENV)/.run
	$(PIP) -e '.[docs]'
	@touch $@

run: $(VENV)/.run ## set up, measure a random-weight granite on the CPU, and say what that means
	@mkdir -p build; \
	$(BIN)/driver --platform cpu --model_class $(CLASS) --model_name $(MODEL) --weights random \
	    --input_sizes 128,512 --batch_sizes 1 --reps $(REPS) --torch.call:set_grad_enabled@ False 2>&1 > build/run.log; \
	status=$$?; $(BIN)/process --path build/run.log --out build/run.json; \
	awk '$$2 == "RES" {said = said (said ? ", and " : "") $$9 " ms for a text of " $$7 " tokens"} END {if (said) \
	    print "$(MODEL) takes " said " on this CPU; a figure is to be believed where its trust is stable."}' build/run.log; \
	echo "The log: build/run.log (fmbench show build/run.log); as JSON: build/run.json (process --path build/run.log)"; \
	exit $$status

# A test that ends its process or stands still ends the run, and is named: xdist would wait for ever.
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadgroup --max-worker-restart 0 -o faulthandler_exit_on_timeout=true

test: $(VENV)/.test ## run the tests
	$(PYTEST)

quick: $(VENV)/.test ## run the quick tests: no command on a model, no program of their own, no browser
	$(PYTEST) -m "not slow" $(addprefix --ignore=tests/,drivers distributed embeddings process/dashboard)

lint: $(VENV)/.lint ## check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.lint ## rewrite to the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.lint ## check types
	$(BIN)/mypy fmbench drivers backends process

parity: $(VENV)/.test ## hold it against the programs that it follows, where variables name them (tests/parity)
	$(BIN)/python -m pytest tests/parity

bench: $(VENV)/.test ## measure fmbench itself (docs/benchmarks.md)
	$(BIN)/python -m tests.bench

trials: $(VENV)/.test ## try what docs/reliability.md promises, and count (half an hour)
	$(BIN)/python -m tests.trials

installs: $(VENV)/.test ## install the wheel into empty environments and use it: PYTHONS="python3.12 python3.14"; OLDEST=--oldest
	$(BIN)/python -m tests.install $(PYTHONS) $(OLDEST)

measure: $(VENV)/.test ## measure speed as results/ has it (results/speed.yaml: a quarter of an hour); SWEEP='--set batch_sizes=1' for a part
	@STORE=$(MEASURED) THREADS=$${THREADS:-$$(nproc)} $(BIN)/fmbench sweep results/speed.yaml --trust-file $(SWEEP)
	@$(BIN)/python -m fmbench.process.publishing.page $(MEASURED)
	@echo "$(MEASURED)/README.md is the page; to publish: fmbench results add $(MEASURED)/*/*/driver.log.gz; make results" >&2

docs: $(VENV)/.docs ## make the documentation as a site, build/site, which opens from disk
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "build/site/index.html"

results: $(VENV)/.run ## rewrite results/README.md and its plots from the published logs
	@$(BIN)/python -m fmbench.process.publishing.page results

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
