# Every target does its own set-up: it needs a Rust toolchain and Python >= 3.11, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUST := Cargo.toml Cargo.lock $(shell find rust -name '*.rs')

EMPTY := benches/empty_method
RESULTS := benches/results

.PHONY: demo test fuzz fuzz-definitions proof nightly lint bench rivals performance wheel train clean

demo: $(VENV)/demo.ready
	$(BIN)/coolfusion demo

# The core without Python, then everything else; skipped tests print why.
test: $(VENV)/test.ready
	cargo test --release --quiet
	$(BIN)/python -m pytest

# Tries to break every certificate with 10^6 cuts for each tokenizer, and patterns, parsers and streams with random input;
# an hour or two. FUZZ="--tokenizer made_gpt2 --seed 7" narrows it or asks for other texts.
fuzz: $(VENV)/test.ready
	PROPTEST_CASES=100000 PROPTEST_RNG_SEED=0 cargo test --release --quiet --test arbitrary
	$(BIN)/python tests/fuzz/certificates.py --cuts 1000000 $(FUZZ)

# The fast schedule against the literal one, in float64, until 10,000 segments are equal; some minutes.
proof: $(VENV)/test.ready
	$(BIN)/python tests/fuzz/schedules.py $(FUZZ)

# Tokenizers that nobody has: random models, normalizers, pre-tokenizers, decoders and added tokens, compared with the library,
# and random rules whose certificates are attacked as by fuzz. FUZZ="--seed 7" draws others.
fuzz-definitions: $(VENV)/test.ready
	$(BIN)/python tests/fuzz/definitions.py $(FUZZ)
	$(BIN)/python tests/fuzz/sentencepiece_models.py $(FUZZ)

# The properties on many more, and other, examples; an hour or two.
nightly: $(VENV)/test.ready
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest tests/properties

lint: $(VENV)/test.ready
	cargo clippy --release --all-targets --features python -- -D warnings
	$(BIN)/ruff check python tests benches training
	$(BIN)/mypy python/coolfusion
	$(BIN)/python -m mypy.stubtest coolfusion._core

# Beside the `tokenizers` library in one run, then the fused loop beside `generate`, the calls from Python, the core alone;
# BENCH=--quick for less. On a machine with a GPU `python -m benches.gpu_loop` measures large models.
bench: $(VENV)/bench.ready
	$(BIN)/python -m benches $(BENCH)
	$(BIN)/python benches/bench_load.py
	$(BIN)/python benches/bench_streams.py
	$(BIN)/python -m benches.loop $(BENCH)
	$(BIN)/python -m pytest benches/test_speed.py --benchmark-columns=min,median,ops --benchmark-max-time=0.1 -q
	cargo bench --bench core -- --quick

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

wheel: $(VENV)/python.ready
	$(BIN)/maturin build --release --locked --out dist

# Trains the embedded models again from their seeds; hours.
train: $(VENV)/test.ready
	$(BIN)/python training/train.py

$(VENV)/python.ready:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip 'maturin>=1.9.4,<2'
	touch $@

# `develop` installs the Python sources in place; only Rust changes need it again.
$(VENV)/demo.ready: $(VENV)/python.ready pyproject.toml $(RUST)
	. $(BIN)/activate && maturin develop --release --locked --quiet --extras hf
	touch $@

$(VENV)/test.ready: $(VENV)/python.ready pyproject.toml $(RUST)
	. $(BIN)/activate && maturin develop --release --locked --quiet --extras hf,test
	touch $@ $(VENV)/demo.ready

$(VENV)/bench.ready: $(VENV)/python.ready pyproject.toml $(RUST) $(EMPTY)/src/lib.rs
	. $(BIN)/activate && maturin develop --release --locked --quiet --extras hf,test,bench
	cargo build --release --locked --quiet --manifest-path $(EMPTY)/Cargo.toml
	touch $@ $(VENV)/demo.ready $(VENV)/test.ready

clean:
	rm -rf $(VENV) dist target $(EMPTY)/target
