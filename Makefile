# Every target sets itself up: the first one run makes .venv, later ones reuse it.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ferrojax-installed
EXTRAS ?= test
export PYTHON # an interpreter to use, if the default is not the one you want
MINUTES ?= 2
JOBS ?= 2

# One thread per test worker, two workers for two cores; unoptimised machine code, as tests compile much and compute little.
ONE_THREAD := NPROC=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 XLA_FLAGS="--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1 $(XLA_FLAGS)"
# What several tests compile is compiled once, also from run to run. XLA's loader of stored programs prints errors that are none: level 3.
COMPILED := JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.jax_cache JAX_COMPILATION_CACHE_MAX_SIZE=2000000000 TF_CPP_MIN_LOG_LEVEL=3
PYTEST := JAX_PLATFORMS=cpu $(ONE_THREAD) $(COMPILED) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q

.DEFAULT_GOAL := help
.PHONY: help venv dft dft-check quickstart test test-slow test-statistical lint types claims bench notebooks docs docs-serve docs-pages format lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

venv: $(STAMP) ## .venv with ferrojax and its dependencies at the tested versions (EXTRAS=test,gpu adds a GPU)

$(STAMP): pyproject.toml requirements.lock tools/make_venv.sh
	@tools/make_venv.sh $(VENV) "$(EXTRAS)"
	@touch $@

dft: ## .venv-dft with GPAW, PBEsol PAW sets and pseudopotentials, for ferrojax label (ELEMENTS="Zr Hf" adds PAW sets)
	@tools/make_dft.sh .venv-dft $(ELEMENTS)

dft-check: $(STAMP) dft ## label shipped PbTiO3 frames again with GPAW, Born charges with ph.x, and compare
	JAX_PLATFORMS=cpu $(BIN)/python -m pytest -q -m slow tests/test_labelling_programs.py

quickstart: $(STAMP) ## train on the shipped PbTiO3 data; relax, differentiate, switch the shipped model; writes runs/quickstart/report.html
	$(BIN)/ferrojax quickstart --minutes $(MINUTES) --output runs/quickstart

test: $(STAMP) ## what CI runs: lint, types, claims, the documentation site and the quick tests
	@$(MAKE) -j$(JOBS) --no-print-directory lint types claims docs
	$(PYTEST) -m "not slow and not statistical and not gpu"

test-slow: $(STAMP) ## the tests that take minutes each
	$(PYTEST) -m "slow and not gpu"

test-statistical: $(STAMP) ## averages of stochastic runs against references
	$(PYTEST) -m statistical

test-gpu: $(STAMP) ## the tests that need a GPU
	$(BIN)/python -m pytest -q -m gpu

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

claims: $(STAMP)
	$(BIN)/python tools/claims.py check

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## time per atom of both presets, 40 to 40,000 atoms
	$(BIN)/python benchmarks/potential.py

notebooks: $(STAMP) ## run notebooks/ and store their output
	JAX_PLATFORMS=cpu $(BIN)/python tools/notebooks.py

docs: $(STAMP) ## the documentation site, site/index.html; a broken link stops it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean # --quiet would hide broken links from `strict`

docs-serve: $(STAMP) ## the site while you write, on localhost:8000
	$(BIN)/mkdocs serve

docs-pages: $(STAMP) ## regenerate the pages made from docs/claims.json
	$(BIN)/python tools/claims.py page

lock: $(STAMP) ## write requirements.lock from the present .venv
	$(BIN)/python tools/lock.py > requirements.lock.tmp && mv requirements.lock.tmp requirements.lock

clean: ## remove caches and build products; keeps .venv and runs/
	rm -rf build dist site .pytest_cache .ruff_cache .mypy_cache .hypothesis .jax_cache *.egg-info
	find ferrojax tests tools benchmarks experiments -name __pycache__ -type d -prune -exec rm -rf {} +
