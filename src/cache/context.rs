//! What a callback has at hand.

use std::rc::Rc;

use super::Cache;
use crate::config::Config;
use crate::turn::Turn;

/// What an event is judged with.
pub struct Context<'a, H> {
    /// The cache of this worker.
    pub cache: &'a mut Cache,
    /// The configuration of the root that the stream belongs to.
    pub config: &'a Rc<Config>,
    /// The world, and the time.
    pub turn: Turn<'a, H>,
}
