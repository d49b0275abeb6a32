//! The state machine of one request: an event in, a step out. It knows neither Envoy nor the clock.
//!
//! ```text
//!              request head
//!                   │
//!      ┌────────────┼──────────────┬───────────────┬─────────────┐
//!      ▼            ▼              ▼               ▼             ▼
//!  Answered      Parked         Fetching        Passing     Commanding (admin),
//!  (reply)   (waits for a    (to the origin,  (to the      Reading (QUERY):
//!      ▲      flight)         for others too)  origin)      its body is read
//!      │         │ decided ──────► │              │             │
//!      ├─────────┴─────────────────┤ 304, failure │ failure     │ body; a QUERY is looked up then
//!      │                           ▼              │             │
//!      │                       Capturing          │             │
//!      │                     (body is stored)     │             │
//!      └───────────◄───────────────┴──────◄───────┴──────◄──────┘
//! ```

mod again;
mod capture;
mod content;
mod debug;
mod edits;
mod mutations;
mod origin;
mod passing;
mod repairs;
mod reply;

use std::rc::Rc;

pub use edits::Edit;
pub use mutations::{Gathered, catch_up};
pub use repairs::Passed;
pub use reply::{Body, Reply};

use again::Repeating;
use capture::{Capturing, tally};
use content::Reading;
use debug::Debug;
use origin::Fetching;
use passing::Passing;
use repairs::Repairs;

use crate::admin::{self, AdminRequest, AdminResponse, Awaiting, Executed, Pending, Taken};
use crate::cache::{CacheRequest, Call, Context, Decision, Delivery, Host, Identity, StreamId, Waited};
use crate::config::Options;
use crate::fleet::{Acknowledged, Member};
use crate::http::{Fields, RequestHead, ResponseHead};
use crate::outcome::metrics::Counter;
use crate::outcome::{Bypass, Forward, ForwardReason, Local, NotStored, Outcome, Stored};
use crate::policy::age_when_stale;
use crate::policy::key;
use crate::policy::request::{Intent, intent};
use crate::policy::reuse::Reuse;
use crate::store::memory::Entry;

/// What one worker keeps from one request to the next, beside its cache.
pub struct Kept {
    /// For the admin route.
    pub admin: Pending,
    /// What unsafe requests have invalidated.
    pub unsafe_methods: Gathered,
    /// This worker's part in the fleet.
    pub fleet: Member,
}

impl Kept {
    /// What a worker keeps that has just begun.
    #[must_use]
    pub fn new(identity: Identity) -> Kept {
        Kept { admin: Pending::default(), unsafe_methods: Gathered::default(), fleet: Member::new(identity) }
    }
}

/// What the host has to do next for the stream.
#[derive(Debug)]
pub enum Step {
    /// Go on, with these changes to the head that is at hand.
    Continue(Vec<Edit>),
    /// Hold the stream until the cache decides ([`Exchange::decided`]).
    Wait,
    /// Hold the stream until more of its request is there.
    Hold,
    /// Hold the response until this call has come back ([`Exchange::answered_again`]).
    Call(Box<Call>),
    /// Answer the client.
    Reply(Box<Reply>),
}

/// Why a stream ended before its response did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The client left.
    ClientLeft,
    /// The response broke off.
    ResponseBroke,
}

/// One request and its response.
pub struct Exchange {
    stream: StreamId,
    state: State,
    /// The request, once it has gone to the origin for others too.
    fetched: Option<Rc<CacheRequest>>,
    debug: Debug,
    /// What of the request the origin does not get.
    withheld: Vec<Edit>,
    /// Whether the client does not get `Surrogate-Control`: it is for caches like this one.
    obeys_surrogate_control: bool,
}

enum State {
    Idle,
    Parked,
    Passing(Box<Passing>),
    Fetching(Fetching),
    Capturing(Box<Capturing>),
    Repeating(Box<Repeating>),
    /// With what makes Envoy's version of our reply right.
    Answered(Repairs),
    Commanding(Box<AdminRequest>),
    /// A command that holds here, and waits until the fleet has it.
    Acknowledging(Box<Awaiting>),
    Reading(Box<Reading>),
    Over,
}

impl Exchange {
    /// An exchange of which nothing is known yet.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Exchange {
            stream,
            state: State::Idle,
            fetched: None,
            debug: Debug::Off,
            withheld: Vec::new(),
            obeys_surrogate_control: false,
        }
    }

    /// The header section of the request has arrived.
    pub fn request_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        kept: &mut Kept,
        mut request: RequestHead,
    ) -> Step {
        self.read_debug(cx, &mut request);
        let step = match admin::take(cx, &mut kept.admin, self.stream, &request) {
            None => self.begin(cx, request),
            Some(Taken::Executed(executed)) => self.executed(cx, kept, executed),
            Some(Taken::Body(request)) => {
                self.state = State::Commanding(request);
                Step::Hold
            }
        };
        self.sent_on(step)
    }

    fn begin(&mut self, cx: &mut Context<'_, impl Host>, mut request: RequestHead) -> Step {
        let options = cx.config.rules.for_request(&request);
        self.obeys_surrogate_control = options.surrogate_control;
        let intent = intent(&request, &options);
        if matches!(intent, Intent::Lookup | Intent::LookupWithContent) {
            self.withheld.extend(key::withhold(&mut request, &options).into_iter().map(edits::left));
        }
        match intent {
            Intent::Forward(reason) => self.pass(reason),
            Intent::LookupWithContent => self.content_head(cx, request, options),
            Intent::Unsafe(reason) => self.pass_unsafe(cx, (request, options), reason),
            Intent::Lookup => {
                let key = key::primary(&request, &options);
                let ask = Rc::new(self.ask(cx, request, options, key));
                let decision = cx.cache.lookup(cx.turn, &ask);
                self.act(cx, &ask, decision)
            }
        }
    }

    /// The cache has decided about the request after it waited.
    pub fn decided(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        ask: &Rc<CacheRequest>,
        decision: Decision,
    ) -> Step {
        let step = self.act(cx, ask, decision);
        self.sent_on(step)
    }

    /// Does what the cache has decided.
    fn act(&mut self, cx: &mut Context<'_, impl Host>, ask: &Rc<CacheRequest>, decision: Decision) -> Step {
        match decision {
            Decision::Serve { entry, reuse } => self.serve(cx, ask, &entry, &reuse),
            Decision::Wait => {
                self.state = State::Parked;
                Step::Wait
            }
            Decision::Fetch { generation, reason } => self.fetch(cx, ask, generation, reason),
            Decision::Forward { reason, why, shares, fallback } => {
                self.forward(cx.cache.in_flight(), ask, (reason, why, shares), fallback)
            }
            Decision::Deliver { delivery, reason } => self.deliver(cx, ask, delivery, reason),
            Decision::NotCached => {
                self.tell(cx.turn.host, &Outcome::Local(Local::OnlyIfCached), None);
                self.reply(Reply::not_cached(cx.config))
            }
        }
    }

    /// What Envoy made of our own reply passes by, in so many lines; `fields` reads them. The changes that put it right,
    /// or none for any other response.
    pub fn own_reply(&mut self, lines: usize, fields: impl FnOnce() -> Fields) -> Option<Passed> {
        match &mut self.state {
            State::Answered(repairs) => Some(core::mem::take(repairs).passed(lines, fields)),
            _ => None,
        }
    }

    /// The header section of a response is on its way to the client, from the origin or from Envoy in its stead.
    /// `ends` says that no body follows; `gathered` takes what an unsafe request has invalidated.
    pub fn response_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        gathered: &mut Gathered,
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        let step = match core::mem::replace(&mut self.state, State::Over) {
            State::Passing(passing) => self.passing_head(cx, gathered, *passing, response, ends),
            State::Fetching(fetching) => self.fetched_head(cx, fetching, response, ends),
            // Envoy itself answers, before or instead of us.
            State::Parked | State::Commanding(_) | State::Acknowledging(_) | State::Reading(_) => {
                cx.cache.leave(self.stream);
                cx.turn.host.count(Counter::Unanswered);
                Step::Continue(Vec::new())
            }
            State::Idle | State::Answered(_) | State::Capturing(_) | State::Repeating(_) | State::Over => {
                Step::Continue(Vec::new())
            }
        };
        self.explained(step)
    }

    /// Whether the end of the stream has no consequence for the cache any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let answered = matches!(self.state, State::Over | State::Answered(_) | State::Idle);
        answered && self.fetched.is_none()
    }

    /// Whether it matters why the stream ends now.
    #[must_use]
    pub fn is_fetching(&self) -> bool {
        matches!(self.state, State::Fetching(_) | State::Capturing(_))
    }

    /// The stream is over, in whatever state it is.
    pub fn end(&mut self, cx: &mut Context<'_, impl Host>, ending: Ending) {
        if let (Some(ask), false) = (self.fetched.take(), self.is_fetching()) {
            cx.cache.learn_route(cx.turn, &ask);
        }
        let state = core::mem::replace(&mut self.state, State::Over);
        if !matches!(state, State::Idle | State::Answered(_) | State::Capturing(_) | State::Over) {
            cx.turn.host.count(Counter::Unanswered);
        }
        let (generation, said) = match state {
            State::Fetching(fetching) => (Some(fetching.generation), None),
            State::Capturing(capturing) => (capturing.generation(), Some(capturing.said)),
            State::Parked => return cx.cache.leave(self.stream),
            State::Idle
            | State::Passing(_)
            | State::Repeating(_)
            | State::Answered(_)
            | State::Commanding(_)
            | State::Acknowledging(_)
            | State::Reading(_)
            | State::Over => return,
        };
        match (ending, generation) {
            (Ending::ClientLeft, Some(generation)) => cx.cache.leader_left(cx.turn, generation),
            (Ending::ClientLeft, None) => {}
            (Ending::ResponseBroke, generation) => {
                cx.cache.response_broke(cx.turn, self.stream, generation);
                if let Some(said) = said {
                    tally(cx.turn.host, said, Stored::No(NotStored::Incomplete));
                }
            }
        }
    }

    fn ask(
        &self,
        cx: &Context<'_, impl Host>,
        request: RequestHead,
        options: Rc<Options>,
        key: Vec<u8>,
    ) -> CacheRequest {
        CacheRequest::new(self.stream, Rc::clone(cx.config), options, request, key, cx.turn.now)
    }

    /// Answers a command, or waits until the fleet has it.
    fn executed(&mut self, cx: &Context<'_, impl Host>, kept: &mut Kept, executed: Executed) -> Step {
        match executed {
            Executed::Answer(response) => self.answer_admin(cx, response),
            Executed::Awaiting(awaiting) => {
                kept.fleet.await_commit(cx, self.stream, awaiting.position, awaiting.acknowledge);
                self.state = State::Acknowledging(awaiting);
                Step::Wait
            }
        }
    }

    /// It is known what the fleet has of the command that waited for that.
    pub fn acknowledged(&mut self, cx: &Context<'_, impl Host>, came_of_it: Acknowledged) -> Step {
        match core::mem::replace(&mut self.state, State::Over) {
            State::Acknowledging(awaiting) => {
                let response = awaiting.answer(cx, came_of_it);
                self.answer_admin(cx, response)
            }
            other => {
                self.state = other;
                Step::Wait
            }
        }
    }

    /// Answers with what the admin route says.
    fn answer_admin(&mut self, cx: &Context<'_, impl Host>, response: AdminResponse) -> Step {
        self.tell(cx.turn.host, &Outcome::Local(Local::Admin), None);
        self.reply(Reply::admin(response))
    }

    fn reply(&mut self, reply: Reply) -> Step {
        self.state = State::Answered(reply.repairs(false));
        Step::Reply(Box::new(reply))
    }

    /// Answers with a stored response.
    fn serve(
        &mut self,
        cx: &Context<'_, impl Host>,
        ask: &CacheRequest,
        entry: &Rc<Entry>,
        reuse: &Reuse,
    ) -> Step {
        let (age, ttl, stale) = match *reuse {
            Reuse::Fresh { age, ttl } => (age, i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX), None),
            Reuse::Stale { age, ttl, reason, .. } => {
                let shown = entry.response().map(|response| age_when_stale(&response.stored, age));
                (shown.unwrap_or(age), ttl, Some(reason))
            }
            Reuse::Validate(reason) => return self.pass(reason),
        };
        let outcome = match (ask.waited.get(), stale) {
            (Some(Waited { reason, leads }), None) => {
                let stored = if leads { Stored::Yes } else { Stored::No(NotStored::Request) };
                Outcome::Forward(Forward { reason, status: None, stored, collapsed: ask.collapsed(true) })
            }
            (_, stale) => Outcome::Hit { ttl, stale },
        };
        match Reply::stored(cx.config, entry, &ask.request, age, &outcome) {
            Some(reply) => {
                self.tell(cx.turn.host, &outcome, Some(entry));
                self.state = State::Answered(reply.repairs(cx.cache.twice().looks_at_next()));
                Step::Reply(Box::new(reply))
            }
            None => self.pass(ForwardReason::Bypass(Bypass::Unavailable)),
        }
    }

    /// Answers with what the root has fetched on behalf of this request.
    fn deliver(
        &mut self,
        cx: &Context<'_, impl Host>,
        ask: &CacheRequest,
        delivery: Delivery,
        reason: ForwardReason,
    ) -> Step {
        let (stored, status) = match delivery {
            Delivery::Entry { stored, status, .. } => (stored, matches!(status, 206 | 304).then_some(status)),
            Delivery::Passing { why, .. } => (Stored::No(why), None),
        };
        let outcome = Outcome::Forward(Forward { stored, status, ..Forward::new(reason) });
        let (reply, entry) = match delivery {
            Delivery::Entry { entry, .. } => {
                (Reply::fetched(cx, &entry, &ask.request, &outcome), Some(entry))
            }
            Delivery::Passing { head, body, .. } => (Some(Reply::passing(ask, head, body, &outcome)), None),
        };
        let Some(reply) = reply else { return self.pass(ForwardReason::Bypass(Bypass::Unavailable)) };
        self.tell(cx.turn.host, &outcome, entry.as_deref());
        self.reply(reply)
    }
}
