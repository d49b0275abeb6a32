//! Requests that go to the origin, for themselves or for others too, and the responses that come back.

use std::rc::Rc;

use super::capture;
use super::edits::{conditions, forwarding, validators};
use super::passing::{Passing, Unsafe};
use super::{Exchange, Gathered, Reply, State, Step};
use crate::cache::{Answered, CacheRequest, Context, Host, Uncollapsed};
use crate::config::Options;
use crate::heap::block;
use crate::http::{RequestHead, ResponseHead};
use crate::in_flight::InFlight;
use crate::outcome::{Forward, ForwardReason, NotStored, Outcome, Stored};
use crate::store::memory::Entry;

/// A request that goes to the origin for all who ask for the same.
pub(super) struct Fetching {
    pub(super) generation: u64,
    forward: Forward,
    ask: Rc<CacheRequest>,
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
        let storage = if is_stored { cx.cache.synced(cx.turn.host) } else { None };
        let mut asked = storage.map(|storage| storage.decided(cx.turn.now));
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
        ask: &Rc<CacheRequest>,
        (reason, why, shares): (ForwardReason, NotStored, bool),
        fallback: Option<Rc<Entry>>,
    ) -> Step {
        let mut edits = forwarding(ask);
        if !ask.finds_room(memory) {
            self.pass(reason);
            return Step::Continue(edits);
        }
        // Where there is no room for what is stored, the origin is asked for all of it.
        let held = fallback.as_ref().map(|entry| entry.hold(memory));
        let (fallback, held) = match held {
            Some(None) => (None, None),
            held => (fallback, held.flatten()),
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
        ask: &Rc<CacheRequest>,
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
        let uncollapsed = |ask| Uncollapsed {
            ask,
            fallback: passing.fallback.as_ref(),
            validates: passing.validates,
            shares: passing.shares,
            bypassed: matches!(passing.forward.reason, ForwardReason::Bypass(_)),
        };
        let answered = match (&passing.unsafe_request, &passing.request) {
            (Some(request), _) => {
                let storable = capture::of_unsafe(cx, gathered, self.stream, request, response);
                storable.map(|storable| storable.map_or_else(Answered::NotStored, Answered::Body))
            }
            (None, Some(ask)) => cx.cache.uncollapsed_answered(cx.turn, uncollapsed(ask), response),
            (None, None) => None,
        };
        match answered {
            Some(answered) => {
                let before = passing.forward.not_stored();
                self.answered(
                    cx,
                    passing.request.as_ref(),
                    passing.forward,
                    (answered, before),
                    response,
                    ends,
                )
            }
            None => Step::Continue(self.response_edits(cx, &passing.forward, response)),
        }
    }

    pub(super) fn fetched_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        fetching: Fetching,
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        let Fetching { generation, forward, ask } = fetching;
        let answered = cx.cache.fetch_answered(cx.turn, generation, response);
        let before = match &answered {
            Answered::Body(storable) => storable.not_stored_before(),
            _ => None,
        };
        self.answered(cx, Some(&ask), forward, (answered, before), response, ends)
    }

    /// Acts on what the cache has decided about a response; `before` is why the response before it was not stored, as far as that is
    /// remembered.
    fn answered(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        ask: Option<&Rc<CacheRequest>>,
        mut forward: Forward,
        (answered, before): (Answered, Option<NotStored>),
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        match (answered, ask) {
            (Answered::Stale { entry, reuse }, Some(ask)) => return self.serve(cx, ask, &entry, &reuse),
            (Answered::Confirmed { entry, stored }, Some(ask)) => {
                forward.stored = stored;
                return self.confirmed(cx, forward, ask, &entry);
            }
            (Answered::Again { call, stored }, Some(ask)) => {
                forward.stored = stored;
                return self.again(cx, forward, ask, call);
            }
            (Answered::Body(storable), ask) => {
                forward.stored = self.capture(cx, ask.cloned(), storable, ends, before);
            }
            (Answered::NotStored(why), _) => forward.stored = Stored::No(why),
            // An unsafe request is never answered with what is stored.
            (Answered::Stale { .. } | Answered::Confirmed { .. } | Answered::Again { .. }, None) => {}
        }
        Step::Continue(self.response_edits(cx, &forward, response))
    }

    /// Answers with what the origin has confirmed by a 304 to our conditions.
    fn confirmed(
        &mut self,
        cx: &Context<'_, impl Host>,
        forward: Forward,
        ask: &Rc<CacheRequest>,
        entry: &Rc<Entry>,
    ) -> Step {
        // So that the root can fetch it again.
        self.fetched = (forward.stored == Stored::Yes).then(|| Rc::clone(ask));
        let outcome = Outcome::Forward(Forward { status: Some(304), ..forward.clone() });
        let Some(reply) = Reply::fetched(cx, entry, &ask.request, &outcome) else {
            return self.again(cx, forward, ask, None);
        };
        self.tell(cx.turn.host, &outcome, Some(entry));
        self.reply(reply)
    }
}
