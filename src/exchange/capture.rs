//! Responses on their way to clients are captured beside them, and stored when they are complete.

use std::rc::Rc;

use super::passing::Unsafe;
use super::{Exchange, Gathered, State, mutations};
use crate::cache::{CacheRequest, Context, Host, Storable, StreamId, under_its_uri};
use crate::heap::block;
use crate::http::ResponseHead;
use crate::in_flight::{Arriving, GivenUp, InFlight};
use crate::outcome::metrics::Counter;
use crate::outcome::{NotStored, Stored};

/// A response on its way to the client, being captured.
pub(super) struct Capturing {
    storable: Storable,
    body: Arriving,
    /// What the client was told.
    pub(super) said: Stored,
}

/// The answer to a request that may have changed something: what that invalidates, and an answer to POST
/// that is good for later GETs, to be captured (RFC 9110 §9.3.3).
///
/// That is subject to all that was invalidated since it was asked for, but for what it has itself: so its stamp is the
/// position of its own records, if nothing that covers it came before these, and nothing at all among them.
pub(super) fn of_unsafe(
    cx: &mut Context<'_, impl Host>,
    gathered: &mut Gathered,
    stream: StreamId,
    one: &Unsafe,
    response: &ResponseHead,
) -> Option<Result<Storable, NotStored>> {
    let posted = one.asked.map(|asked| {
        let asked_by = (&one.request, &*one.options);
        let stored = under_its_uri(cx.turn, stream, cx.config, asked_by, asked.at, response)?;
        let outlived = cx.cache.synced(cx.turn.host).and_then(|storage| {
            let (stamp, _) = storage.order_at(asked);
            storage.outlived(&stored, stamp)
        });
        let before = outlived.ok_or(NotStored::Superseded)?;
        Ok((stored, before, asked.at.mono))
    });
    let records = mutations::invalidate(cx, gathered, &one.request, response, &one.options);
    let captured = posted?.and_then(|(stored, before, asked)| {
        let stamp = before + records;
        let storage = cx.cache.synced(cx.turn.host);
        if storage.and_then(|storage| storage.outlived(&stored, stamp)) != Some(stamp) {
            return Err(NotStored::Superseded);
        }
        let asked_by = (&one.request, &*one.options);
        Storable::under_its_uri(cx.config, asked_by, (stamp, asked), stored, response)
    });
    Some(captured)
}

impl Capturing {
    fn new(memory: &InFlight, storable: Storable) -> Result<Capturing, NotStored> {
        let beside = block(size_of::<Capturing>()) + storable.held();
        let body = memory.arriving(storable.generation(), beside).ok_or(NotStored::Memory)?;
        Ok(Capturing { storable, body, said: Stored::Perhaps })
    }

    /// The fetch that the response answers, if it does.
    pub(super) const fn generation(&self) -> Option<u64> {
        self.storable.generation()
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
    fn finish(self, cx: &mut Context<'_, impl Host>, ask: Option<&CacheRequest>) -> Stored {
        match self.body.take() {
            Ok(body) => cx.cache.body_complete(cx.turn, ask, self.storable, body),
            Err(GivenUp) => not_stored(cx, self.storable.generation(), NotStored::Memory),
        }
    }

    /// Gives up a response of which some will be missing.
    fn give_up(self, cx: &mut Context<'_, impl Host>, why: NotStored) {
        let stored = not_stored(cx, self.generation(), why);
        tally(cx.turn.host, self.said, stored);
    }
}

/// The capture of a response has come to nothing.
fn not_stored(cx: &mut Context<'_, impl Host>, generation: Option<u64>, why: NotStored) -> Stored {
    if let Some(generation) = generation {
        cx.cache.body_given_up(cx.turn, generation, why);
    }
    Stored::No(why)
}

/// Counts a response that has not been stored, where its head went out as that of one that would be: any other has been
/// counted with its head.
pub(super) fn tally(host: &impl Host, said: Stored, stored: Stored) {
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
            not_stored(cx, Some(generation), NotStored::Memory);
        }
        match taken {
            Ok(()) if ends => self.response_end(cx),
            Ok(()) => {
                if let Some(generation) = capturing.generation() {
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
        ask: Option<Rc<CacheRequest>>,
        storable: Storable,
        ends: bool,
        before: Option<NotStored>,
    ) -> Stored {
        let generation = storable.generation();
        let mut capturing = match Capturing::new(cx.cache.in_flight(), storable) {
            Ok(capturing) => capturing,
            Err(why) => return not_stored(cx, generation, why),
        };
        // So that the root can fetch it again, or what a part lacks.
        self.fetched = ask;
        if ends {
            return capturing.finish(cx, self.fetched.as_deref());
        }
        let said = capturing.promise(before);
        capturing.said = said;
        self.state = State::Capturing(Box::new(capturing));
        said
    }
}
