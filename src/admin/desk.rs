//! What one worker remembers between commands: who sent how many, and what is still to be written
//! and fetched.

use std::collections::VecDeque;

use super::{Limiter, Purge};
use crate::invalidation::Backlog;

/// A worker's memory of the admin route. Limits count on each worker by itself.
#[derive(Debug, Default)]
pub struct Desk {
    /// How many commands each token has sent.
    pub commands: Limiter,
    /// How many invalidations strangers' requests have caused, by rule; by no rule under the empty name.
    pub unsafe_methods: Limiter,
    /// Those of them that are still to be written.
    pub backlog: Backlog,
    /// What purges still have to be fetched again, one after the other.
    pub rounds: VecDeque<Round>,
}

/// The most purges whose responses are still being fetched again.
pub const ROUNDS_MAX: usize = 16;

/// What a purge covers is fetched again bit by bit, so that a purge of very much is no stampede to the origin.
#[derive(Debug)]
pub struct Round {
    /// What is covered.
    pub purge: Purge,
    /// Since which position of the journal it is.
    pub receipt: u64,
    /// Where in the store to go on.
    pub cursor: u64,
}
