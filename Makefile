# Every target does its own set-up: it needs a Rust toolchain and Python >= 3.11, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs')
# Tests and lint share one build without link-time optimisation; wheels and benchmarks take the release.
FAST := --profile fast
# Processes that run tests at the same time: one for each core, at most as many as fit into 16 GB.
# --dist worksteal keeps the tests of a file together, so what a module or session sets up is rarely set up twice.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

EMPTY := benches/empty_method
CORE := benches/core
RESULTS := benches/results

.PHONY: demo test test-rust test-python check docs site pictures licences crate fuzz fuzz-definitions proof soak nightly
.PHONY: lint lint-rust lint-python bench rivals performance wheels train clean

demo: $(VENV)/demo.ready
	$(BIN)/coolfusion demo

# The core without Python, then everything else; skipped tests print why.
test: test-rust test-python

test-rust:
	cargo test $(FAST) --quiet
	cargo run $(FAST) --quiet --example segments

test-python: $(VENV)/test.ready
	$(PYTEST)

# Lint and the quick tests, for the time between two changes.
check: lint
	$(PYTEST) -m "not slow" tests/unit

# Tries to break every certificate with 10^6 cuts for each tokenizer, and patterns, parsers and streams with random input;
# an hour or two. FUZZ="--tokenizer made_gpt2 --seed 7" narrows it or asks for other texts.
fuzz: $(VENV)/test.ready
	PROPTEST_CASES=100000 PROPTEST_RNG_SEED=0 cargo test $(FAST) --quiet --test arbitrary
	$(BIN)/python tests/fuzz/certificates.py --cuts 1000000 $(FUZZ)

# The fast schedule against the literal one, in float64, until 10,000 segments are equal; some minutes.
proof: $(VENV)/test.ready
	$(BIN)/python tests/fuzz/schedules.py $(FUZZ)

# Tokenizers that nobody has: random models, normalizers, pre-tokenizers, decoders and added tokens, compared with the library,
# and random rules whose certificates are attacked as by fuzz. FUZZ="--seed 7" draws others.
fuzz-definitions: $(VENV)/test.ready
	$(BIN)/python tests/fuzz/definitions.py $(FUZZ)
	$(BIN)/python tests/fuzz/sentencepiece_models.py $(FUZZ)

# 10,000 requests of slow and rude clients to a live server; some minutes.
soak: $(VENV)/test.ready
	$(BIN)/python tests/fuzz/serve_soak.py $(FUZZ)

# The properties on many more, and other, examples; an hour or two.
nightly: $(VENV)/test.ready
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest tests/properties

# Two halves, because mypy keeps one core busy for a minute and cargo the others (`make -j3`).
lint: lint-rust lint-python

lint-rust: $(VENV)/test.ready
	cargo fmt --check
	rustfmt --check --edition 2021 $(CORE)/core.rs
	cargo clippy $(FAST) --all-targets --features python -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(FAST) --features python --no-deps --document-private-items --quiet

lint-python: $(VENV)/test.ready
	$(BIN)/ruff check python tests benches training examples docs release
	$(BIN)/ruff format --check python tests benches examples release
	$(BIN)/mypy python/coolfusion
	$(BIN)/python -m mypy.stubtest coolfusion._core --mypy-config-file tests/stubtest.ini

# Beside the `tokenizers` library in one run, then the fused loop beside `generate`, the calls from Python, the core alone;
# BENCH=--quick for less. On a machine with a GPU `python -m benches.gpu_loop` measures large models.
bench: $(VENV)/bench.ready
	$(BIN)/python -m benches $(BENCH)
	$(BIN)/python benches/bench_load.py
	$(BIN)/python benches/bench_streams.py
	$(BIN)/python -m benches.loop $(BENCH)
	$(BIN)/python -m pytest benches/test_speed.py --benchmark-columns=min,median,ops --benchmark-max-time=0.1 -q
	cargo bench --manifest-path $(CORE)/Cargo.toml -- --quick

# Whole-text encode beside other libraries, each in a process of its own.
rivals: $(VENV)/bench.ready
	$(BIN)/python -m benches.rivals $(BENCH)

# docs/performance.md and its plot from a new run; the prose of the page is in benches/performance.md.
performance: $(VENV)/bench.ready
	mkdir -p $(RESULTS)
	$(BIN)/python -m benches --json $(RESULTS)/bench.jsonl $(BENCH)
	$(BIN)/python -m benches.rivals --json $(RESULTS)/rivals.jsonl $(BENCH)
	$(BIN)/python benches/bench_load.py --runs 3 > $(RESULTS)/load.txt
	$(BIN)/python benches/bench_streams.py > $(RESULTS)/streams.txt
	$(BIN)/python -m benches.performance

# docs/api.md, from the docstrings.
docs:
	$(PYTHON) docs/api.py

# The core as a crate: its oldest compiler (rust-version of Cargo.toml; rustup gets it), its documentation, its package,
# and its benchmarks, which lint leaves out.
crate:
	cargo +$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) check --locked --all-targets --target-dir target/oldest
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	cargo package --locked
	cargo clippy --locked --manifest-path $(CORE)/Cargo.toml --all-targets -- -D warnings

# The documentation as pages in site/; open site/index.html. A broken link is an error.
site: $(VENV)/docs.packages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The pictures of the documentation, from the real program; needs playwright and a Chromium.
pictures: $(VENV)/test.ready
	$(BIN)/python docs/pictures.py

# The licences of everything that the library is built and run with; THIRD-PARTY-LICENSES.txt lists them.
licences: $(VENV)/test.ready
	$(BIN)/python release/licences.py

# This platform's wheel and the source archive, equal byte for byte from any folder: the time is that of the last commit, and
# no path of the machine stays in the binary.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
CARGO_FOLDER := $(or $(CARGO_HOME),$(HOME)/.cargo)
REPRODUCIBLE := SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) \
	RUSTFLAGS="--remap-path-prefix=$(CURDIR)=/source --remap-path-prefix=$(CARGO_FOLDER)=/cargo" \
	CFLAGS="-ffile-prefix-map=$(CURDIR)=/source -ffile-prefix-map=$(CARGO_FOLDER)=/cargo"
wheels: $(VENV)/python.ready
	$(REPRODUCIBLE) $(BIN)/maturin build --release --locked --out dist
	$(REPRODUCIBLE) $(BIN)/maturin sdist --out dist

# Trains the embedded models again from their seeds; hours.
train: $(VENV)/test.ready
	$(BIN)/python training/train.py

$(VENV)/python.ready:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip 'maturin>=1.9.4,<2'
	touch $@

# The packages of some extras, without the library; so the compiler can run at the same time (`make -j2`).
$(VENV)/docs.packages: EXTRAS := docs
$(VENV)/hf.packages: EXTRAS := hf
$(VENV)/test.packages: EXTRAS := hf eval docs test
$(VENV)/bench.packages: EXTRAS := hf test bench
$(VENV)/%.packages: $(VENV)/python.ready pyproject.toml
	$(BIN)/python -c 'import sys, tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; print(*(package for name in sys.argv[1:] for package in extras[name] if not package.startswith("coolfusion")), sep="\n")' $(EXTRAS) > $@.txt
	$(BIN)/python -m pip install --quiet --requirement $@.txt
	touch $@

# The library, its Python sources in place, so only Rust changes need it again. One of the two builds is installed.
$(VENV)/core.fast: $(VENV)/python.ready $(RUST)
	. $(BIN)/activate && PIP_QUIET=1 maturin develop $(FAST) --locked --quiet
	rm -f $(VENV)/core.release
	touch $@

$(VENV)/core.release: $(VENV)/python.ready $(RUST)
	. $(BIN)/activate && PIP_QUIET=1 maturin develop --release --locked --quiet
	rm -f $(VENV)/core.fast
	touch $@

$(VENV)/demo.ready: $(VENV)/hf.packages $(VENV)/core.fast
	touch $@

$(VENV)/test.ready: $(VENV)/test.packages $(VENV)/core.fast
	touch $@

$(VENV)/bench.ready: $(VENV)/bench.packages $(VENV)/core.release $(EMPTY)/src/lib.rs
	cargo build --release --locked --quiet --manifest-path $(EMPTY)/Cargo.toml
	touch $@

clean:
	rm -rf $(VENV) dist site target $(EMPTY)/target $(CORE)/target
