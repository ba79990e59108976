# Everything sets itself up: only Python 3.11+ and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTS ?= tests

.PHONY: help setup demo test check notebooks bench lab clean

help:
	@echo "make demo       the main job on a synthetic history; writes out/report.html"
	@echo "make test       every test"
	@echo "make check      lint, types, and every test"
	@echo "make notebooks  run the notebooks and keep their pictures"
	@echo "make bench      the benchmarks; each writes its table into benchmarks/README.md"
	@echo "make lab        JupyterLab"

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bposim needs Python 3.11 or newer; call make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $(READY)

setup: $(READY)

# One thread of linear algebra in each of two workers: with more they wait for each other, which takes three times as long.
PYTEST = OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations=25 --durations-min=8

demo: $(READY)
	$(BIN)/bposim demo --out out

test: $(READY)
	$(PYTEST) $(TESTS)

check: $(READY)
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(PYTEST) $(TESTS)

notebooks: $(READY)
	$(BIN)/python notebooks/run.py

bench: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python benchmarks/run.py

lab: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[notebook]"
	$(BIN)/jupyter lab notebooks

clean:
	rm -rf $(VENV) out build .pytest_cache .ruff_cache .mypy_cache .hypothesis
