//! The targets of `tests/fuzz`, for programs that libFuzzer drives.
#![allow(missing_docs, reason = "nobody but the programs imports it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what src/ must not do, tests may: a panic here is a finding"
)]
#![allow(dead_code, unused_imports, reason = "the stand and the host offer more than this uses, and tests are left out")]

#[path = "../tests/chance.rs"]
mod chance;
#[path = "../tests/chaos/mod.rs"]
mod chaos;
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;
#[path = "../tests/host/mod.rs"]
mod host;
#[path = "../tests/stand.rs"]
mod stand;

pub use fuzz::run;
