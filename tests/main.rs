//! Larder from outside: what clients and the origin see, on the emulated host and on a real Envoy.
#![allow(missing_docs, reason = "nobody imports a test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what src/ must not do, tests may: a panic here is a report"
)]
#![allow(dead_code, reason = "the stand and the host offer more than today's tests use")]

/// The trait that scenarios are written against, and its vocabulary.
mod stand;

/// The emulated proxy-wasm host, and the facts about Envoy that it shows.
mod host;

/// A real Envoy with two workers (`make e2e`).
mod e2e;

/// What clients and origin see, told once and played on both stands.
mod scenarios;

/// Seeded chance, so that what was found can be found again.
mod chance;

/// The policy compared with another implementation of RFC 9111, case by case.
mod oracle;

/// What the key makes equal, the origin sees as equal.
mod keys;

/// What holds for every message and every value.
mod properties;

/// Seeded workloads with every fault that the emulated host can show (`make chaos`).
mod chaos;

/// Bytes that nobody foresaw, for every parser and codec and for the whole filter (`make fuzz`).
mod fuzz;

/// The real store, journal and flights of two workers, through every interleaving of their steps.
mod interleave;

/// Shared data in memory, for those who need no host.
mod world;

/// Several Envoys that share their invalidations through an emulated etcd.
mod fleet;

/// The bytes of the store.
mod budget;

/// The variants of one URL.
mod variants;

/// Listeners with configurations of their own that share a VM.
mod one_vm;

/// The room of what is hard purged.
mod reclaim;

/// How much is matched in one callback.
mod matching;

/// What Larder honours, as the README lists it.
mod honours;

/// The bounds of the code, as docs/limits.md lists them.
mod limits;

/// The words of reports.
mod words;

/// The configurations that are shown and shipped.
mod examples;

/// The mistakes on purpose: here only that each has its place in the code. `make mutants` shows that each is seen.
mod mutants {
    pub mod substitution;
    pub mod table;
}

/// The invariants of the house, which no compiler checks.
mod tidy;
