# `make run` and `make test` work on a machine that has Debian's python3, python3-venv and make, and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONFIG ?= configs/quickstart.flags
# One more than there are cores: tests wait for processes that they start.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count() + 1)')
# The tests start hundreds of processes: where bytecode is not kept, each compiles our modules anew.
unexport PYTHONDONTWRITEBYTECODE
# Debian packages that only tests use: a browser that opens the report, Fashion-MNIST as IDX files, compilers for what
# goes to phones and microcontrollers, and an SSH server that stands for a device.
SYSTEM_PACKAGES := chromium dataset-fashion-mnist kotlin g++ openssh-server openssh-client libusb-1.0-0

.PHONY: help install run test test-arm64 lint types tests coverage models reference-tools audit mutation-tools format system-packages clean

help:
	@echo "make run      install, then train, diagnose, export and report on the quickstart (CONFIG=... for another)"
	@echo "make test     install, then lint, types and all tests"
	@echo "make test-arm64  run the device's runner on aarch64 under qemu-user (installs what it needs)"
	@echo "make coverage  run the tests, and say which lines and branches they do not reach"
	@echo "make models   make the committed reference models in tflite_models, and the table of its README, again"
	@echo "make install  make .venv with the exact versions of constraints.txt"
	@echo "make mutation-tools  install what benchmarks/mutation.py changes the code with"
	@echo "make audit    look for known holes in the versions of constraints.txt"
	@echo "make format   let ruff format and mend the code"
	@echo "make system-packages  install the Debian packages that some tests use (as root); without them those tests skip"

install: $(VENV)/.installed

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else "error: Python %d.%d; expected 3.11 to 3.13\nhint: make PYTHON=python3.11 ..." % v)'
	@$(PYTHON) -m venv $(VENV) || { echo "hint: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@

run: install
	$(BIN)/python -m tfday7.train --flagfile=$(CONFIG)

test: install lint types tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

tests: install
	$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile

# Which lines and branches the tests run, those of the commands and converters that they start among them.
coverage: install
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses=$(WORKERS) --dist=loadfile
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

models: install
	$(BIN)/python tflite_models/make_models.py

# An independent reader of TFLite metadata, which tests compare ours with, whose dependencies contradict ours; and
# axe-core, which looks at the report with the eyes of a screen reader.
reference-tools: $(VENV)/.installed .reference/.installed

.reference/.installed:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .reference tflite-support==0.4.4
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .reference/protobuf3 protobuf==3.20.3
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .reference axe-playwright-python==0.1.8
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .reference pypdf==5.9.0
	@touch $@

# The device's runner on aarch64 under emulation: an ARM Python of Debian's, the ARM wheels of LiteRT and tflite-runtime.
test-arm64: install
	$(BIN)/python tests/arm64/prepare.py
	TFDAY7_ARM64=1 $(BIN)/python -m pytest tests/arm64

# Known holes in the versions of constraints.txt; asks PyPI's advisory service, with a tool in an environment of its own.
audit:
	@$(PYTHON) -m venv .audit
	.audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

# cosmic-ray in an environment of its own, for benchmarks/mutation.py.
mutation-tools: install
	@$(PYTHON) -m venv .mutation
	.mutation/bin/python -m pip install --quiet --disable-pip-version-check cosmic-ray==8.7.0 numpy

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

system-packages:
	apt-get update --quiet=2
	apt-get install --quiet=2 --yes --no-install-recommends $(SYSTEM_PACKAGES)

clean:
	rm -rf $(VENV) .reference .arm64 .audit .mutation .coverage* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
