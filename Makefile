# The only entry point: CI, packages and people call these targets and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

TARGET  := x86_64-unknown-linux-musl
DESTDIR ?=
PREFIX  ?= /usr/local
BUILD   := $(or $(CARGO_TARGET_DIR),target)
BINARY  := $(BUILD)/$(TARGET)/release/vcn-hook
FUZZ_ENV = $(if $(CARGO_TARGET_DIR),CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/fuzz)
FUZZ    := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR)/fuzz,fuzz/target)/x86_64-unknown-linux-gnu/release/fuzz
export VCN_HOOK_BIN = $(abspath $(BINARY))

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static release binary
	@tests/install-needs.sh build
	cargo build --locked --release --target $(TARGET)
	@ls -l $(BINARY) | awk '{print $$NF ": " $$5 " bytes"}'

.PHONY: check
check: ## Format, lints, unit tests, architecture; no root, under two minutes
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --lib --test architecture

.PHONY: fuzz-smoke
fuzz-smoke: ## Fuzz each parser of outside bytes for ten seconds; stable Rust, no root
	@tests/install-needs.sh fuzz
	cd fuzz && $(FUZZ_ENV) cargo build --locked --release
	$(FUZZ) smoke

.PHONY: test
test: build fuzz-smoke ## Everything, on real engines; needs root, installs what it lacks
	@tests/install-needs.sh test
	cargo test --locked --doc
	cargo test --locked --no-fail-fast --tests

.PHONY: bench
bench: build ## Measure, print the ratios, write docs/performance.md; FIGURES="decision gate append start at-once size" for some
	@tests/install-needs.sh bench
	cargo build --locked --release --target $(TARGET) --examples
	cargo bench --locked --profile dev --bench figures

.PHONY: demo
demo: build ## Notarize an image, start it, watch others be refused; leaves nothing behind; ENGINE=docker|podman|runc|crun
	@tests/install-needs.sh demo
	@packaging/demo/demo.sh

.PHONY: install
install: ## Install the built binary below DESTDIR and PREFIX
	@test -x $(BINARY) || { echo "run 'make build' first" >&2; exit 1; }
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/vcn-hook
	ln -sf vcn-hook $(DESTDIR)$(PREFIX)/bin/vcn

.PHONY: clean
clean: ## Remove what was built
	cargo clean
