# Everything a person or the CI does with this repository. `make` alone lists it.

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/doorward
# cargo-nextest and cargo-deny live here when the machine has none of its own.
export PATH := $(PATH):$(CACHE)/tools/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check bench fuzz fmt contracts

help: ## list the targets
	@sed -n 's/^\([a-z]*\): ## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: ## build, then run against simulated clouds and devices (ARGS="--seed 7")
	@scripts/install build
	@exec scripts/demo $(ARGS)

test: ## run every test
	@scripts/install build test
	cargo nextest run --workspace --locked
	cargo test --doc --workspace --locked
	packaging/check

check: ## formatting, lints, documentation, licences, generated files
	@scripts/install build check
	cargo fmt --all --check
	shellcheck .ci/run packaging/check $$(grep -lE '^#!.*bash' scripts/*)
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private-intra-doc-links" cargo doc --workspace --no-deps --document-private-items --locked
	cargo fetch --locked
	cargo deny --locked --offline check --hide-inclusion-graph licenses bans sources
	scripts/contracts --check

bench: ## measure, and write docs/performance.md
	@scripts/install build test
	scripts/bench

fuzz: ## throw made-up bytes at everything that reads what strangers send (ARGS="600 plain")
	scripts/fuzz $(ARGS)

fmt: ## format the code
	cargo fmt --all

contracts: ## write the generated files anew
	@scripts/install build
	scripts/contracts
