//! Larder from outside: what clients and the origin see, on the emulated host and on a real Envoy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that goes wrong may say so by panicking; clippy.toml exempts only the bodies of tests"
)]

/// What a scenario can ask of the place where it is played.
mod stand;

/// A real Envoy with two workers (`make e2e`).
mod e2e;
