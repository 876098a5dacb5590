# `make` lists the targets. Requires Python 3.13, make and openssl; uv and everything else is downloaded.
PYTHON ?= $(shell for python in python3.13 python3; do \
	$$python -c 'import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null && echo $$python && break; done)
UV_VERSION = 0.13.8
uv = .uv/bin/uv
sync = UV_PROJECT_ENVIRONMENT=$(@D) $(uv) sync --quiet --locked --python .uv/bin/python
export UV_COMPILE_BYTECODE = 1
export UV_PYTHON_DOWNLOADS = never

.DEFAULT_GOAL = help
.PHONY: help setup check test faults bench demo demo-down security build package release generate check-requirements clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: .venv/.synced .venv-sam/.synced .venv-local/.synced  ## create the three environments from uv.lock

check: setup  ## check lint, format, types, layers and generated files
	.venv/bin/ruff check && .venv/bin/ruff format --check
	.venv/bin/mypy
	PYTHONPATH=functions .venv/bin/lint-imports
	$(MAKE) --no-print-directory check-requirements
	PYTHONPATH=functions .venv/bin/python -m tools.generate --check

test: check  ## run check, the unit, contract and template tests, a slice of the crash tests, and the demo
	.venv/bin/pytest -q -n 2 -m 'not e2e and not faults'
	.venv/bin/pytest -q -m faults
	.venv/bin/pytest -q -n 2 --dist loadfile -m e2e

faults: setup  ## run all crash tests; prints a table and writes build/faults-report.json (50 minutes)
	.venv/bin/python -m tests.faults

bench: setup .venv-bench/.synced  ## measure beside the peers; writes build/bench-report.json, the chart and the README (8 minutes)
	.venv/bin/python -m benchmarks

demo: setup  ## deploy, update and delete all types on a local AWS; KEEP=1 leaves it running
	.venv/bin/python -m local.demo $(if $(KEEP),--keep)

demo-down: setup  ## stop a demo that was left running
	.venv/bin/python -m local.demo --down

security: setup  ## run checkov on template.yaml
	$(uv) tool run --quiet --python .uv/bin/python checkov@3.3.30 -f template.yaml --framework cloudformation --skip-download --compact --quiet

build: setup  ## run sam build
	PATH="$(CURDIR)/.venv-sam/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build

package: build  ## write the wheel, and the build of `sam deploy`, to dist/
	rm -rf dist && $(uv) build --quiet --wheel
	tar -czf dist/cfn-telephony-$$(.venv/bin/python -m tools.release --version)-sam.tar.gz \
		.aws-sam/build samconfig.toml LICENSE README.md

release: setup  ## show the release of the version in pyproject.toml; CONFIRM=1 commits and tags it
	.venv/bin/python -m tools.release $(if $(CONFIRM),--confirm)

requirements = $(uv) export --quiet --locked --only-group runtime --no-emit-project --no-header --no-annotate
check-requirements: setup
	$(requirements) | cmp - layers/dependencies/requirements.txt

generate: setup  ## write the files that are generated from the code and uv.lock
	$(requirements) > layers/dependencies/requirements.txt
	PYTHONPATH=functions .venv/bin/python -m tools.generate

clean:  ## remove everything that these targets created
	rm -rf .uv .venv .venv-bench .venv-sam .venv-local .aws-sam build dist

$(uv): | .python-version
	@test -n "$(PYTHON)" || { echo 'Python 3.13 was not found. Install it, or run make PYTHON=/path/to/python3.13' >&2; exit 1; }
	$(PYTHON) -m venv .uv && .uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/.synced: $(uv) uv.lock
	$(sync) && touch $@

.venv-bench/.synced: $(uv) uv.lock
	$(sync) --only-group bench && touch $@

.venv-sam/.synced: $(uv) uv.lock
	$(sync) --only-group sam && touch $@

.venv-local/.synced: $(uv) uv.lock
	$(sync) --only-group local && touch $@
