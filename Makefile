# Everything a checkout needs, from Python 3.11 and make alone. `make` lists the targets.

PYTHON ?= python3
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
BIN := .venv/bin
# More than cores: most tests wait for servers.
TEST_WORKERS ?= 4
# Of `make drains`.
PEOPLE ?= 2000000

# The interpreter found here is the one used: nothing but packages is downloaded.
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup check test faults planted fuzz bench bench-tuning bench-checkout drains demo clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'

setup: $(UV) ## Install everything into .venv and fetch Kafka's jars and the tests' Java compiler (quick when nothing is to do)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "redress: Python 3.11 or newer is needed; choose one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(UV) sync --quiet --frozen --all-extras --python "$(PYTHON)" \
		|| { echo "redress: the packages of uv.lock could not be installed (is PyPI reachable?); see above" >&2; exit 1; }
	@$(BIN)/python -m redress.runtime.local.fetch
	@$(BIN)/python -m tests.harness.java_program

.tools/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "redress: Python 3.11 or newer is needed; choose one with: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "redress: this Python has no venv or ensurepip (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv .tools
	@.tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) \
		|| { echo "redress: uv $(UV_VERSION) could not be installed (is PyPI reachable?); see above" >&2; exit 1; }

check: setup ## Format, lint, types, import rules, generated files up to date, nothing released broken
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m redress.contracts.generate --check schemas
	$(BIN)/python -m redress.contracts.compatibility schemas

test: setup ## All tests, on a real Kafka and a real Postgres
	$(BIN)/pytest -n $(TEST_WORKERS) --dist worksteal

faults: setup ## Every fault at every point, servers that come and go, the race at full size (minutes)
	$(BIN)/pytest -n $(TEST_WORKERS) -m faults

planted: setup ## Small wrong edits, each of which a named test must notice (minutes)
	$(BIN)/python -m tests.planted.run

fuzz: setup ## The property tests, random and long
	REDRESS_TEST_RANDOM=1 $(BIN)/pytest -n $(TEST_WORKERS) tests/property tests/contract

bench: setup ## How fast every path is on this machine, beside what else one could do (minutes); BENCH="--people 200000"
	$(BIN)/python -m tests.benchmarks $(BENCH)

drains: setup ## Measure how a million things that fall due at once are taken (PEOPLE=2000000: most of an hour)
	$(BIN)/python -m tests.benchmarks.drains --people $(PEOPLE)

demo: setup ## A whole programme on the local stack, and the proof of its figures
	$(BIN)/redress demo

bench-tuning: setup ## What each setting of the local stack is worth, beside its server's default (a quarter of an hour)
	$(BIN)/python -m tests.benchmarks.tuning $(BENCH)

bench-checkout: setup ## How long a decision takes over Kafka and HTTP, and look-ups, beside the bare servers (minutes)
	$(BIN)/python -m tests.benchmarks.checkout $(BENCH)

clean: ## Remove .venv, .tools and caches (the local stack's data stay)
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find services tests -name __pycache__ -type d -prune -exec rm -rf {} +
