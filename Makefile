# The two commands: `make quickstart` and `make test`. `make verify` runs the long forms and every fault, and writes
# results/verify.txt, which is committed after its commit.
PYTHON ?= python3
BIN := .venv/bin
QUICKSTART := quickstart-delay quickstart-equivalence quickstart-listops quickstart-kernels

.PHONY: quickstart test verify overhead lint clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: .venv/installed
	$(BIN)/harness run $(QUICKSTART:%=ablations/%.toml); code=$$?; \
	$(BIN)/harness report $(QUICKSTART) --out reports/quickstart --title "Quickstart" && \
	echo "MLflow UI: $(BIN)/harness ui" && exit $$code

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not long"

verify: .venv/installed-dev
	$(BIN)/python -m pytest -m 'long or fault' --resume=.verify

# What the harness itself costs, into results/overhead.json; some 20 minutes on a machine that does nothing else.
overhead: .venv/installed-dev
	$(BIN)/python tests/overhead.py

clean:
	rm -rf .venv .verify .mypy_cache .pytest_cache .ruff_cache build *.egg-info
