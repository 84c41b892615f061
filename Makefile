# The commands of the project. `make run` is the first one to try; `make test` is what CI calls.

# RocksDB is a quarter of an hour of C++. Cargo compiles it again whenever CC or CXX changes, so every target here sets
# both to the same value; and with ccache a second profile, or a second checkout, takes the objects of the first. Whoever
# calls cargo by hand does well to export the same two. A compiler named in the environment is left alone.
# (The variables are expanded anew for each recipe, since `packages` may install ccache on the way.)
ifeq ($(origin CC),default)
export CC = $(shell command -v ccache >/dev/null && echo "ccache cc" || echo cc)
endif
ifeq ($(origin CXX),default)
export CXX = $(shell command -v ccache >/dev/null && echo "ccache c++" || echo c++)
endif

# Where cargo builds to; respected everywhere when it comes from the environment.
export CARGO_TARGET_DIR ?= $(CURDIR)/target

# Arguments of `quorate dev`: make run ARGS="--nodes 5 --no-example"
ARGS ?=
# How many relationships `make test-import` loads.
IMPORT_SIZE ?= 1000000

# The first seed of `make differential` (the time, unless given), how many follow, a stored case instead, which kinds
# of differences to report (a regular expression), a spicedb binary.
SEED ?=
ROUNDS ?= 50
CASE ?=
ONLY ?=
SPICEDB ?=

# How many seeds `make sim` runs, and from which on.
SEEDS ?= 5000
FIRST ?= 1

# Seconds for each target of `make fuzz`, and parts of the names of those that are wanted.
TIME ?= 60
TARGETS ?=

# Further arguments of `make bench`: --tuples 1000000 --minutes 12, or --only groups --only write
BENCH ?=

# How often `make failover` takes the leader away, in each manner; the shortest election timeout, of which twice is the longest.
TIMES ?= 50
ELECTION_MS ?= 500
# Arguments of `make overload`: make overload OVERLOAD="--only storm --scale 0.1"
OVERLOAD ?=

# Arguments of `make chaos`: make chaos CHAOS="--seed 7 --seconds 60 --faults lagging,pause"
CHAOS ?=
# Anything: `make chaos-mutants` tries all bugs, not only the quick ones.
ALL ?=

.NOTPARALLEL:
.PHONY: run build test test-rust test-clients test-console test-migrate test-deploy test-deny test-import cost differential sim fuzz fmt clean
.PHONY: packages packages-test
.PHONY: chaos chaos-mutants chaos-release soak packages-chaos failover overload bench packages-bench

## run: build, then start three nodes on this machine and show what to do with them
run: build
	@exec "$(CARGO_TARGET_DIR)/release/quorate" dev $(ARGS)

## build: the release binary
build: packages
	cargo build --release --locked

## test: formatting, lints, what is stood on, all tests, the official clients and a browser against live clusters, a move from
## SpiceDB, what deploy/ ships, and a short chaos run
test: packages-test test-deny test-rust test-clients test-console test-migrate test-deploy chaos

test-rust: packages-test
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --workspace

# With --workspace here and below, so that it is the binary of `chaos`: features are united over what is built together.
test-clients: packages-test
	cargo build --locked --workspace
	tests/clients/run "$(CARGO_TARGET_DIR)/debug/quorate"

## test-console: the web console in a headless Chromium, against a live cluster
test-console: packages-test
	cargo build --locked --workspace
	tests/console/run "$(CARGO_TARGET_DIR)/debug/quorate"

## test-migrate: a move from a real SpiceDB under load, killed again and again; with SEED, and with SPICEDB, a spicedb binary
test-migrate: packages-test
	cargo build --locked --workspace
	SEED="$(SEED)" SPICEDB="$(SPICEDB)" tests/migrate/run "$(CARGO_TARGET_DIR)/debug/quorate"

## test-deploy: certificates, configurations, manifests and runbooks, put to the binary and to each other
test-deploy: packages-test
	cargo build --locked --workspace
	tests/deploy/run "$(CARGO_TARGET_DIR)/debug/quorate"

## test-deny: licences, bans, sources and known faults of the dependencies, by cargo-deny and deny.toml
test-deny: packages-test
	tests/deny/run "$(CARGO_TARGET_DIR)/tools"

## test-import: one million relationships through `quorate relationship import`, checked; in the release binary
test-import: packages
	QUORATE_IMPORT_SIZE=$(IMPORT_SIZE) cargo test --locked --release --test integration -- --nocapture import::

## cost: what each consistency mode costs, on leader and follower, in the release binary
cost: packages
	cargo test --locked --release --test integration -- --ignored --nocapture cost::

## differential: the same random schemas, data and questions put to this and to a real SpiceDB
differential: packages-test
	cargo build --locked
	SEED="$(SEED)" ROUNDS="$(ROUNDS)" CASE="$(CASE)" ONLY="$(ONLY)" SPICEDB="$(SPICEDB)" \
		tests/differential/run "$(CARGO_TARGET_DIR)/debug/quorate"

## sim: simulated clusters under faults, SEEDS of them from FIRST on; or one SEED, with its trace
sim: packages-test
	QUORATE_SIM_SEEDS=$(SEEDS) QUORATE_SIM_FIRST=$(FIRST) $(if $(SEED),QUORATE_SIM_SEED=$(SEED)) cargo test --locked --test sim

## fuzz: every decoder of bytes from outside, by coverage, TIME seconds each
fuzz: packages-test
	tests/fuzz/run $(TIME) $(TARGETS)

## chaos: five nodes under load and faults for about three minutes, judged; with partitions and power cuts as root
chaos: packages-chaos
	cargo build --locked --workspace
	"$(CARGO_TARGET_DIR)/debug/quorate-jepsen" run --binary "$(CARGO_TARGET_DIR)/debug/quorate" --expect quick $(CHAOS)

## chaos-mutants: the same against binaries with a bug on purpose, each of which must be caught; a few bugs, or with ALL=1 all
chaos-mutants: packages-chaos
	cargo build --locked --features mutants
	cp "$(CARGO_TARGET_DIR)/debug/quorate" "$(CARGO_TARGET_DIR)/debug/quorate-mutants"
	cargo build --locked --workspace
	"$(CARGO_TARGET_DIR)/debug/quorate-jepsen" mutants --binary "$(CARGO_TARGET_DIR)/debug/quorate-mutants" \
		--clean "$(CARGO_TARGET_DIR)/debug/quorate" $(if $(ALL),,--quick) $(CHAOS)

## chaos-release: an hour of chaos, on the release binary
chaos-release: packages-chaos
	cargo build --locked --release --workspace
	"$(CARGO_TARGET_DIR)/release/quorate-jepsen" run --binary "$(CARGO_TARGET_DIR)/release/quorate" --name release \
		--seconds 3600 --clients 2 --expect release $(CHAOS)

## soak: half an hour of mixed load on the release binary, with a restart now and then; memory and open files must come to rest
soak: packages-chaos
	cargo build --locked --release --workspace
	"$(CARGO_TARGET_DIR)/release/quorate-jepsen" run --binary "$(CARGO_TARGET_DIR)/release/quorate" --name soak \
		--seconds 1800 --clients 2 --faults restart --apart 120 --expect soak $(CHAOS)

## failover: how long writes stop when the leader is killed or hands over, beside etcd, TIMES of each; writes its table
failover: packages-bench
	cargo build --locked --release
	PYTHONDONTWRITEBYTECODE=1 python3 benches/failover.py "$(CARGO_TARGET_DIR)/release/quorate" --times $(TIMES) \
		--election-ms $(ELECTION_MS) --write docs/performance.md

## overload: more than a cluster can do, and clients that say nothing, come and go, or do not read; writes its tables
overload: packages-bench
	cargo build --locked --release
	PYTHONDONTWRITEBYTECODE=1 python3 benches/overload.py "$(CARGO_TARGET_DIR)/release/quorate" --write docs/performance.md \
		$(OVERLOAD)

## bench: checks beside SpiceDB, the log beside etcd, the floors of this machine; writes the tables of docs/performance.md
bench: packages-bench
	cargo build --locked --release
	PYTHONDONTWRITEBYTECODE=1 python3 benches/side_by_side.py "$(CARGO_TARGET_DIR)/release/quorate" --write docs/performance.md $(BENCH)

## fmt: format the sources
fmt:
	cargo fmt --all

clean:
	cargo clean

packages:
	@.ci/packages build

packages-test:
	@.ci/packages test

packages-chaos:
	@.ci/packages chaos

packages-bench:
	@.ci/packages bench
