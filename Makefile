# Needs rustup, Python 3 and make (the tests openssl as well); everything else is fetched into .venv, .tools and target.
.DEFAULT_GOAL := help
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
# The runner of wasm-bindgen tests must be of exactly the version that Cargo.lock names.
WASM_BINDGEN := $(shell sed -n '/^name = "wasm-bindgen"$$/{n;s/.*"\(.*\)"/\1/p;}' Cargo.lock)
RUNNER := $(CURDIR)/.tools/wasm-bindgen-$(WASM_BINDGEN)/bin/wasm-bindgen-test-runner
# Its lock file may name a release that the registry no longer (or not yet) has: then without.
INSTALL_RUNNER = cargo install wasm-bindgen-cli --version $(WASM_BINDGEN) --no-default-features \
  --bin wasm-bindgen-test-runner --root .tools/wasm-bindgen-$(WASM_BINDGEN)

CARGO_FUZZ := .tools/cargo-fuzz/bin/cargo-fuzz

MODEL := --manifest-path docs/model/Cargo.toml --target-dir $(TARGET_DIR)/model
FLEET_MODEL := --manifest-path docs/fleet-model/Cargo.toml --target-dir $(TARGET_DIR)/fleet-model

.PHONY: help build cli envoy demo demo-fleet run test unit mutants model fleet-model wasm-test chaos fuzz soak fleet-purges e2e purge-chaos trap \
  conformance bench bench-core bench-eviction lint clean rust

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

demo: build ## an annotated tour of the cache in a real Envoy (DEMO_EXIT=1: end after the tour)
	@exec python3 envoy/demo/demo.py

demo-fleet: build ## three Envoys and an etcd from nothing: a purge on one is a miss on the others (DEMO_EXIT=1: end after the tour)
	@exec python3 envoy/demo/fleet.py

run: build ## Envoy with Larder in front of your origin: make run ORIGIN=http(s)://host[:port] [PORT=10000] [CONFIG=file.json]
	@exec python3 envoy/demo/demo.py --origin "$(ORIGIN)" $(if $(PORT),--port $(PORT)) $(if $(CONFIG),--config "$(CONFIG)")

build: rust ## the module to ship: dist/larder.wasm
	cargo build --release -p larder-wasm --lib --target wasm32-wasip1
	@$(MAKE) --no-print-directory dist/larder.wasm && wc -c dist/larder.wasm

dist/larder.wasm: $(TARGET_DIR)/wasm32-wasip1/release/larder_wasm.wasm tools/finish.py tools/binaryen/package-lock.json
	@echo "Shrinking it: this takes about a minute …"
	python3 tools/finish.py $< $@

test: lint unit mutants model fleet-model wasm-test e2e conformance ## everything that CI runs

unit: rust ## tests of the crate and scenarios on the emulated host
	@# The test of licences asks without a network about every platform's dependencies.
	cargo fetch --locked
	cargo test --workspace --exclude larder-mutants -- --skip e2e::

mutants: rust ## each mistake of tests/mutants/table.rs in a copy of the core: the tests see it (CHAOS_MISTAKES=1: chaos tries all)
	cargo test -p larder-mutants -- --skip host::

model: rust ## every interleaving of the protocol in small settings (docs/protocol.md): RUN=P05 for some, FULL=1 for large ones, too
	@FULL="$(FULL)" cargo run --release --locked --quiet $(MODEL) -- $(RUN)

fleet-model: rust ## the same for the protocol of a fleet (docs/fleet.md): RUN=P05 for some, FULL=1 for large ones, too
	@FULL="$(FULL)" cargo run --release --locked --quiet $(FLEET_MODEL) -- $(RUN)

wasm-test: rust $(RUNNER) ## the core on 32 bits: its tests on wasm32-unknown-unknown under Node, and what it takes of memory
	@node=$$(python3 tools/get.py node) && set -x && PATH="$$(dirname "$$node"):$$PATH" \
	  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=$(RUNNER) WASM_BINDGEN_TEST_TIMEOUT=300 \
	  cargo test --lib --test heap --target wasm32-unknown-unknown

$(RUNNER):
	@echo "Building wasm-bindgen-cli $(WASM_BINDGEN) once, into .tools: this takes some minutes …"
	$(INSTALL_RUNNER) --locked || $(INSTALL_RUNNER)

chaos: rust ## seeded chaos on the emulated host: make chaos SEEDS=100000 [SEED=7 for one, with its story]
	CHAOS_SEEDS=$(SEEDS) CHAOS_SEED=$(SEED) cargo test --profile chaos --test main chaos:: -- --skip e2e:: --nocapture

fuzz: rust $(CARGO_FUZZ) ## libFuzzer on every parser, codec and the filter: make fuzz SECONDS=3600 [TARGETS="admin …"]
	python3 tools/fuzz.py $(or $(SECONDS),600) $(TARGETS)

$(CARGO_FUZZ):
	cargo install cargo-fuzz --version 0.13.2 --root .tools/cargo-fuzz

e2e: build trap ## scenarios, crowds and chaos on a real Envoy (OUTAGE_SECONDS=10: that long without an origin)
	@ulimit -Sn "$$(ulimit -Hn)" && envoy=$$(python3 tools/get.py envoy) && set -x && \
	  LARDER_ENVOY=$$envoy cargo test --test main e2e::

purge-chaos: build trap ## purges raced against all else on a real Envoy: make purge-chaos PURGES=20000
	@envoy=$$(python3 tools/get.py envoy) && set -x && \
	  LARDER_ENVOY=$$envoy PURGES=$(PURGES) cargo test --test main e2e::purge_chaos -- --nocapture

fleet-purges: build ## how fast a purge is seen on three real Envoys around a real etcd: make fleet-purges PURGES=400
	@ulimit -Sn "$$(ulimit -Hn)" && envoy=$$(python3 tools/get.py envoy) && set -x && \
	  LARDER_ENVOY=$$envoy PURGES=$(or $(PURGES),400) cargo test --test main e2e::fleet::each_of_many -- --nocapture

soak: trap ## a real Envoy with four workers under everything at once, and then under attack too: make soak MINUTES=20 [RATE=250] [ATTACKS="ranges tags": these alone]
	ATTACKS="$(ATTACKS)" python3 tools/soak/soak.py $(or $(MINUTES),20) $(or $(RATE),250)

trap: rust
	cargo build --profile chaos -p larder-wasm --lib --target wasm32-wasip1 --features trap
	python3 tools/finish.py $(TARGET_DIR)/wasm32-wasip1/chaos/larder_wasm.wasm $(TARGET_DIR)/trap/larder.wasm quick

conformance: build ## the public HTTP cache tests, through a real Envoy (TESTS="id …": these alone, in full)
	@envoy=$$(python3 tools/get.py envoy) && node=$$(python3 tools/get.py node) && \
	  npm=$$(python3 tools/get.py npm) && set -x && PATH="$$(dirname "$$node"):$$PATH" && \
	  node "$$npm" ci --prefix tests/conformance --silent && \
	  LARDER_ENVOY=$$envoy node --no-warnings tests/conformance/run.mjs $(TESTS)

bench: build ## what the cache costs, next to others, with a report (QUICK=1: in three minutes; ONLY=text: what holds it)
	cargo build --release -p larder-wasm --examples --target wasm32-wasip1
	@QUICK="$(QUICK)" ONLY="$(ONLY)" python3 tests/bench/bench.py

bench-core: rust ## instructions that the core takes for a request, against tests/bench/core.json (UPDATE=1: write them)
	@UPDATE="$(UPDATE)" python3 tests/bench/core.py

bench-eviction: rust ## what eviction costs in misses, next to libCacheSim's on the same traces (QUICK=1: fewer requests)
	@QUICK="$(QUICK)" python3 tests/bench/eviction.py

cli: rust ## the command line: target/release/larder (check FILE …: what the filter would say of a configuration)
	cargo build --release -p larder-cli

envoy: ## the path of the Envoy that demo and tests start
	@python3 tools/get.py envoy

lint: rust ## formatting, clippy and rustdoc, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p larder-wasm --lib --target wasm32-wasip1 --features trap -- -D warnings
	cargo fmt --check --manifest-path docs/model/Cargo.toml
	cargo clippy --locked $(MODEL) --all-targets -- -D warnings
	cargo fmt --check --manifest-path docs/fleet-model/Cargo.toml
	cargo clippy --locked $(FLEET_MODEL) --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

clean: ## removes what was built (.venv and .tools stay)
	cargo clean
	rm -rf dist

rust:
	@command -v rustup >/dev/null || { echo "Larder is built with Rust: install rustup (https://rustup.rs) first." >&2; exit 1; }
	@for t in wasm32-wasip1 wasm32-unknown-unknown; do rustup target list --installed | grep -qx $$t || rustup target add $$t || exit 1; done
