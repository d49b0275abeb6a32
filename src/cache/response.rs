//! What the response to a fetch means, whoever made that: a client's own request, whose response comes in pieces, or a call of
//! the root, which has it at once.

use super::assess::{BodyLimit, body_limit};
use super::{Cache, Host, is_envoys_own, is_failure};
use crate::http::{RequestHead, ResponseHead};
use crate::outcome::NotStored;
use crate::policy::partial::is_whole_part;
use crate::policy::plain::may_provoke;
use crate::store::record::Response;
use crate::turn::Turn;

/// A response that is to be stored once its body is there.
#[derive(Debug)]
pub struct Storable {
    response: Response,
    /// How long its body is, where it says so.
    length: Option<u64>,
    limit: BodyLimit,
}

impl Storable {
    /// What may be stored by its head, with the most bytes that its body may have.
    ///
    /// # Errors
    /// Why its body is too large, where it says how large that is.
    pub fn new(response: Response, head: &ResponseHead, limit: BodyLimit) -> Result<Storable, NotStored> {
        let length = head.content_length();
        limit.check(length.unwrap_or_default())?;
        Ok(Storable { response, length, limit })
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

    /// The bound on its body.
    #[must_use]
    pub const fn limit(&self) -> BodyLimit {
        self.limit
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
    pub fn check_whole(&self, body: &[u8]) -> Result<(), NotStored> {
        let bytes = body.len() as u64;
        self.check(bytes)?;
        let is_as_announced = self.length.is_none_or(|length| length == bytes);
        if is_as_announced && is_whole_part(&self.response.stored, bytes) {
            Ok(())
        } else {
            Err(NotStored::Incomplete)
        }
    }

    /// The response with its body, of which [`Storable::check_whole`] has said that it is all.
    #[must_use]
    pub fn with_body(mut self, mut body: Vec<u8>) -> Response {
        body.shrink_to_fit();
        self.response.body = body.into();
        self.response
    }
}

impl Cache {
    /// What the response to a fetch is to be stored as, from its head; `limit` bounds its body.
    ///
    /// # Errors
    /// Why it is not stored. A failure in Envoy's own words is nobody's answer, and one of the origin takes the place of
    /// nothing that can still help out.
    pub fn storable(
        &self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
    ) -> Result<Storable, NotStored> {
        let fetch = self.fetches.get(generation).ok_or(NotStored::NoFlight)?;
        if is_failure(head) && (is_envoys_own(head) || self.holds_better(generation, turn.now)) {
            return Err(failed(&fetch.request()));
        }
        let response = self.assess(turn, generation, head)?;
        Storable::new(response, head, body_limit(&fetch.ask.config, &fetch.ask.request, head))
    }
}

/// Why the response to a request is of no use to others when the origin has failed: because of what that request has sent,
/// perhaps.
#[must_use]
pub fn failed(request: &RequestHead) -> NotStored {
    if may_provoke(request) { NotStored::Provoked } else { NotStored::Error }
}
