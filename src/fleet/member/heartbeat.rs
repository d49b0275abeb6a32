//! F6: contact is proved by asking, not by a stream that is open.
//!
//! A linearizable reading of the newest batch says whether all of them have been applied. It also finds streams that are
//! silent and logs that were wiped or rewound, and is the progress that makes compaction harmless for an idle log.

use std::collections::VecDeque;

use super::super::log::Head;
use super::super::state::{Newest, State, Trouble};
use super::{Asked, Member, Phase, Stream, progress};
use crate::cache::{Context, Host};
use crate::store::SharedData;
use crate::time::Monotonic;

/// The most batches of this join whose hashes are remembered. Beyond it the oldest are forgotten: an answer that is so old
/// is no contact.
const APPLIED_MAX: usize = 4_096;
/// How many questions in a row may be answered with a batch that has not come. Beyond it the stream counts as silent.
const BEHIND_MAX: u32 = 2;
/// So often within `max_lag` it is asked.
const PARTS: u32 = 6;

/// What is known of the contact with etcd.
#[derive(Default)]
pub(super) struct Heartbeat {
    due: Monotonic,
    is_under_way: bool,
    /// The batch that an answer has named and that has not come yet, and when that was asked.
    behind: Option<(u64, Monotonic)>,
    times_behind: u32,
    /// The hashes of the batches that were applied since the barrier, the newest last.
    applied: VecDeque<u64>,
}

impl Heartbeat {
    /// It is asked at once.
    pub(super) fn due_at(&mut self, now: Monotonic) {
        self.due = now;
    }

    pub(super) fn unanswered(&mut self) {
        self.is_under_way = false;
    }

    /// The stream is closed.
    pub(super) fn forget(&mut self) {
        (self.is_under_way, self.behind, self.times_behind) = (false, None, 0);
    }

    /// A history has been joined.
    pub(super) fn begin_anew(&mut self) {
        self.applied.clear();
    }

    /// A batch is in the journal.
    pub(super) fn applied(&mut self, data: &impl SharedData, newest: Newest) {
        self.applied.push_back(newest.id);
        if self.applied.len() > APPLIED_MAX {
            self.applied.pop_front();
        }
        if let Some((_, sent)) = self.behind.take_if(|(revision, _)| *revision <= newest.revision) {
            State::change(data, |state| state.contacted(sent));
            self.times_behind = 0;
        }
    }
}

impl Member {
    /// Asks where the log stands, when that is due.
    pub(super) fn beat(&mut self, cx: &mut Context<'_, impl Host>) {
        let now = cx.turn.now.mono;
        if self.heartbeat.is_under_way || now < self.heartbeat.due || !self.is_live() {
            return;
        }
        self.heartbeat.is_under_way = true;
        self.heartbeat.due = now.after(cx.config.fleet.max_lag / PARTS);
        if !self.keep_lease(cx) {
            self.ask_where(now);
        }
    }

    /// Asks where the log stands. C1: contact is when it was asked; when the answer came a purge may have been committed in
    /// between.
    pub(super) fn ask_where(&mut self, sent: Monotonic) {
        if let Some(question) = self.fleet.as_ref().map(|fleet| fleet.keys.head()) {
            self.ask(Asked::Heartbeat { sent }, question);
        }
    }

    /// Etcd says where the log stands.
    pub(super) fn heard(&mut self, cx: &mut Context<'_, impl Host>, sent: Monotonic, message: &[u8]) {
        self.heartbeat.is_under_way = false;
        let head = self.fleet.as_ref().and_then(|fleet| fleet.keys.read_head(message));
        let (Some(head), Some(Some(log))) = (head, self.log(cx)) else { return };
        let Phase::Watching(Stream { join, .. }) = self.phase else { return };
        let state = State::load(cx.turn.host);
        if log.join != join || state.join != join {
            return self.close(cx.turn.now, core::time::Duration::ZERO);
        }
        let known = progress(&log, &state);
        let is_same = head.tag.is_some_and(|(tag, _)| tag == log.tag);
        let Head { revision, newest, .. } = head;
        // A stream that opens is no success where each batch is refused.
        if !self.puts_fail {
            self.failures = 0;
        }
        let is_newest = (newest.revision, newest.id) == (state.last.revision, state.last.id);
        if is_same && is_newest && revision >= known {
            State::change(cx.turn.host, |state| {
                state.progressed(join, revision, newest);
                state.contacted(sent);
            });
            self.heartbeat.times_behind = 0;
        } else if is_same && revision < state.last.revision && self.heartbeat.applied.contains(&newest.id) {
            // C2. The answer is older than the newest batch here, and what it names is here too.
            State::change(cx.turn.host, |state| state.contacted(sent));
        } else if is_same && newest.revision > known {
            self.heartbeat.times_behind += 1;
            self.heartbeat.behind = Some((newest.revision, sent));
            if self.heartbeat.times_behind > BEHIND_MAX {
                Trouble::note(cx.turn.host, cx.turn.now.wall, "the watch is silent");
                self.close(cx.turn.now, core::time::Duration::ZERO);
            }
        } else {
            // Not the history that is known here: resuming finds out which.
            self.close(cx.turn.now, core::time::Duration::ZERO);
        }
        let contact = State::load(cx.turn.host).contact;
        cx.cache.set_contact(contact);
    }
}
