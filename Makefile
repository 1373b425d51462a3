# The only entry point: CI, packages and people call these targets and nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

TARGET  := x86_64-unknown-linux-musl
DESTDIR ?=
PREFIX  ?= /usr/local
SYSCONFDIR ?= /etc
BUILD   := $(or $(CARGO_TARGET_DIR),target)
BINARY  := $(BUILD)/$(TARGET)/release/vcn-hook
FUZZ_ENV = $(if $(CARGO_TARGET_DIR),CARGO_TARGET_DIR=$(abspath $(CARGO_TARGET_DIR))/fuzz)
FUZZ    := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR)/fuzz,fuzz/target)/x86_64-unknown-linux-gnu/release/fuzz
UNITS   := vcn-hook-sync.service vcn-hook-sync.timer vcn-hook-apply.service vcn-hook-apply.path \
           vcn-hook-index@.service vcn-hook-index@.timer vcn-hook-watch.service
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
DIST    ?= $(BUILD)/packages
# What is built from one commit is one and the same, whenever and wherever.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)
export VCN_HOOK_BIN = $(abspath $(BINARY))

.PHONY: help
help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static release binary
	@tests/install-needs.sh build
	cargo build --locked --release --target $(TARGET)
	@# The image of packaging/watch is made of it.
	@cp $(BINARY) packaging/watch/vcn-hook
	@ls -l $(BINARY) | awk '{print $$NF ": " $$5 " bytes"}'

.PHONY: check
check: ## Format, lints, unit tests, architecture; no root, under two minutes
	cargo fmt --all --check
	@# A crate more here is one more there.
	cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null
	cargo clippy --locked --all-targets -- -D warnings
	cargo test --locked --lib --test architecture

.PHONY: fuzz-smoke
fuzz-smoke: ## Fuzz each parser of outside bytes for ten seconds; stable Rust, no root; FUZZ_SEED= repeats a run
	@tests/install-needs.sh fuzz
	cd fuzz && $(FUZZ_ENV) cargo build --locked --release
	$(FUZZ) smoke $(addprefix --seed=,$(FUZZ_SEED))

.PHONY: test
# The same sources are fuzzed alike wherever they are tested, and other sources otherwise.
test: FUZZ_SEED ?= $(shell printf %d 0x$$(git rev-parse --short=7 HEAD^{tree} 2>/dev/null || echo 1))
test: build fuzz-smoke ## Everything, on real engines; needs root, installs what it lacks
	@tests/install-needs.sh test
	cargo test --locked --doc
	cargo test --locked --no-fail-fast --tests

.PHONY: bench
bench: build ## Measure, print the ratios, write docs/performance.md; FIGURES="decision gate append start at-once deep sweep hour size" for some (hour takes one)
	@tests/install-needs.sh bench
	cargo build --locked --release --target $(TARGET) --examples
	cargo bench --locked --profile dev --bench figures

.PHONY: demo
demo: build ## Notarize an image, start it, watch others be refused; leaves nothing behind; ENGINE=docker|podman|runc|crun
	@tests/install-needs.sh demo
	@packaging/demo/demo.sh

.PHONY: install
install: ## Install what was built below DESTDIR: program, units, settings, manual; PREFIX=, SYSCONFDIR=
	@test -x $(BINARY) || { echo "run 'make build' first" >&2; exit 1; }
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/vcn-hook
	ln -sf vcn-hook $(DESTDIR)$(PREFIX)/bin/vcn
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system $(addprefix packaging/systemd/,$(UNITS))
	sed -i 's|/usr/bin/|$(PREFIX)/bin/|; s|/usr/share/|$(PREFIX)/share/|' $(addprefix $(DESTDIR)$(PREFIX)/lib/systemd/system/,$(UNITS))
	install -D -m 0644 packaging/systemd/50-vcn-hook.preset $(DESTDIR)$(PREFIX)/lib/systemd/system-preset/50-vcn-hook.preset
	install -D -m 0644 packaging/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/vcn-hook.conf
	install -D -m 0644 packaging/systemd/tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/vcn-hook.conf
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/catalog
	packaging/systemd/catalog.sh <docs/reasons.md >$(DESTDIR)$(PREFIX)/lib/systemd/catalog/vcn-hook.catalog
	@# What an administrator wrote stays.
	test -e $(DESTDIR)$(SYSCONFDIR)/vcn-hook/config.toml || \
		install -D -m 0644 packaging/config.toml $(DESTDIR)$(SYSCONFDIR)/vcn-hook/config.toml
	install -D -m 0644 packaging/logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/vcn-hook
	install -d $(DESTDIR)$(PREFIX)/share/man/man8 $(DESTDIR)$(PREFIX)/share/man/man5
	packaging/man/page.sh vcn-hook.8 $(BINARY) >$(DESTDIR)$(PREFIX)/share/man/man8/vcn-hook.8
	echo '.so man8/vcn-hook.8' >$(DESTDIR)$(PREFIX)/share/man/man8/vcn.8
	packaging/man/page.sh vcn-hook.toml.5 $(BINARY) >$(DESTDIR)$(PREFIX)/share/man/man5/vcn-hook.toml.5
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	$(BINARY) completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vcn-hook
	ln -sf vcn-hook $(DESTDIR)$(PREFIX)/share/bash-completion/completions/vcn
	$(BINARY) completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_vcn-hook
	$(BINARY) completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vcn-hook.fish
	ln -sf vcn-hook.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vcn.fish
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/vcn-hook README.md SECURITY.md ARCHITECTURE.md CHANGELOG.md LICENSE
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/vcn-hook/docs docs/*.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/vcn-hook/examples hooks/50-vcn-hook.json
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/vcn-hook/examples/grafana packaging/grafana/*.json
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/vcn-hook/examples/prometheus packaging/prometheus/*.yml
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/vcn-hook/examples/watch packaging/watch/Dockerfile packaging/watch/*.yml

.PHONY: deb
deb: build ## Debian's package into DIST (target/packages)
	@tests/install-needs.sh deb
	packaging/deb/build.sh "$(VERSION)" "$(DIST)"

.PHONY: rpm
rpm: build ## The same as an rpm
	@tests/install-needs.sh rpm
	packaging/rpm/build.sh "$(VERSION)" "$(DIST)"

.PHONY: clean
clean: ## Remove what was built
	cargo clean
