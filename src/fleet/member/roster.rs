//! F8: the list of living members, and what each of them has applied (`fleet.members`).
//!
//! A member is a key of etcd under a lease that lives longer than `max_lag`. Whoever does not keep its lease serves nothing
//! beyond `max_lag` by then, so that a command may be answered without it.

use core::time::Duration;

use serde_json::json;

use super::super::etcd::{self, Listed};
use super::super::log::{Answer, Io, IoId};
use super::super::state::{Roster, State};
use super::{ANSWER_MAX, Asked, Member, progress};
use crate::cache::{Context, Host};
use crate::config::{FleetConfig, Role};
use crate::outcome::metrics::Gauge;
use crate::time::Monotonic;

/// With every so manieth heartbeat a member reports what it has applied, and the list is looked at.
const REPORT_EVERY: u32 = 6;

/// This worker's registration of its process.
#[derive(Default)]
pub(super) struct Registration {
    lease: Option<u64>,
    /// For how many seconds it was granted.
    granted_for: u64,
    is_registered: bool,
    /// Whether it is being registered.
    is_under_way: bool,
    /// The stream that keeps the lease.
    keeper: Option<IoId>,
    /// When the lease was last to be kept, until etcd answers.
    asked: Option<Monotonic>,
    beats: u32,
    /// Up to which revision etcd was told; none while that is under way.
    reported: Option<u64>,
    is_reporting: bool,
    /// Up to which revision somebody waits for a report.
    wanted: u64,
    is_listing: bool,
}

impl Registration {
    /// What was under way is lost; the lease is not.
    pub(super) fn forget(&mut self) -> Option<IoId> {
        (self.is_under_way, self.is_reporting, self.is_listing, self.asked) = (false, false, false, None);
        self.keeper.take()
    }

    /// Whether a stream is the one that keeps the lease.
    pub(super) fn is_keeper(&self, id: IoId) -> bool {
        self.keeper == Some(id)
    }

    /// A batch says that somebody waits for reports of it.
    pub(super) fn want(&mut self, revision: u64) {
        self.wanted = self.wanted.max(revision);
    }
}

/// The seconds that a lease lives: longer than `max_lag`, so that no member is forgotten that may still serve (M35 of the
/// fleet's model).
fn lease_secs(config: &FleetConfig) -> u64 {
    config.max_lag.mul_f64(1.2).as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)
}

impl Member {
    /// Whether this process has to be registered before it may count as in contact (E1).
    pub(super) fn lists(config: &FleetConfig) -> bool {
        config.members && config.role == Role::Member
    }

    /// Keeps the lease, or takes one; then the heartbeat itself follows. Whether there is one to be kept at all.
    pub(super) fn keep_lease(&mut self, cx: &mut Context<'_, impl Host>) -> bool {
        if !Self::lists(&cx.config.fleet) {
            return false;
        }
        let now = cx.turn.now.mono;
        // With a longer `max_lag` the lease that there is would end while this Envoy still serves.
        if self.registration.granted_for < lease_secs(&cx.config.fleet) {
            (self.registration.lease, self.registration.is_registered) = (None, false);
        }
        let Some(lease) = self.registration.lease.filter(|_| self.registration.is_registered) else {
            self.register(cx);
            return true;
        };
        self.registration.asked = Some(now);
        let message = etcd::keep_alive(lease);
        match self.registration.keeper {
            Some(id) => self.io.push_back(Io::Send { id, message }),
            None => {
                let id = self.next_id();
                let (service, method) = etcd::KEEP_ALIVE;
                self.io.push_back(Io::Open { id, service, method, message });
                self.registration.keeper = Some(id);
            }
        }
        true
    }

    /// The lease has not been answered for: its stream is silent.
    pub(super) fn look_after_lease(&mut self, now: Monotonic) {
        if self.registration.asked.is_some_and(|asked| now.since(asked) > ANSWER_MAX) {
            self.registration.asked = None;
            self.closing.extend(self.registration.keeper.take());
            self.heartbeat.unanswered();
        }
    }

    fn register(&mut self, cx: &Context<'_, impl Host>) {
        if !core::mem::replace(&mut self.registration.is_under_way, true) {
            let seconds = lease_secs(&cx.config.fleet);
            self.registration.granted_for = seconds;
            self.ask(Asked::Grant, etcd::grant(seconds));
        }
    }

    pub(super) fn granted(&mut self, cx: &mut Context<'_, impl Host>, message: &[u8]) {
        self.registration.lease = etcd::read_grant(message);
        if self.registration.lease.is_none() {
            return self.failed(cx, "etcd has granted no lease");
        }
        self.report(cx, Asked::Register);
    }

    /// It is registered, and its contact counts from now on.
    pub(super) fn registered(&mut self, cx: &mut Context<'_, impl Host>) {
        (self.registration.is_under_way, self.registration.is_registered) = (false, true);
        self.heartbeat.unanswered();
        self.heartbeat.due_at(cx.turn.now.mono);
        self.beat(cx);
    }

    /// Etcd says how long the lease lives; nothing when it has run out.
    pub(super) fn kept(&mut self, cx: &mut Context<'_, impl Host>, answer: &Answer) {
        let asked = self.registration.asked.take();
        match answer {
            Answer::Message(message) if etcd::read_kept(message) => {
                if let Some(asked) = asked {
                    self.ask_where(asked);
                }
                self.registration.beats = self.registration.beats.wrapping_add(1);
                if self.registration.beats.is_multiple_of(REPORT_EVERY) {
                    self.report(cx, Asked::Report);
                    self.list();
                }
            }
            Answer::Message(_) => {
                (self.registration.lease, self.registration.is_registered) = (None, false);
                self.register(cx);
            }
            Answer::Ended(_) => {
                self.registration.keeper = None;
                self.heartbeat.unanswered();
            }
        }
    }

    /// Tells etcd what has been applied.
    fn report(&mut self, cx: &mut Context<'_, impl Host>, asked: Asked) {
        let state = State::load(cx.turn.host);
        let by = self.called(cx);
        let Some(journal) = cx.cache.journal(cx.turn.host) else { return };
        let (Some(log), Some(src)) = (journal.log(), journal.nonce()) else { return };
        let applied = progress(log, &state);
        let tag: String = log.tag.iter().map(|byte| format!("{byte:02x}")).collect();
        let value = json!({
            "v": 1, "name": by, "applied": applied, "tag": tag, "larder": env!("CARGO_PKG_VERSION"),
        });
        let lease = self.registration.lease.unwrap_or(0);
        let value = value.to_string();
        if let Some(question) =
            self.fleet.as_ref().map(|fleet| fleet.keys.put_member(src, value.as_bytes(), lease))
        {
            (self.registration.is_reporting, self.registration.reported) = (true, Some(applied));
            self.ask(asked, question);
        }
    }

    /// Reports at once when somebody waits for it; one report is under way at a time.
    pub(super) fn report_wanted(&mut self, cx: &mut Context<'_, impl Host>) {
        let Registration { is_registered, is_reporting, reported, wanted, .. } = self.registration;
        if is_registered && !is_reporting && reported.is_none_or(|reported| reported < wanted) {
            self.report(cx, Asked::Report);
        }
    }

    pub(super) fn reported(&mut self, cx: &mut Context<'_, impl Host>) {
        self.registration.is_reporting = false;
        self.report_wanted(cx);
    }

    /// Asks who lives, and what each has applied.
    pub(super) fn list(&mut self) {
        if core::mem::replace(&mut self.registration.is_listing, true) {
            return;
        }
        if let Some(question) = self.fleet.as_ref().map(|fleet| fleet.keys.members()) {
            self.ask(Asked::Members, question);
        }
    }

    pub(super) fn unlisted(&mut self) {
        self.registration.is_listing = false;
    }

    pub(super) fn listed(&mut self, cx: &mut Context<'_, impl Host>, message: &[u8]) {
        self.registration.is_listing = false;
        let Some(listed) = self.fleet.as_ref().and_then(|fleet| fleet.keys.read_members(message)) else {
            return;
        };
        let Listed { revision, tag, members } = listed;
        cx.turn.host.show(Gauge::FleetMembers, members.len() as u64);
        let roster = Roster { at: cx.turn.now.mono, members };
        roster.save(cx.turn.host);
        let state = State::load(cx.turn.host);
        let Some(journal) = cx.cache.journal(cx.turn.host) else { return };
        let (Some(log), Some(src)) = (journal.log(), journal.nonce()) else { return };
        // E3, E4: a wiped etcd knows no members, and those that are cut off from it may serve for as long as `max_lag`.
        let is_known = tag == Some(log.tag);
        let is_settled = cx.turn.now.mono.since(state.joined_at) > cx.config.fleet.max_lag;
        let own = log.tag;
        self.commands.listed(&roster, (src, own), (is_known && is_settled).then_some(revision));
    }
}

/// How long a command waits for the members at most.
pub(super) fn patience(config: &FleetConfig) -> Duration {
    config.everywhere_timeout
}
