//! The core of Larder, in which each mistake of `table.rs` can be turned on: `build.rs` has written it.
#![allow(missing_docs, unused, clippy::all, reason = "it is read and linted where it is from")]

pub mod mutants;

include!(concat!(env!("OUT_DIR"), "/lib.rs"));
