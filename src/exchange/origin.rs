//! Requests that go to the origin, for themselves or for others too, and the responses that come back.

use std::rc::Rc;

use super::capture;
use super::edits::{conditions, forwarding, validators};
use super::passing::{Passing, Unsafe};
use super::{Exchange, Gathered, Reply, State, Step};
use crate::cache::{Ask, Call, Confirmation, Context, FetchEnd, Host, failed, is_failure};
use crate::config::Options;
use crate::heap::block;
use crate::http::{RequestHead, ResponseHead};
use crate::in_flight::InFlight;
use crate::outcome::{Forward, ForwardReason, NotStored, Outcome, Stored};
use crate::policy::reuse::Reuse;
use crate::store::memory::Entry;

/// A request that goes to the origin for all who ask for the same.
pub(super) struct Fetching {
    pub(super) generation: u64,
    forward: Forward,
    ask: Rc<Ask>,
}

impl Fetching {
    pub(super) const fn ask(&self) -> &Rc<Ask> {
        &self.ask
    }
}

impl Exchange {
    pub(super) fn pass(&mut self, reason: ForwardReason) -> Step {
        self.state = State::Passing(Box::new(Passing {
            forward: Forward::new(reason),
            shares: false,
            request: None,
            unsafe_request: None,
            fallback: None,
            validates: false,
            _held: None,
        }));
        Step::Continue(Vec::new())
    }

    /// Passes on a request that may change something: what that is, is known with its answer.
    pub(super) fn pass_unsafe(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        (mut request, options): (RequestHead, Rc<Options>),
        reason: ForwardReason,
    ) -> Step {
        let is_plain = reason == ForwardReason::Method;
        let step = self.pass(reason);
        let is_stored = is_plain
            && options.store_post
            && request.method() == b"POST"
            && !options.key.unkeyed.bypasses(&request.fields);
        let mut asked = is_stored.then(|| cx.cache.decide(cx.turn)).flatten();
        let memory = cx.cache.in_flight();
        let bytes = |request: &RequestHead| block(size_of::<Passing>()) + request.fields.held();
        let held = memory.share(bytes(&request)).unwrap_or_else(|| {
            // What it invalidates must not be lost (RFC 9111 §4.4). The URI says that; rules that look at other fields
            // do not apply then. Nor is its answer stored, since nobody knows any more who asked.
            asked = None;
            request.fields.retain(|name, _| name.starts_with(b":"));
            memory.share_at_any_rate(bytes(&request))
        });
        if let State::Passing(passing) = &mut self.state {
            passing.unsafe_request = Some(Unsafe { request, options, asked, _held: held });
        }
        step
    }

    /// Sends the request to the origin for itself alone.
    pub(super) fn forward(
        &mut self,
        memory: &InFlight,
        ask: &Rc<Ask>,
        (reason, why, shares): (ForwardReason, NotStored, bool),
        fallback: Option<Rc<Entry>>,
    ) -> Step {
        let mut edits = forwarding(ask);
        if !ask.finds_room(memory) {
            self.pass(reason);
            return Step::Continue(edits);
        }
        // Where there is no room for what is stored, the origin is asked for all of it.
        let kept = fallback.as_ref().map(|entry| entry.keep(memory));
        let (fallback, held) = match kept {
            Some(None) => (None, None),
            kept => (fallback, kept.flatten()),
        };
        let stored = fallback.as_deref().and_then(Entry::response);
        let validators = validators(ask, stored);
        let validates = ask.whole().is_ok() && !validators.is_empty();
        if validates {
            edits.extend(conditions(ask, validators));
        }
        let stored = Stored::No(why);
        let forward = Forward { reason, status: None, stored, collapsed: ask.collapsed(false) };
        let request = Some(Rc::clone(ask));
        let passing =
            Passing { forward, shares, request, unsafe_request: None, fallback, validates, _held: held };
        self.state = State::Passing(Box::new(passing));
        Step::Continue(edits)
    }

    /// Sends the request to the origin for everyone who asks for the same.
    pub(super) fn fetch(
        &mut self,
        cx: &Context<'_, impl Host>,
        ask: &Rc<Ask>,
        generation: u64,
        reason: ForwardReason,
    ) -> Step {
        let mut edits = forwarding(ask);
        let validated = cx.cache.validated(generation);
        let stored = validated.as_deref().and_then(Entry::response);
        edits.extend(conditions(ask, validators(ask, stored)));
        let forward = Forward { collapsed: ask.collapsed(false), ..Forward::new(reason) };
        self.state = State::Fetching(Fetching { generation, forward, ask: Rc::clone(ask) });
        Step::Continue(edits)
    }

    pub(super) fn passing_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        gathered: &mut Gathered,
        passing: Passing,
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        if is_failure(response)
            && let (Some(entry), Some(ask)) = (&passing.fallback, &passing.request)
            && let Some(reuse) = self.on_failure(cx, entry, ask)
        {
            return self.serve(cx, ask, entry, &reuse);
        }
        if let (304, true, Some(ask), Some(stored)) =
            (response.status, passing.validates, &passing.request, &passing.fallback)
        {
            return self.passing_confirmed(cx, &passing, ask, stored, response);
        }
        let captured = match &passing.unsafe_request {
            Some(request) => capture::of_unsafe(cx, gathered, self.stream, request, response),
            None => capture::alone(cx, self.stream, &passing, response),
        };
        let mut forward = passing.forward;
        match captured {
            Some(Ok(capturing)) => {
                let before = forward.not_stored();
                // So that the root can fetch it again, or what a part lacks.
                self.fetched = passing.request.clone();
                forward.stored = self.capture(cx, capturing, ends, before);
            }
            Some(Err(why)) => forward.stored = Stored::No(why),
            None => {}
        }
        if let (Some(ask), Some(entry)) = (&passing.request, &passing.fallback) {
            cx.cache.head_answered(cx.turn, ask, entry, response);
        }
        Step::Continue(self.response_edits(cx, &forward, response))
    }

    /// The origin has confirmed what is stored to a request that went there for itself.
    fn passing_confirmed(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        passing: &Passing,
        ask: &Rc<Ask>,
        stored: &Rc<Entry>,
        response: &ResponseHead,
    ) -> Step {
        let forward = passing.forward.clone();
        let why = match cx.cache.confirms_late(cx.turn, ask, stored, passing.shares, response) {
            Ok(generation) => return self.confirmed(cx, generation, forward, ask, response),
            Err(why) => why,
        };
        let entry = cx.cache.confirmed_once(ask, stored, response, cx.turn.now);
        let call = match entry {
            None => cx.cache.call_again(cx.turn, ask, stored),
            Some(_) => None,
        };
        self.answer_confirmed(cx, Forward { stored: Stored::No(why), ..forward }, ask, entry, call)
    }

    fn on_failure(&self, cx: &mut Context<'_, impl Host>, entry: &Entry, ask: &Ask) -> Option<Reuse> {
        cx.cache.on_failure(cx.turn, entry, ask, || cx.turn.host.cluster(self.stream))
    }

    pub(super) fn fetched_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        fetching: Fetching,
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        let Fetching { generation, mut forward, ask } = fetching;
        let validated = cx.cache.validated(generation);
        if is_failure(response)
            && let Some(entry) = &validated
            && let Some(reuse) = self.on_failure(cx, entry, &ask)
        {
            let why = failed(&ask.request);
            cx.cache.end_fetch(cx.turn, generation, FetchEnd::NotStored(why));
            return self.serve(cx, &ask, entry, &reuse);
        }
        if response.status == 304 && validated.is_some() {
            return self.confirmed(cx, generation, forward, &ask, response);
        }
        match capture::for_all(cx, generation, &ask, response) {
            Ok(capturing) => {
                let before = cx.cache.not_stored_before(generation);
                self.fetched = Some(ask);
                forward.stored = self.capture(cx, capturing, ends, before);
            }
            Err(reason) => {
                forward.stored = Stored::No(reason);
                cx.cache.end_fetch(cx.turn, generation, FetchEnd::NotStored(reason));
            }
        }
        Step::Continue(self.response_edits(cx, &forward, response))
    }

    /// The origin has confirmed what is stored: that, brought up to date, is the answer.
    fn confirmed(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        generation: u64,
        mut forward: Forward,
        ask: &Rc<Ask>,
        response: &ResponseHead,
    ) -> Step {
        let confirmation = cx.cache.confirmation(cx.turn, generation, response);
        if let Confirmation::Updated(_) = confirmation {
            self.fetched = Some(Rc::clone(ask));
        }
        // Before what is known of the way to the origin is gone with what is stored.
        let call = match (&confirmation, cx.cache.validated(generation)) {
            (Confirmation::OfAnother, Some(old)) => cx.cache.call_again(cx.turn, ask, &old),
            _ => None,
        };
        let (entry, stored) = cx.cache.end_confirmed(cx.turn, generation, confirmation);
        forward.stored = stored;
        self.answer_confirmed(cx, forward, ask, entry, call)
    }

    /// Answers with what the origin has confirmed by a 304 to our conditions, or asks again by a call when that is nothing
    /// that we have.
    fn answer_confirmed(
        &mut self,
        cx: &Context<'_, impl Host>,
        forward: Forward,
        ask: &Rc<Ask>,
        entry: Option<Rc<Entry>>,
        call: Option<Call>,
    ) -> Step {
        let outcome = Outcome::Forward(Forward { status: Some(304), ..forward.clone() });
        let reply = entry.as_ref().and_then(|entry| Reply::fetched(cx, entry, &ask.request, &outcome));
        let Some(reply) = reply else { return self.again(cx, forward, ask, call) };
        self.tell(cx.turn.host, &outcome, entry.as_deref());
        self.reply(reply)
    }
}
