//! One event and what it is judged with: the world as it is now.

use crate::time::Now;

/// The world, and what the clocks said when the callback began. Everything that an event leads to sees the same time.
#[derive(Debug)]
pub struct Turn<'a, H> {
    /// Shared data, metrics and the proxy.
    pub host: &'a H,
    /// The time.
    pub now: Now,
}

// Not derived: that would ask for a host that can be copied.
impl<H> Clone for Turn<'_, H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for Turn<'_, H> {}
