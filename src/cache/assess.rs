//! What a response may be stored as, by the rules for its request.

use std::rc::Rc;

use super::host::{Host, StreamId};
use super::request::CacheRequest;
use crate::config::{Config, Options, TagsConfig};
use crate::http::{RequestHead, ResponseHead};
use crate::invalidation::{Tag, tags_of};
use crate::outcome::NotStored;
use crate::policy::Asked;
use crate::policy::partial::combine;
use crate::policy::plain::may_provoke;
use crate::policy::storing::storable;
use crate::policy::validation::{self, HeadUpdate};
use crate::store::body::Body;
use crate::store::record::Response;
use crate::store::set::SetSnapshot;
use crate::store::{Place, SharedData};
use crate::time::Timestamp;
use crate::turn::Turn;

/// What the response to a request may be stored as, from its head, by the rules for it; its body is still empty.
///
/// # Errors
/// Why it may not be stored.
pub(super) fn assessed<'a>(
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
pub(super) struct BodyLimit {
    /// The bytes.
    pub(super) bytes_max: u64,
    why: NotStored,
}

impl BodyLimit {
    /// Whether so many bytes are within the limit.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(self, bytes: u64) -> Result<(), NotStored> {
        if bytes > self.bytes_max { Err(self.why) } else { Ok(()) }
    }
}

/// How large the body of a response may be: what would find no room however much is evicted is known beforehand.
pub(super) fn body_limit(config: &Config, request: &RequestHead, response: &ResponseHead) -> BodyLimit {
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

/// The response without the fields that tags came in, where clients shall not see them.
pub(super) fn untagged(limits: &TagsConfig, mut response: Response) -> Response {
    if limits.strip {
        response.stored.fields.remove_all(&limits.headers);
    }
    response
}

/// What the answer to a HEAD makes of the stored response to a GET (RFC 9111 §4.3.5); none when that stays as it is.
pub(super) fn updated_after_head(
    turn: Turn<'_, impl Host>,
    ask: &CacheRequest,
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

/// Two parts of one representation as one response, with the tags of both, if that is not too large.
pub(super) fn combined(old: &Response, new: &Response, limit: BodyLimit) -> Option<Response> {
    let (stored, body) = combine((&old.stored, &old.body), (&new.stored, &new.body), limit.bytes_max)?;
    let mut tags = new.tags.clone();
    let more: Vec<Tag> = old.tags.iter().filter(|tag| !tags.contains(tag)).cloned().collect();
    tags.extend(more);
    Some(Response { stored, uri: new.uri.clone(), tags, route: new.route, body: body.into() })
}

/// Whether a key has been asked for often enough, this time included. What is stored already has been.
pub(super) fn is_admitted(data: &impl SharedData, place: &Place, min_uses: u8) -> bool {
    if min_uses <= 1 {
        return true;
    }
    let set = SetSnapshot::read(data, place.set).value;
    set.way_of(place.fingerprint).is_some() || set.uses_of(place.fingerprint) + 1 >= min_uses
}

/// The tags of a response: its own and more.
pub(super) fn tags<'a>(
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

/// Whether a response says that the origin, or the way to it, is in trouble (RFC 5861 §4).
pub(super) fn is_failure(response: &ResponseHead) -> bool {
    matches!(response.status, 500 | 502 | 503 | 504)
}

/// Whether a failure is told in Envoy's own words, because the origin could not be reached.
pub(super) fn is_envoys_own(response: &ResponseHead) -> bool {
    !response.fields.contains("x-envoy-upstream-service-time")
}

/// A failure in Envoy's own words is nobody's answer, and one of the origin takes the place of nothing that can still help
/// out.
///
/// # Errors
/// Why it is not stored: because of what the request has sent, perhaps.
pub(super) fn check_failure(
    head: &ResponseHead,
    request: &RequestHead,
    something_helps_out: impl FnOnce() -> bool,
) -> Result<(), NotStored> {
    if is_failure(head) && (is_envoys_own(head) || something_helps_out()) {
        Err(failed(request))
    } else {
        Ok(())
    }
}

/// An error of Envoy itself, or of one of its filters, says nothing of what the origin has: another request may find a
/// route, or be let through.
///
/// # Errors
/// That it is one.
pub(super) fn check_upstream(
    host: &impl Host,
    stream: StreamId,
    head: &ResponseHead,
) -> Result<(), NotStored> {
    if head.status < 400 || host.is_from_upstream(stream) { Ok(()) } else { Err(NotStored::LocalReply) }
}

/// Why the response to a request is not stored when the origin has failed: because of what that request has sent, perhaps.
pub(super) fn failed(request: &RequestHead) -> NotStored {
    if may_provoke(request) { NotStored::Provoked } else { NotStored::Error }
}
