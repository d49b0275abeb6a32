//! F2: going on with a history where it was left, if it is still the one that is known.

use core::time::Duration;

use super::super::etcd::{Missing, Question, Watched};
use super::super::log::Io;
use super::super::state::{Newest, State};
use super::{Asked, BACKOFF_MIN, Member, Phase, Stage, Stream, progress};
use crate::cache::{Context, Host};
use crate::outcome::JoinReason;

impl Member {
    pub(super) fn begin(&mut self, cx: &mut Context<'_, impl Host>) {
        let Some(log) = self.log(cx) else { return };
        let state = State::load(cx.turn.host);
        match log {
            None => {
                self.reason = JoinReason::Start;
                self.ask_to_join(cx);
            }
            // Which record is the newest is not known: whether the history is the same cannot be told.
            Some(log) if state.join != log.join => {
                self.reason = JoinReason::Start;
                self.ask_to_join(cx);
            }
            Some(log) => {
                let from = progress(&log, &state) + 1;
                self.watch(cx, from, log.join, state.last, Stage::Opening { joined: false });
            }
        }
    }

    pub(super) fn watch(
        &mut self,
        cx: &Context<'_, impl Host>,
        from: u64,
        join: u64,
        last: Newest,
        stage: Stage,
    ) {
        let Some(Question { service, method, message }) =
            self.fleet.as_ref().map(|fleet| fleet.keys.watch(from))
        else {
            return;
        };
        let id = self.next_id();
        self.io.push_back(Io::Open { id, service, method, message });
        self.inbox.clear();
        let opened = cx.turn.now.mono;
        self.phase = Phase::Watching(Stream { id, opened, join, last, target: from - 1, stage });
    }

    /// A message of the watch.
    pub(super) fn watched(&mut self, cx: &mut Context<'_, impl Host>, message: &[u8]) {
        let Some(watched) = self.fleet.as_ref().map(|fleet| fleet.keys.read_watch(message)) else { return };
        let Watched { created, cancelled, compacted, reason, events, .. } = watched;
        let Phase::Watching(stream) = &mut self.phase else { return };
        if cancelled && !compacted {
            return self.failed(cx, &format!("etcd has ended the watch: {reason}"));
        }
        match &mut stream.stage {
            Stage::Opening { joined: true } if cancelled => {
                self.reason = JoinReason::Compacted;
                return self.ask_to_join(cx);
            }
            Stage::Opening { joined: true } if created => self.go_live(cx),
            Stage::Opening { joined: false } if created || cancelled => {
                // After it was created (R2): a history that is wiped in between would go unnoticed.
                stream.stage = Stage::Checking { cancelled, head: None };
                if let Some(question) = self.fleet.as_ref().map(|fleet| fleet.keys.head()) {
                    self.ask(Asked::Check, question);
                }
            }
            Stage::Checking { cancelled: known, .. } if cancelled => *known = true,
            // Compacted while it was behind: it is looked at what was missed.
            Stage::Live if cancelled => return self.close(cx.turn.now, Duration::ZERO),
            Stage::Opening { .. } | Stage::Checking { .. } | Stage::Live => {}
        }
        if self.inbox.take(events).is_err() {
            return self.close(cx.turn.now, Duration::ZERO);
        }
        self.apply(cx);
    }

    /// Whether the log goes on from what is known here.
    pub(super) fn checked(&mut self, cx: &mut Context<'_, impl Host>, message: &[u8]) {
        let Some(head) = self.fleet.as_ref().and_then(|fleet| fleet.keys.read_head(message)) else {
            return self.failed(cx, "etcd has answered something that is no place in a log");
        };
        let Some(Some(log)) = self.log(cx) else { return self.close(cx.turn.now, BACKOFF_MIN) };
        let state = State::load(cx.turn.host);
        let Phase::Watching(Stream { join, last, stage: Stage::Checking { cancelled, .. }, .. }) = self.phase
        else {
            return;
        };
        if log.join != join || state.join != join {
            return self.close(cx.turn.now, Duration::ZERO);
        }
        let known = progress(&log, &state);
        // R3. That the revision went back would not do: a wiped etcd may have caught up by now.
        if head.tag.is_none_or(|(tag, _)| tag != log.tag) {
            return self.join_because(cx, JoinReason::Wiped);
        }
        // R4, first half. A backup that was restored with a raised revision lacks records all the same.
        if head.revision < known || head.newest.revision < last.revision {
            return self.replace(cx, head);
        }
        // R5: an idle log that was compacted is no reason to ask the origin for everything.
        if (head.newest.revision, head.newest.id) == (last.revision, last.id) {
            if cancelled {
                State::change(cx.turn.host, |state| state.progressed(join, head.revision, last));
                return self.close(cx.turn.now, Duration::ZERO);
            }
            return self.live(cx, head.newest.revision);
        }
        if cancelled {
            return self.join_because(cx, JoinReason::Compacted);
        }
        match head.newest.version.checked_sub(last.version) {
            // The key was deleted in between, and its versions are counted anew.
            None | Some(0) => self.join_because(cx, JoinReason::Gap),
            Some(missed) if missed > u64::from(cx.config.fleet.replay_max) => {
                self.join_because(cx, JoinReason::Behind);
            }
            // R4, second half: whether the newest batch that is known here lies where it lay.
            Some(_) => {
                if let Phase::Watching(Stream { stage: Stage::Checking { head: kept, .. }, .. }) =
                    &mut self.phase
                {
                    *kept = Some(head);
                }
                if let Some(question) = self.fleet.as_ref().map(|fleet| fleet.keys.at(known)) {
                    self.ask(Asked::CheckAt, question);
                }
            }
        }
    }

    pub(super) fn checked_at(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        found: Result<Newest, Option<Missing>>,
    ) {
        let Phase::Watching(Stream { last, stage: Stage::Checking { head: Some(head), .. }, .. }) =
            self.phase
        else {
            return;
        };
        match found {
            Ok(newest) if (newest.revision, newest.id) == (last.revision, last.id) => {
                self.live(cx, head.newest.revision);
            }
            Ok(_) | Err(Some(Missing::Future)) => self.replace(cx, head),
            Err(Some(Missing::Compacted)) => self.join_because(cx, JoinReason::Compacted),
            Err(None) => self.failed(cx, "etcd has answered something that is no batch"),
        }
    }

    pub(super) fn live(&mut self, cx: &mut Context<'_, impl Host>, target: u64) {
        if let Phase::Watching(stream) = &mut self.phase {
            stream.target = target;
        }
        self.go_live(cx);
        self.apply(cx);
    }

    pub(super) fn go_live(&mut self, cx: &mut Context<'_, impl Host>) {
        if let Phase::Watching(stream) = &mut self.phase {
            stream.stage = Stage::Live;
        }
        self.shipping.forget();
        self.heartbeat.due_at(cx.turn.now.mono);
        self.beat(cx);
    }
}
