//! Responses on their way to clients are captured beside them, and stored when they are complete.

use std::rc::Rc;

use super::{Context, Exchange, State};
use crate::cache::{Ask, Host, Landing, assessed, is_envoys_own, is_failure};
use crate::config::Options;
use crate::http::{RequestHead, ResponseHead};
use crate::outcome::NotStored;
use crate::policy::key;
use crate::policy::partial::is_whole_part;
use crate::store::record::Response;

/// As much is reserved for a body at once, if it says that it has as much.
const RESERVED_BYTES_MAX: u64 = 1 << 20;

/// A response on its way to the client, being captured.
pub(super) struct Capturing {
    pub(super) target: Target,
    /// Without its body, as long as that arrives.
    response: Response,
    body: Vec<u8>,
    length: Option<u64>,
    bytes_max: u64,
}

/// What a captured response is for.
pub(super) enum Target {
    /// The fetch of this generation, for which others may wait.
    Flight(u64),
    /// A key that nobody waits for: a part of a representation, or what a POST has made of it.
    Own {
        key: Vec<u8>,
        /// The journal's head when it was asked for.
        stamp: u64,
    },
}

/// The capture of a response that was fetched for all who ask for the same.
pub(super) fn for_all(
    cx: &Context<'_, impl Host>,
    generation: u64,
    ask: &Ask,
    response: &ResponseHead,
) -> Result<Capturing, NotStored> {
    if is_failure(response) && (is_envoys_own(response) || cx.cache.holds_better(generation, cx.now)) {
        return Err(NotStored::Error);
    }
    let stored = cx.cache.assess(cx.host, generation, response, cx.now)?;
    Capturing::new(Target::Flight(generation), stored, response, ask.options.object_bytes_max)
}

/// The capture of a response to a request that went alone: a part (206) to a request for one (RFC 9111 §3.3), or the
/// answer to a POST that is good for later GETs (RFC 9110 §9.3.3). None when it is neither.
pub(super) fn own(
    cx: &mut Context<'_, impl Host>,
    ask: Option<&Ask>,
    unsafe_request: Option<&(RequestHead, Rc<Options>)>,
    response: &ResponseHead,
) -> Option<Result<Capturing, NotStored>> {
    let (request, options, stamp) = match (ask, unsafe_request) {
        (Some(ask), _) if response.status == 206 => (&ask.request, &ask.options, ask.stamp.get()),
        (_, Some((request, options))) if options.store_post && request.method() == b"POST" => {
            // After what this very request has invalidated.
            (request, options, cx.cache.newest_stamp(cx.host)?)
        }
        _ => return None,
    };
    let key = key::primary(request, options);
    let asked = ask.map_or(cx.now, |ask| ask.arrived);
    let stored =
        assessed(cx.config, request, response, key::uri(request, options), (asked.wall, cx.now.wall));
    let target = Target::Own { key, stamp };
    Some(stored.and_then(|stored| Capturing::new(target, stored, response, options.object_bytes_max)))
}

impl Capturing {
    fn new(
        target: Target,
        response: Response,
        head: &ResponseHead,
        bytes_max: u64,
    ) -> Result<Capturing, NotStored> {
        let length = head.content_length();
        if length.is_some_and(|length| length > bytes_max) {
            return Err(NotStored::TooLarge);
        }
        Ok(Capturing { target, response, body: Vec::new(), length, bytes_max })
    }

    /// Takes in a chunk, if it was given to us.
    fn take(&mut self, chunk: Option<Vec<u8>>) -> Result<(), NotStored> {
        let chunk = chunk.ok_or(NotStored::Incomplete)?;
        if (self.body.len() + chunk.len()) as u64 > self.bytes_max {
            return Err(NotStored::TooLarge);
        }
        if self.body.is_empty() {
            self.body = chunk;
            return Ok(());
        }
        // The origin has only said how much there will be.
        let expected = self.length.unwrap_or(0).min(RESERVED_BYTES_MAX) as usize;
        self.body.reserve_exact(expected.saturating_sub(self.body.len()));
        self.body.extend_from_slice(&chunk);
        Ok(())
    }

    fn is_complete(&self) -> bool {
        let bytes = self.body.len() as u64;
        self.length.is_none_or(|length| length == bytes) && is_whole_part(&self.response.stored, bytes)
    }

    /// Stores what has been captured, on behalf of this request if its route is of interest.
    fn land(mut self, cx: &mut Context<'_, impl Host>, ask: Option<&Ask>) {
        let is_complete = self.is_complete();
        self.body.shrink_to_fit();
        self.response.body = self.body.into();
        match self.target {
            Target::Flight(generation) if is_complete => {
                cx.cache.land(cx.host, generation, Landing::Stored(Box::new(self.response)), cx.now);
            }
            Target::Flight(generation) => {
                cx.cache.land(cx.host, generation, Landing::NotStored(NotStored::Incomplete), cx.now);
            }
            Target::Own { key, stamp } if is_complete => {
                let home = cx.cache.keep(cx.host, &key, stamp, self.response, cx.now);
                if let Some(ask) = ask {
                    ask.home.set(home);
                }
            }
            Target::Own { .. } => {}
        }
    }

    /// Gives up a response of which some will be missing.
    fn give_up(self, cx: &mut Context<'_, impl Host>, why: NotStored) {
        if let Target::Flight(generation) = self.target {
            cx.cache.land(cx.host, generation, Landing::NotStored(why), cx.now);
        }
    }
}

impl Exchange {
    /// Whether the chunks of the response body are of interest.
    #[must_use]
    pub fn captures(&self) -> bool {
        matches!(self.state, State::Capturing(_))
    }

    /// A chunk of the response body is on its way to the client; none when the host does not give it out.
    pub fn response_body(&mut self, cx: &mut Context<'_, impl Host>, chunk: Option<Vec<u8>>, ends: bool) {
        let State::Capturing(capturing) = &mut self.state else { return };
        match capturing.take(chunk) {
            Ok(()) if ends => self.response_end(cx),
            Ok(()) => {}
            Err(why) => {
                if let State::Capturing(capturing) = core::mem::replace(&mut self.state, State::Over) {
                    capturing.give_up(cx, why);
                }
            }
        }
    }

    /// The response is complete: its last chunk, or its trailers, have arrived.
    pub fn response_end(&mut self, cx: &mut Context<'_, impl Host>) {
        if let State::Capturing(capturing) = core::mem::replace(&mut self.state, State::Over) {
            capturing.land(cx, self.fetched.as_deref());
        }
    }
}
