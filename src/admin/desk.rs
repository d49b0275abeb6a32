//! What one worker remembers between commands: answers that may be asked for again, and who sent how many.

use super::{Answers, Limiter};
use crate::invalidation::Backlog;

/// A worker's memory of the admin route. Limits count on each worker by itself.
#[derive(Debug, Default)]
pub struct Desk {
    /// The answers to commands with an idempotency key.
    pub answers: Answers,
    /// How many commands each token has sent.
    pub commands: Limiter,
    /// How many invalidations strangers' requests have caused, by rule; by no rule under the empty name.
    pub unsafe_methods: Limiter,
    /// Those of them that are still to be written.
    pub backlog: Backlog,
}
