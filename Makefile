# `make demo` builds, verifies and draws a small data set; `make test` runs the tests.
# Both need Python >= 3.11 and nothing else; they create .venv and reuse it.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make PYTHON=/path/to/python demo` chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
STORE := demo/avs-db.zarr

.PHONY: demo test check clean

demo: $(VENV)/core.stamp
	mkdir -p demo
	$(BIN)/synthgen build avs-db $(STORE) --count 32 --seed 0 --device cpu
	$(BIN)/synthgen verify $(STORE) --deep
	$(BIN)/synthgen preview $(STORE) --output demo/preview.png
	@echo
	@echo "store:   $(CURDIR)/$(STORE)"
	@echo "picture: $(CURDIR)/demo/preview.png"

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile

# mypy sees the packages as they are installed: kernels/ and training/ inside synthgen.
check: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	rm -rf build/types && mkdir -p build/types/synthgen
	ln -s $(CURDIR)/synthgen/* $(CURDIR)/kernels $(CURDIR)/training build/types/synthgen
	MYPYPATH=build/types $(BIN)/mypy -p synthgen

clean:
	rm -rf build demo

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; set PYTHON=/path/to/it" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/core.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[dev]'
	touch $@ $(VENV)/core.stamp
