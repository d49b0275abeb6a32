//! What the settings are made of.

use crate::setting::{Faults, Purge, Setting};
use crate::world::{Mode, Selector};

pub fn purge(worker: u8, key: u8, mode: Mode) -> Purge {
    Purge { worker, selector: Selector::Key(key), mode }
}

pub fn hard(worker: u8) -> Purge {
    purge(worker, 0, Mode::Hard)
}

pub fn soft(worker: u8) -> Purge {
    purge(worker, 0, Mode::Soft)
}

/// A client's unsafe method.
pub fn unsafe_method(worker: u8, key: u8) -> Purge {
    purge(worker, key, Mode::Revalidate)
}

/// The ring goes round by the records of unsafe methods, and this one among them is forgotten.
pub fn clients_over(forgotten: Purge) -> Vec<Purge> {
    vec![unsafe_method(0, 1), forgotten, unsafe_method(0, 1), unsafe_method(0, 1)]
}

pub fn tag(worker: u8) -> Purge {
    Purge { worker, selector: Selector::Tag(0), mode: Mode::Hard }
}

/// Requests for key 0: one in the first worker, two in the second, one in the third.
pub fn three_workers() -> Setting {
    Setting { workers: 3, requests: vec![(0, 0), (1, 0), (1, 0), (2, 0)], ..Setting::default() }
}

pub fn five_requests() -> Setting {
    Setting { requests: vec![(0, 0), (0, 0), (1, 0), (1, 0), (2, 0)], ..three_workers() }
}

pub fn two_each() -> Setting {
    Setting { requests: vec![(0, 0), (0, 0), (1, 0), (1, 0)], ..Setting::default() }
}

pub fn one_each() -> Setting {
    Setting { requests: vec![(0, 0), (1, 0)], ..Setting::default() }
}

pub fn one_and_two() -> Setting {
    Setting { requests: vec![(0, 0), (1, 0), (1, 0)], ..Setting::default() }
}

/// Both keys in both workers.
pub fn two_keys(ways: usize, flights: usize) -> Setting {
    let requests = vec![(0, 0), (0, 1), (1, 0), (1, 1)];
    Setting { requests, ways, flights, chunks: true, sweep: false, ..Setting::default() }
}

pub fn faults() -> Faults {
    Faults::default()
}

/// A death, a lease that runs out early, a client that leaves, a lost hint, few tries, and 304.
pub fn everything() -> Setting {
    let faults = Faults { deaths: 1, expiries: 1, leaves: 1, lost_hints: 1, ..faults() };
    Setting { validators: true, tries: 4, faults, ..two_each() }
}
