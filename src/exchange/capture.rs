//! Responses on their way to clients are captured beside them, and stored when they are complete.

use std::rc::Rc;

use super::passing::{Passing, Unsafe};
use super::{Exchange, Gathered, State, mutations};
use crate::cache::{
    Ask, Context, FetchEnd, Host, Late, Storable, StreamId, assessed, body_limit, failed, is_envoys_own,
    is_failure, taken_route,
};
use crate::config::Options;
use crate::heap::{block, list};
use crate::http::{RequestHead, ResponseHead};
use crate::in_flight::{Arriving, GivenUp, InFlight};
use crate::outcome::metrics::Counter;
use crate::outcome::{Forward, ForwardReason, NotStored, Stored};
use crate::policy::Asked;
use crate::policy::key;
use crate::store::record::Response;
use crate::time::{Monotonic, Now};

/// A response on its way to the client, being captured.
pub(super) struct Capturing {
    pub(super) target: Target,
    storable: Storable,
    body: Arriving,
    /// What the client was told.
    said: Stored,
}

/// What a captured response is for.
pub(super) enum Target {
    /// The fetch of this generation, for which others may wait.
    Flight(u64),
    /// Everyone, although nobody has waited for it.
    Late(Late),
    /// A key that nobody waits for: a part of a representation, or what a POST has made of it.
    Own {
        key: Vec<u8>,
        /// The journal's head when it was asked for, and when that was.
        order: (u64, Monotonic),
    },
}

/// The capture of a response that was fetched for all who ask for the same.
pub(super) fn for_all(
    cx: &mut Context<'_, impl Host>,
    generation: u64,
    ask: &Ask,
    response: &ResponseHead,
) -> Result<Capturing, NotStored> {
    let storable = cx.cache.storable(cx.turn, generation, response)?;
    is_of_the_origin(cx, ask.stream, response)?;
    cx.cache.progressed(generation, cx.turn.now);
    Capturing::new(cx.cache.in_flight(), Target::Flight(generation), storable)
}

/// An error of Envoy itself, or of one of its filters, says nothing of what the origin has: another request may find a
/// route, or be let through.
fn is_of_the_origin(
    cx: &Context<'_, impl Host>,
    stream: StreamId,
    response: &ResponseHead,
) -> Result<(), NotStored> {
    if response.status < 400 || cx.turn.host.is_from_upstream(stream) {
        Ok(())
    } else {
        Err(NotStored::LocalReply)
    }
}

/// The capture of a response to a request that went alone: one that others may use all the same, a part (206) to a request
/// for one (RFC 9111 §3.3), or whatever else that was answered by. None when it is none of these.
pub(super) fn alone(
    cx: &mut Context<'_, impl Host>,
    stream: StreamId,
    passing: &Passing,
    response: &ResponseHead,
) -> Option<Result<Capturing, NotStored>> {
    match &passing.request {
        Some(ask) if ask.whole().is_ok() => Some(late(cx, passing, passing.shares, ask, response)),
        // RFC 9110 §14.2: "A server MAY ignore the Range header field." What comes then is the same for all.
        Some(ask) if is_for_a_part(ask) && response.status != 206 => {
            let shares = !matches!(passing.forward, Forward { reason: ForwardReason::Bypass(_), .. });
            Some(late(cx, passing, shares, ask, response))
        }
        Some(ask) if response.status == 206 => {
            let (order, at) = (cx.cache.order_of(ask), ask.decided.get().at);
            let stored = under_its_uri(cx, stream, (&ask.request, &ask.options), at, response);
            Some(stored.and_then(|stored| own(cx, (&ask.request, &ask.options), order, stored, response)))
        }
        _ => None,
    }
}

/// Whether a request asks for a part of a representation.
fn is_for_a_part(ask: &Ask) -> bool {
    ask.request.method() == b"GET" && ask.request.fields.contains("range")
}

/// The response to a request that went beside any flight: what it may be stored as if it `shares`, or why not.
fn late(
    cx: &mut Context<'_, impl Host>,
    passing: &Passing,
    shares: bool,
    ask: &Rc<Ask>,
    response: &ResponseHead,
) -> Result<Capturing, NotStored> {
    let fallback = passing.fallback.as_deref();
    if is_failure(response) && (is_envoys_own(response) || fallback.is_some()) {
        return Err(failed(&ask.request));
    }
    let (stored, late) = cx.cache.assess_late(cx.turn, ask, fallback, shares, response)?;
    is_of_the_origin(cx, ask.stream, response)?;
    let storable = Storable::new(stored, response, body_limit(&ask.config, &ask.request, response))?;
    Capturing::new(cx.cache.in_flight(), Target::Late(late), storable)
}

/// The answer to a request that may have changed something: what that invalidates, and the capture of an answer to POST
/// that is good for later GETs (RFC 9110 §9.3.3).
///
/// That is subject to all that was invalidated since it was asked for, but for what it has itself: so its stamp is the
/// position of its own records, if nothing that covers it came before these, and nothing at all among them.
pub(super) fn of_unsafe(
    cx: &mut Context<'_, impl Host>,
    gathered: &mut Gathered,
    stream: StreamId,
    one: &Unsafe,
    response: &ResponseHead,
) -> Option<Result<Capturing, NotStored>> {
    let posted = one.asked.map(|asked| {
        let stored = under_its_uri(cx, stream, (&one.request, &one.options), asked.at, response)?;
        let stamp = cx.cache.order_at(asked).0;
        let before = cx.cache.outlived(cx.turn.host, &stored, stamp).ok_or(NotStored::Superseded)?;
        Ok((stored, before, asked.at.mono))
    });
    let records = mutations::invalidate(cx, gathered, &one.request, response, &one.options);
    let captured = posted?.and_then(|(stored, before, asked)| {
        let stamp = before + records;
        if cx.cache.outlived(cx.turn.host, &stored, stamp) != Some(stamp) {
            return Err(NotStored::Superseded);
        }
        own(cx, (&one.request, &one.options), (stamp, asked), stored, response)
    });
    Some(captured)
}

/// What a response may be stored as under the key of its URI.
fn under_its_uri(
    cx: &Context<'_, impl Host>,
    stream: StreamId,
    (request, options): (&RequestHead, &Options),
    asked: Now,
    response: &ResponseHead,
) -> Result<Response, NotStored> {
    let asked_by = Asked { request, metadata: &|| cx.turn.host.metadata(stream) };
    let uri = key::uri(request, options);
    let stored = assessed(cx.config, asked_by, response, uri, (asked.wall, cx.turn.now.wall))?;
    is_of_the_origin(cx, stream, response)?;
    Ok(Response { route: Some(taken_route(cx.turn.host, stream, request, options)), ..stored })
}

/// The capture of a response that belongs under the key of its URI, with its stamp and when it was asked for.
fn own(
    cx: &Context<'_, impl Host>,
    (request, options): (&RequestHead, &Options),
    order: (u64, Monotonic),
    stored: Response,
    response: &ResponseHead,
) -> Result<Capturing, NotStored> {
    let target = Target::Own { key: key::primary(request, options), order };
    let storable = Storable::new(stored, response, body_limit(cx.config, request, response))?;
    Capturing::new(cx.cache.in_flight(), target, storable)
}

impl Capturing {
    fn new(memory: &InFlight, target: Target, storable: Storable) -> Result<Capturing, NotStored> {
        let flight = match &target {
            Target::Flight(generation) => Some(*generation),
            Target::Late(_) | Target::Own { .. } => None,
        };
        let of_target = match &target {
            Target::Flight(_) => 0,
            Target::Late(late) => late.held(),
            Target::Own { key, .. } => list(key),
        };
        let beside = block(size_of::<Capturing>()) + storable.response().held() + of_target;
        let body = memory.arriving(flight, beside).ok_or(NotStored::Memory)?;
        Ok(Capturing { target, storable, body, said: Stored::Perhaps })
    }

    /// What can be said of it while its body is still to come. Where it does not say how long it is, what came of the
    /// response before it is likely to come of this one.
    fn promise(&self, before: Option<NotStored>) -> Stored {
        let is_known = self.storable.length().is_some() || self.storable.response().stored.range.is_some();
        match before {
            _ if is_known => Stored::Yes,
            Some(why @ (NotStored::TooLarge | NotStored::HostQuota | NotStored::NoRoom)) => Stored::No(why),
            Some(_) | None => Stored::Perhaps,
        }
    }

    /// Takes in a chunk, if it was given to us.
    fn take(&mut self, chunk: Option<Vec<u8>>) -> Result<(), NotStored> {
        let chunk = chunk.ok_or(NotStored::Incomplete)?;
        self.storable.check((self.body.len() + chunk.len()) as u64)?;
        let length = usize::try_from(self.storable.length().unwrap_or(0)).unwrap_or(usize::MAX);
        self.body.add(chunk, length).map_err(|GivenUp| NotStored::Memory)
    }

    /// Stores what has been captured, on behalf of this request if its route is of interest.
    fn finish(self, cx: &mut Context<'_, impl Host>, ask: Option<&Ask>) -> Stored {
        let Ok(body) = self.body.take() else { return self.drop(cx, NotStored::Memory) };
        if let Err(why) = self.storable.check_whole(&body) {
            return self.drop(cx, why);
        }
        let limit = self.storable.limit();
        let response = self.storable.with_body(body);
        match self.target {
            // It would be stored with the stamp of what the root fetches: newer than it is (M22).
            Target::Flight(generation) if !cx.cache.is_streamed(generation) => {
                Stored::No(NotStored::NoFlight)
            }
            Target::Flight(generation) => {
                let ended = cx.cache.end_fetch(cx.turn, generation, FetchEnd::Stored(Box::new(response)));
                ended.map_or(Stored::No(NotStored::NoFlight), |(_, stored)| stored)
            }
            Target::Late(late) => cx.cache.end_late(cx.turn, &late, response),
            Target::Own { key, order } => {
                let kept = cx.cache.keep(cx.turn, &key, order, response, limit);
                if let Some(ask) = ask {
                    ask.home.set(kept.ok());
                }
                kept.map_or_else(Stored::No, |_| Stored::Yes)
            }
        }
    }

    fn drop(self, cx: &mut Context<'_, impl Host>, why: NotStored) -> Stored {
        if let Target::Flight(generation) = self.target {
            not_stored(cx, generation, why);
        }
        Stored::No(why)
    }

    /// Gives up a response of which some will be missing.
    pub(super) fn give_up(self, cx: &mut Context<'_, impl Host>, why: NotStored) {
        let said = self.said;
        let stored = self.drop(cx, why);
        tally(cx.turn.host, said, stored);
    }
}

/// Ends a fetch whose capture has come to nothing. Not one that stalled and that the root has taken over since: others wait
/// for what that brings (M23).
fn not_stored(cx: &mut Context<'_, impl Host>, generation: u64, why: NotStored) {
    if cx.cache.is_streamed(generation) {
        cx.cache.end_fetch(cx.turn, generation, FetchEnd::NotStored(why));
    }
}

/// Counts a response that has not been stored, where its head went out as that of one that would be: any other has been
/// counted with its head.
fn tally(host: &impl Host, said: Stored, stored: Stored) {
    if let (Stored::Yes | Stored::Perhaps, Stored::No(why)) = (said, stored) {
        host.count(Counter::NotStored(why));
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
        let taken = capturing.take(chunk);
        // Whoever waits for one that was given up goes to the origin for itself.
        for generation in cx.cache.in_flight().given_up() {
            not_stored(cx, generation, NotStored::Memory);
        }
        match taken {
            Ok(()) if ends => self.response_end(cx),
            Ok(()) => {
                if let Target::Flight(generation) = capturing.target {
                    cx.cache.progressed(generation, cx.turn.now);
                }
            }
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
            let said = capturing.said;
            let stored = capturing.finish(cx, self.fetched.as_deref());
            tally(cx.turn.host, said, stored);
        }
    }

    /// Captures a response from its head on, which may be all of it. What can be said of it now; `before` is why the one
    /// before it was not stored, as far as that is remembered.
    pub(super) fn capture(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        mut capturing: Capturing,
        ends: bool,
        before: Option<NotStored>,
    ) -> Stored {
        if ends {
            return capturing.finish(cx, self.fetched.as_deref());
        }
        let said = capturing.promise(before);
        capturing.said = said;
        self.state = State::Capturing(Box::new(capturing));
        said
    }
}
