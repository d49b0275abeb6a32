//! What one worker remembers between commands: who sent how many, and what is still to be written.

use super::Limiter;
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
}
