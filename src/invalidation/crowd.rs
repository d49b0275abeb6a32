//! Hosts and tags that strangers' requests have invalidated, when there are more than can be told apart: in a fixed
//! number of places by their keyed hashes, so that a client cannot target the place of another host.

use hashbrown::HashMap;

use super::key::Kind;

/// How many places hosts and tags of strangers' requests have where they are too many to be told apart. Beyond it some
/// share one, and more is validated than strangers invalidated.
const PLACES: u64 = 1 << 18;

/// The newest position of each place.
#[derive(Debug, Default)]
pub(super) struct Crowd(HashMap<u32, u64>);

impl Crowd {
    /// Takes in hosts and tags by their hashes, each with its newest position.
    pub(super) fn take_in(&mut self, names: Vec<(u64, u64)>) {
        for (name, seq) in names {
            let newest = self.0.entry(place(name)).or_default();
            *newest = seq.max(*newest);
        }
    }

    /// The position up to which whatever has this hash is invalidated; 0 is none. What is named more exactly is taken in by
    /// its host.
    pub(super) fn newest(&self, kind: Kind, name: u64) -> u64 {
        match kind {
            _ if self.0.is_empty() => 0,
            Kind::Host | Kind::Hostname | Kind::Tag => self.0.get(&place(name)).copied().unwrap_or(0),
            Kind::Uri
            | Kind::UriAnyQuery
            | Kind::Prefix
            | Kind::HostTag
            | Kind::MediaType
            | Kind::MediaRange
            | Kind::Status => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn forget_before(&mut self, seq: u64) {
        self.0.retain(|_, newest| *newest > seq);
    }
}

const fn place(name: u64) -> u32 {
    (name % PLACES) as u32
}
