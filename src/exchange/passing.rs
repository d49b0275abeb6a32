//! What is remembered of a request that goes to the origin for itself, until its response comes.

use std::rc::Rc;

use crate::cache::{CacheRequest, Decided};
use crate::config::Options;
use crate::http::RequestHead;
use crate::in_flight::Share;
use crate::outcome::Forward;
use crate::store::memory::Entry;

/// A request that goes to the origin for itself.
pub(super) struct Passing {
    pub(super) forward: Forward,
    /// Whether its response may be stored all the same if it is one for others.
    pub(super) shares: bool,
    /// The request, where its response may have consequences.
    pub(super) request: Option<Rc<CacheRequest>>,
    pub(super) unsafe_request: Option<Unsafe>,
    /// What is stored.
    pub(super) fallback: Option<Rc<Entry>>,
    /// Whether it asks the origin to confirm the fallback.
    pub(super) validates: bool,
    /// What the fallback holds of the worker's memory.
    pub(super) _held: Option<Rc<Share>>,
}

/// A request that may change something.
pub(super) struct Unsafe {
    pub(super) request: RequestHead,
    pub(super) options: Rc<Options>,
    /// When it was sent on, where its answer may be stored.
    pub(super) asked: Option<Decided>,
    /// What it holds of the worker's memory.
    pub(super) _held: Share,
}
