//! Storing what was not fetched for others, under the key of its URI: parts of a representation, answers to POST, what a HEAD
//! has told.

use super::assess::{BodyLimit, assessed, body_limit, check_upstream, updated_after_head};
use super::storable::{Storable, Target};
use super::taken_route::taken_route;
use super::{Cache, CacheRequest, Host, StreamId};
use crate::config::{Config, Options};
use crate::http::search::SearchVariance;
use crate::http::{RequestHead, ResponseHead};
use crate::outcome::NotStored;
use crate::policy::{Asked, key};
use crate::store::Fingerprint;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::time::{Monotonic, Now};
use crate::turn::Turn;

impl Cache {
    /// Stores a response with its stamp, and when it was asked for, under the key of its URI, beside any flight. What selects
    /// by `Vary` or `No-Vary-Search` is left to the fetches that others wait for. Returns where it lies.
    ///
    /// # Errors
    /// Why it is not stored.
    pub(super) fn store_under_uri(
        &mut self,
        turn: Turn<'_, impl Host>,
        key: &[u8],
        order: (u64, Monotonic),
        response: Response,
        limit: BodyLimit,
    ) -> Result<Fingerprint, NotStored> {
        let selects =
            !response.stored.vary.is_empty() || SearchVariance::of(&response.stored.fields).is_some();
        if selects || !self.sync(turn.host) {
            return Err(NotStored::NoFlight);
        }
        self.storage.store_under_uri(turn, &mut self.waiters, key, order, response, limit)
    }

    /// The answer to a HEAD has come, which was sent when this was stored for a GET: it brings that up to date, or shows that
    /// it is stale (RFC 9111 §4.3.5), on all workers.
    pub(super) fn head_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
        old: &Entry,
        response: &ResponseHead,
    ) {
        let Some(there) = old.response().filter(|_| ask.request.method() == b"HEAD") else { return };
        let Some(updated) = updated_after_head(turn, ask, there, response).filter(|_| self.sync(turn.host))
        else {
            return;
        };
        self.storage.head_answered(turn, &mut self.waiters, ask, old, updated);
    }
}

impl Storable {
    /// A response that belongs under the key of its URI, with its stamp and when it was asked for.
    ///
    /// # Errors
    /// Why it is not stored.
    pub fn under_its_uri(
        config: &Config,
        (request, options): (&RequestHead, &Options),
        order: (u64, Monotonic),
        response: Response,
        head: &ResponseHead,
    ) -> Result<Storable, NotStored> {
        let target = Target::Own { key: key::primary(request, options), order };
        Storable::new(response, head, body_limit(config, request, head), target)
    }
}

/// What a response may be stored as under the key of its URI; its body is still empty.
///
/// # Errors
/// Why it may not be stored.
pub fn under_its_uri(
    turn: Turn<'_, impl Host>,
    stream: StreamId,
    config: &Config,
    (request, options): (&RequestHead, &Options),
    asked: Now,
    head: &ResponseHead,
) -> Result<Response, NotStored> {
    let asked_by = Asked { request, metadata: &|| turn.host.metadata(stream) };
    let uri = key::uri(request, options);
    let stored = assessed(config, asked_by, head, uri, (asked.wall, turn.now.wall))?;
    check_upstream(turn.host, stream, head)?;
    Ok(Response { route: Some(taken_route(turn.host, stream, request, options)), ..stored })
}
