# Every target does its own set-up.
.PHONY: help setup build demo test lint bench fuzz ci

help: ## What there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

setup: ## Check the tools, fetch a pinned nats-server when there is none
	@scripts/setup

build: setup ## Build `nex` and the example, optimized
	cargo build --release -p nex -p echo-service

demo: build ## Start NATS and a node, deploy a service, call it, stop all of it
	target/release/nex demo

test: setup ## All tests
	@scripts/test

lint: ## Format, clippy, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

bench: setup ## Whole paths, against a bare NATS echo in the same run
	cargo bench -p nex --bench services

fuzz: ## Each fuzz target for FUZZ_SECONDS (default 60)
	@scripts/fuzz

ci: ## What continuous integration runs
	@.ci/run
