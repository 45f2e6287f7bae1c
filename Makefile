# Two commands to know: `make demo` opens the wizard on an embedded model, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

.PHONY: demo test test-slow check docs clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) tools/install.py $(VENV)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PYTHON) tools/install.py $(VENV) dev
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/ftui demo

test: $(VENV)/.installed-dev
	@$(PYTEST) -m "not slow"

test-slow: $(VENV)/.installed-dev
	@$(PYTEST) -m slow

check: $(VENV)/.installed-dev
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python tools/audit.py

docs: $(VENV)/.installed-dev
	@$(BIN)/python docs/make.py

clean:
	@rm -rf $(VENV) build dist *.egg-info
