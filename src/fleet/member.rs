//! This worker's part in the fleet. Events in, [`Io`] out; the steps are those of `docs/fleet.md`, by their names there (F1 to
//! F9), with the rules (A1, J1, R1 …) beside the branches that they forbid to be simpler.
//!
//! ```text
//!            ┌───────────────── backoff, another watcher, another join ────────────────┐
//!            ▼                                                                         │
//!  Idle ──(no history)──► Joining ──(barrier)──► Watching { Opening ► Checking ► Live }─┘
//!    └────(history)──────────────────────────────────▲ │
//!            ▲   wiped, rewound, compacted, too far behind, flushed, gap │
//!            └── Renaming ◄── rewound ───────────────────────────────────┘ (Joining)
//! ```

mod apply;
mod commands;
mod heartbeat;
mod join;
mod resume;
mod roster;
mod shipping;

use core::time::Duration;
use std::collections::VecDeque;

use super::etcd::{Keys, Question, missing};
use super::lease::Lease;
use super::log::{Answer, Ended, Head, Io, IoId};
use super::state::{Newest, State, Trouble};
use crate::cache::{Context, Host, Identity};
use crate::config::FleetConfig;
use crate::outcome::JoinReason;
use crate::outcome::metrics::{Counter, Gauge};
use crate::store::journal::LogPosition;
use crate::time::{Monotonic, Now};

pub use commands::{Acknowledged, Committed};

use apply::Inbox;
use commands::Commands;
use heartbeat::Heartbeat;
use roster::Registration;
use shipping::Shipping;

/// How long etcd may take to answer a question; to begin a watch, twice as long. Beyond it the stream is closed, and opened
/// again.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The first pause after a failure; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest pause after failures in a row. Beyond it the pauses grow no longer.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// This worker's part in the fleet.
pub struct Member {
    identity: Identity,
    fleet: Option<Fleet>,
    lease: Lease,
    phase: Phase,
    /// Questions that are still to be answered.
    asked: Vec<(IoId, Asked)>,
    inbox: Inbox,
    heartbeat: Heartbeat,
    shipping: Shipping,
    registration: Registration,
    commands: Commands,
    io: VecDeque<Io>,
    /// Streams to be closed with the next tick.
    closing: Vec<IoId>,
    drawn: u64,
    /// How often in a row something has failed, and whether that was a batch.
    failures: u32,
    puts_fail: bool,
    reason: JoinReason,
}

/// The fleet that the configuration in force names.
struct Fleet {
    name: String,
    prefix: String,
    keys: Keys,
}

/// What a question was for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Join,
    Rename,
    Check,
    CheckAt,
    Heartbeat { sent: Monotonic },
    Put,
    Grant,
    Register,
    Report,
    Members,
}

enum Phase {
    /// Nothing is under way until then.
    Idle { until: Monotonic },
    /// A log that was found rewound is being named anew (F4).
    Renaming,
    /// It was asked where the log stands, to begin with it (F1). `before` is the barrier as it was then.
    Joining { before: u64, head: Option<Head> },
    /// A stream is there.
    Watching(Stream),
}

struct Stream {
    id: IoId,
    opened: Monotonic,
    /// The barrier that the stream belongs to.
    join: u64,
    /// The newest batch that was taken from it, or that was there before it began.
    last: Newest,
    /// Up to which revision there was something when it went live.
    target: u64,
    stage: Stage,
}

enum Stage {
    /// It is to be created; `joined` says that a barrier has just been written, so that nothing has to be checked.
    Opening { joined: bool },
    /// It was created, and it is being asked whether the history is the one that is known (F2).
    Checking { cancelled: bool, head: Option<Head> },
    /// It brings what is new.
    Live,
}

impl Member {
    /// The part of a worker that has not begun.
    #[must_use]
    pub fn new(identity: Identity) -> Member {
        Member {
            identity,
            fleet: None,
            lease: Lease::default(),
            phase: Phase::Idle { until: Monotonic(0) },
            asked: Vec::new(),
            inbox: Inbox::default(),
            heartbeat: Heartbeat::default(),
            shipping: Shipping::default(),
            registration: Registration::default(),
            commands: Commands::default(),
            io: VecDeque::new(),
            closing: Vec::new(),
            drawn: 0,
            failures: 0,
            puts_fail: false,
            reason: JoinReason::Start,
        }
    }

    /// The next thing to do for it, from a callback of the root.
    pub fn next_io(&mut self) -> Option<Io> {
        self.io.pop_front()
    }

    /// Whether this worker watches the log for its process.
    #[must_use]
    pub fn watches(&self) -> bool {
        self.lease.is_held()
    }

    /// Time has passed.
    pub fn tick(&mut self, cx: &mut Context<'_, impl Host>) {
        self.io.extend(self.closing.drain(..).map(|id| Io::Close { id }));
        if !self.is_configured(&cx.config.fleet) {
            self.stop(cx);
            return;
        }
        let state = State::load(cx.turn.host);
        cx.cache.set_contact(state.contact);
        self.commands.look(&state, cx.turn.now.mono);
        self.ask_for_members();
        if self.lease.hold(cx.turn.host, self.identity.nonce, cx.turn.now.mono) {
            self.go_on(cx);
            self.show(cx);
        } else if !matches!(self.phase, Phase::Idle { .. }) {
            self.close(cx.turn.now, Duration::ZERO);
        }
    }

    /// Somebody has something to ship, or waits for what has come back.
    pub fn wake(&mut self, cx: &mut Context<'_, impl Host>) {
        self.commands.look(&State::load(cx.turn.host), cx.turn.now.mono);
        self.ask_for_members();
        if self.lease.is_held() {
            self.ship(cx);
        }
    }

    /// The root that streams and calls belonged to is gone, and they with it.
    pub fn lost(&mut self, now: Now) {
        self.io.clear();
        self.closing.clear();
        self.asked.clear();
        if let Phase::Watching(_) = self.phase {
            self.phase = Phase::Idle { until: now.mono };
        }
        self.close(now, Duration::ZERO);
        self.closing.clear();
    }

    /// What has come of a call or a stream.
    pub fn answered(&mut self, cx: &mut Context<'_, impl Host>, id: IoId, answer: Answer) {
        if let Some(at) = self.asked.iter().position(|(asked, _)| *asked == id) {
            let (_, asked) = self.asked.swap_remove(at);
            self.reply(cx, asked, answer);
        } else if self.registration.is_keeper(id) {
            self.kept(cx, &answer);
        } else if matches!(&self.phase, Phase::Watching(stream) if stream.id == id) {
            match answer {
                Answer::Message(message) => self.watched(cx, &message),
                Answer::Ended(trouble) => self.failed(cx, &told("the watch has ended", &trouble)),
            }
        }
    }

    fn reply(&mut self, cx: &mut Context<'_, impl Host>, asked: Asked, answer: Answer) {
        match (asked, answer) {
            (Asked::CheckAt, Answer::Ended(trouble)) if missing(&trouble.text).is_some() => {
                self.checked_at(cx, Err(missing(&trouble.text)));
            }
            // This worker or whoever was faster has named it. Without an answer nobody may have: then the log is found
            // rewound again, and named again.
            (Asked::Rename, Answer::Message(_)) => {
                let now = cx.turn.now.mono;
                State::change(cx.turn.host, |state| state.replaced = Some(now));
                self.ask_to_join(cx);
            }
            (Asked::Heartbeat { .. }, Answer::Ended(trouble)) => {
                Trouble::note(cx.turn.host, cx.turn.now.wall, &told("etcd was asked for news", &trouble));
                self.heartbeat.unanswered();
            }
            // Who waits for members asks again.
            (Asked::Members, Answer::Ended(_)) => self.unlisted(),
            (Asked::Put, Answer::Ended(trouble)) => {
                cx.turn.host.count(Counter::FleetPublishFailed);
                self.puts_fail = true;
                self.failed(cx, &told("a batch was sent", &trouble));
            }
            (_, Answer::Ended(trouble)) => {
                self.failed(cx, &told("etcd was asked where the log stands", &trouble))
            }
            (Asked::Put, Answer::Message(_)) => self.shipping.answered(cx.turn.now.mono),
            (Asked::Join, Answer::Message(message)) => self.may_join(cx, &message),
            (Asked::Check, Answer::Message(message)) => self.checked(cx, &message),
            (Asked::CheckAt, Answer::Message(message)) => {
                let newest = self.fleet.as_ref().map(|fleet| fleet.keys.read_at(&message));
                self.checked_at(cx, newest.ok_or(None));
            }
            (Asked::Heartbeat { sent }, Answer::Message(message)) => self.heard(cx, sent, &message),
            (Asked::Grant, Answer::Message(message)) => self.granted(cx, &message),
            (Asked::Register, Answer::Message(_)) => {
                self.reported(cx);
                self.registered(cx);
            }
            (Asked::Report, Answer::Message(_)) => self.reported(cx),
            (Asked::Members, Answer::Message(message)) => self.listed(cx, &message),
        }
    }

    /// Goes on wherever this worker's part is.
    fn go_on(&mut self, cx: &mut Context<'_, impl Host>) {
        let now = cx.turn.now.mono;
        match &self.phase {
            Phase::Idle { until } if now >= *until => self.begin(cx),
            Phase::Joining { head: Some(_), .. } => self.join(cx),
            Phase::Watching(Stream { stage: Stage::Live, .. }) => {
                self.apply(cx);
                self.look_after_lease(now);
                self.beat(cx);
                self.report_wanted(cx);
                if self.shipping.is_overdue(now) {
                    // It was committed and has not come back: the stream is silent.
                    return self.close(cx.turn.now, Duration::ZERO);
                }
                self.ship(cx);
            }
            Phase::Watching(stream) if now.since(stream.opened) > ANSWER_MAX.saturating_mul(2) => {
                self.failed(cx, "etcd has not begun the watch");
            }
            Phase::Idle { .. } | Phase::Renaming | Phase::Joining { .. } | Phase::Watching(_) => {}
        }
    }

    fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Watching(Stream { stage: Stage::Live, .. }))
    }

    /// Where the log stands by the journal; none when the journal cannot be read.
    fn log(&self, cx: &mut Context<'_, impl Host>) -> Option<Option<LogPosition>> {
        cx.cache.journal(cx.turn.host).map(|journal| journal.log().cloned())
    }

    fn ask(&mut self, asked: Asked, Question { service, method, message }: Question) {
        let id = self.next_id();
        self.asked.push((id, asked));
        self.io.push_back(Io::Call { id, service, method, message, timeout: ANSWER_MAX });
    }

    fn next_id(&mut self) -> IoId {
        self.drawn += 1;
        self.drawn as IoId
    }

    /// A number that nobody else draws.
    fn draw(&mut self, now: Now) -> u64 {
        self.drawn += 1;
        let drawn = [self.drawn, now.mono.0, u64::from(self.identity.nonce)].map(u64::to_le_bytes).concat();
        self.identity.seed.fingerprint(&drawn).0
    }

    /// A name for a history that no history had.
    fn new_name(&mut self, cx: &Context<'_, impl Host>) -> Vec<u8> {
        let (high, low) = (self.draw(cx.turn.now), self.draw(cx.turn.now));
        let by = self.called(cx);
        serde_json::json!({ "v": 1, "tag": format!("{high:016x}{low:016x}"), "by": by })
            .to_string()
            .into_bytes()
    }

    /// How this Envoy is called.
    fn called(&self, cx: &Context<'_, impl Host>) -> String {
        let by_node = || cx.turn.host.node().unwrap_or_else(|| "larder".into());
        cx.config.fleet.member.clone().unwrap_or_else(by_node)
    }

    /// Something has failed: the stream is closed, and after a pause everything begins anew where it was left.
    fn failed(&mut self, cx: &mut Context<'_, impl Host>, why: &str) {
        Trouble::note(cx.turn.host, cx.turn.now.wall, why);
        cx.turn.host.count(Counter::FleetReconnect);
        let doubled = BACKOFF_MIN.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        // Between half and all of it, so that a fleet does not come back at once.
        let half = doubled / 2;
        let jitter = self.draw(cx.turn.now) % (half.as_millis() as u64 + 1);
        self.close(cx.turn.now, half + Duration::from_millis(jitter));
    }

    fn close(&mut self, now: Now, pause: Duration) {
        self.close_stream();
        self.phase = Phase::Idle { until: now.mono.after(pause) };
    }

    /// Ends the stream with the next tick, and forgets what was under way. What of that was committed comes back through
    /// the next one, before anything is sent again (S3).
    fn close_stream(&mut self) {
        if let Phase::Watching(stream) = &self.phase {
            self.closing.push(stream.id);
            self.phase = Phase::Idle { until: Monotonic(0) };
        }
        self.asked.clear();
        self.inbox.clear();
        self.shipping.forget();
        self.heartbeat.forget();
        self.closing.extend(self.registration.forget());
    }

    /// Whether there is a fleet; another one than before begins anew.
    fn is_configured(&mut self, config: &FleetConfig) -> bool {
        let Some(name) = &config.name else { return false };
        let is_same = |fleet: &Fleet| fleet.name == *name && fleet.prefix == config.prefix;
        if !self.fleet.as_ref().is_some_and(is_same) {
            self.close_stream();
            self.phase = Phase::Idle { until: Monotonic(0) };
            let keys = Keys::new(&config.prefix, name);
            self.fleet = Some(Fleet { name: name.clone(), prefix: config.prefix.clone(), keys });
        }
        true
    }

    fn stop(&mut self, cx: &mut Context<'_, impl Host>) {
        if self.fleet.take().is_some() {
            self.close(cx.turn.now, Duration::ZERO);
            self.lease.release(cx.turn.host, self.identity.nonce);
            cx.cache.set_contact(None);
        }
        self.commands.give_up();
    }

    /// Shows the gauges: the watching worker speaks for all.
    fn show(&mut self, cx: &mut Context<'_, impl Host>) {
        let state = State::load(cx.turn.host);
        let Some(journal) = cx.cache.journal(cx.turn.host) else { return };
        let known = journal.log().map_or(0, |log| progress(log, &state));
        let unshipped = journal.head().saturating_sub(state.shipped);
        let lag = state.contact.map_or(cx.turn.now.mono.0, |contact| {
            u64::try_from(cx.turn.now.mono.since(contact).as_millis()).unwrap_or(u64::MAX)
        });
        cx.turn.host.show(Gauge::FleetRevision, known);
        cx.turn.host.show(Gauge::FleetLag, lag);
        cx.turn.host.show(Gauge::FleetUnshipped, unshipped);
    }
}

/// Everything up to this revision is in the journal.
fn progress(log: &LogPosition, state: &State) -> u64 {
    // What was applied is in the journal; what was found to be nothing new, or our own, is not.
    if state.join == log.join { log.applied.max(state.progress) } else { log.applied }
}

fn told(what: &str, Ended { status, text }: &Ended) -> String {
    format!("{what}: gRPC status {status} {text}")
}
