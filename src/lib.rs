//! Larder: an HTTP cache for Envoy, shipped as one WebAssembly module.
//!
//! An operator adds one filter to a listener. Every request then meets a cache policy inside Envoy; stored responses
//! live in proxy-wasm shared data, so that all workers see one cache; concurrent misses become one fetch; an admin
//! route takes purges. This page is the map of the house.
//!
//! # The way of a request
//!
//! ```text
//!  Envoy ──callbacks──► wasm::filter ──events──► exchange ──asks──► cache ──► store (shared data)
//!        ◄──host calls──             ◄──steps───    │     ◄─decides─  ▲  └─► invalidation (verdicts)
//!                                                   └──► admin ───────┘
//!                                                  policy (RFC 9111, pure) stands below all three
//! ```
//!
//! 1. The package `larder-wasm` (`wasm/`) turns callbacks into events and steps into host calls. It alone knows proxy-wasm.
//! 2. [`exchange`] is the state machine of one request: event in, step out. What all of them have at hand is a
//!    [`cache::Context`].
//! 3. [`cache`] is what one worker remembers, who waits in it and what it fetches. One procedure,
//!    [`cache::Cache::lookup`], decides for new requests, wake-ups, sweeps and landings, and reads the journal
//!    first, every time.
//! 4. [`breaker`] holds the rules for clusters that are down.
//! 5. [`store`] lays records, flights and the journal out in shared data, under a fixed set of keys, and is all that
//!    writes there. The rules of a flight (one fetch for many) are [`store::flights`], those of eviction
//!    [`store::eviction`], both pure functions on the value of one set.
//! 6. [`invalidation`] says what a journal record covers, and gives the verdict on a stored response.
//! 7. [`policy`] is RFC 9111 as pure functions; [`http`] the vocabulary of messages below it.
//! 8. [`admin`] is the admin route: an exchange hands it the head of a request, and its body where that is asked for, and
//!    gets the answer back. It speaks several dialects, from one table of routes, and carries commands out itself.
//! 9. [`in_flight`] counts what requests under way hold of a worker's memory, and bounds the sum; [`heap`] says what
//!    things take of it.
//! 10. [`outcome`] names what was done and why, once: tables of [reasons](outcome::reasons) for `Cache-Status` and
//!     explanations, and of [metrics](outcome::metrics). [`config`] is the configuration, read with `json` as the bodies of
//!     commands are; [`time`] makes time an argument, and a [`turn`] carries it with the host.
//!
//! # What holds
//!
//! `docs/protocol.md` has all of it: the rules, the invariants with the tests that hold them, and the mistakes that each
//! rule prevents; `docs/envoy-facts.md` says what Envoy really does, and `docs/glossary.md` what the words mean.
//!
//! - **A response is judged by its stamp.** It carries the position of the journal at which its fetch was decided,
//!   and is subject to every invalidation after that. So a purge needs no scan, holds on every worker from its
//!   acknowledgement on, and a fetch that was under way when it came cannot bring back what it covers.
//! - **The value of a set is the only lock.** Directory and flights of a set lie in one value: looking up, leading,
//!   waiting, publishing and waking are decided by compare-and-set on one key. A way is written only by the owner of
//!   the flight that reserved it; a record proves itself by its full key, a chunk by its generation.
//! - **A message is a hint.** What wakes a waiting request may be lost, doubled or late; the sweep on each tick, the
//!   lease of each flight and each request's own deadline make up for it.
//! - **Every key comes from a fixed set**, every loop and list has a bound, and past it the request goes to the
//!   origin.
//! - **Nothing here can panic**: a trap would hang the requests that wait on the worker. The lints deny it.
//! - **The same events have the same consequences**: no clock, no random number and no unordered iteration decides.

pub mod admin;
pub mod breaker;
pub mod cache;
pub mod config;
pub mod exchange;
pub mod fleet;
mod glob;
pub mod heap;
pub mod http;
pub mod in_flight;
pub mod invalidation;
mod json;
pub mod outcome;
pub mod policy;
pub mod protobuf;
mod rate_limit;
mod sorting;
pub mod store;
pub mod time;
pub mod turn;
