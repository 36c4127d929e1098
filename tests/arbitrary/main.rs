//! Arbitrary input for parsers, patterns and streams (proptest): nothing panics, and the invariants hold.
//!
//! The examples are the same at every run, so that a failure is a failure of the commit. `PROPTEST_CASES=100000` asks
//! for more of them and `PROPTEST_RNG_SEED=7` for others; `make fuzz` sets both.

#![allow(clippy::unwrap_used)]

mod parsers;
mod patterns;
mod streams;

use proptest::test_runner::{Config, RngSeed};

/// `cases` examples by a fixed seed, unless the environment says otherwise.
fn examples(cases: u32) -> Config {
    let asked = Config::default();
    let set = |name: &str| std::env::var_os(name).is_some();
    Config {
        cases: if set("PROPTEST_CASES") { asked.cases } else { cases },
        rng_seed: if set("PROPTEST_RNG_SEED") { asked.rng_seed } else { RngSeed::Fixed(4) },
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..asked
    }
}
