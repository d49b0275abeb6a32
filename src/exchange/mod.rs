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

mod capture;
mod commands;
mod content;
mod debug;
mod inquiries;
mod mutations;
mod reply;

use std::rc::Rc;

pub use commands::go_on;
pub use mutations::catch_up;
pub use reply::{Body, Reply};

use capture::{Capturing, Target};
use commands::Commanding;
use content::Reading;
use debug::Debug;
use reply::Repairs;

use crate::admin::Desk;
use crate::cache::{
    Ask, Cache, Confirmation, Decision, Delivery, Host, Landing, StreamId, Waited, is_failure,
};
use crate::config::{Config, Options, Treatment};
use crate::http::{Fields, RequestHead, ResponseHead, list};
use crate::metrics::Counter;
use crate::outcome::{Bypass, Forward, ForwardReason, NotStored, Outcome, Stored};
use crate::policy::request::{Intent, intent};
use crate::policy::reuse::Reuse;
use crate::policy::{key, validation};
use crate::store::memory::Entry;
use crate::store::record::Response;
use crate::time::Now;

/// What an event is judged with.
pub struct Context<'a, H> {
    /// The cache of this worker.
    pub cache: &'a mut Cache,
    /// The configuration of the root that the stream belongs to.
    pub config: &'a Rc<Config>,
    /// The world.
    pub host: &'a H,
    /// What this worker remembers of the admin route.
    pub desk: &'a mut Desk,
    /// What the clocks said when the callback began.
    pub now: Now,
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
    /// Answer the client.
    Reply(Box<Reply>),
}

/// A change to a header section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// One line of this field with this value, instead of whatever there is.
    Set(&'static str, Vec<u8>),
    /// One more line.
    Add(&'static str, Vec<u8>),
    /// These lines of this field, instead of whatever there is.
    Lines(String, Vec<Vec<u8>>),
    /// No line of this field.
    Remove(String),
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
    fetched: Option<Rc<Ask>>,
    debug: Debug,
    /// Request fields that the origin does not get.
    withheld: Vec<String>,
}

enum State {
    Idle,
    Parked,
    Passing(Box<Passing>),
    Fetching(Fetching),
    Capturing(Box<Capturing>),
    /// With what makes Envoy's version of our reply right.
    Answered(Repairs),
    Commanding(Box<Commanding>),
    Reading(Box<Reading>),
    Over,
}

/// A request that goes to the origin and whose response is not stored.
struct Passing {
    forward: Forward,
    /// The request, where its response may have consequences.
    request: Option<Rc<Ask>>,
    unsafe_request: Option<(RequestHead, Rc<Options>)>,
    fallback: Option<Rc<Entry>>,
    /// Whether it asks the origin to confirm the fallback.
    validates: bool,
}

/// A request that goes to the origin for all who ask for the same.
struct Fetching {
    generation: u64,
    forward: Forward,
    ask: Rc<Ask>,
}

impl Exchange {
    /// An exchange of which nothing is known yet.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Exchange { stream, state: State::Idle, fetched: None, debug: Debug::Off, withheld: Vec::new() }
    }

    /// The header section of the request has arrived.
    pub fn request_head(&mut self, cx: &mut Context<'_, impl Host>, mut request: RequestHead) -> Step {
        self.read_debug(cx, &mut request);
        let step = self.begin(cx, request);
        self.sent_on(step)
    }

    fn begin(&mut self, cx: &mut Context<'_, impl Host>, mut request: RequestHead) -> Step {
        if let Some(step) = self.command(cx, &request) {
            return step;
        }
        let options = cx.config.rules.for_request(&request);
        let intent = intent(&request, &options);
        if options.key.unkeyed.strips && matches!(intent, Intent::Lookup | Intent::LookupWithContent) {
            self.withhold(&mut request, &options);
        }
        match intent {
            Intent::Forward(reason) => self.pass(cx, reason),
            Intent::LookupWithContent => self.content_head(cx, request, options),
            Intent::Unsafe => {
                let step = self.pass(cx, ForwardReason::Method);
                if let State::Passing(passing) = &mut self.state {
                    passing.unsafe_request = Some((request, options));
                }
                step
            }
            Intent::Lookup => {
                let key = key::primary(&request, &options);
                let ask = Rc::new(self.ask(cx, request, options, key));
                let decision = cx.cache.consider(cx.host, &ask, true, cx.now);
                self.act(cx, &ask, decision)
            }
        }
    }

    /// Takes out of a request what the options want nobody to see.
    fn withhold(&mut self, request: &mut RequestHead, options: &Options) {
        let is_stripped = |name: &[u8]| options.key.unkeyed.treatment(name) == Treatment::Strip;
        let names = request.fields.iter().map(|(name, _)| name).filter(|name| is_stripped(name));
        let names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        for name in names {
            request.fields.remove(&name);
            self.withheld.push(name);
        }
    }

    /// The cache has decided about the request after it waited.
    pub fn decided(&mut self, cx: &mut Context<'_, impl Host>, ask: &Rc<Ask>, decision: Decision) -> Step {
        let step = self.act(cx, ask, decision);
        self.sent_on(step)
    }

    /// Does what the cache has decided.
    fn act(&mut self, cx: &mut Context<'_, impl Host>, ask: &Rc<Ask>, decision: Decision) -> Step {
        match decision {
            Decision::Serve { entry, reuse } => self.serve(cx, ask, &entry, &reuse),
            Decision::Wait => {
                self.state = State::Parked;
                Step::Wait
            }
            Decision::Fetch { generation, reason } => self.fetch(cx, ask, generation, reason),
            Decision::Forward { reason, why, fallback } => self.forward(cx, ask, reason, why, fallback),
            Decision::Deliver { delivery, reason } => self.deliver(cx, ask, delivery, reason),
            Decision::NotCached => self.reply(Reply::not_cached(cx.config)),
        }
    }

    /// What Envoy made of our own reply passes by, in so many lines; `fields` reads them. The changes that put it right,
    /// or none for any other response.
    pub fn own_reply(&mut self, lines: usize, fields: impl FnOnce() -> Fields) -> Option<Vec<Edit>> {
        match &mut self.state {
            State::Answered(repairs) => Some(core::mem::take(repairs).edits(lines, fields)),
            _ => None,
        }
    }

    /// The header section of a response is on its way to the client, from the origin or from Envoy in its stead.
    /// `ends` says that no body follows.
    pub fn response_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        let is_lookup = match &self.state {
            State::Passing(passing) => passing.request.is_some(),
            State::Fetching(_) => true,
            _ => false,
        };
        if is_lookup {
            let cluster = || cx.host.cluster(self.stream);
            cx.cache.origin_answered(cx.host, cluster, is_failure(response), cx.now);
        }
        let step = match core::mem::replace(&mut self.state, State::Over) {
            State::Passing(passing) => self.passing_head(cx, *passing, response, ends),
            State::Fetching(fetching) => self.fetched_head(cx, fetching, response, ends),
            // Envoy itself answers, before or instead of us.
            State::Parked => {
                cx.cache.leave(self.stream);
                Step::Continue(Vec::new())
            }
            State::Idle
            | State::Answered(_)
            | State::Capturing(_)
            | State::Commanding(_)
            | State::Reading(_)
            | State::Over => Step::Continue(Vec::new()),
        };
        self.explained(step)
    }

    /// Whether the end of the stream has no consequence for the cache any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let answered =
            matches!(self.state, State::Over | State::Answered(_) | State::Idle | State::Passing(_));
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
            cx.cache.learn_route(cx.host, &ask);
        }
        let generation = match core::mem::replace(&mut self.state, State::Over) {
            State::Fetching(fetching) => fetching.generation,
            State::Capturing(capturing) => match capturing.target {
                Target::Flight(generation) => generation,
                Target::Own { .. } => return,
            },
            State::Parked => return cx.cache.leave(self.stream),
            State::Idle
            | State::Passing(_)
            | State::Answered(_)
            | State::Commanding(_)
            | State::Reading(_)
            | State::Over => return,
        };
        match ending {
            Ending::ClientLeft => cx.cache.leader_left(cx.host, generation, cx.now),
            Ending::ResponseBroke => {
                cx.cache.origin_answered(cx.host, || cx.host.cluster(self.stream), true, cx.now);
                cx.cache.land(cx.host, generation, Landing::NotStored(NotStored::Incomplete), cx.now);
            }
        }
    }

    fn ask(
        &self,
        cx: &Context<'_, impl Host>,
        request: RequestHead,
        options: Rc<Options>,
        key: Vec<u8>,
    ) -> Ask {
        Ask::new(self.stream, Rc::clone(cx.config), options, request, key, cx.now)
    }

    fn pass(&mut self, cx: &Context<'_, impl Host>, reason: ForwardReason) -> Step {
        cx.host.count(Counter::Forward(reason));
        self.state = State::Passing(Box::new(Passing {
            forward: Forward::new(reason),
            request: None,
            unsafe_request: None,
            fallback: None,
            validates: false,
        }));
        Step::Continue(Vec::new())
    }

    fn reply(&mut self, reply: Reply) -> Step {
        self.state = State::Answered(reply.repairs());
        Step::Reply(Box::new(reply))
    }

    /// Answers with a stored response.
    fn serve(&mut self, cx: &Context<'_, impl Host>, ask: &Ask, entry: &Rc<Entry>, reuse: &Reuse) -> Step {
        let (age, ttl, stale) = match *reuse {
            Reuse::Fresh { age, ttl } => (age, i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX), None),
            Reuse::Stale { age, ttl, reason, .. } => (age, ttl, Some(reason)),
            Reuse::Validate(reason) => return self.pass(cx, reason),
        };
        let outcome = match (ask.waited.get(), stale) {
            (Some(Waited { reason, leads }), None) => {
                cx.host.count(if leads { Counter::Forward(reason) } else { Counter::Collapsed });
                let stored = if leads { Stored::Yes } else { Stored::No(NotStored::Request) };
                Outcome::Forward(Forward { reason, status: None, stored, collapsed: ask.collapsed(true) })
            }
            (_, stale) => {
                cx.host.count(stale.map_or(Counter::Hit, Counter::HitStale));
                Outcome::Hit { ttl, stale }
            }
        };
        self.explain(&outcome, Some(entry));
        match Reply::stored(cx.config, entry, &ask.request, age, &outcome) {
            Some(reply) => self.reply(reply),
            None => self.pass(cx, ForwardReason::Bypass(Bypass::Unavailable)),
        }
    }

    /// Answers with what the root has fetched on behalf of this request.
    fn deliver(
        &mut self,
        cx: &Context<'_, impl Host>,
        ask: &Ask,
        delivery: Delivery,
        reason: ForwardReason,
    ) -> Step {
        cx.host.count(Counter::Forward(reason));
        let mut forward = Forward::new(reason);
        let reply = match delivery {
            Delivery::Entry { entry, status, stored } => {
                forward.stored = stored;
                forward.status = matches!(status, 206 | 304).then_some(status);
                let outcome = Outcome::Forward(forward);
                self.explain(&outcome, Some(&entry));
                Reply::fetched(cx, &entry, &ask.request, &outcome)
            }
            Delivery::Passing { head, body, why } => {
                forward.stored = Stored::No(why);
                let outcome = Outcome::Forward(forward);
                self.explain(&outcome, None);
                Some(Reply::passing(ask, head, body, &outcome))
            }
        };
        match reply {
            Some(reply) => self.reply(reply),
            None => self.pass(cx, ForwardReason::Bypass(Bypass::Unavailable)),
        }
    }

    /// Sends the request to the origin for itself alone.
    fn forward(
        &mut self,
        cx: &Context<'_, impl Host>,
        ask: &Rc<Ask>,
        reason: ForwardReason,
        why: NotStored,
        fallback: Option<Rc<Entry>>,
    ) -> Step {
        cx.host.count(Counter::Forward(reason));
        let mut edits = path_edit(ask);
        let stored = fallback.as_deref().and_then(Entry::response);
        let validators = validators(ask, stored);
        let validates = ask.whole().is_ok() && !validators.is_empty();
        if validates {
            edits.extend(conditions(ask, validators));
        }
        let stored = Stored::No(why);
        let forward = Forward { reason, status: None, stored, collapsed: ask.collapsed(false) };
        let request = Some(Rc::clone(ask));
        let passing = Passing { forward, request, unsafe_request: None, fallback, validates };
        self.state = State::Passing(Box::new(passing));
        Step::Continue(edits)
    }

    /// Sends the request to the origin for everyone who asks for the same.
    fn fetch(
        &mut self,
        cx: &Context<'_, impl Host>,
        ask: &Rc<Ask>,
        generation: u64,
        reason: ForwardReason,
    ) -> Step {
        cx.host.count(Counter::Forward(reason));
        let mut edits = path_edit(ask);
        let validated = cx.cache.validated(generation);
        let stored = validated.as_deref().and_then(Entry::response);
        edits.extend(conditions(ask, validators(ask, stored)));
        let forward = Forward { collapsed: ask.collapsed(false), ..Forward::new(reason) };
        self.state = State::Fetching(Fetching { generation, forward, ask: Rc::clone(ask) });
        Step::Continue(edits)
    }

    fn passing_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
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
        if let (304, true, Some(ask), Some(entry)) =
            (response.status, passing.validates, &passing.request, &passing.fallback)
            && let Some(entry) = cx.cache.confirmed_once(ask, entry, response, cx.now)
        {
            let forward = Forward { status: Some(304), ..passing.forward };
            if let Some(reply) = Reply::fetched(cx, &entry, &ask.request, &Outcome::Forward(forward)) {
                return self.reply(reply);
            }
            return Step::Continue(Vec::new());
        }
        if let Some((request, options)) = &passing.unsafe_request {
            mutations::invalidate(cx, request, response, options);
        }
        let mut forward = passing.forward;
        match capture::own(cx, passing.request.as_deref(), passing.unsafe_request.as_ref(), response) {
            Some(Ok(capturing)) => {
                forward.stored = Stored::Yes;
                // So that the root can fetch what a part lacks.
                self.fetched = passing.request.clone();
                self.state = State::Capturing(Box::new(capturing));
                if ends {
                    self.response_end(cx);
                }
            }
            Some(Err(why)) => forward.stored = Stored::No(why),
            None => {}
        }
        if let (Some(ask), Some(entry)) = (&passing.request, &passing.fallback) {
            capture::updated_by_head(cx, ask, entry, response);
        }
        let options = passing.request.as_ref().map(|ask| &ask.options);
        let options = options.or(passing.unsafe_request.as_ref().map(|(_, options)| options));
        Step::Continue(self.response_edits(cx, &forward, response, options))
    }

    fn on_failure(&self, cx: &mut Context<'_, impl Host>, entry: &Entry, ask: &Ask) -> Option<Reuse> {
        cx.cache.on_failure(cx.host, entry, ask, || cx.host.cluster(self.stream), cx.now)
    }

    fn fetched_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        fetching: Fetching,
        response: &ResponseHead,
        ends: bool,
    ) -> Step {
        let Fetching { generation, mut forward, ask } = fetching;
        let options = Rc::clone(&ask.options);
        let validated = cx.cache.validated(generation);
        if is_failure(response)
            && let Some(entry) = &validated
            && let Some(reuse) = self.on_failure(cx, entry, &ask)
        {
            cx.cache.land(cx.host, generation, Landing::NotStored(NotStored::Error), cx.now);
            return self.serve(cx, &ask, entry, &reuse);
        }
        if response.status == 304 && validated.is_some() {
            return self.confirmed(cx, generation, forward, &ask, response);
        }
        match capture::for_all(cx, generation, &ask, response) {
            Ok(capturing) => {
                forward.stored = Stored::Yes;
                self.fetched = Some(ask);
                self.state = State::Capturing(Box::new(capturing));
                if ends {
                    self.response_end(cx);
                }
            }
            Err(reason) => {
                forward.stored = Stored::No(reason);
                cx.cache.land(cx.host, generation, Landing::NotStored(reason), cx.now);
            }
        }
        Step::Continue(self.response_edits(cx, &forward, response, Some(&options)))
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
        let confirmation = cx.cache.confirmation(generation, response, cx.now);
        if let Confirmation::Updated(_) = confirmation {
            self.fetched = Some(Rc::clone(ask));
        }
        let (entry, stored) = cx.cache.land_confirmed(cx.host, generation, confirmation, cx.now);
        forward.status = Some(304);
        forward.stored = stored;
        let outcome = Outcome::Forward(forward.clone());
        self.explain(&outcome, entry.as_deref());
        let reply = entry.and_then(|entry| Reply::fetched(cx, &entry, &ask.request, &outcome));
        match reply {
            Some(reply) => self.reply(reply),
            None => Step::Continue(self.response_edits(cx, &forward, response, Some(&ask.options))),
        }
    }

    /// What the client's response says of the cache, and no longer says of its tags.
    fn response_edits(
        &mut self,
        cx: &Context<'_, impl Host>,
        forward: &Forward,
        response: &ResponseHead,
        options: Option<&Rc<Options>>,
    ) -> Vec<Edit> {
        let config = cx.config;
        let mut edits = respaced(response);
        if options.is_some_and(|options| options.surrogate_control) {
            edits.push(Edit::Remove("surrogate-control".to_owned()));
        }
        if config.tags.strip {
            let there = config.tags.headers.iter().filter(|name| response.fields.contains(name));
            edits.extend(there.map(|name| Edit::Remove(name.clone())));
        }
        let outcome = Outcome::Forward(forward.clone());
        self.explain(&outcome, None);
        if config.cache_status.enabled {
            edits.push(Edit::Add("cache-status", outcome.cache_status(&config.name).into_bytes()));
        }
        edits
    }
}

/// Envoy joins the lines of these fields by a bare comma, which not everyone who reads them expects.
fn respaced(response: &ResponseHead) -> Vec<Edit> {
    let mut edits = Vec::new();
    for name in ["cache-control", "vary"] {
        let mut lines = response.fields.get_all(name);
        if let (Some(value), None) = (lines.next(), lines.next())
            && let spaced = list::spaced(value)
            && spaced != value
        {
            edits.push(Edit::Set(name, spaced));
        }
    }
    edits
}

/// What a stored response can be validated with. Not if it answered something else than a GET: to other methods an
/// origin answers with 412 where it has what is stored (RFC 9110 §13.1.2).
fn validators(ask: &Ask, stored: Option<&Response>) -> Vec<(&'static str, Vec<u8>)> {
    let stored = stored.filter(|_| ask.request.method() == b"GET");
    stored.map(|response| validation::validators(&response.stored)).unwrap_or_default()
}

/// The conditions of a request that has to bring the whole response, whatever its client has already: those on what is
/// stored instead of the client's own.
fn conditions(ask: &Ask, validators: Vec<(&'static str, Vec<u8>)>) -> impl Iterator<Item = Edit> {
    const OWN: [&str; 3] = ["if-none-match", "if-modified-since", "if-range"];
    let own = OWN.into_iter().filter(|name| ask.request.fields.contains(name));
    let own: Vec<Edit> = own.map(|name| Edit::Remove(name.to_owned())).collect();
    own.into_iter().chain(validators.into_iter().map(|(name, value)| Edit::Set(name, value)))
}

/// Query parameters that are dropped from the key do not reach the origin either, unless the rules want it.
fn path_edit(ask: &Ask) -> Vec<Edit> {
    let path = key::forwarded_path(&ask.request, &ask.options);
    path.map(|path| Edit::Set(":path", path)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn lines_that_envoy_joined_by_a_bare_comma_get_their_space_on_the_way_to_the_client() {
        let edits = |fields: &[(&str, &str)]| {
            respaced(&ResponseHead { status: 200, fields: Fields::from_iter(fields.iter().copied()) })
        };
        for (fields, expected) in [
            (&[("cache-control", "no-cache=\"a,b\",max-age=1")][..], Some("no-cache=\"a,b\", max-age=1")),
            (&[("cache-control", "no-cache, max-age=1")], None),
            (&[("cache-control", "no-cache"), ("cache-control", "max-age=1,public")], None),
            (&[("x", "a,b")], None),
        ] {
            let expected: Vec<_> =
                expected.map(|e| Edit::Set("cache-control", e.into())).into_iter().collect();
            assert_eq!(edits(fields), expected, "{fields:?}");
        }
    }
}
