//! What a 304 makes of what is stored.

use std::rc::Rc;

use super::assess::{options_again, tags, untagged};
use super::fetches::Fetch;
use super::host::Host;
use super::request::CacheRequest;
use crate::http::ResponseHead;
use crate::invalidation::Tag;
use crate::outcome::NotStored;
use crate::policy::validation::{self, Unfreshened};
use crate::policy::{Asked, StoredResponse};
use crate::store::body::Body;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::time::Now;
use crate::turn::Turn;

/// What a 304 says of the stored response that was to be validated (RFC 9111 §4.3.4).
#[derive(Debug)]
pub(super) enum Confirmation {
    /// It is confirmed: this is it, brought up to date.
    Updated(Box<Response>),
    /// It is confirmed for this one request, and stays as it is.
    Kept(Box<Response>, NotStored),
    /// It is confirmed for this one request, and may not be stored any longer.
    Dropped(Box<Response>, NotStored),
    /// The 304 is not about it.
    OfAnother,
}

impl Confirmation {
    /// What a 304 to a fetch says.
    pub(super) fn of(turn: Turn<'_, impl Host>, fetch: &Fetch, response: &ResponseHead) -> Confirmation {
        let old = fetch.validated.as_deref().and_then(Entry::response);
        let Some(old) = old else { return Confirmation::OfAnother };
        let request = &*fetch.request();
        let options = options_again(&fetch.ask.config, request, old);
        // Tags of old and new: a purge of either must find it.
        let more = old.tags.iter().map(Tag::as_str).chain(options.tags.iter().map(String::as_str));
        let tags = tags(&fetch.ask.config.tags, response, more);
        let route = fetch.taken_route(turn.host);
        let updated = |stored, tags| {
            Box::new(Response { body: old.body.clone(), route, ..response_of(fetch, stored, tags) })
        };
        let started = fetch.started.wall;
        let asked = Asked { request, metadata: &|| fetch.metadata(turn.host) };
        match (validation::freshened(&old.stored, asked, response, &options, started, turn.now.wall), tags) {
            (Ok(stored), Ok(tags)) => Confirmation::Updated(updated(stored, tags)),
            (Ok(once), Err(why)) => Confirmation::Dropped(updated(once, Vec::new()), why),
            (Err(Unfreshened::Drop { once, why }), _) => {
                Confirmation::Dropped(updated(*once, Vec::new()), why)
            }
            (Err(Unfreshened::Keep { once, why }), _) => Confirmation::Kept(updated(*once, Vec::new()), why),
            (Err(Unfreshened::Refetch), _) => Confirmation::OfAnother,
        }
    }
}

/// The stored response that a 304 to a request of its own confirms, for that request alone; none when the 304 is not
/// about it.
pub(super) fn confirmed_once(
    ask: &CacheRequest,
    old: &Entry,
    response: &ResponseHead,
    now: Now,
) -> Option<Rc<Entry>> {
    let stored = &old.response()?.stored;
    let (request, arrived) = (&ask.request, ask.arrived.wall);
    let once = match validation::freshened(stored, request, response, &ask.options, arrived, now.wall) {
        Ok(once) => once,
        Err(Unfreshened::Drop { once, .. } | Unfreshened::Keep { once, .. }) => *once,
        Err(Unfreshened::Refetch) => return None,
    };
    let response = Response { stored: once, ..old.response()?.clone() };
    Some(old.with(Box::new(untagged(&ask.config.tags, response))))
}

fn response_of(fetch: &Fetch, stored: StoredResponse, tags: Vec<Tag>) -> Response {
    let response = Response { stored, uri: fetch.ask.uri(), tags, route: None, body: Body::default() };
    untagged(&fetch.ask.config.tags, response)
}
