//! F9: commands that wait until the fleet has their records, or until every living member has applied them.

use std::collections::VecDeque;

use super::super::state::{Roster, State};
use super::Member;
use super::roster::patience;
use crate::cache::{Context, Host, StreamId};
use crate::config::Acknowledge;
use crate::time::Monotonic;

/// The most commands that wait on one worker. Beyond it a command is answered as one that has waited too long.
const WAITING_MAX: usize = 1_024;

/// What came of waiting for the fleet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Acknowledged {
    /// Etcd has committed the record.
    Committed(Committed),
    /// Every living member has applied it.
    Everywhere {
        /// Its revision.
        revision: u64,
        /// How many members there are.
        members: usize,
    },
    /// Etcd has committed the record, and these members have not said in time that they have applied it.
    Missing {
        /// Its revision.
        revision: u64,
        /// Their names; empty where it is not known yet who belongs to the fleet.
        names: Vec<String>,
    },
    /// It is not known to have been committed: the record holds here, and is sent when etcd is back.
    Pending,
}

/// Where in the log a record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// Its revision.
    pub revision: u64,
}

#[derive(Default)]
pub(super) struct Commands {
    waiting: Vec<Waiting>,
    ready: VecDeque<(StreamId, Acknowledged)>,
}

struct Waiting {
    stream: StreamId,
    position: u64,
    until: Monotonic,
    everywhere: Option<Everywhere>,
}

/// What a command waits for beyond its commit.
struct Everywhere {
    until: Monotonic,
    /// The revision, once that is known, and who has not applied it.
    committed: Option<u64>,
    missing: Vec<String>,
}

impl Commands {
    /// Looks which of them have waited long enough.
    pub(super) fn look(&mut self, state: &State, now: Monotonic) {
        let ready = &mut self.ready;
        self.waiting.retain_mut(|waiting| {
            let revision = state.revision_of(waiting.position);
            let came_of_it = match (revision, &mut waiting.everywhere) {
                (Some(revision), None) => Acknowledged::Committed(Committed { revision }),
                (Some(revision), Some(everywhere)) if now < everywhere.until => {
                    everywhere.committed = Some(revision);
                    return true;
                }
                (Some(revision), Some(everywhere)) => {
                    Acknowledged::Missing { revision, names: core::mem::take(&mut everywhere.missing) }
                }
                (None, _) if now >= waiting.until => Acknowledged::Pending,
                (None, _) => return true,
            };
            ready.push_back((waiting.stream, came_of_it));
            false
        });
    }

    /// Whether any of them waits for members.
    pub(super) fn wait_for_members(&self) -> bool {
        let waits = |everywhere: &Everywhere| everywhere.committed.is_some();
        self.waiting.iter().any(|waiting| waiting.everywhere.as_ref().is_some_and(waits))
    }

    /// Hears what all members have applied, at a revision of the store; none where the list cannot be relied on. This
    /// process is known by the name of its journal, and its history by the tag.
    pub(super) fn listed(&mut self, roster: &Roster, (src, tag): (u64, [u8; 16]), at: Option<u64>) {
        let ready = &mut self.ready;
        self.waiting.retain_mut(|waiting| {
            let Some(Everywhere { committed: Some(revision), missing, .. }) = &mut waiting.everywhere else {
                return true;
            };
            // E2: who has not reported is waited for. Its own word is its journal.
            let others = roster.members.iter().filter(|member| member.src != src);
            let lacks = |applied: u64, of: [u8; 16]| of != tag || applied < *revision;
            let late = others.filter(|member| lacks(member.applied, member.tag));
            *missing = late.map(|member| member.name.clone()).collect();
            // A list from before the commit lacks who has joined in between.
            if at.is_none_or(|at| at < *revision) || !missing.is_empty() {
                return true;
            }
            let (revision, members) = (*revision, roster.members.len());
            ready.push_back((waiting.stream, Acknowledged::Everywhere { revision, members }));
            false
        });
    }

    /// There is no fleet any more.
    pub(super) fn give_up(&mut self) {
        self.ready.extend(self.waiting.drain(..).map(|waiting| (waiting.stream, Acknowledged::Pending)));
    }
}

impl Member {
    /// A command waits until the fleet has its record, the one at this position.
    pub fn await_commit(
        &mut self,
        cx: &Context<'_, impl Host>,
        stream: StreamId,
        position: u64,
        acknowledge: Acknowledge,
    ) {
        if self.commands.waiting.len() >= WAITING_MAX {
            self.commands.ready.push_back((stream, Acknowledged::Pending));
            return;
        }
        let (now, config) = (cx.turn.now.mono, &cx.config.fleet);
        let everywhere = (acknowledge == Acknowledge::Everywhere).then(|| Everywhere {
            until: now.after(patience(config)),
            committed: None,
            missing: Vec::new(),
        });
        let wants_reports = everywhere.is_some();
        let until = now.after(config.acknowledge_timeout);
        self.commands.waiting.push(Waiting { stream, position, until, everywhere });
        let worker = cx.cache.worker();
        State::change(cx.turn.host, |state| {
            state.waiters |= worker.map_or(0, |worker| 1 << worker);
            if wants_reports {
                state.reports_wanted = state.reports_wanted.max(position);
            }
        });
        cx.turn.host.wake_fleet();
    }

    /// Whoever waits for members asks for them.
    pub(super) fn ask_for_members(&mut self) {
        if self.commands.wait_for_members() {
            self.list();
        }
    }

    /// The next command that has waited long enough.
    pub fn next_acknowledged(&mut self) -> Option<(StreamId, Acknowledged)> {
        self.commands.ready.pop_front()
    }

    /// Whether a command is to be answered.
    #[must_use]
    pub fn has_acknowledged(&self) -> bool {
        !self.commands.ready.is_empty()
    }
}
