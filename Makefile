# `make` lists the targets. Python 3.13, make and openssl are all that must be there; uv and the rest are fetched.
PYTHON ?= $(shell for python in python3.13 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo $$python && break; done)
UV_VERSION = 0.13.8
uv = .uv/bin/uv
sync = UV_PROJECT_ENVIRONMENT=$(@D) $(uv) sync --quiet --locked --python .uv/bin/python
export UV_COMPILE_BYTECODE = 1
export UV_PYTHON_DOWNLOADS = never

.DEFAULT_GOAL = help
.PHONY: help setup check test faults bench demo demo-down security build generate clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.synced .venv-sam/.synced .venv-local/.synced  ## the three environments, from uv.lock

check: setup  ## lint, format, types, layering, generated files
	.venv/bin/ruff check && .venv/bin/ruff format --check
	.venv/bin/mypy
	PYTHONPATH=functions .venv/bin/lint-imports
	$(requirements) | cmp - layers/dependencies/requirements.txt
	PYTHONPATH=functions .venv/bin/python -m tools.generate --check

test: check  ## everything: check, unit, contract, template, a slice of the crash tests, and the demo's path
	.venv/bin/pytest -q -n 2 -m 'not e2e and not faults'
	.venv/bin/pytest -q -m faults
	.venv/bin/pytest -q -n 2 --dist loadfile -m e2e

faults: setup  ## crash tests of the whole plan: a table, and build/faults-report.json (17 minutes)
	.venv/bin/python -m tests.faults

bench: setup .venv-bench/.synced  ## side by side with the peers: table, build/bench-report.json, chart (8 minutes)
	.venv/bin/python -m benchmarks

demo: setup  ## the whole life of all three types on a laptop; KEEP=1 leaves it running
	.venv/bin/python -m local.demo $(if $(KEEP),--keep)

demo-down: setup  ## end a demo that was kept
	.venv/bin/python -m local.demo --down

security: setup  ## checkov on template.yaml, in an environment of its own
	$(uv) tool run --quiet --python .uv/bin/python checkov@3.3.30 -f template.yaml --framework cloudformation --skip-download --compact --quiet

build: setup  ## sam build
	PATH="$(CURDIR)/.venv-sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build

requirements = $(uv) export --quiet --locked --only-group runtime --no-emit-project --no-header --no-annotate
generate: setup  ## what is derived from the code and from uv.lock
	$(requirements) > layers/dependencies/requirements.txt
	PYTHONPATH=functions .venv/bin/python -m tools.generate

clean:  ## remove what these targets made
	rm -rf .uv .venv .venv-bench .venv-sam .venv-local .aws-sam build

$(uv): | .python-version
	@test -n "$(PYTHON)" || { echo 'Python 3.13 was not found: install it, or say make PYTHON=/path/to/python3.13' >&2; exit 1; }
	$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.synced: $(uv) uv.lock
	$(sync) && touch $@

.venv-bench/.synced: $(uv) uv.lock
	$(sync) --only-group bench && touch $@

.venv-sam/.synced: $(uv) uv.lock
	$(sync) --only-group sam && touch $@

.venv-local/.synced: $(uv) uv.lock
	$(sync) --only-group local && touch $@
