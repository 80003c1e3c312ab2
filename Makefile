# Thin aliases for people. The logic is in xtask/ (Rust) and cluster/ (the shell of the local cluster).
.DEFAULT_GOAL := help
XTASK := cargo run --quiet --package xtask --

.PHONY: help up down test assets dev lint bench bench-auth bench-operator bench-telemetry codegen clean-cache

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-16s %s\n", $$1, $$2 }'

up: ## Create the kind cluster, build everything, install Tracewell, apply examples/demo.yaml, print the URLs
	@$(XTASK) up

down: ## Remove the kind cluster
	@$(XTASK) down

test: ## Do all the set-up and run every test, from laws to journeys on kind
	@$(XTASK) test

assets: ## Install what the tests start (API server, Jaeger, Sentry receivers) and print where, for `cargo test`
	@$(XTASK) assets

dev: ## Run the four services on this machine, without Kubernetes, logs in this terminal
	@$(XTASK) dev

lint: ## Formatting, clippy, licences, generated files, scripts
	@$(XTASK) lint

bench: ## Measure the figures of docs/benchmarks.md on the running cluster
	@$(XTASK) bench

bench-auth: ## Measure the auth service beside bare argon2id and the Express service that it replaces
	@$(XTASK) bench auth

bench-operator: ## Measure the operator with a thousand Platforms, on a control plane without nodes
	@$(XTASK) bench operator

bench-telemetry: ## Measure what the telemetry layer costs a service, without a cluster
	@$(XTASK) bench telemetry

codegen: ## Write the generated files again (crds/, the chart's CRD and RBAC, OpenAPI documents)
	@$(XTASK) codegen

clean-cache: ## Remove the tools and images that were built outside the tree
	@$(XTASK) clean-cache
