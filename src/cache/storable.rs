//! A response that is to be stored once its body is there: what bounds that, and where it is to go.

use std::rc::Rc;

use super::assess::BodyLimit;
use super::request::CacheRequest;
use crate::heap::list;
use crate::http::ResponseHead;
use crate::outcome::NotStored;
use crate::policy::partial::is_whole_part;
use crate::store::Place;
use crate::store::record::Response;
use crate::time::Monotonic;

/// A response that is to be stored once its body is there.
#[derive(Debug)]
pub struct Storable {
    pub(super) response: Response,
    /// How long its body is, where it says so.
    length: Option<u64>,
    pub(super) limit: BodyLimit,
    pub(super) target: Target,
}

/// What a response is stored for.
#[derive(Debug)]
pub(super) enum Target {
    /// A fetch, for which others may wait.
    Fetch {
        /// Names it.
        generation: u64,
        /// Why the response to the fetch before it was not stored, as far as that is remembered.
        before: Option<NotStored>,
    },
    /// Everyone, although nobody has waited for it: it came to a request that was not collapsed.
    Uncollapsed {
        ask: Rc<CacheRequest>,
        place: Place,
        /// One of the captures of this key, given back when this is dropped.
        _held: Rc<()>,
    },
    /// A key that nobody waits for: a part of a representation, or what a POST has made of it.
    Own {
        key: Vec<u8>,
        /// The journal's head when it was asked for, and when that was.
        order: (u64, Monotonic),
    },
}

impl Storable {
    /// What may be stored by its head, with the most bytes that its body may have.
    ///
    /// # Errors
    /// Why its body is too large, where it says how large that is.
    pub(super) fn new(
        response: Response,
        head: &ResponseHead,
        limit: BodyLimit,
        target: Target,
    ) -> Result<Storable, NotStored> {
        let length = head.content_length();
        limit.check(length.unwrap_or_default())?;
        Ok(Storable { response, length, limit, target })
    }

    /// As what it is to be stored; its body is still empty.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// How long its body is, where it says so.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The fetch that it answers, if it does.
    #[must_use]
    pub const fn generation(&self) -> Option<u64> {
        match &self.target {
            Target::Fetch { generation, .. } => Some(*generation),
            Target::Uncollapsed { .. } | Target::Own { .. } => None,
        }
    }

    /// Why the response to the fetch before was not stored, as far as that is remembered.
    #[must_use]
    pub const fn not_stored_before(&self) -> Option<NotStored> {
        match &self.target {
            Target::Fetch { before, .. } => *before,
            Target::Uncollapsed { .. } | Target::Own { .. } => None,
        }
    }

    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub fn held(&self) -> u64 {
        let of_target = match &self.target {
            Target::Fetch { .. } => 0,
            Target::Uncollapsed { place, .. } => list(&place.key),
            Target::Own { key, .. } => list(key),
        };
        self.response.held() + of_target
    }

    /// Whether so many bytes of its body can be stored.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, bytes: u64) -> Result<(), NotStored> {
        self.limit.check(bytes)
    }

    /// Whether this is all of its body, and can be stored.
    ///
    /// # Errors
    /// Why not: [`NotStored::Incomplete`] where it has announced another length (RFC 9111 §3.3).
    pub(super) fn check_whole(&self, body: &[u8]) -> Result<(), NotStored> {
        let bytes = body.len() as u64;
        self.check(bytes)?;
        let is_as_announced = self.length.is_none_or(|length| length == bytes);
        if is_as_announced && is_whole_part(&self.response.stored, bytes) {
            Ok(())
        } else {
            Err(NotStored::Incomplete)
        }
    }

    /// The response with its body, of which [`Storable::check_whole`] has said that it is all; what bounds it and where it
    /// goes.
    pub(super) fn with_body(mut self, mut body: Vec<u8>) -> (Response, BodyLimit, Target) {
        body.shrink_to_fit();
        self.response.body = body.into();
        (self.response, self.limit, self.target)
    }
}
