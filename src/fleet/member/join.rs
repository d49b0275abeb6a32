//! F1 and F4: beginning anew with a history, and giving a history another name that has lost records.

use core::time::Duration;

use super::super::etcd::Keys;
use super::super::log::Head;
use super::super::state::State;
use super::{Asked, BACKOFF_MIN, Member, Phase, Stage};
use crate::cache::{Context, Host};
use crate::config::{HistoryLost, Role};
use crate::invalidation::{Invalidation, Mode, Selector, Source};
use crate::outcome::JoinReason;
use crate::outcome::metrics::Counter;
use crate::store::journal::Joined;

/// How long a reader waits for somebody who may write to begin the history.
const READER_PAUSE: Duration = Duration::from_secs(1);
/// How long after a history was replaced this process does not replace another one: a log that is always found rewound is
/// in worse trouble than this can mend.
const REPLACE_PAUSE: Duration = Duration::from_secs(600);

impl Member {
    /// Asks where the log stands, to begin with it. The revision is asked for before the barrier is written (J2): a purge
    /// between the two would lie before the barrier in the log and after it in no journal.
    pub(super) fn ask_to_join(&mut self, cx: &mut Context<'_, impl Host>) {
        self.close_stream();
        let Some(before) = self.log(cx).map(|log| log.map_or(0, |log| log.join)) else {
            return self.close(cx.turn.now, BACKOFF_MIN);
        };
        let name = self.new_name(cx);
        let may_write = cx.config.fleet.role == Role::Member;
        let ask = |keys: &Keys| if may_write { keys.head_named(&name) } else { keys.head() };
        if let Some(question) = self.fleet.as_ref().map(|fleet| ask(&fleet.keys)) {
            self.ask(Asked::Join, question);
            self.phase = Phase::Joining { before, head: None };
        }
    }

    pub(super) fn may_join(&mut self, cx: &mut Context<'_, impl Host>, message: &[u8]) {
        let Phase::Joining { head, .. } = &mut self.phase else { return };
        let may_write = cx.config.fleet.role == Role::Member;
        let read = |keys: &Keys| if may_write { keys.read_named(message) } else { keys.read_head(message) };
        match self.fleet.as_ref().and_then(|fleet| read(&fleet.keys)) {
            Some(found) if found.tag.is_some() => {
                *head = Some(found);
                self.join(cx);
            }
            // A reader waits until somebody who may write has begun.
            Some(_) if !may_write => self.close(cx.turn.now, READER_PAUSE),
            _ => self.failed(cx, "etcd has answered something that is no place in a log"),
        }
    }

    /// Writes the barrier, which stands for all that this journal has not heard of (J1), and watches from there on.
    pub(super) fn join(&mut self, cx: &mut Context<'_, impl Host>) {
        let Phase::Joining { before, head: Some(head) } = self.phase else { return };
        let Some((tag, _)) = head.tag else { return };
        match self.write_barrier(cx, before, tag, head.revision) {
            // The next tick tries again.
            None => {}
            Some(Joined::ByAnother) => self.phase = Phase::Idle { until: cx.turn.now.mono },
            Some(Joined::At(join)) => {
                let now = cx.turn.now.mono;
                State::change(cx.turn.host, |state| state.join(join, head.revision, head.newest, now));
                // Explicitly from there: what a member of etcd takes for "now" may be older.
                self.watch(cx, head.revision + 1, join, head.newest, Stage::Opening { joined: true });
            }
        }
    }

    /// Appends the barrier; none when the journal is busy.
    pub(super) fn write_barrier(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        before: u64,
        tag: [u8; 16],
        revision: u64,
    ) -> Option<Joined> {
        let barrier = Invalidation {
            mode: match cx.config.fleet.history_lost {
                HistoryLost::Revalidate => Mode::Revalidate,
                HistoryLost::Hard => Mode::Hard,
            },
            selector: Selector::All,
            issued_at: cx.turn.now.wall,
            source: Source::Fleet { revision, by: String::new() },
            reason: Some(self.reason.as_str().into()),
        };
        let nonce = self.identity.seed.0;
        let journal = cx.cache.journal(cx.turn.host)?;
        let joined = journal.join(cx.turn.host, &barrier, (before, tag, revision), nonce).ok()?;
        if let Joined::At(_) = joined {
            cx.turn.host.count(Counter::FleetJoined(self.reason));
            self.heartbeat.begin_anew();
        }
        Some(joined)
    }

    /// The log has lost records under the name that it had: it is named anew, so that everybody sees that. Who had not
    /// applied what was lost could not know of it (M14 of the fleet's model).
    pub(super) fn replace(&mut self, cx: &mut Context<'_, impl Host>, head: Head) {
        self.reason = JoinReason::Rewound;
        let now = cx.turn.now.mono;
        let lately = State::load(cx.turn.host).replaced.is_some_and(|at| now.since(at) < REPLACE_PAUSE);
        let (Some((_, named_at)), false, Role::Member) = (head.tag, lately, cx.config.fleet.role) else {
            return self.ask_to_join(cx);
        };
        self.close_stream();
        let name = self.new_name(cx);
        if let Some(question) = self.fleet.as_ref().map(|fleet| fleet.keys.rename(&name, named_at)) {
            self.ask(Asked::Rename, question);
            self.phase = Phase::Renaming;
        }
    }

    pub(super) fn join_because(&mut self, cx: &mut Context<'_, impl Host>, reason: JoinReason) {
        self.reason = reason;
        self.ask_to_join(cx);
    }
}
