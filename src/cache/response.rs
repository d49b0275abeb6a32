//! What the response to a fetch means, whoever made that: a client's own request, whose response comes in pieces, or a call of
//! the root, which has it at once. One machine decides, from the head ([`FetchResponse`]); whoever feeds it acts on that: a
//! client's stream here ([`Cache::fetch_answered`]), a call of the root in [`super::call`].
//!
//! ```text
//!   head ──┬─► StaleIfError, Refused, Confirmed, NotStored: the fetch has ended
//!          ├─► OfAnother, Rest: once more, without conditions, where it does not fit
//!          └─► Body ──► pieces, or all at once ──► stored, or why not: the fetch has ended
//! ```

use std::rc::Rc;

use super::assess::{
    assessed_by, body_limit, check_failure, check_upstream, failed, is_admitted, options_for,
};
use super::clocks::watch_origin_clock;
use super::confirmation::Confirmation;
use super::fetches::Fetch;
use super::storable::{Storable, Target};
use super::{Cache, Call, FetchEnd, Host};
use crate::http::ResponseHead;
use crate::outcome::metrics::Counter;
use crate::outcome::{NotStored, Stored};
use crate::policy::Asked;
use crate::policy::reuse::Reuse;
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::turn::Turn;

/// What the head of the response to a fetch means.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved to whoever acts on it, and never kept")]
pub(super) enum FetchResponse {
    /// The origin refuses the root's request: nobody is answered so.
    Refused,
    /// The origin fails, and this stored response answers instead (RFC 5861 §4).
    StaleIfError { entry: Rc<Entry>, reuse: Reuse },
    /// It is a 304, which confirms what is stored as far as that goes.
    Confirmed(Confirmation),
    /// It is a 304 about something else than what is stored, which is known to be old now.
    OfAnother,
    /// It is, or says, what a stored part lacks.
    Rest,
    /// It is to be stored once its body is there.
    Body(Storable),
    /// It is not to be stored.
    NotStored(NotStored),
}

/// What becomes of a request whose response has begun on its stream.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "moved to whoever acts on it, and never kept")]
pub enum Answered {
    /// The origin fails: it is answered with this stored response.
    Stale {
        /// The stored response.
        entry: Rc<Entry>,
        /// Why it may be served.
        reuse: Reuse,
    },
    /// It is answered with what the origin has confirmed.
    Confirmed {
        /// What is stored, brought up to date.
        entry: Rc<Entry>,
        /// Whether it stays stored.
        stored: Stored,
    },
    /// What the origin confirms is nothing that anybody has: it is to be repeated by this call, if there is one.
    Again {
        /// The call.
        call: Option<Call>,
        /// Whether something is stored: never.
        stored: Stored,
    },
    /// The response goes on to the client, and is stored when its body is there.
    Body(Storable),
    /// The response goes on to the client, and is not stored.
    NotStored(NotStored),
}

impl Cache {
    /// What the head of the response to a fetch means. All rules stand here, in the order in which they apply.
    pub(super) fn fetch_response(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
    ) -> FetchResponse {
        // A client's own request waits for its response, so that is answered here. Who waits for a call of the root is woken when
        // that has failed, and finds by itself what may be served stale.
        let streamed = self.fetches.get(generation).filter(|fetch| fetch.is_streamed());
        let streamed = streamed.map(|fetch| (Rc::clone(&fetch.ask), fetch.validated.clone()));
        if let Some((ask, validated)) = streamed
            && let Some((entry, reuse)) = self.stale_if_error(turn, &ask, validated.as_ref(), head)
        {
            return FetchResponse::StaleIfError { entry, reuse };
        }
        let Some(fetch) = self.fetches.get(generation) else {
            return FetchResponse::NotStored(NotStored::NoFlight);
        };
        let validated = fetch.validated.as_deref();
        // A client has a right to its own 4xx: that is what its request comes to. What the root's comes to is another matter,
        // since it lacks what the client's has, such as credentials or cookies.
        if !fetch.is_streamed() && is_refusal(head, validated) {
            return FetchResponse::Refused;
        }
        match (head.status, validated) {
            (304, Some(_)) => match Confirmation::of(turn, fetch, head) {
                Confirmation::OfAnother => FetchResponse::OfAnother,
                confirmation => FetchResponse::Confirmed(confirmation),
            },
            // One that confirms nothing goes to nobody but the client whose own request brings it.
            (304, None) if !fetch.is_streamed() => FetchResponse::OfAnother,
            // Only the root asks for what a part lacks: what a client's own request brings has to answer that client.
            (206 | 416, Some(old)) if !fetch.is_streamed() && old.is_part() => FetchResponse::Rest,
            _ => match self.storable(turn, fetch, head) {
                Ok(storable) => FetchResponse::Body(storable),
                Err(why) => FetchResponse::NotStored(why),
            },
        }
    }

    /// What the response to a fetch is to be stored as, from its head.
    ///
    /// # Errors
    /// Why it is not stored.
    fn storable(
        &self,
        turn: Turn<'_, impl Host>,
        fetch: &Fetch,
        head: &ResponseHead,
    ) -> Result<Storable, NotStored> {
        let helps_out = |entry: &Rc<Entry>| self.storage.helps_out(entry, &fetch.ask, turn.now);
        check_failure(head, &fetch.request(), || fetch.validated.as_ref().is_some_and(helps_out))?;
        let response = fetch.assess(turn, head)?;
        let limit = body_limit(&fetch.ask.config, &fetch.ask.request, head);
        let target = Target::Fetch { generation: fetch.lease.generation, before: fetch.before };
        let storable = Storable::new(response, head, limit, target)?;
        // Of a call, what Envoy itself says is a failure in its own words, or a refusal.
        if fetch.is_streamed() {
            check_upstream(turn.host, fetch.ask.stream, head)?;
        }
        Ok(storable)
    }

    /// The head of the response to a fetch has arrived, on the stream of the client whose request made it.
    pub fn fetch_answered(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
    ) -> Answered {
        if let Some(ask) = self.fetches.get(generation).map(|fetch| Rc::clone(&fetch.ask)) {
            self.origin_answered(turn, &ask, head);
        }
        self.streamed(turn, generation, head)
    }

    /// What becomes of the request of a stream whose fetch is answered so.
    pub(super) fn streamed(
        &mut self,
        turn: Turn<'_, impl Host>,
        generation: u64,
        head: &ResponseHead,
    ) -> Answered {
        match self.fetch_response(turn, generation, head) {
            FetchResponse::StaleIfError { entry, reuse } => {
                let request = self.fetches.get(generation).map(|fetch| failed(&fetch.request()));
                let why = request.unwrap_or(NotStored::Error);
                self.end_fetch(turn, generation, FetchEnd::NotStored(why));
                Answered::Stale { entry, reuse }
            }
            FetchResponse::Confirmed(confirmation) => {
                match self.end_confirmed(turn, generation, confirmation) {
                    (Some(entry), stored) => Answered::Confirmed { entry, stored },
                    (None, stored) => Answered::Again { call: None, stored },
                }
            }
            FetchResponse::OfAnother => {
                let fetch = self.fetches.get(generation);
                let (ask, old) = fetch.map(|fetch| (Rc::clone(&fetch.ask), fetch.validated.clone())).unzip();
                // Before what is known of the way to the origin is gone with what is stored.
                let call = ask
                    .zip(old.flatten())
                    .and_then(|(ask, old)| self.routes.call_again(turn, &mut self.storage, &ask, &old));
                let (_, stored) = self.end_confirmed(turn, generation, Confirmation::OfAnother);
                Answered::Again { call, stored }
            }
            FetchResponse::Body(storable) => {
                if let Some(fetch) = self.fetches.get_mut(generation) {
                    fetch.progress = Some(turn.now.mono);
                }
                Answered::Body(storable)
            }
            FetchResponse::NotStored(why) => {
                self.end_fetch(turn, generation, FetchEnd::NotStored(why));
                Answered::NotStored(why)
            }
            // Of calls of the root alone.
            FetchResponse::Refused | FetchResponse::Rest => {
                self.end_fetch(turn, generation, FetchEnd::NotStored(NotStored::Status));
                Answered::NotStored(NotStored::Status)
            }
        }
    }

    /// Ends a fetch whose stored response was confirmed, as far as it was. Returns what answers the request that
    /// asked, none when the 304 was about something else, and why it is not stored if it is not.
    pub(super) fn end_confirmed(
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

    /// The stored response that the fetch asks the origin to confirm.
    #[must_use]
    pub fn validated(&self, generation: u64) -> Option<Rc<Entry>> {
        self.fetches.get(generation)?.validated.clone()
    }
}

impl Fetch {
    /// What its response may be stored as, from the head of that; its body is still empty.
    ///
    /// # Errors
    /// Why it may not be stored.
    fn assess(&self, turn: Turn<'_, impl Host>, head: &ResponseHead) -> Result<Response, NotStored> {
        let (config, request) = (&self.ask.config, &self.request());
        let options = options_for(config, request, head);
        let times = (self.started.wall, turn.now.wall);
        let asked = Asked { request, metadata: &|| self.metadata(turn.host) };
        let assessed = assessed_by(config, &options, asked, head, self.ask.uri(), times);
        watch_origin_clock(turn, request, head, &assessed);
        let assessed = Response { route: self.taken_route(turn.host), ..assessed? };
        let is_admitted = is_admitted(turn.host, &self.lease.place, options.min_uses);
        is_admitted.then_some(assessed).ok_or(NotStored::Admission)
    }
}

/// Whether the origin refuses a request of the root. A stored 404 that is still one has been confirmed, not refused; a 416
/// to a request for what a part lacks says that there is nothing more.
fn is_refusal(head: &ResponseHead, validated: Option<&Entry>) -> bool {
    let stored = validated.and_then(Entry::response).map(|response| response.stored.status);
    let is_of_part = head.status == 416 && validated.is_some_and(Entry::is_part);
    head.status >= 400 && stored != Some(head.status) && !is_of_part
}
