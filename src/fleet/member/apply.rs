//! F3: what the log says becomes records of the journal, once and in its order.

use std::collections::VecDeque;

use super::super::batch::{self, Batch, Record};
use super::super::log::Event;
use super::super::state::{Newest, State};
use super::{Member, Phase, Stage, Stream};
use crate::cache::{Context, Host};
use crate::invalidation::{Invalidation, Mode, Selector, Source, encode};
use crate::outcome::JoinReason;
use crate::outcome::metrics::Counter;
use crate::rate_limit::Limiter;
use crate::store::Fingerprint;
use crate::store::journal::{Applied, Joined};
use crate::time::{Now, Timestamp};

/// The most events that wait to be applied. Beyond it the stream is closed: it goes on from what was applied.
const INBOX_MAX: usize = 4_096;
/// The most batches that one callback applies. Beyond it the next tick goes on.
const APPLIED_PER_CALLBACK_MAX: usize = 512;

/// What the stream has brought and the journal does not say yet. It goes through here, so that the order holds where the
/// journal is busy.
#[derive(Default)]
pub(super) struct Inbox {
    events: VecDeque<Event>,
    /// How many records of the first one are in the journal.
    done: usize,
    rate: Limiter,
}

/// More events than may wait.
pub(super) struct Full;

impl Inbox {
    pub(super) fn clear(&mut self) {
        self.events.clear();
        self.done = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn take(&mut self, events: Vec<Event>) -> Result<(), Full> {
        if self.events.len() + events.len() > INBOX_MAX {
            return Err(Full);
        }
        self.events.extend(events);
        Ok(())
    }

    fn pop(&mut self) {
        self.events.pop_front();
        self.done = 0;
    }
}

/// What comes after an event.
enum Next {
    /// The next one.
    Event,
    /// The same again, with the next tick.
    Tick,
    /// Nothing: the stream has been left.
    Left,
}

impl Member {
    /// Applies what has come, as far as the journal takes it.
    pub(super) fn apply(&mut self, cx: &mut Context<'_, impl Host>) {
        for _ in 0..APPLIED_PER_CALLBACK_MAX {
            if !self.is_live() {
                return;
            }
            let Some(event) = self.inbox.events.front().cloned() else { break };
            let next = match event {
                Event::Named { revision, tag } => self.named(cx, revision, tag),
                Event::Deleted => {
                    self.join_because(cx, JoinReason::Flushed);
                    Next::Left
                }
                Event::Batch { newest, bytes } => self.batch(cx, newest, &bytes),
            };
            match next {
                Next::Event => self.inbox.pop(),
                Next::Tick | Next::Left => return,
            }
        }
        self.ship(cx);
    }

    /// The history has another name from this revision on: that is how everything is flushed on purpose, and how a log that
    /// has lost records says so.
    fn named(&mut self, cx: &mut Context<'_, impl Host>, revision: u64, tag: [u8; 16]) -> Next {
        let Some(Some(log)) = self.log(cx) else { return Next::Tick };
        let Phase::Watching(Stream { join, last, .. }) = self.phase else { return Next::Left };
        if log.tag == tag {
            return Next::Event;
        }
        self.reason = JoinReason::Flushed;
        match self.write_barrier(cx, join, tag, revision) {
            None => Next::Tick,
            Some(Joined::ByAnother) => self.leave_stream(cx),
            Some(Joined::At(join)) => {
                let now = cx.turn.now.mono;
                State::change(cx.turn.host, |state| state.join(join, revision, last, now));
                if let Phase::Watching(stream) = &mut self.phase {
                    stream.join = join;
                }
                self.heartbeat.due_at(now);
                Next::Event
            }
        }
    }

    fn batch(&mut self, cx: &mut Context<'_, impl Host>, newest: Newest, bytes: &[u8]) -> Next {
        let Phase::Watching(Stream { join, last, .. }) = self.phase else { return Next::Left };
        // It has come twice.
        if newest.revision <= last.revision {
            return Next::Event;
        }
        // A7, an assertion: etcd has had faults that drop events of a watch.
        if newest.version != last.version + 1 {
            self.join_because(cx, JoinReason::Gap);
            return Next::Left;
        }
        let batch = batch::read(bytes, cx.turn.now.wall);
        let Some(journal) = cx.cache.journal(cx.turn.host) else { return Next::Tick };
        // A1. By the name of the journal, not of the Envoy: a record of an earlier life would mark new purges as shipped.
        if batch.src.is_some() && batch.src == journal.nonce() {
            let hi = batch.hi.min(journal.head());
            return self.own(cx, newest, hi, batch.records.len());
        }
        let wants_reports = batch.ack;
        let records = self.records(cx, newest.revision, batch);
        let Some(journal) = cx.cache.journal(cx.turn.host) else { return Next::Tick };
        let (at, nonce) = ((join, newest.revision), self.identity.seed.0);
        match journal.apply(cx.turn.host, at, &records, &mut self.inbox.done, nonce) {
            Err(_) => Next::Tick,
            Ok(Applied::OfAnotherJoin) => self.leave_stream(cx),
            Ok(applied) => {
                if let Applied::At(_) = applied {
                    cx.turn.host.count(Counter::FleetApplied);
                }
                if wants_reports {
                    self.registration.want(newest.revision);
                }
                let next = self.applied(cx, newest);
                self.report_wanted(cx);
                next
            }
        }
    }

    /// Another worker has joined anew: what this stream brings belongs to the history before.
    fn leave_stream(&mut self, cx: &Context<'_, impl Host>) -> Next {
        self.close(cx.turn.now, core::time::Duration::ZERO);
        Next::Left
    }

    /// A batch of this process has come back: that is when it is committed, and nothing else says so (S1, S2).
    fn own(&mut self, cx: &mut Context<'_, impl Host>, newest: Newest, hi: u64, records: usize) -> Next {
        let Phase::Watching(Stream { join, .. }) = self.phase else { return Next::Left };
        // A2 holds for our own as well: a history that was restored since may lack what this stream has brought, and it
        // would count as shared (M48).
        let Some(Some(log)) = self.log(cx) else { return Next::Tick };
        let state = State::load(cx.turn.host);
        if log.join != join || state.join != join {
            return self.leave_stream(cx);
        }
        let waiters = state.waiters;
        let changed = State::change(cx.turn.host, |state| {
            if state.join == join {
                state.progressed(join, newest.revision, newest);
                state.shipped(hi, newest.revision);
                state.waiters &= !waiters;
            }
        });
        let Some(state) = changed else { return Next::Tick };
        for worker in (0..64).filter(|worker| waiters >> worker & 1 == 1) {
            // The fingerprint of no key.
            cx.turn.host.wake(worker, Fingerprint::default());
        }
        for _ in 0..records {
            cx.turn.host.count(Counter::FleetPublished);
        }
        (self.failures, self.puts_fail) = (0, false);
        self.shipping.came_back(hi);
        self.commands.look(&state, cx.turn.now.mono);
        self.taken(cx, newest)
    }

    fn applied(&mut self, cx: &mut Context<'_, impl Host>, newest: Newest) -> Next {
        let Phase::Watching(Stream { join, .. }) = self.phase else { return Next::Left };
        State::change(cx.turn.host, |state| state.progressed(join, newest.revision, newest));
        self.taken(cx, newest)
    }

    fn taken(&mut self, cx: &mut Context<'_, impl Host>, newest: Newest) -> Next {
        if let Phase::Watching(stream) = &mut self.phase {
            stream.last = newest;
        }
        self.heartbeat.applied(cx.turn.host, newest);
        Next::Event
    }

    /// The records of a batch as those of the journal.
    fn records(&mut self, cx: &Context<'_, impl Host>, revision: u64, batch: Batch) -> Vec<Vec<u8>> {
        let Batch { by, records, understood, .. } = batch;
        if !understood {
            cx.turn.host.count(Counter::FleetUnreadable);
        }
        let contact = State::load(cx.turn.host).contact;
        let (config, now) = (cx.config, cx.turn.now);
        let one = |record: &Record, selector: &Selector| {
            let issued_at = issued_at(record, now, contact.map(|contact| now.mono.since(contact)));
            let source = Source::Fleet { revision, by: by.clone() };
            let (mode, reason) = (record.mode, record.reason.clone());
            Invalidation { mode, selector: selector.clone(), issued_at, source, reason }
        };
        let selectors = |record: &Record| {
            let expanded = record.selectors.iter().flat_map(|s| s.clone().expanded(&config.tags.parents));
            expanded.collect::<Vec<_>>()
        };
        let all: Vec<Invalidation> =
            records.iter().flat_map(|r| selectors(r).into_iter().map(move |s| one(r, &s))).collect();
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        if self.inbox.done == 0 && self.inbox.rate.take("", count, config.fleet.apply_rate, now.mono).is_err()
        {
            // A flood turns the cache off and leaves the Envoy alive.
            cx.turn.host.count(Counter::FleetCoarsened);
            let strictest = all.iter().map(|record| record.mode).max().unwrap_or(Mode::Hard);
            let everything = Record { mode: strictest, selectors: Vec::new(), age: 0, reason: None };
            return vec![encode(&one(&everything, &Selector::All))];
        }
        all.iter().map(encode).collect()
    }
}

/// When it was commanded, by the clock of this Envoy, and never after the last contact: a purge that was not applied then
/// was committed after it, so one that is replayed after an outage has no grace left.
fn issued_at(record: &Record, now: Now, since_contact: Option<core::time::Duration>) -> Timestamp {
    let age = core::time::Duration::from_millis(record.age).max(since_contact.unwrap_or_default());
    Timestamp(now.wall.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))
}

impl Stream {
    /// Whether all has been applied that there was when it went live.
    pub(super) fn has_caught_up(&self, known: u64) -> bool {
        matches!(self.stage, Stage::Live) && known >= self.target
    }
}
