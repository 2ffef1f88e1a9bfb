# The few commands of this repository. Each sets itself up: nothing has to be installed first but Python 3.11 and make.
.DEFAULT_GOAL := help
.PHONY: help demo smoke test lint lint-infra lint-monitoring bench bench-alerts crash-table mutants screenshots clean
PYTHON ?=
export PYTHON

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## start the sandbox and the bot, and print the page's address (QUARTERDECK_PORT=8700; RESET=1: begin anew; DISCORD=1: with your own Discord; REAL_WORKFLOWS=1: act runs the workflows; VALIDATE=1: compare every exchange)
	@.ci/venv $(if $(filter 1,$(REAL_WORKFLOWS) $(VALIDATE)),dev,demo)
	@$(if $(filter 1,$(VALIDATE)),.ci/foreign)
	@exec .venv/bin/python -m bot demo

smoke: ## beside make demo DISCORD=1: walk through what your own Discord shows, and write down what differs
	@.ci/venv demo
	@exec .venv/bin/python -m bot.sandbox.smoke $(ARGS)

test: ## run every check and test, the core's with branch coverage; what is skipped is named (ARGS="-k deploy")
	@tests/servers.sh
	@$(MAKE) --no-print-directory lint
	@.ci/foreign
ifeq ($(strip $(ARGS)),)
	@exec .venv/bin/python -m tests.lanes
else
	@exec .venv/bin/python -m pytest tests/unit tests/infra tests/wire tests/story tests/crash tests/page $(ARGS)
endif

lint: ## check style, types, import contracts, house rules, Dockerfile, scripts, workflows, infra/ and monitoring/
	@.ci/venv dev
	@.ci/lint
	@.ci/lint-infra
	@.ci/lint-monitoring

lint-infra: ## check infra/ alone: Terraform's tests on mocks, checkov, units, documents (ARGS=modules/network)
	@.ci/venv dev
	@.ci/lint-infra $(ARGS)

lint-monitoring: ## check monitoring/ alone: rules with their unit tests, routes, dashboards, compose, units, bundles
	@.ci/venv dev
	@.ci/lint-monitoring

bench: ## measure the bot beside a bare discord.py bot, the service beside Express on Node, the sandbox at rest
	@.ci/venv dev
	@exec .venv/bin/python -m tests.bench $(ARGS)

bench-alerts: ## send storms of alerts through bad weather, beside Alertmanager's own Discord receiver, into the README (25 min; ARGS="--scenarios normal,crash")
	@.ci/venv dev
	@exec .venv/bin/python -m tests.bench.alerts $(ARGS)

crash-table: ## kill the bot at every instant, with each outage, and write what came of it into the README (20 min)
	@.ci/venv dev
	@exec .venv/bin/python -m tests.crash.table $(ARGS)

mutants: ## change the core in every small way and count what no test notices (40 min; ARGS="bot.policy*")
	@.ci/venv dev
	@exec .ci/mutants $(ARGS)

screenshots: ## make the README's pictures from the demo that runs at URL (http://127.0.0.1:8700), or from one of its own
	@.ci/venv dev
	@exec .venv/bin/python -m tests.page.screenshots $(URL)

clean: ## remove everything that these commands made, the sandbox's world included
	rm -rf .venv .cache .quarterdeck .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find app bot cogs tests -name __pycache__ -type d -prune -exec rm -rf {} +
