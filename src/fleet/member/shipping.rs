//! F5: what is to be shared is sent, one batch at a time, with all in it that has gathered meanwhile.

use core::time::Duration;

use super::super::batch::{self, BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Envelope};
use super::super::state::State;
use super::{Asked, Member, Phase, progress};
use crate::cache::{Context, Host};
use crate::config::Role;
use crate::invalidation::{Invalidation, Selector, Source};
use crate::store::journal::Unshipped;
use crate::time::Monotonic;

/// How long after etcd has committed a batch it may take to come back. Beyond it the stream counts as silent.
const RETURN_MAX: Duration = Duration::from_millis(500);
/// The most bytes that the records of a batch take in the journal; as JSON they may take several times as much. Beyond it
/// the others go with the next batch.
const JOURNAL_BYTES_MAX: usize = 128 << 10;

/// The batch under way.
#[derive(Default)]
pub(super) struct Shipping {
    /// Up to which position it ships, and when etcd has answered.
    put: Option<(u64, Option<Monotonic>)>,
}

impl Shipping {
    /// Etcd has committed it. It counts when it comes back, and not before: with a revision from here as progress, what
    /// others have put before it would be skipped (S2).
    pub(super) fn answered(&mut self, now: Monotonic) {
        if let Some((_, answered)) = &mut self.put {
            *answered = Some(now);
        }
    }

    /// Whether it should have come back by now.
    pub(super) fn is_overdue(&self, now: Monotonic) -> bool {
        self.put.is_some_and(|(_, answered)| answered.is_some_and(|at| now.since(at) > RETURN_MAX))
    }

    /// A batch has come back that ships up to there.
    pub(super) fn came_back(&mut self, hi: u64) {
        self.put.take_if(|(upto, _)| *upto <= hi);
    }

    pub(super) fn forget(&mut self) {
        self.put = None;
    }
}

impl Member {
    /// Sends what is to be shared. Only over a stream that has caught up: what was committed of an earlier batch has come
    /// back by then, and is not sent twice (S3).
    pub(super) fn ship(&mut self, cx: &mut Context<'_, impl Host>) {
        if self.shipping.put.is_some() || !self.inbox.is_empty() || cx.config.fleet.role != Role::Member {
            return;
        }
        let Phase::Watching(stream) = &self.phase else { return };
        let state = State::load(cx.turn.host);
        let Some(journal) = cx.cache.journal(cx.turn.host) else { return };
        let known = journal.log().map_or(0, |log| progress(log, &state));
        if !stream.has_caught_up(known) || state.shipped >= journal.head() {
            return;
        }
        let most = (BATCH_RECORDS_MAX, JOURNAL_BYTES_MAX);
        let Unshipped { records, upto, forgotten } = journal.unshipped(cx.turn.host, state.shipped, most);
        let Some(src) = journal.nonce() else { return };
        if records.is_empty() && forgotten.is_none() {
            State::change(cx.turn.host, |state| state.shipped = state.shipped.max(upto));
            return;
        }
        // S4: what the ring has overwritten before it was sent is not forgotten.
        let lost = forgotten.map(|mode| Invalidation {
            mode,
            selector: Selector::All,
            issued_at: cx.turn.now.wall,
            source: Source::Unreadable,
            reason: None,
        });
        let lost = lost.into_iter().map(|record| (state.shipped, record));
        let ack = state.reports_wanted > state.shipped;
        let (batch, hi) = self.batched(cx, lost.chain(records).collect(), (src, ack), upto);
        if let Some(question) = self.fleet.as_ref().map(|fleet| fleet.keys.put(&batch)) {
            self.shipping.put = Some((hi, None));
            self.ask(Asked::Put, question);
        }
    }

    /// As many of the records as a batch takes, and up to which position that ships.
    fn batched(
        &mut self,
        cx: &Context<'_, impl Host>,
        mut records: Vec<(u64, Invalidation)>,
        (src, ack): (u64, bool),
        upto: u64,
    ) -> (Vec<u8>, u64) {
        let id = self.draw(cx.turn.now);
        let mut hi = upto;
        loop {
            let once = without_doubles(&records);
            let by = self.by(cx, &once);
            let envelope = Envelope { id, src, hi, by: &by, ack };
            let batch = batch::written(envelope, &once, cx.turn.now.wall);
            if batch.len() <= BATCH_BYTES_MAX || records.len() <= 1 {
                return (batch, hi);
            }
            records.truncate(records.len().div_ceil(2));
            hi = records.last().map_or(hi, |(position, _)| *position);
        }
    }

    /// Who says so: this Envoy, and the token where one has said all of it.
    fn by(&self, cx: &Context<'_, impl Host>, records: &[Invalidation]) -> String {
        let token = |record: &Invalidation| match &record.source {
            Source::Admin { token } => Some(token.clone()),
            _ => None,
        };
        let first = records.first().and_then(token);
        let by = self.called(cx);
        match first.filter(|name| records.iter().all(|record| token(record).as_ref() == Some(name))) {
            Some(token) => format!("{by}/{token}"),
            None => by,
        }
    }
}

/// The same invalidation twice is the later one.
fn without_doubles(records: &[(u64, Invalidation)]) -> Vec<Invalidation> {
    let same = |a: &Invalidation, b: &Invalidation| a.mode == b.mode && a.selector == b.selector;
    let mut once: Vec<Invalidation> = Vec::new();
    for (_, record) in records.iter().rev() {
        if !once.iter().any(|known| same(known, record)) {
            once.push(record.clone());
        }
    }
    once.reverse();
    once
}
