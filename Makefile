# Thin aliases for people. The logic is in xtask/ (Rust) and cluster/ (the shell of the local cluster).
.DEFAULT_GOAL := help
XTASK := cargo run --quiet --package xtask --

.PHONY: help up down test dev lint bench codegen clean-cache

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

up: ## Create the kind cluster, build everything, install Tracewell, apply examples/demo.yaml, print the URLs
	@$(XTASK) up

down: ## Remove the kind cluster
	@$(XTASK) down

test: ## Do all the set-up and run every test, from laws to journeys on kind
	@$(XTASK) test

dev: ## Run the four services on this machine, without Kubernetes, logs in this terminal
	@$(XTASK) dev

lint: ## Formatting, clippy, licences, generated files, scripts
	@$(XTASK) lint

bench: ## Measure the figures of docs/benchmarks.md on the running cluster
	@$(XTASK) bench

codegen: ## Write the generated files again (crds/, the chart's CRD and RBAC, OpenAPI documents)
	@$(XTASK) codegen

clean-cache: ## Remove the tools and images that were built outside the tree
	@$(XTASK) clean-cache
