//! What a response may be stored as, and what a 304 makes of what is stored.

use std::rc::Rc;

use super::fetches::Fetch;
use super::{Ask, Cache, FetchEnd, Host};
use crate::config::{Config, Options, TagsConfig};
use crate::http::{RequestHead, ResponseHead};
use crate::invalidation::{Tag, tags_of};
use crate::outcome::metrics::Counter;
use crate::outcome::{NotStored, Stored};
use crate::policy::storing::storable;
use crate::policy::validation::{self, HeadUpdate, Unfreshened};
use crate::policy::{Asked, StoredResponse};
use crate::store::Place;
use crate::store::body::Body;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::store::set::SetSnapshot;
use crate::time::{Now, Timestamp};
use crate::turn::Turn;

/// What a 304 says of the stored response that was to be validated (RFC 9111 §4.3.4).
#[derive(Debug)]
pub enum Confirmation {
    /// It is confirmed: this is it, brought up to date.
    Updated(Box<Response>),
    /// It is confirmed for this one request, and stays as it is.
    Kept(Box<Response>, NotStored),
    /// It is confirmed for this one request, and may not be stored any longer.
    Dropped(Box<Response>, NotStored),
    /// The 304 is not about it.
    OfAnother,
}

impl Cache {
    /// What the response to a fetch may be stored as, from its head; its body is still empty.
    ///
    /// # Errors
    /// Why it may not be stored.
    pub fn assess(
        &self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        response: &ResponseHead,
    ) -> Result<Response, NotStored> {
        let fetch = self.fetches.get(generation).ok_or(NotStored::NoFlight)?;
        let (config, uri) = (&fetch.ask.config, fetch.ask.uri());
        let request = &fetch.request();
        let options = options_for(config, request, response);
        let times = (fetch.started.wall, turn.now.wall);
        let asked = Asked { request, metadata: &|| fetch.metadata(turn.host) };
        let assessed = assessed_by(config, &options, asked, response, uri, times);
        self.watch_origin_clock(turn, request, response, &assessed);
        let assessed = Response { route: fetch.taken_route(turn.host), ..assessed? };
        self.is_admitted(turn.host, &fetch.lease.place, options.min_uses)
            .then_some(assessed)
            .ok_or(NotStored::Admission)
    }

    /// Whether a key has been asked for often enough, this time included. What is stored already has been.
    pub(super) fn is_admitted(&self, host: &impl Host, place: &Place, min_uses: u8) -> bool {
        if min_uses <= 1 {
            return true;
        }
        let set = SetSnapshot::read(host, place.set).value;
        set.way_of(place.fingerprint).is_some() || set.uses_of(place.fingerprint) + 1 >= min_uses
    }

    /// What a 304 to a fetch says of the stored response that was to be validated.
    #[must_use]
    pub fn confirmation(
        &self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        response: &ResponseHead,
    ) -> Confirmation {
        let fetch = self.fetches.get(generation);
        let old = fetch.and_then(|fetch| fetch.validated.as_deref()).and_then(Entry::response);
        let (Some(fetch), Some(old)) = (fetch, old) else { return Confirmation::OfAnother };
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

    /// The stored response that a 304 to a request of its own confirms, for that request alone; none when the 304 is not
    /// about it.
    #[must_use]
    pub fn confirmed_once(
        &self,
        ask: &Ask,
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

    /// Ends a fetch whose stored response was confirmed, as far as it was. Returns what answers the request that
    /// asked, none when the 304 was about something else, and why it is not stored if it is not.
    pub fn end_confirmed(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        confirmation: Confirmation,
    ) -> (Option<Rc<Entry>>, Stored) {
        let old = self.validated(generation);
        let (response, end, why) = match confirmation {
            Confirmation::Updated(response) => {
                turn.host.count(Counter::Revalidated);
                let ended = self.end_fetch(turn, generation, FetchEnd::Stored(response));
                return match ended {
                    Some((entry, stored)) => (Some(entry), stored),
                    None => (None, Stored::No(NotStored::NoFlight)),
                };
            }
            Confirmation::Kept(response, why) => (Some(response), FetchEnd::NotStored(why), why),
            Confirmation::Dropped(response, why) => (Some(response), FetchEnd::Dropped(why), why),
            Confirmation::OfAnother => (None, FetchEnd::Dropped(NotStored::Status), NotStored::Status),
        };
        self.end_fetch(turn, generation, end);
        let once = response.zip(old).map(|(response, old)| old.with(response));
        (once, Stored::No(why))
    }
}

/// The tags of a response: its own and more.
fn tags<'a>(
    limits: &TagsConfig,
    response: &ResponseHead,
    more: impl Iterator<Item = &'a str>,
) -> Result<Vec<Tag>, NotStored> {
    let mut tags = tags_of(&response.fields, &limits.headers, limits.count_max, limits.length_max)
        .map_err(|_| NotStored::Limits)?;
    for tag in more {
        let tag = Tag::new(tag).ok_or(NotStored::Limits)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    Ok(tags)
}

/// What the answer to a HEAD makes of the stored response to a GET (RFC 9111 §4.3.5); none when that stays as it is.
pub(super) fn told_by_head(
    turn: Turn<'_, impl Host>,
    ask: &Ask,
    old: &Response,
    response: &ResponseHead,
) -> Option<Response> {
    let content_type = old.stored.fields.get("content-type").unwrap_or_default();
    let options = ask.config.rules.for_response(&ask.request, old.stored.status, content_type);
    let (bytes, times) = (old.body.len() as u64, (ask.arrived.wall, turn.now.wall));
    let asked = Asked { request: &ask.request, metadata: &|| turn.host.metadata(ask.stream) };
    match validation::updated_by_head(&old.stored, bytes, asked, response, &options, times) {
        HeadUpdate::Freshened(stored) => {
            // Tags of old and new, as for a 304.
            let more = old.tags.iter().map(Tag::as_str).chain(options.tags.iter().map(String::as_str));
            let tags = tags(&ask.config.tags, response, more).ok()?;
            Some(untagged(&ask.config.tags, Response { stored: *stored, tags, ..old.clone() }))
        }
        HeadUpdate::Outdated(stored) => Some(Response { stored: *stored, ..old.clone() }),
        HeadUpdate::None => None,
    }
}

/// What the response to a request may be stored as, from its head, by the rules for it; its body is still empty.
///
/// # Errors
/// Why it may not be stored.
pub fn assessed<'a>(
    config: &Config,
    asked: impl Into<Asked<'a>>,
    response: &ResponseHead,
    uri: Vec<u8>,
    (request_time, response_time): (Timestamp, Timestamp),
) -> Result<Response, NotStored> {
    let asked = asked.into();
    let options = options_for(config, asked.request, response);
    assessed_by(config, &options, asked, response, uri, (request_time, response_time))
}

/// The options for what is stored, where its origin has confirmed it to a request.
pub(super) fn options_again(config: &Config, request: &RequestHead, stored: &Response) -> Rc<Options> {
    let content_type = stored.stored.fields.get("content-type").unwrap_or_default();
    config.rules.for_response(request, stored.stored.status, content_type)
}

pub(super) fn options_for(config: &Config, request: &RequestHead, response: &ResponseHead) -> Rc<Options> {
    let content_type = response.fields.get("content-type").unwrap_or_default();
    config.rules.for_response(request, response.status, content_type)
}

/// The most bytes of a body that are stored, and why one with more is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimit {
    /// The bytes.
    pub bytes_max: u64,
    why: NotStored,
}

impl BodyLimit {
    /// Whether so many bytes are within the limit.
    ///
    /// # Errors
    /// Why not.
    pub fn check(self, bytes: u64) -> Result<(), NotStored> {
        if bytes > self.bytes_max { Err(self.why) } else { Ok(()) }
    }
}

/// How large the body of a response may be: what would find no room however much is evicted is known beforehand.
#[must_use]
pub fn body_limit(config: &Config, request: &RequestHead, response: &ResponseHead) -> BodyLimit {
    body_limit_by(config, &options_for(config, request, response))
}

pub(super) fn body_limit_by(config: &Config, options: &Options) -> BodyLimit {
    let limits = [
        (options.object_bytes_max, NotStored::TooLarge),
        (config.store.host_bytes_max.unwrap_or(u64::MAX), NotStored::HostQuota),
        (config.store.bytes_max, NotStored::NoRoom),
    ];
    let least = limits.into_iter().min_by_key(|(bytes_max, _)| *bytes_max);
    let (bytes_max, why) = least.unwrap_or((0, NotStored::TooLarge));
    BodyLimit { bytes_max, why }
}

pub(super) fn assessed_by(
    config: &Config,
    options: &Options,
    asked: Asked<'_>,
    response: &ResponseHead,
    uri: Vec<u8>,
    (request_time, response_time): (Timestamp, Timestamp),
) -> Result<Response, NotStored> {
    let stored = storable(asked, response, options, request_time, response_time)?;
    let tags = tags(&config.tags, response, options.tags.iter().map(String::as_str))?;
    Ok(untagged(&config.tags, Response { stored, uri, tags, route: None, body: Body::default() }))
}

fn response_of(fetch: &Fetch, stored: StoredResponse, tags: Vec<Tag>) -> Response {
    let response = Response { stored, uri: fetch.ask.uri(), tags, route: None, body: Body::default() };
    untagged(&fetch.ask.config.tags, response)
}

/// The response without the fields that tags came in, where clients shall not see them.
fn untagged(limits: &TagsConfig, mut response: Response) -> Response {
    if limits.strip {
        response.stored.fields.remove_all(&limits.headers);
    }
    response
}
