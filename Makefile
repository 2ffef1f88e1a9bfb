# The few commands of this repository. Each sets itself up: nothing has to be installed first but Python 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench crash-table mutants clean
PYTHON ?=
export PYTHON

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## start the sandbox and the bot, and print the page's address (QUARTERDECK_PORT=8700, RESET=1 begins anew)
	@.ci/venv demo
	@exec .venv/bin/python -m bot demo

test: lint ## run every check and test, the core's with branch coverage; what is skipped is named (ARGS="-k deploy")
	@tests/servers.sh
ifeq ($(strip $(ARGS)),)
	@status=0; \
	.venv/bin/python -m pytest tests/unit --cov --cov-report=term --cov-report=json:.cache/coverage.json || status=$$?; \
	.venv/bin/python -m tests.branches .cache/coverage.json || status=$$?; \
	.venv/bin/python -m pytest tests/wire tests/story tests/crash tests/page || status=$$?; \
	exit $$status
else
	@exec .venv/bin/python -m pytest tests/unit tests/wire tests/story tests/crash tests/page $(ARGS)
endif

lint: ## check style, types, import contracts, house rules, Dockerfile, scripts and workflows
	@.ci/venv dev
	@.ci/lint

bench: ## measure the bot beside a bare discord.py bot, and the service beside Express on Node
	@.ci/venv dev
	@exec .venv/bin/python -m tests.bench $(ARGS)

crash-table: ## kill the bot at every instant, with each outage, and write what came of it into the README (20 min)
	@.ci/venv dev
	@exec .venv/bin/python -m tests.crash.table $(ARGS)

mutants: ## change the core in every small way and count what no test notices (40 min; ARGS="bot.policy*")
	@.ci/venv dev
	@exec .ci/mutants $(ARGS)

clean: ## remove everything that these commands made, the sandbox's world included
	rm -rf .venv .cache .quarterdeck .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find app bot cogs tests -name __pycache__ -type d -prune -exec rm -rf {} +
